//! How a server is, as far as faults can change it: what is the same before and after one has not been hit.

use core::time::Duration;

use crate::ensemble::{SimEnsemble, server::Role};

/// How a server is, and whom it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Condition {
    role: Role,
    is_paused: bool,
    is_isolated: bool,
    lag: Duration,
    applied: usize,
    connections: usize,
    /// Counts leaders.
    epoch: i64,
}

impl Condition {
    /// Whether it reads what clients ask of it as a server of the quorum.
    pub(crate) fn hears_clients(&self) -> bool {
        self.role == Role::Serving && !self.is_paused
    }
}

impl SimEnsemble {
    pub(crate) fn condition(&self, server: usize) -> Condition {
        let state = &self.servers[server];
        Condition {
            role: state.role,
            is_paused: state.is_paused,
            is_isolated: state.is_isolated,
            lag: state.lag,
            applied: state.applied,
            connections: self.peers.values().filter(|peer| peer.server == server).count(),
            epoch: self.last_zxid >> 32,
        }
    }
}
