//! Read-only servers, changing lists of servers, servers of different versions.

#![expect(clippy::wildcard_enum_match_arm, reason = "it looks for one thing among many")]

mod support;

use core::time::Duration;

use support::{SESSION, World, config, data, get_data, millis, reply_frame, sync, watch_data};
use zk_session::{
    Action, Config, Delivery, DisconnectReason, Event, Failure, OnLoss, ProbeId, RequestError,
    RequestOptions, ServerOrder, State, SubmitError, WatchEndReason,
    zk_proto::{
        Create2Response, CreateMode, CreateRequest, CreateResponse, ErrorCode, OPEN_ACL_UNSAFE, OpCode,
        Request, Response, SessionId, Stat, WhoAmIResponse,
    },
};

fn read_only() -> World {
    let mut may_be = config("a:1,b:2,c:3");
    may_be.read_only = true;
    may_be.server_order = ServerOrder::AsListed;
    let mut world = World::associating(may_be);
    assert_eq!(world.connect_request().read_only, Some(true));
    world.accept_as(SessionId(0xfa4e), 9000, true);
    world
}

fn probes(world: &World) -> Vec<(ProbeId, String)> {
    let probes = world.trace.iter().filter_map(|action| match action {
        Action::Probe { probe, server } => Some((*probe, server.to_string())),
        _ => None,
    });
    probes.collect()
}

/// INV-26.
#[test]
fn a_read_only_session_looks_for_a_read_write_server_and_moves_there() {
    let mut world = read_only();
    assert_eq!(world.state(), State::ConnectedReadOnly);
    assert_eq!(world.session.credentials(), None, "its id is good for nothing elsewhere");
    let events = world.events();
    assert!(matches!(events[0], Event::Connected { read_only: true, resumed: false, .. }));
    world.tick();
    let (probe, server) = probes(&world)[0].clone();
    world.command(|session, now| session.handle_probed(probe, true, now));
    let reason = DisconnectReason::ReadWriteServerFound;
    assert_eq!(world.events(), [Event::Disconnected { reason }], "no expiry");
    let Some(Action::Connect { server: next, .. }) = world.trace.last() else { panic!("no attempt") };
    assert_eq!(next.to_string(), server);
    world.establish();
    assert_eq!(world.connect_request().session_id, SessionId(0));
    world.accept();
    assert!(matches!(world.events()[0], Event::Connected { session_id: SESSION, resumed: false, .. }));
}

#[test]
fn probes_go_round_the_servers_at_doubling_intervals() {
    let mut world = read_only();
    let mut at = Vec::new();
    for _ in 0..4000 {
        let before = probes(&world).len();
        world.tick();
        if probes(&world).len() > before {
            at.push(world.now);
        }
        world.pong();
        world.now = world.now + millis(50);
    }
    let waits: Vec<_> = at.windows(2).map(|pair| (pair[1] - pair[0]).as_millis()).collect();
    assert_eq!(waits[..6], [200, 400, 800, 1600, 3200, 6400]);
    assert!(waits.iter().all(|&wait| wait <= 60_050), "{waits:?}");
    let servers: Vec<_> = probes(&world).into_iter().map(|(_, server)| server).collect();
    assert_eq!(servers[..3], ["b:2", "c:3", "a:1"]);
}

#[test]
fn an_old_probe_or_one_that_found_nothing_moves_nobody() {
    let mut world = read_only();
    world.tick();
    world.advance(millis(250));
    let first = probes(&world)[0].0;
    world.command(|session, now| session.handle_probed(first, true, now));
    let last = probes(&world).last().unwrap().0;
    world.command(|session, now| session.handle_probed(last, false, now));
    world.command(|session, now| session.handle_probed(ProbeId::from_number(99), true, now));
    assert_eq!(world.state(), State::ConnectedReadOnly);
}

fn moved_to(world: &World) -> Option<String> {
    world.trace.iter().rev().find_map(|action| match action {
        Action::Connect { server, .. } => Some(server.to_string()),
        _ => None,
    })
}

#[test]
fn a_session_whose_server_leaves_the_list_moves_to_a_listed_one() {
    let mut world = World::ready(config("a:1"));
    world.command(|session, now| session.update_servers("b:2,c:3".parse().unwrap(), now)).unwrap();
    assert_eq!(world.events(), [Event::Disconnected { reason: DisconnectReason::Rebalanced }]);
    world.await_attempt();
    assert_ne!(moved_to(&world).as_deref(), Some("a:1"));
    world.establish();
    assert_eq!(world.connect_request().session_id, SESSION);
}

