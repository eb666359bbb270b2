//! What holds for every record and for any bytes.

#[path = "../../fuzz/src/codec.rs"]
#[expect(unreachable_pub, reason = "it is a crate of its own, where they can be reached")]
mod fuzz;

use core::fmt::Debug;
use std::fs;
use std::path::Path;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use zk_proto::{
    Acl, AddWatchMode, AddWatchRequest, AuthPacket, Bytes, BytesMut, CheckVersionRequest,
    CheckWatchesRequest, ClientInfo, ConnectRequest, ConnectResponse, Create2Response, CreateRequest,
    CreateResponse, CreateTtlRequest, DeleteRequest, ErrorCode, ErrorResponse, EventType, ExistsRequest,
    ExistsResponse, GetAclRequest, GetAclResponse, GetAllChildrenNumberRequest, GetAllChildrenNumberResponse,
    GetChildren2Request, GetChildren2Response, GetChildrenRequest, GetChildrenResponse, GetDataRequest,
    GetDataResponse, GetEphemeralsRequest, GetEphemeralsResponse, GetSaslRequest, Id, Jute, KeeperState,
    Multi, MultiHeader, MultiResponse, OpCode, Perms, Reader, ReconfigRequest, RemoveWatchesRequest,
    ReplyHeader, Request, RequestHeader, Response, SessionId, SetAclRequest, SetAclResponse, SetDataRequest,
    SetDataResponse, SetSaslResponse, SetWatches, SetWatches2, Stat, SyncRequest, SyncResponse, Ustring,
    Vector, WatcherEvent, WatcherType, WhoAmIResponse, Zxid,
};

/// Calls a function for each type that has an encoding of its own.
macro_rules! for_each_type {
    ($check:ident) => {
        for_each_type!($check: Ustring, Vector<Ustring>, Vector<Acl>, Vector<ClientInfo>, OpCode, ErrorCode, EventType,
            KeeperState, WatcherType, AddWatchMode, Perms, Zxid, SessionId, Id, Acl, Stat, ClientInfo, RequestHeader,
            ReplyHeader, MultiHeader, CreateRequest, CreateTtlRequest, DeleteRequest, ExistsRequest, GetDataRequest,
            SetDataRequest, GetAclRequest, SetAclRequest, GetChildrenRequest, GetChildren2Request, SyncRequest,
            CheckVersionRequest, ReconfigRequest, CheckWatchesRequest, RemoveWatchesRequest, AuthPacket, SetWatches,
            SetWatches2, GetSaslRequest, GetEphemeralsRequest, GetAllChildrenNumberRequest, AddWatchRequest,
            CreateResponse, Create2Response, ExistsResponse, GetDataResponse, SetDataResponse, GetAclResponse,
            SetAclResponse, GetChildrenResponse, GetChildren2Response, SyncResponse, SetSaslResponse,
            GetEphemeralsResponse, GetAllChildrenNumberResponse, WhoAmIResponse, ErrorResponse, WatcherEvent, Multi,
            MultiResponse, ConnectRequest, ConnectResponse)
    };
    ($check:ident: $($type:ty),+) => {
        $($check::<$type>();)+
    };
}

fn encoded(value: &impl Jute) -> Bytes {
    let mut out = BytesMut::new();
    value.encode(&mut out);
    out.freeze()
}

fn run<S: Strategy>(cases: u32, strategy: &S, test: impl Fn(S::Value) -> Result<(), TestCaseError>) {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    TestRunner::new(config).run(strategy, test).unwrap_or_else(|error| panic!("{error}"));
}

fn comes_back<T: Jute + Arbitrary + Debug + PartialEq>() {
    run(64, &any::<T>(), |value| {
        let wire = encoded(&value);
        prop_assert_eq!(wire.len(), value.encoded_len());
        prop_assert!(T::MIN_LEN > 0 && T::MIN_LEN <= wire.len());
        let mut input = Reader::new(&wire);
        prop_assert_eq!(T::decode(&mut input), Ok(value));
        prop_assert_eq!(input.remaining(), 0);
        Ok(())
    });
}

#[test]
fn every_record_comes_back_from_its_encoding() {
    for_each_type!(comes_back);
}

fn needs_every_byte<T: Jute + Arbitrary + Debug + PartialEq + 'static>() {
    run(24, &any::<T>(), |value| {
        let wire = encoded(&value);
        for len in 0..wire.len() {
            let prefix = wire.slice(..len);
            prop_assert_eq!(
                T::decode(&mut Reader::new(&prefix)).is_ok(),
                is_old_form::<T>(&value, len),
                "at {}",
                len
            );
        }
        Ok(())
    });
}

/// A connect without its last byte, `readOnly`, is sound: clients before 3.4 spoke so.
fn is_old_form<T: 'static>(value: &T, len: usize) -> bool {
    let value: &dyn core::any::Any = value;
    let whole = match (value.downcast_ref::<ConnectRequest>(), value.downcast_ref::<ConnectResponse>()) {
        (Some(request), _) if request.read_only.is_some() => request.encoded_len(),
        (_, Some(response)) if response.read_only.is_some() => response.encoded_len(),
        _ => return false,
    };
    len == whole - 1
}

#[test]
fn every_proper_prefix_of_a_record_is_an_error() {
    for_each_type!(needs_every_byte);
}

