//! How sessions end: closed, dropped, expired, or with their runtime.

#![expect(clippy::unwrap_used, reason = "a story that goes wrong fails its test")]

mod story;

use core::time::Duration;
use std::{thread, time::Instant};

use story::{PATIENCE, Patient, builder, changed, connect, event, make_familiar, standalone, until};
use zk_harness::{Direction, Ensemble, Relay};
use zk_std::{
    ConnectError, CreateMode, Credentials, Error, EventType, SessionEnd, SessionEvent, State, SubmitError,
    WatchEnded,
};

#[test]
fn a_close_is_confirmed_and_takes_the_ephemeral_znodes_with_it() {
    let server = standalone();
    let (observer, _) = connect(&server.connect_string());
    let (client, mut events) = connect(&server.connect_string());
    make_familiar(&client, &mut events);
    let create = client.create("/e", "", CreateMode::Ephemeral);
    let (_, mut watch) = client.exists_and_watch("/never").patient().unwrap();

    assert_eq!(client.close(), SessionEnd::Closed { confirmed: true });
    create.patient().unwrap();
    assert_eq!(observer.exists("/e").patient().unwrap(), None);
    assert_eq!(changed(&mut watch), Err(WatchEnded::SessionEnded));
    assert_eq!(client.get_data("/").patient(), Err(Error::NotSubmitted(SubmitError::Closed)));
    assert_eq!(client.close(), SessionEnd::Closed { confirmed: true });
    event(&mut events, |event| matches!(event, SessionEvent::Closed { confirmed: true }));
    assert!(events.next_timeout(PATIENCE).is_none());
}

#[test]
fn dropping_the_last_handle_closes_the_session_after_its_requests() {
    let server = standalone();
    let (observer, _) = connect(&server.connect_string());
    let (client, mut events) = connect(&server.connect_string());
    make_familiar(&client, &mut events);
    let create = client.create("/e", "", CreateMode::Ephemeral);
    let clone = client.with_deadline(PATIENCE);
    drop(client);
    clone.sync("/").patient().unwrap();
    drop(clone);
    create.patient().unwrap();
    event(&mut events, |event| matches!(event, SessionEvent::Closed { confirmed: true }));
    assert_eq!(observer.exists("/e").patient().unwrap(), None);
}

#[test]
fn a_close_that_no_server_confirms_ends_in_time() {
    let server = standalone();
    let relay = Relay::start(server.address(0)).unwrap();
    let builder = builder(&relay.address().to_string());
    let impatient = builder.configure(|config| config.close_timeout = Duration::from_millis(100));
    let (client, _) = impatient.connect().unwrap();
    relay.black_hole(Direction::ToClient);
    assert_eq!(client.close(), SessionEnd::Closed { confirmed: false });
}

#[test]
fn a_session_that_was_cut_off_too_long_is_told_that_it_has_expired() {
    let server = standalone();
    let relay = Relay::start(server.address(0)).unwrap();
    let (observer, _) = connect(&server.connect_string());
    let cut_off = builder(&relay.address().to_string()).session_timeout(Duration::from_secs(1));
    let (client, mut events) = cut_off.connect().unwrap();
    client.create("/e", "", CreateMode::Ephemeral).patient().unwrap();
    let (_, mut own_watch) = client.exists_and_watch("/never").patient().unwrap();
    let (_, mut watch) = observer.get_data_and_watch("/e").patient().unwrap();

    relay.refuse();
    relay.cut();
    event(&mut events, |event| matches!(event, SessionEvent::MayBeExpired));
    assert_eq!(changed(&mut watch).unwrap().event_type, EventType::NODE_DELETED);
    assert_ne!(client.state(), State::Expired, "only a server can tell");
    relay.accept();

    assert!(matches!(client.ended(), SessionEnd::Expired { .. }));
    event(&mut events, |event| matches!(event, SessionEvent::Expired { .. }));
    assert!(events.next_timeout(PATIENCE).is_none());
    assert_eq!(changed(&mut own_watch), Err(WatchEnded::SessionEnded));
    assert_eq!(client.sync("/").patient(), Err(Error::NotSubmitted(SubmitError::Expired)));
}

