use std::fmt;

use serde_json::{Map, Value as Json};
use zk_proto::OpCode;

/// A line of input that says which frame to dissect.
#[derive(Debug)]
pub(crate) struct Line {
    /// As it came, to be given back.
    pub(crate) id: Json,
    pub(crate) kind: Kind,
    /// The operation, where the line names it.
    pub(crate) op: Option<OpCode>,
    pub(crate) frame: Vec<u8>,
}

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    ConnectRequest,
    ConnectResponse,
    ConnectRefusal,
    Request,
    Response,
    Event,
    /// Not a frame but bare text.
    FourLetterWord,
    /// Not a frame but bare text.
    FourLetterReply,
}

/// Why a line says nothing: whose line it is, if that is sure, and what is wrong.
#[derive(Debug)]
pub(crate) struct LineFault {
    pub(crate) id: Json,
    pub(crate) what: String,
}

impl Line {
    pub(crate) fn parse(text: &[u8]) -> Result<Self, LineFault> {
        let nobody = |what: String| LineFault { id: Json::Null, what };
        let line: Json = serde_json::from_slice(text).map_err(|error| nobody(format!("line: {error}")))?;
        let Json::Object(line) = line else { return Err(nobody("line: not a JSON object".to_owned())) };
        let id = line.get("id").cloned().ok_or_else(|| nobody("id: missing".to_owned()))?;
        let dir = text_of(&line, "dir").map_err(|fault| fault.told(&id))?;
        let kind = text_of(&line, "kind").map_err(|fault| fault.told(&id))?;
        let hex = text_of(&line, "hex").map_err(|fault| fault.told(&id))?;
        let wrong = |what: String| LineFault { id: id.clone(), what };
        let kind = Kind::named(kind).ok_or_else(|| wrong(format!("kind: {kind:?} is unknown")))?;
        if dir != kind.dir() {
            return Err(wrong(format!("dir: {dir:?}, but {kind:?} goes {}", kind.dir())));
        }
        let op = op_of(&line).map_err(wrong)?;
        let frame = bytes_of(hex).map_err(|what| wrong(format!("hex: {what}")))?;
        Ok(Self { id, kind, op, frame })
    }
}

impl Kind {
    const ALL: [Self; 8] = [
        Self::ConnectRequest,
        Self::ConnectResponse,
        Self::ConnectRefusal,
        Self::Request,
        Self::Response,
        Self::Event,
        Self::FourLetterWord,
        Self::FourLetterReply,
    ];

    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| format!("{kind:?}") == name)
    }

    fn dir(self) -> &'static str {
        match self {
            Self::ConnectRequest | Self::Request | Self::FourLetterWord => "c2s",
            Self::ConnectResponse
            | Self::ConnectRefusal
            | Self::Response
            | Self::Event
            | Self::FourLetterReply => "s2c",
        }
    }
}

enum FieldFault {
    Missing(&'static str),
    NoText(&'static str),
}

impl FieldFault {
    /// A line that lacks a field isn't trusted to know its id; the text says which it claims.
    fn told(self, id: &Json) -> LineFault {
        match self {
            Self::Missing(field) => {
                LineFault { id: Json::Null, what: format!("{field}: missing in the line with id {id}") }
            }
            Self::NoText(field) => LineFault { id: id.clone(), what: format!("{field}: not a string") },
        }
    }
}

fn text_of<'a>(line: &'a Map<String, Json>, field: &'static str) -> Result<&'a str, FieldFault> {
    match line.get(field) {
        Some(Json::String(text)) => Ok(text),
        None | Some(Json::Null) => Err(FieldFault::Missing(field)),
        Some(_) => Err(FieldFault::NoText(field)),
    }
}

fn op_of(line: &Map<String, Json>) -> Result<Option<OpCode>, String> {
    match (line.get("opcode"), line.get("op")) {
        (None | Some(Json::Null), None | Some(Json::Null)) => Ok(None),
        (None | Some(Json::Null), Some(name)) => OpCode::KNOWN
            .iter()
            .find(|op| op.zookeeper_name() == name.as_str())
            .map(|op| Some(*op))
            .ok_or_else(|| format!("op: {name} is unknown")),
        (Some(code), _) => code
            .as_i64()
            .and_then(|code| i32::try_from(code).ok())
            .map(|code| Some(OpCode(code)))
            .ok_or_else(|| format!("opcode: {code} is no number of 32 bits")),
    }
}

fn bytes_of(hex: &str) -> Result<Vec<u8>, HexFault> {
    let digits = hex
        .char_indices()
        .map(|(at, char)| char.to_digit(16).ok_or(HexFault::Digit { char, at }))
        .collect::<Result<Vec<u32>, _>>()?;
    if digits.len() % 2 != 0 {
        return Err(HexFault::Odd(digits.len()));
    }
    Ok(digits.chunks_exact(2).filter_map(|pair| u8::try_from(pair[0] * 16 + pair[1]).ok()).collect())
}

enum HexFault {
    Digit { char: char, at: usize },
    Odd(usize),
}

impl fmt::Display for HexFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Digit { char, at } => write!(f, "character {char:?} at {at} is no hexadecimal digit"),
            Self::Odd(count) => write!(f, "{count} digits are no whole bytes"),
        }
    }
}
