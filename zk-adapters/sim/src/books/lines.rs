//! What goes over each connection, both ways.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use zk_session::{
    AuthInfo, Config, ConnectionId, Credentials, DisconnectReason, Instant, RequestId, Session, State,
    zk_proto::{
        AuthPacket, Bytes, ConnectRequest, ConnectResponse, ErrorCode, FrameDecoder, Jute as _, OpCode,
        Reader, ReplyHeader, SessionId, Ustring, Zxid,
    },
};

use super::{
    attempts::asked_for, handshake::verdict, hearing::Heard, leaving::Leaving, meetings::Chunk, watches::Kind,
};

/// All connections, and attempts at one.
#[derive(Clone, Debug)]
pub(super) struct Lines {
    by_id: BTreeMap<ConnectionId, Line>,
    max_frame_len: usize,
    takes_read_only: bool,
    highest_zxid: Zxid,
    /// How many connections were accepted.
    accepted: u64,
    auths: Vec<Auth>,
}

/// An identity, and who waits for its answer.
#[derive(Clone, Debug)]
struct Auth {
    info: AuthInfo,
    waiting: Vec<RequestId>,
    is_configured: bool,
    is_cancelled: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) id: ConnectionId,
    is_live: bool,
    /// Why the session dropped it.
    pub(super) reason: Option<DisconnectReason>,
    pub(super) out: Vec<u8>,
    parsed: u64,
    pub(super) handed_out: u64,
    pub(super) taken: u64,
    pub(super) leaving: Leaving,
    is_reported: bool,
    is_left: bool,
    has_frames: bool,
    pub(super) is_accepted: bool,
    pub(super) requests_begun: bool,
    pub(super) has_closed: bool,
    /// Those that must be sent before requests are.
    expected_auths: Vec<AuthInfo>,
    /// Those that were asked for since.
    added_auths: Vec<AuthInfo>,
    pub(super) auths: Vec<AuthPacket>,
    /// What was set again: path, kind, and the zxid from which on.
    pub(super) rearmed: Vec<(Ustring, Kind, Zxid)>,
    /// The xids of the frames that did, and how much was set by then.
    rearming: Vec<(i32, usize)>,
    sent: Vec<SentRequest>,
    begun: Begun,
    /// Where the last outcome in order stands in `sent`.
    pub(super) last_outcome: Option<usize>,
    last_xid: i32,
    /// Which accepted connection it is, from 1.
    pub(super) ordinal: u64,
    /// The session that was asked for, and when.
    pub(super) asked: SessionId,
    pub(super) asked_at: Instant,
    pub(super) response: Option<ConnectResponse>,
    /// What was handed out whole and not answered, and when.
    pub(super) waiting: VecDeque<(i32, Instant)>,
    pub(super) pings: VecDeque<Instant>,
    pub(super) auths_waiting: VecDeque<Instant>,
    pub(super) has_refused_auth: bool,
    close_xid: Option<i32>,
    pub(super) reader: FrameDecoder,
    /// What the server has said that must end the connection.
    pub(super) misfit: Option<&'static str>,
    pub(super) headers: BTreeMap<i32, ReplyHeader>,
    /// What came with the last chunk.
    pub(super) chunk: Chunk,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct SentRequest {
    id: RequestId,
    pub(super) xid: i32,
    start: u64,
}

/// Whose the last frame is, if it was handed out in part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Begun {
    Nothing,
    Request(RequestId, u64),
    /// Too little of it is there to tell.
    Murky(Option<RequestId>, u64),
}

/// A whole frame.
pub(super) struct SentFrame {
    pub(super) start: u64,
    pub(super) is_first: bool,
    pub(super) payload: Bytes,
}

