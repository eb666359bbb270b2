//! Every cut, every truncation and every flipped bit of what was captured; everything that may end a request or a
//! session, at every step of fifty recorded conversations; and the connection cut at every byte of them.
//!
//! Tests take a sample of these. `REPLAYS=all cargo test --profile checked -p zk-sim --test walks replays`
//! takes all of them.

use core::time::Duration;

use zk_session::{
    Action, OnLoss, RequestId,
    zk_proto::{Bytes, BytesMut},
};
use zk_sim::Input;

use crate::{
    promises::{heal, recover, serve},
    scenarios::{Scenario, captured, fifty},
    world::{Step, World},
};

/// Which of many cases are tried: each one in so many, others in each place.
struct Sample {
    one_in: usize,
    count: usize,
}

impl Sample {
    fn of(one_in: usize) -> Self {
        let takes_all = std::env::var("REPLAYS").is_ok_and(|wanted| wanted == "all");
        Self { one_in: if takes_all { 1 } else { one_in }, count: 0 }
    }

    fn takes(&mut self) -> bool {
        self.count += 1;
        // Neighbours differ in which of their cases are taken.
        self.count.wrapping_mul(0x9e37_79b9).rotate_right(7).is_multiple_of(self.one_in)
    }
}

/// Names the case that fails.
struct Case(String);

impl Drop for Case {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("in: {}", self.0);
        }
    }
}

impl World {
    /// Does one recorded step.
    fn repeat(&mut self, step: &Step) {
        match step {
            Step::Poll => {
                if !self.drain_one() {
                    self.drain();
                }
            }
            Step::Call(now, input) => {
                self.now = self.now.max(*now);
                if !self.can_be_told(input) {
                    return;
                }
                self.note(input);
                let _ = self.input_undrained(input.clone());
                self.server.out.clear();
            }
        }
    }

    /// Nobody speaks of a connection that the driver hasn't been told to make yet.
    fn can_be_told(&self, input: &Input) -> bool {
        let known = self.link.as_ref().map(|link| link.connection);
        input.connection().is_none_or(|connection| known.is_some_and(|known| connection <= known))
    }

    /// What an input says of the transport.
    fn note(&mut self, input: &Input) {
        let Some(link) = self.link.as_mut().filter(|link| input.connection() == Some(link.connection)) else {
            return;
        };
        match input {
            Input::Sent(_, count) => {
                let taken = link.outbox.split_to((*count).min(link.outbox.len()));
                self.server.hear(&taken);
            }
            Input::Disconnected(_) => {
                self.link = None;
                self.server.begin_connection();
            }
            _ => {}
        }
    }

    fn repeat_all(&mut self, steps: &[Step]) {
        for step in steps {
            self.repeat(step);
        }
    }

    /// Forgets what has been, so that copies cost little.
    fn lighten(&mut self) {
        self.log.clear();
        self.trace.clear();
    }

    /// INV-01, INV-57, INV-74, INV-75: the faults end, the session recovers, and can be closed.
    fn ends_well(mut self) {
        heal(&mut self);
        recover(&mut self).unwrap_or_else(|what| panic!("{what}"));
        let close_timeout = self.session.config().close_timeout;
        self.do_input(Input::Close);
        serve(&mut self, close_timeout);
        let stats = self.session.stats();
        assert!(self.state().is_terminal(), "{:?}", self.session);
        assert_eq!(stats.accepted, stats.ended);
    }
}

/// Calls `at` with the world before each step, the step, and those behind it.
fn at_each_step(scenario: &Scenario, mut at: impl FnMut(usize, &World, &Step, &[Step])) {
    let mut world = scenario.begin.clone();
    for (number, step) in scenario.steps.iter().enumerate() {
        world.lighten();
        at(number, &world, step, &scenario.steps[number + 1..]);
        world.repeat(step);
    }
}

/// The same for each call that brings bytes.
fn at_each_receipt(scenario: &Scenario, mut at: impl FnMut(&World, &Step, Receipt<'_>, &[Step])) {
    at_each_step(scenario, |number, world, step, rest| {
        if let Step::Call(now, Input::Received(connection, bytes)) = step
            && world.link.as_ref().is_some_and(|link| link.connection == *connection)
        {
            let mut world = world.clone();
            world.now = world.now.max(*now);
            at(&world, step, Receipt { number, connection: *connection, bytes }, rest);
        }
    });
}

struct Receipt<'a> {
    number: usize,
    connection: zk_session::ConnectionId,
    bytes: &'a Bytes,
}

