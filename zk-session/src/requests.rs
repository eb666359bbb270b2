//! All accepted requests, from submission until their outcome is told.

use alloc::collections::VecDeque;
use core::ops::Range;

use bytes::{Buf as _, Bytes, BytesMut};
use zk_proto::{Jute as _, OpCode, ReplyHeader, Request, RequestHeader, Zxid};

use crate::{
    Instant, RequestId,
    accepted::{Accepted, Retryable},
    connection::Xids,
};

/// Requests in the order in which they leave. Each stays at one place from its submission until its outcome is polled:
/// first come those whose reply hasn't been read, then those in flight, then those that wait.
#[derive(Clone, Debug, Default)]
#[cfg_attr(feature = "model", derive(PartialEq, Eq, Hash))]
pub(crate) struct Requests {
    all: VecDeque<Entry>,
    /// So many have a reply that hasn't been read, or that was told ahead of such a one.
    answered: usize,
    /// So many were handed out and want an answer, those too that have had their outcome without one.
    in_flight: usize,
    /// The frames of those that wait, without their xids, which are given in the order in which they leave.
    frames: BytesMut,
    /// Requests that have ended while they waited; their frames are dropped when they come to the front, or are many.
    ended: usize,
    /// The bytes of their frames.
    ended_bytes: usize,
    pub(crate) retryable: Retryable,
}

/// A request, and how far it has come.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "model", derive(PartialEq, Eq, Hash))]
pub(crate) struct Entry {
    pub(crate) request: Accepted,
    progress: Progress,
}

/// How far a request has come.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "model", derive(PartialEq, Eq, Hash))]
enum Progress {
    Waiting,
    /// It was handed out on the current connection: the fields of [`Sent`].
    Sent {
        xid: i32,
        start: u64,
        at: Instant,
    },
    Answered(Place),
}

/// Where and when a request was handed out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent {
    xid: i32,
    /// Where its first byte lies in the stream of this connection.
    pub(crate) start: u64,
    pub(crate) at: Instant,
}

/// Where a reply is that hasn't been read.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "model", derive(PartialEq, Eq, Hash))]
pub(crate) struct Place {
    pub(crate) zxid: Zxid,
    /// Where its frame begins, among those that are kept.
    pub(crate) frame: usize,
}

impl Entry {
    /// When it was handed out, if a reply with this xid answers it, so much of the stream having been handed out.
    #[inline]
    fn answered_by(&self, xid: i32, handed_out: u64) -> Option<Sent> {
        self.sent().filter(|sent| sent.xid == xid && sent.start + u64::from(self.request.len) <= handed_out)
    }

    /// The request, and how it was handed out, if it was.
    pub(crate) fn taken(self) -> (Accepted, Option<Sent>) {
        let sent = self.sent();
        (self.request, sent)
    }

    #[inline]
    fn sent(&self) -> Option<Sent> {
        match self.progress {
            Progress::Sent { xid, start, at } => Some(Sent { xid, start, at }),
            Progress::Waiting | Progress::Answered(_) => None,
        }
    }
}

/// All that have no outcome.
impl Requests {
    /// Nothing waits, is in flight, or wants to be told.
    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// All of them, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Accepted> {
        self.all.range(self.answered..).map(|entry| &entry.request).filter(|request| !request.has_ended)
    }

    pub(crate) fn get_mut(&mut self, id: RequestId) -> Option<&mut Accepted> {
        let place = self.place(id)?;
        self.all.get_mut(place).map(|entry| &mut entry.request)
    }

    fn place(&self, id: RequestId) -> Option<usize> {
        let place = self.all.binary_search_by_key(&id, |entry| entry.request.id).ok()?;
        let is_open = place >= self.answered && !self.all[place].request.has_ended;
        is_open.then_some(place)
    }

    /// Takes all out, in order, from a connection that is gone.
    pub(crate) fn take_all(&mut self) -> VecDeque<Entry> {
        let mut all = self.all.split_off(self.answered);
        all.retain(|entry| !entry.request.has_ended);
        let told = core::mem::take(&mut self.all);
        *self = Self { all: told, answered: self.answered, retryable: self.retryable, ..Self::default() };
        all
    }

    /// Notes that this one has its outcome, and returns what is to be told of it, with whether it was handed out. Its reply
    /// still takes its turn.
    pub(crate) fn end(&mut self, id: RequestId) -> Option<(Accepted, bool)> {
        let place = self.place(id)?;
        let entry = self.all.get_mut(place)?;
        let ended = entry.request.end();
        let was_sent = place < self.answered + self.in_flight;
        if !was_sent {
            entry.request.retained = None;
            self.ended += 1;
            self.ended_bytes += ended.len as usize;
            // Many may end at once, behind many in flight.
            if self.has_many_ended() {
                self.drop_some_ended();
            }
        }
        Some((ended, was_sent))
    }

    /// Gives memory back that nothing needs.
    pub(crate) fn shrink(&mut self) {
        if self.is_empty() {
            *self = Self { retryable: self.retryable, ..Self::default() };
        }
    }
}

