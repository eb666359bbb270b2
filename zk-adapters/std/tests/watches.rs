//! One-time watches on a real server.

#![expect(clippy::unwrap_used, reason = "a story that goes wrong fails its test")]

mod story;

use std::time::Instant;

use story::{PATIENCE, Patient, changed, connect, server_has, standalone, told};
use zk_harness::Ensemble;
use zk_proto::AddWatchMode;
use zk_std::{CreateMode, ErrorCode, EventType, StandingEvent};

#[test]
fn each_kind_of_watch_tells_its_changes() {
    let server = standalone();
    let (client, _) = connect(&server.connect_string());
    let (stat, mut creation) = client.exists_and_watch("/a").patient().unwrap();
    assert_eq!(stat, None);
    client.create("/a", "", CreateMode::Persistent).patient().unwrap();
    assert_eq!(changed(&mut creation).unwrap().event_type, EventType::NODE_CREATED);

    let (_, mut data) = client.get_data_and_watch("/a").patient().unwrap();
    let (_, mut existence) = client.exists_and_watch("/a").patient().unwrap();
    let (_, mut children) = client.get_children_and_watch("/a").patient().unwrap();
    client.set_data("/a", "1", -1).patient().unwrap();
    assert_eq!(changed(&mut data).unwrap().event_type, EventType::NODE_DATA_CHANGED);
    assert_eq!(changed(&mut existence).unwrap().event_type, EventType::NODE_DATA_CHANGED);
    client.create("/a/b", "", CreateMode::Persistent).patient().unwrap();
    assert_eq!(changed(&mut children).unwrap().event_type, EventType::NODE_CHILDREN_CHANGED);
}

#[test]
fn the_event_stays_once_it_is_there() {
    let server = standalone();
    let (client, _) = connect(&server.connect_string());
    client.create("/a", "", CreateMode::Persistent).patient().unwrap();
    let (_, mut watch) = client.get_data_and_watch("/a").patient().unwrap();
    client.set_data("/a", "1", -1).patient().unwrap();
    client.delete("/a", -1).patient().unwrap();
    let first = changed(&mut watch);
    assert_eq!(first.as_ref().unwrap().event_type, EventType::NODE_DATA_CHANGED);
    assert_eq!(changed(&mut watch), first);
}

#[test]
fn two_watches_of_one_path_both_fire() {
    let server = standalone();
    let (client, _) = connect(&server.connect_string());
    client.create("/a", "", CreateMode::Persistent).patient().unwrap();
    let (_, mut one) = client.get_data_and_watch("/a").patient().unwrap();
    let (_, mut two) = client.get_data_and_watch("/a").patient().unwrap();
    let (_, dropped) = client.get_data_and_watch("/a").patient().unwrap();
    drop(dropped);
    client.set_data("/a", "1", -1).patient().unwrap();
    assert_eq!(changed(&mut one).unwrap().request, one.request());
    assert_eq!(changed(&mut two).unwrap().request, two.request());
}

/// More than is kept unread, to one who takes it up all the time.
#[test]
fn a_standing_watch_leaves_nothing_out_for_one_who_keeps_up() {
    if !server_has(3, 6) {
        return;
    }
    let server = standalone();
    let (client, _) = connect(&server.connect_string());
    client.create("/a", "", CreateMode::Persistent).patient().unwrap();
    let mut watch = client.add_watch("/a", AddWatchMode::PERSISTENT).patient().unwrap();
    let changes: Vec<_> = (0..10_000).map(|_| client.set_data("/a", "", -1)).collect();
    for _ in 0..10_000 {
        assert!(matches!(told(&mut watch).unwrap(), StandingEvent::Event(_)), "something was left out");
    }
    for change in changes {
        change.patient().unwrap();
    }
}

#[test]
fn a_refused_request_sets_no_watch() {
    let server = standalone();
    let (client, _) = connect(&server.connect_string());
    let error = client.get_data_and_watch("/missing").patient().unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::NO_NODE));
    assert_eq!(client.stats().watches, 0);
}

#[test]
fn a_watch_that_is_dropped_is_removed_at_the_server() {
    let server = standalone();
    let (client, _) = connect(&server.connect_string());
    // Its answer shows that the server is new enough to remove watches.
    client.create("/new", "", CreateMode::Persistent).patient().unwrap();
    let (_, watch) = client.exists_and_watch("/a").patient().unwrap();
    let call = client.exists_and_watch("/b");
    let (_, kept) = client.exists_and_watch("/c").patient().unwrap();
    assert_eq!(watched_paths(&server), ["/a", "/b", "/c"]);
    drop(watch);
    drop(call);
    assert_eq!(client.stats().watches, 1);
    if !server_has(3, 5) {
        // No server before has removeWatches: what it tells of them goes nowhere.
        client.create("/a", "", CreateMode::Persistent).patient().unwrap();
        client.create("/b", "", CreateMode::Persistent).patient().unwrap();
        let stats = client.stats();
        assert_eq!((stats.notifications, stats.unwanted_notifications), (2, 2));
        return drop(kept);
    }
    let deadline = Instant::now() + PATIENCE;
    while watched_paths(&server) != ["/c"] {
        assert!(Instant::now() < deadline, "still watched: {:?}", watched_paths(&server));
        client.sync("/").patient().unwrap();
    }
    drop(kept);
}

fn watched_paths(server: &Ensemble) -> Vec<String> {
    let answer = server.four_letter_word(0, "wchp").unwrap();
    let mut paths: Vec<_> = answer.lines().filter(|line| line.starts_with('/')).map(str::to_owned).collect();
    paths.sort();
    paths
}
