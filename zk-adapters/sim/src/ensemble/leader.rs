//! What the leader does: orders what the servers ask for, ends sessions, and removes znodes whose time has come.

use zk_session::{
    Instant,
    zk_proto::{ErrorCode, Request, SessionId, Zxid},
};

use crate::ensemble::{
    SimEnsemble,
    access::Identities,
    peer::PeerId,
    prepare::{Preparation, Prepared},
    server::{Asked, Delivery, Proposal, Role},
    txn::{Transaction, Txn},
};

impl SimEnsemble {
    /// Whether there is a leader that a quorum follows.
    pub(super) fn is_led(&self) -> bool {
        self.leader.is_some() && self.dissolution.is_none()
    }

    /// When the leader does something by itself.
    pub(super) fn leaders_next(&self) -> Option<Instant> {
        let leader = &self.servers[self.leader?];
        let check = leader.tree.has_mortals().then_some(self.next_container_check);
        [self.sessions.next_expiry(), check].into_iter().flatten().min()
    }

    /// Takes what a server asks for; it arrives after a hop.
    pub(super) fn propose(&mut self, proposal: Proposal) {
        let hop =
            if self.leader == Some(proposal.server) { core::time::Duration::ZERO } else { self.options.hop };
        self.proposed += 1;
        self.proposals.insert((self.now + hop, self.proposed), proposal);
    }

    /// Expires sessions and znodes.
    pub(super) fn step_leader(&mut self) {
        for session in self.sessions.expired(self.now) {
            self.end_session(session);
        }
        let Some(leader) = self.leader.filter(|_| self.next_container_check <= self.now) else { return };
        self.next_container_check = self.now + self.options.container_check;
        for path in self.servers[leader].tree.candidates(self.wall_clock()) {
            self.commit(SessionId(0), 0, Txn::Delete { path }, None);
        }
    }

    /// The leader ends a session by itself.
    pub(super) fn end_session(&mut self, session: SessionId) {
        let txn = self.close_session(session);
        self.commit(session, 0, txn, None);
    }

    /// Decides what becomes of a request.
    pub(super) fn decide(&mut self, proposal: Proposal) {
        let Proposal { peer, server, session, xid, what } = proposal;
        match what {
            Asked::Sync if self.has_moved(peer) => self.close(peer),
            Asked::Sync => self.tell(server, Delivery::Sync { peer }),
            Asked::OpenSession { timeout } => {
                self.sessions.open(session, timeout, peer, self.now);
                let timeout_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
                self.commit(session, 0, Txn::CreateSession { session, timeout_ms }, Some(peer));
            }
            Asked::RenewSession { timeout } => {
                let is_valid = self.sessions.claim(session, timeout, peer, self.now);
                let verdict = if is_valid { Ok(timeout) } else { Err(ErrorCode::SESSION_EXPIRED) };
                self.tell(server, Delivery::Renewed { peer, session, verdict });
            }
            Asked::CloseSession => {
                let txn = self.close_session(session);
                self.commit(session, xid, txn, Some(peer));
            }
            Asked::Malformed => {
                self.commit(session, xid, Txn::Error(ErrorCode::MARSHALLING_ERROR), Some(peer));
            }
            Asked::Write(write) => match self.prepare(peer, session, &write) {
                Prepared::Txn(txn) => self.commit(session, xid, txn, Some(peer)),
                Prepared::Failed { takes_zxid, has_body } => {
                    self.last_zxid += i64::from(takes_zxid);
                    self.tell(server, Delivery::Failed { peer, has_body });
                }
            },
        }
    }

    fn prepare(&self, peer: PeerId, session: SessionId, write: &(Request, Identities)) -> Prepared {
        match self.sessions.get(session) {
            None => Prepared::Txn(Txn::Error(ErrorCode::SESSION_EXPIRED)),
            Some(tracked) if tracked.owner != Some(peer) => {
                Prepared::Txn(Txn::Error(ErrorCode::SESSION_MOVED))
            }
            Some(_) => {
                let tree = &self.servers[self.leader.expect("it decides")].tree;
                Preparation::new(tree, &write.1, session, &self.options).request(&write.0)
            }
        }
    }

    fn close_session(&mut self, session: SessionId) -> Txn {
        self.sessions.begin_to_close(session);
        let tree = &self.servers[self.leader.expect("it decides")].tree;
        Txn::CloseSession { session, paths: tree.ephemerals(session).map(str::to_owned).collect() }
    }

    /// Writes a transaction to the log of all, and tells the servers.
    fn commit(&mut self, session: SessionId, cxid: i32, txn: Txn, origin: Option<PeerId>) {
        self.last_zxid += 1;
        let (zxid, time_ms) = (Zxid(self.last_zxid), self.wall_clock());
        if let Txn::CloseSession { session, .. } = &txn {
            self.sessions.remove(*session);
        }
        self.log.push_back(Transaction { zxid, time_ms, session, cxid, txn });
        let index = self.trimmed + self.log.len() - 1;
        for server in 0..self.servers.len() {
            if self.servers[server].role == Role::Serving {
                self.tell(server, Delivery::Commit { index, origin });
            }
        }
        self.trim();
    }

    /// The leader hears itself at once; what others hear takes a hop, and their lag.
    fn tell(&mut self, server: usize, delivery: Delivery) {
        if self.leader == Some(server) {
            return self.handle_delivery(server, delivery);
        }
        let state = &mut self.servers[server];
        state.deliver(self.now + self.options.hop + state.lag, delivery);
    }

    /// A log that nobody needs the beginning of is cut.
    fn trim(&mut self) {
        if self.log.len() <= LOG_LEN {
            return;
        }
        let needed = self.servers.iter().filter(|server| server.role == Role::Serving);
        let applied = needed.map(|server| server.applied).min().unwrap_or(0);
        let gone = applied.saturating_sub(self.trimmed).min(LOG_LEN / 2);
        self.log.drain(..gone);
        self.trimmed += gone;
    }

    pub(super) fn wall_clock(&self) -> i64 {
        self.options.epoch_ms.saturating_add_unsigned(self.now.as_millis())
    }
}

/// So many transactions are kept.
const LOG_LEN: usize = 200_000;