/// Those that wait.
impl Requests {
    /// How many wait.
    pub(crate) fn waiting(&self) -> usize {
        self.all.len() - self.first_waiting() - self.ended
    }

    fn first_waiting(&self) -> usize {
        self.answered + self.in_flight
    }

    /// The bytes of their frames.
    pub(crate) fn waiting_bytes(&self) -> usize {
        self.frames.len() - self.ended_bytes
    }

    pub(crate) fn iter_waiting(&self) -> impl Iterator<Item = &Accepted> {
        let waiting = self.all.range(self.first_waiting()..);
        waiting.map(|entry| &entry.request).filter(|request| !request.has_ended)
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

    /// Lets a request wait whose frame was just encoded.
    #[inline(always)]
    pub(crate) fn push(&mut self, request: Accepted) {
        if self.all.capacity() == 0 {
            // Many sessions never have more than one under way.
            self.all.reserve_exact(1);
        }
        self.all.push_back(Entry { request, progress: Progress::Waiting });
    }

    /// Takes whole frames from the front, as many as `max_requests` and `max_len` allow, and at least one if
    /// `max_requests` isn't zero; the first begins at `start` in the stream. For a server that lacks create2, create
    /// stands in: its request is the same.
    pub(crate) fn hand_out(&mut self, limits: HandOut, xids: &mut Xids) -> Bytes {
        self.drop_ended();
        let mut end = 0;
        let mut count = 0;
        for Entry { request, progress } in self.all.range_mut(self.answered + self.in_flight..) {
            let fits = end == 0 || end + request.len as usize <= limits.max_len;
            if count == limits.max_requests || request.has_ended || !fits {
                break;
            }
            let Some(head) = self.frames[end..].first_chunk_mut::<HEAD_LEN>() else { break };
            let xid = xids.next();
            head[XID].copy_from_slice(&xid.to_be_bytes());
            if limits.lacks_create2 && request.op == OpCode::CREATE2 {
                request.op = OpCode::CREATE;
                head[OP].copy_from_slice(&request.op.0.to_be_bytes());
            }
            *progress = Progress::Sent { xid, start: limits.start + end as u64, at: limits.now };
            end += request.len as usize;
            count += 1;
        }
        self.in_flight += count;
        let frames = self.frames.split_to(end).freeze();
        self.drop_ended();
        frames
    }

    /// Drops the frames of ended requests at the front, and all of them once they hold most of the memory.
    #[inline]
    fn drop_ended(&mut self) {
        if self.ended > 0 {
            self.drop_some_ended();
        }
    }

    fn drop_some_ended(&mut self) {
        let first = self.first_waiting();
        let ended = self.all.range(first..).take_while(|entry| entry.request.has_ended);
        let (count, len) =
            ended.fold((0, 0), |(count, len), entry| (count + 1, len + entry.request.len as usize));
        self.all.drain(first..first + count);
        self.frames.advance(len);
        self.ended -= count;
        self.ended_bytes -= len;
        if self.has_many_ended() && self.ended_bytes > self.frames.len() / 2 {
            self.compact();
        }
    }

    fn has_many_ended(&self) -> bool {
        self.ended > COMPACT_AT || self.ended_bytes > COMPACT_BYTES
    }

    fn compact(&mut self) {
        let mut frames = core::mem::take(&mut self.frames);
        let waiting = self.all.split_off(self.first_waiting());
        for entry in waiting {
            let frame = frames.split_to(entry.request.len as usize);
            if !entry.request.has_ended {
                self.frames.extend_from_slice(&frame);
                self.all.push_back(entry);
            }
        }
        self.ended = 0;
        self.ended_bytes = 0;
    }
}

/// Those in flight.
impl Requests {
    /// How many there are.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Those that have had no outcome yet.
    pub(crate) fn iter_in_flight(&self) -> impl Iterator<Item = &Accepted> {
        let in_flight = self.all.range(self.answered..self.first_waiting());
        in_flight.map(|entry| &entry.request).filter(|request| !request.has_ended)
    }