impl Lines {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            by_id: BTreeMap::new(),
            max_frame_len: config.max_frame_len,
            takes_read_only: config.read_only,
            highest_zxid: Zxid(0),
            accepted: 0,
            auths: Vec::new(),
        }
    }

    pub(super) fn is_live(&self, id: ConnectionId) -> bool {
        self.by_id.get(&id).is_some_and(|line| line.is_live)
    }

    pub(super) fn live(&self) -> Option<&Line> {
        self.by_id.values().next_back().filter(|line| line.is_live)
    }

    /// The last connection, whatever became of it.
    pub(super) fn last(&self) -> Option<&Line> {
        self.by_id.values().next_back()
    }

    /// The last connection.
    pub(super) fn current(&mut self) -> Option<&mut Line> {
        self.by_id.values_mut().next_back()
    }

    pub(super) fn get_mut(&mut self, id: ConnectionId) -> &mut Line {
        self.by_id.get_mut(&id).expect("a connection that was made")
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &Line> {
        self.by_id.values()
    }

    pub(super) fn highest_zxid(&self, resume: Option<&Credentials>) -> Zxid {
        self.highest_zxid.max(resume.map_or(Zxid(0), |credentials| credentials.last_zxid))
    }

    pub(super) fn connect(&mut self, id: ConnectionId, config: &Config) {
        if self.by_id.is_empty() {
            for info in &config.auth {
                self.auth(info).is_configured = true;
            }
        }
        assert!(self.live().is_none(), "INV-61: {id:?} while another connection lives");
        let last = self.by_id.keys().next_back();
        assert!(last.is_none_or(|last| *last < id), "INV-61: {id:?} after {last:?}");
        self.by_id.insert(id, Line::new(id, self.max_frame_len));
    }

    /// The session has dropped a connection. Tells whether it was there, and accepted.
    pub(super) fn disconnect(&mut self, id: ConnectionId, reason: DisconnectReason) -> Option<bool> {
        let line = self.get_mut(id);
        // The driver may have reported its end before it polled this.
        assert!(line.reason.is_none(), "INV-61: {id:?} is dropped twice");
        line.reason = Some(reason);
        self.ended(id)
    }

    /// The driver has reported the end of a connection. Tells whether it was there, and accepted.
    pub(super) fn ended(&mut self, id: ConnectionId) -> Option<bool> {
        let line = self.by_id.get_mut(&id)?;
        core::mem::take(&mut line.is_live).then_some(line.is_accepted)
    }

    fn auth(&mut self, info: &AuthInfo) -> &mut Auth {
        let place = self.auths.iter().position(|auth| auth.info == *info).unwrap_or(self.auths.len());
        if place == self.auths.len() {
            let (info, waiting) = (info.clone(), Vec::new());
            self.auths.push(Auth { info, waiting, is_configured: false, is_cancelled: false });
        }
        &mut self.auths[place]
    }

    pub(super) fn auth_added(&mut self, info: &AuthInfo, id: RequestId) {
        let auth = self.auth(info);
        auth.waiting.push(id);
        auth.is_cancelled = false;
        if let Some(line) = self.current() {
            line.added_auths.push(info.clone());
        }
    }

    /// Whether the next server is told an identity.
    pub(super) fn has_auths(&self) -> bool {
        self.auths.iter().any(|auth| !auth.is_cancelled)
    }

    /// A call has ended: an identity that nobody asks for any more, and that wasn't sent, isn't told.
    pub(super) fn auth_ended(&mut self, id: RequestId, is_proven_unsent: bool) {
        let Some(auth) = self.auths.iter_mut().find(|auth| auth.waiting.contains(&id)) else { return };
        auth.waiting.retain(|waiting| *waiting != id);
        auth.is_cancelled = is_proven_unsent && auth.waiting.is_empty() && !auth.is_configured;
        let info = auth.info.clone();
        if auth.is_cancelled
            && let Some(line) = self.current()
        {
            line.expected_auths.retain(|expected| *expected != info);
        }
    }

    /// The session says that it is connected.
    pub(super) fn accepted(&mut self) {
        let told = self.auths.iter().filter(|auth| !auth.is_cancelled);
        let expected = told.map(|auth| auth.info.clone()).collect();
        let line = self.by_id.values_mut().next_back().expect("INV-27: Connected without a connection");
        self.accepted += 1;
        line.ordinal = self.accepted;
        line.is_accepted = true;
        line.expected_auths = expected;
    }

    /// Takes a chunk that was handed out; tells the frames that it completes.
    pub(super) fn send(&mut self, id: ConnectionId, bytes: &Bytes) -> Vec<SentFrame> {
        assert!(self.is_live(id), "INV-61: a Send on {id:?}");
        self.get_mut(id).send(bytes)
    }

    pub(super) fn sent(&mut self, id: ConnectionId, count: usize) {
        if let Some(line) = self.by_id.get_mut(&id).filter(|line| line.is_live && !line.is_left) {
            line.taken = line.taken.saturating_add(count as u64).min(line.handed_out);
            line.is_reported = true;
            line.leaving.taken(line.taken);
        }
    }

    /// The session has no accepted connection now, whatever of that was polled: what was told of what the last one took
    /// is told.
    pub(super) fn left(&mut self) {
        if let Some(line) = self.current().filter(|line| line.is_accepted) {
            line.is_left = true;
        }
    }

    /// Reads what the server says; tells what that answers.
    pub(super) fn received(&mut self, id: ConnectionId, bytes: &[u8], state: State) -> Option<Vec<Heard>> {
        let is_heard = matches!(state, State::Associating | State::Connected | State::ConnectedReadOnly);
        let line = self.by_id.get_mut(&id).filter(|line| line.is_live && is_heard && !bytes.is_empty())?;
        Some(line.hear(bytes, self.takes_read_only, &mut self.highest_zxid))
    }
}

