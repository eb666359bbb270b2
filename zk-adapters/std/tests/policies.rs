//! What a session does by policy: changes of the list of servers, new sessions, its own expiry, what was given up.

mod story;

use core::time::Duration;

use story::{
    PATIENCE, Patient, builder, changed, connect, ensemble, event, make_familiar, standalone, until,
};
use zk_harness::Relay;
use zk_proto::{CreateRequest, Request};
use zk_session::{ExpiredBy, Expiry, OnLoss};
use zk_std::{CreateMode, DisconnectReason, Error, OPEN_ACL_UNSAFE, SessionEvent, SubmitError, WatchEnded};

#[test]
fn a_session_moves_when_its_server_leaves_the_list() {
    let ensemble = ensemble();
    let (client, mut events) = connect(&ensemble.address(0).to_string());
    client.create("/mine", "", CreateMode::Ephemeral).patient().unwrap();
    let session_id = client.session_id();
    client.update_servers(&format!("{},{}", ensemble.address(1), ensemble.address(2))).unwrap();
    let moved = |event: &SessionEvent| {
        matches!(event, SessionEvent::Disconnected { reason: DisconnectReason::Rebalanced, .. })
    };
    event(&mut events, moved);
    event(&mut events, |event| matches!(event, SessionEvent::Ready));
    assert_ne!(client.server().unwrap().port, ensemble.address(0).port());
    assert_eq!(client.session_id(), session_id);
    assert!(client.exists("/mine").patient().unwrap().is_some());
    assert!(client.update_servers("zk1/another-chroot").is_err());
}

#[test]
fn a_session_that_is_never_resumed_is_followed_by_another_one() {
    let server = standalone();
    let relay = Relay::start(server.address(0)).unwrap();
    let builder = builder(&relay.address().to_string()).connect_limit(PATIENCE);
    let never = builder.configure(|config| config.on_loss = OnLoss::NewSession);
    let (client, mut events) = never.connect().unwrap();
    let first = client.session_id();
    event(&mut events, |event| matches!(event, SessionEvent::Ready));
    let of_first = client.of_this_session();
    // The oldest create: to find out that a server has no other one costs the connection, and the session with it.
    let mine = CreateRequest { path: "/mine".into(), data: None, acl: OPEN_ACL_UNSAFE, flags: 1 };
    of_first.submit(Request::Create(mine)).patient().unwrap();
    let (_, mut watch) = of_first.exists_and_watch("/never").patient().unwrap();
    relay.cut();
    let is_next =
        |event: &SessionEvent| matches!(event, SessionEvent::Connected { epoch: 1, resumed: false, .. });
    event(&mut events, is_next);
    assert_ne!(client.session_id(), first);
    assert_eq!(changed(&mut watch), Err(WatchEnded::SessionEnded));
    let stale = of_first.delete("/mine", -1).patient().unwrap_err();
    assert_eq!(stale, Error::NotSubmitted(SubmitError::StaleEpoch { asked: 0, current: 1 }));
    let owner = client.exists("/mine").patient().unwrap().map(|stat| stat.ephemeral_owner);
    assert!(owner.is_none() || owner == first, "it goes when the first session has timed out");
    client.of_this_session().sync("/").patient().unwrap();
}

#[test]
fn a_session_told_to_expire_by_itself_does_so_without_a_server() {
    let server = standalone();
    let builder = builder(&server.connect_string()).connect_limit(PATIENCE);
    let own =
        builder.session_timeout(Duration::from_secs(2)).configure(|config| config.expiry = Expiry::Client);
    let (client, mut events) = own.connect().unwrap();
    server.kill(0);
    let by_client =
        |event: &SessionEvent| matches!(event, SessionEvent::Expired { by: ExpiredBy::Client, .. });
    event(&mut events, |event| matches!(event, SessionEvent::MayBeExpired));
    event(&mut events, by_client);
    assert!(client.state().is_terminal());
}

#[test]
fn an_ephemeral_znode_whose_creation_was_given_up_is_told() {
    let server = standalone();
    let relay = Relay::start(server.address(0)).unwrap();
    let (client, mut events) = connect(&relay.address().to_string());
    make_familiar(&client, &mut events);
    relay.delay(Duration::from_millis(300));
    let create = client.create("/orphan-", "", CreateMode::EphemeralSequential);
    // It has left when its answer is on the way.
    until(|| client.stats().in_flight > 0);
    drop(create);
    let abandoned = event(&mut events, |event| matches!(event, SessionEvent::AbandonedCreate { .. }));
    let SessionEvent::AbandonedCreate { path } = abandoned else { unreachable!() };
    client.delete(path, -1).patient().unwrap();
}
