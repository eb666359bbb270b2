//! Watches that are given up: who else is at the path, and what the server is told.

mod support;

use support::{
    World, config, data, get_data, stat, watch_data, watch_exists,
    watching::{
        acknowledge, add_watch, added, children, one_time, persistent, reconnect, remove_watches, watch,
        watch_children,
    },
};
use zk_session::{
    Event, RequestOptions, Retry, WatchEndReason,
    zk_proto::{
        AddWatchMode, Create2Response, CreateMode, ErrorCode, EventType, OPEN_ACL_UNSAFE, Request, Response,
        Stat, WatcherType,
    },
};

/// A session on a server that is known to have removeWatches.
fn world() -> World {
    let mut world = World::ready(config("a:1,b:2"));
    watch(&mut world, add_watch("/elsewhere", AddWatchMode::PERSISTENT), 3, Ok(added()));
    world
}

fn is_restored(event: &Event) -> bool {
    matches!(event, Event::WatchesRestored { .. })
}

/// INV-43.
#[test]
fn where_others_watch_the_server_is_told_nothing_of_one_watch_less() {
    let mut world = world();
    let twice = [0; 2].map(|_| watch(&mut world, watch_data("/a"), 3, Ok(data(b"x"))));
    watch(&mut world, watch_children("/a"), 3, Ok(children()));
    for owner in twice {
        world.command(|session, now| session.remove_watch(owner, now));
        assert!(world.sent().is_empty());
    }
    let twice = [0; 2].map(|_| watch(&mut world, add_watch("/b", AddWatchMode::PERSISTENT), 3, Ok(added())));
    world.command(|session, now| session.remove_watch(twice[0], now));
    assert!(world.sent().is_empty(), "the other one of its kind is there still");
    world.command(|session, now| session.remove_watch(twice[1], now));
    assert_eq!(world.sent_requests(), [remove_watches("/b", WatcherType::ANY)]);
}

/// Servers before 3.9 have taken it for theirs.
#[test]
fn what_a_persistent_watch_has_replaced_is_armed_again_when_that_goes() {
    let mut world = world();
    watch(&mut world, watch_data("/a"), 4, Ok(data(b"x")));
    let standing = watch(&mut world, add_watch("/a", AddWatchMode::PERSISTENT), 4, Ok(added()));
    world.command(|session, now| session.remove_watch(standing, now));
    assert_eq!(world.sent_requests(), [one_time(4, &["/a"], &[], &[])]);
}

#[test]
fn a_given_up_watch_that_is_set_all_the_same_disturbs_no_other_one_time_watch() {
    let mut world = world();
    watch(&mut world, watch_data("/a"), 3, Ok(data(b"x")));
    let given_up = world.submit(watch_children("/a"));
    world.command(|session, now| session.remove_watch(given_up, now));
    world.sent();
    world.reply_to(given_up, 4, Ok(children()));
    assert!(world.sent().is_empty());
    assert_eq!(world.session.stats().watches, 2);
}

#[test]
fn a_read_that_asks_for_no_watch_leaves_none_to_be_removed() {
    let mut world = world();
    let safe = RequestOptions::default().with_retry(Retry::WhenSafe);
    let read = world.submit_with(get_data("/a"), safe);
    world.sent();
    world.reply_to(read, 4, Ok(data(b"x")));
    assert!(world.sent().is_empty());
}

/// INV-72: what the session itself has in flight counts.
#[test]
fn removals_that_are_unanswered_take_their_place_in_the_window() {
    let mut narrow = config("a:1");
    narrow.max_in_flight = 1;
    let mut world = World::ready(narrow);
    let owners =
        ["/p", "/q"].map(|path| watch(&mut world, add_watch(path, AddWatchMode::PERSISTENT), 3, Ok(added())));
    for owner in owners {
        world.command(|session, now| session.remove_watch(owner, now));
    }
    assert_eq!(world.sent_requests(), [remove_watches("/p", WatcherType::ANY)]);
    acknowledge(&mut world, 4);
    assert!(world.session.is_ready());
}

