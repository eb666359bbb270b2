//! Pings, silence, lateness, and everything else that time does.

#![expect(clippy::wildcard_enum_match_arm, reason = "it looks for one thing among many")]

mod support;

use core::time::Duration;

use support::{
    SESSION, World, config, data, get_data, millis, reply_frame, sync,
    watching::{acknowledge, add_watch, added, watch},
};
use zk_session::{
    Action, AuthInfo, DisconnectReason, Event, ExpiredBy, ExpiredReason, Expiry, Instant, RequestOptions,
    State, Timer,
    zk_proto::{AddWatchMode, Bytes, ErrorCode, EventType, ReplyHeader, Request, Response, SetDataRequest},
};

fn dropped(world: &mut World) -> Option<DisconnectReason> {
    world.events().into_iter().find_map(|event| match event {
        Event::Disconnected { reason } => Some(reason),
        _ => None,
    })
}

/// INV-53: T/3 after the last frame, whatever is in flight.
#[test]
fn a_quiet_session_pings_every_third_of_its_timeout() {
    let mut world = World::ready(config("a:1"));
    world.submit(get_data("/a"));
    world.sent();
    for _ in 0..10 {
        world.advance(millis(2999));
        assert!(world.sent().is_empty());
        world.advance(millis(1));
        assert_eq!(world.sent_requests(), [Request::Ping]);
        world.pong();
    }
    assert_eq!(world.state(), State::Connected);
    assert_eq!(world.session.stats().pings, 10);
}

#[test]
fn any_frame_puts_the_next_ping_off() {
    let mut world = World::ready(config("a:1"));
    for _ in 0..5 {
        world.advance(millis(2000));
        world.submit(sync("/"));
        let xid = world.wire().oldest_unanswered().unwrap();
        world.reply(xid, 3, Err(zk_session::zk_proto::ErrorCode::NO_NODE));
    }
    assert_eq!(world.session.stats().pings, 0);
}

/// INV-54.
#[test]
fn one_ping_waits_behind_a_stalled_socket() {
    let mut world = World::ready(config("a:1"));
    world.takes_at_once = false;
    world.submit(sync("/"));
    for _ in 0..20 {
        world.notify(EventType::NODE_CREATED, "/x", 1);
        world.advance(millis(1000));
    }
    let outstanding = world.wire().outstanding();
    world.sent();
    world.take(outstanding);
    assert_eq!(world.sent_requests(), [Request::Ping]);
}

/// INV-55.
#[test]
fn silence_for_two_thirds_of_the_timeout_drops_the_connection() {
    let mut world = World::ready(config("a:1,b:2"));
    world.advance(millis(5999));
    assert_eq!(dropped(&mut world), None);
    world.advance(millis(1));
    assert_eq!(dropped(&mut world), Some(DisconnectReason::ReadTimeout));
    assert_eq!(world.connection().get(), 2);
}

/// INV-55: a server that talks and doesn't listen.
#[test]
fn a_ping_unanswered_for_a_whole_timeout_drops_the_connection() {
    let mut world = World::ready(config("a:1,b:2"));
    for _ in 0..24 {
        world.advance(millis(500));
        world.notify(EventType::NODE_CREATED, "/x", 1);
        if world.connection().get() == 2 {
            break;
        }
    }
    assert_eq!(dropped(&mut world), Some(DisconnectReason::PingTimeout));
}

/// INV-56.
#[test]
fn a_slow_reply_is_borne_and_a_trickle_is_not() {
    let long = vec![1_u8; 60_000];
    let body = zk_session::zk_proto::GetDataResponse { data: Some(long.into()), stat: Default::default() };
    let frame = reply_frame(1, 3, Ok(Response::GetData(body)));
    let mut world = World::ready(config("a:1,b:2"));
    let request = world.submit(get_data("/a"));
    for piece in frame.chunks(600) {
        world.advance(millis(1000));
        world.receive(piece);
    }
    assert_eq!(world.replies().last().map(|reply| reply.request), Some(request), "after 100 s");

    // What came before it doesn't make it faster.
    let mut world = World::ready(config("a:1,b:2"));
    world.submit(get_data("/before"));
    world.receive(&frame);
    world.submit(get_data("/a"));
    let frame = reply_frame(2, 4, Ok(data(&[1; 100])));
    world.events();
    for byte in frame.chunks(1) {
        world.advance(millis(1000));
        if world.connection().get() == 2 {
            break;
        }
        world.receive(byte);
    }
    assert_eq!(dropped(&mut world), Some(DisconnectReason::SlowFrame));
}

