//! Who has heard of whom, and when.

use core::time::Duration;

use zk_session::{DisconnectReason, Event, Instant, Session};

/// When the servers last heard of the session, and the session of its server.
#[derive(Clone, Debug, Default)]
pub(super) struct Liveness {
    sent_at: Instant,
    /// The driver came late, or the transport took nothing: what follows isn't the session's fault.
    is_excused: bool,
    /// The last bytes of the current connection.
    heard_at: Option<Instant>,
    /// Ticks that came late since then.
    late_ticks: u32,
    /// This input is a late tick, and all that was said before it was polled.
    is_late_tick: bool,
    /// It is one, and something was unpolled: perhaps a connection, whose one excuse is used up then.
    is_undrained_late_tick: bool,
    /// When the servers may have expired the session, if it is one, and whether that was told.
    may_be_expired: Option<(Instant, Told)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    No,
    Yes,
    /// It was polled after other things had happened.
    Perhaps,
}

impl Liveness {
    pub(super) fn sent(&mut self, now: Instant) {
        self.sent_at = now;
        self.is_excused = false;
    }

    /// INV-53.
    pub(super) fn check_sending(&mut self, now: Instant, is_excused: bool, timeout: Duration) {
        self.is_excused |= is_excused;
        // Timers count in whole milliseconds, and at least one.
        let most = (timeout / 2).max(Duration::from_millis(1));
        let silence = now - self.sent_at;
        assert!(self.is_excused || silence <= most, "INV-53: {silence:?} without a frame");
    }

    /// A tick that is due, so much too late.
    pub(super) fn ticked(&mut self, late: Duration, timeout: Duration, is_drained: bool) {
        let is_late = late >= timeout / LATE_PART;
        self.is_late_tick = is_late && is_drained;
        self.is_undrained_late_tick = is_late && !is_drained;
        self.late_ticks += u32::from(is_late);
    }

    /// Any other input.
    pub(super) fn not_ticked(&mut self) {
        self.is_late_tick = false;
        self.is_undrained_late_tick = false;
    }

    /// Bytes came.
    pub(super) fn received(&mut self, now: Instant) {
        self.heard_at = Some(now);
        self.late_ticks = 0;
    }

    /// A connection is to be made.
    pub(super) fn begun(&mut self) {
        self.heard_at = None;
        self.late_ticks = u32::from(self.is_undrained_late_tick);
    }

    /// A server has answered what was handed out then. Accepted anew, or not: the session timeout counts from there on.
    pub(super) fn answered(&mut self, sent_at: Instant, timeout: Duration, is_new: bool, now: Instant) {
        let due = sent_at + timeout;
        let told = self.may_be_expired.map_or(Told::No, |(_, told)| told);
        let earlier = self.may_be_expired.map_or(Instant::ZERO, |(due, _)| due);
        let due = if is_new { due } else { due.max(earlier) };
        let told = if is_new || due > now { Told::No } else { told };
        self.may_be_expired = Some((due, told));
    }

    pub(super) fn event(&mut self, event: &Event, is_exact: bool, ends_with_connection: bool) {
        match event {
            Event::MayBeExpired => {
                let Some((_, told)) = &mut self.may_be_expired else { return };
                assert!(*told != Told::Yes, "INV-29: MayBeExpired is told twice");
                *told = if is_exact { Told::Yes } else { Told::Perhaps };
            }
            Event::Disconnected { .. } if ends_with_connection => self.may_be_expired = None,
            _ => {}
        }
    }

    /// INV-51, INV-56.
    pub(super) fn dropped(&self, reason: &DisconnectReason, now: Instant, timeout: Duration) {
        let is_silence = matches!(
            reason,
            DisconnectReason::ConnectTimeout
                | DisconnectReason::ReadTimeout
                | DisconnectReason::PingTimeout
                | DisconnectReason::SlowFrame
        );
        let is_excused = self.is_late_tick && self.late_ticks == 1;
        assert!(!(is_silence && is_excused), "INV-51: a late tick is taken for silence: {reason:?}");
        if let (DisconnectReason::ReadTimeout, Some(heard_at)) = (reason, self.heard_at) {
            let silence = now - heard_at;
            assert!(silence >= two_thirds(timeout), "INV-56: dropped after a silence of {silence:?}");
        }
    }

    /// INV-29, INV-55.
    pub(super) fn check(&self, session: &Session, now: Instant) {
        if session.state().is_terminal() || now == Instant::MAX {
            return;
        }
        if let Some((due, Told::No)) = self.may_be_expired {
            assert!(now < due, "INV-29: it may be expired since {due:?}, and isn't told");
        }
        let heard_at = self.heard_at.filter(|_| session.state().is_connected() && self.late_ticks == 0);
        if let (Some(heard_at), Some(due)) = (heard_at, session.poll_timeout()) {
            let longest = heard_at + two_thirds(session.negotiated_timeout());
            assert!(due <= longest, "INV-55: silence since {heard_at:?} is borne until {due:?}");
        }
    }
}

fn two_thirds(timeout: Duration) -> Duration {
    let millis = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX / 2);
    Duration::from_millis((millis * 2 / 3).max(1))
}

/// A tick is late from this part of the session timeout on.
const LATE_PART: u32 = 10;
