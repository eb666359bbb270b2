use core::{net::SocketAddr, task::Waker, time::Duration};
use std::collections::VecDeque;

use zk_proto::{ServerAddr, SessionId, Ustring, Zxid};
use zk_session::{DisconnectReason, Event, ExpiredBy, ExpiredReason};

use crate::{AttemptCause, Attempts};

/// What happens to a session, as its application may want to hear it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum SessionEvent {
    /// A server is being tried.
    Connecting {
        /// The server, as the connect string names it.
        server: ServerAddr,
    },
    /// An attempt at a server failed.
    AttemptFailed {
        /// The server, as the connect string names it.
        server: ServerAddr,
        /// What came in the way.
        cause: AttemptCause,
    },
    /// A server has accepted the session: it was created, or goes on.
    Connected {
        /// The server, as the connect string names it.
        server: ServerAddr,
        /// Which of its addresses.
        address: SocketAddr,
        /// The session's id.
        session_id: SessionId,
        /// The session timeout that the server granted.
        negotiated_timeout: Duration,
        /// The server is in read-only mode.
        read_only: bool,
        /// The session existed before; its ephemeral znodes and watches go on.
        resumed: bool,
        /// Counts the sessions of this client, from 0: more than one only if `Config::on_loss` asks for new ones.
        epoch: u64,
    },
    /// Watches are armed again, and requests flow.
    Ready,
    /// The connection is lost. The session may live on: another server is looked for.
    Disconnected {
        /// The server that was connected to, as the connect string names it.
        server: ServerAddr,
        /// Why.
        reason: DisconnectReason,
    },
    /// A full cycle of servers was tried without success. The search goes on.
    AllServersFailed {
        /// How many attempts the cycle had.
        attempts: usize,
        /// Why the last one failed.
        last_reason: DisconnectReason,
    },
    /// The persistent watches are armed again after a reconnect. Servers don't replay what happened in between.
    WatchesRestored {
        /// The changes up to this zxid had been delivered.
        from: Zxid,
        /// The changes after this zxid will be delivered.
        to: Zxid,
    },
    /// The servers have answered nothing for a whole session timeout: the session may have expired. Time to stop
    /// acting as its owner; only a server can tell for certain.
    MayBeExpired,
    /// A request that was given up has created an ephemeral znode after all: nobody else knows of it.
    AbandonedCreate {
        /// The znode.
        path: Ustring,
    },
    /// The driver could not run when it was due, for at least a tenth of the session timeout: its thread or
    /// runtime was blocked, or the process was stopped.
    Late {
        /// How much later it ran.
        by: Duration,
    },
    /// The session has expired. The last event.
    Expired {
        /// Who says so.
        by: ExpiredBy,
        /// How it was found out.
        reason: ExpiredReason,
    },
    /// A server refused to authenticate the session, or an identity of the configuration is longer than
    /// `Config::max_request_len`. The last event; the session itself, if there was one, lives on at the servers
    /// until its timeout has passed.
    AuthFailed {
        /// The auth scheme, or `sasl`.
        scheme: String,
    },
    /// The session was closed. The last event.
    Closed {
        /// A server confirmed that the session is gone. Otherwise it ends, with its ephemeral znodes, when its
        /// timeout has passed.
        confirmed: bool,
    },
    /// What drives the session is gone: of an asynchronous client, with its runtime. The last event.
    DriverGone,
    /// So many events were left out here, because too many were unread: from 1,024 on those about attempts at servers,
    /// from 8,192 on all but the last.
    Skipped {
        /// How many.
        count: usize,
    },
}

impl SessionEvent {
    /// The application's word for what the session says; none if it isn't said here.
    #[expect(clippy::wildcard_enum_match_arm, reason = "requests and watches have their own handles")]
    pub(crate) fn new(event: Event, attempts: &Attempts) -> Option<Self> {
        Some(match event {
            Event::Connected { session_id, negotiated_timeout, read_only, resumed, epoch } => {
                Self::Connected {
                    server: attempts.server()?.clone(),
                    address: attempts.address()?,
                    session_id,
                    negotiated_timeout,
                    read_only,
                    resumed,
                    epoch,
                }
            }
            Event::Ready => Self::Ready,
            Event::Disconnected { reason } => {
                Self::Disconnected { server: attempts.server()?.clone(), reason }
            }
            Event::AllServersFailed { attempts, last_reason } => {
                Self::AllServersFailed { attempts, last_reason }
            }
            Event::WatchesRestored { from, to } => Self::WatchesRestored { from, to },
            Event::AbandonedCreate { path, .. } => Self::AbandonedCreate { path },
            Event::MayBeExpired => Self::MayBeExpired,
            Event::Late { by } => Self::Late { by },
            Event::Expired { by, reason } => Self::Expired { by, reason },
            Event::AuthFailed { scheme } => Self::AuthFailed { scheme },
            Event::Closed { confirmed } => Self::Closed { confirmed },
            _ => return None,
        })
    }

