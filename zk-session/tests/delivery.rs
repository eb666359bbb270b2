//! What can have reached a server, by what the driver reported.

mod support;

use support::{World, config, get_data, millis, sync};
use zk_session::{
    AuthInfo, Config, Delivery, Expiry, Instant, RequestOptions, Retry, SubmitError,
    zk_proto::{Bytes, Request, SetDataRequest},
};

/// A stalled world with three requests of 16 bytes each; the first chunk holds the first one alone.
fn stalled() -> World {
    stalled_with(config("a:1,b:2"))
}

fn stalled_with(config: Config) -> World {
    let mut world = World::ready(config);
    world.takes_at_once = false;
    for _ in 0..3 {
        world.submit(sync("/"));
    }
    world.events();
    world
}

fn deliveries(world: &mut World) -> Vec<Delivery> {
    world.replies().into_iter().filter_map(|reply| reply.result.expect_err("a failure").delivery()).collect()
}

use Delivery::{MaybeApplied, NotSent};

/// INV-03, INV-04.
#[test]
fn nothing_reported_counts_as_all_taken_and_a_report_counts_as_it_says() {
    let mut world = stalled();
    world.cut();
    assert_eq!(deliveries(&mut world), [MaybeApplied, NotSent, NotSent]);

    let mut world = stalled();
    world.take(0);
    world.cut();
    assert_eq!(deliveries(&mut world), [NotSent, NotSent, NotSent]);

    let mut world = stalled();
    world.take(1);
    world.cut();
    assert_eq!(deliveries(&mut world), [MaybeApplied, NotSent, NotSent]);
}

/// INV-03: what counts is any connection, not the last one alone.
#[test]
fn what_one_connection_took_was_sent_though_the_next_one_took_nothing() {
    let mut world = World::ready(config("a:1,b:2"));
    world.submit_with(sync("/"), RequestOptions::default().with_retry(Retry::WhenSafe));
    world.cut();
    world.establish();
    world.takes_at_once = false;
    world.accept();
    world.take(0);
    assert_eq!(world.session.stats().in_flight, 1, "it was handed out again");
    world.command(|session, now| session.close(now));
    world.advance(millis(6000));
    assert_eq!(deliveries(&mut world), [MaybeApplied]);
}

#[test]
fn each_request_of_a_chunk_counts_from_its_first_byte() {
    for (taken, expected) in [
        (0, [NotSent, NotSent]),
        (1, [MaybeApplied, NotSent]),
        (17, [MaybeApplied, NotSent]),
        (18, [MaybeApplied, MaybeApplied]),
        (34, [MaybeApplied, MaybeApplied]),
    ] {
        let mut world = stalled();
        let first = world.wire().outstanding();
        assert_eq!(first, 17);
        world.take(17);
        world.reply(1, 3, Err(zk_session::zk_proto::ErrorCode::NO_NODE));
        world.events();
        world.take(taken);
        world.cut();
        assert_eq!(deliveries(&mut world), expected, "{taken} bytes taken");
    }
}

#[test]
fn reports_may_come_in_pieces_and_too_large() {
    let mut world = stalled();
    for _ in 0..16 {
        world.take(1);
        assert_eq!(world.session.stats().in_flight, 1, "the chunk is still outstanding");
    }
    world.take(1000);
    assert_eq!(world.session.stats().in_flight, 3);
}

#[test]
fn a_long_frame_leaves_in_slices_and_nothing_overtakes_it() {
    let mut small = config("a:1,b:2");
    small.max_send_len = 100;
    let mut world = World::ready(small);
    world.takes_at_once = false;
    let data = Some(vec![7; 1000].into());
    let set = Request::SetData(SetDataRequest { path: "/a".into(), data, version: -1 });
    world.submit(set.clone());
    world.submit(sync("/"));
    let mut slices = 0;
    while world.wire().outstanding() > 0 {
        assert!(world.wire().outstanding() <= 100);
        world.advance(millis(400));
        world.pong();
        let outstanding = world.wire().outstanding();
        world.take(outstanding);
        slices += 1;
    }
    assert!(slices > 10);
    let sent = world.sent_requests();
    assert_eq!(sent[0], set);
    assert_eq!(sent.iter().filter(|request| **request == sync("/")).count(), 1);
}

