//! What time does to a session.

use alloc::collections::VecDeque;
use core::time::Duration;

use zk_proto::{Jute as _, ReplyHeader};

use crate::{
    DisconnectReason, Event, ExpiredBy, ExpiredReason, Expiry, Failure, Instant, RequestId, Session, State,
    Timer,
    connection::{Growth, Rests},
    requests::LENGTH_PREFIX,
};

impl Session {
    /// What every command begins with.
    pub(crate) fn begin_input(&mut self, now: Instant) {
        self.at(now);
        self.act_on_time();
        if planted!(CommandsReorder) {
            self.outbox.swap_first();
        }
    }

    pub(crate) fn at(&mut self, now: Instant) {
        self.now = if planted!(TimeRunsBack) { now } else { self.now.max(now) };
    }

    /// What is true by the time alone, whatever the connection does.
    #[inline]
    pub(crate) fn act_on_time(&mut self) {
        if self.timers.are_due(self.now) && !self.has_unread() {
            self.act_on_due_timers();
        }
    }

    fn act_on_due_timers(&mut self) {
        if planted!(BackOffHidesTime) && self.timers.get(Timer::Backoff).is_some() {
            return;
        }
        if self.timers.is_due(Timer::Deadline, self.now) {
            self.act_on_deadlines();
        }
        if self.timers.is_due(Timer::MayBeExpired, self.now) {
            self.timers.stop(Timer::MayBeExpired);
            self.emit(Event::MayBeExpired);
        }
    }

    /// What ends the session by the time alone. It is done when all that was sent is reported: when the driver tells the
    /// time, or asks what to do.
    pub(crate) fn act_on_last_timers(&mut self) {
        if planted!(BackOffHidesTime) && self.timers.get(Timer::Backoff).is_some() {
            return;
        }
        if self.timers.is_due(Timer::Expiry, self.now) {
            self.expire(ExpiredBy::Client, ExpiredReason::Silence);
        }
        if self.timers.is_due(Timer::Close, self.now) {
            let confirmed = planted!(CloseIsAlwaysConfirmed);
            self.end(State::Closed, &Failure::Closed, Event::Closed { confirmed });
        }
    }

    pub(crate) fn act_on_deadlines(&mut self) {
        while let Some(&(deadline, request)) = self.deadlines.front() {
            if deadline > self.now || self.has_unread() {
                self.timers.set(Timer::Deadline, deadline);
                return;
            }
            self.deadlines.pop_front();
            self.give_up(request, &Failure::Deadline);
        }
        self.timers.stop(Timer::Deadline);
    }

    pub(crate) fn insert_deadline(&mut self, deadline: Instant, request: RequestId) {
        let deadline = deadline + Duration::from_millis(u64::from(planted!(DeadlinesAreLate)));
        if self.deadlines.back().is_some_and(|last| *last > (deadline, request)) {
            let place = self.deadlines.partition_point(|other| *other < (deadline, request));
            self.deadlines.insert(place, (deadline, request));
        } else {
            self.deadlines.push_back((deadline, request));
        }
    }

    /// The request has had its outcome.
    pub(crate) fn remove_deadline(&mut self, deadline: Instant, request: RequestId) {
        if self.deadlines.front() == Some(&(deadline, request)) {
            self.deadlines.pop_front();
        } else if let Ok(place) = self.deadlines.binary_search(&(deadline, request)) {
            self.deadlines.remove(place);
        }
    }

    pub(crate) fn act_on_connection_timers(&mut self) {
        if self.timers.is_due(Timer::Backoff, self.now) {
            self.start_attempt();
        } else if self.timers.is_due(Timer::Connect, self.now) {
            self.disconnect(DisconnectReason::ConnectTimeout);
        } else if self.timers.is_due(Timer::Read, self.now) {
            let is_connected = self.state.is_connected();
            self.disconnect(if is_connected {
                DisconnectReason::ReadTimeout
            } else {
                DisconnectReason::ConnectTimeout
            });
        } else if self.timers.is_due(Timer::Frame, self.now) {
            self.check_growth();
        }
        if self.timers.is_due(Timer::Pong, self.now) {
            self.check_pong();
        }
        if self.timers.is_due(Timer::Ping, self.now) || planted!(EarlyTicksPing) {
            self.ping();
        }
        if self.timers.is_due(Timer::Probe, self.now) {
            self.probe();
        }
    }

    /// Nothing has been sent for a third of the session timeout. The timer runs again when the ping leaves.
    fn ping(&mut self) {
        if !planted!(PingsSpin) {
            self.timers.stop(Timer::Ping);
        }
        self.give_back();
        let again = self.now + ping_interval(self.identity.timeout);
        let Some(connection) = &mut self.connection else { return };
        connection.rests = Rests::default();
        if !connection.push_ping() || planted!(PingsPileUp) {
            self.timers.set(Timer::Ping, again);
        }
    }

    /// Gives memory back that nothing needs any more.
    pub(crate) fn give_back(&mut self) {
        if let Some(connection) = &mut self.connection {
            connection.shrink();
        }
        self.requests.shrink();
        if self.deadlines.is_empty() {
            self.deadlines = VecDeque::new();
        }
        self.watches.shrink();
        self.outbox.shrink();
    }

    /// The oldest ping has waited for a whole session timeout. A frame that is half received excuses it: the
    /// answer comes behind.
    fn check_pong(&mut self) {
        let Some(connection) = &self.connection else { return };
        if connection.decoder.is_empty() {
            self.disconnect(DisconnectReason::PingTimeout);
        } else {
            self.timers.set(Timer::Pong, self.now + self.third());
        }
    }

