//! Watches over lost connections: armed again, whatever their number, or removed meanwhile.

#![expect(clippy::unwrap_used, reason = "a story that goes wrong fails its test")]

mod story;

use core::time::Duration;

use story::{Patient, builder, connect, event, make_familiar, server_has, standalone};
use zk_harness::{Ensemble, Relay};
use zk_proto::{AddWatchMode, WatcherType};
use zk_tokio::{
    Client, CreateMode, EventType, SessionEvent, SessionEvents, StandingEvent, StandingWatch, WatchEnded,
};

async fn create(client: &Client, path: &str) {
    client.create(path, "", CreateMode::Persistent).patient().await.unwrap();
}

/// A client that a relay can cut off, whose session timeout leaves the faults to the test.
async fn relayed(server: &Ensemble) -> (Relay, Client, SessionEvents) {
    let relay = Relay::start(server.address(0)).unwrap();
    let builder = builder(&relay.address().to_string()).session_timeout(Duration::from_secs(30));
    let (client, mut events) = builder.connect().patient().await.unwrap();
    make_familiar(&client, &mut events).await;
    (relay, client, events)
}

async fn cut_off(relay: &Relay, events: &mut SessionEvents) {
    relay.refuse();
    relay.cut();
    event(events, |event| matches!(event, SessionEvent::Disconnected { .. })).await;
}

async fn back_again(relay: &Relay, events: &mut SessionEvents) {
    relay.accept();
    event(events, |event| matches!(event, SessionEvent::Ready)).await;
}

/// How many watches the server has, of all clients.
fn watches_at(server: &Ensemble) -> usize {
    let answer = server.four_letter_word(0, "wchs").unwrap();
    let count = answer.lines().find_map(|line| line.strip_prefix("Total watches:"));
    count.and_then(|count| count.trim().parse().ok()).unwrap_or_else(|| panic!("{answer}"))
}

async fn told(watch: &mut StandingWatch) -> (EventType, String) {
    let told = watch.next().patient().await.unwrap();
    let StandingEvent::Event(event) = told else { panic!("{told:?}") };
    (event.event_type, event.path.as_str().unwrap().to_owned())
}

/// More than 128 KiB of watched paths are armed again in several frames; a server would hang up on one of this length,
/// were there more than a megabyte.
#[tokio::test]
async fn megabytes_of_watched_paths_are_armed_again() {
    const COUNT: usize = 12_000;
    let server = standalone();
    let (other, _) = connect(&server.connect_string()).await;
    let (relay, client, mut events) = relayed(&server).await;
    let path = |number: usize| format!("/{number:05}-{}", "x".repeat(120));
    let calls: Vec<_> = (0..COUNT).map(|number| client.exists_and_watch(path(number))).collect();
    let mut watches = Vec::new();
    for call in calls {
        watches.push(call.patient().await.unwrap().1);
    }
    assert_eq!(watches_at(&server), COUNT);
    cut_off(&relay, &mut events).await;
    let meanwhile = [0, COUNT / 2, COUNT - 1];
    for number in meanwhile {
        create(&other, &path(number)).await;
    }
    back_again(&relay, &mut events).await;
    for number in meanwhile {
        let change = watches[number].changed().patient().await.unwrap();
        assert_eq!(
            (change.event_type, change.path.as_str()),
            (EventType::NODE_CREATED, Some(&*path(number)))
        );
    }
    assert_eq!((watches_at(&server), client.stats().watches), (COUNT - 3, COUNT - 3));
    create(&other, &path(777)).await;
    assert_eq!(watches[777].changed().patient().await.unwrap().event_type, EventType::NODE_CREATED);
    assert_eq!(client.stats().unwanted_notifications, 0);
}

#[tokio::test]
async fn watches_that_are_dropped_while_disconnected_are_not_armed_again() {
    let server = standalone();
    let (relay, client, mut events) = relayed(&server).await;
    let (_, mut kept) = client.exists_and_watch("/kept").patient().await.unwrap();
    let (_, same_path) = client.exists_and_watch("/kept").patient().await.unwrap();
    let (_, dropped) = client.exists_and_watch("/dropped").patient().await.unwrap();
    cut_off(&relay, &mut events).await;
    drop(dropped);
    drop(same_path);
    assert_eq!(client.stats().watches, 1);
    back_again(&relay, &mut events).await;
    assert_eq!(watches_at(&server), 1);
    create(&client, "/dropped").await;
    create(&client, "/kept").await;
    assert_eq!(kept.changed().patient().await.unwrap().path, "/kept");
    assert_eq!(client.stats().notifications, 1);
}