impl Receipt<'_> {
    fn of(&self, bytes: Bytes) -> Input {
        Input::Received(self.connection, bytes)
    }
}

/// INV-64.
#[test]
fn bytes_that_arrive_in_two_pieces_cut_anywhere_do_what_they_do_in_one() {
    let mut sample = Sample::of(8);
    for scenario in captured().iter().chain(&fifty()) {
        at_each_receipt(scenario, |world, step, receipt, _| {
            let mut whole = world.clone();
            let is_due = world.session.poll_timeout().is_some_and(|due| due <= world.now);
            whole.repeat(step);
            whole.drain();
            for at in (1..receipt.bytes.len()).filter(|_| !is_due && sample.takes()) {
                let mut cut = world.clone();
                let pieces = [receipt.bytes.slice(..at), receipt.bytes.slice(at..)];
                for piece in pieces {
                    let _ = cut.input_undrained(receipt.of(piece));
                }
                cut.drain();
                let _case = Case(format!("{}, step {}, cut at {at}", scenario.name, receipt.number));
                assert_eq!(cut.trace, whole.trace);
                assert!(cut.session == whole.session, "the session differs");
            }
        });
    }
}

/// INV-64.
#[test]
fn a_conversation_byte_by_byte_tells_what_it_tells_in_whole_frames() {
    for scenario in captured() {
        let mut whole = scenario.begin.clone();
        whole.repeat_all(&scenario.steps);
        let mut cut = scenario.begin.clone();
        for step in &scenario.steps {
            match step {
                Step::Call(_, Input::Received(connection, bytes)) => {
                    for byte in bytes.chunks(1) {
                        let _ =
                            cut.input_undrained(Input::Received(*connection, Bytes::copy_from_slice(byte)));
                    }
                }
                other => cut.repeat(other),
            }
        }
        assert_eq!(cut.trace, whole.trace, "{}", scenario.name);
    }
}

/// INV-69, INV-79: a frame that is shorter than it should be, its length right.
#[test]
fn a_truncated_frame_ends_a_connection_at_most() {
    let mut sample = Sample::of(32);
    for scenario in captured() {
        at_each_receipt(&scenario, |world, _, receipt, rest| {
            for len in (0..receipt.bytes.len().saturating_sub(4)).filter(|_| sample.takes()) {
                let mut bytes = BytesMut::from(&receipt.bytes[..4 + len]);
                bytes[..4].copy_from_slice(&(len as i32).to_be_bytes());
                let _case = Case(format!("{}, step {}, {len} bytes", scenario.name, receipt.number));
                let mut world = world.clone();
                world.do_input(receipt.of(bytes.freeze()));
                world.repeat_all(rest);
                world.ends_well();
            }
        });
    }
}

/// INV-69, INV-79.
#[test]
fn a_flipped_bit_ends_a_connection_at_most_or_is_believed() {
    let mut sample = Sample::of(512);
    for scenario in captured() {
        at_each_receipt(&scenario, |world, _, receipt, rest| {
            for bit in (0..receipt.bytes.len() * 8).filter(|_| sample.takes()) {
                let mut bytes = BytesMut::from(&receipt.bytes[..]);
                bytes[bit / 8] ^= 1 << (bit % 8);
                let _case = Case(format!("{}, step {}, bit {bit}", scenario.name, receipt.number));
                let mut world = world.clone();
                world.do_input(receipt.of(bytes.freeze()));
                world.repeat_all(rest);
                world.ends_well();
            }
        });
    }
}

/// Does something at each step of fifty conversations, goes on with the conversation, and ends it well.
fn injected(one_in: usize, inject: impl Fn(&mut World)) {
    let mut sample = Sample::of(one_in);
    let scenarios = fifty();
    assert_eq!(scenarios.len(), 50);
    for scenario in &scenarios {
        at_each_step(scenario, |number, world, step, rest| {
            if sample.takes() {
                let _case = Case(format!("{}, step {number}", scenario.name));
                let mut world = world.clone();
                inject(&mut world);
                world.repeat(step);
                world.repeat_all(rest);
                world.ends_well();
            }
        });
    }
}

