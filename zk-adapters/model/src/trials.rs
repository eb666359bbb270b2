//! What must do nothing is tried on a copy of each state.

use core::panic::AssertUnwindSafe;
use std::panic::catch_unwind;

use zk_session::{ConnectionId, Instant, RequestOptions, zk_proto::Request};

use crate::{subject::Subject, world::World};

/// What has happened.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trials {
    /// INV-51: a tick that isn't due does nothing.
    pub(crate) waits_its_time: bool,
    /// INV-62: a connection that isn't the current one does nothing.
    pub(crate) ignores_the_past: bool,
}

impl World {
    /// INV-31: after the end, nothing does anything.
    pub(crate) fn stays_over(&self) -> bool {
        let Some(last) = self.subject.last_connection().filter(|_| self.books.is_over) else { return true };
        self.is_left_alone_by(|subject| {
            speak_as(subject, last, self.now);
            subject.timeout(self.now);
            subject.close(self.now);
            assert!(subject.submit(Request::WhoAmI, RequestOptions::default(), self.now).is_err());
        })
    }

    /// Both at once, and each alone only if that wasn't nothing.
    pub(crate) fn try_out(&self) -> Trials {
        let is_early = self.subject.poll_timeout().is_some_and(|due| due > self.now);
        let tick = |subject: &mut Subject| {
            if is_early {
                subject.timeout(self.now);
            }
        };
        let past = self.past();
        let is_fine = self.is_left_alone_by(|subject| {
            speak_as(subject, past, self.now);
            tick(subject);
        });
        let waits_its_time = is_fine || self.is_left_alone_by(tick);
        // What only a tick brings to light was the past's doing.
        let ignores_the_past =
            is_fine || !waits_its_time && self.is_left_alone_by(|subject| speak_as(subject, past, self.now));
        Trials { waits_its_time, ignores_the_past }
    }

    /// A connection that isn't the current one.
    fn past(&self) -> ConnectionId {
        let last = self.subject.last_connection().map_or(0, ConnectionId::get);
        let is_current = self.link.as_ref().is_some_and(|link| link.id.get() == last);
        ConnectionId::from_number(if is_current { last - 1 } else { last })
    }

    fn is_left_alone_by(&self, call: impl Fn(&mut Subject)) -> bool {
        let mut subject = self.subject.clone();
        // What is due by the clock alone happens with any input.
        subject.advance(self.now);
        let before = subject.clone();
        let done = catch_unwind(AssertUnwindSafe(|| {
            call(&mut subject);
            subject.poll_action().is_none() && subject.is_like(&before)
        }));
        done.unwrap_or(false)
    }
}

fn speak_as(subject: &mut Subject, connection: ConnectionId, now: Instant) {
    subject.connected(connection, now);
    subject.received(connection, &[0, 0, 0, 1, 7], now);
    subject.sent(connection, 1, now);
    subject.disconnected(connection, now);
}
