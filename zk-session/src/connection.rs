//! One connection: what it has heard, and what it has been given to send. It is dropped with the transport,
//! so nothing of it can reach the next one.

use alloc::{boxed::Box, collections::VecDeque, vec::Vec};
use core::ops::Range;

use bytes::{Bytes, BytesMut};
use zk_proto::{ErrorCode, FrameDecoder, ReplyHeader, Request, ServerAddr, WatcherEvent, Zxid};

use crate::{
    ConnectionId, Instant, RequestId,
    auth::AuthSent,
    rearm::{Batch, Rearm},
    requests::{Accepted, Queue},
    sasl::Exchange,
    watches::Fired,
};

/// One connection, or an attempt at one.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "model", derive(PartialEq, Eq, Hash))]
pub(crate) struct Connection {
    pub(crate) id: ConnectionId,
    pub(crate) server: ServerAddr,
    pub(crate) decoder: FrameDecoder,
    pub(crate) window: Window,
    /// Session-owned frames that wait to be handed out; they go before requests.
    control: BytesMut,
    /// What is left of a long frame that is handed out in slices; it goes before everything.
    slices: Bytes,
    pub(crate) in_flight: VecDeque<InFlight>,
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
    pub(crate) early_events: Vec<(Zxid, WatcherEvent, Fired)>,
    pub(crate) growth: Option<Growth>,
    /// When `Ready` was told.
    pub(crate) ready_at: Option<Instant>,
    /// A late tick has been excused since the last byte.
    pub(crate) excused: bool,
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

/// A frame that was handed out and wants an answer.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "model", derive(PartialEq, Eq, Hash))]
pub(crate) struct InFlight {
    pub(crate) xid: i32,
    /// Where its first byte lies in the stream of this connection.
    pub(crate) start: u64,
    /// Where its last byte lies, and one further.
    end: u64,
    /// The request itself, or the last one before it: never falls from one frame to the next.
    order: RequestId,
    pub(crate) sent_at: Instant,
    pub(crate) owner: Owner,
}

/// Whose frame it is.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "model", derive(PartialEq, Eq, Hash))]
pub(crate) enum Owner {
    Request(Accepted),
    /// The request has had its outcome; its reply still takes its turn, and what it did is still to be noted.
    Abandoned(Accepted),
    SetWatches(Box<Batch>),
    CloseSession,
    Sasl,
    /// The server is told that nobody watches a path any more.
    Unwatch,
}

/// Whether an answer came in its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answered {
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

/// Where a frame under way stood when it was last looked at.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "model", derive(PartialEq, Eq, Hash))]
pub(crate) struct Growth {
    pub(crate) since: Instant,
    pub(crate) received: u64,
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
            window: Window::default(),
            control: BytesMut::new(),
            slices: Bytes::new(),
            in_flight: VecDeque::new(),
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
            excused: false,
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
        let Range { start, end } = self.push_uncounted(request, xid);
        let order = self.in_flight.back().map_or(RequestId(0), |frame| frame.order);
        self.in_flight.push_back(InFlight { xid, start, end, order, sent_at: now, owner });
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
        queue: &mut Queue,
        limits: SendLimits,
        xid: &mut Xids,
        now: Instant,
    ) -> Option<Bytes> {
        if !self.window.is_open() {
            return None;
        }
        let is_interrupted = planted!(SlicesAreInterrupted) && self.has_control();
        let chunk = if self.has_slices() && !is_interrupted {
            self.slices.split_to(self.slices.len().min(limits.max_send_len))
        } else if self.control.len() >= limits.max_send_len {
            self.control.split_to(limits.max_send_len).freeze()
        } else {
            self.control_and_requests(queue, limits, xid, now)
        };
        if chunk.is_empty() {
            return None;
        }
        if self.control.is_empty() && core::mem::take(&mut self.pings.is_waiting) {
            self.pings.unanswered.push_back(now);
        }
        self.window.hand_out(chunk.len());
        Some(chunk)
    }