    /// What a frame under way is measured by from now on.
    const fn growth_now(&self) -> Growth {
        Growth { since: self.now, received: self.stats.bytes_received, pings: self.stats.pings }
    }

    /// A frame has been under way for as long as silence would be borne.
    fn check_growth(&mut self) {
        let current = self.growth_now();
        let least = u64::from(self.config.min_frame_rate);
        let Some(growth) = self.connection.as_mut().and_then(|connection| connection.growth.as_mut()) else {
            self.timers.stop(Timer::Frame);
            return;
        };
        let elapsed = (self.now - growth.since).as_millis();
        // What may be answers to pings shows only that the server lives, not that a frame of this length is under way.
        let pongs = (current.pings - growth.pings) * PONG_LEN;
        let grown = (current.received - growth.received).saturating_sub(pongs);
        if u128::from(grown) * 1000 < u128::from(least) * elapsed {
            self.disconnect(DisconnectReason::SlowFrame);
        } else {
            *growth = current;
            self.timers.set(Timer::Frame, self.now + self.read_timeout());
        }
    }

    /// A tick came so late that what the server has sent meanwhile may lie unread: its silence is excused
    /// once, for a third of the session timeout, in which a ping asks whether it is there.
    pub(crate) fn be_late(&mut self, by: Duration) {
        self.emit(Event::Late { by });
        if planted!(LatenessIsSilence) {
            return;
        }
        let grace = self.now + self.third();
        let current = self.growth_now();
        let silence = [Timer::Connect, Timer::Read, Timer::Pong, Timer::Frame];
        let mut due = silence.into_iter().filter(|&timer| self.timers.is_due(timer, self.now)).peekable();
        let Some(connection) = &mut self.connection else { return };
        if due.peek().is_none() || core::mem::replace(&mut connection.excused, true) {
            return;
        }
        let due: alloc::vec::Vec<_> = due.collect();
        for timer in &due {
            self.timers.set(*timer, grace);
        }
        if let Some(growth) = connection.growth.as_mut().filter(|_| due.contains(&Timer::Frame)) {
            *growth = current;
        }
        if self.state.is_connected() && !connection.close_sent {
            self.timers.set(Timer::Ping, self.now);
        }
    }

    /// The servers have heard of the session: a frame handed out at `sent_at` was answered.
    #[inline]
    pub(crate) fn heard_of(&mut self, sent_at: Instant, anew: bool) {
        let sent_at = if planted!(AnswersCountWhenTheyCome) { self.now } else { sent_at };
        if sent_at > self.identity.heard_of_at || anew {
            self.heard_of_later(sent_at, anew);
        }
    }

    fn heard_of_later(&mut self, sent_at: Instant, anew: bool) {
        // A server in read-only mode keeps no session alive.
        if self.state == State::ConnectedReadOnly {
            return;
        }
        self.identity.heard_of_at = self.identity.heard_of_at.max(sent_at);
        if self.identity.session.is_none() {
            return;
        }
        let timeout = self.identity.timeout;
        let may_be_expired = self.identity.heard_of_at + timeout;
        if anew || may_be_expired > self.now || self.timers.get(Timer::MayBeExpired).is_some() {
            self.timers.set(Timer::MayBeExpired, may_be_expired);
        }
        if self.config.expiry == Expiry::Client || planted!(ClientsExpireUnasked) {
            self.timers.set(Timer::Expiry, may_be_expired + part(timeout, 1, 3));
        }
    }

    /// A third of the session timeout, or less if there are more than three servers: whatever the last one
    /// did, there is time to try another. A server that granted an odd timeout doesn't keep the session from
    /// the others.
    pub(crate) fn attempt_timeout(&self) -> Duration {
        let parts = u64::try_from(self.ensemble.len()).unwrap_or(u64::MAX).max(3);
        let asked_for = Duration::from_millis(self.config.session_timeout_millis().unsigned_abs().into());
        part(self.identity.timeout.min(asked_for), 1, parts).max(MIN_ATTEMPT_TIMEOUT.min(asked_for))
    }

    pub(crate) fn read_timeout(&self) -> Duration {
        part(self.identity.timeout, if planted!(SilenceIsBorne) { 3 } else { 2 }, 3)
    }

    /// A third of the session timeout.
    pub(crate) fn third(&self) -> Duration {
        part(self.identity.timeout, 1, 3)
    }
}

/// A part of a session timeout, in whole milliseconds as in the Java client, and at least one.
fn part(timeout: Duration, numerator: u64, denominator: u64) -> Duration {
    let millis = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(
        (millis.saturating_mul(numerator) / denominator).max(u64::from(!planted!(WaitsCanBeZero))),
    )
}

/// When to be heard again: a third of the session timeout after the last frame, the rhythm of the Java client on
/// a quiet connection (the 10 s of `ClientCnxn.SendThread.run` are looked at only when something else wakes it).
pub(crate) fn ping_interval(timeout: Duration) -> Duration {
    part(timeout, if planted!(PingsAreLate) { 2 } else { 1 }, 3)
}

/// The bytes of the answer to a ping: the frame's length and a reply header.
const PONG_LEN: u64 = (LENGTH_PREFIX + ReplyHeader::MIN_LEN) as u64;
const MIN_ATTEMPT_TIMEOUT: Duration = Duration::from_millis(100);
/// A tick is late from this part of the session timeout on.
pub(crate) const LATE_PART: u32 = 10;