impl Line {
    fn new(id: ConnectionId, max_frame_len: usize) -> Self {
        Self {
            id,
            is_live: true,
            reason: None,
            out: Vec::new(),
            parsed: 0,
            handed_out: 0,
            taken: 0,
            leaving: Leaving::default(),
            is_reported: false,
            is_left: false,
            has_frames: false,
            is_accepted: false,
            requests_begun: false,
            has_closed: false,
            expected_auths: Vec::new(),
            added_auths: Vec::new(),
            auths: Vec::new(),
            rearmed: Vec::new(),
            rearming: Vec::new(),
            sent: Vec::new(),
            begun: Begun::Nothing,
            last_outcome: None,
            last_xid: 0,
            ordinal: 0,
            asked: SessionId(0),
            asked_at: Instant::ZERO,
            response: None,
            waiting: VecDeque::new(),
            pings: VecDeque::new(),
            auths_waiting: VecDeque::new(),
            has_refused_auth: false,
            close_xid: None,
            reader: FrameDecoder::new(max_frame_len.max(64)),
            misfit: None,
            headers: BTreeMap::new(),
            chunk: Chunk::default(),
        }
    }

    fn send(&mut self, bytes: &Bytes) -> Vec<SentFrame> {
        assert!(!bytes.is_empty(), "an empty Send");
        assert_eq!(self.handed_out, self.taken, "a Send while another is outstanding");
        let is_first_send = self.handed_out == 0;
        self.handed_out += bytes.len() as u64;
        self.is_reported = false;
        self.out.extend_from_slice(bytes);
        let mut frames = Vec::new();
        while let Some(len) = self.out.first_chunk::<4>().map(|len| i32::from_be_bytes(*len)) {
            let len = 4 + usize::try_from(len).expect("INV-70: a length");
            if self.out.len() < len {
                break;
            }
            let payload = Bytes::copy_from_slice(&self.out[4..len]);
            let is_first = !core::mem::replace(&mut self.has_frames, true);
            frames.push(SentFrame { start: self.parsed, is_first, payload });
            self.out.drain(..len);
            self.parsed += len as u64;
        }
        let pings = frames.iter().filter(|frame| frame.payload[..] == PING).count();
        assert!(pings <= 1, "INV-54: {pings} pings at once");
        assert!(!is_first_send || frames.len() <= 1, "INV-18: more than the ConnectRequest");
        frames
    }

