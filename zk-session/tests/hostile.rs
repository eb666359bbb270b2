//! What a server may do wrong, and what comes of it: INV-65 to INV-71.

#![expect(clippy::wildcard_enum_match_arm, reason = "it looks for one thing among many")]

mod support;

use support::{
    World, config, data, event_frame, get_data, reply_frame, watch_data, watch_exists,
    watching::{add_watch, added, reconnect, watch},
};
use zk_session::{
    Action, Delivery, DisconnectReason, Event, Failure, RequestError, State,
    zk_proto::{AddWatchMode, ErrorCode, EventType, FrameError, Zxid},
};

/// Feeds bytes to a ready session with one request in flight, and tells why it dropped the connection.
fn dropped_by(bytes: &[u8]) -> Option<DisconnectReason> {
    let mut world = World::ready(config("a:1,b:2"));
    world.submit(get_data("/a"));
    world.receive(bytes);
    let reason = world.trace.iter().find_map(|action| match action {
        Action::Disconnect { reason, .. } => Some(reason.clone()),
        _ => None,
    });
    if reason.is_some() {
        // INV-69: at most this connection ends.
        world.establish();
        world.accept();
        let request = world.submit(get_data("/b"));
        world.reply_to(request, 9, Ok(data(b"b")));
        assert!(world.replies().last().is_some_and(|reply| reply.result.is_ok()));
    }
    reason
}

#[test]
fn a_negative_length_ends_the_connection_as_soon_as_it_is_there() {
    assert_eq!(dropped_by(&[0x80, 0, 0, 0]), Some(DisconnectReason::BadFrame(FrameError { len: i32::MIN })));
    assert_eq!(dropped_by(&[0xff; 4]), Some(DisconnectReason::BadFrame(FrameError { len: -1 })));
    assert_eq!(dropped_by(&[0xff; 3]), None);
}

/// INV-67.
#[test]
fn a_frame_too_short_for_a_header_ends_the_connection() {
    for len in 0..16 {
        let mut frame = vec![0, 0, 0, len];
        frame.resize(4 + usize::from(len), 0);
        assert!(matches!(dropped_by(&frame), Some(DisconnectReason::MalformedFrame(_))), "{len}");
    }
}

/// INV-66.
#[test]
fn an_oversize_reply_fails_its_request_and_the_stream_stays_in_step() {
    let mut small = config("a:1");
    small.max_frame_len = 100;
    let mut world = World::ready(small);
    let first = world.submit(get_data("/a"));
    let second = world.submit(get_data("/b"));
    let long = reply_frame(1, 7, Ok(data(&[1; 500])));
    let len = long.len() - 4;
    for piece in long.chunks(50) {
        world.receive(piece);
    }
    world.reply(2, 8, Ok(data(b"b")));
    let replies = world.replies();
    assert_eq!((replies[0].request, replies[0].zxid), (first, Zxid(7)));
    let failure = Failure::ReplyTooLarge { len, limit: 100 };
    assert_eq!(replies[0].result, Err(RequestError::Failed { failure, delivery: Delivery::MaybeApplied }));
    assert_eq!((replies[1].request, replies[1].result.clone()), (second, Ok(data(b"b"))));
}

/// INV-65: the limit itself is accepted.
#[test]
fn a_reply_as_long_as_the_limit_is_accepted() {
    let frame = reply_frame(1, 7, Ok(data(&[1; 100])));
    for (less, is_ok) in [(0, true), (1, false)] {
        let mut exact = config("a:1");
        exact.max_frame_len = frame.len() - 4 - less;
        let mut world = World::ready(exact);
        world.submit(get_data("/a"));
        world.receive(&frame);
        assert_eq!(world.replies()[0].result.is_ok(), is_ok);
    }
}

#[test]
fn an_oversize_frame_that_answers_nothing_ends_the_connection() {
    let mut small = config("a:1,b:2");
    small.max_frame_len = 100;
    let mut world = World::ready(small);
    let path = format!("/{}", "x".repeat(200));
    let frame = event_frame(EventType::NODE_CREATED, &path, 3);
    world.receive(&frame);
    let len = frame.len() - 4;
    let reason = DisconnectReason::OversizeFrame { len, limit: 100 };
    assert_eq!(world.events(), [Event::Disconnected { reason }]);
}