/// Whatever an earlier one has shown, each server shows for itself that it has removeWatches.
#[test]
fn a_server_that_answers_create2_can_be_told_of_removed_watches() {
    let create = || Request::create("/c", None, OPEN_ACL_UNSAFE, CreateMode::Persistent);
    let created = || Response::Create2(Create2Response { path: "/c".into(), stat: Stat::default() });
    let mut world = World::ready(config("a:1,b:2"));
    let first = world.submit(create());
    world.reply_to(first, 3, Ok(created()));
    let owners = ["/a", "/b"].map(|path| watch(&mut world, watch_data(path), 3, Ok(data(b"x"))));
    reconnect(&mut world);
    acknowledge(&mut world, 3);
    world.sent();
    world.command(|session, now| session.remove_watch(owners[0], now));
    assert!(world.sent().is_empty(), "not known yet");
    let second = world.submit(create());
    world.sent();
    world.reply_to(second, 4, Ok(created()));
    world.command(|session, now| session.remove_watch(owners[1], now));
    assert_eq!(world.sent_requests(), [remove_watches("/b", WatcherType::ANY)]);
}

#[test]
fn watches_removed_by_their_type_are_those_of_that_type_alone() {
    for (watcher_type, gone) in [
        (WatcherType::CHILDREN, &[2][..]),
        (WatcherType::DATA, &[0, 1]),
        (WatcherType::PERSISTENT, &[3]),
        (WatcherType::PERSISTENT_RECURSIVE, &[4]),
        (WatcherType::ANY, &[0, 1, 2, 3, 4]),
    ] {
        let mut world = World::ready(config("a:1"));
        let owners = [
            watch(&mut world, watch_data("/a"), 3, Ok(data(b"x"))),
            watch(&mut world, watch_exists("/a"), 3, Ok(stat())),
            watch(&mut world, watch_children("/a"), 3, Ok(children())),
            watch(&mut world, add_watch("/a", AddWatchMode::PERSISTENT), 3, Ok(added())),
            watch(&mut world, add_watch("/a", AddWatchMode::PERSISTENT_RECURSIVE), 3, Ok(added())),
        ];
        if world.wire().oldest_unanswered().is_some() {
            acknowledge(&mut world, 3);
        }
        world.events();
        let removal = world.submit(remove_watches("/a", watcher_type));
        world.reply_to(removal, 7, Ok(Response::Empty));
        let reason = WatchEndReason::Removed;
        let ended: Vec<_> = gone
            .iter()
            .map(|&at| Event::WatchEnded { request: owners[at], path: "/a".into(), reason })
            .collect();
        assert_eq!(world.events()[1..], ended, "{watcher_type}");
    }
}

/// INV-41.
#[test]
fn an_event_kept_for_a_persistent_watch_is_not_told_once_that_is_removed() {
    let mut world = World::ready(config("a:1,b:2"));
    let owners =
        ["/p", "/q"].map(|path| watch(&mut world, add_watch(path, AddWatchMode::PERSISTENT), 3, Ok(added())));
    reconnect(&mut world);
    for path in ["/p", "/q"] {
        world.notify(EventType::NODE_DATA_CHANGED, path, 9);
    }
    world.command(|session, now| session.remove_watch(owners[0], now));
    world.events();
    acknowledge(&mut world, 9);
    let events = world.events();
    assert!(is_restored(&events[0]));
    assert!(matches!(&events[1], Event::Watch(event) if event.request == owners[1]), "{events:?}");
    assert_eq!(events[2..], [Event::Ready]);
}

/// INV-41: nobody is left to be told what was missed.
#[test]
fn no_gap_is_told_where_all_persistent_watches_are_removed() {
    let mut world = World::ready(config("a:1,b:2"));
    let owner = watch(&mut world, add_watch("/p", AddWatchMode::PERSISTENT), 3, Ok(added()));
    reconnect(&mut world);
    assert_eq!(world.sent_requests(), [persistent(3, &["/p"], &[])]);
    world.command(|session, now| session.remove_watch(owner, now));
    world.events();
    acknowledge(&mut world, 9);
    assert_eq!(world.events(), [Event::Ready]);
}

/// INV-33: whatever came in the same bytes before it.
#[test]
fn a_watch_that_is_answered_behind_another_reply_is_registered() {
    let mut world = World::ready(config("a:1"));
    let read = world.submit(get_data("/b"));
    let exists = world.submit(watch_exists("/a"));
    let mut stream = support::reply_frame(1, 3, Ok(data(b"x")));
    stream.extend_from_slice(&support::reply_frame(2, 4, Err(ErrorCode::NO_NODE)));
    world.receive(&stream);
    let replies = world.replies();
    assert_eq!(replies.iter().map(|reply| reply.request).collect::<Vec<_>>(), [read, exists]);
    world.notify(EventType::NODE_CREATED, "/a", 5);
    let told = world.watch_events();
    assert_eq!((told.len(), told[0].request), (1, exists));
}
