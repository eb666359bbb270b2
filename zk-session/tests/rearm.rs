//! In what order, and in what batches, watches are armed again where one replaces another.

mod support;

use support::{
    World, config, data, get_data, watch_data,
    watching::{
        acknowledge, add_watch, added, children, one_time, persistent, reconnect, reconnect_stalled, watch,
        watch_children,
    },
};
use zk_session::zk_proto::{AddWatchMode, Request};

/// A child watch and a recursive one at `/a`, both armed.
fn child_and_recursive() -> World {
    let mut world = World::ready(config("a:1,b:2,c:3"));
    watch(&mut world, watch_children("/a"), 3, Ok(children()));
    watch(&mut world, add_watch("/a", AddWatchMode::PERSISTENT_RECURSIVE), 3, Ok(added()));
    acknowledge(&mut world, 3);
    world.sent();
    world
}

/// Only they would be replaced by what comes later.
#[test]
fn child_watches_come_behind_the_recursive_ones_of_their_own_path_and_all_others_before() {
    let mut world = child_and_recursive();
    watch(&mut world, watch_data("/d"), 3, Ok(data(b"x")));
    watch(&mut world, watch_children("/c"), 3, Ok(children()));
    watch(&mut world, watch_data("/r"), 3, Ok(data(b"x")));
    watch(&mut world, add_watch("/r", AddWatchMode::PERSISTENT_RECURSIVE), 3, Ok(added()));
    reconnect(&mut world);
    assert_eq!(
        world.sent_requests(),
        [
            one_time(3, &["/d", "/r"], &[], &["/c"]),
            persistent(3, &[], &["/a", "/r"]),
            one_time(3, &[], &[], &["/a"]),
        ]
    );
}

/// Of the persistent watches of one path a recursive one wins, whichever was set first, and however the batches are cut.
#[test]
fn recursive_watches_come_behind_the_other_persistent_ones() {
    for max_set_watches_len in [100, 10_000] {
        let mut config = config("a:1,b:2");
        config.max_set_watches_len = max_set_watches_len;
        let mut world = World::ready(config);
        let long = "/".to_owned() + &"x".repeat(50);
        for (path, mode) in [
            ("/a", AddWatchMode::PERSISTENT_RECURSIVE),
            (&long, AddWatchMode::PERSISTENT),
            ("/a", AddWatchMode::PERSISTENT),
        ] {
            watch(&mut world, add_watch(path, mode), 3, Ok(added()));
        }
        reconnect(&mut world);
        let sent = world.sent_requests();
        assert_eq!(sent.last(), Some(&persistent(3, &[], &["/a"])), "{sent:?}");
        assert_eq!(sent.len(), if max_set_watches_len == 100 { 3 } else { 2 });
    }
}

/// INV-40: a batch that is still on its way has been checked against nothing.
#[test]
fn what_comes_behind_restored_persistent_watches_keeps_its_own_zxid() {
    let mut world = child_and_recursive();
    reconnect(&mut world);
    acknowledge(&mut world, 9);
    world.sent();
    reconnect(&mut world);
    assert_eq!(world.sent_requests(), [persistent(9, &[], &["/a"]), one_time(3, &[], &[], &["/a"])]);
}

/// Servers before 3.9 take the recursive watch, when it is armed again, for the child watch's end.
#[test]
fn a_child_watch_that_was_set_before_its_recursive_one_is_armed_again_is_armed_behind_it() {
    let mut world = World::ready(config("a:1"));
    watch(&mut world, add_watch("/a", AddWatchMode::PERSISTENT_RECURSIVE), 3, Ok(added()));
    let standing = watch(&mut world, add_watch("/a", AddWatchMode::PERSISTENT), 3, Ok(added()));
    let child = world.submit(watch_children("/a"));
    assert_eq!(world.sent_requests(), [watch_children("/a")]);
    world.command(|session, now| session.remove_watch(standing, now));
    assert_eq!(world.sent_requests(), [persistent(3, &[], &["/a"])]);
    world.reply_to(child, 4, Ok(children()));
    assert!(world.sent().is_empty());
    acknowledge(&mut world, 4);
    assert_eq!(world.sent_requests(), [one_time(4, &[], &[], &["/a"])]);
}