    /// Where the oldest begins in the stream.
    pub(crate) fn oldest_start(&self) -> Option<u64> {
        self.oldest()?.sent().map(|sent| sent.start)
    }

    fn oldest(&self) -> Option<&Entry> {
        self.all.get(self.answered).filter(|_| self.in_flight > 0)
    }

    /// The last byte of the youngest is handed out now.
    pub(crate) fn youngest_left(&mut self, now: Instant) {
        let Some(youngest) = self.first_waiting().checked_sub(1).filter(|_| self.in_flight > 0) else {
            return;
        };
        if let Some(Entry { progress: Progress::Sent { at, .. }, .. }) = self.all.get_mut(youngest) {
            *at = now;
        }
    }

    /// Notes the reply to the oldest, if that is what has this header, and if nothing follows from it but an outcome: it
    /// will be read when it is told. Tells when the request was handed out.
    #[inline(always)]
    pub(crate) fn answer_plain(
        &mut self,
        header: &ReplyHeader,
        place: usize,
        is_known: impl Fn(OpCode) -> bool,
        handed_out: u64,
    ) -> Option<Plain> {
        if self.in_flight == 0 {
            return None;
        }
        let oldest = self.all.get_mut(self.answered)?;
        let Sent { at, .. } = oldest.answered_by(header.xid, handed_out)?;
        let request = &oldest.request;
        if !request.is_plain() || !is_known(request.op) {
            return None;
        }
        oldest.progress = Progress::Answered(Place { zxid: header.zxid, frame: place });
        self.in_flight -= 1;
        self.answered += 1;
        Some(Plain { request: request.id, deadline: request.deadline, sent_at: at })
    }

    /// Takes the oldest out, if it is what a reply with this xid answers.
    pub(crate) fn take_oldest(&mut self, xid: i32, handed_out: u64) -> Option<(Accepted, Sent)> {
        let sent = self.oldest()?.answered_by(xid, handed_out)?;
        self.in_flight -= 1;
        if self.answered == 0 {
            return Some((self.all.pop_front()?.request, sent));
        }
        // It stays behind, with nothing to tell.
        let oldest = &mut self.all.get_mut(self.answered)?.request;
        self.answered += 1;
        let retained = oldest.retained.take();
        let taken = Accepted { retained, ..oldest.clone() };
        oldest.has_ended = true;
        Some((taken, sent))
    }

    /// Takes out the first that a reply with this xid answers.
    pub(crate) fn take_early(&mut self, xid: i32, handed_out: u64) -> Option<(Accepted, Sent)> {
        let mut in_flight = self.all.range(self.answered..self.first_waiting());
        let index = in_flight.position(|entry| entry.answered_by(xid, handed_out).is_some())?;
        let (request, sent) = self.all.remove(self.answered + index)?.taken();
        self.in_flight -= 1;
        Some((request, sent?))
    }

    /// Forgets the oldest, or what was given up.
    #[cfg(feature = "planted")]
    pub(crate) fn forget(&mut self, only_given_up: bool) {
        let first = self.answered;
        for place in (first..self.first_waiting()).rev() {
            let is_forgotten = if only_given_up { self.all[place].request.has_ended } else { place == first };
            if is_forgotten {
                self.all.remove(place);
                self.in_flight -= 1;
            }
        }
    }
}

/// Those that are answered.
impl Requests {
    pub(crate) fn has_answered(&self) -> bool {
        self.answered > 0
    }

    /// Takes out the first whose reply hasn't been read.
    #[inline(always)]
    pub(crate) fn take_unread(&mut self) -> Option<Unread> {
        while self.answered > 0 {
            let Entry { request, progress } = self.all.pop_front()?;
            self.answered -= 1;
            if let Progress::Answered(reply) = progress
                && !request.has_ended
            {
                return Some(Unread { request: request.id, op: request.op, reply });
            }
        }
        None
    }