#[test]
fn a_huge_length_and_then_silence_is_ended_by_time() {
    let mut world = World::ready(config("a:1,b:2"));
    world.submit(get_data("/a"));
    world.receive(&[0x7f, 0xff, 0xff, 0xff]);
    world.advance(support::millis(6000));
    assert_eq!(world.connection().get(), 2);
}

/// INV-71.
#[test]
fn bytes_behind_a_record_are_ignored() {
    let mut world = World::ready(config("a:1"));
    let request = world.submit(get_data("/a"));
    let mut frame = reply_frame(1, 3, Ok(data(b"x")));
    frame.extend_from_slice(b"from a newer server");
    let len = u32::try_from(frame.len() - 4).unwrap();
    frame[..4].copy_from_slice(&len.to_be_bytes());
    world.receive(&frame);
    assert_eq!(world.replies()[0].request, request);
    let mut event = event_frame(EventType::NODE_CREATED, "/x", 3);
    event.extend_from_slice(&[1, 2, 3]);
    event[3] += 3;
    world.receive(&event);
    assert!(world.session.is_ready());
}

#[test]
fn a_zxid_that_goes_backwards_is_not_followed() {
    let mut world = World::ready(config("a:1,b:2"));
    for zxid in [9, 5, -1, 0, i64::MIN] {
        let request = world.submit(get_data("/a"));
        world.reply_to(request, zxid, Err(ErrorCode::NO_NODE));
        assert_eq!(world.session.last_zxid(), Zxid(9));
    }
    world.cut();
    world.establish();
    assert_eq!(world.connect_request().last_zxid_seen, Zxid(9));
}

#[test]
fn a_second_connect_response_ends_the_connection() {
    let mut world = World::ready(config("a:1,b:2"));
    world.accept();
    assert_eq!(world.state(), State::Connecting);
}

#[test]
fn anything_else_before_the_handshake_costs_the_attempt() {
    for frame in [
        reply_frame(0, 3, Err(ErrorCode::NOT_READ_ONLY)),
        event_frame(EventType::NODE_CREATED, "/", -1),
        [0, 0, 0, 0][..].into(),
        [0xff, 0xff, 0xff, 0xff][..].into(),
    ] {
        let mut world = World::associating(config("a:1,b:2"));
        world.receive(&frame);
        assert_eq!(world.connection().get(), 2, "{frame:?}");
        assert!(world.events().is_empty());
    }
}

/// An event whose path isn't UTF-8 is nobody's here, and harms nobody.
#[test]
fn an_event_with_odd_bytes_in_its_path_is_borne() {
    let mut world = World::ready(config("a:1"));
    let owner = world.submit(watch_data("/a"));
    world.reply_to(owner, 3, Ok(data(b"x")));
    let mut frame = event_frame(EventType::NODE_DELETED, "/a", 4);
    let last = frame.len() - 1;
    frame[last] = 0xff;
    world.events();
    world.receive(&frame);
    assert!(world.events().is_empty());
    assert_eq!(world.session.stats().watches, 1);
}

/// INV-69: every single-byte change of a reply and an event, at most one connection lost.
#[test]
fn any_corrupted_byte_is_contained() {
    let mut stream = reply_frame(1, 3, Ok(data(b"hello")));
    stream.extend_from_slice(&event_frame(EventType::NODE_DATA_CHANGED, "/a", 4));
    for at in 0..stream.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut world = World::ready(config("a:1,b:2"));
            world.submit(watch_data("/a"));
            let mut corrupted = stream.clone();
            corrupted[at] ^= flip;
            world.receive(&corrupted);
            world.advance(support::millis(6000));
            assert!(!world.state().is_terminal(), "byte {at}");
            assert!(world.connection().get() <= 3, "byte {at}");
        }
    }
}

/// INV-09, INV-66.
#[test]
fn an_oversize_reply_to_a_request_that_was_given_up_harms_nobody() {
    let mut small = config("a:1");
    small.max_frame_len = 100;
    let mut world = World::ready(small);
    let first = world.submit(get_data("/a"));
    let second = world.submit(get_data("/b"));
    world.command(|session, now| session.cancel(first, now));
    world.events();
    world.receive(&reply_frame(1, 7, Ok(data(&[1; 500]))));
    world.reply(2, 8, Ok(data(b"b")));
    let replies = world.replies();
    assert_eq!((replies.len(), replies[0].request), (1, second));
}

