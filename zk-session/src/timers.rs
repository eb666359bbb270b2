//! All that time can do to a session.

use crate::Instant;

/// What a session may be waiting for.
///
/// The read, ping and frame times follow from the negotiated session timeout *T*, as in ZooKeeper's
/// `ClientCnxn.SendThread`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(clippy::exhaustive_enums, reason = "a driver's or a test's match over all that time can do")]
pub enum Timer {
    /// The transport is being established: to the attempt's deadline.
    Connect,
    /// Before the ConnectResponse: the same attempt's deadline. After it: 2T/3 without a byte.
    Read,
    /// Time to be heard: T/3 after the last frame that was handed out.
    Ping,
    /// The oldest ping has waited T for its answer: bytes come, but the server doesn't hear us.
    Pong,
    /// A frame has been under way for 2T/3: has it grown fast enough?
    Frame,
    /// On a read-only server: ask another one whether it is read-write.
    Probe,
    /// Wait before the next server is tried.
    Backoff,
    /// T after the youngest answered frame was handed out: the servers may have expired the session.
    MayBeExpired,
    /// 4T/3 after the same moment, where the session was told to give itself up then.
    Expiry,
    /// The nearest deadline of a request.
    Deadline,
    /// The limit that `close` was given.
    Close,
}

impl Timer {
    const COUNT: usize = 11;
    const ALL: [Self; Self::COUNT] = [
        Self::Connect,
        Self::Read,
        Self::Ping,
        Self::Pong,
        Self::Frame,
        Self::Probe,
        Self::Backoff,
        Self::MayBeExpired,
        Self::Expiry,
        Self::Deadline,
        Self::Close,
    ];

    const fn ends_something(self) -> bool {
        matches!(self, Self::MayBeExpired | Self::Expiry | Self::Deadline | Self::Close)
    }
}

/// When each timer is due, if it is set.
#[derive(Clone, Debug, Default)]
#[cfg_attr(feature = "model", derive(PartialEq, Eq, Hash))]
pub(crate) struct Timers {
    due: [Instant; Timer::COUNT],
    /// Which ones are set: a bit for each.
    set: u16,
    /// The earliest of them.
    first: Option<Instant>,
}

impl Timer {
    const fn bit(self) -> u16 {
        1 << self as u16
    }
}

impl Timers {
    pub(crate) fn set(&mut self, timer: Timer, due: Instant) {
        let before = self.get(timer);
        self.set |= timer.bit();
        self.due[timer as usize] = due;
        if self.first.is_none_or(|first| due <= first) {
            self.first = Some(due);
        } else if before == self.first {
            self.find_first();
        }
    }

    pub(crate) fn stop(&mut self, timer: Timer) {
        let before = self.get(timer);
        self.set &= !timer.bit();
        // Tables are equal if the same timers are set: nothing is left of one that was.
        self.due[timer as usize] = Instant::ZERO;
        if before.is_some() && before == self.first {
            self.find_first();
        }
    }

    fn find_first(&mut self) {
        self.first = Timer::ALL.into_iter().filter_map(|timer| self.get(timer)).min();
    }

    pub(crate) fn stop_all(&mut self) {
        *self = Self::default();
    }

    pub(crate) fn get(&self, timer: Timer) -> Option<Instant> {
        (self.set & timer.bit() != 0).then_some(self.due[timer as usize])
    }

    /// When the first timer is due.
    pub(crate) fn first(&self) -> Option<Instant> {
        self.first
    }

    /// Whether any timer is due.
    pub(crate) fn are_due(&self, now: Instant) -> bool {
        self.first.is_some_and(|first| first <= now)
    }

    /// At the end of time, what sets itself again isn't due: it would be for ever.
    pub(crate) fn is_due(&self, timer: Timer, now: Instant) -> bool {
        self.get(timer).is_some_and(|due| due <= now && (due < Instant::MAX || timer.ends_something()))
    }

    /// The timer that is due first; of several, the one declared first.
    pub(crate) fn next(&self) -> Option<(Timer, Instant)> {
        let first = self.first?;
        let timer = Timer::ALL.into_iter().find(|&timer| self.get(timer) == Some(first))?;
        Some((timer, first))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_lists_each_timer_at_its_own_place() {
        for (index, timer) in Timer::ALL.into_iter().enumerate() {
            assert_eq!(timer as usize, index);
        }
    }

    #[test]
    fn the_next_timer_is_the_earliest_that_is_set() {
        let mut timers = Timers::default();
        assert_eq!(timers.next(), None);
        timers.set(Timer::Ping, Instant::from_millis(7));
        timers.set(Timer::Read, Instant::from_millis(5));
        assert_eq!(timers.next(), Some((Timer::Read, Instant::from_millis(5))));
        timers.set(Timer::Connect, Instant::from_millis(5));
        assert_eq!(timers.next(), Some((Timer::Connect, Instant::from_millis(5))));
        timers.set(Timer::Connect, Instant::from_millis(9));
        assert_eq!(timers.next(), Some((Timer::Read, Instant::from_millis(5))));
        timers.stop(Timer::Read);
        assert_eq!(timers.next(), Some((Timer::Ping, Instant::from_millis(7))));
        assert!(timers.are_due(Instant::from_millis(7)) && !timers.are_due(Instant::from_millis(6)));
        timers.stop(Timer::Connect);
        timers.stop(Timer::Ping);
        assert_eq!(timers.next(), None);
    }
}