    /// Notes whose frame it is that was handed out in part: the next request's, unless it is a session's own.
    pub(super) fn note_begun(&mut self, next: Option<RequestId>) {
        if self.begun_at(self.parsed).is_some() && !self.out.is_empty() {
            return;
        }
        let op = self.out.get(8..12).and_then(|op| op.first_chunk::<4>()).map(|op| i32::from_be_bytes(*op));
        self.begun = match op.map(OpCode) {
            _ if self.out.is_empty() || !self.is_accepted => Begun::Nothing,
            None | Some(OpCode::REMOVE_WATCHES) => Begun::Murky(next, self.parsed),
            Some(
                OpCode::PING
                | OpCode::AUTH
                | OpCode::SASL
                | OpCode::SET_WATCHES
                | OpCode::SET_WATCHES2
                | OpCode::CLOSE_SESSION,
            ) => Begun::Nothing,
            Some(_) => next.map_or(Begun::Nothing, |next| Begun::Request(next, self.parsed)),
        };
    }

    /// INV-20.
    pub(super) fn connect_request(
        &mut self,
        payload: &Bytes,
        session: &Session,
        config: &Config,
        now: Instant,
    ) -> ConnectRequest {
        let request = ConnectRequest::decode(&mut Reader::new(payload)).expect("INV-18: a ConnectRequest");
        assert_eq!(payload.len(), request.encoded_len(), "INV-20: nothing behind it");
        assert_eq!(request.protocol_version, 0, "INV-20");
        assert_eq!(request.time_out, asked_for(config), "INV-20");
        assert_eq!(request.read_only, Some(config.read_only), "INV-20");
        if self.is_live && !session.state().is_terminal() {
            let nobody = (SessionId(0), Bytes::from_static(&[0; 16]));
            let known = session.credentials().map(|known| (known.session_id, known.password));
            let asked = (request.session_id, request.passwd.clone().expect("INV-20: a password"));
            assert_eq!(asked, known.unwrap_or(nobody), "INV-20");
            assert_eq!(request.last_zxid_seen, session.last_zxid(), "INV-20, INV-48");
        }
        (self.asked, self.asked_at) = (request.session_id, now);
        request
    }

    /// What was asked for, and what the server has said to it.
    pub(super) fn answer(&self) -> Option<(SessionId, &ConnectResponse)> {
        Some((self.asked, self.response.as_ref()?))
    }

    /// Whether the server has said that the session is over.
    pub(super) fn has_ended_session(&self) -> bool {
        let closed = self.close_xid.and_then(|xid| self.headers.get(&xid)).map(|header| header.err);
        let is_closed = matches!(closed, Some(ErrorCode::OK | ErrorCode::SESSION_EXPIRED));
        is_closed || self.answer().is_some_and(|(asked, response)| verdict(asked, response).is_some())
    }

    pub(super) fn ping(&mut self, xid: i32, now: Instant) {
        assert_eq!(xid, ReplyHeader::PING_XID, "INV-14");
        self.pings.push_back(now);
    }

    pub(super) fn auth(&mut self, xid: i32, packet: AuthPacket, now: Instant) {
        assert_eq!(xid, ReplyHeader::AUTH_XID, "INV-14");
        let is_it =
            |info: &&AuthInfo| packet.scheme == *info.scheme && packet.auth.as_ref() == Some(&info.auth);
        let asked_for = self.expected_auths.iter().chain(&self.added_auths).filter(is_it).count();
        let sent = self.auths.iter().filter(|sent| **sent == packet).count();
        assert!(sent < asked_for, "INV-19: {packet:?} is sent once more than it was asked for");
        self.auths.push(packet);
        self.auths_waiting.push_back(now);
    }

    /// A SetWatches frame.
    pub(super) fn sets_again(&mut self, xid: i32, set: Vec<(Ustring, Kind, Zxid)>) {
        self.rearmed.extend(set);
        self.rearming.push((xid, self.rearmed.len()));
    }

    /// When the server has armed the first of them again.
    pub(super) fn first_armed_at(&self) -> Option<Zxid> {
        self.rearming.iter().find_map(|(xid, _)| self.headers.get(xid)).map(|header| header.zxid)
    }