#[test]
fn an_idle_session_is_kept_alive_and_measures_how_far_its_server_is() {
    let server = standalone();
    let builder = builder(&server.connect_string()).session_timeout(Duration::from_secs(3));
    let (client, mut events) = builder.connect().unwrap();
    event(&mut events, |event| matches!(event, SessionEvent::Ready));
    thread::sleep(Duration::from_millis(4500));
    let stats = client.stats();
    assert!(stats.pings >= 3 && stats.pongs + 1 >= stats.pings, "{stats:?}");
    assert!(stats.last_ping_round_trip.is_some_and(|trip| trip > Duration::ZERO), "{stats:?}");
    assert_eq!((stats.connections, stats.attempts), (1, 1));
    client.sync("/").patient().unwrap();
}

#[test]
fn a_session_is_resumed_by_another_client() {
    let server = standalone();
    let credentials = abandon_session(&server);
    let resumed = builder(&server.connect_string()).resume(credentials.clone());
    let (client, mut events) = resumed.connect().unwrap();
    event(&mut events, |event| matches!(event, SessionEvent::Connected { resumed: true, .. }));
    assert_eq!(client.session_id(), Some(credentials.session_id));
    let stat = client.exists("/e").patient().unwrap().unwrap();
    assert_eq!(stat.ephemeral_owner, credentials.session_id);
}

#[test]
fn a_session_with_a_wrong_password_is_expired() {
    let server = standalone();
    let mut credentials = abandon_session(&server);
    credentials.password = vec![7; 16].into();
    let refused = builder(&server.connect_string()).resume(credentials).connect();
    assert!(matches!(refused, Err(ConnectError::Expired { .. })), "{refused:?}");
}

/// A session with the ephemeral znode `/e` whose client was cut off.
fn abandon_session(server: &Ensemble) -> Credentials {
    let relay = Relay::start(server.address(0)).unwrap();
    let (client, _) = connect(&relay.address().to_string());
    client.create("/e", "", CreateMode::Ephemeral).patient().unwrap();
    let credentials = client.credentials().unwrap();
    relay.refuse();
    relay.cut();
    credentials
}

#[test]
fn a_wait_that_is_given_up_leaves_the_request_under_way() {
    let server = standalone();
    let relay = Relay::start(server.address(0)).unwrap();
    let (client, _) = connect(&relay.address().to_string());
    relay.black_hole(Direction::ToClient);
    let mut create = client.create("/a", "", CreateMode::Persistent);
    let begun = Instant::now();
    assert!(create.wait_timeout(Duration::from_millis(200)).is_none());
    assert!(begun.elapsed() >= Duration::from_millis(200) && begun.elapsed() < Duration::from_secs(2));
    relay.heal();
    assert_eq!(create.wait_timeout(PATIENCE).unwrap().unwrap().path, "/a");
}

#[test]
fn every_wait_ends_when_another_thread_closes_the_session() {
    let server = standalone();
    let relay = Relay::start(server.address(0)).unwrap();
    let impatient = builder(&relay.address().to_string());
    let impatient = impatient.configure(|config| config.close_timeout = Duration::from_millis(300));
    let (client, mut events) = impatient.connect().unwrap();
    let (_, mut watch) = client.exists_and_watch("/never").patient().unwrap();
    relay.black_hole(Direction::ToClient);
    thread::scope(|scope| {
        let waits = [
            scope.spawn(|| assert_eq!(changed(&mut watch), Err(WatchEnded::SessionEnded))),
            scope.spawn(|| drop(client.sync("/").wait().unwrap_err())),
            scope.spawn(|| drop(client.without_deadline().get_data("/").wait().unwrap_err())),
            scope.spawn(|| while events.next().is_some() {}),
            scope.spawn(|| assert_eq!(client.ended(), SessionEnd::Closed { confirmed: false })),
        ];
        until(|| client.stats().in_flight == 2);
        assert_eq!(client.close(), SessionEnd::Closed { confirmed: false });
        for wait in waits {
            wait.join().unwrap();
        }
    });
}
