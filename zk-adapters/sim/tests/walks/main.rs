//! Random walks: whatever a driver, a server and an application do, in whatever order, what must hold holds.
//!
//! Books are kept beside the session, from nothing but what goes in and what comes out, and compared with it after
//! every single call. The numbers (`INV-…`) name the project's invariants.
#![expect(clippy::wildcard_enum_match_arm, reason = "a check or a server looks for one thing among many")]

mod acts;
mod captures;
#[cfg(feature = "planted")]
mod planted;
mod replays;
mod requests;
mod scenarios;
mod server;
mod world;

use core::time::Duration;

use acts::{Act, act, any_config};
use proptest::{prelude::*, test_runner::Config as Proptest};
use world::{Step, Transport, World};
use zk_session::{Action, Config, ConnectionId, Event, Instant, Session, zk_proto::Bytes};
use zk_sim::Input;

/// All faults end: the server is there, and answers.
fn heal(world: &mut World) {
    world.server.answers_pings = true;
    world.server.answers_session = true;
    world.server.read_only = Some(false);
    world.transport = Transport::Flows;
    world.settle();
    if world.link.is_some() {
        world.cut();
    }
}

/// Servers do what they are there for, for at most so long.
fn serve(world: &mut World, most: Duration) {
    let end = world.now + most;
    while !world.state().is_terminal() {
        if !world.server.unanswered.is_empty() {
            world.answer();
        } else if world.link.as_ref().is_some_and(|link| !link.is_up) {
            world.connect();
            world.accept_session();
        } else if world.session.poll_timeout().is_some_and(|due| due <= end) {
            world.tick();
        } else {
            return;
        }
    }
}

/// INV-57: the servers are there again, and the session gets ready, each request answered.
fn recover(world: &mut World) -> Result<(), String> {
    let timeout = world.session.negotiated_timeout().max(Duration::from_secs(1));
    serve(world, timeout * 3);
    // With less than that between a ping and the silence that it breaks, no session is steady.
    if world.state().is_terminal() || timeout < Duration::from_secs(2) {
        return Ok(());
    }
    let stats = world.session.stats();
    let is_well = world.session.is_ready() && stats.accepted == stats.ended;
    if is_well { Ok(()) } else { Err(format!("{:?}", world.session)) }
}

fn input_of(request: zk_session::zk_proto::Request) -> Input {
    Input::Submit(Box::new(request), zk_session::RequestOptions::default())
}

fn walk(config: Config, acts: &[Act]) -> World {
    let mut world = World::new(config);
    for act in acts {
        act.perform(&mut world);
    }
    world
}

/// Does the same to another session; `call` makes each call.
fn replay(config: Config, log: &[Step], mut call: impl FnMut(&mut Session, &Input, Instant)) -> Vec<Action> {
    let mut session = Session::new(config, World::BEGIN);
    let mut trace = Vec::new();
    for step in log {
        match step {
            Step::Call(now, input) => call(&mut session, input, *now),
            Step::Poll => trace.extend(session.poll_action()),
        }
    }
    trace
}

fn walks() -> impl Strategy<Value = (Config, Vec<Act>)> {
    (any_config(), proptest::collection::vec(act(), 1..160))
}

proptest! {
    #![proptest_config(Proptest { cases: 400, max_shrink_time: 30_000, ..Proptest::default() })]

    /// INV-01 and all that is checked after each step; INV-74, INV-75 at the end.
    #[test]
    fn a_session_keeps_its_promises_whatever_happens_and_can_be_closed((config, acts) in walks()) {
        let mut world = walk(config, &acts);
        heal(&mut world);
        let begin = world.now;
        let close_timeout = world.session.config().close_timeout;
        world.do_input(Input::Close);
        serve(&mut world, close_timeout);
        prop_assert!(world.state().is_terminal(), "{:?}", world.session);
        prop_assert!(world.now - begin <= close_timeout);
        prop_assert_eq!(world.session.stats().accepted, world.session.stats().ended);
    }

    /// INV-57: when all faults end the session is ready again, and each request gets its answer.
    #[test]
    fn a_session_recovers_from_anything((config, acts) in walks()) {
        let mut world = walk(config, &acts);
        heal(&mut world);
        prop_assert_eq!(recover(&mut world), Ok(()));
    }

    /// INV-75: nobody answers, and it is closed nevertheless.
    #[test]
    fn a_session_closes_in_time_whatever_the_network_does((config, acts) in walks()) {
        let mut world = walk(config, &acts);
        world.settle();
        world.do_input(Input::Close);
        let close_timeout = world.session.config().close_timeout;
        world.advance(close_timeout);
        let end = world.trace.last();
        let is_told = matches!(
            end,
            Some(Action::Emit(Event::Closed { .. } | Event::Expired { .. } | Event::AuthFailed { .. }))
        );
        prop_assert!(is_told, "{:?}", end);
    }

    /// INV-64, INV-78: the same calls give the same actions, however the bytes in them are cut.
    #[test]
    fn cuts_in_what_arrives_make_no_difference((config, acts) in walks(), piece in 1_usize..30) {
        let world = walk(config.clone(), &acts);
        let cut = replay(config, &world.log, |session, input, now| match input {
            // What is due already is told between the pieces.
            Input::Received(connection, bytes) if session.poll_timeout().is_some_and(|due| due > now) => {
                for piece in bytes.chunks(piece) {
                    session.handle_received(*connection, piece, now);
                }
            }
            other => drop(other.apply(session, now)),
        });
        prop_assert_eq!(cut, world.trace);
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
