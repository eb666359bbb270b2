//! What is exactly at a limit, and what is just beyond it.

#![expect(clippy::wildcard_enum_match_arm, reason = "it looks for one thing among many")]

mod support;

use support::{
    SESSION, World, config, data, event_frame, get_data, millis, reply_frame, sync,
    watching::{acknowledge, add_watch, added, reconnect, watch},
};
use zk_session::{
    AuthInfo, Config, DisconnectReason, Event, Instant, RequestId, RequestOptions, Retry, SubmitError,
    zk_proto::{
        AddWatchMode, Bytes, ErrorCode, EventType, GetDataResponse, Request, Response, SetDataRequest, Stat,
    },
};

fn set_data(len: usize) -> Request {
    let data = Some(vec![7; len].into());
    Request::SetData(SetDataRequest { path: "/a".into(), data, version: -1 })
}

/// The bytes that a request takes in the queue, and in the stream.
fn frame_len(request: Request) -> usize {
    let mut world = World::new(config("a:1"));
    world.submit(request);
    world.session.stats().queued_bytes
}

/// How many requests are accepted before one is refused.
fn accepted(mut world: World, request: &Request, options: RequestOptions) -> usize {
    for count in 0..100 {
        match world.session.submit(request.clone(), options, world.now) {
            Ok(id) => world.note_accepted(id),
            Err(_) => return count,
        }
        world.drain();
    }
    panic!("there is no limit");
}

/// INV-72.
#[test]
fn what_fills_the_queue_to_its_last_byte_is_accepted() {
    let request = get_data("/a");
    let len = frame_len(request.clone());
    let safe = RequestOptions::default().with_retry(Retry::WhenSafe);
    for (limit, count) in [(2 * len, 2), (2 * len - 1, 1)] {
        let mut limits = config("a:1");
        limits.max_queued_bytes = limit;
        let waiting = World::new(limits.clone());
        assert_eq!(accepted(waiting, &request, RequestOptions::default()), count, "they wait");
        // In flight they don't wait, but may have to again.
        assert_eq!(accepted(World::ready(limits), &request, safe), count, "they may return");
    }
}

/// INV-72.
#[test]
fn an_identity_as_long_as_a_request_may_be_is_accepted() {
    let add = |limit| {
        let mut limits = config("a:1");
        limits.max_request_len = limit;
        let info = AuthInfo { scheme: "digest".into(), auth: Bytes::from_static(b"bob:secret") };
        let mut world = World::new(limits);
        world.session.add_auth(info, world.now)
    };
    let Err(SubmitError::TooLarge { len, limit: 1 }) = add(1) else { panic!("one byte is no packet") };
    assert!(add(len).is_ok());
    assert_eq!(add(len - 1), Err(SubmitError::TooLarge { len, limit: len - 1 }));
}

#[test]
fn as_many_requests_leave_at_once_as_a_chunk_has_room_for() {
    let request = set_data(70);
    let len = frame_len(request.clone());
    for (limit, count) in [(10 * len, 10), (10 * len - 1, 9)] {
        let mut limits = config("a:1");
        limits.max_send_len = limit;
        let mut world = World::ready(limits);
        world.takes_at_once = false;
        world.submit(sync("/"));
        for _ in 0..12 {
            world.submit(request.clone());
        }
        world.sent();
        let outstanding = world.wire().outstanding();
        world.take(outstanding);
        assert_eq!(world.sent().len(), count, "{limit} bytes");
    }
}

/// Begins to receive a long reply, so many bytes of it within two thirds of the session timeout.
fn receive_slowly(config: Config, len: usize) -> World {
    let body = GetDataResponse { data: Some(vec![1; 5000].into()), stat: Stat::default() };
    let frame = reply_frame(1, 3, Ok(Response::GetData(body)));
    let mut world = World::ready(config);
    world.submit(get_data("/a"));
    world.events();
    world.receive(&frame[..len / 2]);
    world.advance(millis(3000));
    world.receive(&frame[len / 2..len]);
    world.advance(millis(3000));
    world
}

/// INV-56.
#[test]
fn a_frame_that_grows_just_fast_enough_is_waited_for() {
    let mut slow = config("a:1,b:2");
    slow.min_frame_rate = 100;
    // A ping is sent meanwhile.
    let mut world = receive_slowly(slow.clone(), 620);
    assert!(world.session.is_ready() && world.events().is_empty());
    let mut world = receive_slowly(slow, 619);
    let reasons: Vec<_> = world
        .events()
        .into_iter()
        .filter_map(|event| match event {
            Event::Disconnected { reason } => Some(reason),
            _ => None,
        })
        .collect();
    assert_eq!(reasons, [DisconnectReason::SlowFrame]);
}

/// INV-57: a length that is wrong takes in all that follows, and answers to pings follow for ever.
#[test]
fn answers_to_pings_alone_are_no_frame_under_way() {
    let mut world = World::associating(config("a:1,b:2"));
    world.accept_as(SESSION, 100, false);
    world.submit(get_data("/a"));
    world.events();
    world.receive(&[0, 0, 0xff, 0xff]);
    for _ in 0..100 {
        world.advance(millis(33));
        world.pong();
    }
    let is_slow =
        |event: &Event| matches!(event, Event::Disconnected { reason: DisconnectReason::SlowFrame });
    assert!(world.events().iter().any(is_slow));
}

/// INV-29.
#[test]
fn an_answer_to_what_left_a_session_timeout_ago_is_no_news_of_the_session() {
    let mut world = World::ready(config("a:1"));
    world.advance(millis(1000));
    world.submit(get_data("/a"));
    for _ in 0..9 {
        world.advance(millis(1000));
        world.notify(EventType::NODE_CREATED, "/x", 1);
    }
    assert!(world.events().contains(&Event::MayBeExpired));
    world.reply(1, 3, Ok(data(b"x")));
    world.advance(millis(1000));
    assert!(!world.events().contains(&Event::MayBeExpired), "it was told");
    let request = world.submit(get_data("/a"));
    world.reply_to(request, 3, Err(ErrorCode::NO_NODE));
    world.cut();
    world.advance(millis(9000));
    assert!(world.events().contains(&Event::MayBeExpired), "the next outage");
}

/// INV-50: whatever has brought the session to the end of time.
#[test]
fn what_is_overdue_at_the_end_of_time_is_told_until_it_is_done() {
    let mut world = World::ready(config("a:1"));
    let first = world.session.next_timer().expect("a ping");
    world.session.cancel(RequestId::from_number(1), Instant::MAX);
    assert_eq!(world.session.next_timer(), Some(first));
    assert_eq!(world.session.poll_timeout(), Some(first.1));
    world.now = Instant::MAX;
    world.tick();
    assert_eq!(world.session.poll_timeout(), None);
}

/// INV-41, INV-72: what is too much lies within the gap that is told.
#[test]
fn only_so_many_events_wait_for_the_gap_before_them_to_be_told() {
    let mut world = World::ready(config("a:1,b:2"));
    watch(&mut world, add_watch("/p", AddWatchMode::PERSISTENT), 3, Ok(added()));
    reconnect(&mut world);
    let event = event_frame(EventType::NODE_DATA_CHANGED, "/p", 9);
    world.receive(&event.repeat(65));
    assert!(world.watch_events().is_empty());
    acknowledge(&mut world, 9);
    assert_eq!(world.watch_events().len(), 64);
    world.receive(&event);
    assert_eq!(world.watch_events().len(), 1, "from then on each is told as it comes");
}