fn survives_anything<T: Jute + Arbitrary + Debug + PartialEq>() {
    let bytes = proptest::collection::vec(any::<u8>(), 0..96).prop_map(Bytes::from);
    run(64, &bytes, |bytes| {
        fuzz::record::<T>(&bytes);
        Ok(())
    });
    let damage = (any::<T>(), any::<prop::sample::Index>(), any::<u8>());
    run(64, &damage, |(value, index, byte)| {
        let mut wire = encoded(&value).to_vec();
        let at = index.index(wire.len());
        wire[at] = byte;
        fuzz::record::<T>(&Bytes::from(wire));
        Ok(())
    });
}

#[test]
fn any_bytes_decode_or_fail_at_a_field() {
    for_each_type!(survives_anything);
}

/// A damaged copy of a message: bytes replaced, a piece cut out.
fn damaged(message: impl Strategy<Value = Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let replaced = proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
    (message, replaced, any::<prop::sample::Index>(), 0..4_usize).prop_map(
        |(mut message, replaced, cut, count)| {
            for (index, byte) in replaced.into_iter().filter(|_| !message.is_empty()).collect::<Vec<_>>() {
                let at = index.index(message.len());
                message[at] = byte;
            }
            let start = cut.index(message.len() + 1);
            let end = message.len().min(start + count);
            message.drain(start..end);
            message
        },
    )
}

fn request_message() -> impl Strategy<Value = Vec<u8>> {
    (any::<i32>(), any::<Request>()).prop_map(|(xid, request)| {
        let mut out = BytesMut::new();
        request.encode_frame(xid, &mut out);
        out.to_vec()
    })
}

fn response_message() -> impl Strategy<Value = Vec<u8>> {
    (any::<OpCode>(), any::<i32>(), any::<Response>()).prop_map(|(op, xid, response)| {
        let mut out = BytesMut::new();
        op.encode(&mut out);
        ReplyHeader { xid, ..ReplyHeader::default() }.encode(&mut out);
        response.encode(&mut out);
        out.to_vec()
    })
}

proptest! {
    #[test]
    fn every_request_comes_back_from_its_frame(xid: i32, request: Request) {
        let mut out = BytesMut::new();
        request.encode_frame(xid, &mut out);
        let frame = out.freeze();
        let payload = frame.slice(4..);
        prop_assert_eq!(frame.first_chunk().map(|len| i32::from_be_bytes(*len)), i32::try_from(payload.len()).ok());
        let mut input = Reader::new(&payload);
        prop_assert_eq!(RequestHeader::decode(&mut input), Ok(RequestHeader { xid, op: request.op_code() }));
        prop_assert_eq!(Request::decode(request.op_code(), &mut input), Ok(request));
        prop_assert_eq!(input.remaining(), 0);
    }

    #[test]
    fn damaged_requests_decode_or_fail(message in damaged(request_message())) {
        fuzz::requests(message.get(4..).unwrap_or_default());
    }

    #[test]
    fn damaged_replies_decode_or_fail(message in damaged(response_message())) {
        fuzz::responses(&message);
    }

    #[test]
    fn streams_are_cut_into_the_same_frames_however_they_come(
        limit: u8,
        piece: u8,
        messages in proptest::collection::vec(damaged(request_message()), 0..4),
    ) {
        let mut stream = vec![limit, piece];
        messages.iter().for_each(|message| stream.extend_from_slice(message));
        fuzz::frames(&stream);
    }

    #[test]
    fn bytes_that_follow_a_record_are_left(request: Request, trailing: Vec<u8>) {
        let mut out = BytesMut::new();
        request.encode(&mut out);
        out.extend_from_slice(&trailing);
        let payload = out.freeze();
        let mut input = Reader::new(&payload);
        prop_assert_eq!(Request::decode(request.op_code(), &mut input), Ok(request));
        prop_assert_eq!(input.rest(), trailing);
    }

    #[test]
    fn secrets_are_in_no_debug(secret in "[G-Zg-z]{12,24}", read_only: Option<bool>) {
        let bytes = Some(Bytes::from(secret.clone()));
        let shown = [
            format!("{:?}", ConnectRequest { passwd: bytes.clone(), read_only, ..Default::default() }),
            format!("{:?}", ConnectResponse { passwd: bytes.clone(), read_only, ..Default::default() }),
            format!("{:?}", Request::Auth(AuthPacket { auth: bytes.clone(), ..Default::default() })),
            format!("{:?}", Request::Sasl(GetSaslRequest { token: bytes.clone() })),
            format!("{:?}", Response::Sasl(SetSaslResponse { token: bytes.clone() })),
        ];
        for shown in shown {
            prop_assert!(!shown.contains(&secret) && shown.contains("hidden"), "{}", shown);
        }
    }
}

#[track_caller]
fn replay(target: &str, body: fn(&[u8])) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    let mut files = 0;
    for entry in fs::read_dir(&corpus).expect("a corpus") {
        body(&fs::read(entry.expect("an entry").path()).expect("a file"));
        files += 1;
    }
    assert!(files > 10, "{files} files in the corpus of {target}");
}

/// The fuzz targets' corpora, and whatever once broke their bodies.
#[test]
fn requests_hold_what_must_hold() {
    replay("requests", fuzz::requests);
}

#[test]
fn responses_hold_what_must_hold() {
    replay("responses", fuzz::responses);
}

#[test]
fn handshakes_hold_what_must_hold() {
    replay("handshake", fuzz::handshake);
}

#[test]
fn multis_hold_what_must_hold() {
    replay("multi", fuzz::multi);
}

#[test]
fn streams_hold_what_must_hold() {
    replay("frames", fuzz::frames);
}
