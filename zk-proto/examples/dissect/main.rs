//! Says what frames say: JSON lines on stdin, one answer a line on stdout.
//!
//! ```text
//! echo '{"id":1,"dir":"c2s","kind":"Request","hex":"0000000f0000000100000004000000022f6101"}' | dissect
//! {"id":1,"fields":{"header":{"xid":1,"type":4},"record":"GetDataRequest","body":{"path":"/a","watch":true}},"reencoded":"..."}
//! ```
//!
//! A line has `id`, `dir` (`c2s` or `s2c`), `kind` (`ConnectRequest`, `ConnectResponse`, `ConnectRefusal`, `Request`, `Response`,
//! `Event`) and `hex`, the whole frame; a reply also has `opcode` or `op`, what it replies to. More is ignored. Where
//! a line or frame is malformed, the answer has `error` instead of `fields`, and the next line is read.
//!
//! With `--text`, the answer is a hex dump in which each field is marked.

mod answer;
mod line;
mod message;
mod node;
mod text;

use std::io::{self, BufRead as _, Write as _};

use answer::{answer_json, answer_text};

fn main() -> io::Result<()> {
    let answer = match std::env::args().nth(1).as_deref() {
        None => answer_json,
        Some("--text") => answer_text,
        Some(other) => return Err(io::Error::other(format!("argument {other:?}: not --text"))),
    };
    let mut input = io::stdin().lock();
    let mut output = io::stdout().lock();
    let mut line = Vec::new();
    while input.read_until(b'\n', &mut line)? > 0 {
        writeln!(output, "{}", answer(&line))?;
        line.clear();
    }
    Ok(())
}