#[tokio::test]
async fn watches_that_are_removed_by_path_while_disconnected_end_with_the_next_connection() {
    if !server_has(3, 6) {
        return;
    }
    let server = standalone();
    let (relay, client, mut events) = relayed(&server).await;
    create(&client, "/a").await;
    let mut standing = client.add_watch("/a", AddWatchMode::PERSISTENT).patient().await.unwrap();
    let (_, mut elsewhere) = client.exists_and_watch("/b").patient().await.unwrap();
    cut_off(&relay, &mut events).await;
    let removal = client.remove_watches("/a", WatcherType::ANY);
    let checked = client.check_watches("/b", WatcherType::DATA);
    back_again(&relay, &mut events).await;
    assert!(removal.patient().await.unwrap(), "the server had been told of it again");
    assert!(checked.patient().await.unwrap());
    // The gap was told before.
    assert!(matches!(standing.next().patient().await, Ok(StandingEvent::Gap { .. })));
    assert_eq!(standing.next().patient().await, Err(WatchEnded::Removed));
    client.set_data("/a", "x", -1).patient().await.unwrap();
    create(&client, "/b").await;
    assert_eq!(elsewhere.changed().patient().await.unwrap().event_type, EventType::NODE_CREATED);
    assert_eq!((client.stats().notifications, watches_at(&server)), (1, 0));
}

/// One-time, persistent and recursive watches along one path, before and after a reconnect.
#[tokio::test]
async fn watches_of_all_kinds_along_one_path_each_hear_what_is_theirs() {
    if !server_has(3, 6) {
        return;
    }
    let server = standalone();
    let (other, _) = connect(&server.connect_string()).await;
    let (relay, client, mut events) = relayed(&server).await;
    create(&client, "/a").await;
    create(&client, "/a/b").await;
    let mut below = client.add_watch("/a", AddWatchMode::PERSISTENT_RECURSIVE).patient().await.unwrap();
    let mut at_b = client.add_watch("/a/b", AddWatchMode::PERSISTENT).patient().await.unwrap();
    for round in 0..2 {
        let (_, mut data) = client.get_data_and_watch("/a/b").patient().await.unwrap();
        let (_, mut children) = client.get_children_and_watch("/a").patient().await.unwrap();
        let (_, mut grandchildren) = client.get_children_and_watch("/a/b").patient().await.unwrap();
        if round == 1 {
            cut_off(&relay, &mut events).await;
            back_again(&relay, &mut events).await;
            assert!(matches!(below.next().patient().await, Ok(StandingEvent::Gap { .. })));
            assert!(matches!(at_b.next().patient().await, Ok(StandingEvent::Gap { .. })));
        }
        let (child, grandchild) = (format!("/a/c{round}"), format!("/a/b/{round}"));
        other.set_data("/a/b", "x", -1).patient().await.unwrap();
        create(&other, &grandchild).await;
        create(&other, &child).await;
        assert_eq!(data.changed().patient().await.unwrap().event_type, EventType::NODE_DATA_CHANGED);
        for watch in [&mut children, &mut grandchildren] {
            assert_eq!(watch.changed().patient().await.unwrap().event_type, EventType::NODE_CHILDREN_CHANGED);
        }
        assert_eq!(told(&mut at_b).await, (EventType::NODE_DATA_CHANGED, "/a/b".to_owned()));
        assert_eq!(told(&mut at_b).await, (EventType::NODE_CHILDREN_CHANGED, "/a/b".to_owned()));
        assert_eq!(told(&mut below).await, (EventType::NODE_DATA_CHANGED, "/a/b".to_owned()));
        assert_eq!(told(&mut below).await, (EventType::NODE_CREATED, grandchild));
        assert_eq!(told(&mut below).await, (EventType::NODE_CREATED, child));
    }
    drop(below);
    other.set_data("/a/b", "y", -1).patient().await.unwrap();
    assert_eq!(told(&mut at_b).await, (EventType::NODE_DATA_CHANGED, "/a/b".to_owned()));
    assert_eq!(client.stats().watches, 1);
}

/// Before 3.9 the types of persistent watches are unknown, and the others mean whatever is in their table.
#[tokio::test]
async fn a_check_tells_the_types_of_watches_apart_as_far_as_the_server_does() {
    if !server_has(3, 6) {
        return;
    }
    let server = standalone();
    let (client, _) = connect(&server.connect_string()).await;
    create(&client, "/a").await;
    let types = [
        WatcherType::CHILDREN,
        WatcherType::DATA,
        WatcherType::ANY,
        WatcherType::PERSISTENT,
        WatcherType::PERSISTENT_RECURSIVE,
    ];
    let check = async || {
        let mut found = Vec::new();
        for kind in types {
            found.push(client.check_watches("/a", kind).patient().await.ok());
        }
        found
    };
    let is_new = server_has(3, 9);
    let of_new = |found: bool| is_new.then_some(found);
    assert_eq!(check().await, [Some(false), Some(false), Some(false), of_new(false), of_new(false)]);
    let (_, children) = client.get_children_and_watch("/a").patient().await.unwrap();
    assert_eq!(check().await, [Some(true), Some(false), Some(true), of_new(false), of_new(false)]);
    drop(children);
    let standing = client.add_watch("/a", AddWatchMode::PERSISTENT).patient().await.unwrap();
    assert_eq!(check().await, [Some(!is_new), Some(!is_new), Some(true), of_new(true), of_new(false)]);
    drop(standing);
    let _recursive = client.add_watch("/a", AddWatchMode::PERSISTENT_RECURSIVE).patient().await.unwrap();
    assert_eq!(check().await, [Some(!is_new), Some(!is_new), Some(true), of_new(false), of_new(true)]);
}
