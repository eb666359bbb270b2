//! Matching, order, deadlines, cancellation, limits.

mod support;

use support::{World, config, data, get_data, millis, reply_frame, stat, sync, watch_data};
use zk_session::{
    Action, Delivery, DisconnectReason, Event, Failure, RequestError, RequestOptions, Retry, SubmitError,
    zk_proto::{
        Create2Response, CreateMode, DeleteRequest, ErrorCode, EventType, Multi, MultiResponse,
        OPEN_ACL_UNSAFE, Op, OpResult, Request, Response, SetDataRequest, Stat, Zxid,
    },
};

fn failed(failure: Failure, delivery: Delivery) -> RequestError {
    RequestError::Failed { failure, delivery }
}

/// INV-11, INV-12, INV-14.
#[test]
fn requests_leave_in_order_with_xids_in_order_and_are_answered_in_order() {
    let mut world = World::ready(config("a:1"));
    let ids: Vec<_> = ["/a", "/b", "/c"].map(|path| world.submit(get_data(path))).into();
    let sent = world.sent();
    assert_eq!(sent.iter().map(|sent| sent.xid).collect::<Vec<_>>(), [1, 2, 3]);
    for (at, _) in ids.iter().enumerate() {
        world.reply(at as i32 + 1, 10 + at as i64, Ok(data(b"x")));
    }
    let replies = world.replies();
    assert_eq!(replies.iter().map(|reply| reply.request).collect::<Vec<_>>(), ids);
    assert_eq!(replies[2].zxid, Zxid(12));
    assert_eq!(world.session.last_zxid(), Zxid(12));
}

#[test]
fn what_piles_up_leaves_in_one_chunk() {
    let mut world = World::ready(config("a:1"));
    let sends = world.session.stats().bytes_sent;
    world.takes_at_once = false;
    let first = world.submit(sync("/a"));
    for _ in 0..100 {
        world.submit(sync("/a"));
    }
    assert_eq!(world.sent().len(), 1, "one chunk is outstanding");
    let len = usize::try_from(world.session.stats().bytes_sent - sends).unwrap();
    world.take(len);
    assert_eq!(world.sent().len(), 100);
    world.reply_to(first, 3, Err(ErrorCode::NO_NODE));
}

/// INV-06.
#[test]
fn a_servers_code_passes_unchanged_known_or_not() {
    for code in [
        ErrorCode::NO_NODE,
        ErrorCode(-4711),
        ErrorCode(4711),
        ErrorCode::SESSION_EXPIRED,
        ErrorCode(i32::MIN),
    ] {
        let mut world = World::ready(config("a:1"));
        let request = world.submit(get_data("/a"));
        world.reply_to(request, 3, Err(code));
        assert_eq!(world.error().code(), Some(code));
        assert!(world.session.is_ready());
    }
}

/// INV-05.
#[test]
fn success_with_a_body_that_cannot_be_read_is_no_success() {
    let mut world = World::ready(config("a:1"));
    let request = world.submit(get_data("/a"));
    let mut frame = reply_frame(1, 3, Ok(data(b"hello")));
    frame.truncate(frame.len() - 1);
    frame[3] -= 1;
    world.receive(&frame);
    let [reply] = <[_; 1]>::try_from(world.replies()).unwrap();
    assert_eq!((reply.request, reply.zxid), (request, Zxid(3)));
    let Err(RequestError::Failed { failure: Failure::MalformedReply { zxid, error }, delivery }) =
        reply.result
    else {
        panic!("{reply:?}")
    };
    assert_eq!((zxid, delivery), (Zxid(3), Delivery::MaybeApplied));
    assert_eq!(error.record(), "Stat");
    assert_eq!(world.session.stats().failed, 1);
    assert!(world.session.is_ready(), "the stream is in step");
}

