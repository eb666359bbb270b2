//! Watches: registered if armed, fired once, armed again after a reconnect.

mod support;

use support::{
    World, config, data, get_data, stat, sync, watch_data, watch_exists,
    watching::{
        acknowledge, add_watch, added, children, one_time, persistent, reconnect, watch, watch_children,
    },
};
use zk_session::{
    Event, WatchEndReason,
    zk_proto::{
        AddWatchMode, ErrorCode, EventType, RemoveWatchesRequest, Request, Response, Ustring, WatcherType,
        Zxid,
    },
};

/// INV-33.
#[test]
fn a_watch_is_registered_exactly_if_the_server_has_armed_it() {
    for (request, answer, armed) in [
        (watch_data("/a"), Ok(data(b"x")), true),
        (watch_data("/a"), Err(ErrorCode::NO_NODE), false),
        (watch_data("/a"), Err(ErrorCode::NO_AUTH), false),
        (watch_exists("/a"), Ok(stat()), true),
        (watch_exists("/a"), Err(ErrorCode::NO_NODE), true),
        (watch_exists("/a"), Err(ErrorCode::NO_AUTH), false),
        (watch_children("/a"), Ok(children()), true),
        (watch_children("/a"), Err(ErrorCode::NO_NODE), false),
        (add_watch("/a", AddWatchMode::PERSISTENT), Ok(added()), true),
        (add_watch("/a", AddWatchMode::PERSISTENT), Err(ErrorCode::MARSHALLING_ERROR), false),
        (get_data("/a"), Ok(data(b"x")), false),
    ] {
        let mut world = World::ready(config("a:1"));
        watch(&mut world, request.clone(), 3, answer.clone());
        assert_eq!(world.session.stats().watches, usize::from(armed), "{request:?} {answer:?}");
    }
}

#[test]
fn the_watch_of_a_lost_cancelled_or_unreadable_reply_is_not_registered() {
    let mut world = World::ready(config("a:1,b:2"));
    world.submit(watch_data("/a"));
    world.cut();
    assert_eq!(world.session.stats().watches, 0);

    let mut world = World::ready(config("a:1"));
    let id = world.submit(watch_data("/a"));
    world.command(|session, now| session.cancel(id, now));
    world.reply(1, 3, Ok(data(b"x")));
    assert_eq!(world.session.stats().watches, 0);
    // INV-42: what the server has armed all the same is a ghost.
    world.events();
    world.notify(EventType::NODE_DATA_CHANGED, "/a", 4);
    assert!(world.events().is_empty());
    assert_eq!(world.session.stats().unwanted_notifications, 1);
}

/// INV-35, INV-36: one frame, all owners, in the order of registration, once.
#[test]
fn one_event_goes_once_to_each_owner_in_the_order_of_registration() {
    let mut world = World::ready(config("a:1"));
    let exists = watch(&mut world, watch_exists("/a"), 3, Ok(stat()));
    let children = watch(&mut world, watch_children("/a"), 3, Ok(children()));
    let first = watch(&mut world, watch_data("/a"), 3, Ok(data(b"x")));
    let second = watch(&mut world, watch_data("/a"), 3, Ok(data(b"x")));
    let other = watch(&mut world, watch_data("/ab"), 3, Ok(data(b"x")));
    world.events();
    world.notify(EventType::NODE_DATA_CHANGED, "/a", 9);
    let heard: Vec<_> =
        world.watch_events().iter().map(|event| (event.request, event.last, event.zxid)).collect();
    assert_eq!(heard, [exists, first, second].map(|owner| (owner, true, Zxid(9))));
    world.notify(EventType::NODE_DATA_CHANGED, "/a", 10);
    assert!(world.watch_events().is_empty());
    world.notify(EventType::NODE_DELETED, "/a", 11);
    assert_eq!(world.watch_events().len(), 1);
    let _ = children;
    world.notify(EventType::NODE_DELETED, "/ab", 12);
    assert_eq!(world.watch_events()[0].request, other);
    assert_eq!(world.session.stats().watches, 0);
    assert_eq!(world.session.last_zxid(), Zxid(3), "INV-47: not from notifications");
}

