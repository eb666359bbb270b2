//! Sessions that outlive their servers.

#![expect(clippy::unwrap_used, reason = "a story that goes wrong fails its test")]

mod story;

use core::net::SocketAddr;

use story::{Patient, connect, ensemble, event};
use zk_harness::Ensemble;
use zk_tokio::{CreateMode, EventType, SessionEvent, SessionEvents};

#[tokio::test]
async fn a_session_outlives_a_killed_server() {
    survives(|ensemble, server| ensemble.kill(server)).await;
}

#[tokio::test]
async fn a_session_outlives_a_server_that_falls_silent() {
    survives(|ensemble, server| ensemble.pause(server)).await;
}

/// The session goes on elsewhere, its ephemeral znode stays, and the watch set before fires, once.
async fn survives(fault: impl Fn(&Ensemble, usize)) {
    let ensemble = ensemble();
    let (client, mut events) = connect(&ensemble.connect_string()).await;
    let session_id = client.session_id();
    // On servers before 3.5 the first create costs the connection.
    client.create("/e", "", CreateMode::Ephemeral).patient().await.unwrap();
    let first = last_connected_to(&mut events).await;
    let (_, mut watch) = client.get_data_and_watch("/e").patient().await.unwrap();

    let server = (0..3).find(|&server| ensemble.address(server) == first).unwrap();
    fault(&ensemble, server);
    event(&mut events, |event| matches!(event, SessionEvent::Disconnected { .. })).await;
    assert_ne!(connected_to(&mut events).await, first);
    event(&mut events, |event| matches!(event, SessionEvent::Ready)).await;

    assert_eq!(client.session_id(), session_id);
    let znode = client.get_data("/e").patient().await.unwrap();
    assert_eq!(Some(znode.stat.ephemeral_owner), session_id);
    assert_eq!(client.stats().watches, 1);
    // A leader's death can take the first write with it.
    while client.set_data("/e", "changed", -1).patient().await.is_err() {}
    let change = watch.changed().patient().await.unwrap();
    assert_eq!(change.event_type, EventType::NODE_DATA_CHANGED);
    assert_eq!(change.path.as_str(), Some("/e"));
    client.set_data("/e", "again", -1).patient().await.unwrap();
    assert_eq!(client.stats().notifications, 1);
}

#[tokio::test]
async fn a_change_while_away_is_told_to_a_watch_set_before() {
    let ensemble = ensemble();
    let relay = zk_harness::Relay::start(ensemble.address(0)).unwrap();
    let (client, mut events) = connect(&relay.address().to_string()).await;
    let (other, _) = connect(&ensemble.address(0).to_string()).await;
    other.create("/a", "", CreateMode::Persistent).patient().await.unwrap();
    let (_, mut data) = client.get_data_and_watch("/a").patient().await.unwrap();
    let (_, mut children) = client.get_children_and_watch("/a").patient().await.unwrap();
    let (_, mut missing) = client.exists_and_watch("/b").patient().await.unwrap();

    relay.refuse();
    relay.cut();
    event(&mut events, |event| matches!(event, SessionEvent::Disconnected { .. })).await;
    other.set_data("/a", "changed", 0).patient().await.unwrap();
    other.create("/a/c", "", CreateMode::Persistent).patient().await.unwrap();
    other.create("/b", "", CreateMode::Persistent).patient().await.unwrap();
    relay.accept();

    assert_eq!(data.changed().patient().await.unwrap().event_type, EventType::NODE_DATA_CHANGED);
    assert_eq!(children.changed().patient().await.unwrap().event_type, EventType::NODE_CHILDREN_CHANGED);
    assert_eq!(missing.changed().patient().await.unwrap().event_type, EventType::NODE_CREATED);
}

/// The server that the session is on, once all that has happened so far is read.
async fn last_connected_to(events: &mut SessionEvents) -> SocketAddr {
    let mut last = connected_to(events).await;
    while let Some(event) = events.try_next() {
        if let SessionEvent::Connected { address, .. } = event {
            last = address;
        }
    }
    last
}

async fn connected_to(events: &mut SessionEvents) -> SocketAddr {
    let connected = event(events, |event| matches!(event, SessionEvent::Connected { .. })).await;
    let SessionEvent::Connected { address, .. } = connected else { unreachable!("it was asked for") };
    address
}
