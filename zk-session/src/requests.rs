//! Accepted requests that haven't been handed out yet, encoded and in order.

use alloc::{boxed::Box, collections::VecDeque};

use bytes::{Buf as _, Bytes, BytesMut};
use zk_proto::{Jute as _, OpCode, Request, RequestHeader};

use crate::{Instant, RequestId, Retry};

/// One accepted request, from `submit` to its outcome.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "model", derive(PartialEq, Eq, Hash))]
pub(crate) struct Accepted {
    pub(crate) id: RequestId,
    pub(crate) op: OpCode,
    pub(crate) deadline: Option<Instant>,
    pub(crate) retry: Retry,
    /// The bytes of its frame.
    pub(crate) len: u32,
    /// It may be queued again: counted as retryable.
    pub(crate) may_return: bool,
    /// A byte of it may have reached a server, on an earlier connection.
    pub(crate) was_sent: bool,
    /// How many connections in a row have ended without an answer to any request since it was sent there.
    pub(crate) fruitless: u8,
    /// It was sent without its watch: a persistent one hears for it.
    pub(crate) is_covered: bool,
    /// If nobody hears of its success, an ephemeral znode stays that nobody knows of.
    pub(crate) creates_ephemeral: bool,
    /// How many operations a multi has; 0 for anything else.
    pub(crate) ops: u32,
    /// Its watch is wanted.
    pub(crate) asks_for_watch: bool,
    /// The request itself, where it is needed again: to register its watch, or to send it once more.
    pub(crate) retained: Option<Box<Request>>,
}

/// The queue: frames without their xids, which are given in the order in which they leave.
#[derive(Clone, Debug, Default)]
#[cfg_attr(feature = "model", derive(PartialEq, Eq, Hash))]
pub(crate) struct Queue {
    entries: VecDeque<Queued>,
    frames: BytesMut,
    /// Requests that have ended in the queue; their frames are dropped when they come to the front.
    ended: usize,
    /// The bytes of their frames.
    ended_bytes: usize,
}

#[derive(Clone, Debug)]
#[cfg_attr(feature = "model", derive(PartialEq, Eq, Hash))]
struct Queued {
    request: Accepted,
    has_ended: bool,
}

impl Queued {
    fn len(&self) -> usize {
        self.request.len as usize
    }
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

    /// Encodes a request to the end of the queue.
    pub(crate) fn push(&mut self, accepted: Accepted, request: &Request) {
        request.encode_frame(0, &mut self.frames);
        self.entries.push_back(Queued { request: accepted, has_ended: false });
    }

    /// Takes a request out, if it is still here.
    pub(crate) fn remove(&mut self, id: RequestId) -> Option<Accepted> {
        let index = self.entries.binary_search_by_key(&id, |queued| queued.request.id).ok()?;
        let entry = self.entries.get_mut(index).filter(|entry| !entry.has_ended)?;
        entry.has_ended = true;
        let retained = entry.request.retained.take();
        let removed = Accepted { retained, ..entry.request.clone() };
        self.ended += 1;
        self.ended_bytes += entry.len();
        self.drop_ended();
        Some(removed)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Accepted> {
        self.entries.iter().filter(|queued| !queued.has_ended).map(|queued| &queued.request)
    }

    pub(crate) fn get_mut(&mut self, id: RequestId) -> Option<&mut Accepted> {
        let index = self.entries.binary_search_by_key(&id, |queued| queued.request.id).ok()?;
        let entry = self.entries.get_mut(index).filter(|entry| !entry.has_ended)?;
        Some(&mut entry.request)
    }

    /// Takes everything out, in order.
    pub(crate) fn take_all(&mut self) -> impl Iterator<Item = Accepted> + use<> {
        let entries = core::mem::take(self).entries.into_iter();
        entries.filter(|queued| !queued.has_ended).map(|queued| queued.request)
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
            let fits = |front: &mut Queued| !front.has_ended && (end == 0 || end + front.len() <= max_len);
            let Some(Queued { mut request, .. }) = self.entries.pop_front_if(fits) else { break };
            let (len, xid) = (request.len as usize, next_xid());
            self.frames[end + XID_OFFSET..][..size_of::<i32>()].copy_from_slice(&xid.to_be_bytes());
            if lacks_create2 && request.op == OpCode::CREATE2 {
                request.op = OpCode::CREATE;
                self.frames[end + OP_OFFSET..][..size_of::<i32>()]
                    .copy_from_slice(&request.op.0.to_be_bytes());
            }
            leaves(request, xid, end);
            end += len;
        }
        self.frames.split_to(end).freeze()
    }

    /// Drops the frames of ended requests at the front, and all of them once they hold most of the memory.
    fn drop_ended(&mut self) {
        while let Some(front) = self.entries.front() {
            if !front.has_ended {
                break;
            }
            self.frames.advance(front.len());
            self.ended -= 1;
            self.ended_bytes -= front.len();
            self.entries.pop_front();
        }
        let is_large = self.ended > COMPACT_AT || self.ended_bytes > COMPACT_BYTES;
        if is_large && self.ended_bytes > self.frames.len() / 2 {
            self.compact();
        }
    }

    fn compact(&mut self) {
        let mut frames = core::mem::take(&mut self.frames);
        for queued in &self.entries {
            let frame = frames.split_to(queued.len());
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
pub(crate) fn frame_len(request: &Request) -> usize {
    LENGTH_PREFIX + payload_len(request)
}

/// The bytes of a request's frame, its length prefix not counted.
pub(crate) fn payload_len(request: &Request) -> usize {
    RequestHeader::MIN_LEN + request.encoded_len()
}

/// The bytes of a frame's length.
pub(crate) const LENGTH_PREFIX: usize = size_of::<i32>();
/// Where the xid lies in a frame: behind the length.
const XID_OFFSET: usize = LENGTH_PREFIX;
/// Where the operation lies in a frame: behind the xid.
const OP_OFFSET: usize = XID_OFFSET + size_of::<i32>();
/// As many ended requests, of as many bytes, may wait for their turn to be dropped.
const COMPACT_AT: usize = 64;
const COMPACT_BYTES: usize = 64 << 10;