#[test]
fn a_recursive_watch_hears_of_descendants_and_never_of_children() {
    let mut world = World::ready(config("a:1"));
    let all = watch(&mut world, add_watch("/a", AddWatchMode::PERSISTENT_RECURSIVE), 3, Ok(added()));
    let root = watch(&mut world, add_watch("/", AddWatchMode::PERSISTENT_RECURSIVE), 3, Ok(added()));
    world.events();
    for (event, path, owners) in [
        (EventType::NODE_CREATED, "/a/b/c", vec![all, root]),
        (EventType::NODE_DELETED, "/a", vec![all, root]),
        (EventType::NODE_DATA_CHANGED, "/ab", vec![root]),
        (EventType::NODE_CHILDREN_CHANGED, "/a", vec![]),
    ] {
        world.notify(event, path, 4);
        let heard: Vec<_> = world.watch_events().into_iter().map(|event| event.request).collect();
        assert_eq!(heard, owners, "{event:?} {path}");
    }
    assert_eq!(world.session.stats().watches, 2);
}

/// INV-46.
#[test]
fn an_unknown_event_reaches_the_owners_of_its_path_and_keeps_their_watches() {
    let (mut world, owner) = World::with_watch(config("a:1"), "/a");
    world.notify(EventType(99), "/a", 9);
    let [event] = <[_; 1]>::try_from(world.watch_events()).unwrap();
    assert_eq!((event.request, event.event_type, event.last), (owner, EventType(99), false));
    reconnect(&mut world);
    assert_eq!(world.sent_requests(), [one_time(5, &["/a"], &[], &[])]);
}

/// INV-19, INV-38.
#[test]
fn all_watches_are_armed_again_before_requests_and_ready() {
    let mut world = World::ready(config("a:1,b:2"));
    watch(&mut world, watch_data("/d"), 3, Ok(data(b"x")));
    watch(&mut world, watch_exists("/e"), 4, Err(ErrorCode::NO_NODE));
    watch(&mut world, watch_children("/c"), 5, Ok(children()));
    let standing = watch(&mut world, add_watch("/p", AddWatchMode::PERSISTENT), 6, Ok(added()));
    world.events();
    world.cut();
    world.submit(sync("/"));
    world.establish();
    world.accept();
    // One-time ones first: before 3.9 the last one to come to a path wins.
    let expected = [one_time(6, &["/d"], &["/e"], &["/c"]), persistent(6, &["/p"], &[]), sync("/")];
    assert_eq!(world.sent_requests(), expected);
    assert!(!world.session.is_ready());
    acknowledge(&mut world, 9);
    assert!(!world.session.is_ready());
    world.events();
    acknowledge(&mut world, 9);
    // INV-41.
    assert_eq!(world.events(), [Event::WatchesRestored { from: Zxid(6), to: Zxid(9) }, Event::Ready]);
    world.notify(EventType::NODE_DATA_CHANGED, "/p", 10);
    assert_eq!(world.watch_events()[0].request, standing);
}

/// INV-41: whatever the server sends first.
#[test]
fn an_event_that_comes_before_the_gap_is_told_waits_for_it() {
    let mut world = World::ready(config("a:1,b:2"));
    let standing = watch(&mut world, add_watch("/p", AddWatchMode::PERSISTENT), 6, Ok(added()));
    let once = watch(&mut world, watch_exists("/q"), 6, Ok(stat()));
    reconnect(&mut world);
    world.events();
    world.notify(EventType::NODE_DATA_CHANGED, "/p", 8);
    world.notify(EventType::NODE_DATA_CHANGED, "/q", -1);
    let early = world.watch_events();
    assert_eq!(early.iter().map(|event| event.request).collect::<Vec<_>>(), [once]);
    acknowledge(&mut world, 8);
    acknowledge(&mut world, 8);
    let events = world.events();
    assert_eq!(events[0], Event::WatchesRestored { from: Zxid(6), to: Zxid(8) });
    assert!(matches!(&events[1], Event::Watch(event) if event.request == standing));
    assert_eq!(events[2], Event::Ready);
}

