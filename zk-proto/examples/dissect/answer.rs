use super::line::{Line, LineFault};
use super::message::{Message, dissect};
use super::node::{Hex, Text};
use super::text;

/// A line's answer as JSON.
pub(crate) fn answer_json(line: &[u8]) -> String {
    let line = match Line::parse(line) {
        Ok(line) => line,
        Err(LineFault { id, what }) => return format!("{{\"id\":{id},\"error\":{}}}", Text(&what)),
    };
    match dissect(line.kind, line.op, &line.frame) {
        Ok(Message { fields, reencoded }) => {
            format!("{{\"id\":{},\"fields\":{fields},\"reencoded\":\"{}\"}}", line.id, Hex(&reencoded))
        }
        Err(fault) => format!("{{\"id\":{},\"error\":{}}}", line.id, Text(&fault.to_string())),
    }
}

/// A line's answer as a hex dump.
pub(crate) fn answer_text(line: &[u8]) -> String {
    match Line::parse(line) {
        Ok(line) => text::show(&line),
        Err(LineFault { id, what }) => format!("{id} {what}\n"),
    }
}