#[test]
fn a_session_whose_server_stays_in_a_list_that_does_not_grow_stays() {
    let mut world = World::ready(config("a:1,b:2"));
    let current = moved_to(&world).unwrap();
    world.command(|session, now| session.update_servers(current.parse().unwrap(), now)).unwrap();
    assert!(world.session.is_ready());
}

/// INV-58: the turn goes on behind the server that the session is on.
#[test]
fn a_session_that_stays_through_a_new_list_tries_its_own_server_last() {
    let mut listed = config("a:1,b:2,c:3");
    listed.server_order = ServerOrder::AsListed;
    let mut world = World::ready(listed);
    world.command(|session, now| session.update_servers("c:3,a:1,b:2".parse().unwrap(), now)).unwrap();
    assert!(world.session.is_ready());
    let mut tried = Vec::new();
    for _ in 0..3 {
        world.cut();
        world.await_attempt();
        tried.extend(moved_to(&world));
    }
    assert_eq!(tried, ["b:2", "c:3", "a:1"]);
}

/// ZOOKEEPER-1355: from two servers to three, a third of the sessions move, all to the new one.
#[test]
fn sessions_move_in_proportion_when_the_list_grows() {
    let mut moved = 0;
    for seed in 0..900 {
        let mut seeded = config("a:1,b:2");
        seeded.seed = seed;
        let mut world = World::ready(seeded);
        world.command(|session, now| session.update_servers("a:1,b:2,c:3".parse().unwrap(), now)).unwrap();
        if !world.session.is_ready() {
            assert_eq!(moved_to(&world).as_deref(), Some("c:3"));
            moved += 1;
        }
    }
    assert!((250..350).contains(&moved), "{moved} of 900");
}

/// The servers 3.4 to 3.6 resume a session also without a quorum; INV-26.
#[test]
fn a_session_that_is_resumed_by_a_read_only_server_stays_its_own() {
    let mut may_be = config("a:1,b:2");
    may_be.read_only = true;
    let mut world = World::ready(may_be);
    let credentials = world.session.credentials();
    world.cut();
    world.establish();
    world.accept_as(SESSION, 9000, true);
    assert_eq!(world.state(), State::ConnectedReadOnly);
    assert_eq!(world.session.credentials(), credentials);
    world.tick();
    let (probe, _) = probes(&world)[0].clone();
    world.command(|session, now| session.handle_probed(probe, true, now));
    world.await_attempt();
    world.establish();
    assert_eq!(world.connect_request().session_id, SESSION);
    world.events();
    world.accept();
    let resumed = |event: &Event| matches!(event, Event::Connected { resumed: true, read_only: false, .. });
    assert!(world.events().iter().any(resumed));
}

/// Since 3.7 a read-only server refuses so to make a session: by a reply's header where a ConnectResponse is due.
#[test]
fn a_reply_header_in_place_of_a_connect_response_costs_the_attempt_alone() {
    let mut may_be = config("a:1,b:2");
    may_be.read_only = true;
    let mut world = World::associating(may_be);
    world.receive(&reply_frame(0, 5, Err(ErrorCode::NOT_READ_ONLY)));
    assert_eq!(world.state(), State::Connecting);
    assert!(world.events().is_empty(), "the next server is tried");
    world.establish();
    world.accept();
    assert_eq!(world.state(), State::Connected);
}

#[test]
fn another_chroot_is_refused() {
    let mut world = World::ready(config("a:1/app"));
    let error = world.command(|session, now| session.update_servers("b:2/other".parse().unwrap(), now));
    assert!(matches!(error, Err(SubmitError::InvalidArgument { .. })));
    assert!(world.session.is_ready());
}

fn new_session() -> Config {
    let mut never = config("a:1,b:2");
    never.on_loss = OnLoss::NewSession;
    never
}