/// INV-01, INV-22, INV-28.
#[test]
fn a_session_that_expires_at_any_step_says_so() {
    injected(16, |world| {
        let had_session = world.session.credentials().is_some();
        world.settle();
        if world.link.is_some() {
            world.cut();
        }
        for _ in 0..20 {
            if world.state().is_terminal() || world.link.is_some() {
                break;
            }
            world.tick();
        }
        if world.link.is_some() {
            world.connect();
            world.server.refuse_session();
            world.settle();
        }
        // One that is left with each connection isn't there any more.
        let is_left = world.session.config().on_loss == OnLoss::NewSession;
        assert!(!had_session || is_left || world.state().is_terminal());
    });
}

/// INV-74, INV-75.
#[test]
fn a_session_that_is_closed_at_any_step_closes() {
    injected(16, |world| world.do_input(Input::Close));
}

/// INV-01, INV-09.
#[test]
fn requests_that_are_cancelled_at_any_step_end_once() {
    injected(16, |world| {
        for number in 1..=world.session.stats().accepted {
            world.do_input(Input::Cancel(RequestId::from_number(number)));
        }
        let stats = world.session.stats();
        assert_eq!(stats.accepted, stats.ended);
    });
}

/// INV-08, INV-09, INV-51: all requests have a deadline, and nobody has run for an hour when it comes.
#[test]
fn requests_whose_deadline_comes_at_any_step_end_once() {
    let mut sample = Sample::of(16);
    let hour = Duration::from_secs(3_600);
    for mut scenario in fifty() {
        for step in &mut scenario.steps {
            if let Step::Call(_, Input::Submit(_, options)) = step {
                *options = options.with_deadline(World::BEGIN + hour);
            }
        }
        at_each_step(&scenario, |number, world, step, rest| {
            if sample.takes() {
                let _case = Case(format!("{}, step {number}", scenario.name));
                let mut world = world.clone();
                world.settle();
                world.now = world.now.max(World::BEGIN + hour);
                world.do_input(Input::Timeout);
                world.repeat(step);
                world.repeat_all(rest);
                world.ends_well();
            }
        });
    }
}

/// INV-03, INV-11, INV-62: the server's words end in the middle, or the session's do.
#[test]
fn a_connection_cut_at_any_byte_loses_nothing_but_what_was_on_it() {
    let mut sample = Sample::of(64);
    for scenario in fifty() {
        at_each_step(&scenario, |number, world, step, rest| {
            let Step::Call(now, input) = step else { return };
            let len = match input {
                Input::Received(_, bytes) => bytes.len(),
                Input::Sent(_, count) => *count,
                _ => return,
            };
            let connection = input.connection().expect("bytes have a connection");
            if world.link.as_ref().is_none_or(|link| link.connection != connection) {
                return;
            }
            for count in (0..len).filter(|_| sample.takes()) {
                let _case = Case(format!("{}, step {number}, {count} bytes", scenario.name));
                let mut world = world.clone();
                let part = match input {
                    Input::Received(_, bytes) => Input::Received(connection, bytes.slice(..count)),
                    _ => Input::Sent(connection, count),
                };
                world.repeat(&Step::Call(*now, part));
                world.drain();
                if world.link.as_ref().is_some_and(|link| link.connection == connection) {
                    world.cut();
                }
                world.repeat_all(rest);
                world.ends_well();
            }
        });
    }
}

/// The samples are samples of something.
#[test]
fn what_is_replayed_is_what_was_captured() {
    let captured = captured();
    assert!(captured.len() > 350, "{} conversations", captured.len());
    let received = |scenario: &Scenario| {
        let calls = scenario.steps.iter().filter_map(|step| match step {
            Step::Call(_, Input::Received(_, bytes)) => Some(bytes.len()),
            _ => None,
        });
        calls.sum::<usize>()
    };
    assert!(captured.iter().map(received).sum::<usize>() > 80_000);
    let mut world = captured[0].begin.clone();
    world.repeat_all(&captured[0].steps);
    let is_told = |action: &Action| matches!(action, Action::Emit(_));
    assert!(world.trace.iter().any(is_told));
}
