//! What must hold, kept beside the session from nothing but what comes out of it. Rules are named by their numbers
//! (`INV-…`); a rule that was broken is noted, and is the property that the search finds violated.

use zk_session::{
    Action, ConnectionId, Delivery, DisconnectReason, Event, ExpiredReason, Reply, RequestError,
    zk_proto::{
        AuthPacket, Bytes, ConnectRequest, ErrorCode, Jute as _, OpCode, Reader, Request, RequestHeader,
    },
};

/// So many requests are there at most.
pub(crate) const MAX_REQUESTS: usize = 3;

/// Which of the model's requests it is.
pub(crate) fn number_of(request: &Request) -> Option<usize> {
    match request {
        Request::GetData(_) => Some(0),
        Request::SetData(_) => Some(1),
        Request::Exists(_) => Some(2),
        _ => None,
    }
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Fate {
    Unborn,
    Open,
    Ended,
}

/// What became of the watch that a request sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Watch {
    None,
    /// It has been told everything up to this zxid.
    Armed(i64),
    /// Its connection was lost.
    Lost(i64),
    Ended,
}

/// All that was seen so far, as far as it bears on what may come.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Books {
    broken: u128,
    pub(crate) requests: [Fate; MAX_REQUESTS],
    /// The connection on which each was handed out last; 0: none.
    sent_on: [u64; MAX_REQUESTS],
    pub(crate) watches: [Watch; MAX_REQUESTS],
    /// Identities that go before everything.
    auths: u8,
    pub(crate) is_closing: bool,
    is_connected: bool,
    pub(crate) is_ready: bool,
    pub(crate) is_over: bool,
    last_connection: u64,
    last_xid: i32,
    /// The read-write session that was told; 0: none.
    pub(crate) own_session: i64,
    pub(crate) line: Line,
}

/// What went over the current connection.
#[derive(Clone, Debug, Default, Hash)]
pub(crate) struct Line {
    id: u64,
    has_asked: bool,
    is_accepted: bool,
    auths_sent: u8,
    auths_answered: u8,
    /// The xids of SetWatches frames that weren't answered.
    sets: Vec<i32>,
    pub(crate) rearmed: [bool; MAX_REQUESTS],
    has_begun: bool,
    is_closed: bool,
}

/// What one step told.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told {
    /// Connected, and whether to a read-only server.
    pub(crate) connected: Option<bool>,
    pub(crate) expired: Option<ExpiredReason>,
    /// Closed, and whether a server has confirmed it.
    pub(crate) closed: Option<bool>,
    pub(crate) disconnected: Option<DisconnectReason>,
    pub(crate) answers: u8,
    pub(crate) pings: u8,
    pub(crate) is_over: bool,
}

impl Books {
    pub(crate) fn new(auths: u8) -> Self {
        Self {
            broken: 0,
            requests: [Fate::Unborn; MAX_REQUESTS],
            sent_on: [0; MAX_REQUESTS],
            watches: [Watch::None; MAX_REQUESTS],
            auths,
            is_closing: false,
            is_connected: false,
            is_ready: false,
            is_over: false,
            last_connection: 0,
            last_xid: 0,
            own_session: 0,
            line: Line::default(),
        }
    }

    pub(crate) fn check(&mut self, rule: u32, holds: bool) {
        if !holds {
            self.broken |= 1 << rule;
        }
    }

    pub(crate) fn holds(&self, rule: u32) -> bool {
        self.broken & (1 << rule) == 0
    }

    pub(crate) fn open(&self) -> impl Iterator<Item = usize> {
        (0..MAX_REQUESTS).filter(|number| self.requests[*number] == Fate::Open)
    }

    pub(crate) fn count(&self, fate: Fate) -> u64 {
        self.requests.iter().filter(|request| **request == fate).count() as u64
    }