/// INV-10.
#[test]
fn a_multi_that_was_not_applied_is_refused_with_all_its_results() {
    let delete = |path: &str| Op::Delete(DeleteRequest { path: path.into(), version: -1 });
    let multi = || Request::Multi(Multi { ops: vec![delete("/a"), delete("/b"), delete("/c")] });
    let answer = |codes: &[i32]| {
        let results = codes.iter().map(|&code| OpResult::Error(ErrorCode(code))).collect();
        Ok(Response::Multi(MultiResponse { results }))
    };
    let mut world = World::ready(config("a:1"));
    let request = world.submit(multi());
    world.reply_to(request, 3, answer(&[0, -101, -2]));
    let RequestError::Refused { code, results } = world.error() else { panic!("not refused") };
    assert_eq!((code, results.len()), (ErrorCode::NO_NODE, 3));
    assert_eq!(world.session.stats().refused, 1);

    let mut world = World::ready(config("a:1"));
    let request = world.submit(multi());
    world.reply_to(request, 3, answer(&[-101, -2]));
    let wrong = Failure::WrongResultCount { results: 2, ops: 3 };
    assert_eq!(world.error(), failed(wrong, Delivery::MaybeApplied));

    let mut world = World::ready(config("a:1"));
    let request = world.submit(Request::Multi(Multi { ops: Vec::new() }));
    world.reply_to(request, 3, answer(&[]));
    assert!(world.replies()[0].result.is_ok());
}

/// INV-16.
#[test]
fn a_reply_that_fits_nothing_ends_the_connection_and_nothing_else() {
    for xid in [2, 7, 0, -8, i32::MAX] {
        let mut world = World::ready(config("a:1,b:2"));
        let first = world.submit(get_data("/a"));
        world.submit(get_data("/b"));
        world.reply(xid, 9, Ok(data(b"x")));
        let events = world.events();
        let lost = failed(Failure::ConnectionLoss, Delivery::MaybeApplied);
        assert!(
            matches!(&events[0], Event::Reply(reply) if reply.request == first && reply.result == Err(lost))
        );
        let reason = DisconnectReason::UnexpectedReply { xid };
        assert_eq!(events[2], Event::Disconnected { reason });
        assert_eq!(world.session.last_zxid(), Zxid(0), "INV-47: the reply matched nothing");
        world.establish();
        world.accept();
        assert!(world.session.is_ready());
    }
}

#[test]
fn a_reply_when_nothing_is_in_flight_ends_the_connection() {
    let mut world = World::ready(config("a:1,b:2"));
    world.reply(1, 9, Ok(data(b"x")));
    assert_eq!(world.connection().get(), 2);
}

#[test]
fn a_refusal_that_overtakes_is_given_to_its_request() {
    for code in [-119, -102, -114, -6, -124] {
        let mut world = World::ready(config("a:1"));
        let first = world.submit(get_data("/a"));
        let second = world.submit(get_data("/b"));
        world.reply(2, 0, Err(ErrorCode(code)));
        let [reply] = <[_; 1]>::try_from(world.replies()).unwrap();
        assert_eq!((reply.request, reply.result.unwrap_err().code()), (second, Some(ErrorCode(code))));
        world.reply(1, 8, Ok(data(b"x")));
        assert_eq!(world.replies()[0].request, first);
    }
}

/// INV-15.
#[test]
fn reserved_xids_take_no_requests_turn() {
    let mut world = World::ready(config("a:1"));
    let request = world.submit(get_data("/a"));
    world.reply(-2, 9, Ok(Response::Empty));
    world.reply(-4, 9, Ok(Response::Empty));
    world.notify(zk_session::zk_proto::EventType::NODE_CREATED, "/x", 9);
    assert_eq!(world.session.last_zxid(), Zxid(0), "INV-47");
    world.reply(1, 9, Ok(data(b"x")));
    assert_eq!(world.replies()[0].request, request);
}

/// INV-08.
#[test]
fn a_deadline_ends_its_request_on_time_and_not_the_connection() {
    let mut world = World::ready(config("a:1"));
    let deadline = world.now + millis(500);
    let request = world.submit_with(get_data("/a"), RequestOptions::default().with_deadline(deadline));
    let later = world.submit(get_data("/b"));
    assert!(world.session.poll_timeout().is_some_and(|due| due <= deadline));
    world.advance(millis(499));
    assert!(world.replies().is_empty());
    world.advance(millis(1));
    let [reply] = <[_; 1]>::try_from(world.replies()).unwrap();
    assert_eq!(reply.request, request);
    assert_eq!(reply.result, Err(failed(Failure::Deadline, Delivery::MaybeApplied)));
    // INV-09: its late reply is swallowed, and shifts nobody.
    world.reply(1, 5, Ok(data(b"late")));
    world.reply(2, 6, Ok(data(b"b")));
    let [reply] = <[_; 1]>::try_from(world.replies()).unwrap();
    assert_eq!((reply.request, reply.result), (later, Ok(data(b"b"))));
    assert_eq!(world.session.stats().connections, 1);
}

