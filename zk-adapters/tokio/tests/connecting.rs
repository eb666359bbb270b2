//! How sessions are established, or not, with the servers that a connect string names.

#![expect(clippy::unwrap_used, reason = "a story that goes wrong fails its test")]

mod story;

use core::{net::SocketAddr, time::Duration};

use story::{PATIENCE, Patient, builder, connect, event, standalone};
use tokio::time::Instant;
use zk_harness::{BlackHole, DeadPort};
use zk_session::ServerOrder;
use zk_tokio::{
    AttemptCause, Client, ConnectError, CreateMode, DialError, DisconnectReason, ServerAddr, SessionEnd,
    SessionEvent,
};

#[tokio::test]
async fn a_server_is_found_among_dead_silent_and_unknown_ones() {
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
        let (client, mut events) = builder.connect_limit(PATIENCE).connect().patient().await.unwrap();
        let connected = event(&mut events, |event| matches!(event, SessionEvent::Connected { .. })).await;
        let SessionEvent::Connected { server: found, address, .. } = connected else { unreachable!() };
        assert_eq!(address, server.address(0));
        assert_eq!(client.server(), Some(found));
        client.sync("/").patient().await.unwrap();
    }
}

#[tokio::test]
async fn a_failure_comes_in_time_and_names_a_reason_for_each_server() {
    let dead = DeadPort::take().unwrap();
    let silent = BlackHole::open().unwrap();
    let servers = format!("{},{},{UNKNOWN}", dead.address(), silent.address());
    let limit = Duration::from_secs(4);
    let begun = Instant::now();
    let builder = builder(&servers).session_timeout(Duration::from_secs(2)).connect_limit(limit);
    let error = builder.connect().patient().await.unwrap_err();
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

#[tokio::test]
async fn servers_are_tried_in_the_order_that_is_asked_for() {
    let server = standalone();
    let dead = DeadPort::take().unwrap();
    let (good, bad) = (server.address(0).to_string(), dead.address().to_string());
    let first_tried = async |order: ServerOrder, seed: u64| {
        let builder = builder(&format!("{bad},{good}")).seed(seed).connect_limit(PATIENCE);
        let ordered = builder.configure(|config| config.server_order = order);
        let (_client, mut events) = ordered.connect().patient().await.unwrap();
        let Some(SessionEvent::Connecting { server }) = events.try_next() else { panic!("no attempt") };
        server.to_string()
    };
    let preferred = ServerOrder::PreferredFirst(vec![good.parse().unwrap()]);
    let mut shuffled = Vec::new();
    for seed in 0..8 {
        assert_eq!(first_tried(preferred.clone(), seed).await, good);
        assert_eq!(first_tried(ServerOrder::AsListed, seed).await, bad);
        shuffled.push(first_tried(ServerOrder::Shuffled, seed).await);
    }
    assert!(shuffled.contains(&good) && shuffled.contains(&bad), "{shuffled:?}");
}

#[tokio::test]
async fn the_attempts_are_told_from_the_first_on() {
    let server = standalone();
    let (_client, mut events) = connect(&server.connect_string()).await;
    assert!(matches!(events.try_next(), Some(SessionEvent::Connecting { .. })));
    assert!(matches!(events.try_next(), Some(SessionEvent::Connected { resumed: false, .. })));
    assert!(matches!(events.try_next(), Some(SessionEvent::Ready)));
    assert!(events.try_next().is_none());
}

#[tokio::test]
async fn requests_may_be_submitted_before_there_is_a_session() {
    let server = standalone();
    let (client, _) = builder(&server.connect_string()).start();
    let create = client.create("/a", "", CreateMode::Persistent);
    assert_eq!(client.session_id(), None);
    create.patient().await.unwrap();
    assert!(client.session_id().is_some());
}

#[tokio::test]
async fn a_client_that_finds_no_server_is_closed_at_once() {
    let dead = DeadPort::take().unwrap();
    let (client, _) = builder(&dead.address().to_string()).start();
    let waiting = client.sync("/");
    assert_eq!(client.close().patient().await, SessionEnd::Closed { confirmed: false });
    let delivery = waiting.patient().await.unwrap_err().delivery();
    assert_eq!(delivery, Some(zk_tokio::Delivery::NotSent));
}

#[tokio::test]
async fn a_name_with_an_address_that_refuses_is_reached_by_another() {
    let server = standalone();
    let port = server.address(0).port();
    // Where this name has an address of each family, the server listens on one of them.
    let (client, mut events) = connect(&format!("localhost:{port}")).await;
    let connected = event(&mut events, |event| matches!(event, SessionEvent::Connected { .. })).await;
    let SessionEvent::Connected { address, .. } = connected else { unreachable!() };
    assert_eq!(address, SocketAddr::from(([127, 0, 0, 1], port)));
    assert_eq!(&*client.server().unwrap().host, "localhost");
}

#[tokio::test]
async fn new_servers_are_used_from_the_next_connection_on() {
    let (old, new) = (standalone(), standalone());
    let (client, mut events) = connect(&old.connect_string()).await;
    client.update_servers(&new.connect_string()).unwrap();
    old.kill(0);
    let is_new = |server: &ServerAddr| server.to_string() == new.address(0).to_string();
    let moves = |event: &SessionEvent| matches!(event, SessionEvent::Connecting { server } if is_new(server));
    event(&mut events, moves).await;
    // It has never heard of the session.
    assert!(matches!(client.ended().patient().await, SessionEnd::Expired { .. }));
    let error = client.update_servers(&new.connect_string()).unwrap_err();
    assert!(matches!(error, ConnectError::Refused(_)), "{error:?}");
}

/// A server that has seen less than the session closes the connection without a word: that is no verdict on the session.
#[tokio::test]
async fn a_server_that_lags_behind_the_session_is_told_of_and_left_alone() {
    let (ahead, behind) = (standalone(), standalone());
    let builder = builder(&ahead.connect_string()).session_timeout(Duration::from_secs(30));
    let (client, mut events) = builder.connect_limit(PATIENCE).connect().patient().await.unwrap();
    let session_id = client.session_id();
    for version in 0..20 {
        client.set_data("/", "x", version).patient().await.unwrap();
    }
    client.update_servers(&behind.connect_string()).unwrap();
    let is_told = |event: &SessionEvent| {
        let reason = DisconnectReason::ClosedBeforeResponse;
        matches!(event, SessionEvent::AllServersFailed { last_reason, .. } if *last_reason == reason)
    };
    event(&mut events, is_told).await;
    client.update_servers(&ahead.connect_string()).unwrap();
    event(&mut events, |event| matches!(event, SessionEvent::Ready)).await;
    assert_eq!(client.session_id(), session_id);
    assert_eq!(client.get_data("/").patient().await.unwrap().stat.version, 20);
}

#[tokio::test]
async fn an_unreadable_connect_string_is_refused() {
    let error = Client::connect("a:0").patient().await.unwrap_err();
    assert!(matches!(error, ConnectError::ConnectString(_)), "{error:?}");
}

/// No resolver knows this top-level domain (RFC 6761).
const UNKNOWN: &str = "zookeeper.invalid:2181";
