//! One server: its tree, its clients' watches, and what is on its way to it from the leader.

use core::time::Duration;
use std::collections::VecDeque;

use zk_session::{
    Instant,
    zk_proto::{ErrorCode, Request, SessionId},
};

use crate::ensemble::{access::Identities, peer::PeerId, tree::Tree, watches::Watches};

/// A server of the ensemble.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    pub(crate) tree: Tree,
    pub(crate) watches: Watches,
    /// How much of the log is applied to the tree.
    pub(crate) applied: usize,
    pub(crate) role: Role,
    pub(crate) is_paused: bool,
    pub(crate) is_isolated: bool,
    /// How much later than others it hears of transactions.
    pub(crate) lag: Duration,
    /// When it notices that it is cut off from the leader.
    pub(crate) cut_off_at: Option<Instant>,
    /// When it begins to serve reads without a quorum.
    pub(crate) read_only_at: Option<Instant>,
    /// It lost its place in the quorum while it was paused.
    pub(crate) has_lost_leader: bool,
    pub(crate) inbox: VecDeque<(Instant, Delivery)>,
    /// What it can't tell the leader because it is isolated.
    pub(crate) outbox: Vec<Proposal>,
}

/// What a server does in the ensemble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// It isn't running.
    Down,
    /// It runs, and serves nobody: it looks for a leader.
    Looking,
    /// It serves reads without a quorum.
    ReadOnly,
    /// It leads, or follows the leader.
    Serving,
}

/// What the leader tells a server.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Delivery {
    /// A transaction, by its place in the log, and whose request it was.
    Commit { index: usize, origin: Option<PeerId> },
    /// The answer to a sync.
    Sync { peer: PeerId },
    /// A request failed, and left no transaction.
    Failed { peer: PeerId, has_body: bool },
    /// Whether a session may go on here.
    Renewed { peer: PeerId, session: SessionId, verdict: Result<Duration, ErrorCode> },
}

/// What a server asks of the leader.
#[derive(Clone, Debug)]
pub(crate) struct Proposal {
    pub(crate) peer: PeerId,
    pub(crate) server: usize,
    pub(crate) session: SessionId,
    pub(crate) xid: i32,
    pub(crate) what: Asked,
}

/// What is asked.
#[derive(Clone, Debug)]
pub(crate) enum Asked {
    Write(Box<(Request, Identities)>),
    /// Nothing that could be understood, but it takes a number.
    Malformed,
    Sync,
    OpenSession {
        timeout: Duration,
    },
    RenewSession {
        timeout: Duration,
    },
    CloseSession,
}

impl Server {
    pub(crate) fn new(tree: Tree, watches: Watches) -> Self {
        Self {
            tree,
            watches,
            applied: 0,
            role: Role::Looking,
            is_paused: false,
            is_isolated: false,
            lag: Duration::ZERO,
            cut_off_at: None,
            read_only_at: None,
            has_lost_leader: false,
            inbox: VecDeque::new(),
            outbox: Vec::new(),
        }
    }

    /// Whether it can take part in a quorum.
    pub(crate) fn is_live(&self) -> bool {
        self.role != Role::Down && !self.is_paused && !self.is_isolated
    }

    /// When the leader's next word arrives.
    pub(crate) fn next_delivery(&self) -> Option<Instant> {
        if self.is_live() { self.inbox.front().map(|(due, _)| *due) } else { None }
    }

    /// Takes a word of the leader; words keep their order.
    pub(crate) fn deliver(&mut self, due: Instant, delivery: Delivery) {
        let due = self.inbox.back().map_or(due, |(last, _)| due.max(*last));
        self.inbox.push_back((due, delivery));
    }
}