#[test]
fn a_deadline_before_the_hand_out_proves_that_nothing_was_sent() {
    let mut world = World::new(config("a:1"));
    let options = RequestOptions::default().with_deadline(world.now + millis(10));
    world.submit_with(get_data("/a"), options);
    world.advance(millis(10));
    assert_eq!(world.error(), failed(Failure::Deadline, Delivery::NotSent));
    let options = RequestOptions::default().with_deadline(world.now);
    world.submit_with(get_data("/a"), options);
    assert_eq!(world.error(), failed(Failure::Deadline, Delivery::NotSent), "it has passed already");
}

#[test]
fn deadlines_act_in_their_own_order_and_not_for_what_has_ended() {
    let mut world = World::ready(config("a:1"));
    let delays = [500, 200, 400, 100, 300, 100];
    let requests = delays.map(|delay| {
        let options = RequestOptions::default().with_deadline(world.now + millis(delay));
        world.submit_with(get_data("/a"), options)
    });
    world.reply(1, 5, Ok(data(b"first")));
    world.command(|session, now| session.cancel(requests[4], now));
    world.replies();
    let mut ended = Vec::new();
    for _ in 0..5 {
        world.advance(millis(100));
        ended.push(world.replies().into_iter().map(|reply| reply.request).collect::<Vec<_>>());
    }
    let expected = [vec![requests[3], requests[5]], vec![requests[1]], vec![], vec![requests[2]], vec![]];
    assert_eq!(ended, expected);
}

#[test]
fn cancelling_removes_what_is_unsent_and_swallows_the_reply_of_what_is_sent() {
    let mut world = World::associating(config("a:1"));
    let unsent = world.submit(get_data("/a"));
    let kept = world.submit(get_data("/b"));
    world.command(|session, now| session.cancel(unsent, now));
    assert_eq!(world.error(), failed(Failure::Cancelled, Delivery::NotSent));
    world.accept();
    assert_eq!(world.sent_requests(), [get_data("/b")]);
    world.events();
    world.command(|session, now| session.cancel(kept, now));
    assert_eq!(world.error(), failed(Failure::Cancelled, Delivery::MaybeApplied));
    world.command(|session, now| session.cancel(kept, now));
    world.reply(1, 4, Ok(data(b"x")));
    assert!(world.events().is_empty());
    assert_eq!(world.session.stats().in_flight, 0);
}

#[test]
fn an_ephemeral_znode_of_an_abandoned_create_is_told() {
    let mut world = World::ready(config("a:1/app"));
    let create = Request::create("/e-", None, OPEN_ACL_UNSAFE, CreateMode::EphemeralSequential);
    let request = world.submit(create);
    world.command(|session, now| session.cancel(request, now));
    world.events();
    let path = "/app/e-0000000007".into();
    world.reply(1, 4, Ok(Response::Create2(Create2Response { path, stat: Stat::default() })));
    assert_eq!(world.events(), [Event::AbandonedCreate { request, path: "/e-0000000007".into() }]);
}

#[test]
fn the_same_of_a_persistent_znode_is_not() {
    let mut world = World::ready(config("a:1"));
    let request = world.submit(Request::create("/p", None, OPEN_ACL_UNSAFE, CreateMode::Persistent));
    world.command(|session, now| session.cancel(request, now));
    world.events();
    world.reply(1, 4, Ok(Response::Create2(Create2Response { path: "/p".into(), stat: Stat::default() })));
    assert!(world.events().is_empty());
}

/// INV-72.
#[test]
fn over_a_limit_nothing_is_accepted_and_nothing_changes() {
    let mut limits = config("a:1");
    limits.max_queued_requests = 2;
    limits.max_request_len = 60;
    limits.max_watches = 1;
    let mut world = World::new(limits);
    let refuse = |world: &mut World, request| {
        let before = world.session.stats();
        let error = world.command(|session, now| session.submit(request, RequestOptions::default(), now));
        assert_eq!(world.session.stats(), before);
        error.unwrap_err()
    };
    world.submit(watch_data("/a"));
    assert_eq!(refuse(&mut world, watch_data("/b")), SubmitError::TooManyWatches { limit: 1 });
    let set = |len: usize| {
        let data = Some(vec![0; len].into());
        Request::SetData(SetDataRequest { path: "/a".into(), data, version: -1 })
    };
    assert_eq!(refuse(&mut world, set(39)), SubmitError::TooLarge { len: 61, limit: 60 });
    world.submit(set(38));
    let full = SubmitError::QueueFull { limit_name: "max_queued_requests", limit: 2 };
    assert_eq!(refuse(&mut world, sync("/a")), full);
}

