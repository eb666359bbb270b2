//! What must hold of the codec for any bytes.

use core::fmt::Debug;

use zk_proto::{
    Bytes, BytesMut, ConnectRequest, ConnectResponse, DecodeError, ErrorCode, Frame, FrameDecoder,
    FrameError, Jute, Multi, MultiResponse, OpCode, Reader, ReplyHeader, Request, RequestHeader, Response,
    WatcherEvent,
};

/// A payload from a client: header and record.
pub fn requests(data: &[u8]) {
    let payload = Bytes::copy_from_slice(data);
    let Some((header, body)) = head::<RequestHeader>(&payload) else { return };
    check(
        &body,
        |input| Request::decode(header.op, input),
        |request, out| {
            request.encode(out);
            assert_eq!(request.encoded_len(), out.len());
            assert_eq!(request.op_code(), header.op);
            let _ = (request.path(), request.record_name(), request.to_value());
        },
    );
}

/// A payload from a server: 4 bytes for the operation it answers, then header and record, or an event.
pub fn responses(data: &[u8]) {
    let Some((op, payload)) = data.split_first_chunk::<4>() else { return };
    let op = OpCode(i32::from_be_bytes(*op));
    let payload = Bytes::copy_from_slice(payload);
    let Some((header, body)) = head::<ReplyHeader>(&payload) else { return };
    if header.xid == ReplyHeader::EVENT_XID {
        record::<WatcherEvent>(&body);
    } else if header.err == ErrorCode::OK {
        check(
            &body,
            |input| Response::decode(op, input),
            |response, out| {
                response.encode(out);
                assert_eq!(response.encoded_len(), out.len());
                let _ = (response.record_name(), response.to_value());
            },
        );
    }
}

/// The first payload in either direction.
pub fn handshake(data: &[u8]) {
    let payload = Bytes::copy_from_slice(data);
    record::<ConnectRequest>(&payload);
    record::<ConnectResponse>(&payload);
    record::<ReplyHeader>(&payload);
}

/// The body of a multi, and of its reply.
pub fn multi(data: &[u8]) {
    let payload = Bytes::copy_from_slice(data);
    record::<Multi>(&payload);
    record::<MultiResponse>(&payload);
    if let Ok(response) = MultiResponse::decode(&mut Reader::new(&payload)) {
        let _ = response.first_error();
    }
}

/// A stream: its first byte is the limit, its second the length of the pieces it comes in.
pub fn frames(data: &[u8]) {
    let [limit, piece, stream @ ..] = data else { return };
    let limit = usize::from(*limit);
    let mut decoder = FrameDecoder::new(limit);
    let mut came = Vec::new();
    let mut failed = None;
    for (number, bytes) in stream.chunks(usize::from(*piece) + 1).enumerate() {
        if number % 3 == 1 {
            decoder.hand_over(Bytes::copy_from_slice(bytes));
        } else {
            decoder.push(bytes);
        }
        loop {
            match decoder.next() {
                Ok(Some(frame)) => came.push(frame),
                Ok(None) => break,
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
        }
    }
    let expected = expected_frames(stream, limit);
    assert_eq!((&came, failed), (&expected.frames, expected.failed));
    if failed.is_none() {
        assert_eq!(decoder.pending(), expected.pending);
        assert_eq!(decoder.is_empty(), expected.pending == 0);
    }
}

/// Decodes a record from any bytes, and encodes what it got.
pub fn record<T: Jute + Debug + PartialEq>(payload: &Bytes) {
    check(payload, T::decode, |record: &T, out| {
        record.encode(out);
        assert_eq!(record.encoded_len(), out.len());
        assert!(T::MIN_LEN <= out.len());
        let _ = record.to_value();
    });
    let (mut decoding, mut skipping) = (Reader::new(payload), Reader::new(payload));
    assert_eq!(T::decode(&mut decoding).map(drop), T::skip(&mut skipping));
}

fn head<T: Jute>(payload: &Bytes) -> Option<(T, Bytes)> {
    let mut input = Reader::new(payload);
    let header = T::decode(&mut input).ok()?;
    Some((header, input.rest()))
}

/// What decodes, encodes to as many bytes as were read, and decodes from these to the same; what doesn't, is told by
/// a place within the payload.
fn check<T: Debug + PartialEq>(
    payload: &Bytes,
    decode: impl Fn(&mut Reader<'_>) -> Result<T, DecodeError>,
    encode: impl Fn(&T, &mut BytesMut),
) {
    let mut input = Reader::new(payload);
    match decode(&mut input) {
        Ok(value) => {
            let mut out = BytesMut::new();
            encode(&value, &mut out);
            assert_eq!(out.len(), input.position());
            let again = out.freeze();
            assert_eq!(decode(&mut Reader::new(&again)).as_ref(), Ok(&value));
            let _ = format!("{value:?}");
        }
        Err(error) => {
            assert!(error.at() <= payload.len());
            // A primitive by itself belongs to no record.
            assert!(!error.record().is_empty() || error.to_string().starts_with("offset "), "{error}");
        }
    }
}

struct Expected {
    frames: Vec<Frame>,
    failed: Option<FrameError>,
    pending: usize,
}

/// The frames of a whole stream, found the simple way.
fn expected_frames(mut stream: &[u8], limit: usize) -> Expected {
    let mut frames = Vec::new();
    loop {
        let incomplete = |frames| Expected { frames, failed: None, pending: stream.len() };
        let Some((len, payload)) = stream.split_first_chunk::<4>() else { return incomplete(frames) };
        let len = i32::from_be_bytes(*len);
        let Ok(count) = usize::try_from(len) else {
            return Expected { frames, failed: Some(FrameError { len }), pending: 0 };
        };
        if count <= limit {
            let Some((payload, rest)) = payload.split_at_checked(count) else { return incomplete(frames) };
            frames.push(Frame::Whole(Bytes::copy_from_slice(payload)));
            stream = rest;
            continue;
        }
        let Some(header) = payload.get(..count.min(16)) else { return incomplete(frames) };
        frames.push(Frame::Oversize { header: Bytes::copy_from_slice(header), len: count });
        let Some((_, rest)) = payload.split_at_checked(count) else { return incomplete(frames) };
        stream = rest;
    }
}
