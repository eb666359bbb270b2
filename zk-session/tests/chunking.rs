//! INV-64: the same bytes in any segmentation give the same actions in the same order.

mod support;

use support::{World, config, data, event_frame, get_data, reply_frame, sync, watch_data};
use zk_session::{
    Action,
    zk_proto::{BytesMut, ErrorCode, EventType, Response},
};

/// All that a server says in a conversation with replies, refusals, events, an oversize reply and a pong.
fn conversation() -> BytesMut {
    let mut stream = BytesMut::new();
    stream.extend_from_slice(&reply_frame(1, 3, Ok(data(b"watched"))));
    stream.extend_from_slice(&reply_frame(2, 4, Err(ErrorCode::NO_NODE)));
    stream.extend_from_slice(&event_frame(EventType::NODE_DATA_CHANGED, "/a", 5));
    stream.extend_from_slice(&reply_frame(-2, 5, Ok(Response::Empty)));
    stream.extend_from_slice(&reply_frame(3, 5, Ok(data(&[7; 200]))));
    stream.extend_from_slice(&reply_frame(4, 6, Ok(data(b"last"))));
    stream
}

fn told(pieces: &[&[u8]]) -> Vec<Action> {
    let mut small = config("a:1");
    small.max_frame_len = 200;
    let mut world = World::ready(small);
    world.submit(watch_data("/a"));
    for request in [sync("/"), get_data("/long"), get_data("/b")] {
        world.submit(request);
    }
    for piece in pieces {
        world.receive(piece);
    }
    world.trace
}

/// What was sent leaves in other chunks if it piles up otherwise; what is told doesn't change.
fn events(trace: Vec<Action>) -> Vec<Action> {
    trace.into_iter().filter(|action| !matches!(action, Action::Send { .. })).collect()
}

#[test]
fn a_stream_cut_in_two_anywhere_tells_the_same() {
    let stream = conversation();
    let whole = told(&[&stream]);
    assert_eq!(events(whole.clone()).len(), 1 + 2 + 4 + 1, "{whole:#?}");
    for at in 0..=stream.len() {
        assert_eq!(events(told(&[&stream[..at], &stream[at..]])), events(whole.clone()), "cut at {at}");
    }
}

#[test]
fn a_stream_byte_by_byte_and_in_small_pieces_tells_the_same() {
    let stream = conversation();
    let whole = events(told(&[&stream]));
    for len in [1, 2, 3, 5, 7, 16, 64] {
        let pieces: Vec<_> = stream.chunks(len).collect();
        assert_eq!(events(told(&pieces)), whole, "pieces of {len}");
    }
}

#[test]
fn a_stream_cut_off_at_any_byte_loses_nothing_but_its_tail() {
    let stream = conversation();
    let whole = events(told(&[&stream]));
    for at in 0..stream.len() {
        let part = events(told(&[&stream[..at]]));
        assert_eq!(part[..], whole[..part.len()], "cut off at {at}");
    }
}