/// INV-40: `relativeZxid` never passes what a watch has been checked against.
#[test]
fn a_batch_that_was_not_acknowledged_is_sent_again_with_its_old_zxid() {
    let mut narrow = config("a:1,b:2,c:3");
    narrow.max_set_watches_len = 50;
    let mut world = World::ready(narrow);
    watch(&mut world, watch_data("/first"), 3, Ok(data(b"x")));
    watch(&mut world, watch_data("/second"), 5, Ok(data(b"x")));
    reconnect(&mut world);
    assert_eq!(
        world.sent_requests(),
        [one_time(5, &["/first"], &[], &[]), one_time(5, &["/second"], &[], &[])]
    );
    // The first batch is armed, and its reply has seen 9; the second one has been checked up to 5 only.
    acknowledge(&mut world, 9);
    reconnect(&mut world);
    assert_eq!(world.connect_request().last_zxid_seen, Zxid(9));
    let sent = world.sent_requests();
    assert_eq!(sent.len(), 2);
    assert!(sent.contains(&one_time(9, &["/first"], &[], &[])), "{sent:?}");
    assert!(sent.contains(&one_time(5, &["/second"], &[], &[])), "{sent:?}");
}

/// INV-40 and INV-41 over several lost connections.
#[test]
fn a_persistent_watch_is_told_the_whole_gap_however_often_the_connection_was_lost() {
    let mut world = World::ready(config("a:1,b:2,c:3"));
    watch(&mut world, watch_data("/d"), 4, Ok(data(b"x")));
    watch(&mut world, add_watch("/p", AddWatchMode::PERSISTENT), 4, Ok(added()));
    reconnect(&mut world);
    // The one-time batch is acknowledged at 20, the persistent one never.
    acknowledge(&mut world, 20);
    reconnect(&mut world);
    assert_eq!(world.sent_requests(), [one_time(20, &["/d"], &[], &[]), persistent(4, &["/p"], &[])]);
    world.events();
    acknowledge(&mut world, 30);
    acknowledge(&mut world, 31);
    assert_eq!(world.events()[0], Event::WatchesRestored { from: Zxid(4), to: Zxid(31) });
}

/// INV-39.
#[test]
fn batches_stay_within_their_size_whatever_the_number_of_watches() {
    let mut narrow = config("a:1,b:2");
    narrow.max_set_watches_len = 200;
    let mut world = World::ready(narrow);
    let long = format!("/{}", "x".repeat(500));
    for number in 0..100 {
        watch(&mut world, watch_data(&format!("/node-{number:03}")), 3, Ok(data(b"x")));
    }
    watch(&mut world, watch_data(&long), 3, Ok(data(b"x")));
    reconnect(&mut world);
    let mut paths = Vec::new();
    for sent in world.sent() {
        let Request::SetWatches(batch) = sent.request else { panic!("{sent:?}") };
        assert!(sent.len <= 200 || batch.data_watches.len() == 1, "{} bytes", sent.len);
        paths.extend(batch.data_watches.iter());
    }
    assert_eq!(paths.len(), 101, "each once");
    paths.sort();
    paths.dedup();
    assert_eq!(paths.len(), 101);
    for _ in 0..100 {
        if !world.session.is_ready() {
            acknowledge(&mut world, 3);
        }
    }
    assert!(world.session.is_ready());
}

/// INV-36: what has fired isn't armed again.
#[test]
fn a_watch_that_fired_is_not_armed_again() {
    let (mut world, _) = World::with_watch(config("a:1,b:2"), "/a");
    watch(&mut world, watch_data("/b"), 6, Ok(data(b"x")));
    world.notify(EventType::NODE_DELETED, "/a", 7);
    reconnect(&mut world);
    assert_eq!(world.sent_requests(), [one_time(6, &["/b"], &[], &[])]);
}

#[test]
fn a_rearm_that_is_refused_ends_its_watches_with_an_event() {
    let (mut world, owner) = World::with_watch(config("a:1,b:2"), "/a");
    reconnect(&mut world);
    world.events();
    let xid = world.wire().oldest_unanswered().unwrap();
    world.reply(xid, 8, Err(ErrorCode::MARSHALLING_ERROR));
    let reason = WatchEndReason::RearmFailed(ErrorCode::MARSHALLING_ERROR);
    assert_eq!(
        world.events(),
        [Event::WatchEnded { request: owner, path: "/a".into(), reason }, Event::Ready]
    );
}

