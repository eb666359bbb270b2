//! What servers of different versions have, and haven't: learnt from their answers.

use alloc::{
    boxed::Box,
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};
use core::time::Duration;

use zk_proto::{ErrorCode, OpCode, ReplyHeader, ServerAddr, Zxid};

use crate::{
    DisconnectReason, Failure, Instant, OnLoss, RequestId, Session, accepted::Accepted, connection::Turn,
    unwatch,
};

/// What has been learnt of the servers.
#[derive(Clone, Debug, Default)]
#[cfg_attr(feature = "model", derive(PartialEq, Eq, Hash))]
pub(crate) struct Dialects {
    /// What a server has said it doesn't know.
    unsupported: BTreeMap<ServerAddr, Unsupported>,
    /// The last server that was asked has create2.
    pub(crate) has_create2: bool,
    /// A create2 that a server has just refused because it doesn't know it: the first to be queued again.
    refused: Option<Box<Accepted>>,
}

/// Operations that a server doesn't know.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "model", derive(PartialEq, Eq, Hash))]
struct Unsupported {
    ops: BTreeSet<OpCode>,
    /// When the first of them was learnt.
    since: Instant,
}

impl Dialects {
    /// Forgets what was learnt of a server so long ago that another version may run there, and of servers that
    /// aren't listed any more.
    pub(crate) fn forget(&mut self, listed: &[ServerAddr], now: Instant) {
        self.unsupported
            .retain(|server, unsupported| listed.contains(server) && now - unsupported.since < REMEMBERED);
    }

    pub(crate) fn take_refused(&mut self) -> Option<Accepted> {
        self.refused.take().map(|refused| *refused)
    }

    pub(crate) fn lacks(&self, server: &ServerAddr, op: OpCode) -> bool {
        self.unsupported_at(server).is_some_and(|ops| ops.contains(&op))
    }

    fn unsupported_at(&self, server: &ServerAddr) -> Option<&BTreeSet<OpCode>> {
        self.unsupported.get(server).map(|unsupported| &unsupported.ops)
    }
}

impl Session {
    /// Learns from an answer what the server has. Since 3.4.6 a server answers an operation that it doesn't
    /// know with UNIMPLEMENTED and no zxid, and closes the connection. Tells whether that is the answer.
    #[inline(always)]
    pub(crate) fn learn(&mut self, op: OpCode, header: &ReplyHeader) -> bool {
        let is_unknown = header.err == ErrorCode::UNIMPLEMENTED && header.zxid == Zxid(-1);
        if is_unknown {
            self.note_unsupported(op);
        } else if unwatch::proves_remove_watches(op) {
            self.note_remove_watches(op);
        }
        is_unknown
    }

    fn note_remove_watches(&mut self, op: OpCode) {
        self.dialects.has_create2 |= op == OpCode::CREATE2;
        self.connection.iter_mut().for_each(|connection| connection.has_remove_watches = true);
    }

    fn note_unsupported(&mut self, op: OpCode) {
        let Some(connection) = &mut self.connection else { return };
        let server = connection.server.clone();
        let begin = Unsupported { ops: BTreeSet::new(), since: self.now };
        self.dialects.unsupported.entry(server).or_insert(begin).ops.insert(op);
        connection.lacks_create2 |= op == OpCode::CREATE2;
        self.dialects.has_create2 &= op != OpCode::CREATE2;
    }

    /// Whether create can stand in for a create2 that the server doesn't know. Otherwise whatever was submitted before it
    /// and is in flight fails with the connection, and must not be overtaken.
    pub(crate) fn may_fall_back(&self, accepted: &Accepted, turn: Turn) -> bool {
        turn == Turn::Oldest
            && accepted.op == OpCode::CREATE2
            && accepted.retained.is_some()
            && self.config.on_loss == OnLoss::Resume
    }

    /// The request goes out as create on the next connection, as this one is lost to the refusal.
    pub(crate) fn fall_back(&mut self, mut accepted: Accepted) {
        let op = accepted.op;
        accepted.was_sent = true;
        self.dialects.refused = Some(Box::new(accepted));
        self.disconnect(DisconnectReason::UnsupportedOperation { op });
    }

    /// Ends the requests in the queue that the server is known not to have; for create2 create stands in.
    pub(crate) fn fail_unsupported(&mut self) {
        let Some(connection) = &mut self.connection else { return };
        let Some(ops) = self.dialects.unsupported_at(&connection.server) else { return };
        let is_unsupported =
            |accepted: &&Accepted| accepted.op != OpCode::CREATE2 && ops.contains(&accepted.op);
        let ended: Vec<_> =
            self.requests.iter_waiting().filter(is_unsupported).map(|accepted| accepted.id).collect();
        for id in ended {
            if let Some((accepted, _)) = self.requests.end(id) {
                let failure = Failure::Unsupported { op: accepted.op };
                self.fail_queued(&accepted, failure);
            }
        }
    }

    /// The same for a request that was just queued on an open connection.
    #[inline]
    pub(crate) fn fail_if_unsupported(&mut self, id: RequestId, op: OpCode) {
        if !self.dialects.unsupported.is_empty() {
            self.fail_if_unsupported_here(id, op);
        }
    }

    fn fail_if_unsupported_here(&mut self, id: RequestId, op: OpCode) {
        let Some(connection) = self.connection.as_ref().filter(|connection| connection.stage.is_open())
        else {
            return;
        };
        let is_unsupported = op != OpCode::CREATE2 && self.dialects.lacks(&connection.server, op);
        let removed = if is_unsupported { self.requests.end(id) } else { None };
        if let Some((accepted, _)) = removed {
            self.fail_queued(&accepted, Failure::Unsupported { op });
        }
    }
}

/// For so long, at least, a server is taken at its word that it doesn't know an operation: being asked again costs a
/// connection.
const REMEMBERED: Duration = Duration::from_secs(60 * 60);
