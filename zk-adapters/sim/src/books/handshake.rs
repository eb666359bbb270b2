//! Who the session is: what servers have granted, and what it says of that.

use core::time::Duration;

use zk_session::{
    Config, Event, ExpiredBy, ExpiredReason, OnLoss, Session,
    zk_proto::{ConnectRequest, ConnectResponse, SessionId},
};

use super::Line;

#[derive(Clone, Debug)]
pub(super) struct Identity {
    /// The session that may be asked for.
    session: Option<SessionId>,
    negotiated: Option<Duration>,
    takes_read_only: bool,
    ends_with_connection: bool,
}

impl Identity {
    pub(super) fn new(config: &Config) -> Self {
        let resumed = config.resume.as_ref().map(|credentials| credentials.session_id);
        Self {
            session: resumed.filter(|id| *id != SessionId(0)),
            negotiated: None,
            takes_read_only: config.read_only,
            ends_with_connection: config.on_loss == OnLoss::NewSession,
        }
    }

    /// INV-20, INV-26: a session that a read-only server gave is asked for nowhere.
    pub(super) fn asked(&self, request: &ConnectRequest) {
        let known = self.session.unwrap_or(SessionId(0));
        assert_eq!(request.session_id, known, "INV-20, INV-26: another session is asked for");
    }

    pub(super) fn event(&mut self, event: &Event, line: Option<&Line>) {
        match event {
            Event::Connected { session_id, negotiated_timeout, read_only, .. } => {
                let (asked, response) = line.and_then(Line::answer).expect("INV-18: a ConnectResponse");
                assert!(response.time_out > 0, "INV-22: connected by {response:?}");
                let is_it = response.session_id == *session_id && (asked.0 == 0 || asked == *session_id);
                assert!(is_it, "INV-23: connected as {session_id:?}, asked for {asked:?}: {response:?}");
                assert_eq!(*negotiated_timeout, granted(response), "INV-24");
                assert_eq!(*read_only, response.read_only == Some(true), "INV-26");
                assert!(!*read_only || self.takes_read_only, "INV-26: a read-only server");
                self.negotiated = Some(*negotiated_timeout);
                if !*read_only {
                    self.session = Some(*session_id);
                }
            }
            Event::Disconnected { .. } if self.ends_with_connection => self.session = None,
            Event::Expired { by: ExpiredBy::Server, reason } => {
                let verdict =
                    line.and_then(Line::answer).and_then(|(asked, response)| verdict(asked, response));
                assert_eq!(verdict, Some(*reason), "INV-22, INV-23, INV-28: no server has said so");
            }
            _ => {}
        }
    }

    /// INV-24: what was granted is what counts.
    pub(super) fn check(&self, session: &Session) {
        if session.state().is_connected() {
            assert_eq!(Some(session.negotiated_timeout()), self.negotiated, "INV-24");
        }
    }
}

/// What a response says of the session that was asked for.
pub(super) fn verdict(asked: SessionId, response: &ConnectResponse) -> Option<ExpiredReason> {
    if asked == SessionId(0) {
        None
    } else if response.time_out <= 0 {
        Some(ExpiredReason::Refused)
    } else {
        (response.session_id != asked).then_some(ExpiredReason::Replaced)
    }
}

/// The session timeout that a response grants.
pub(super) fn granted(response: &ConnectResponse) -> Duration {
    Duration::from_millis(u64::try_from(response.time_out).unwrap_or(0))
}
