//! The session under test; or one with a planted defect, which the search must find.

use std::collections::VecDeque;

use zk_session::{
    Action, ConnectionId, Delivery, DisconnectReason, Event, ExpiredBy, ExpiredReason, Instant, RequestError,
    RequestId, RequestOptions, Session, State, Stats, SubmitError,
    zk_proto::{Bytes, BytesMut, OpCode, Request},
};

/// One broken rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "a list for tests to go through")]
pub enum Defect {
    /// Each outcome is told twice.
    TellsTwice,
    /// A request that has ended is still counted as queued.
    Miscounts,
    /// Requests bear no xid.
    SendsXidZero,
    /// The first outcome of a lost request says that it wasn't sent.
    DeniesSending,
    /// A reply with an unknown xid is taken for the expected one.
    MatchesAnything,
    /// A ping goes with the ConnectRequest.
    SpeaksTooEarly,
    /// Ready is told with Connected.
    ReadyTooEarly,
    /// A ConnectResponse without its last byte is waited for.
    WaitsForAByte,
    /// A session that wasn't born expires.
    ExpiresUnborn,
    /// Whatever session a server names is one's own.
    TakesAnyIdentity,
    /// A read-only server is as good as any other.
    TakesReadOnly,
    /// Connected is told twice.
    ConnectsTwice,
    /// A terminal state has a timer.
    WakesTheDead,
    /// Nothing is waited for while nothing is connected.
    Sleeps,
    /// A timer that is due has no effect.
    Spins,
    /// An early tick counts as the one that is due.
    TicksEarly,
    /// A connection after the first is never established.
    GetsStuck,
    /// A connection is made while another one is there.
    DialsTwice,
    /// Old connections speak for the current one.
    HearsThePast,
    /// A broken frame is the end of the session.
    DiesOfBadBytes,
    /// Something is sent behind closeSession.
    SpeaksAfterClose,
    /// A broken frame is a panic.
    Panics,
    /// A watch that has fired while nobody was connected is told nothing.
    LosesEvents,
    /// A lost write is sent again.
    Repeats,
    /// What was never sent may have been applied.
    CallsAllOpen,
    /// A watch that ends with the session has no notice of it.
    LosesEnds,
    /// A watch fires twice.
    FiresTwice,
    /// The last byte of a request stays behind.
    CutsFrames,
}

impl Defect {
    /// All of them, each with the number of the rule that it breaks.
    pub const ALL: [(Self, u32); 28] = [
        (Self::TellsTwice, 1),
        (Self::Miscounts, 2),
        (Self::DeniesSending, 3),
        (Self::CallsAllOpen, 4),
        (Self::Repeats, 7),
        (Self::SendsXidZero, 14),
        (Self::MatchesAnything, 16),
        (Self::SpeaksTooEarly, 18),
        (Self::ReadyTooEarly, 19),
        (Self::WaitsForAByte, 21),
        (Self::ExpiresUnborn, 22),
        (Self::TakesAnyIdentity, 23),
        (Self::TakesReadOnly, 26),
        (Self::ConnectsTwice, 27),
        (Self::WakesTheDead, 31),
        (Self::LosesEnds, 32),
        (Self::FiresTwice, 36),
        (Self::LosesEvents, 40),
        (Self::Sleeps, 49),
        (Self::Spins, 50),
        (Self::TicksEarly, 51),
        (Self::GetsStuck, 57),
        (Self::DialsTwice, 61),
        (Self::HearsThePast, 62),
        (Self::DiesOfBadBytes, 69),
        (Self::CutsFrames, 70),
        (Self::SpeaksAfterClose, 74),
        (Self::Panics, 79),
    ];
}

/// A session, with or without a defect.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    session: Session,
    defect: Option<Defect>,
    /// What a defect adds.
    extra: VecDeque<Action>,
    current: Option<ConnectionId>,
    awaits_response: bool,
}

/// Inputs and commands.
impl Subject {
    pub(crate) fn new(session: Session, defect: Option<Defect>) -> Self {
        Self { session, defect, extra: VecDeque::new(), current: None, awaits_response: false }
    }

    pub(crate) fn connected(&mut self, connection: ConnectionId, now: Instant) {
        self.awaits_response = true;
        if !(self.is(Defect::GetsStuck) && connection.get() > 1) {
            self.session.handle_connected(connection, now);
        }
    }

