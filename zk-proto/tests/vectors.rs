//! Every captured frame (see `vectors/README.md`), decoded and encoded again.

#[path = "../examples/dissect/line.rs"]
mod line;
#[path = "../examples/dissect/message.rs"]
mod message;
#[path = "../examples/dissect/node.rs"]
mod node;

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use flate2::read::GzDecoder;
use line::{Kind, Line};
use message::{Fault, Message, dissect};
use node::Hex;
use serde_json::Value as Json;
use zk_proto::{
    Bytes, BytesMut, ConnectRequest, ConnectResponse, DecodeErrorKind, Frame, FrameDecoder, Jute, OpCode,
    Reader, ReplyHeader, Request, RequestHeader, Response, WatcherEvent,
};

struct Vector {
    line: Line,
    json: Json,
}

impl Vector {
    fn has(&self, mark: &str) -> bool {
        self.json.get(mark).is_some()
    }

    fn is_frame(&self) -> bool {
        !matches!(self.line.kind, Kind::FourLetterWord | Kind::FourLetterReply)
    }

    fn dissect(&self) -> Result<Message, Fault> {
        dissect(self.line.kind, self.line.op, &self.line.frame)
    }
}

fn vectors() -> Vec<Vector> {
    let mut vectors = Vec::new();
    for version in ["3.4.14", "3.6.3", "3.8.0", "3.9.5"] {
        let path =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(format!("{version}.jsonl.gz"));
        let mut text = String::new();
        GzDecoder::new(File::open(path).expect("a file")).read_to_string(&mut text).expect("gzip of text");
        vectors.extend(text.lines().map(|text| Vector {
            line: Line::parse(text.as_bytes()).unwrap_or_else(|fault| panic!("{} {}", fault.id, fault.what)),
            json: serde_json::from_str(text).expect("JSON"),
        }));
    }
    vectors
}

#[test]
fn all_files_are_there() {
    let vectors = vectors();
    assert_eq!(vectors.len(), 4054);
    assert_eq!(vectors.iter().filter(|vector| vector.has("malformed")).count(), 21);
    assert_eq!(vectors.iter().filter(|vector| vector.has("trailing")).count(), 3);
    let ops: BTreeSet<_> = vectors.iter().filter_map(|vector| vector.line.op).collect();
    let expected = OpCode::KNOWN.iter().filter(|op| **op != OpCode::CREATE_SESSION);
    assert!(expected.clone().all(|op| ops.contains(op)), "{ops:?}");
}

#[test]
fn every_frame_says_what_was_captured_and_is_encoded_as_it_came() {
    for vector in vectors().iter().filter(|vector| !vector.has("malformed")) {
        let id = &vector.line.id;
        let message = vector.dissect().unwrap_or_else(|fault| panic!("{id}: {fault}"));
        let fields: Json = serde_json::from_str(&message.fields.to_string()).expect("JSON");
        assert_eq!(fields, vector.json["fields"], "{id}");
        assert_eq!(Hex(&message.reencoded).to_string(), vector.json["hex"], "{id}");
    }
}

#[test]
fn every_malformed_frame_is_refused_at_a_field() {
    for vector in vectors().iter().filter(|vector| vector.has("malformed")) {
        match vector.dissect() {
            Err(Fault::Decode(error)) => {
                assert!(!error.record().is_empty() && !error.field().is_empty(), "{error}")
            }
            other => panic!("{}: {other:?}", vector.line.id),
        }
    }
}

#[test]
fn every_frame_comes_out_of_the_stream_whole() {
    let mut decoder = FrameDecoder::new(1 << 20);
    for vector in vectors().iter().filter(|vector| vector.is_frame()) {
        let (last, rest) = vector.line.frame.split_last().expect("a length at least");
        decoder.push(rest);
        assert_eq!(decoder.next(), Ok(None), "{}", vector.line.id);
        decoder.push(&[*last]);
        let payload = Bytes::copy_from_slice(&vector.line.frame[4..]);
        assert_eq!(decoder.next(), Ok(Some(Frame::Whole(payload))), "{}", vector.line.id);
    }
}

/// What the library's own types make of a payload, without the example's help.
fn recode(kind: Kind, op: Option<OpCode>, payload: &Bytes) -> Result<BytesMut, zk_proto::DecodeError> {
    let mut input = Reader::new(payload);
    let mut out = BytesMut::new();
    match kind {
        Kind::ConnectRequest => ConnectRequest::decode(&mut input)?.encode(&mut out),
        Kind::ConnectResponse => ConnectResponse::decode(&mut input)?.encode(&mut out),
        Kind::Request => {
            let header = RequestHeader::decode(&mut input)?;
            header.encode(&mut out);
            Request::decode(header.op, &mut input)?.encode(&mut out);
        }
        Kind::Response | Kind::ConnectRefusal | Kind::Event => {
            let header = ReplyHeader::decode(&mut input)?;
            header.encode(&mut out);
            if kind == Kind::Event {
                WatcherEvent::decode(&mut input)?.encode(&mut out);
            } else if input.remaining() > 0 {
                Response::decode(op.expect("an opcode"), &mut input)?.encode(&mut out);
            }
        }
        Kind::FourLetterWord | Kind::FourLetterReply => unreachable!("no frames"),
    }
    out.extend_from_slice(&input.rest());
    Ok(out)
}

#[test]
fn the_records_alone_encode_every_frame_as_it_came() {
    let mut unknown = 0;
    for vector in vectors().iter().filter(|vector| vector.is_frame() && !vector.has("malformed")) {
        let payload = Bytes::copy_from_slice(&vector.line.frame[4..]);
        match recode(vector.line.kind, vector.line.op, &payload) {
            Ok(out) => assert_eq!(out, payload, "{}", vector.line.id),
            Err(error) => {
                assert!(
                    matches!(error.kind(), DecodeErrorKind::UnknownOpCode(_)),
                    "{}: {error}",
                    vector.line.id
                );
                unknown += 1;
            }
        }
    }
    assert_eq!(unknown, 15);
}

#[test]
fn every_proper_prefix_is_an_error() {
    for vector in vectors().iter().filter(|vector| vector.is_frame() && !vector.has("malformed")) {
        let payload = Bytes::copy_from_slice(&vector.line.frame[4..]);
        let Ok(whole) = recode(vector.line.kind, vector.line.op, &payload) else { continue };
        let trailing = vector.json["fields"]["rest"].as_str().map_or(0, |rest| rest.len() / 2);
        for len in 0..whole.len() - trailing {
            let prefix = payload.slice(..len);
            let result = recode(vector.line.kind, vector.line.op, &prefix);
            if is_sound(vector, len, whole.len()) {
                assert_eq!(result, Ok(BytesMut::from(&*prefix)), "{} at {len}", vector.line.id);
            } else {
                assert!(result.is_err(), "{} at {len}", vector.line.id);
            }
        }
    }
}

/// The two exceptions: a connect without its last byte, `readOnly`, is the old form, and a reply's
/// header alone is a reply (the verdict decides whether a body must follow).
fn is_sound(vector: &Vector, len: usize, whole: usize) -> bool {
    match vector.line.kind {
        Kind::ConnectRequest | Kind::ConnectResponse => {
            vector.json["fields"].get("readOnly").is_some() && len == whole - 1
        }
        Kind::Response => len == ReplyHeader::MIN_LEN,
        Kind::ConnectRefusal | Kind::Request | Kind::Event | Kind::FourLetterWord | Kind::FourLetterReply => {
            false
        }
    }
}