/// INV-51: late by an hour.
#[test]
fn a_late_tick_is_told_and_not_read_as_the_servers_silence() {
    let mut world = World::ready(config("a:1,b:2"));
    world.now = world.now + Duration::from_secs(3600);
    world.tick();
    let events = world.events();
    assert_eq!(events, [Event::Late { by: millis(3_600_000 - 3000) }, Event::MayBeExpired]);
    assert_eq!(world.state(), State::Connected);
    assert_eq!(world.sent_requests(), [Request::Ping], "one ping, however much was missed");
    world.pong();
    world.advance(millis(100));
    assert_eq!((world.events(), world.state()), (Vec::new(), State::Connected));
}

#[test]
fn after_a_late_tick_silence_counts_again() {
    let mut world = World::ready(config("a:1,b:2"));
    world.now = world.now + Duration::from_secs(60);
    world.tick();
    world.events();
    world.advance(millis(3000));
    assert_eq!(dropped(&mut world), Some(DisconnectReason::ReadTimeout));
}

#[test]
fn a_late_tick_while_dialling_gives_the_attempt_a_little_longer() {
    let mut world = World::new(config("a:1,b:2"));
    world.now = world.now + Duration::from_secs(60);
    world.tick();
    assert_eq!(world.connection().get(), 1);
    world.establish();
    world.accept();
    assert!(world.session.is_ready());
}

/// INV-51: early and repeated ones.
#[test]
fn early_and_repeated_ticks_do_nothing() {
    let mut world = World::ready(config("a:1"));
    world.advance(millis(3000));
    world.sent();
    let (before, trace) = (format!("{:?}", world.session), world.trace.len());
    for _ in 0..10 {
        world.tick();
        world.session.handle_timeout(Instant::ZERO);
    }
    assert_eq!((format!("{:?}", world.session), world.trace.len()), (before, trace));
}

/// INV-50.
#[test]
fn time_alone_wakes_an_idle_session_at_most_four_times_in_its_timeout() {
    let mut world = World::ready(config("a:1"));
    let mut wakes = 0;
    let end = world.now + Duration::from_secs(90);
    while let Some(due) = world.session.poll_timeout().filter(|&due| due <= end) {
        assert!(due > world.now, "INV-50: the timer moved");
        world.now = due;
        world.tick();
        world.pong();
        wakes += 1;
    }
    assert!(wakes <= 40, "{wakes} in ten timeouts");
}

/// INV-52.
#[test]
fn a_clock_that_runs_back_or_to_its_end_is_borne() {
    let mut world = World::ready(config("a:1"));
    world.submit(get_data("/a"));
    world.now = Instant::ZERO;
    world.reply(1, 3, Ok(data(b"x")));
    world.now = Instant::MAX;
    world.tick();
    world.tick();
    world.cut();
    let options = RequestOptions::default().with_deadline(Instant::MAX + Duration::MAX);
    world.submit_with(get_data("/a"), options);
    world.command(|session, now| session.close(now));
    for _ in 0..10 {
        world.tick();
    }
    assert_eq!(world.state(), State::Closed);
}

#[test]
fn the_counts_tell_what_has_happened() {
    let mut world = World::ready(config("a:1,b:2"));
    world.submit(get_data("/a"));
    world.reply(1, 3, Ok(data(b"x")));
    world.submit(get_data("/b"));
    world.reply(2, 3, Err(ErrorCode::NO_NODE));
    world.now = world.session.poll_timeout().expect("a ping");
    world.tick();
    world.now = world.now + millis(7);
    world.pong();
    world.notify(EventType::NODE_DELETED, "/nobody's", 4);
    world.submit(get_data("/c"));
    world.cut();
    world.establish();
    world.accept();
    let stats = world.session.stats();
    assert_eq!((stats.accepted, stats.ended, stats.refused, stats.failed), (3, 3, 1, 1));
    assert_eq!((stats.attempts, stats.connections), (2, 2));
    assert_eq!((stats.pings, stats.pongs, stats.last_ping_round_trip), (1, 1, Some(millis(7))));
    assert_eq!((stats.notifications, stats.unwanted_notifications), (1, 1));
    assert_eq!((stats.queued, stats.queued_bytes, stats.in_flight, stats.watches), (0, 0, 0, 0));
    assert!(stats.bytes_sent > 0 && stats.bytes_received > 0);
}

