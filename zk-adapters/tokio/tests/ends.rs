//! How sessions end: closed, dropped, expired, or with their runtime.

#![expect(clippy::unwrap_used, reason = "a story that goes wrong fails its test")]

mod story;

use core::time::Duration;
use std::{sync::mpsc, thread};

use story::{PATIENCE, Patient, builder, connect, event, make_familiar, standalone};
use tokio::runtime;
use zk_harness::{Direction, Relay};
use zk_tokio::{
    Client, ConnectError, CreateMode, Credentials, Delivery, Error, EventType, SessionEnd, SessionEvent,
    State, SubmitError, WatchEnded,
};

#[tokio::test]
async fn a_close_is_confirmed_and_takes_the_ephemeral_znodes_with_it() {
    let server = standalone();
    let (observer, _) = connect(&server.connect_string()).await;
    let (client, mut events) = connect(&server.connect_string()).await;
    make_familiar(&client, &mut events).await;
    let create = client.create("/e", "", CreateMode::Ephemeral);
    let (_, mut watch) = client.exists_and_watch("/never").patient().await.unwrap();

    assert_eq!(client.close().patient().await, SessionEnd::Closed { confirmed: true });
    create.patient().await.unwrap();
    assert_eq!(observer.exists("/e").patient().await.unwrap(), None);
    assert_eq!(watch.changed().patient().await, Err(WatchEnded::SessionEnded));
    assert_eq!(client.get_data("/").patient().await, Err(Error::NotSubmitted(SubmitError::Closed)));
    assert_eq!(client.close().patient().await, SessionEnd::Closed { confirmed: true });
    event(&mut events, |event| matches!(event, SessionEvent::Closed { confirmed: true })).await;
    assert!(events.next().patient().await.is_none());
}

#[tokio::test]
async fn dropping_the_last_handle_closes_the_session_after_its_requests() {
    let server = standalone();
    let (observer, _) = connect(&server.connect_string()).await;
    let (client, mut events) = connect(&server.connect_string()).await;
    make_familiar(&client, &mut events).await;
    let create = client.create("/e", "", CreateMode::Ephemeral);
    let clone = client.with_deadline(PATIENCE);
    drop(client);
    clone.sync("/").patient().await.unwrap();
    drop(clone);
    create.patient().await.unwrap();
    event(&mut events, |event| matches!(event, SessionEvent::Closed { confirmed: true })).await;
    assert_eq!(observer.exists("/e").patient().await.unwrap(), None);
}

#[tokio::test]
async fn a_close_that_no_server_confirms_ends_in_time() {
    let server = standalone();
    let relay = Relay::start(server.address(0)).unwrap();
    let builder = builder(&relay.address().to_string());
    let impatient = builder.configure(|config| config.close_timeout = Duration::from_millis(100));
    let (client, _) = impatient.connect().patient().await.unwrap();
    relay.black_hole(Direction::ToClient);
    assert_eq!(client.close().patient().await, SessionEnd::Closed { confirmed: false });
}

#[tokio::test]
async fn a_session_that_was_cut_off_too_long_is_told_that_it_has_expired() {
    let server = standalone();
    let relay = Relay::start(server.address(0)).unwrap();
    let (observer, _) = connect(&server.connect_string()).await;
    let cut_off = builder(&relay.address().to_string()).session_timeout(Duration::from_secs(1));
    let (client, mut events) = cut_off.connect().patient().await.unwrap();
    client.create("/e", "", CreateMode::Ephemeral).patient().await.unwrap();
    let (_, mut own_watch) = client.exists_and_watch("/never").patient().await.unwrap();
    let (_, mut watch) = observer.get_data_and_watch("/e").patient().await.unwrap();

    relay.refuse();
    relay.cut();
    event(&mut events, |event| matches!(event, SessionEvent::MayBeExpired)).await;
    assert_eq!(watch.changed().patient().await.unwrap().event_type, EventType::NODE_DELETED);
    assert_ne!(client.state(), State::Expired, "only a server can tell");
    relay.accept();

    assert!(matches!(client.ended().patient().await, SessionEnd::Expired { .. }));
    event(&mut events, |event| matches!(event, SessionEvent::Expired { .. })).await;
    assert!(events.next().patient().await.is_none());
    assert_eq!(own_watch.changed().patient().await, Err(WatchEnded::SessionEnded));
    assert_eq!(client.sync("/").patient().await, Err(Error::NotSubmitted(SubmitError::Expired)));
}

#[tokio::test]
async fn a_runtime_that_was_blocked_too_long_is_told_that_the_session_has_expired() {
    let server = standalone();
    let (observer, _) = connect(&server.connect_string()).await;
    let (armed, is_armed) = tokio::sync::oneshot::channel();
    let (release, released) = mpsc::channel::<()>();
    let connect_string = server.connect_string();
    let blocked = thread::spawn(move || {
        current_thread().block_on(async {
            let short = builder(&connect_string).session_timeout(Duration::from_secs(1));
            let (client, mut events) = short.connect().patient().await.unwrap();
            client.create("/e", "", CreateMode::Ephemeral).patient().await.unwrap();
            armed.send(()).unwrap();
            // Nothing else runs on this runtime meanwhile.
            released.recv_timeout(PATIENCE).unwrap();
            event(&mut events, |event| matches!(event, SessionEvent::Expired { .. })).await;
        });
    });
    is_armed.patient().await.unwrap();
    let (_, mut watch) = observer.get_data_and_watch("/e").patient().await.unwrap();
    assert_eq!(watch.changed().patient().await.unwrap().event_type, EventType::NODE_DELETED);
    release.send(()).unwrap();
    tokio::task::spawn_blocking(|| blocked.join()).patient().await.unwrap().unwrap();
}