#[test]
fn the_queue_is_bounded_in_bytes_too() {
    let mut limits = config("a:1");
    limits.max_queued_bytes = 100;
    let mut world = World::new(limits);
    let mut accepted = 0;
    while world.session.submit(sync("/abcdef"), RequestOptions::default(), world.now).is_ok() {
        accepted += 1;
    }
    assert_eq!(accepted, 100 / 23);
}

#[test]
fn no_more_are_in_flight_than_the_limit() {
    let mut limits = config("a:1");
    limits.max_in_flight = 2;
    let mut world = World::ready(limits);
    let ids: Vec<_> = (0..5).map(|_| world.submit(get_data("/a"))).collect();
    assert_eq!((world.sent().len(), world.session.stats().queued), (2, 3));
    for xid in 1..=5 {
        world.reply(xid, xid.into(), Ok(data(b"x")));
        assert!(world.session.stats().in_flight <= 2);
    }
    assert_eq!(world.replies().iter().map(|reply| reply.request).collect::<Vec<_>>(), ids);
}

#[test]
fn what_belongs_to_the_session_or_breaks_the_rules_is_refused() {
    let mut world = World::ready(config("a:1"));
    let mut refused = |request| {
        world.command(|session, now| session.submit(request, RequestOptions::default(), now)).unwrap_err()
    };
    for request in [Request::Ping, Request::CloseSession] {
        assert!(matches!(refused(request), SubmitError::InvalidArgument { .. }));
    }
    for path in ["", "a", "/a/", "//", "/a/../b", "/a\0"] {
        assert!(matches!(refused(get_data(path)), SubmitError::InvalidPath(_)), "{path:?}");
    }
    let ttl = Request::create("/a", None, OPEN_ACL_UNSAFE, CreateMode::PersistentWithTtl(0));
    assert!(matches!(refused(ttl), SubmitError::InvalidArgument { .. }));
    let mut odd = Request::create("/a", None, OPEN_ACL_UNSAFE, CreateMode::Persistent);
    if let Request::Create2(create) = &mut odd {
        create.flags = 4;
    }
    assert!(matches!(refused(odd), SubmitError::InvalidArgument { .. }));
}

/// INV-13: the prefix property.
#[test]
fn a_lost_connection_ends_all_that_was_sent_or_waits_behind() {
    let mut narrow = config("a:1,b:2");
    narrow.max_in_flight = 1;
    let mut world = World::ready(narrow);
    let ids = ["/a", "/b", "/c"].map(|path| world.submit(get_data(path)));
    world.events();
    world.cut();
    let replies = world.replies();
    let outcomes: Vec<_> =
        replies.into_iter().map(|reply| (reply.request, reply.result.unwrap_err().delivery())).collect();
    let (maybe, not) = (Some(Delivery::MaybeApplied), Some(Delivery::NotSent));
    assert_eq!(outcomes, [(ids[0], maybe), (ids[1], not), (ids[2], not)]);
    world.establish();
    world.accept();
    assert!(world.sent().is_empty());
}

#[test]
fn what_may_be_sent_again_is_sent_again_in_order() {
    let mut narrow = config("a:1,b:2");
    narrow.max_in_flight = 2;
    let mut world = World::ready(narrow);
    let safe = RequestOptions::default().with_retry(Retry::WhenSafe);
    let set = |path: &str| Request::SetData(SetDataRequest { path: path.into(), data: None, version: -1 });
    world.submit_with(set("/sent"), safe);
    world.submit_with(get_data("/read"), safe);
    world.submit_with(set("/unsent"), safe);
    world.submit(get_data("/never"));
    world.submit_with(watch_data("/w"), safe);
    world.events();
    world.cut();
    let lost = world.replies();
    assert_eq!(lost.len(), 2, "a write that was sent, and what isn't to be retried");
    assert_eq!(lost[0].result, Err(failed(Failure::ConnectionLoss, Delivery::MaybeApplied)));
    assert_eq!(lost[1].result, Err(failed(Failure::ConnectionLoss, Delivery::NotSent)));
    world.establish();
    world.accept();
    assert_eq!(world.sent_requests(), [get_data("/read"), set("/unsent")]);
    let xid = world.wire().oldest_unanswered().unwrap();
    world.reply(xid, 5, Ok(data(b"x")));
    assert_eq!(world.sent_requests(), [watch_data("/w")]);
}

