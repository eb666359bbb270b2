//! The states that are told.

use zk_session::{Event, Session, State, zk_proto::Zxid};

use super::Line;

#[derive(Clone, Debug, Default)]
pub(super) struct States {
    is_connected: bool,
    is_ready: bool,
    is_over: bool,
    last_zxid: Zxid,
}

impl States {
    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    pub(super) fn is_ready(&self) -> bool {
        self.is_ready
    }

    pub(super) fn event(&mut self, event: &Event) {
        match event {
            Event::Connected { .. } => {
                assert!(!self.is_connected, "INV-27: Connected twice");
                self.is_connected = true;
            }
            Event::Ready => {
                assert!(self.is_connected && !self.is_ready, "INV-27: Ready, {self:?}");
                self.is_ready = true;
            }
            Event::Disconnected { .. } => {
                assert!(self.is_connected, "INV-27: Disconnected without Connected");
                self.is_connected = false;
                self.is_ready = false;
            }
            Event::Expired { .. } | Event::AuthFailed { .. } | Event::Closed { .. } => self.is_over = true,
            _ => {}
        }
    }

    pub(super) fn last_zxid(&mut self, last_zxid: Zxid) {
        assert!(last_zxid >= self.last_zxid, "INV-48: {last_zxid:?} after {:?}", self.last_zxid);
        self.last_zxid = last_zxid;
    }

    /// What was told is what the session says of itself.
    pub(super) fn check(&self, session: &Session, live: Option<&Line>) {
        let state = session.state();
        let is_connected = matches!(state, State::Connected | State::ConnectedReadOnly);
        assert!(self.is_over || is_connected == self.is_connected, "INV-27: {state:?}, {self:?}");
        if is_connected || state == State::Associating {
            assert!(live.is_some(), "INV-27: {state:?} without a connection");
        }
    }
}