    /// What the server has armed again.
    pub(super) fn armed_again(&self) -> BTreeSet<(Ustring, Kind)> {
        let mut begin = 0;
        let mut armed = BTreeSet::new();
        for (xid, end) in &self.rearming {
            if self.headers.get(xid).is_some_and(|header| header.err == ErrorCode::OK) {
                armed.extend(self.rearmed[begin..*end].iter().map(|(path, kind, _)| (path.clone(), *kind)));
            }
            begin = *end;
        }
        armed
    }

    pub(super) fn close(&mut self, xid: i32) {
        self.has_closed = true;
        self.close_xid = Some(xid);
    }

    /// Whether each auth was sent, in order.
    pub(super) fn has_sent_auths(&self) -> bool {
        let mut sent = self.auths.iter();
        let mut is_next = |info: &AuthInfo| {
            sent.any(|packet| packet.scheme == *info.scheme && packet.auth.as_ref() == Some(&info.auth))
        };
        self.expected_auths.iter().all(&mut is_next)
    }

    /// Whether an auth is still to be sent.
    pub(super) fn owes_auths(&self) -> bool {
        self.auths.len() < self.expected_auths.len()
    }

    /// The request that has this xid here.
    pub(super) fn asked_by(&self, xid: i32) -> Option<RequestId> {
        let position = self.sent.binary_search_by_key(&xid, |sent| sent.xid).ok()?;
        Some(self.sent[position].id)
    }

    /// INV-14.
    pub(super) fn takes_xid(&mut self, xid: i32, now: Instant) {
        assert!((1..i32::MAX).contains(&xid), "INV-14: xid {xid}");
        assert!(xid > self.last_xid, "INV-14: xid {xid} after {}", self.last_xid);
        self.last_xid = xid;
        self.waiting.push_back((xid, now));
    }

    /// A session is there, goes on, and nothing is outstanding.
    pub(super) fn can_send(&self) -> bool {
        self.is_accepted && !self.has_closed && self.handed_out == self.taken
    }

    pub(super) fn last_sent(&self) -> Option<RequestId> {
        self.sent.last().map(|sent| sent.id)
    }

    pub(super) fn sent_request(&mut self, id: RequestId, xid: i32, start: u64) {
        self.sent.push(SentRequest { id, xid, start });
    }

    pub(super) fn position(&self, id: RequestId) -> Option<usize> {
        self.sent.binary_search_by_key(&id, |sent| sent.id).ok()
    }

    /// The header that answers this request.
    pub(super) fn header_for(&self, id: RequestId) -> Option<ReplyHeader> {
        let sent = self.sent[self.position(id)?];
        self.headers.get(&sent.xid).copied()
    }

    /// The request whose first bytes had left before the rest of this frame, if that can be told.
    pub(super) fn begun_at(&self, start: u64) -> Option<RequestId> {
        match self.begun {
            Begun::Request(id, begun) | Begun::Murky(Some(id), begun) => (begun == start).then_some(id),
            Begun::Nothing | Begun::Murky(None, _) => None,
        }
    }

    /// Whether a byte of the request was handed out, whatever became of it.
    pub(super) fn was_handed_out(&self, id: RequestId) -> bool {
        let is_begun = matches!(self.begun, Begun::Request(begun, _) if begun == id);
        is_begun || self.position(id).is_some_and(|position| self.sent[position].start < self.handed_out)
    }

    /// Whether a byte of the request can have reached the server; none if that can't be told from outside.
    pub(super) fn can_have_reached(&self, id: RequestId) -> Option<bool> {
        let start = match (self.position(id), self.begun) {
            (Some(position), _) => self.sent[position].start,
            (None, Begun::Request(begun, start)) if begun == id => start,
            (None, Begun::Murky(begun, _)) if begun == Some(id) => return None,
            (None, Begun::Nothing | Begun::Request(..) | Begun::Murky(..)) => return Some(false),
        };
        let reached = if self.is_live || !self.is_reported { self.handed_out } else { self.taken };
        Some(start < reached)
    }
}

const PING: [u8; 8] = [0xff, 0xff, 0xff, 0xfe, 0, 0, 0, 11];
