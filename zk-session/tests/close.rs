//! Closing: orderly, bounded, honest.

mod support;

use support::{
    SESSION, World, config, data, get_data, millis, sync, watch_data,
    watching::{acknowledge, add_watch, added, reconnect_stalled, remove_watches, watch},
};
use zk_session::{
    Credentials, Delivery, Event, Failure, RequestError, State,
    zk_proto::{AddWatchMode, Bytes, ErrorCode, EventType, Request, Response, WatcherType, Zxid},
};

fn close(world: &mut World) {
    world.command(|session, now| session.close(now));
}

/// INV-74.
#[test]
fn close_session_is_the_last_frame_behind_all_requests() {
    let mut narrow = config("a:1");
    narrow.max_in_flight = 1;
    let mut world = World::ready(narrow);
    let first = world.submit(get_data("/a"));
    let second = world.submit(sync("/"));
    close(&mut world);
    close(&mut world);
    assert_eq!(world.sent_requests(), [get_data("/a")]);
    world.reply_to(first, 3, Ok(data(b"x")));
    assert_eq!(world.sent_requests(), [sync("/"), Request::CloseSession]);
    world.reply_to(second, 3, Err(ErrorCode::NO_NODE));
    let xid = world.wire().oldest_unanswered().unwrap();
    world.advance(millis(4000));
    assert!(world.sent().is_empty(), "INV-54: no ping behind it");
    world.reply(xid, 4, Ok(Response::Empty));
    assert_eq!(world.events().last(), Some(&Event::Closed { confirmed: true }));
    assert_eq!(world.state(), State::Closed);
}

/// INV-79: a batch that was sent is answered, whatever becomes of those behind it.
#[test]
fn a_session_closed_between_two_batches_takes_the_answer_to_the_first() {
    let mut config = config("a:1");
    config.max_set_watches_len = 1;
    let mut world = World::ready(config);
    for path in ["/a", "/b"] {
        watch(&mut world, watch_data(path), 5, Ok(data(b"x")));
    }
    let persistent = watch(&mut world, add_watch("/a", AddWatchMode::PERSISTENT), 5, Ok(added()));
    reconnect_stalled(&mut world);
    world.take(world.wire().outstanding());
    acknowledge(&mut world, 8);
    close(&mut world);
    world.take(world.wire().outstanding());
    world.command(|session, now| session.remove_watch(persistent, now));
    acknowledge(&mut world, 8);
    world.takes_at_once = true;
    world.take(world.wire().outstanding());
    let sent = world.sent_requests();
    assert!(matches!(sent[..], [Request::SetWatches(_), Request::SetWatches(_), Request::CloseSession]));
    let closing = world.wire().oldest_unanswered().expect("the last frame was sent");
    world.reply(closing, 8, Ok(Response::Empty));
    assert_eq!(world.events().last(), Some(&Event::Closed { confirmed: true }));
}

/// INV-75.
#[test]
fn close_is_bounded_whatever_the_network_does() {
    let mut world = World::ready(config("a:1,b:2"));
    let request = world.submit(get_data("/a"));
    close(&mut world);
    world.advance(millis(4999));
    assert!(!world.state().is_terminal());
    world.advance(millis(1));
    let events = world.events();
    assert!(matches!(&events[0], Event::Reply(reply) if reply.request == request
        && reply.result == Err(RequestError::Failed { failure: Failure::Closed, delivery: Delivery::MaybeApplied })));
    assert_eq!(events.last(), Some(&Event::Closed { confirmed: false }));
}

#[test]
fn without_a_session_there_is_nothing_to_close() {
    let mut world = World::new(config("a:1"));
    let request = world.submit(get_data("/a"));
    close(&mut world);
    let replies = world.events();
    assert!(matches!(&replies[0], Event::Reply(reply) if reply.request == request
        && reply.result == Err(RequestError::Failed { failure: Failure::Closed, delivery: Delivery::NotSent })));
    assert_eq!(replies[1], Event::Closed { confirmed: false });
}