/// INV-17: commands between any two polls, in reaction to what was just polled.
#[test]
fn a_request_submitted_in_reaction_to_a_loss_waits_for_the_next_connection() {
    let mut world = World::ready(config("a:1,b:2"));
    world.submit(get_data("/a"));
    let connection = world.connection();
    world.session.handle_disconnected(connection, world.now);
    assert!(world.session.poll_action().is_some(), "the outcome");
    let again = world.session.submit(get_data("/again"), RequestOptions::default(), world.now).unwrap();
    let rest: Vec<_> = core::iter::from_fn(|| world.session.poll_action()).collect();
    assert!(rest.iter().all(|action| !format!("{action:?}").contains("Reply")), "{rest:?}");
    assert_eq!(world.session.stats().queued, 1);
    assert_eq!(again.get(), 2);
}

/// INV-03: on no connection, ever.
#[test]
fn a_read_that_was_sent_on_an_earlier_connection_is_not_called_unsent() {
    let mut world = World::ready(config("a:1,b:2"));
    let safe = RequestOptions::default().with_retry(Retry::WhenSafe);
    let request = world.submit_with(get_data("/a"), safe);
    world.cut();
    world.events();
    world.command(|session, now| session.cancel(request, now));
    assert_eq!(world.error(), failed(Failure::Cancelled, Delivery::MaybeApplied));
}

/// INV-72: what is queued again is within the limits too.
#[test]
fn what_may_have_to_wait_again_counts_against_the_queue() {
    let mut limits = config("a:1,b:2");
    limits.max_queued_requests = 3;
    let mut world = World::ready(limits);
    let safe = RequestOptions::default().with_retry(Retry::WhenSafe);
    for _ in 0..3 {
        world.submit_with(get_data("/a"), safe);
    }
    let full = SubmitError::QueueFull { limit_name: "max_queued_requests", limit: 3 };
    assert_eq!(world.session.submit(get_data("/a"), safe, world.now), Err(full));
    world.submit(get_data("/never again"));
    world.cut();
    assert_eq!(world.session.stats().queued, 3);
}

/// Lets the current connection end, and brings up the next one.
fn another(world: &mut World) {
    world.cut();
    world.await_attempt();
    world.establish();
    world.accept();
}

#[test]
fn a_read_that_makes_servers_hang_up_is_not_sent_for_ever() {
    let mut world = World::ready(config("a:1,b:2"));
    let safe = RequestOptions::default().with_retry(Retry::WhenSafe);
    world.submit_with(get_data("/poison"), safe);
    for attempt in 0..3 {
        assert_eq!(world.sent_requests(), [get_data("/poison")], "attempt {attempt}");
        assert!(world.replies().is_empty());
        // Neither an answer to a ping nor a change of something watched says that the request can be answered.
        world.pong();
        world.notify(EventType::NODE_CREATED, "/elsewhere", 9);
        another(&mut world);
    }
    assert_eq!(world.error(), failed(Failure::ConnectionLoss, Delivery::MaybeApplied));
    assert!(world.sent_requests().is_empty());
}

#[test]
fn a_read_outlives_any_number_of_connections_that_answer_something_or_never_carry_it() {
    let mut world = World::ready(config("a:1,b:2"));
    let safe = RequestOptions::default().with_retry(Retry::WhenSafe);
    world.submit_with(get_data("/read"), safe);
    for _ in 0..5 {
        world.submit_with(get_data("/read"), safe);
        another(&mut world);
        another(&mut world);
        let older = world.wire().oldest_unanswered().unwrap();
        world.reply(older, 5, Ok(data(b"x")));
        // A transport that takes nothing carries nothing.
        world.takes_at_once = false;
        another(&mut world);
        world.takes_at_once = true;
        another(&mut world);
    }
    let replies = world.replies();
    assert_eq!(replies.len(), 5, "{replies:?}");
    assert!(replies.iter().all(|reply| reply.result.is_ok()), "{replies:?}");
}

