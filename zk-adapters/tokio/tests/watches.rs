//! One-time watches on a real server.

#![expect(clippy::unwrap_used, reason = "a story that goes wrong fails its test")]

mod story;

use story::{PATIENCE, Patient, connect, server_has, standalone};
use tokio::time::Instant;
use zk_harness::Ensemble;
use zk_tokio::{CreateMode, ErrorCode, EventType};

#[tokio::test]
async fn each_kind_of_watch_tells_its_changes() {
    let server = standalone();
    let (client, _) = connect(&server.connect_string()).await;
    let (stat, mut creation) = client.exists_and_watch("/a").patient().await.unwrap();
    assert_eq!(stat, None);
    client.create("/a", "", CreateMode::Persistent).patient().await.unwrap();
    assert_eq!(creation.changed().patient().await.unwrap().event_type, EventType::NODE_CREATED);

    let (_, mut data) = client.get_data_and_watch("/a").patient().await.unwrap();
    let (_, mut existence) = client.exists_and_watch("/a").patient().await.unwrap();
    let (_, mut children) = client.get_children_and_watch("/a").patient().await.unwrap();
    client.set_data("/a", "1", -1).patient().await.unwrap();
    assert_eq!(data.changed().patient().await.unwrap().event_type, EventType::NODE_DATA_CHANGED);
    assert_eq!(existence.changed().patient().await.unwrap().event_type, EventType::NODE_DATA_CHANGED);
    client.create("/a/b", "", CreateMode::Persistent).patient().await.unwrap();
    assert_eq!(children.changed().patient().await.unwrap().event_type, EventType::NODE_CHILDREN_CHANGED);
}

#[tokio::test]
async fn the_event_stays_once_it_is_there() {
    let server = standalone();
    let (client, _) = connect(&server.connect_string()).await;
    client.create("/a", "", CreateMode::Persistent).patient().await.unwrap();
    let (_, mut watch) = client.get_data_and_watch("/a").patient().await.unwrap();
    client.set_data("/a", "1", -1).patient().await.unwrap();
    client.delete("/a", -1).patient().await.unwrap();
    let first = watch.changed().patient().await;
    assert_eq!(first.as_ref().unwrap().event_type, EventType::NODE_DATA_CHANGED);
    assert_eq!(watch.changed().patient().await, first);
}

#[tokio::test]
async fn two_watches_of_one_path_both_fire() {
    let server = standalone();
    let (client, _) = connect(&server.connect_string()).await;
    client.create("/a", "", CreateMode::Persistent).patient().await.unwrap();
    let (_, mut one) = client.get_data_and_watch("/a").patient().await.unwrap();
    let (_, mut two) = client.get_data_and_watch("/a").patient().await.unwrap();
    let (_, dropped) = client.get_data_and_watch("/a").patient().await.unwrap();
    drop(dropped);
    client.set_data("/a", "1", -1).patient().await.unwrap();
    assert_eq!(one.changed().patient().await.unwrap().request, one.request());
    assert_eq!(two.changed().patient().await.unwrap().request, two.request());
}

#[tokio::test]
async fn a_refused_request_sets_no_watch() {
    let server = standalone();
    let (client, _) = connect(&server.connect_string()).await;
    let error = client.get_data_and_watch("/missing").patient().await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::NO_NODE));
    assert_eq!(client.stats().watches, 0);
}

#[tokio::test]
async fn a_watch_that_is_dropped_is_removed_at_the_server() {
    let server = standalone();
    let (client, _) = connect(&server.connect_string()).await;
    // Its answer shows that the server is new enough to remove watches.
    client.create("/new", "", CreateMode::Persistent).patient().await.unwrap();
    let (_, watch) = client.exists_and_watch("/a").patient().await.unwrap();
    let call = client.exists_and_watch("/b");
    let (_, kept) = client.exists_and_watch("/c").patient().await.unwrap();
    assert_eq!(watched_paths(&server), ["/a", "/b", "/c"]);
    drop(watch);
    drop(call);
    assert_eq!(client.stats().watches, 1);
    if !server_has(3, 5) {
        // No server before has removeWatches: what it tells of them goes nowhere.
        client.create("/a", "", CreateMode::Persistent).patient().await.unwrap();
        client.create("/b", "", CreateMode::Persistent).patient().await.unwrap();
        let stats = client.stats();
        assert_eq!((stats.notifications, stats.unwanted_notifications), (2, 2));
        return drop(kept);
    }
    let deadline = Instant::now() + PATIENCE;
    while watched_paths(&server) != ["/c"] {
        assert!(Instant::now() < deadline, "still watched: {:?}", watched_paths(&server));
        client.sync("/").patient().await.unwrap();
    }
    drop(kept);
}

#[cfg(feature = "stream")]
#[tokio::test]
async fn a_standing_watch_and_the_events_are_streams_that_end_with_the_session() {
    use core::{future::poll_fn, pin::Pin};

    use futures_core::Stream;
    use zk_proto::AddWatchMode;
    use zk_tokio::{StandingEvent, WatchEnded};

    async fn next<S: Stream + Unpin>(stream: &mut S) -> Option<S::Item> {
        poll_fn(|context| Stream::poll_next(Pin::new(&mut *stream), context)).await
    }

    if !server_has(3, 6) {
        return;
    }
    let server = standalone();
    let (client, mut events) = connect(&server.connect_string()).await;
    let mut watch = client.add_watch("/a", AddWatchMode::PERSISTENT).patient().await.unwrap();
    client.create("/a", "", CreateMode::Persistent).patient().await.unwrap();
    assert!(matches!(next(&mut watch).await, Some(StandingEvent::Event(_))));
    client.close().patient().await;
    assert!(next(&mut watch).await.is_none() && next(&mut watch).await.is_none());
    assert_eq!(watch.next().patient().await, Err(WatchEnded::SessionEnded));
    while next(&mut events).await.is_some() {}
}

fn watched_paths(server: &Ensemble) -> Vec<String> {
    let answer = server.four_letter_word(0, "wchp").unwrap();
    let mut paths: Vec<_> = answer.lines().filter(|line| line.starts_with('/')).map(str::to_owned).collect();
    paths.sort();
    paths
}
