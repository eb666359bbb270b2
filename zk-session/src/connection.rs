//! One connection: what it has heard, and what it has been given to send. It is dropped with the transport,
//! so nothing of it can reach the next one.

use alloc::{boxed::Box, collections::VecDeque, vec::Vec};
use core::ops::Range;

use bytes::{Bytes, BytesMut};
use zk_proto::{ErrorCode, FrameDecoder, Frames, ReplyHeader, Request, ServerAddr};

use crate::{
    ConnectionId, DisconnectReason, Instant,
    accepted::Accepted,
    action::WatchEvent,
    auth::AuthSent,
    rearm::{Batch, Rearm},
    requests::{HandOut, Requests, Sent},
    sasl::Exchange,
    watch::wire_path,
};

/// One connection, or an attempt at one.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "model", derive(PartialEq, Eq, Hash))]
pub(crate) struct Connection {
    pub(crate) id: ConnectionId,
    pub(crate) server: ServerAddr,
    pub(crate) decoder: FrameDecoder,
    /// Frames that were left for later. In a box, for there are hardly ever any.
    pub(crate) unread: Option<Box<Frames>>,
    pub(crate) window: Window,
    /// Session-owned frames that wait to be handed out; they go before requests.
    control: BytesMut,
    /// What is left of a long frame that is handed out in slices; it goes before everything.
    slices: Bytes,
    /// Session-owned frames that are answered in their turn.
    controls: VecDeque<Control>,
    /// Requests that begin before this in the stream had been handed out when the server last answered one.
    answered_to: u64,
    pub(crate) pings: Pings,
    /// When the ConnectRequest was handed out.
    pub(crate) connect_sent_at: Instant,
    pub(crate) stage: Stage,
    /// Auth packets that weren't answered, oldest first.
    pub(crate) auths: VecDeque<AuthSent>,
    /// The server has shown that it has removeWatches.
    pub(crate) has_remove_watches: bool,
    /// The server is known not to have create2.
    pub(crate) lacks_create2: bool,
    /// closeSession has been queued: nothing leaves after it.
    pub(crate) close_sent: bool,
    /// In a box, for it is gone once all is armed.
    pub(crate) rearm: Option<Box<Rearm>>,
    /// Events of persistent watches that came before their owners could be told of the gap.
    pub(crate) early_events: Vec<WatchEvent>,
    pub(crate) growth: Option<Growth>,
    /// When `Ready` was told.
    pub(crate) ready_at: Option<Instant>,
    pub(crate) rests: Rests,
    /// A late tick has been excused since the last byte.
    pub(crate) excused: bool,
    /// Why it is going to be dropped when the driver asks what to do.
    pub(crate) leaving: Option<Box<DisconnectReason>>,
}

/// How far a connection is primed.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "model", derive(PartialEq, Eq, Hash))]
pub(crate) enum Stage {
    /// Only the ConnectRequest may leave.
    Handshake,
    /// Only SASL tokens may leave.
    Sasl(Exchange),
    /// The identities come next.
    Auths,
    /// The watches come next.
    Watches,
    /// All priming has been handed out: requests may leave.
    Open,
}

impl Stage {
    pub(crate) fn is_open(&self) -> bool {
        matches!(self, Self::Open)
    }

    pub(crate) fn has_sent_auths(&self) -> bool {
        matches!(self, Self::Watches | Self::Open)
    }
}

/// A session-owned frame that takes its turn among the requests.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "model", derive(PartialEq, Eq, Hash))]
pub(crate) struct Control {
    xid: i32,
    /// Where it lies in the stream of this connection.
    place: Range<u64>,
    /// When it was queued, and from its last byte on when that was handed out.
    pub(crate) sent_at: Instant,
    pub(crate) owner: Owner,
}

impl Control {
    /// Whether a reply with this xid answers it, so much of the stream having been handed out.
    fn is_answered(&self, xid: i32, handed_out: u64) -> bool {
        self.xid == xid && self.place.end <= handed_out
    }
}

/// What a session-owned frame is for.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "model", derive(PartialEq, Eq, Hash))]
pub(crate) enum Owner {
    SetWatches(Box<Batch>),
    CloseSession,
    Sasl,
    /// The server is told that nobody watches a path any more.
    Unwatch,
}

/// What a reply answers that isn't the oldest request.
#[derive(Debug)]
pub(crate) enum Answered {
    Request(Accepted, Sent),
    Control(Control),
}

/// Whether an answer came in its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    Oldest,
    Early,
}

/// Pings that were handed out and not answered, and one that may wait.
#[derive(Clone, Debug, Default)]
#[cfg_attr(feature = "model", derive(PartialEq, Eq, Hash))]
pub(crate) struct Pings {
    pub(crate) unanswered: VecDeque<Instant>,
    pub(crate) is_waiting: bool,
}

