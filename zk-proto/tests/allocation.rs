//! What decoding allocates, counted.

use allocation_counter::{AllocationInfo, measure};
use zk_proto::{
    Bytes, BytesMut, Frame, FrameDecoder, GetChildren2Response, GetDataRequest, GetDataResponse, Jute, Multi,
    MultiHeader, Op, OpCode, OpResult, Reader, Request, Response, Stat, Vector,
};

fn encoded(value: &impl Jute) -> BytesMut {
    let mut out = BytesMut::new();
    value.encode(&mut out);
    out
}

/// The payload as a session has it: a slice of a stream's buffer.
fn payload(body: &[u8]) -> Bytes {
    let mut decoder = FrameDecoder::new(usize::MAX);
    decoder.push(&u32::try_from(body.len()).expect("31 bits").to_be_bytes());
    decoder.push(body);
    match decoder.next() {
        Ok(Some(Frame::Whole(payload))) => payload,
        other => panic!("{other:?}"),
    }
}

fn decoding(op: OpCode, payload: &Bytes) -> AllocationInfo {
    measure(|| drop(Response::decode(op, &mut Reader::new(payload))))
}

#[test]
fn a_get_data_reply_is_decoded_without_allocating() {
    for len in [0, 100, 1 << 20] {
        let data = Some(Bytes::from(vec![7; len]));
        let payload = payload(&encoded(&GetDataResponse { data, stat: Stat::default() }));
        assert!(Response::decode(OpCode::GET_DATA, &mut Reader::new(&payload)).is_ok());
        assert_eq!(decoding(OpCode::GET_DATA, &payload).count_total, 0, "{len} byte(s)");
    }
}

#[test]
fn a_thousand_children_are_listed_without_allocating() {
    let names: Vec<String> = (0..1000).map(|number| format!("child-{number:010}")).collect();
    let payload = payload(&encoded(&GetChildren2Response {
        children: Vector::from_strs(&names),
        stat: Stat::default(),
    }));
    let allocated = measure(|| {
        let reply = GetChildren2Response::decode(&mut Reader::new(&payload)).expect("a reply");
        assert!(reply.children.iter_str().eq(names.iter().map(String::as_str)));
        assert_eq!(reply.children.iter().map(|child| child.len()).sum::<usize>(), 16_000);
    });
    assert_eq!(allocated.count_total, 0);
}

#[test]
fn a_multi_is_decoded_with_one_allocation_for_its_parts() {
    let op = Op::GetData(GetDataRequest { path: "/a".into(), watch: false });
    let payload = payload(&encoded(&Multi { ops: vec![op; 100] }));
    let allocated = measure(|| drop(Multi::decode(&mut Reader::new(&payload))));
    assert_eq!(allocated.count_total, 1);
    assert_eq!(allocated.bytes_total, 100 * size_of::<Op>() as u64);
}

#[test]
fn what_is_announced_but_not_there_is_not_allocated() {
    for announced in [1, 0x1_0000, i32::MAX] {
        let mut hostile = encoded(&announced);
        hostile.extend_from_slice(&[0; 3]);
        let payload = payload(&hostile);
        for op in OpCode::KNOWN {
            assert_eq!(decoding(*op, &payload).count_total, 0, "{op} of {announced}");
            let allocated = measure(|| drop(Request::decode(*op, &mut Reader::new(&payload))));
            assert_eq!(allocated.count_total, 0, "{op} of {announced}");
        }
    }
}

#[test]
fn a_million_parts_or_children_take_no_more_than_they_must() {
    let mut parts = BytesMut::new();
    let count = 1_000_000;
    let header = MultiHeader { op: OpCode::DELETE, ..MultiHeader::default() };
    (0..count).for_each(|_| header.encode(&mut parts));
    let unfinished = payload(&parts);
    assert_eq!(decoding(OpCode::MULTI, &unfinished).count_total, 0);
    MultiHeader { done: true, ..header }.encode(&mut parts);
    let finished = payload(&parts);
    let allocated = decoding(OpCode::MULTI, &finished);
    assert_eq!((allocated.count_total, allocated.bytes_total), (1, count * size_of::<OpResult>() as u64));

    let mut children = encoded(&1_000_000);
    children.resize(4 + 4_000_000, 0);
    assert_eq!(decoding(OpCode::GET_CHILDREN, &payload(&children)).count_total, 0);
}

#[test]
fn a_stream_of_frames_uses_its_buffer_again() {
    let mut stream = BytesMut::new();
    let request = Request::GetData(GetDataRequest { path: "/some/path".into(), watch: true });
    (0..100).for_each(|xid| request.encode_frame(xid, &mut stream));
    let mut decoder = FrameDecoder::new(1 << 20);
    let mut turn = || {
        decoder.push(&stream);
        let mut frames = 0;
        while let Ok(Some(Frame::Whole(payload))) = decoder.next() {
            frames += usize::from(payload.len() == 23);
        }
        assert_eq!(frames, 100);
    };
    turn();
    turn();
    let steady = measure(|| (0..100).for_each(|_| turn()));
    assert_eq!(steady.count_total, 0);
}

#[test]
fn a_large_frame_in_small_pieces_is_not_copied_over_and_over() {
    let len = 1 << 20;
    let mut decoder = FrameDecoder::new(len);
    let allocated = measure(|| {
        decoder.push(&u32::try_from(len).expect("31 bits").to_be_bytes());
        for _ in 0..len / 1024 {
            assert_eq!(decoder.next(), Ok(None));
            decoder.push(&[0; 1024]);
        }
    });
    assert!(matches!(decoder.next(), Ok(Some(Frame::Whole(payload))) if payload.len() == len));
    assert!(allocated.bytes_total <= 4 * len as u64 && allocated.count_total <= 24, "{allocated:?}");
}

#[test]
fn a_length_alone_allocates_next_to_nothing() {
    let mut decoder = FrameDecoder::new(usize::MAX);
    let allocated = measure(|| {
        decoder.push(&i32::MAX.to_be_bytes());
        assert_eq!(decoder.next(), Ok(None));
    });
    assert!(allocated.bytes_total <= 1024, "{allocated:?}");
}

#[test]
fn an_oversize_frame_is_skipped_without_being_stored() {
    let mut decoder = FrameDecoder::new(1024);
    let piece = vec![0; 4096];
    decoder.push(&(1_u32 << 20).to_be_bytes());
    decoder.push(&piece);
    assert!(matches!(decoder.next(), Ok(Some(Frame::Oversize { .. }))));
    let allocated = measure(|| (1..256).for_each(|_| decoder.push(&piece)));
    assert_eq!(allocated.count_total, 0);
    assert!(decoder.is_empty());
}
