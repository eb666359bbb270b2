//! Accepted requests that haven't been handed out yet, encoded and in order.

use alloc::{boxed::Box, collections::VecDeque};
use core::ops::Range;

use bytes::{Buf as _, Bytes, BytesMut};
use zk_proto::{Jute as _, OpCode, Request, RequestHeader};

use crate::{Instant, RequestId, Retry};

/// One accepted request, from `submit` to its reply.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "model", derive(PartialEq, Eq, Hash))]
pub(crate) struct Accepted {
    pub(crate) id: RequestId,
    pub(crate) deadline: Option<Instant>,
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

/// The queue: frames without their xids, which are given in the order in which they leave.
#[derive(Clone, Debug, Default)]
#[cfg_attr(feature = "model", derive(PartialEq, Eq, Hash))]
pub(crate) struct Queue {
    entries: VecDeque<Accepted>,
    frames: BytesMut,
    /// Requests that have ended in the queue; their frames are dropped when they come to the front.
    ended: usize,
    /// The bytes of their frames.
    ended_bytes: usize,
}

impl Queue {
    /// How many requests wait.
    pub(crate) fn len(&self) -> usize {
        self.entries.len() - self.ended
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many bytes the queue holds.
    pub(crate) fn bytes(&self) -> usize {
        self.frames.len()
    }

    /// Encodes the frame of the next request to be pushed.
    #[inline(always)]
    pub(crate) fn encode(&mut self, request: &Request, op: OpCode, len: usize) {
        self.frames.reserve(len);
        let mut head = [0; HEAD_LEN];
        head[..LENGTH_PREFIX].copy_from_slice(&((len - LENGTH_PREFIX) as u32).to_be_bytes());
        head[OP].copy_from_slice(&op.0.to_be_bytes());
        self.frames.extend_from_slice(&head);
        request.encode(&mut self.frames);
    }

    /// Queues a request whose frame was just encoded.
    #[inline]
    pub(crate) fn push(&mut self, accepted: Accepted) {
        self.entries.push_back(accepted);
    }

    /// Takes a request out, if it is still here.
    pub(crate) fn remove(&mut self, id: RequestId) -> Option<Accepted> {
        let removed = self.get_mut(id)?;
        let ended = removed.end();
        removed.retained = None;
        self.ended += 1;
        self.ended_bytes += ended.len as usize;
        self.drop_ended();
        Some(ended)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Accepted> {
        self.entries.iter().filter(|queued| !queued.has_ended)
    }

    pub(crate) fn get_mut(&mut self, id: RequestId) -> Option<&mut Accepted> {
        let index = self.entries.binary_search_by_key(&id, |queued| queued.id).ok()?;
        self.entries.get_mut(index).filter(|queued| !queued.has_ended)
    }

    /// Takes everything out, in order.
    pub(crate) fn take_all(&mut self) -> impl Iterator<Item = Accepted> + use<> {
        core::mem::take(self).entries.into_iter().filter(|queued| !queued.has_ended)
    }

    /// Gives memory back that an emptied queue still holds.
    pub(crate) fn shrink(&mut self) {
        if self.entries.is_empty() {
            *self = Self::default();
        }
    }

    /// Takes whole frames from the front, as many as `max_requests` and `max_len` allow, and at least one if
    /// `max_requests` isn't zero. Each gets its xid and is told to `leaves` with its offset. For a server that
    /// lacks create2, create stands in: its request is the same.
    pub(crate) fn hand_out(
        &mut self,
        max_requests: usize,
        max_len: usize,
        lacks_create2: bool,
        mut next_xid: impl FnMut() -> i32,
        mut leaves: impl FnMut(Accepted, i32, usize),
    ) -> Bytes {
        self.drop_ended();
        let mut end = 0;
        for _ in 0..max_requests {
            let fits =
                |front: &mut Accepted| !front.has_ended && (end == 0 || end + front.len as usize <= max_len);
            let Some(mut request) = self.entries.pop_front_if(fits) else { break };
            let Some(head) = self.frames[end..].first_chunk_mut::<HEAD_LEN>() else { break };
            let xid = next_xid();
            head[XID].copy_from_slice(&xid.to_be_bytes());
            if lacks_create2 && request.op == OpCode::CREATE2 {
                request.op = OpCode::CREATE;
                head[OP].copy_from_slice(&request.op.0.to_be_bytes());
            }
            let start = end;
            end += request.len as usize;
            leaves(request, xid, start);
        }
        self.frames.split_to(end).freeze()
    }

    /// Drops the frames of ended requests at the front, and all of them once they hold most of the memory.
    fn drop_ended(&mut self) {
        if self.ended == 0 {
            return;
        }
        while let Some(ended) = self.entries.pop_front_if(|front| front.has_ended) {
            self.frames.advance(ended.len as usize);
            self.ended -= 1;
            self.ended_bytes -= ended.len as usize;
        }
        let is_large = self.ended > COMPACT_AT || self.ended_bytes > COMPACT_BYTES;
        if is_large && self.ended_bytes > self.frames.len() / 2 {
            self.compact();
        }
    }

    fn compact(&mut self) {
        let mut frames = core::mem::take(&mut self.frames);
        for queued in &self.entries {
            let frame = frames.split_to(queued.len as usize);
            if !queued.has_ended {
                self.frames.extend_from_slice(&frame);
            }
        }
        self.entries.retain(|queued| !queued.has_ended);
        self.ended = 0;
        self.ended_bytes = 0;
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

/// The bytes of a request's frame.
#[inline]
pub(crate) fn frame_len(request: &Request) -> usize {
    LENGTH_PREFIX + payload_len(request)
}

/// The bytes of a request's frame, its length prefix not counted.
#[inline(always)]
pub(crate) fn payload_len(request: &Request) -> usize {
    RequestHeader::MIN_LEN + request.encoded_len()
}

/// The bytes of a frame's length.
pub(crate) const LENGTH_PREFIX: usize = size_of::<i32>();
/// The bytes before a request's record.
const HEAD_LEN: usize = LENGTH_PREFIX + RequestHeader::MIN_LEN;
/// Where the xid lies in a frame: behind the length.
const XID: Range<usize> = LENGTH_PREFIX..LENGTH_PREFIX + size_of::<i32>();
/// Where the operation lies in a frame: behind the xid.
const OP: Range<usize> = XID.end..HEAD_LEN;
/// As many ended requests, of as many bytes, may wait for their turn to be dropped.
const COMPACT_AT: usize = 64;
const COMPACT_BYTES: usize = 64 << 10;