/// How often, since the last ping, nothing was under way any more after something had been.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rests {
    count: u8,
    has_worked: bool,
}

impl Rests {
    /// Something was handed out.
    pub(crate) fn end(&mut self) {
        self.has_worked = true;
    }

    /// Nothing is under way: tells whether that is new, and still rare.
    pub(crate) fn begin(&mut self) -> bool {
        let is_new = core::mem::take(&mut self.has_worked);
        let is_rare = self.count < FEW_RESTS;
        self.count += u8::from(is_new && is_rare);
        is_new && is_rare
    }
}

/// What memory is held doesn't count.
#[cfg(feature = "model")]
impl PartialEq for Rests {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

#[cfg(feature = "model")]
impl Eq for Rests {}

#[cfg(feature = "model")]
impl core::hash::Hash for Rests {
    fn hash<H: core::hash::Hasher>(&self, _: &mut H) {}
}

/// Where a frame under way stood when it was last looked at.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "model", derive(PartialEq, Eq, Hash))]
pub(crate) struct Growth {
    pub(crate) since: Instant,
    pub(crate) received: u64,
    pub(crate) pings: u64,
}

/// How much of the stream was handed out, and how much of that the transport took.
#[derive(Clone, Debug, Default)]
#[cfg_attr(feature = "model", derive(PartialEq, Eq, Hash))]
pub(crate) struct Window {
    handed_out: u64,
    taken: u64,
    /// The driver has said something about the chunk that is outstanding.
    is_reported: bool,
}

impl Window {
    pub(crate) fn is_open(&self) -> bool {
        self.handed_out == self.taken
    }

    /// Notes that the transport took `count` bytes; more than there are don't count.
    pub(crate) fn sent(&mut self, count: usize) {
        self.is_reported = true;
        self.taken = self.taken.saturating_add(count as u64).min(self.handed_out);
    }

    /// Bytes from here on can't have reached the server.
    pub(crate) fn reached(&self) -> u64 {
        if self.is_reported { self.taken } else { self.handed_out }
    }

    fn hand_out(&mut self, len: usize) {
        self.handed_out += len as u64;
        self.is_reported = false;
    }
}

/// What bounds one hand-out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SendLimits {
    pub(crate) max_send_len: usize,
    pub(crate) max_in_flight: usize,
}

impl Connection {
    pub(crate) fn new(id: ConnectionId, server: ServerAddr, max_frame_len: usize) -> Self {
        Self {
            id,
            server,
            decoder: FrameDecoder::new(max_frame_len),
            unread: None,
            window: Window::default(),
            control: BytesMut::new(),
            slices: Bytes::new(),
            controls: VecDeque::new(),
            answered_to: 0,
            pings: Pings::default(),
            connect_sent_at: Instant::ZERO,
            stage: Stage::Handshake,
            auths: VecDeque::new(),
            has_remove_watches: false,
            lacks_create2: false,
            close_sent: false,
            rearm: None,
            early_events: Vec::new(),
            growth: None,
            ready_at: None,
            rests: Rests::default(),
            excused: false,
            leaving: None,
        }
    }

    /// The frames that are to be looked at next, but for one that is over the limit.
    pub(crate) fn next_frames(&mut self) -> Option<Frames> {
        match self.unread.take() {
            Some(unread) => Some(*unread),
            None => self.decoder.next_all(),
        }
    }

    /// Session-owned frames wait, in whole or in part.
    pub(crate) fn has_control(&self) -> bool {
        !self.control.is_empty()
    }

    /// A long request is handed out only in part.
    pub(crate) fn has_slices(&self) -> bool {
        !self.slices.is_empty()
    }

    /// All priming has been handed out, and no other frame of the session's own waits.
    pub(crate) fn is_quiet(&self) -> bool {
        self.stage.is_open() && !self.has_control() && !self.has_slices()
    }

    /// Where frames are encoded that go before any request.
    pub(crate) fn control(&mut self) -> &mut BytesMut {
        &mut self.control
    }

    /// Queues a session-owned frame that is answered out of turn; tells where it lies in the stream.
    pub(crate) fn push_uncounted(&mut self, request: &Request, xid: i32) -> Range<u64> {
        let start = self.queued_to();
        request.encode_frame(xid, &mut self.control);
        start..self.queued_to()
    }

    /// Where the next session-owned frame begins in the stream.
    fn queued_to(&self) -> u64 {
        self.window.handed_out + (self.slices.len() + self.control.len()) as u64
    }

    /// Queues a session-owned request that is answered in its turn.
    pub(crate) fn push_control(&mut self, request: &Request, xid: i32, owner: Owner, now: Instant) {
        let place = self.push_uncounted(request, xid);
        self.controls.push_back(Control { xid, place, sent_at: now, owner });
    }

