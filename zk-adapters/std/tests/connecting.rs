//! How sessions are established, or not, with the servers that a connect string names.

mod story;

use core::{net::SocketAddr, time::Duration};
use std::time::Instant;

use story::{PATIENCE, Patient, builder, connect, event, standalone};
use zk_harness::{BlackHole, DeadPort};
use zk_session::ServerOrder;
use zk_std::{
    AttemptCause, Client, ConnectError, CreateMode, DialError, ServerAddr, SessionEnd, SessionEvent,
};

#[test]
fn a_server_is_found_among_dead_silent_and_unknown_ones() {
    let server = standalone();
    let dead = DeadPort::take().unwrap();
    let silent = BlackHole::open().unwrap();
    let servers = [
        dead.address().to_string(),
        silent.address().to_string(),
        UNKNOWN.to_owned(),
        server.address(0).to_string(),
    ];
    // Whatever the order in which they are tried.
    for seed in 0..4 {
        let builder = builder(&servers.join(",")).seed(seed).session_timeout(Duration::from_secs(2));
        let (client, mut events) = builder.connect_limit(PATIENCE).connect().unwrap();
        let connected = event(&mut events, |event| matches!(event, SessionEvent::Connected { .. }));
        let SessionEvent::Connected { server: found, address, .. } = connected else { unreachable!() };
        assert_eq!(address, server.address(0));
        assert_eq!(client.server(), Some(found));
        client.sync("/").patient().unwrap();
    }
}

#[test]
fn a_failure_comes_in_time_and_names_a_reason_for_each_server() {
    let dead = DeadPort::take().unwrap();
    let silent = BlackHole::open().unwrap();
    let servers = format!("{},{},{UNKNOWN}", dead.address(), silent.address());
    let limit = Duration::from_secs(4);
    let begun = Instant::now();
    let builder = builder(&servers).session_timeout(Duration::from_secs(2)).connect_limit(limit);
    let error = builder.connect().unwrap_err();
    assert!(begun.elapsed() < limit + Duration::from_secs(2), "{:?}", begun.elapsed());

    let ConnectError::TimedOut { failures, .. } = &error else { panic!("{error:?}") };
    let cause = |server: &str| {
        let server: ServerAddr = server.parse().unwrap();
        let failure = failures.iter().find(|failure| failure.server == server);
        failure.map(|failure| failure.cause.clone()).unwrap_or_else(|| panic!("{server}: {error}"))
    };
    let AttemptCause::Dial(refused) = cause(&dead.address().to_string()) else { panic!("{error:?}") };
    assert!(matches!(&*refused, DialError::Addresses(addresses) if addresses.len() == 1), "{refused:?}");
    let AttemptCause::Dial(unknown) = cause(UNKNOWN) else { panic!("{error:?}") };
    assert!(matches!(&*unknown, DialError::Resolve(_)), "{unknown:?}");
    assert!(matches!(cause(&silent.address().to_string()), AttemptCause::Session(_)), "{error:?}");
    let message = error.to_string();
    assert!(message.contains(UNKNOWN) && message.contains("refused"), "{message}");
}

#[test]
fn servers_are_tried_in_the_order_that_is_asked_for() {
    let server = standalone();
    let dead = DeadPort::take().unwrap();
    let (good, bad) = (server.address(0).to_string(), dead.address().to_string());
    let first_tried = |order: ServerOrder, seed: u64| {
        let builder = builder(&format!("{bad},{good}")).seed(seed).connect_limit(PATIENCE);
        let ordered = builder.configure(|config| config.server_order = order);
        let (_client, mut events) = ordered.connect().unwrap();
        let Some(SessionEvent::Connecting { server }) = events.try_next() else { panic!("no attempt") };
        server.to_string()
    };
    let preferred = ServerOrder::PreferredFirst(vec![good.parse().unwrap()]);
    let mut shuffled = Vec::new();
    for seed in 0..8 {
        assert_eq!(first_tried(preferred.clone(), seed), good);
        assert_eq!(first_tried(ServerOrder::AsListed, seed), bad);
        shuffled.push(first_tried(ServerOrder::Shuffled, seed));
    }
    assert!(shuffled.contains(&good) && shuffled.contains(&bad), "{shuffled:?}");
}

#[test]
fn the_attempts_are_told_from_the_first_on() {
    let server = standalone();
    let (_client, mut events) = connect(&server.connect_string());
    assert!(matches!(events.try_next(), Some(SessionEvent::Connecting { .. })));
    assert!(matches!(events.try_next(), Some(SessionEvent::Connected { resumed: false, .. })));
    assert!(matches!(events.try_next(), Some(SessionEvent::Ready)));
    assert!(events.try_next().is_none());
}

#[test]
fn requests_may_be_submitted_before_there_is_a_session() {
    let server = standalone();
    let (client, _) = builder(&server.connect_string()).start().unwrap();
    let create = client.create("/a", "", CreateMode::Persistent);
    assert_eq!(client.session_id(), None);
    create.patient().unwrap();
    assert!(client.session_id().is_some());
}

#[test]
fn a_client_that_finds_no_server_is_closed_at_once() {
    let dead = DeadPort::take().unwrap();
    let (client, _) = builder(&dead.address().to_string()).start().unwrap();
    let waiting = client.sync("/");
    assert_eq!(client.close(), SessionEnd::Closed { confirmed: false });
    let delivery = waiting.patient().unwrap_err().delivery();
    assert_eq!(delivery, Some(zk_std::Delivery::NotSent));
}

#[test]
fn a_name_with_an_address_that_refuses_is_reached_by_another() {
    let server = standalone();
    let port = server.address(0).port();
    // Where this name has an address of each family, the server listens on one of them.
    let (client, mut events) = connect(&format!("localhost:{port}"));
    let connected = event(&mut events, |event| matches!(event, SessionEvent::Connected { .. }));
    let SessionEvent::Connected { address, .. } = connected else { unreachable!() };
    assert_eq!(address, SocketAddr::from(([127, 0, 0, 1], port)));
    assert_eq!(&*client.server().unwrap().host, "localhost");
}

#[test]
fn new_servers_are_used_from_the_next_connection_on() {
    let (old, new) = (standalone(), standalone());
    let (client, mut events) = connect(&old.connect_string());
    client.update_servers(&new.connect_string()).unwrap();
    old.kill(0);
    let is_new = |server: &ServerAddr| server.to_string() == new.address(0).to_string();
    let moves = |event: &SessionEvent| matches!(event, SessionEvent::Connecting { server } if is_new(server));
    event(&mut events, moves);
    // It has never heard of the session.
    assert!(matches!(client.ended(), SessionEnd::Expired { .. }));
    let error = client.update_servers(&new.connect_string()).unwrap_err();
    assert!(matches!(error, ConnectError::Refused(_)), "{error:?}");
}

#[test]
fn an_unreadable_connect_string_is_refused() {
    let error = Client::connect("a:0").unwrap_err();
    assert!(matches!(error, ConnectError::ConnectString(_)), "{error:?}");
}

/// No resolver knows this top-level domain (RFC 6761).
const UNKNOWN: &str = "zookeeper.invalid:2181";