    pub(crate) fn received(&mut self, connection: ConnectionId, bytes: &[u8], now: Instant) {
        let mut bytes = bytes.to_vec();
        let is_response = core::mem::take(&mut self.awaits_response);
        let is_negative = bytes.first().is_some_and(|byte| byte & 0x80 != 0);
        let known = self.session.credentials().map(|known| known.session_id.0);
        let mut connection = connection;
        match self.defect {
            Some(Defect::HearsThePast) => connection = self.current.unwrap_or(connection),
            Some(Defect::MatchesAnything) if bytes.get(4).is_some_and(|byte| *byte == WRONG_XID) => {
                bytes[4] = 0
            }
            Some(Defect::TakesAnyIdentity) if is_response && bytes.len() >= SHORT_RESPONSE => {
                bytes[12..20].copy_from_slice(&known.unwrap_or(1).to_be_bytes());
            }
            Some(Defect::TakesReadOnly) if is_response && bytes.len() > SHORT_RESPONSE => {
                bytes[SHORT_RESPONSE] = 0;
            }
            Some(Defect::WaitsForAByte) if is_response && bytes.len() == SHORT_RESPONSE => return,
            Some(Defect::Panics) if is_negative => panic!("a planted defect"),
            Some(Defect::DiesOfBadBytes) if is_negative => self.extra.push_back(expired()),
            _ => {}
        }
        self.session.handle_received(connection, &bytes, now);
    }

    pub(crate) fn sent(&mut self, connection: ConnectionId, count: usize, now: Instant) {
        self.session.handle_sent(connection, count, now);
    }

    pub(crate) fn disconnected(&mut self, connection: ConnectionId, now: Instant) {
        let past = self.current.filter(|_| self.is(Defect::HearsThePast));
        self.session.handle_disconnected(past.unwrap_or(connection), now);
    }

    pub(crate) fn timeout(&mut self, now: Instant) {
        match (self.defect, self.session.poll_timeout()) {
            (Some(Defect::Spins), _) => {}
            (Some(Defect::TicksEarly), Some(due)) => self.session.handle_timeout(due),
            _ => self.session.handle_timeout(now),
        }
    }

    pub(crate) fn submit(
        &mut self,
        request: Request,
        options: RequestOptions,
        now: Instant,
    ) -> Result<RequestId, SubmitError> {
        self.session.submit(request, options, now)
    }

    pub(crate) fn cancel(&mut self, request: RequestId, now: Instant) {
        self.session.cancel(request, now);
    }

    pub(crate) fn close(&mut self, now: Instant) {
        self.session.close(now);
    }

    pub(crate) fn probed(&mut self, probe: zk_session::ProbeId, read_write: bool, now: Instant) {
        self.session.handle_probed(probe, read_write, now);
    }
}

/// Outputs and views.
impl Subject {
    pub(crate) fn poll_action(&mut self) -> Option<Action> {
        if let Some(action) = self.extra.pop_front() {
            return Some(action);
        }
        let mut action = self.session.poll_action()?;
        if let Action::Connect { connection, .. } = &action {
            self.current = Some(*connection);
        }
        if self.loses(&action) {
            return self.poll_action();
        }
        self.add(&action);
        self.spoil(&mut action);
        Some(action)
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let due = self.session.poll_timeout();
        match self.defect {
            Some(Defect::WakesTheDead) if self.session.state().is_terminal() => Some(Instant::MAX),
            Some(Defect::Sleeps) if self.session.state() == State::Connecting => None,
            _ => due,
        }
    }

    pub(crate) fn stats(&self) -> Stats {
        let mut stats = self.session.stats();
        if self.is(Defect::Miscounts) && stats.ended > 0 {
            stats.queued += 1;
        }
        stats
    }

    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    /// The connection of the last Connect.
    pub(crate) fn last_connection(&self) -> Option<ConnectionId> {
        self.current
    }

    /// Tells the time, and nothing else.
    pub(crate) fn advance(&mut self, now: Instant) {
        self.cancel(RequestId::from_number(u64::MAX), now);
        while self.poll_action().is_some() {}
    }

    pub(crate) fn is_like(&self, other: &Self) -> bool {
        self.session == other.session && self.poll_timeout() == other.poll_timeout()
    }

