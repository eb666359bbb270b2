use core::fmt::{self, Write as _};

use zk_proto::{ErrorCode, EventType, OpCode, Value, WatcherType};

use super::line::{Kind, Line};
use super::message::{Fault, dissect};
use super::node::{Hex, Node};

/// A line's frame as a hex dump in which each field is marked.
pub(crate) fn show(line: &Line) -> String {
    let mut dump = Dump { frame: &line.frame, at: 0, record: "", text: String::new() };
    let result = match dissect(line.kind, line.op, &line.frame) {
        Ok(message) => dump.message(line.kind, &message.fields),
        Err(fault) => dump.fault(&fault),
    };
    result.expect("a String takes all that is written");
    format!("{} {:?}, {} byte(s)\n{}", line.id, line.kind, line.frame.len(), dump.text)
}

struct Dump<'a> {
    frame: &'a [u8],
    at: usize,
    /// The record that the fields belong to.
    record: &'static str,
    text: String,
}

impl Dump<'_> {
    fn message(&mut self, kind: Kind, fields: &Node) -> fmt::Result {
        if let Kind::FourLetterWord | Kind::FourLetterReply = kind {
            return self.bytes(self.frame.len(), "text");
        }
        self.bytes(4, "length")?;
        self.node("", fields)
    }

    fn fault(&mut self, fault: &Fault) -> fmt::Result {
        if let Fault::Decode(error) = fault {
            self.bytes(4, "length")?;
            self.bytes(error.at(), "sound as far as here")?;
        }
        self.bytes(self.frame.len() - self.at, &format!("{fault}"))
    }

    fn node(&mut self, name: &str, node: &Node) -> fmt::Result {
        match node {
            Node::Null => Ok(()),
            Node::Name(record) => {
                self.record = record;
                writeln!(self.text, "      {:WIDTH$}  {record}", "")
            }
            Node::Wire(value) => self.value(name, value),
            Node::Rest(bytes) => self.bytes(bytes.len(), name),
            Node::Object(parts) => {
                parts.iter().try_for_each(|(part, node)| self.node(&join(name, part), node))
            }
            Node::List(parts) => parts
                .iter()
                .enumerate()
                .try_for_each(|(index, node)| self.node(&format!("{name}[{index}]"), node)),
        }
    }

    fn value(&mut self, name: &str, value: &Value) -> fmt::Result {
        match value {
            Value::Int(number) => self.bytes(4, &format!("{name} = {number}{}", self.meaning(name, *number))),
            Value::Long(number) => self.bytes(8, &format!("{name} = {number} ({number:#x})")),
            Value::Boolean(truth) => self.bytes(1, &format!("{name} = {truth}")),
            Value::Buffer(None) => self.bytes(4, &format!("{name} = null")),
            Value::Buffer(Some(bytes)) => {
                self.bytes(4 + bytes.len(), &format!("{name} = {} byte(s)", bytes.len()))
            }
            Value::Ustring(text) => self.bytes(4 + text.len(), &format!("{name} = {text:?}")),
            Value::Vector(None) => self.bytes(4, &format!("{name} = null")),
            Value::Vector(Some(elements)) => {
                self.bytes(4, &format!("{name} = {} element(s)", elements.len()))?;
                let mut elements = elements.iter().enumerate();
                elements.try_for_each(|(index, element)| self.value(&format!("{name}[{index}]"), element))
            }
            Value::Record(fields) => {
                fields.iter().try_for_each(|(field, value)| self.value(&join(name, field), value))
            }
        }
    }

    /// ZooKeeper's name of a number, where the field has such.
    fn meaning(&self, field: &str, number: i32) -> String {
        let name = match (self.record, field.rsplit('.').next()) {
            ("WatcherEvent", Some("type")) => EventType(number).zookeeper_name(),
            ("CheckWatchesRequest" | "RemoveWatchesRequest", Some("type")) => {
                WatcherType(number).zookeeper_name()
            }
            ("AuthPacket", Some("type")) => None,
            (_, Some("type")) => OpCode(number).zookeeper_name(),
            (_, Some("err")) => ErrorCode(number).zookeeper_name(),
            _ => None,
        };
        name.map(|name| format!(" ({name})")).unwrap_or_default()
    }

    /// Marks the next bytes, sixteen on a line.
    fn bytes(&mut self, count: usize, mark: &str) -> fmt::Result {
        let end = self.frame.len().min(self.at + count);
        let mut mark = Some(mark);
        while self.at < end || mark.is_some() {
            let next = end.min(self.at + ROW);
            let row = Hex(&self.frame[self.at..next]).to_string();
            let mark = mark.take().map(|mark| format!("  {mark}")).unwrap_or_default();
            writeln!(self.text, "{:04x}  {row:WIDTH$}{mark}", self.at)?;
            self.at = next;
        }
        Ok(())
    }
}

const ROW: usize = 16;
const WIDTH: usize = 2 * ROW;

fn join(name: &str, part: &str) -> String {
    if name.is_empty() { part.to_owned() } else { format!("{name}.{part}") }
}