/// INV-03: not sent means on no connection, ever.
#[test]
fn an_earlier_connections_bytes_count_when_the_session_ends() {
    let mut world = World::ready(config("a:1,b:2"));
    let options = RequestOptions::default().with_retry(Retry::WhenSafe);
    world.submit_with(get_data("/a"), options);
    world.cut();
    world.takes_at_once = false;
    world.establish();
    let outstanding = world.wire().outstanding();
    world.take(outstanding);
    world.accept();
    world.events();
    assert!(world.wire().outstanding() > 0, "the read is handed out again");
    world.take(0);
    world.command(|session, now| session.close(now));
    let limit = world.session.config().close_timeout;
    world.advance(limit);
    assert_eq!(deliveries(&mut world), [MaybeApplied]);
}

/// INV-62: a report of an earlier connection is nobody's.
#[test]
fn what_is_reported_of_an_earlier_connection_changes_nothing() {
    let mut world = stalled();
    let old = world.connection();
    world.cut();
    world.establish();
    let before = format!("{:?}", world.session);
    for now in [Instant::ZERO, world.now] {
        world.session.handle_sent(old, 17, now);
        world.session.handle_received(old, &[0; 8], now);
        world.session.handle_connected(old, now);
        world.session.handle_disconnected(old, now);
    }
    assert_eq!(format!("{:?}", world.session), before);
}

/// INV-03: until the driver asks what to do, the transport may take more of what was handed out.
#[test]
fn what_is_taken_between_a_command_and_the_next_poll_counts() {
    let commands: [fn(&mut World); 3] = [
        |world| update_servers(world, "c:3"),
        |world| {
            world.now = world.now + millis(60_000);
            update_servers(world, "a:1,b:2");
        },
        |world| {
            world.session.close(world.now);
            world.now = world.now + millis(60_000);
            update_servers(world, "a:1,b:2");
        },
    ];
    for command in commands {
        for (taken, last) in [(0, NotSent), (17, MaybeApplied)] {
            let mut config = config("a:1,b:2");
            config.expiry = Expiry::Client;
            let mut world = stalled_with(config);
            let first = world.wire().outstanding();
            world.take(first);
            world.take(1);
            world.polls = false;
            command(&mut world);
            world.take(taken);
            world.polls = true;
            world.drain();
            assert_eq!(deliveries(&mut world), [MaybeApplied, MaybeApplied, last]);
        }
    }
}

/// Leaves to the driver what comes of it, if anything may be asked for.
fn update_servers(world: &mut World, servers: &str) {
    let servers = servers.parse().expect("a connect string");
    let updated = world.session.update_servers(servers, world.now);
    assert!(matches!(updated, Ok(()) | Err(SubmitError::Closed)));
}

/// INV-03: what begins where the transport has stopped has not begun.
#[test]
fn a_request_behind_all_that_was_taken_was_not_sent_when_the_session_ends() {
    for (taken, last) in [(0, NotSent), (1, MaybeApplied)] {
        let mut config = config("a:1,b:2");
        config.close_timeout = millis(1000);
        let mut world = stalled_with(config);
        let first = world.wire().outstanding();
        world.take(first);
        world.take(taken);
        world.command(|session, now| session.close(now));
        world.advance(millis(1000));
        assert_eq!(deliveries(&mut world), [MaybeApplied, last, NotSent], "{taken} bytes taken");
    }
}

/// INV-03: an identity is no exception.
#[test]
fn an_identity_behind_all_that_was_taken_was_not_sent() {
    for (taken, expected) in [(0, NotSent), (1, MaybeApplied)] {
        let mut world = World::ready(config("a:1,b:2"));
        world.takes_at_once = false;
        world.submit(sync("/"));
        let info = AuthInfo { scheme: "digest".into(), auth: Bytes::from_static(b"bob:secret") };
        let call = world.session.add_auth(info, world.now).expect("accepted");
        world.note_accepted(call);
        let first = world.wire().outstanding();
        world.take(first);
        assert!(world.wire().outstanding() > 0, "it was handed out");
        world.take(taken);
        world.cut();
        world.events();
        world.command(|session, now| session.cancel(call, now));
        assert_eq!(deliveries(&mut world), [expected], "{taken} bytes taken");
    }
}