    /// How many session-owned frames wait for an answer in its turn.
    pub(crate) fn unanswered_controls(&self) -> usize {
        self.controls.len()
    }

    /// Queues a ping, unless one waits already. Tells whether it may leave: not while nothing but SASL tokens may,
    /// nor behind closeSession.
    pub(crate) fn push_ping(&mut self) -> bool {
        let may_leave = !matches!(self.stage, Stage::Handshake | Stage::Sasl(_)) && !self.close_sent;
        if may_leave && (!self.pings.is_waiting || planted!(PingsPileUp)) {
            self.push_uncounted(&Request::Ping, ReplyHeader::PING_XID);
            self.pings.is_waiting = true;
        }
        if let Stage::Sasl(exchange) = &mut self.stage {
            exchange.holds_ping = true;
        }
        may_leave || self.close_sent
    }

    /// The next chunk, if anything waits and nothing is outstanding.
    pub(crate) fn next_chunk(
        &mut self,
        requests: &mut Requests,
        limits: SendLimits,
        xids: &mut Xids,
        now: Instant,
    ) -> Option<Bytes> {
        if !self.window.is_open() {
            return None;
        }
        let (had_control, before) = (self.has_control(), self.window.handed_out);
        let is_interrupted = planted!(SlicesAreInterrupted) && had_control;
        let chunk = if self.has_slices() && !is_interrupted {
            self.next_slice(requests, limits.max_send_len, now)
        } else if self.control.len() >= limits.max_send_len {
            self.control.split_to(limits.max_send_len).freeze()
        } else {
            self.control_and_requests(requests, limits, xids, now)
        };
        if chunk.is_empty() {
            return None;
        }
        if self.control.is_empty() && core::mem::take(&mut self.pings.is_waiting) {
            if self.pings.unanswered.capacity() == 0 {
                self.pings.unanswered.reserve_exact(1);
            }
            self.pings.unanswered.push_back(now);
        }
        self.window.hand_out(chunk.len());
        if had_control {
            self.note_left(before, now);
        }
        Some(chunk)
    }

    /// Servers hear of a frame when its last byte has come: now, for what ends in all that was handed out from here on.
    fn note_left(&mut self, from: u64, now: Instant) {
        let to = self.window.handed_out;
        for control in self.controls.iter_mut().rev().take_while(|control| control.place.end > from) {
            if control.place.end <= to {
                control.sent_at = now;
            }
        }
        for auth in self.auths.iter_mut().rev().take_while(|auth| auth.end > from) {
            if auth.end <= to {
                auth.sent_at = now;
            }
        }
    }

    /// The same of a request.
    fn next_slice(&mut self, requests: &mut Requests, max_len: usize, now: Instant) -> Bytes {
        let slice = self.slices.split_to(self.slices.len().min(max_len));
        if self.slices.is_empty() {
            requests.youngest_left(now);
        }
        slice
    }

    fn control_and_requests(
        &mut self,
        requests: &mut Requests,
        limits: SendLimits,
        xids: &mut Xids,
        now: Instant,
    ) -> Bytes {
        let room = limits.max_in_flight.saturating_sub(requests.in_flight() + self.controls.len());
        let has_requests = self.stage.is_open() && room > 0 && requests.waiting() > 0;
        let control = if self.has_control() { self.control.split() } else { BytesMut::new() };
        if !has_requests {
            return control.freeze();
        }
        let max_len = limits.max_send_len - control.len();
        let hand_out = HandOut {
            max_requests: room,
            max_len,
            lacks_create2: self.lacks_create2,
            start: self.window.handed_out + control.len() as u64,
            now,
        };
        let mut frames = requests.hand_out(hand_out, xids);
        if frames.len() > max_len {
            self.slices = frames.split_off(max_len);
        }
        if control.is_empty() {
            return frames;
        }
        let mut chunk = control;
        chunk.extend_from_slice(&frames);
        chunk.freeze()
    }

    /// The stream as far as replies can answer what lies in it: handed out, and not behind a session-owned frame.
    pub(crate) fn answerable(&self) -> u64 {
        let control = self.controls.front().map(|frame| frame.place.start);
        control.map_or(self.window.handed_out, |control| control.min(self.window.handed_out))
    }

    /// The server has answered a request.
    pub(crate) fn note_answer(&mut self) {
        self.answered_to = self.window.handed_out;
    }

    /// Takes out the request that a reply answers, where it is the oldest frame of all.
    pub(crate) fn take_oldest(&mut self, requests: &mut Requests, xid: i32) -> Option<(Accepted, Sent)> {
        if !self.is_request_next(requests) {
            return None;
        }
        let oldest = requests.take_oldest(xid, self.window.handed_out)?;
        self.answered_to = self.window.handed_out;
        Some(oldest)
    }