/// INV-32.
#[test]
fn the_end_of_the_session_ends_each_watch_before_it_is_told() {
    let (mut world, owner) = World::with_watch(config("a:1,b:2"), "/a");
    world.cut();
    world.establish();
    world.events();
    world.refuse();
    let events = world.events();
    let reason = WatchEndReason::SessionEnded;
    assert_eq!(events[0], Event::WatchEnded { request: owner, path: "/a".into(), reason });
    assert!(matches!(events[1], Event::Expired { .. }));
}

/// INV-43.
#[test]
fn removing_one_watch_silences_no_other() {
    let mut world = World::ready(config("a:1,b:2"));
    let first = watch(&mut world, watch_data("/a"), 3, Ok(data(b"x")));
    let second = watch(&mut world, watch_data("/a"), 3, Ok(data(b"x")));
    world.events();
    world.command(|session, now| session.remove_watch(first, now));
    let ended = Event::WatchEnded { request: first, path: "/a".into(), reason: WatchEndReason::Removed };
    assert_eq!(world.events(), [ended]);
    assert!(world.sent().is_empty(), "the server still has to tell of it");
    world.notify(EventType::NODE_DELETED, "/a", 9);
    assert_eq!(world.watch_events()[0].request, second);
    world.command(|session, now| session.remove_watch(second, now));
    assert!(world.events().is_empty());
}

#[test]
fn the_server_is_told_when_the_last_watch_of_a_path_goes_if_it_can_be_told() {
    let mut world = World::ready(config("a:1,b:2"));
    let owner = watch(&mut world, watch_data("/a"), 3, Ok(data(b"x")));
    world.command(|session, now| session.remove_watch(owner, now));
    assert!(world.sent().is_empty(), "3.4 would hang up on an operation that it doesn't know");
    watch(&mut world, add_watch("/p", AddWatchMode::PERSISTENT), 3, Ok(added()));
    let owner = watch(&mut world, watch_data("/a"), 3, Ok(data(b"x")));
    world.command(|session, now| session.remove_watch(owner, now));
    let remove = RemoveWatchesRequest { path: Ustring::from("/a"), watcher_type: WatcherType::ANY };
    assert_eq!(world.sent_requests(), [Request::RemoveWatches(remove)]);
    acknowledge(&mut world, 4);
    assert!(world.session.is_ready());
}

#[test]
fn a_watch_given_up_before_it_is_set_is_never_registered_and_works_while_disconnected() {
    let mut world = World::ready(config("a:1,b:2"));
    let pending = world.submit(watch_data("/a"));
    world.command(|session, now| session.remove_watch(pending, now));
    world.reply_to(pending, 3, Ok(data(b"x")));
    assert_eq!(world.session.stats().watches, 0);
    let owner = watch(&mut world, watch_data("/b"), 3, Ok(data(b"x")));
    world.cut();
    world.command(|session, now| session.remove_watch(owner, now));
    world.establish();
    world.accept();
    assert!(world.sent().is_empty());
    assert!(world.session.is_ready());
}

#[test]
fn watches_removed_by_path_and_type_end_and_the_others_are_armed_again() {
    let mut world = World::ready(config("a:1"));
    let standing = watch(&mut world, add_watch("/a", AddWatchMode::PERSISTENT), 3, Ok(added()));
    let child = watch(&mut world, watch_children("/b"), 3, Ok(children()));
    let once = watch(&mut world, watch_data("/b"), 3, Ok(data(b"x")));
    world.events();
    let remove = RemoveWatchesRequest { path: "/b".into(), watcher_type: WatcherType::CHILDREN };
    let request = world.submit(Request::RemoveWatches(remove));
    world.sent();
    world.reply_to(request, 7, Ok(Response::Empty));
    let reason = WatchEndReason::Removed;
    assert_eq!(world.events()[1..], [Event::WatchEnded { request: child, path: "/b".into(), reason }]);
    assert_eq!(world.sent_requests(), [one_time(7, &["/b"], &[], &[])]);
    acknowledge(&mut world, 7);
    assert!(world.events().is_empty(), "ready was told before");
    let _ = (standing, once);
    assert_eq!(world.session.stats().watches, 2);
}

