//! Which server is tried, and when.

use core::time::Duration;

use zk_session::{Config, DisconnectReason, Event, Instant, Session, zk_proto::ServerAddr};

#[derive(Clone, Debug, Default)]
pub(super) struct Attempts {
    /// Since the list, or its order, was last another one.
    tried: Vec<ServerAddr>,
    /// The list has changed, or a server is preferred, until the next accepted handshake: the order is another one.
    is_apart: bool,
    /// Attempts since the last accepted handshake, and how many there were when a cycle was told.
    unaccepted: usize,
    told_at: usize,
    /// Connections and attempts that ended since one was ready.
    failures: usize,
    is_ready: bool,
    /// When the last one ended, if that is known exactly.
    ended_at: Option<Instant>,
    /// When the attempt began, and how long it may take.
    begun: Option<(Instant, Duration)>,
}

impl Attempts {
    /// INV-58, INV-59, INV-63.
    pub(super) fn connect(&mut self, server: &ServerAddr, session: &Session, config: &Config, now: Instant) {
        let listed = session.config().connect_string.servers.len();
        if !self.is_apart {
            let recent = self.tried.iter().rev().take(listed - 1);
            assert!(!recent.clone().any(|tried| tried == server), "INV-58: {server} again: {:?}", self.tried);
            let is_cycle = self.unaccepted > 0 && self.unaccepted.is_multiple_of(listed);
            assert!(!is_cycle || self.told_at == self.unaccepted, "INV-63: a cycle isn't told");
            let earliest =
                self.ended_at.filter(|_| self.failures >= listed).map(|end| end + config.backoff.0);
            assert!(earliest.is_none_or(|earliest| now >= earliest), "INV-59: no back-off at {now:?}");
            self.tried.push(server.clone());
        }
        let asked = Duration::from_millis(asked_for(config).unsigned_abs().into());
        let third = Duration::from_millis(session.negotiated_timeout().min(asked).as_millis() as u64 / 3);
        self.begun = Some((now, third.max(asked.min(SHORTEST))));
    }

    /// A connection, or an attempt at one, has ended now, or earlier.
    pub(super) fn ended(&mut self, is_accepted: bool, now: Option<Instant>) {
        self.begun = None;
        self.ended_at = now;
        self.failures += usize::from(!core::mem::take(&mut self.is_ready));
        self.unaccepted += usize::from(!is_accepted);
    }

    /// The session had a reason of its own to leave the server.
    pub(super) fn dropped(&mut self, reason: &DisconnectReason) {
        if matches!(reason, DisconnectReason::Rebalanced | DisconnectReason::ReadWriteServerFound) {
            self.apart();
        }
    }

    /// Another list, or another order.
    pub(super) fn apart(&mut self) {
        self.is_apart = true;
        self.failures = 0;
        self.ended_at = None;
    }

    pub(super) fn event(&mut self, event: &Event) {
        match event {
            Event::Connected { .. } => {
                (self.unaccepted, self.told_at, self.begun) = (0, 0, None);
                if core::mem::take(&mut self.is_apart) {
                    self.tried.clear();
                }
            }
            Event::Ready => (self.failures, self.is_ready) = (0, true),
            Event::AllServersFailed { .. } => self.told_at = self.unaccepted,
            // A tick that came late is excused once.
            Event::Late { .. } => self.begun = None,
            _ => {}
        }
    }

    /// INV-25.
    pub(super) fn check(&self, due: Option<Instant>) {
        let Some((begun, longest)) = self.begun else { return };
        assert!(due.is_none_or(|due| due <= begun + longest), "INV-25: until {due:?}, begun at {begun:?}");
    }
}

/// The session timeout that is asked for, in milliseconds.
pub(super) fn asked_for(config: &Config) -> i32 {
    i32::try_from(config.session_timeout.as_millis()).unwrap_or(i32::MAX).max(1)
}

/// An attempt has at least so long, if the session timeout has.
const SHORTEST: Duration = Duration::from_millis(100);