/// INV-50, INV-52: where time stands still, nothing is due again and again.
#[test]
fn at_the_end_of_time_a_session_is_not_woken_any_more() {
    let to_the_end: [fn(&mut World); 4] =
        [|_| {}, |world| world.cut(), World::establish, |world| world.advance(millis(1))];
    for begin in to_the_end {
        let mut world = World::new(config("a:1,b:2"));
        begin(&mut world);
        world.now = Instant::MAX;
        let mut ticks = 0;
        while world.session.poll_timeout().is_some_and(|due| due <= world.now) {
            world.tick();
            ticks += 1;
            assert!(ticks < 20, "{:?}", world.session);
        }
        assert!(!world.state().is_terminal());
        world.command(|session, now| session.close(now));
        assert_eq!(world.state(), State::Closed, "a close is bounded all the same");
    }
    let mut world = World::ready(config("a:1"));
    world.now = Instant::MAX;
    world.tick();
    assert_eq!(world.session.poll_timeout(), None);
    assert!(world.session.is_ready(), "the tick was late, and what sets itself again is never due then");
    let late = RequestOptions::default().with_deadline(Instant::MAX);
    world.submit_with(get_data("/a"), late);
    assert_eq!(world.session.stats().queued, 0, "its deadline has come");
}

/// INV-29.
#[test]
fn that_the_session_may_be_expired_is_told_a_timeout_after_the_last_answered_frame() {
    let mut world = World::ready(config("a:1,b:2,c:3"));
    world.advance(millis(3000));
    world.pong();
    world.cut();
    world.events();
    // The ping was handed out at +3000.
    for _ in 0..8999 {
        world.now = world.now + millis(1);
        world.tick();
    }
    assert!(!world.events().contains(&Event::MayBeExpired));
    world.now = world.now + millis(1);
    world.tick();
    assert!(world.events().contains(&Event::MayBeExpired));
    world.advance(Duration::from_secs(100));
    assert!(!world.events().contains(&Event::MayBeExpired), "once for an outage");
    world.await_attempt();
    world.establish();
    world.accept();
    world.cut();
    world.advance(millis(9000));
    assert!(world.events().contains(&Event::MayBeExpired), "and again for the next one");
}

/// INV-29: what we hear doesn't count, what was heard of us does.
#[test]
fn events_from_a_server_that_does_not_hear_us_do_not_put_it_off() {
    let mut world = World::ready(config("a:1"));
    world.takes_at_once = false;
    for _ in 0..9 {
        world.advance(millis(1000));
        world.notify(EventType::NODE_CREATED, "/x", 1);
    }
    assert!(world.events().contains(&Event::MayBeExpired));
    assert_eq!(world.session.negotiated_timeout(), millis(9000));
}

/// The last answered frame was handed out now: the session timeout of 9 s runs from here, whatever bytes come.
fn assert_may_be_expired_after_silence(world: &mut World) {
    // Bytes keep coming, but nothing else that is handed out is answered.
    for _ in 0..8 {
        world.advance(millis(1000));
        world.notify(EventType::NODE_CREATED, "/x", 1);
    }
    world.advance(millis(999));
    assert!(!world.events().contains(&Event::MayBeExpired));
    world.advance(millis(1));
    assert!(world.events().contains(&Event::MayBeExpired));
}

/// INV-29: a server hears of a request when it has it whole.
#[test]
fn a_request_that_leaves_in_slices_counts_from_its_last_byte() {
    let mut small = config("a:1");
    small.max_send_len = 100;
    let mut world = World::ready(small);
    world.takes_at_once = false;
    let long =
        Request::SetData(SetDataRequest { path: "/a".into(), data: Some(vec![7; 150].into()), version: -1 });
    let request = world.submit(long);
    world.advance(millis(2000));
    world.take(100);
    let last_slice = world.wire().outstanding();
    assert!((1..100).contains(&last_slice), "{last_slice}");
    world.take(last_slice);
    world.reply_to(request, 1, Ok(support::stat()));
    assert_may_be_expired_after_silence(&mut world);
}

/// INV-29: so does what the session sends by itself, however long the transport keeps it waiting.
#[test]
fn an_identity_counts_from_when_it_leaves() {
    let mut world = World::ready(config("a:1"));
    world.takes_at_once = false;
    world.submit(get_data("/a"));
    let outstanding = world.wire().outstanding();
    let info = AuthInfo { scheme: "digest".into(), auth: Bytes::from_static(b"me:secret") };
    let id = world.session.add_auth(info, world.now).expect("accepted");
    world.note_accepted(id);
    world.command(|_, _| ());
    world.advance(millis(2000));
    world.take(outstanding);
    let auth = world.wire().outstanding();
    assert!(auth > 0, "it leaves behind the request");
    world.take(auth);
    world.reply(ReplyHeader::AUTH_XID, 0, Ok(Response::Empty));
    assert_may_be_expired_after_silence(&mut world);
}