#[test]
fn a_session_that_is_never_resumed_ends_with_its_connection_and_another_begins() {
    let mut world = World::ready(new_session());
    assert_eq!(world.session.epoch(), 0);
    let watch = world.submit(watch_data("/a"));
    world.reply_to(watch, 3, Ok(data(b"x")));
    let safe = RequestOptions::default().with_retry(zk_session::Retry::WhenSafe);
    world.submit_with(get_data("/b"), safe);
    world.events();
    world.cut();
    let events = world.events();
    assert!(
        matches!(&events[0], Event::Reply(reply) if reply.result.is_err()),
        "no retry into another session"
    );
    let reason = WatchEndReason::SessionEnded;
    assert_eq!(events[1], Event::WatchEnded { request: watch, path: "/a".into(), reason });
    assert_eq!(world.session.credentials(), None);
    world.establish();
    assert_eq!(world.connect_request().session_id, SessionId(0));
    world.accept_as(SessionId(7), 9000, false);
    assert!(matches!(world.events()[0], Event::Connected { epoch: 1, resumed: false, .. }));
    assert_eq!(world.session.epoch(), 1);
    let old = RequestOptions::default().with_epoch(0);
    let stale = world.command(|session, now| session.submit(sync("/"), old, now));
    assert_eq!(stale, Err(SubmitError::StaleEpoch { asked: 0, current: 1 }));
    world.submit_with(sync("/"), RequestOptions::default().with_epoch(1));
}

fn create() -> Request {
    Request::create("/a", None, OPEN_ACL_UNSAFE, CreateMode::Persistent)
}

fn old_create() -> Request {
    let Request::Create2(CreateRequest { path, data, acl, flags }) = create() else { panic!() };
    Request::Create(CreateRequest { path, data, acl, flags })
}

fn unknown_operation(world: &mut World, xid: i32) {
    world.reply(xid, -1, Err(ErrorCode::UNIMPLEMENTED));
}

#[test]
fn a_create_falls_back_where_the_server_has_no_create2() {
    let mut world = World::ready(config("a:1"));
    let first = world.submit(create());
    assert_eq!(world.sent_requests(), [create()]);
    unknown_operation(&mut world, 1);
    let reason = DisconnectReason::UnsupportedOperation { op: OpCode::CREATE2 };
    assert_eq!(world.events(), [Event::Disconnected { reason }]);
    world.await_attempt();
    world.establish();
    world.accept();
    assert_eq!(world.sent_requests(), [old_create()]);
    world.reply_to(first, 3, Ok(Response::Create(CreateResponse { path: "/a".into() })));
    let [reply] = <[_; 1]>::try_from(world.replies()).unwrap();
    assert_eq!((reply.request, reply.result.is_ok()), (first, true));
    // It is remembered.
    world.submit(create());
    assert_eq!(world.sent_requests(), [old_create()]);
}

/// INV-13: it must not run although something before it is lost.
#[test]
fn a_create_does_not_fall_back_past_a_request_that_is_lost() {
    let mut world = World::ready(config("a:1"));
    world.submit(get_data("/a"));
    let second = world.submit(create());
    unknown_operation(&mut world, 2);
    let [reply] = <[_; 1]>::try_from(world.replies()).unwrap();
    assert_eq!((reply.request, reply.result.unwrap_err().code()), (second, Some(ErrorCode::UNIMPLEMENTED)));
}

#[test]
fn an_operation_that_a_server_does_not_have_is_told_and_not_sent_there_again() {
    let mut world = World::ready(config("a:1"));
    let who_am_i = world.submit(Request::WhoAmI);
    world.sent();
    unknown_operation(&mut world, 1);
    assert_eq!(world.error().code(), Some(ErrorCode::UNIMPLEMENTED));
    world.cut();
    world.await_attempt();
    world.establish();
    world.accept();
    world.events();
    world.submit(Request::WhoAmI);
    assert!(world.sent().is_empty());
    let failure = Failure::Unsupported { op: OpCode::WHO_AM_I };
    assert_eq!(world.error(), RequestError::Failed { failure, delivery: Delivery::NotSent });
    let _ = who_am_i;
}

#[test]
fn what_a_server_did_not_have_is_asked_for_again_on_a_connection_an_hour_later() {
    let again = |after: Duration| {
        let mut world = World::ready(config("a:1"));
        world.submit(Request::WhoAmI);
        world.sent();
        unknown_operation(&mut world, 1);
        world.cut();
        world.await_attempt();
        world.now = world.now + after;
        world.cut();
        world.await_attempt();
        world.establish();
        world.accept();
        world.submit(Request::WhoAmI);
        world.sent().len()
    };
    assert_eq!(again(Duration::from_secs(59 * 60)), 0);
    assert_eq!(again(Duration::from_secs(60 * 60)), 1);
}