#[test]
fn a_read_outlives_any_number_of_moves_to_other_servers() {
    let mut world = World::ready(config("a:1"));
    let safe = RequestOptions::default().with_retry(Retry::WhenSafe);
    world.submit_with(get_data("/read"), safe);
    for round in 0..6 {
        assert_eq!(world.sent_requests(), [get_data("/read")], "round {round}");
        let servers = if round % 2 == 0 { "b:2" } else { "a:1" };
        world.command(|session, now| session.update_servers(servers.parse().unwrap(), now)).unwrap();
        world.establish();
        world.accept();
    }
    assert!(world.replies().is_empty());
}

#[test]
fn a_reply_to_a_request_that_is_only_half_handed_out_is_nobodys() {
    let mut small = config("a:1,b:2");
    small.max_send_len = 100;
    let mut world = World::ready(small);
    world.takes_at_once = false;
    let data = Some(vec![7; 150].into());
    world.submit(Request::SetData(SetDataRequest { path: "/a".into(), data, version: -1 }));
    assert!(world.sent().is_empty(), "one slice is not a frame");
    world.answered(1);
    world.receive(&reply_frame(1, 5, Ok(stat())));
    assert_eq!(world.error(), failed(Failure::ConnectionLoss, Delivery::MaybeApplied));
    let reason = DisconnectReason::UnexpectedReply { xid: 1 };
    assert!(
        world
            .trace
            .iter()
            .any(|action| matches!(action, Action::Disconnect { reason: r, .. } if *r == reason))
    );
}

/// INV-72: what has ended counts no longer.
#[test]
fn what_might_have_waited_again_and_has_ended_makes_room() {
    let mut limits = config("a:1,b:2");
    limits.max_queued_requests = 2;
    limits.max_queued_bytes = 100;
    let mut world = World::ready(limits);
    let safe = RequestOptions::default().with_retry(Retry::WhenSafe);
    for zxid in 1..20 {
        let pair = [0, 1].map(|_| world.submit_with(get_data("/a"), safe));
        for request in pair {
            world.reply_to(request, zxid, Ok(data(b"x")));
        }
    }
    assert_eq!(world.session.stats().ended, 38);

    let mut limits = config("a:1,b:2");
    limits.max_queued_bytes = 100;
    let mut world = World::ready(limits);
    let five = [0; 5].map(|_| world.submit_with(get_data("/a"), safe));
    world.reply_to(five[0], 30, Ok(data(b"x")));
    world.submit_with(get_data("/a"), safe);
    let full = SubmitError::QueueFull { limit_name: "max_queued_bytes", limit: 100 };
    assert_eq!(world.session.submit(get_data("/a"), safe, world.now), Err(full));
}

/// INV-73: what has ended takes nothing of the queue's limits, whatever is still before it.
#[test]
fn the_bytes_of_what_was_given_up_count_no_more() {
    let mut world = World::new(config("a:1"));
    let set = |number: usize| {
        let data = Some(vec![7; 1000].into());
        Request::SetData(SetDataRequest { path: format!("/{number}").into(), data, version: -1 })
    };
    let ids: Vec<_> = (0..500).map(|number| world.submit(set(number))).collect();
    let one = world.session.stats().queued_bytes / 500;
    for (number, &id) in ids.iter().enumerate() {
        if number % 10 != 0 {
            world.command(|session, now| session.cancel(id, now));
        }
    }
    let stats = world.session.stats();
    assert_eq!(stats.queued, 50);
    assert!(stats.queued_bytes <= 50 * (one + 1), "{} bytes", stats.queued_bytes);
    world.events();
    world.establish();
    world.accept();
    let left = world.sent_requests();
    assert_eq!(left, (0..50).map(|number| set(number * 10)).collect::<Vec<_>>());
    assert_eq!(world.session.stats().queued_bytes, 0);
}

#[test]
fn a_connection_that_answered_what_came_before_a_read_is_not_held_against_it() {
    let mut world = World::ready(config("a:1,b:2"));
    let safe = RequestOptions::default().with_retry(Retry::WhenSafe);
    let before = world.submit(get_data("/before"));
    world.submit_with(get_data("/poison"), safe);
    world.sent();
    world.reply_to(before, 5, Ok(data(b"x")));
    world.events();
    for _ in 0..3 {
        another(&mut world);
        assert_eq!(world.sent_requests(), [get_data("/poison")]);
        assert!(world.replies().is_empty());
    }
    another(&mut world);
    assert_eq!(world.error(), failed(Failure::ConnectionLoss, Delivery::MaybeApplied));
}
