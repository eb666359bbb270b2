use std::fmt;

use zk_proto::{
    Bytes, BytesMut, ConnectRequest, ConnectResponse, DecodeError, DecodeErrorKind, ErrorCode, Jute,
    MultiHeader, Op, OpCode, OpResult, Reader, Record, ReplyHeader, Request, RequestHeader, Response, Value,
    WatcherEvent,
};

use super::line::Kind;
use super::node::Node;

/// What one frame says, and the frame again, encoded from that.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) fields: Node,
    pub(crate) reencoded: BytesMut,
}

/// Why a frame says nothing.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The payload is not as long as the frame says.
    Length(String),
    /// The payload is malformed.
    Decode(DecodeError),
    /// A reply whose body can't be told from the frame alone.
    OpMissing,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length(what) => write!(f, "frame.length: {what}"),
            Self::Decode(error) => error.fmt(f),
            Self::OpMissing => {
                f.write_str("op: missing, and opcode too; a reply doesn't tell what it replies to")
            }
        }
    }
}

impl From<DecodeError> for Fault {
    fn from(error: DecodeError) -> Self {
        Self::Decode(error)
    }
}

/// Decodes a whole frame by itself; `op` is what a reply is to.
pub(crate) fn dissect(kind: Kind, op: Option<OpCode>, frame: &[u8]) -> Result<Message, Fault> {
    if let Kind::FourLetterWord | Kind::FourLetterReply = kind {
        let text = Value::Ustring(String::from_utf8_lossy(frame).into_owned().into());
        return Ok(Message {
            fields: Node::Object(vec![("text", Node::Wire(text))]),
            reencoded: frame.into(),
        });
    }
    let payload = unframe(frame)?;
    let mut input = Reader::new(&payload);
    let mut out = BytesMut::new();
    let mut fields = match kind {
        Kind::ConnectRequest => connect::<ConnectRequest>(&mut input, &mut out)?,
        Kind::ConnectResponse => connect::<ConnectResponse>(&mut input, &mut out)?,
        Kind::ConnectRefusal => {
            let header = coded::<ReplyHeader>(&mut input, &mut out)?;
            vec![("header", Node::Wire(header.to_value())), ("record", Node::Null), ("body", Node::Null)]
        }
        Kind::Request => request(&mut input, &mut out)?,
        Kind::Response => response(op, &mut input, &mut out)?,
        Kind::Event => {
            let header = coded::<ReplyHeader>(&mut input, &mut out)?;
            let event = coded::<WatcherEvent>(&mut input, &mut out)?;
            message(header.to_value(), Some(WatcherEvent::NAME), Some(Node::Wire(event.to_value())))
        }
        Kind::FourLetterWord | Kind::FourLetterReply => Vec::new(),
    };
    let rest = input.rest();
    if !rest.is_empty() {
        out.extend_from_slice(&rest);
        fields.push(("rest", Node::Rest(rest)));
    }
    Ok(Message { fields: Node::Object(fields), reencoded: enframe(&out) })
}