#[test]
fn unimplemented_in_its_turn_is_a_refusal_like_any_other() {
    let mut world = World::ready(config("a:1"));
    let mode = CreateMode::PersistentWithTtl(1000);
    for _ in 0..2 {
        let request = world.submit(Request::create("/t", None, OPEN_ACL_UNSAFE, mode));
        assert_eq!(world.sent().len(), 1);
        world.reply_to(request, 3, Err(ErrorCode::UNIMPLEMENTED));
        assert_eq!(world.error().code(), Some(ErrorCode::UNIMPLEMENTED));
    }
}

#[test]
fn a_create_that_fell_back_is_asked_for_anew_on_the_next_connection() {
    let mut world = World::ready(config("a:1"));
    world.submit(create());
    unknown_operation(&mut world, 1);
    world.await_attempt();
    world.establish();
    world.accept();
    let safe = RequestOptions::default().with_retry(zk_session::Retry::WhenSafe);
    let xid = world.wire().oldest_unanswered().unwrap();
    world.reply(xid, 3, Ok(Response::Create(CreateResponse { path: "/a".into() })));
    world.takes_at_once = false;
    let again = world.submit_with(create(), safe);
    world.sent();
    world.take(0);
    world.cut();
    world.takes_at_once = true;
    world.await_attempt();
    world.establish();
    world.accept();
    assert_eq!(world.sent_requests(), [old_create()], "this server is known not to have create2");
    world.reply_to(again, 4, Ok(Response::Create(CreateResponse { path: "/a".into() })));
    assert!(world.replies().iter().all(|reply| reply.result.is_ok()));
}

/// INV-59.
#[test]
fn probes_that_find_what_connections_do_not_cause_no_storm() {
    let mut may_be = config("a:1");
    may_be.read_only = true;
    let mut world = World::associating(may_be);
    let begin = world.now;
    for _ in 0..30 {
        world.accept_as(SessionId(0xfa4e), 9000, true);
        let before = probes(&world).len();
        while probes(&world).len() == before {
            world.now = world.session.poll_timeout().unwrap().max(world.now);
            world.tick();
            world.pong();
        }
        let (probe, _) = probes(&world).pop().unwrap();
        world.command(|session, now| session.handle_probed(probe, true, now));
        world.await_attempt();
        world.establish();
    }
    assert!(world.now - begin > core::time::Duration::from_secs(60), "{:?}", world.now - begin);
}

#[test]
fn moving_to_other_servers_is_no_failure() {
    let mut world = World::new(config("a:1"));
    world.command(|session, now| session.update_servers("b:2".parse().unwrap(), now)).unwrap();
    assert!(world.events().is_empty());
    assert_eq!(moved_to(&world).as_deref(), Some("b:2"));
}

/// INV-63: a cycle of failures begins anew with each accepted handshake.
#[test]
fn a_server_that_accepts_ends_the_cycle_that_failed_before() {
    let mut world = World::new(config("a:1,b:2"));
    world.cut();
    world.establish();
    world.accept();
    world.cut();
    world.await_attempt();
    world.cut();
    let is_told = |event: &Event| matches!(event, Event::AllServersFailed { .. });
    assert!(!world.events().iter().any(is_told), "one of two has failed since");
    world.await_attempt();
    world.cut();
    assert!(world.events().iter().any(is_told));
}

/// Design: T divided by the servers, and by three at least.
#[test]
fn an_attempt_has_its_share_of_the_session_timeout() {
    for (servers, millis) in [("a:1", 3000), ("a:1,b:1,c:1", 3000), ("a:1,b:1,c:1,d:1", 2250)] {
        let world = World::new(config(servers));
        let due = world.session.poll_timeout().expect("the attempt has a limit");
        assert_eq!(due - world.now, support::millis(millis), "{servers}");
    }
}

/// Lets the current connection end, and brings up the next one.
fn another(world: &mut World) {
    world.cut();
    world.await_attempt();
    world.establish();
    world.accept();
}

fn created() -> Response {
    Response::Create2(Create2Response { path: "/a".into(), stat: Stat::default() })
}