/// INV-29: and so does the removal of a watch.
#[test]
fn a_removal_counts_from_when_it_leaves() {
    let mut world = World::ready(config("a:1"));
    let owner = watch(&mut world, add_watch("/p", AddWatchMode::PERSISTENT), 1, Ok(added()));
    world.takes_at_once = false;
    let read = world.submit(get_data("/a"));
    let outstanding = world.wire().outstanding();
    world.command(|session, now| session.remove_watch(owner, now));
    world.advance(millis(2000));
    world.take(outstanding);
    let removal = world.wire().outstanding();
    assert!(removal > 0, "it leaves behind the request");
    world.take(removal);
    world.reply_to(read, 1, Ok(data(b"x")));
    acknowledge(&mut world, 1);
    assert_may_be_expired_after_silence(&mut world);
}

/// INV-30.
#[test]
fn the_clients_own_expiry_comes_only_where_asked_for_and_says_so() {
    let mut own = config("a:1,b:2");
    own.expiry = Expiry::Client;
    let mut world = World::new(own.clone());
    world.advance(Duration::from_secs(1000));
    assert!(!world.state().is_terminal(), "never before a session existed");

    let mut world = World::ready(own);
    world.cut();
    world.advance(millis(11_999));
    assert!(!world.state().is_terminal());
    world.advance(millis(1));
    let last = world.events().pop();
    assert_eq!(last, Some(Event::Expired { by: ExpiredBy::Client, reason: ExpiredReason::Silence }));

    let mut world = World::ready(config("a:1,b:2"));
    world.cut();
    world.advance(Duration::from_secs(10_000));
    assert_eq!(world.state(), State::Connecting, "the servers' verdict, however late");
}

/// INV-59, INV-60.
#[test]
fn after_a_failed_cycle_attempts_are_spaced_and_nothing_is_hidden_by_it() {
    let mut world = World::new(config("a:1,b:2,c:3"));
    world.cut();
    world.cut();
    assert_eq!(world.session.next_timer().map(|(timer, _)| timer), Some(Timer::Connect));
    world.cut();
    let mut spaced = Vec::new();
    for _ in 0..60 {
        let (timer, due) = world.session.next_timer().unwrap();
        assert_eq!(timer, Timer::Backoff);
        spaced.push(due - world.now);
        world.now = due;
        world.tick();
        world.cut();
    }
    assert!(spaced.iter().all(|&wait| (millis(50)..=millis(3000)).contains(&wait)), "{spaced:?}");
    assert!(spaced.iter().any(|&wait| wait > millis(1000)));
    let deadline = world.now + millis(1);
    world.submit_with(get_data("/a"), RequestOptions::default().with_deadline(deadline));
    assert_eq!(world.session.poll_timeout(), Some(deadline));
}

/// INV-58.
#[test]
fn every_server_gets_its_turn() {
    let mut world = World::new(config("a:1,b:2,c:3,d:4"));
    for _ in 0..39 {
        world.cut();
        world.await_attempt();
    }
    let servers: Vec<_> = world
        .trace
        .iter()
        .filter_map(|action| match action {
            Action::Connect { server, .. } => Some(server.host.clone()),
            _ => None,
        })
        .collect();
    for cycle in servers.chunks(4) {
        assert_eq!(cycle, &servers[..4]);
    }
}

#[test]
fn a_server_that_accepts_and_hangs_up_causes_no_storm() {
    let mut world = World::new(config("a:1"));
    let begin = world.now;
    for _ in 0..50 {
        world.await_attempt();
        world.establish();
        world.accept_as(SESSION, 9000, false);
        world.cut();
    }
    assert!(world.now - begin > Duration::from_secs(10), "{:?}", world.now - begin);
}

/// INV-56, INV-50: a long reply over a slow link, pings unanswered behind it, every tick on time.
#[test]
fn a_reply_that_takes_longer_than_the_session_timeout_is_borne() {
    let long = vec![1_u8; 900_000];
    let body = zk_session::zk_proto::GetDataResponse { data: Some(long.into()), stat: Default::default() };
    let mut stream = reply_frame(1, 3, Ok(Response::GetData(body)));
    for _ in 0..9 {
        stream.extend_from_slice(&reply_frame(-2, 0, Ok(Response::Empty)));
    }
    let mut world = World::associating(config("a:1,b:2"));
    world.accept_as(SESSION, 4000, false);
    world.submit(get_data("/a"));
    world.events();
    for piece in stream.chunks(10_000) {
        world.advance(millis(100));
        assert!(world.session.poll_timeout().is_some_and(|due| due > world.now));
        world.receive(piece);
    }
    let events = world.events();
    assert!(
        !events.iter().any(|event| matches!(event, Event::Late { .. } | Event::Disconnected { .. })),
        "{events:?}"
    );
    assert_eq!(world.session.stats().in_flight, 0);
}