type Fields = Vec<(&'static str, Node)>;

fn unframe(frame: &[u8]) -> Result<Bytes, Fault> {
    let Some((length, payload)) = frame.split_first_chunk::<4>() else {
        return Err(Fault::Length(format!("{} more byte(s) needed", 4 - frame.len())));
    };
    let length = i32::from_be_bytes(*length);
    let Ok(announced) = usize::try_from(length) else {
        return Err(Fault::Length(format!("{length} is negative")));
    };
    match payload.len() {
        there if there < announced => {
            Err(Fault::Length(format!("{length}, {} more byte(s) needed", announced - there)))
        }
        there if there > announced => {
            Err(Fault::Length(format!("{length}, {} byte(s) too many", there - announced)))
        }
        _ => Ok(Bytes::copy_from_slice(payload)),
    }
}

fn enframe(payload: &[u8]) -> BytesMut {
    let mut frame = BytesMut::with_capacity(4 + payload.len());
    i32::try_from(payload.len()).expect("no longer than the frame it came in").encode(&mut frame);
    frame.extend_from_slice(payload);
    frame
}

/// Decodes a record and encodes it again.
fn coded<T: Jute>(input: &mut Reader<'_>, out: &mut BytesMut) -> Result<T, DecodeError> {
    let record = T::decode(input)?;
    record.encode(out);
    Ok(record)
}

fn connect<T: Record>(input: &mut Reader<'_>, out: &mut BytesMut) -> Result<Fields, DecodeError> {
    let Value::Record(fields) = coded::<T>(input, out)?.to_value() else {
        unreachable!("a record is a record")
    };
    Ok(fields.into_iter().map(|(name, value)| (name, Node::Wire(value))).collect())
}

fn message(header: Value, record: Option<&'static str>, body: Option<Node>) -> Fields {
    vec![
        ("header", Node::Wire(header)),
        ("record", record.map_or(Node::Null, Node::Name)),
        ("body", body.unwrap_or(Node::Null)),
    ]
}

fn request(input: &mut Reader<'_>, out: &mut BytesMut) -> Result<Fields, DecodeError> {
    let header = coded::<RequestHeader>(input, out)?;
    let body = input.clone();
    let request = match Request::decode(header.op, input) {
        Ok(request) => request,
        Err(error) if is_unknown(&error, RequestHeader::NAME) => {
            return Ok(message(header.to_value(), None, None));
        }
        Err(error) => return Err(error),
    };
    let body = if let Request::Multi(_) | Request::MultiRead(_) = request {
        Some(parts(body, out, |op, input, out| {
            let op = Op::decode(op, input)?;
            op.encode(out);
            Ok((op.record_name(), op.to_value()))
        })?)
    } else {
        request.encode(out);
        request.to_value().map(Node::Wire)
    };
    Ok(message(header.to_value(), request.record_name(), body))
}

fn response(op: Option<OpCode>, input: &mut Reader<'_>, out: &mut BytesMut) -> Result<Fields, Fault> {
    let header = coded::<ReplyHeader>(input, out)?;
    let op = op.or(match header.xid {
        ReplyHeader::PING_XID => Some(OpCode::PING),
        ReplyHeader::AUTH_XID => Some(OpCode::AUTH),
        _ => None,
    });
    // A refusal has no body, but for a SASL step's.
    if header.err != ErrorCode::OK && (op != Some(OpCode::SASL) || input.remaining() == 0) {
        return Ok(message(header.to_value(), None, None));
    }
    let op = op.ok_or(Fault::OpMissing)?;
    let body = input.clone();
    let response = match Response::decode(op, input) {
        Ok(response) => response,
        Err(error) if is_unknown(&error, ReplyHeader::NAME) => {
            return Ok(message(header.to_value(), None, None));
        }
        Err(error) => return Err(error.into()),
    };
    let body = if let Response::Multi(_) | Response::MultiRead(_) = response {
        Some(parts(body, out, |op, input, out| {
            let result = OpResult::decode(op, input)?;
            result.encode(out);
            Ok((result.record_name(), result.to_value()))
        })?)
    } else {
        response.encode(out);
        response.to_value().map(Node::Wire)
    };
    Ok(message(header.to_value(), response.record_name(), body))
}

/// Whether the operation of the message itself, not of a part of it, is unknown.
fn is_unknown(error: &DecodeError, header: &str) -> bool {
    matches!(error.kind(), DecodeErrorKind::UnknownOpCode(_)) && error.record() == header
}

type Part = (Option<&'static str>, Option<Value>);

/// Shows the headers of a multi as they are; the records of the library keep only what matters in them.
fn parts(
    mut input: Reader<'_>,
    out: &mut BytesMut,
    part: impl Fn(OpCode, &mut Reader<'_>, &mut BytesMut) -> Result<Part, DecodeError>,
) -> Result<Node, DecodeError> {
    let mut parts = Vec::new();
    loop {
        let header = coded::<MultiHeader>(&mut input, out)?;
        if header.done {
            let end = Node::Wire(header.to_value());
            return Ok(Node::Object(vec![("parts", Node::List(parts)), ("end", end)]));
        }
        let (record, body) = part(header.op, &mut input, out)?;
        parts.push(Node::Object(message(header.to_value(), record, body.map(Node::Wire))));
    }
}