    fn is_request_next(&self, requests: &Requests) -> bool {
        let control = self.controls.front().map(|frame| frame.place.start);
        requests.oldest_start().is_some_and(|request| control.is_none_or(|control| request < control))
    }

    /// Takes out what else a reply answers: the oldest session-owned frame, where that comes next, or a later frame
    /// that a server may refuse ahead of its turn. None if the reply fits nothing that was handed out whole.
    pub(crate) fn answered(&mut self, requests: &mut Requests, xid: i32, err: ErrorCode) -> Option<Answered> {
        let handed_out = self.window.handed_out;
        if !self.is_request_next(requests)
            && let Some(oldest) = self.controls.pop_front_if(|oldest| oldest.is_answered(xid, handed_out))
        {
            return Some(Answered::Control(oldest));
        }
        if REFUSED_EARLY.contains(&err) { self.refused_early(requests, xid) } else { None }
    }

    fn refused_early(&mut self, requests: &mut Requests, xid: i32) -> Option<Answered> {
        let handed_out = self.window.handed_out;
        if let Some((request, sent)) = requests.take_early(xid, handed_out) {
            self.answered_to = handed_out;
            return Some(Answered::Request(request, sent));
        }
        let index = self.controls.iter().position(|frame| frame.is_answered(xid, handed_out))?;
        Some(Answered::Control(self.controls.remove(index)?))
    }

    /// Whether the server has answered no request since the one that begins there went out: it may be what ended the
    /// connection.
    pub(crate) fn was_fruitless(&self, start: u64) -> bool {
        self.answered_to <= start
    }

    /// Takes out the oldest auth packet, if it was handed out whole.
    pub(crate) fn auth_answered(&mut self) -> Option<AuthSent> {
        let handed_out = self.window.handed_out;
        self.auths.pop_front_if(|sent| sent.end <= handed_out)
    }

    /// Keeps an event until its owner has been told of the gap before it. What is too much lies within that gap: owners
    /// are told to look again.
    pub(crate) fn keep_early(&mut self, mut event: WatchEvent) {
        if self.early_events.len() < MAX_EARLY_EVENTS {
            // Its path lies in all that was read with it.
            event.path = wire_path(event.path.as_bytes());
            self.early_events.push(event);
        }
    }

    /// Nothing is in flight, queued or half received: memory that traffic had needed can go.
    pub(crate) fn shrink(&mut self) {
        self.decoder.shrink();
        if self.control.is_empty() {
            self.control = BytesMut::new();
        }
        if self.controls.is_empty() {
            self.controls = VecDeque::new();
        }
    }
}

/// Numbers for requests: 1 to 2³¹ - 2, over and over, as in `ClientCnxn.getXid`.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "model", derive(PartialEq, Eq, Hash))]
pub(crate) struct Xids(i32);

impl Default for Xids {
    fn default() -> Self {
        Self(1)
    }
}

impl Xids {
    pub(crate) fn next(&mut self) -> i32 {
        let xid = if planted!(XidsBeginAtZero) { self.0 - 1 } else { self.0 };
        self.0 = if xid >= i32::MAX - 1 { 1 } else { xid + 1 };
        xid
    }
}

/// A session that asks for more than this within a third of its timeout isn't idle.
const FEW_RESTS: u8 = 8;
/// So many events may wait for the gap before them to be told.
const MAX_EARLY_EVENTS: usize = 64;
/// What a server may answer ahead of earlier requests.
const REFUSED_EARLY: [ErrorCode; 5] = [
    ErrorCode::NOT_READ_ONLY,
    ErrorCode::NO_AUTH,
    ErrorCode::INVALID_ACL,
    ErrorCode::UNIMPLEMENTED,
    ErrorCode::SESSION_CLOSED_REQUIRE_SASL_AUTH,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rests_are_counted_where_there_was_work_and_only_the_first_are_rare() {
        let mut rests = Rests::default();
        assert!(!rests.begin(), "nothing was done");
        let work = |rests: &mut Rests| {
            rests.end();
            rests.begin() && !rests.begin()
        };
        assert_eq!((0..100).filter(|_| work(&mut rests)).count(), usize::from(FEW_RESTS));
        rests = Rests::default();
        assert!(work(&mut rests), "a ping begins anew");
    }

    /// INV-14.
    #[test]
    fn the_numbers_of_requests_begin_anew_before_they_would_be_a_reserved_one() {
        let mut xids = Xids(i32::MAX - 2);
        assert_eq!([0; 3].map(|_| xids.next()), [i32::MAX - 2, i32::MAX - 1, 1]);
    }
}