/// INV-51: what lies unread is fed first, even by a driver that ticks twice.
#[test]
fn a_ping_that_was_out_before_a_long_sleep_is_excused_too() {
    let mut world = World::ready(config("a:1,b:2"));
    world.advance(millis(3000));
    world.now = world.now + Duration::from_secs(3600);
    world.tick();
    assert!(world.session.poll_timeout().is_some_and(|due| due > world.now), "{:?}", world.session);
    world.tick();
    world.pong();
    world.pong();
    assert_eq!(world.state(), State::Connected);
}

/// Until then the last moment is one like any other.
#[test]
fn a_timer_for_the_end_of_time_is_told_until_time_ends() {
    let mut world = World::new(config("a:1"));
    let last = Instant::from_nanos(u64::MAX - 1);
    world.session.handle_timeout(last);
    while world.session.poll_action().is_some() {}
    assert_eq!(world.session.poll_timeout(), Some(Instant::MAX));
    assert_eq!(world.session.next_timer().map(|(_, due)| due), Some(Instant::MAX));
    world.session.handle_timeout(Instant::MAX);
    while world.session.poll_action().is_some() {}
    assert_eq!(world.session.poll_timeout(), None);
    assert_eq!(world.session.next_timer(), None);
}

/// INV-51: each stage of an attempt is excused once, for the transport that is up is a sign of life.
#[test]
fn an_attempt_is_excused_a_late_tick_again_once_its_transport_is_up() {
    let mut world = World::new(config("a:1"));
    world.now = world.now + millis(6000);
    world.tick();
    assert_eq!(world.state(), State::Connecting);
    world.establish();
    world.now = world.now + millis(6000);
    world.tick();
    assert_eq!(dropped(&mut world), None);
    assert_eq!(world.state(), State::Associating);
    world.accept();
    assert_eq!(world.state(), State::Connected);
}

/// INV-54: it leaves as soon as anything may.
#[test]
fn while_a_ping_waits_for_the_transport_no_other_one_is_due() {
    let mut world = World::ready(config("a:1"));
    let begin = world.now;
    world.takes_at_once = false;
    world.submit(sync("/"));
    world.advance(millis(2000));
    world.notify(EventType::NODE_CREATED, "/x", 1);
    world.advance(millis(1000));
    assert_eq!(world.session.next_timer(), Some((Timer::Read, begin + millis(8000))));
}

#[test]
fn a_ping_is_counted_once_whatever_leaves_while_it_is_unanswered() {
    let mut world = World::ready(config("a:1"));
    world.advance(millis(3000));
    assert_eq!(world.sent_requests(), [Request::Ping]);
    world.submit(sync("/"));
    world.submit(sync("/"));
    assert_eq!(world.session.stats().pings, 1);
}

/// INV-51: the server is asked whether it is there, whenever it was spoken to last.
#[test]
fn a_late_tick_that_is_excused_has_a_ping_leave_at_once() {
    let mut world = World::ready(config("a:1,b:2"));
    world.advance(millis(2900));
    world.submit(sync("/"));
    world.advance(millis(2900));
    world.submit(sync("/"));
    world.sent();
    world.now = world.now + millis(1500);
    world.tick();
    assert_eq!(world.sent_requests(), [Request::Ping]);
    assert_eq!(dropped(&mut world), None);
}

/// INV-51: once, until something is heard.
#[test]
fn of_two_late_ticks_in_a_row_the_second_is_not_excused() {
    for (is_heard, reason) in [(true, None), (false, Some(DisconnectReason::ReadTimeout))] {
        let mut world = World::ready(config("a:1,b:2"));
        for _ in 0..2 {
            if is_heard {
                world.pong();
            }
            world.now = world.now + Duration::from_secs(60);
            world.tick();
        }
        assert_eq!(dropped(&mut world), reason);
    }
}

/// INV-08, INV-50.
#[test]
fn a_session_is_not_woken_for_the_deadline_of_what_was_answered() {
    let mut world = World::ready(config("a:1"));
    let begin = world.now;
    for delay in [200, 100, 300] {
        let options = RequestOptions::default().with_deadline(begin + millis(delay));
        world.submit_with(get_data("/a"), options);
    }
    world.reply(1, 3, Ok(data(b"x")));
    world.advance(millis(100));
    assert_eq!(world.session.next_timer(), Some((Timer::Deadline, begin + millis(300))));
}