    fn is(&self, defect: Defect) -> bool {
        self.defect == Some(defect)
    }

    fn loses(&self, action: &Action) -> bool {
        match action {
            Action::Emit(Event::Watch(_)) => self.is(Defect::LosesEvents) && !self.session.is_ready(),
            Action::Emit(Event::WatchEnded { .. }) => self.is(Defect::LosesEnds),
            _ => false,
        }
    }

    /// What a defect has come out behind this action.
    fn add(&mut self, action: &Action) {
        let added = match (self.defect, action) {
            (Some(Defect::TellsTwice), Action::Emit(Event::Reply(_)))
            | (Some(Defect::FiresTwice), Action::Emit(Event::Watch(_)))
            | (Some(Defect::ConnectsTwice), Action::Emit(Event::Connected { .. })) => action.clone(),
            (Some(Defect::ReadyTooEarly), Action::Emit(Event::Connected { .. })) => {
                Action::Emit(Event::Ready)
            }
            (
                Some(Defect::ExpiresUnborn),
                Action::Disconnect { reason: DisconnectReason::SessionRefused, .. },
            ) => expired(),
            (Some(Defect::DialsTwice), Action::Connect { connection, server }) => Action::Connect {
                connection: ConnectionId::from_number(connection.get() + 100),
                server: server.clone(),
            },
            _ => return,
        };
        self.extra.push_back(added);
    }

    /// What a defect makes of this action.
    fn spoil(&self, action: &mut Action) {
        match (self.defect, action) {
            (Some(Defect::DeniesSending), Action::Emit(Event::Reply(reply))) => {
                if let Err(RequestError::Failed { delivery, .. }) = &mut reply.result {
                    *delivery = Delivery::NotSent;
                }
            }
            (Some(Defect::CallsAllOpen), Action::Emit(Event::Reply(reply))) => {
                if let Err(RequestError::Failed { delivery, .. }) = &mut reply.result {
                    *delivery = Delivery::MaybeApplied;
                }
            }
            (Some(defect), Action::Send { bytes, .. }) => *bytes = spoiled(defect, bytes),
            _ => {}
        }
    }
}

fn spoiled(defect: Defect, bytes: &Bytes) -> Bytes {
    let mut spoiled = BytesMut::from(&bytes[..]);
    let ops: Vec<_> = frames(bytes).collect();
    let has = |wanted| ops.iter().any(|(_, op)| *op == wanted);
    match defect {
        Defect::SpeaksTooEarly if bytes.len() == CONNECT_REQUEST => {
            Request::Ping.encode_frame(-2, &mut spoiled);
        }
        Defect::SpeaksAfterClose if has(OpCode::CLOSE_SESSION) => {
            Request::Ping.encode_frame(-2, &mut spoiled);
        }
        Defect::Repeats if has(OpCode::SET_DATA) => spoiled.extend_from_slice(bytes),
        Defect::CutsFrames if has(OpCode::GET_DATA) => spoiled.truncate(bytes.len() - 1),
        Defect::SendsXidZero => {
            for (at, op) in ops {
                if op == OpCode::GET_DATA {
                    spoiled[at + 4..at + 8].fill(0);
                }
            }
        }
        _ => {}
    }
    spoiled.freeze()
}

/// Where each frame begins, and its operation; of a ConnectRequest that is none.
fn frames(bytes: &Bytes) -> impl Iterator<Item = (usize, OpCode)> {
    let mut at = 0;
    core::iter::from_fn(move || {
        let int = |at: usize| bytes.get(at..at + 4)?.first_chunk().map(|int| i32::from_be_bytes(*int));
        let (begin, len, op) = (at, int(at)?, int(at + 8)?);
        at += 4 + usize::try_from(len).ok()?;
        Some((begin, OpCode(op)))
    })
}

fn expired() -> Action {
    Action::Emit(Event::Expired { by: ExpiredBy::Server, reason: ExpiredReason::Refused })
}

/// The first byte of an xid that no request has.
pub(crate) const WRONG_XID: u8 = 0x40;
/// A ConnectResponse's frame without its last byte.
const SHORT_RESPONSE: usize = 40;
/// A ConnectRequest's frame.
const CONNECT_REQUEST: usize = 49;