/// INV-06: its header says all.
#[test]
fn an_oversize_refusal_is_a_refusal() {
    let mut small = config("a:1");
    small.max_frame_len = 100;
    let mut world = World::ready(small);
    world.submit(get_data("/a"));
    let mut frame = reply_frame(1, 7, Err(ErrorCode::NO_NODE));
    frame.extend_from_slice(&[0; 200]);
    let len = u32::try_from(frame.len() - 4).unwrap();
    frame[..4].copy_from_slice(&len.to_be_bytes());
    world.receive(&frame);
    assert_eq!(world.error().code(), Some(ErrorCode::NO_NODE));
}

/// INV-33, INV-66: what a refusal says of a watch holds however long the frame is.
#[test]
fn an_oversize_no_node_leaves_the_watch_that_was_asked_for() {
    let mut small = config("a:1");
    small.max_frame_len = 100;
    let mut world = World::ready(small);
    let exists = world.submit(watch_exists("/a"));
    let mut frame = reply_frame(1, 7, Err(ErrorCode::NO_NODE));
    frame.extend_from_slice(&[0; 200]);
    let len = u32::try_from(frame.len() - 4).unwrap();
    frame[..4].copy_from_slice(&len.to_be_bytes());
    world.receive(&frame);
    assert_eq!(world.error().code(), Some(ErrorCode::NO_NODE));
    world.notify(EventType::NODE_CREATED, "/a", 8);
    let events = world.watch_events();
    assert_eq!((events.len(), events[0].request), (1, exists));
}

/// INV-66: nobody waits for the answer to a removal; what watches may have been armed has to be known.
#[test]
fn an_oversize_answer_to_the_session_itself_ends_the_connection_if_it_matters() {
    let mut small = config("a:1,b:2");
    small.max_frame_len = 100;
    let mut world = World::ready(small);
    let owners =
        ["/p", "/q"].map(|path| watch(&mut world, add_watch(path, AddWatchMode::PERSISTENT), 3, Ok(added())));
    world.command(|session, now| session.remove_watch(owners[0], now));
    let xid = world.wire().oldest_unanswered().expect("the server is told");
    world.answered(xid);
    world.receive(&reply_frame(xid, 7, Ok(data(&[1; 500]))));
    assert!(world.session.is_ready());
    reconnect(&mut world);
    world.events();
    let xid = world.wire().oldest_unanswered().expect("a batch was sent");
    let frame = reply_frame(xid, 7, Ok(data(&[1; 500])));
    world.receive(&frame);
    let reason = DisconnectReason::OversizeFrame { len: frame.len() - 4, limit: 100 };
    assert_eq!(world.events(), [Event::Disconnected { reason }]);
}

/// INV-66: in one piece with it, too.
#[test]
fn what_follows_an_oversize_reply_in_the_same_bytes_is_told() {
    let mut small = config("a:1");
    small.max_frame_len = 100;
    let mut world = World::ready(small);
    let requests = ["/a", "/b"].map(|path| world.submit(watch_data(path)));
    let mut stream = reply_frame(1, 7, Ok(data(&[1; 500])));
    stream.extend_from_slice(&reply_frame(2, 8, Ok(data(b"b"))));
    stream.extend_from_slice(&event_frame(EventType::NODE_DELETED, "/b", 9));
    world.receive(&stream);
    let events = world.events();
    assert_eq!(events.len(), 3, "{events:?}");
    assert!(
        matches!(&events[1], Event::Reply(reply) if reply.request == requests[1] && reply.result.is_ok())
    );
    assert!(matches!(&events[2], Event::Watch(event) if event.request == requests[1]));
}

#[cfg(feature = "planted")]
#[test]
fn a_session_that_minds_bytes_behind_a_record_is_noticed() {
    support::defects::notices(
        "bytes_behind_a_record_are_ignored",
        zk_session::Planted::LongerEventsAreMalformed,
    );
}