/// A persistent watch hears of children in its place, unless a recursive one is beside it.
#[test]
fn a_child_watch_is_asked_for_exactly_if_nothing_at_its_path_hears_for_it() {
    use AddWatchMode as Mode;
    for (modes, is_asked_for) in [
        (&[][..], true),
        (&[Mode::PERSISTENT], false),
        (&[Mode::PERSISTENT_RECURSIVE], true),
        (&[Mode::PERSISTENT, Mode::PERSISTENT_RECURSIVE], true),
    ] {
        let mut world = World::ready(config("a:1"));
        for mode in modes {
            watch(&mut world, add_watch("/a", *mode), 3, Ok(added()));
        }
        world.submit(watch_children("/a"));
        let sent = world.sent_requests();
        let [Request::GetChildren2(sent)] = &sent[..] else { panic!("{sent:?}") };
        assert_eq!(sent.watch, is_asked_for, "{modes:?}");
    }
    let mut world = World::ready(config("a:1"));
    watch(&mut world, add_watch("/a", Mode::PERSISTENT_RECURSIVE), 3, Ok(added()));
    world.submit(watch_data("/a"));
    assert_eq!(world.sent_requests(), [get_data("/a")], "of data it hears");
}

/// INV-39.
#[test]
fn a_batch_is_as_long_as_it_may_be_and_no_longer() {
    let batches = |max_len| {
        let mut narrow = config("a:1,b:2");
        narrow.max_set_watches_len = max_len;
        let mut world = World::ready(narrow);
        for path in ["/p", "/longer", "/quite-a-long-path"] {
            watch(&mut world, add_watch(path, AddWatchMode::PERSISTENT), 3, Ok(added()));
        }
        reconnect(&mut world);
        world.sent().iter().map(|sent| sent.len).collect::<Vec<_>>()
    };
    let [len] = batches(10_000)[..] else { panic!("more than one batch") };
    assert_eq!(batches(len), [len]);
    assert_eq!(batches(len - 1).len(), 2);
}

/// INV-40: late or not, each with what it has been checked against.
#[test]
fn child_watches_behind_recursive_ones_keep_their_zxids_apart() {
    let mut narrow = config("a:1,b:2,c:3");
    narrow.max_set_watches_len = 50;
    let mut world = World::ready(narrow);
    for path in ["/first", "/second"] {
        watch(&mut world, watch_children(path), 3, Ok(children()));
        watch(&mut world, add_watch(path, AddWatchMode::PERSISTENT_RECURSIVE), 3, Ok(added()));
        acknowledge(&mut world, 3);
    }
    world.sent();
    reconnect(&mut world);
    // All but the last batch, which is the second child watch.
    for _ in 0..3 {
        acknowledge(&mut world, 9);
    }
    assert_eq!(world.sent_requests().last(), Some(&one_time(3, &[], &[], &["/second"])));
    reconnect(&mut world);
    let sent = world.sent_requests();
    assert_eq!(sent.len(), 4, "{sent:?}");
    assert!(sent.contains(&one_time(9, &[], &[], &["/first"])), "{sent:?}");
    assert!(sent.contains(&one_time(3, &[], &[], &["/second"])), "{sent:?}");
}

/// INV-36: a batch is made when it can leave, of what there is to arm then.
#[test]
fn a_watch_that_is_given_up_while_another_batch_is_leaving_is_not_armed() {
    let mut narrow = config("a:1,b:2");
    narrow.max_set_watches_len = 50;
    let mut world = World::ready(narrow);
    let owners = ["/first", "/second"].map(|path| watch(&mut world, watch_data(path), 3, Ok(data(b"x"))));
    reconnect_stalled(&mut world);
    let sent = world.sent_requests();
    let given_up = if sent == [one_time(3, &["/first"], &[], &[])] { owners[1] } else { owners[0] };
    world.command(|session, now| session.remove_watch(given_up, now));
    let outstanding = world.wire().outstanding();
    world.take(outstanding);
    assert_eq!((sent.len(), world.sent_requests().len()), (1, 0));
    acknowledge(&mut world, 3);
    assert!(world.session.is_ready());
}