    fn is_last(&self) -> bool {
        matches!(
            self,
            Self::Expired { .. } | Self::AuthFailed { .. } | Self::Closed { .. } | Self::DriverGone
        )
    }

    fn is_about_attempts(&self) -> bool {
        matches!(
            self,
            Self::Connecting { .. }
                | Self::AttemptFailed { .. }
                | Self::AllServersFailed { .. }
                | Self::Late { .. }
        )
    }
}

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionEnd {
    /// It was closed.
    Closed {
        /// A server confirmed that the session is gone. Otherwise it ends, with its ephemeral znodes, when its
        /// timeout has passed; false too where there was no session to close.
        confirmed: bool,
    },
    /// It had expired.
    Expired {
        /// How it was found out.
        reason: ExpiredReason,
    },
    /// Authentication failed.
    AuthFailed,
    /// What drives the session is gone: of an asynchronous client, with its runtime. The session ends, with its
    /// ephemeral znodes, when its timeout has passed.
    DriverGone,
}

/// The session's events that aren't read yet.
#[derive(Debug, Default)]
pub struct EventQueue {
    unread: VecDeque<SessionEvent>,
    reader: Option<Waker>,
    is_over: bool,
    is_dropped: bool,
}

impl EventQueue {
    /// The next event, if there is one already.
    pub fn pop(&mut self) -> Option<SessionEvent> {
        self.unread.pop_front()
    }

    /// Whether no event will be added any more.
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// Has this waker woken at the next event, or at the end.
    pub fn wait(&mut self, reader: &Waker) {
        self.reader = Some(reader.clone());
    }

    /// Keeps no event from now on, and returns what was unread, to be dropped elsewhere.
    #[must_use = "dropping it takes a while"]
    pub fn abandon(&mut self) -> VecDeque<SessionEvent> {
        self.is_dropped = true;
        core::mem::take(&mut self.unread)
    }

    pub(crate) fn push(&mut self, event: SessionEvent) -> Option<Waker> {
        if self.is_dropped {
            return None;
        }
        let most = if event.is_about_attempts() { MAX_ATTEMPTS } else { MAX_UNREAD };
        if self.unread.len() < most || event.is_last() {
            self.unread.push_back(event);
        } else if let Some(SessionEvent::Skipped { count }) = self.unread.back_mut() {
            *count += 1;
        } else {
            self.unread.push_back(SessionEvent::Skipped { count: 1 });
        }
        self.reader.take()
    }

    pub(crate) fn end(&mut self) -> Option<Waker> {
        self.is_over = true;
        self.reader.take()
    }
}

/// So many events are kept unread before attempts at servers are only counted.
const MAX_ATTEMPTS: usize = 1024;
/// So many are kept unread before all but the last are only counted.
const MAX_UNREAD: usize = 8192;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unread_attempts_are_counted_and_unread_states_are_kept() {
        let mut queue = EventQueue::default();
        let attempt = SessionEvent::Late { by: Duration::ZERO };
        for _ in 0..MAX_ATTEMPTS + 5 {
            queue.push(attempt.clone());
        }
        queue.push(SessionEvent::Ready);
        queue.push(attempt);
        assert_eq!(queue.unread.len(), MAX_ATTEMPTS + 3);
        assert!(matches!(queue.unread[MAX_ATTEMPTS], SessionEvent::Skipped { count: 5 }));
        assert!(matches!(queue.unread[MAX_ATTEMPTS + 1], SessionEvent::Ready));
        assert!(matches!(queue.unread[MAX_ATTEMPTS + 2], SessionEvent::Skipped { count: 1 }));
    }

    #[test]
    fn what_nobody_reads_takes_no_more_room_and_the_last_is_kept() {
        let mut queue = EventQueue::default();
        for _ in 0..2 * MAX_UNREAD {
            queue.push(SessionEvent::Ready);
        }
        queue.push(SessionEvent::DriverGone);
        assert_eq!(queue.unread.len(), MAX_UNREAD + 2);
        assert!(matches!(queue.unread.pop_back(), Some(SessionEvent::DriverGone)));
        assert!(
            matches!(queue.unread.pop_back(), Some(SessionEvent::Skipped { count }) if count == MAX_UNREAD)
        );
    }
}