    /// Forgets those that are left, with nothing to tell.
    pub(crate) fn forget_answered(&mut self) {
        if self.answered > 0 {
            self.all.drain(..self.answered);
            self.answered = 0;
        }
    }
}

/// A successful reply that hasn't been read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unread {
    pub(crate) request: RequestId,
    pub(crate) op: OpCode,
    pub(crate) reply: Place,
}

/// What a plain reply ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plain {
    pub(crate) request: RequestId,
    /// [`Instant::MAX`], if there is none.
    pub(crate) deadline: Instant,
    pub(crate) sent_at: Instant,
}

/// What bounds a hand-out, where it begins in the stream, and when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HandOut {
    pub(crate) max_requests: usize,
    pub(crate) max_len: usize,
    pub(crate) lacks_create2: bool,
    pub(crate) start: u64,
    pub(crate) now: Instant,
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

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use zk_proto::{Bytes, SetDataRequest};

    use super::*;

    const COUNT: u64 = 1000;

    /// So many requests of 1 KiB, of which some are in flight.
    fn requests(in_flight: usize) -> Requests {
        let mut requests = Requests::default();
        for number in 0..COUNT {
            let data = Some(Bytes::from_static(&[7; 1000]));
            let set = Request::SetData(SetDataRequest { path: "/a".into(), data, version: number as i32 });
            let len = frame_len(&set);
            requests.encode(&set, OpCode::SET_DATA, len);
            requests.push(Accepted {
                id: RequestId(number),
                deadline: Instant::MAX,
                op: OpCode::SET_DATA,
                len: len as u32,
                ops: 0,
                may_return: false,
                was_sent: false,
                creates_ephemeral: false,
                asks_for_watch: false,
                has_ended: false,
                retained: None,
            });
        }
        hand_out(&mut requests, in_flight);
        requests
    }

    /// The versions of the requests that leave.
    fn hand_out(requests: &mut Requests, max_requests: usize) -> Vec<u64> {
        let limits =
            HandOut { max_requests, max_len: usize::MAX, lacks_create2: false, start: 0, now: Instant::ZERO };
        let frames = requests.hand_out(limits, &mut Xids::default());
        let frames = frames.chunks(1026).map(|frame| frame.last_chunk().expect("a version"));
        frames.map(|version| u64::from(u32::from_be_bytes(*version))).collect()
    }

    #[test]
    fn what_has_ended_holds_no_more_memory_than_what_waits() {
        for in_flight in [0, 100] {
            let mut requests = requests(in_flight);
            let stays = |number: &u64| number.is_multiple_of(10) || *number < in_flight as u64;
            for number in (0..COUNT).filter(|number| !stays(number)) {
                assert!(requests.end(RequestId(number)).is_some_and(|(_, was_sent)| !was_sent));
                assert!(requests.frames.len() <= 2 * requests.waiting_bytes() + COMPACT_BYTES + 1026);
            }
            let left: Vec<_> = (in_flight as u64..COUNT).filter(stays).collect();
            assert_eq!(requests.waiting(), left.len());
            assert_eq!(requests.waiting_bytes(), left.len() * 1026);
            let mut told = Vec::new();
            while requests.waiting() > 0 {
                told.extend(hand_out(&mut requests, usize::MAX));
            }
            assert_eq!(told, left);
            assert_eq!((requests.frames.len(), requests.ended, requests.ended_bytes), (0, 0, 0));
        }
    }

    #[test]
    fn a_request_ends_once_wherever_it_is() {
        let mut requests = requests(1);
        assert!(requests.end(RequestId(0)).is_some_and(|(_, was_sent)| was_sent));
        assert!(requests.end(RequestId(1)).is_some_and(|(_, was_sent)| !was_sent));
        for number in [0, 1, COUNT] {
            assert!(
                requests.end(RequestId(number)).is_none() && requests.get_mut(RequestId(number)).is_none()
            );
        }
        assert_eq!((requests.in_flight(), requests.iter_in_flight().count()), (1, 0));
        assert_eq!(requests.iter().count(), requests.iter_waiting().count());
    }
}