/// Servers before 3.9 keep one mode for a path: a one-time watch would be a persistent one's end.
#[test]
fn a_one_time_watch_under_a_persistent_one_is_not_asked_for_and_hears_all_the_same() {
    let mut world = World::ready(config("a:1,b:2"));
    let standing = watch(&mut world, add_watch("/a", AddWatchMode::PERSISTENT), 3, Ok(added()));
    let id = world.submit(watch_data("/a"));
    assert_eq!(world.sent_requests(), [get_data("/a")]);
    world.reply_to(id, 4, Ok(data(b"x")));
    world.events();
    world.notify(EventType::NODE_DATA_CHANGED, "/a", 9);
    let heard: Vec<_> = world.watch_events().iter().map(|event| (event.request, event.last)).collect();
    assert_eq!(heard, [(standing, false), (id, true)]);
}

#[test]
fn a_child_watch_under_a_recursive_one_of_its_path_comes_behind_it() {
    let mut world = World::ready(config("a:1,b:2"));
    watch(&mut world, watch_children("/a"), 3, Ok(children()));
    watch(&mut world, add_watch("/a", AddWatchMode::PERSISTENT_RECURSIVE), 3, Ok(added()));
    acknowledge(&mut world, 3);
    world.sent();
    reconnect(&mut world);
    assert_eq!(world.sent_requests(), [persistent(3, &[], &["/a"]), one_time(3, &[], &[], &["/a"])]);
}

/// INV-33, INV-40: the persistent watch that was to hear for it is gone before its reply.
#[test]
fn a_one_time_watch_whose_cover_is_gone_is_armed_by_itself() {
    let mut world = World::ready(config("a:1,b:2"));
    let standing = watch(&mut world, add_watch("/a", AddWatchMode::PERSISTENT), 3, Ok(added()));
    world.cut();
    let once = world.submit(watch_data("/a"));
    world.command(|session, now| session.remove_watch(standing, now));
    world.establish();
    world.accept();
    assert_eq!(world.sent_requests(), [get_data("/a")]);
    world.reply_to(once, 5, Ok(data(b"x")));
    assert_eq!(world.sent_requests(), [one_time(5, &["/a"], &[], &[])]);

    let mut world = World::ready(config("a:1"));
    watch(&mut world, add_watch("/a", AddWatchMode::PERSISTENT), 3, Ok(added()));
    let remove = RemoveWatchesRequest { path: "/a".into(), watcher_type: WatcherType::ANY };
    let removal = world.submit(Request::RemoveWatches(remove));
    let once = world.submit(watch_data("/a"));
    world.reply_to(removal, 4, Ok(Response::Empty));
    world.sent();
    world.reply_to(once, 5, Ok(data(b"x")));
    assert_eq!(world.sent_requests(), [one_time(5, &["/a"], &[], &[])]);
}

/// Servers before 3.9 take the later one-time watch for the persistent one's end.
#[test]
fn a_persistent_watch_is_armed_again_behind_a_one_time_watch_that_overtook_its_answer() {
    let mut world = World::ready(config("a:1"));
    let standing = world.submit(add_watch("/a", AddWatchMode::PERSISTENT));
    let once = world.submit(watch_data("/a"));
    world.sent();
    world.reply_to(standing, 3, Ok(added()));
    world.reply_to(once, 3, Ok(data(b"x")));
    assert_eq!(world.sent_requests(), [one_time(3, &["/a"], &[], &[]), persistent(3, &["/a"], &[])]);
}

/// INV-37.
#[test]
fn an_event_of_a_live_watch_is_not_held_behind_newer_replies() {
    let mut world = World::ready(config("a:1"));
    let standing = watch(&mut world, add_watch("/a", AddWatchMode::PERSISTENT), 3, Ok(added()));
    watch(&mut world, watch_exists("/a"), 3, Ok(stat()));
    let remove = RemoveWatchesRequest { path: "/a".into(), watcher_type: WatcherType::DATA };
    let removal = world.submit(Request::RemoveWatches(remove));
    let read = world.submit(get_data("/a"));
    world.reply_to(removal, 5, Ok(Response::Empty));
    world.events();
    world.notify(EventType::NODE_DATA_CHANGED, "/a", 6);
    world.reply_to(read, 6, Ok(data(b"x")));
    let events = world.events();
    assert!(matches!(&events[0], Event::Watch(event) if event.request == standing), "{events:?}");
}

