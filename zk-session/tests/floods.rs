//! Much that comes at once: it is told bit by bit, in order, as if it had come so (INV-73).

mod support;

use proptest::prelude::*;
use support::{
    World, config, data, event_frame, get_data, millis, reply_frame,
    watching::{add_watch, added, watch},
};
use zk_session::{
    Delivery, DisconnectReason, Event, Failure, RequestError, RequestId, RequestOptions, State,
    zk_proto::{AddWatchMode, BytesMut, ErrorCode, EventType},
};

/// More than is looked at before the first of it is told.
const MANY: usize = 1000;

/// A ready session with so many persistent watches of one znode.
fn watched_by(owners: usize) -> (World, Vec<RequestId>) {
    let mut world = World::ready(config("a:1,b:2"));
    let add = add_watch("/p", AddWatchMode::PERSISTENT);
    let owners = (0..owners).map(|_| watch(&mut world, add.clone(), 3, Ok(added()))).collect();
    world.events();
    (world, owners)
}

fn changes(count: usize) -> Vec<u8> {
    event_frame(EventType::NODE_DATA_CHANGED, "/p", 4).repeat(count)
}

#[derive(Clone, Copy, Debug)]
enum Said {
    Change,
    Answer,
    Refusal,
    Pong,
}

fn said() -> impl Strategy<Value = Vec<Said>> {
    let one = prop_oneof![
        4 => Just(Said::Change),
        2 => Just(Said::Answer),
        1 => Just(Said::Refusal),
        1 => Just(Said::Pong),
    ];
    prop::collection::vec(one, 1..300)
}

fn frames(said: &[Said], first_xid: i32) -> Vec<BytesMut> {
    let mut xids = first_xid..;
    let mut next = || xids.next().expect("there are enough");
    let frame = |said: &Said| match said {
        Said::Change => event_frame(EventType::NODE_DATA_CHANGED, "/p", 4),
        Said::Answer => reply_frame(next(), 5, Ok(data(b"x"))),
        Said::Refusal => reply_frame(next(), 5, Err(ErrorCode::NO_NODE)),
        Said::Pong => reply_frame(-2, 5, Err(ErrorCode::OK)),
    };
    said.iter().map(frame).collect()
}

proptest! {
    /// INV-64.
    #[test]
    fn what_comes_at_once_is_told_as_what_comes_frame_by_frame(owners in 1_usize..40, said in said()) {
        let told = |at_once: bool| {
            let (mut world, _) = watched_by(owners);
            let is_reply = |said: &&Said| matches!(said, Said::Answer | Said::Refusal);
            for _ in said.iter().filter(is_reply) {
                world.submit(get_data("/p"));
            }
            let frames = frames(&said, i32::try_from(owners).expect("few") + 1);
            if at_once {
                world.receive(&frames.concat());
            } else {
                frames.iter().for_each(|frame| world.receive(frame));
            }
            (world.events(), world.session.stats(), world.session.poll_timeout())
        };
        prop_assert_eq!(told(true), told(false));
    }
}

/// INV-37: nor of what has come already.
#[test]
fn a_watch_that_is_removed_while_much_is_told_tells_nothing_more() {
    let (mut world, owners) = watched_by(2);
    let connection = world.connection();
    world.session.handle_received(connection, &changes(MANY), world.now);
    world.command(|session, now| session.remove_watch(owners[0], now));
    let events = world.watch_events();
    let told = |owner| events.iter().filter(|event| event.request == owner).count();
    assert!(told(owners[0]) < 100, "{}", told(owners[0]));
    assert_eq!(told(owners[1]), MANY);
}

/// INV-27: what ends a connection is told behind what came on it, even to a driver that asked for nothing between.
#[test]
fn what_has_come_is_told_before_the_connection_ends() {
    for frames in [changes(MANY), changes(64), changes(63)] {
        let count = frames.len() / changes(1).len();
        let (mut world, _) = watched_by(1);
        let connection = world.connection();
        world.session.handle_received(connection, &frames, world.now);
        world.session.handle_disconnected(connection, world.now);
        world.drain();
        let events = world.events();
        assert!(events[..count].iter().all(|event| matches!(event, Event::Watch(_))), "{count}");
        assert!(matches!(events[count], Event::Disconnected { .. }), "{count}: {:?}", events[count]);
    }
}

/// INV-69: bytes that end the connection do so in their turn.
#[test]
fn what_comes_behind_much_else_is_looked_at_too() {
    let (mut world, _) = watched_by(1);
    world.receive(&[&changes(MANY)[..], &[0xFF; 4]].concat());
    let events = world.events();
    assert_eq!(events.iter().filter(|event| matches!(event, Event::Watch(_))).count(), MANY);
    let is_end = |event: &Event| matches!(event, Event::Disconnected { reason: DisconnectReason::BadFrame(error) } if error.len == -1);
    assert!(events[MANY..].iter().any(is_end), "{:?}", &events[MANY..]);
}

/// INV-51. A pong that has come is no silence, wherever it lies.
#[test]
fn a_tick_that_is_due_counts_what_has_come_although_it_was_not_polled() {
    let (mut world, _) = watched_by(1);
    world.now = world.session.next_timer().expect("a ping").1;
    world.tick();
    let connection = world.connection();
    let pong = reply_frame(-2, 5, Err(ErrorCode::OK));
    world.session.handle_received(connection, &[&changes(MANY)[..], &pong].concat(), world.now);
    world.session.handle_timeout(world.now);
    assert_eq!(world.session.stats().pongs, 0, "it lies behind much else, and nothing is due");
    world.session.handle_timeout(world.session.poll_timeout().expect("a ping"));
    assert_eq!(world.session.stats().pongs, 1);
    world.drain();
    assert_eq!((world.watch_events().len(), world.state()), (MANY, State::Connected));
}

/// INV-08: an answer that has come before the deadline counts, wherever it lies.
#[test]
fn a_deadline_waits_for_what_has_come_before_it() {
    let (mut world, owners) = watched_by(1);
    let deadline = world.now + millis(500);
    let request = world.submit_with(get_data("/p"), RequestOptions::default().with_deadline(deadline));
    let connection = world.connection();
    let answer = reply_frame(i32::try_from(owners.len()).expect("few") + 1, 5, Ok(data(b"x")));
    world.session.handle_received(connection, &[&changes(MANY)[..], &answer].concat(), world.now);
    world.now = deadline;
    let late = world.submit_with(get_data("/p"), RequestOptions::default().with_deadline(deadline));
    let replies = world.replies();
    let [answered, given_up] = &replies[..] else { panic!("two outcomes: {replies:?}") };
    assert_eq!((answered.request, given_up.request), (request, late));
    assert!(answered.result.is_ok(), "{answered:?}");
    let is_late = |error: &RequestError| {
        matches!(error, RequestError::Failed { failure: Failure::Deadline, delivery: Delivery::NotSent })
    };
    assert!(given_up.result.as_ref().is_err_and(is_late), "{given_up:?}");
}
