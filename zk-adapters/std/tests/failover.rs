//! Sessions that outlive their servers.

#![expect(clippy::unwrap_used, reason = "a story that goes wrong fails its test")]

mod story;

use core::net::SocketAddr;

use story::{Patient, changed, connect, ensemble, event};
use zk_harness::Ensemble;
use zk_std::{CreateMode, EventType, SessionEvent, SessionEvents};

#[test]
fn a_session_outlives_a_killed_server() {
    survives(|ensemble, server| ensemble.kill(server));
}

#[test]
fn a_session_outlives_a_server_that_falls_silent() {
    survives(|ensemble, server| ensemble.pause(server));
}

/// The session goes on elsewhere, its ephemeral znode stays, and the watch set before fires, once.
fn survives(fault: impl Fn(&Ensemble, usize)) {
    let ensemble = ensemble();
    let (client, mut events) = connect(&ensemble.connect_string());
    let session_id = client.session_id();
    // On servers before 3.5 the first create costs the connection.
    client.create("/e", "", CreateMode::Ephemeral).patient().unwrap();
    let first = last_connected_to(&mut events);
    let (_, mut watch) = client.get_data_and_watch("/e").patient().unwrap();

    let server = (0..3).find(|&server| ensemble.address(server) == first).unwrap();
    fault(&ensemble, server);
    event(&mut events, |event| matches!(event, SessionEvent::Disconnected { .. }));
    assert_ne!(connected_to(&mut events), first);
    event(&mut events, |event| matches!(event, SessionEvent::Ready));

    assert_eq!(client.session_id(), session_id);
    let znode = client.get_data("/e").patient().unwrap();
    assert_eq!(Some(znode.stat.ephemeral_owner), session_id);
    assert_eq!(client.stats().watches, 1);
    // A leader's death can take the first write with it.
    while client.set_data("/e", "changed", -1).patient().is_err() {}
    let change = changed(&mut watch).unwrap();
    assert_eq!(change.event_type, EventType::NODE_DATA_CHANGED);
    assert_eq!(change.path.as_str(), Some("/e"));
    client.set_data("/e", "again", -1).patient().unwrap();
    assert_eq!(client.stats().notifications, 1);
}

#[test]
fn a_change_while_away_is_told_to_a_watch_set_before() {
    let ensemble = ensemble();
    let relay = zk_harness::Relay::start(ensemble.address(0)).unwrap();
    let (client, mut events) = connect(&relay.address().to_string());
    let (other, _) = connect(&ensemble.address(0).to_string());
    other.create("/a", "", CreateMode::Persistent).patient().unwrap();
    let (_, mut data) = client.get_data_and_watch("/a").patient().unwrap();
    let (_, mut children) = client.get_children_and_watch("/a").patient().unwrap();
    let (_, mut missing) = client.exists_and_watch("/b").patient().unwrap();

    relay.refuse();
    relay.cut();
    event(&mut events, |event| matches!(event, SessionEvent::Disconnected { .. }));
    other.set_data("/a", "changed", 0).patient().unwrap();
    other.create("/a/c", "", CreateMode::Persistent).patient().unwrap();
    other.create("/b", "", CreateMode::Persistent).patient().unwrap();
    relay.accept();

    assert_eq!(changed(&mut data).unwrap().event_type, EventType::NODE_DATA_CHANGED);
    assert_eq!(changed(&mut children).unwrap().event_type, EventType::NODE_CHILDREN_CHANGED);
    assert_eq!(changed(&mut missing).unwrap().event_type, EventType::NODE_CREATED);
}

/// The server that the session is on, once all that has happened so far is read.
fn last_connected_to(events: &mut SessionEvents) -> SocketAddr {
    let mut last = connected_to(events);
    while let Some(event) = events.try_next() {
        if let SessionEvent::Connected { address, .. } = event {
            last = address;
        }
    }
    last
}

fn connected_to(events: &mut SessionEvents) -> SocketAddr {
    let connected = event(events, |event| matches!(event, SessionEvent::Connected { .. }));
    let SessionEvent::Connected { address, .. } = connected else { unreachable!("it was asked for") };
    address
}

/// What it was told and what it said is on record, and it does the same again.
#[cfg(feature = "record")]
#[test]
fn a_recorded_session_is_replayed_to_the_byte() {
    use zk_sim::{Options, serve::Served};
    use zk_std::{Client, Recorder};

    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("std.drive");
    let tick = core::time::Duration::from_millis(500);
    let served = Served::start(Options { servers: 3, tick, ..Options::default() }).unwrap();
    let builder = Client::builder(&served.connect_string()).unwrap();
    let (client, mut events) = builder.record(Recorder::create(&path).unwrap()).connect().unwrap();
    client.add_auth("digest", "me:correct horse").patient().unwrap();
    client.create("/e", "", CreateMode::Ephemeral).patient().unwrap();
    let (_, mut watch) = client.get_data_and_watch("/e").patient().unwrap();
    let address = last_connected_to(&mut events);
    served.crash((0..3).find(|&server| served.address(server) == address).unwrap());
    event(&mut events, |event| matches!(event, SessionEvent::Disconnected { .. }));
    event(&mut events, |event| matches!(event, SessionEvent::Ready));
    client.set_data("/e", "changed", -1).patient().unwrap();
    changed(&mut watch).unwrap();
    let calls: Vec<_> = (0..20).map(|_| client.set_data("/e", vec![7; 1000], -1)).collect();
    for call in calls {
        call.patient().unwrap();
    }
    let password = client.credentials().unwrap().password;
    client.close();
    event(&mut events, |event| matches!(event, SessionEvent::Closed { .. }));
    // A recorder is free once the last thread has let go of the session.
    drop((client, events, watch));
    story::does_the_same_again(&path, &password, b"correct horse");
}
