//! What must hold of any walk: the bodies of property tests, and of fuzz targets.

use core::time::Duration;

use proptest::{collection::vec, strategy::Strategy};
use zk_session::{Action, Config, Event, Instant, Session};
use zk_sim::Input;

use crate::{
    acts::{Act, act, any_config},
    world::{Step, Transport, World},
};

/// A walk of a session with this configuration.
pub(crate) type Walk = (Config, Vec<Act>);

pub(crate) fn walks() -> impl Strategy<Value = Walk> {
    (any_config(), vec(act(), 1..160))
}

/// INV-01 and all that is checked after each step; INV-74, INV-75 at the end.
pub(crate) fn keeps_its_promises_and_can_be_closed((config, acts): Walk) {
    let mut world = walk(config, &acts);
    heal(&mut world);
    let begin = world.now;
    let close_timeout = world.session.config().close_timeout;
    world.do_input(Input::Close);
    serve(&mut world, close_timeout);
    assert!(world.state().is_terminal(), "{:?}", world.session);
    assert!(world.now - begin <= close_timeout);
    assert_eq!(world.session.stats().accepted, world.session.stats().ended);
}

/// INV-57: when all faults end the session is ready again, and each request gets its answer.
pub(crate) fn recovers((config, acts): Walk) {
    let mut world = walk(config, &acts);
    heal(&mut world);
    assert_eq!(recover(&mut world), Ok(()));
}

/// INV-75: nobody answers, and it is closed nevertheless.
pub(crate) fn closes_in_time((config, acts): Walk) {
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
    assert!(is_told, "{end:?}");
}

/// INV-64, INV-78: the same calls give the same actions, however the bytes in them are cut.
pub(crate) fn is_the_same_in_pieces((config, acts): Walk, mut piece: impl FnMut() -> usize) {
    let world = walk(config.clone(), &acts);
    let cut = replay(config, &world.log, |session, input, now| match input {
        // What is due already is told between the pieces.
        Input::Received(connection, bytes) if session.poll_timeout().is_some_and(|due| due > now) => {
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                let (head, tail) = rest.split_at(piece().clamp(1, rest.len()));
                session.handle_received(*connection, head, now);
                rest = tail;
            }
        }
        other => drop(other.apply(session, now)),
    });
    assert_eq!(cut, world.trace);
}

/// All faults end: the server is there, and answers.
pub(crate) fn heal(world: &mut World) {
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
pub(crate) fn serve(world: &mut World, most: Duration) {
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
pub(crate) fn recover(world: &mut World) -> Result<(), String> {
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

pub(crate) fn walk(config: Config, acts: &[Act]) -> World {
    let mut world = World::new(config);
    for act in acts {
        act.perform(&mut world);
    }
    world
}

/// Does the same to another session; `call` makes each call.
pub(crate) fn replay(
    config: Config,
    log: &[Step],
    mut call: impl FnMut(&mut Session, &Input, Instant),
) -> Vec<Action> {
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