/// INV-40, INV-46.
#[test]
fn what_comes_after_an_unknown_event_is_not_lost() {
    let (mut world, _) = World::with_watch(config("a:1,b:2"), "/a");
    world.notify(EventType(99), "/a", 6);
    let later = world.submit(get_data("/b"));
    world.reply_to(later, 50, Ok(data(b"x")));
    world.sent();
    reconnect(&mut world);
    assert_eq!(world.sent_requests(), [one_time(5, &["/a"], &[], &[])]);
}

/// INV-43.
#[test]
fn a_removal_that_was_given_up_removes_all_the_same() {
    let (mut world, owner) = World::with_watch(config("a:1"), "/a");
    let remove = RemoveWatchesRequest { path: "/a".into(), watcher_type: WatcherType::ANY };
    let removal = world.submit(Request::RemoveWatches(remove));
    world.command(|session, now| session.cancel(removal, now));
    world.events();
    let xid = world.wire().oldest_unanswered().unwrap();
    world.reply(xid, 6, Ok(Response::Empty));
    let reason = WatchEndReason::Removed;
    assert_eq!(world.events(), [Event::WatchEnded { request: owner, path: "/a".into(), reason }]);
}

#[test]
fn a_watch_that_was_given_up_before_its_answer_is_removed_at_the_server() {
    let mut world = World::ready(config("a:1"));
    let standing = world.submit(add_watch("/a", AddWatchMode::PERSISTENT_RECURSIVE));
    world.command(|session, now| session.cancel(standing, now));
    world.sent();
    world.reply(1, 3, Ok(added()));
    let remove = RemoveWatchesRequest { path: "/a".into(), watcher_type: WatcherType::ANY };
    assert_eq!(world.sent_requests(), [Request::RemoveWatches(remove)]);
    assert_eq!(world.session.stats().watches, 0);
}

/// INV-38, INV-40: what has to be armed while another batch is still on its way isn't forgotten.
#[test]
fn a_watch_that_loses_its_cover_while_others_are_being_armed_is_armed_too() {
    let mut world = World::ready(config("a:1"));
    let removals = ["/a", "/b"].map(|path| {
        watch(&mut world, add_watch(path, AddWatchMode::PERSISTENT), 3, Ok(added()));
        RemoveWatchesRequest { path: path.into(), watcher_type: WatcherType::ANY }
    });
    let removals = removals.map(|removal| world.submit(Request::RemoveWatches(removal)));
    let covered = ["/a", "/b"].map(|path| world.submit(watch_data(path)));
    for removal in removals {
        world.reply_to(removal, 4, Ok(Response::Empty));
    }
    world.sent();
    world.reply_to(covered[0], 5, Ok(data(b"x")));
    assert_eq!(world.sent_requests(), [one_time(5, &["/a"], &[], &[])]);
    world.reply_to(covered[1], 6, Ok(data(b"x")));
    assert_eq!(world.sent_requests(), [one_time(6, &["/b"], &[], &[])]);
}

/// INV-72: a full window has no room for what the session itself would like to tell.
#[test]
fn the_server_is_not_told_of_a_removed_watch_while_as_much_is_in_flight_as_may_be() {
    for (others, is_told) in [(1, true), (2, false)] {
        let mut narrow = config("a:1");
        narrow.max_in_flight = 2;
        let mut world = World::ready(narrow);
        let owner = watch(&mut world, add_watch("/p", AddWatchMode::PERSISTENT), 3, Ok(added()));
        for _ in 0..others {
            world.submit(get_data("/b"));
        }
        world.sent();
        world.command(|session, now| session.remove_watch(owner, now));
        assert_eq!(world.sent().len(), usize::from(is_told), "{others} in flight");
    }
}