#[tokio::test]
async fn a_runtime_that_was_blocked_for_a_while_is_told_so_and_keeps_its_connection() {
    let server = standalone();
    let builder = builder(&server.connect_string()).session_timeout(Duration::from_secs(2));
    let (client, mut events) = builder.connect().patient().await.unwrap();
    // The driver shares this thread, and should ping twice meanwhile.
    thread::sleep(Duration::from_millis(1500));
    event(&mut events, |event| matches!(event, SessionEvent::Late { .. })).await;
    client.sync("/").patient().await.unwrap();
    assert_eq!(client.stats().connections, 1);
    assert!(events.try_next().is_none());
}

#[tokio::test]
async fn an_idle_session_is_kept_alive_and_measures_how_far_its_server_is() {
    let server = standalone();
    let builder = builder(&server.connect_string()).session_timeout(Duration::from_secs(3));
    let (client, mut events) = builder.connect().patient().await.unwrap();
    event(&mut events, |event| matches!(event, SessionEvent::Ready)).await;
    tokio::time::sleep(Duration::from_millis(4500)).await;
    let stats = client.stats();
    assert!(stats.pings >= 3 && stats.pongs + 1 >= stats.pings, "{stats:?}");
    assert!(stats.last_ping_round_trip.is_some_and(|trip| trip > Duration::ZERO), "{stats:?}");
    assert_eq!((stats.connections, stats.attempts), (1, 1));
    client.sync("/").patient().await.unwrap();
}

#[tokio::test]
async fn a_session_is_resumed_by_another_client() {
    let server = standalone();
    let credentials = abandon_session(server.connect_string()).await;
    let resumed = builder(&server.connect_string()).resume(credentials.clone());
    let (client, mut events) = resumed.connect().patient().await.unwrap();
    event(&mut events, |event| matches!(event, SessionEvent::Connected { resumed: true, .. })).await;
    assert_eq!(client.session_id(), Some(credentials.session_id));
    let stat = client.exists("/e").patient().await.unwrap().unwrap();
    assert_eq!(stat.ephemeral_owner, credentials.session_id);
}

#[tokio::test]
async fn a_session_with_a_wrong_password_is_expired() {
    let server = standalone();
    let mut credentials = abandon_session(server.connect_string()).await;
    credentials.password = vec![7; 16].into();
    let refused = builder(&server.connect_string()).resume(credentials).connect().patient().await;
    assert!(matches!(refused, Err(ConnectError::Expired { .. })), "{refused:?}");
}

/// A session with the ephemeral znode `/e` whose client has died.
async fn abandon_session(connect_string: String) -> Credentials {
    let abandoning = tokio::task::spawn_blocking(move || {
        current_thread().block_on(async {
            let (client, _) = connect(&connect_string).await;
            client.create("/e", "", CreateMode::Ephemeral).patient().await.unwrap();
            let credentials = client.credentials().unwrap();
            // The runtime ends before the handle: nobody closes the session.
            (client, credentials)
        })
    });
    let (client, credentials) = abandoning.patient().await.unwrap();
    assert_eq!(client.close().patient().await, SessionEnd::DriverGone);
    credentials
}

#[test]
fn what_waits_ends_when_the_runtime_is_dropped() {
    let server = standalone();
    let relay = Relay::start(server.address(0)).unwrap();
    let gone = current_thread();
    let (client, mut events) = gone.block_on(connect(&relay.address().to_string()));
    let (_, mut watch) = gone.block_on(client.exists_and_watch("/never").patient()).unwrap();
    relay.black_hole(Direction::ToServer);
    let sent = client.create("/a", "", CreateMode::Persistent);
    gone.block_on(until_sent(&client));
    let not_sent = client.create("/b", "", CreateMode::Persistent);
    drop(gone);

    current_thread().block_on(async {
        assert_eq!(sent.patient().await, Err(Error::DriverGone { delivery: Delivery::MaybeApplied }));
        assert_eq!(not_sent.patient().await, Err(Error::DriverGone { delivery: Delivery::NotSent }));
        assert_eq!(watch.changed().patient().await, Err(WatchEnded::DriverGone));
        let late = client.sync("/").patient().await;
        assert_eq!(late, Err(Error::DriverGone { delivery: Delivery::NotSent }));
        assert_eq!(client.close().patient().await, SessionEnd::DriverGone);
        event(&mut events, |event| matches!(event, SessionEvent::DriverGone)).await;
        assert!(events.next().patient().await.is_none());
    });
}

async fn until_sent(client: &Client) {
    while client.stats().in_flight == 0 {
        tokio::task::yield_now().await;
    }
}

fn current_thread() -> runtime::Runtime {
    runtime::Builder::new_current_thread().enable_all().build().unwrap()
}