    fn control_and_requests(
        &mut self,
        queue: &mut Queue,
        limits: SendLimits,
        xids: &mut Xids,
        now: Instant,
    ) -> Bytes {
        let control = self.control.split();
        let room = limits.max_in_flight.saturating_sub(self.in_flight.len());
        if !self.stage.is_open() || room == 0 || queue.is_empty() {
            return control.freeze();
        }
        let base = self.window.handed_out + control.len() as u64;
        let in_flight = &mut self.in_flight;
        let max_len = limits.max_send_len - control.len();
        let mut requests = queue.hand_out(
            room,
            max_len,
            self.lacks_create2,
            || xids.next(),
            |request, xid, offset| {
                let start = base + offset as u64;
                let end = start + request.len as u64;
                let order = request.id;
                in_flight.push_back(InFlight {
                    xid,
                    start,
                    end,
                    order,
                    sent_at: now,
                    owner: Owner::Request(request),
                });
            },
        );
        if requests.len() > max_len {
            self.slices = requests.split_off(max_len);
        }
        if control.is_empty() {
            return requests;
        }
        let mut chunk = control;
        chunk.extend_from_slice(&requests);
        chunk.freeze()
    }

    /// Takes out the frame that a reply answers: the oldest, or a later one that a server may refuse ahead of
    /// its turn. None if the reply fits nothing that was handed out whole.
    #[inline]
    pub(crate) fn answered(&mut self, xid: i32, err: ErrorCode) -> Option<(InFlight, Answered)> {
        let handed_out = self.window.handed_out;
        let is_it = |frame: &InFlight| frame.xid == xid && frame.end <= handed_out;
        let (frame, answered) = match self.in_flight.pop_front_if(|oldest| is_it(oldest)) {
            Some(oldest) => (oldest, Answered::Oldest),
            None if REFUSED_EARLY.contains(&err) => {
                let index = self.in_flight.iter().position(is_it)?;
                (self.in_flight.remove(index)?, Answered::Early)
            }
            None => return None,
        };
        if matches!(frame.owner, Owner::Request(_) | Owner::Abandoned(_)) {
            self.answered_to = handed_out;
        }
        Some((frame, answered))
    }

    /// Whether the server has answered no request since this frame went out: it may be what ended the connection.
    pub(crate) fn was_fruitless(&self, frame: &InFlight) -> bool {
        self.answered_to <= frame.start
    }

    /// The request's owner entry, if it is in flight and has had no outcome.
    pub(crate) fn find(&mut self, id: RequestId) -> Option<&mut Owner> {
        let index = self.in_flight.partition_point(|frame| frame.order < id);
        let owner = &mut self.in_flight.get_mut(index)?.owner;
        matches!(owner, Owner::Request(request) if request.id == id).then_some(owner)
    }

    /// Takes out the oldest auth packet, if it was handed out whole.
    pub(crate) fn auth_answered(&mut self) -> Option<AuthSent> {
        let handed_out = self.window.handed_out;
        self.auths.pop_front_if(|sent| sent.end <= handed_out)
    }

    /// Forgets that there will be an answer to what was given up.
    pub(crate) fn forget_abandoned(&mut self) {
        self.in_flight.retain(|frame| !matches!(frame.owner, Owner::Abandoned(_)));
    }

    /// Nothing is in flight, queued or half received: memory that traffic had needed can go.
    pub(crate) fn shrink(&mut self) {
        self.decoder.shrink();
        if self.control.is_empty() {
            self.control = BytesMut::new();
        }
        if self.in_flight.is_empty() {
            self.in_flight = VecDeque::new();
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

/// What a server may answer ahead of earlier requests.
const REFUSED_EARLY: [ErrorCode; 5] = [
    ErrorCode::NOT_READ_ONLY,
    ErrorCode::NO_AUTH,
    ErrorCode::INVALID_ACL,
    ErrorCode::UNIMPLEMENTED,
    ErrorCode::SESSION_CLOSED_REQUIRE_SASL_AUTH,
];
