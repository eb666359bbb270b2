//! Random walks: whatever a driver, a server and an application do, in whatever order, what must hold holds.
//!
//! Books are kept beside the session, from nothing but what goes in and what comes out, and compared with it after
//! every single call. The numbers (`INV-…`) name the project's invariants.
#![expect(clippy::wildcard_enum_match_arm, reason = "a check or a server looks for one thing among many")]

mod acts;
mod captures;
mod corpora;
#[cfg(feature = "planted")]
mod planted;
mod promises;
mod replays;
mod requests;
mod scenarios;
mod server;
mod world;

use core::time::Duration;

use promises::{replay, walk, walks};
use proptest::{prelude::*, test_runner::Config as Proptest};
use world::{Transport, World};
use zk_session::{Action, Config, ConnectionId, Event, zk_proto::Bytes};
use zk_sim::Input;

pub(crate) fn input_of(request: zk_session::zk_proto::Request) -> Input {
    Input::Submit(Box::new(request), zk_session::RequestOptions::default())
}

proptest! {
    #![proptest_config(Proptest { cases: 400, max_shrink_time: 30_000, ..Proptest::default() })]

    #[test]
    fn a_session_keeps_its_promises_whatever_happens_and_can_be_closed(walk in walks()) {
        promises::keeps_its_promises_and_can_be_closed(walk);
    }

    #[test]
    fn a_session_recovers_from_anything(walk in walks()) {
        promises::recovers(walk);
    }

    #[test]
    fn a_session_closes_in_time_whatever_the_network_does(walk in walks()) {
        promises::closes_in_time(walk);
    }

    #[test]
    fn cuts_in_what_arrives_make_no_difference(walk in walks(), piece in 1_usize..30) {
        promises::is_the_same_in_pieces(walk, || piece);
    }

    /// INV-51, INV-62, INV-80: what must do nothing does nothing, wherever it comes. A clone goes on alike.
    #[test]
    fn early_ticks_stale_inputs_and_clones_make_no_difference((config, acts) in walks()) {
        let world = walk(config.clone(), &acts);
        let nobody = ConnectionId::from_number(u64::MAX);
        let mut latest = World::BEGIN;
        let noisy = replay(config, &world.log, |session, input, now| {
            drop(input.apply(session, now));
            let mut clone = session.clone();
            let noise = [
                Input::Connected(nobody),
                Input::Received(nobody, Bytes::from_static(&[0xff; 8])),
                Input::Sent(nobody, 7),
                Input::Disconnected(nobody),
            ];
            for input in noise {
                drop(input.apply(&mut clone, now));
            }
            latest = latest.max(now);
            if session.poll_timeout().is_none_or(|due| due > latest) {
                clone.handle_timeout(now);
            }
            *session = clone;
        });
        prop_assert_eq!(noisy, world.trace);
    }
}

/// INV-04: the deadline was decided while the transport might still have taken the slice, and is polled after it is
/// known to have stayed.
#[test]
fn a_deadline_during_a_slice_is_maybe_applied_even_if_it_is_polled_when_the_slice_is_known_to_have_stayed() {
    let mut config = Config::new("a:2181".parse().expect("a connect string"));
    config.max_send_len = 64;
    let mut world = World::new(config);
    world.connect();
    world.accept_session();
    world.transport = Transport::Stalls;
    let (soon, long) = (Duration::from_secs(1), Bytes::from_static(&[7; 200]));
    let options = zk_session::RequestOptions::default().with_deadline(world.now + soon);
    world.do_input(Input::Submit(Box::new(requests::set("/a", long)), options));
    world.oversleep(soon);
    let connection = world.connection();
    for input in [Input::Timeout, Input::Sent(connection, 0), Input::Disconnected(connection)] {
        world.input_undrained(input).expect("nothing that can be refused");
    }
    world.link = None;
    world.settle();
    let told = world.trace.iter().find_map(|action| match action {
        Action::Emit(Event::Reply(reply)) => reply.result.as_ref().err()?.delivery(),
        _ => None,
    });
    assert_eq!(told, Some(zk_session::Delivery::MaybeApplied));
}