    /// An action was polled.
    pub(crate) fn action(
        &mut self,
        action: &Action,
        link: Option<ConnectionId>,
        executed: &[u8; MAX_REQUESTS],
        told: &mut Told,
    ) {
        self.check(31, !self.is_over);
        match action {
            Action::Connect { connection, .. } => {
                self.check(61, link.is_none() && connection.get() > self.last_connection);
                self.last_connection = connection.get();
                self.line = Line { id: connection.get(), ..Line::default() };
            }
            Action::Send { connection, bytes } => {
                self.check(61, link == Some(*connection));
                self.sent(bytes, told);
            }
            Action::Disconnect { connection, reason } => {
                self.check(61, link == Some(*connection));
                told.disconnected.get_or_insert_with(|| reason.clone());
            }
            Action::Probe { .. } => {}
            Action::Emit(event) => self.event(event, executed, told),
        }
    }
}

/// What is sent.
impl Books {
    fn sent(&mut self, bytes: &Bytes, told: &mut Told) {
        if !self.line.has_asked {
            self.line.has_asked = true;
            let request = payloads(bytes).next();
            let request = request.and_then(|payload| ConnectRequest::decode(&mut Reader::new(&payload)).ok());
            let len = request.as_ref().map(|request| 4 + request.encoded_len());
            self.check(18, len == Some(bytes.len()));
            let asked = request.map_or(0, |request| request.session_id.0);
            self.check(26, asked == self.own_session);
            return;
        }
        self.check(18, self.line.is_accepted);
        let whole: usize = payloads(bytes).map(|payload| 4 + payload.len()).sum();
        self.check(70, whole == bytes.len());
        for payload in payloads(bytes) {
            let mut reader = Reader::new(&payload);
            let Ok(header) = RequestHeader::decode(&mut reader) else { return self.check(70, false) };
            let Ok(request) = Request::decode(header.op, &mut reader) else { return self.check(70, false) };
            self.check(74, !self.line.is_closed);
            self.frame(header, &request, told);
        }
    }

    fn frame(&mut self, header: RequestHeader, request: &Request, told: &mut Told) {
        let is_counted = !matches!(request, Request::Ping | Request::Auth(AuthPacket { .. }));
        if is_counted {
            self.check(14, header.xid > self.last_xid && header.xid < i32::MAX);
            self.last_xid = self.last_xid.max(header.xid);
        }
        match request {
            Request::Ping => told.pings += 1,
            Request::Auth(_) => {
                self.check(19, self.line.sets.is_empty() && !self.line.has_begun);
                self.line.auths_sent += 1;
            }
            Request::SetWatches(set) => {
                self.check(19, self.line.auths_sent == self.auths && !self.line.has_begun);
                self.line.sets.push(header.xid);
                self.line.rearmed[0] |= !set.data_watches.is_empty();
                self.line.rearmed[2] |= !set.exist_watches.is_empty();
            }
            Request::CloseSession => {
                let current = self.line.id;
                let are_sent = self.open().all(|number| self.sent_on[number] == current);
                self.check(74, are_sent);
                self.line.is_closed = true;
            }
            other => {
                self.check(19, self.line.auths_sent == self.auths && self.is_rearmed());
                self.line.has_begun = true;
                if let Some(number) = number_of(other) {
                    self.sent_on[number] = self.line.id;
                }
                self.check(19, header.op != OpCode::SET_WATCHES2);
            }
        }
    }

    /// Each watch that was lost has been set again.
    fn is_rearmed(&self) -> bool {
        let mut watches = self.watches.iter().zip(self.line.rearmed);
        self.is_closing || watches.all(|(watch, is_set)| is_set || !matches!(watch, Watch::Lost(_)))
    }

    /// A reply has arrived whole and unforged.
    pub(crate) fn answered(&mut self, xid: i32, zxid: i64) {
        if xid == -4 {
            self.line.auths_answered += 1;
        } else if self.line.sets.contains(&xid) {
            self.line.sets.retain(|set| *set != xid);
            if self.line.sets.is_empty() {
                for (watch, is_set) in self.watches.iter_mut().zip(self.line.rearmed) {
                    if let (Watch::Lost(_), true) = (*watch, is_set) {
                        *watch = Watch::Armed(zxid);
                    }
                }
            }
        }
    }
}