#[test]
fn what_waited_for_a_connection_is_not_sent_to_a_server_that_does_not_have_it() {
    let mut world = World::ready(config("a:1"));
    world.submit(Request::WhoAmI);
    unknown_operation(&mut world, 1);
    world.cut();
    world.events();
    world.submit(Request::WhoAmI);
    world.submit(get_data("/a"));
    world.await_attempt();
    world.establish();
    world.accept();
    assert_eq!(world.sent_requests(), [get_data("/a")]);
    let failure = Failure::Unsupported { op: OpCode::WHO_AM_I };
    assert_eq!(world.error(), RequestError::Failed { failure, delivery: Delivery::NotSent });
}

#[test]
fn what_a_server_did_not_have_is_forgotten_when_it_leaves_the_list() {
    for meanwhile in ["a:2", "b:1"] {
        let mut world = World::ready(config("a:1"));
        world.submit(Request::WhoAmI);
        unknown_operation(&mut world, 1);
        for servers in [meanwhile, "a:1"] {
            world.command(|session, now| session.update_servers(servers.parse().unwrap(), now)).unwrap();
            world.await_attempt();
            world.establish();
            world.accept();
        }
        world.submit(Request::WhoAmI);
        assert_eq!(world.sent_requests(), [Request::WhoAmI], "{meanwhile}");
    }
}

/// So it is asked for, and kept lest it isn't known.
#[test]
fn a_server_that_has_other_late_operations_may_lack_create2() {
    let mut world = World::ready(config("a:1"));
    let who_am_i = world.submit(Request::WhoAmI);
    world.reply_to(who_am_i, 3, Ok(Response::WhoAmI(WhoAmIResponse::default())));
    world.submit(create());
    world.events();
    unknown_operation(&mut world, 2);
    let reason = DisconnectReason::UnsupportedOperation { op: OpCode::CREATE2 };
    assert_eq!(world.events(), [Event::Disconnected { reason }]);
}

#[test]
fn after_a_server_without_create2_no_other_is_taken_to_have_it() {
    let mut listed = config("a:1,b:2,c:3");
    listed.server_order = ServerOrder::AsListed;
    let mut world = World::ready(listed);
    let first = world.submit(create());
    world.reply_to(first, 3, Ok(created()));
    another(&mut world);
    world.events();
    world.submit(create());
    let xid = world.wire().oldest_unanswered().unwrap();
    unknown_operation(&mut world, xid);
    assert_eq!(world.error().code(), Some(ErrorCode::UNIMPLEMENTED), "it wasn't expected");
    // As long as that connection holds, create stands in.
    world.sent();
    world.submit(create());
    assert_eq!(world.sent_requests(), [old_create()]);
    another(&mut world);
    world.events();
    world.submit(create());
    assert_eq!(world.sent_requests(), [create()]);
    let xid = world.wire().oldest_unanswered().unwrap();
    unknown_operation(&mut world, xid);
    let reason = DisconnectReason::UnsupportedOperation { op: OpCode::CREATE2 };
    assert_eq!(world.events(), [Event::Disconnected { reason }]);
}

#[test]
fn a_server_that_does_not_know_another_operation_is_asked_for_create2() {
    let mut world = World::ready(config("a:1"));
    world.submit(Request::WhoAmI);
    world.sent();
    unknown_operation(&mut world, 1);
    world.submit(create());
    assert_eq!(world.sent_requests(), [create()]);
}

#[test]
fn what_a_server_did_not_have_is_asked_for_again_after_exactly_an_hour() {
    let mut world = World::ready(config("a:1"));
    // A connection that held is followed by an attempt at once.
    world.advance(millis(3000));
    world.submit(Request::WhoAmI);
    unknown_operation(&mut world, 1);
    let learnt = world.now;
    world.cut();
    world.establish();
    world.accept();
    world.now = learnt + Duration::from_secs(60 * 60);
    world.cut();
    world.establish();
    world.accept();
    world.submit(Request::WhoAmI);
    assert_eq!(world.sent_requests(), [Request::WhoAmI]);
}

/// INV-26.
#[test]
fn the_attempt_after_a_probe_goes_where_a_read_write_server_was_found() {
    let mut world = read_only();
    world.tick();
    world.advance(millis(250));
    let (probe, server) = probes(&world).pop().unwrap();
    assert_ne!(server, "b:2", "that would be next in turn");
    world.command(|session, now| session.handle_probed(probe, true, now));
    assert_eq!(moved_to(&world), Some(server));
}
