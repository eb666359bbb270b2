//! One accepted request, and what is kept of it.

use alloc::boxed::Box;

use zk_proto::{OpCode, Request};

use crate::{Instant, RequestId, Retry};

/// One accepted request, from `submit` to its reply.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "model", derive(PartialEq, Eq, Hash))]
pub(crate) struct Accepted {
    pub(crate) id: RequestId,
    /// [`Instant::MAX`], if there is none.
    pub(crate) deadline: Instant,
    pub(crate) op: OpCode,
    /// The bytes of its frame.
    pub(crate) len: u32,
    /// How many operations a multi has; 0 for anything else.
    pub(crate) ops: u32,
    /// It may be queued again: counted as retryable.
    pub(crate) may_return: bool,
    /// A byte of it may have reached a server, on an earlier connection.
    pub(crate) was_sent: bool,
    /// If nobody hears of its success, an ephemeral znode stays that nobody knows of.
    pub(crate) creates_ephemeral: bool,
    /// Its watch is wanted.
    pub(crate) asks_for_watch: bool,
    /// It has had its outcome: its frame is dropped when it comes to the front of the queue; or its reply, which
    /// still takes its turn, tells nobody anything.
    pub(crate) has_ended: bool,
    /// In a box, for few need it.
    pub(crate) retained: Option<Box<Retained>>,
}

/// A request that is needed again: to register its watch, or to send it once more.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "model", derive(PartialEq, Eq, Hash))]
pub(crate) struct Retained {
    pub(crate) request: Request,
    pub(crate) retry: Retry,
    /// How many connections in a row have ended without an answer to any request since it was sent there.
    pub(crate) fruitless: u8,
    /// It was sent without its watch: a persistent one hears for it.
    pub(crate) is_covered: bool,
}

impl Retained {
    pub(crate) fn new(request: Request, retry: Retry) -> Box<Self> {
        Box::new(Self { request, retry, fruitless: 0, is_covered: false })
    }
}

impl Accepted {
    /// Whether its reply tells the outcome, and nothing else follows from it.
    pub(crate) fn is_plain(&self) -> bool {
        let is_multi = matches!(self.op, OpCode::MULTI | OpCode::MULTI_READ);
        self.retained.is_none() && !self.has_ended && !is_multi
    }

    /// Notes that it has its outcome now; a copy goes into the books.
    pub(crate) fn end(&mut self) -> Self {
        let retained = self.retained.take();
        let ended = self.clone();
        self.retained = retained;
        self.has_ended = true;
        ended
    }
}

/// How many accepted requests may be sent again after a lost connection, and the bytes of their frames: then they
/// are all in the queue, and it is as bounded as before.
#[derive(Clone, Copy, Debug, Default)]
#[cfg_attr(feature = "model", derive(PartialEq, Eq, Hash))]
pub(crate) struct Retryable {
    pub(crate) requests: usize,
    pub(crate) bytes: usize,
}

impl Retryable {
    pub(crate) fn count(&mut self, may_return: bool, len: usize) {
        if may_return {
            self.requests += 1;
            self.bytes += len;
        }
    }

    pub(crate) fn discount(&mut self, ended: &Accepted) {
        if ended.may_return {
            self.requests -= 1;
            self.bytes -= ended.len as usize;
        }
    }
}