/// What is told.
impl Books {
    fn event(&mut self, event: &Event, executed: &[u8; MAX_REQUESTS], told: &mut Told) {
        match event {
            Event::Connected { session_id, read_only, .. } => {
                self.check(27, !self.is_connected);
                self.is_connected = true;
                self.line.is_accepted = true;
                told.connected = Some(*read_only);
                if !read_only {
                    let is_own = [0, session_id.0].contains(&self.own_session);
                    self.check(23, is_own);
                    self.own_session = session_id.0;
                }
            }
            Event::Ready => {
                let line = &self.line;
                let is_told = line.auths_answered == self.auths && line.sets.is_empty() && self.is_rearmed();
                self.check(19, is_told);
                self.check(27, self.is_connected && !self.is_ready);
                self.is_ready = true;
            }
            Event::Disconnected { .. } => {
                self.check(27, self.is_connected);
                self.is_connected = false;
                self.is_ready = false;
                for watch in &mut self.watches {
                    if let Watch::Armed(since) = *watch {
                        *watch = Watch::Lost(since);
                    }
                }
            }
            Event::Reply(reply) => self.reply(reply, executed, told),
            Event::Watch(event) => self.watch_ended(event.request.get()),
            Event::WatchEnded { request, .. } => self.watch_ended(request.get()),
            Event::Expired { reason, .. } => {
                told.expired = Some(*reason);
                self.over(told);
            }
            Event::Closed { confirmed } => {
                told.closed = Some(*confirmed);
                self.over(told);
            }
            Event::AuthFailed { .. } => self.over(told),
            _ => {}
        }
    }

    fn reply(&mut self, reply: &Reply, executed: &[u8; MAX_REQUESTS], told: &mut Told) {
        let number = reply.request.get() as usize - 1;
        self.check(1, self.requests[number] == Fate::Open);
        self.requests[number] = Fate::Ended;
        let watch = match &reply.result {
            Ok(_) if number == 0 => Watch::Armed(reply.zxid.0),
            Err(RequestError::Refused { code: ErrorCode::NO_NODE, .. }) if number == 2 => {
                Watch::Armed(reply.zxid.0)
            }
            _ => Watch::None,
        };
        self.watches[number] = watch;
        match &reply.result {
            Err(RequestError::Failed { delivery: Delivery::NotSent, .. }) => {
                self.check(3, executed[number] == 0);
            }
            Err(RequestError::Failed { delivery: Delivery::MaybeApplied, .. }) => {
                self.check(4, self.sent_on[number] != 0);
            }
            _ => told.answers += 1,
        }
    }

    fn watch_ended(&mut self, request: u64) {
        let watch = &mut self.watches[request as usize - 1];
        let was_there = matches!(watch, Watch::Armed(_) | Watch::Lost(_));
        *watch = Watch::Ended;
        self.check(36, was_there);
    }

    fn over(&mut self, told: &mut Told) {
        let all_ended = self.open().next().is_none();
        self.check(1, all_ended);
        let no_watches = !self.watches.iter().any(|watch| matches!(watch, Watch::Armed(_) | Watch::Lost(_)));
        self.check(32, no_watches);
        told.is_over = true;
        self.is_over = true;
    }
}

/// The frames of a chunk, without their lengths; a chunk of the model is made of whole frames.
fn payloads(bytes: &Bytes) -> impl Iterator<Item = Bytes> {
    let mut rest = bytes.clone();
    core::iter::from_fn(move || {
        let len = rest.first_chunk().map(|len| i32::from_be_bytes(*len))?;
        let end = 4 + usize::try_from(len).ok()?;
        if rest.len() < end {
            return None;
        }
        Some(rest.split_to(end).slice(4..))
    })
}