#[test]
fn a_session_that_is_being_created_is_closed_when_it_is_there() {
    let mut world = World::associating(config("a:1"));
    close(&mut world);
    world.accept();
    assert_eq!(world.sent_requests(), [Request::CloseSession]);
    world.reply(1, 4, Ok(Response::Empty));
    assert_eq!(world.events().last(), Some(&Event::Closed { confirmed: true }));
}

#[test]
fn a_disconnected_session_is_looked_for_until_it_can_be_closed() {
    let (mut world, _) = World::with_watch(config("a:1,b:2"), "/a");
    world.cut();
    close(&mut world);
    world.establish();
    assert_eq!(world.connect_request().session_id, SESSION);
    world.accept();
    assert_eq!(world.sent_requests(), [Request::CloseSession], "no watch is worth arming any more");
    let xid = world.wire().oldest_unanswered().unwrap();
    world.reply(xid, 9, Ok(Response::Empty));
    assert_eq!(world.events().last(), Some(&Event::Closed { confirmed: true }));
}

#[test]
fn a_lost_reply_is_made_up_for_by_the_servers_verdict() {
    let mut world = World::ready(config("a:1,b:2"));
    close(&mut world);
    world.cut();
    world.establish();
    world.refuse();
    assert_eq!(world.events().last(), Some(&Event::Closed { confirmed: true }), "the session is gone");
}

#[test]
fn a_session_to_resume_is_closed_at_a_server() {
    let mut resume = config("a:1");
    let password = Bytes::from_static(&[7; 16]);
    resume.resume = Some(Credentials { session_id: SESSION, password, last_zxid: Zxid(1) });
    let mut world = World::new(resume);
    close(&mut world);
    world.establish();
    world.accept();
    assert_eq!(world.sent_requests(), [Request::CloseSession]);
}

/// INV-31.
#[test]
fn after_the_end_nothing_comes_out_whatever_goes_in() {
    let mut world = World::ready(config("a:1"));
    close(&mut world);
    world.reply(1, 4, Ok(Response::Empty));
    let trace = world.trace.len();
    let connection = world.connection();
    for _ in 0..2 {
        world.session.handle_connected(connection, world.now);
        world.session.handle_received(connection, &[1; 100], world.now);
        world.session.handle_sent(connection, 10, world.now);
        world.session.handle_disconnected(connection, world.now);
        close(&mut world);
        world.advance(millis(100_000));
        let refused = world.command(|session, now| session.submit(sync("/"), Default::default(), now));
        assert_eq!(refused, Err(zk_session::SubmitError::Closed));
    }
    assert_eq!(world.trace.len(), trace);
}

/// INV-37, INV-41: what a persistent watch hears before its gap is told isn't told behind later outcomes.
#[test]
fn a_session_closed_while_its_watches_are_set_again_tells_no_more_of_them() {
    let mut world = World::ready(config("a:1"));
    watch(&mut world, add_watch("/a", AddWatchMode::PERSISTENT), 5, Ok(added()));
    watch(&mut world, watch_data("/c"), 5, Ok(data(b"x")));
    reconnect_stalled(&mut world);
    world.take(world.wire().outstanding());
    let remove = world.submit(remove_watches("/c", WatcherType::CHILDREN));
    close(&mut world);
    world.takes_at_once = true;
    world.take(world.wire().outstanding());
    for _ in 0..2 {
        acknowledge(&mut world, 8);
    }
    world.notify(EventType::NODE_DATA_CHANGED, "/a", 8);
    world.events();
    world.reply_to(remove, 9, Err(ErrorCode::NO_WATCHER));
    let events = world.events();
    assert!(events.iter().any(|event| matches!(event, Event::Reply(reply) if reply.request == remove)));
    assert!(!events.iter().any(|event| matches!(event, Event::Watch(_) | Event::WatchesRestored { .. })));
}
