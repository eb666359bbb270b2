//! The servers: two of them, one ensemble. They do what ZooKeeper's do for the few requests of the model, at once
//! when they hear of them; what they say waits on the link for the adversary.

use std::collections::VecDeque;

use zk_session::{
    ConnectionId,
    zk_proto::{
        Bytes, BytesMut, ConnectRequest, ConnectResponse, ErrorCode, EventType, GetDataResponse, Jute as _,
        KeeperState, Reader, ReplyHeader, Request, RequestHeader, Response, SessionId, SetDataResponse, Stat,
        WatcherEvent, Zxid, encode_event_frame, encode_reply_frame,
    },
};

use crate::books::{self, MAX_REQUESTS};

/// What all servers know.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Ensemble {
    pub(crate) zxid: i64,
    pub(crate) life: Life,
    sessions: i64,
    /// The last change of `/a`.
    pub(crate) changed_at: i64,
    /// How often each request was executed.
    pub(crate) executed: [u8; MAX_REQUESTS],
}

/// What has become of the session with the last id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Life {
    Unborn,
    Alive,
    Gone,
}

/// One connection, or an attempt at one, with what is under way on it.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Link {
    pub(crate) id: ConnectionId,
    /// Which server it goes to: 0 or 1.
    pub(crate) server: u8,
    pub(crate) is_up: bool,
    /// Handed out, and not taken by the transport.
    pub(crate) outbox: Bytes,
    /// Some of the chunk was taken.
    pub(crate) is_split: bool,
    /// On its way to the session.
    pub(crate) inbox: VecDeque<Said>,
    /// The server has closed its end: nothing follows what is under way.
    pub(crate) is_over: bool,
    heard: Vec<u8>,
    has_session: bool,
    watches_data: bool,
    watches_exists: bool,
}

/// One frame of a server.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Said {
    pub(crate) kind: Kind,
    pub(crate) bytes: Bytes,
    /// What the adversary has made of it.
    pub(crate) forgery: Option<Forgery>,
    /// Some of it has arrived.
    pub(crate) is_begun: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// A ConnectResponse that grants a session: a new one or the one that was asked for.
    Granted {
        resumed: bool,
    },
    /// A ConnectResponse to a session that is gone.
    Refused,
    Reply,
    Pong,
    AuthReply,
    Event,
}

/// What an adversary can make of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "part of a transcript")]
pub enum Forgery {
    /// The length is negative.
    NegativeLength,
    /// It ends in the middle of a header.
    Short,
    /// The xid is none that was used.
    WrongXid,
    /// The error code is none that is known.
    UnknownError,
    /// Another session is granted than was asked for.
    Replaced,
    /// The server is read-only.
    ReadOnly,
    /// No session is granted.
    RefusedBirth,
}

impl Ensemble {
    pub(crate) fn new() -> Self {
        Self { zxid: 100, life: Life::Unborn, sessions: 0, changed_at: 0, executed: [0; MAX_REQUESTS] }
    }

    pub(crate) fn is_alive(&self) -> bool {
        self.life == Life::Alive
    }

    fn session_id(&self) -> i64 {
        FIRST_SESSION + self.sessions
    }

    /// Somebody else changes `/a`.
    pub(crate) fn change(&mut self, link: Option<&mut Link>) {
        self.zxid += 1;
        self.changed_at = self.zxid;
        if let Some(link) = link.filter(|link| link.has_session && !link.is_over && link.watches_data) {
            link.tell_change();
        }
    }

    /// The session's time is up.
    pub(crate) fn expire(&mut self, link: Option<&mut Link>) {
        self.life = Life::Gone;
        if let Some(link) = link.filter(|link| link.has_session) {
            link.is_over = true;
        }
    }

    /// A server hears bytes.
    pub(crate) fn hear(&mut self, link: &mut Link, bytes: &[u8]) {
        link.heard.extend_from_slice(bytes);
        while let Some(len) = link.heard.first_chunk().map(|len| i32::from_be_bytes(*len)) {
            let end = 4 + usize::try_from(len).unwrap_or(0);
            if link.heard.len() < end || link.is_over {
                return;
            }
            let payload = Bytes::copy_from_slice(&link.heard[4..end]);
            link.heard.drain(..end);
            if link.has_session {
                self.hear_request(link, &payload);
            } else {
                self.hear_connect(link, &payload);
            }
        }
    }

    fn hear_connect(&mut self, link: &mut Link, payload: &Bytes) {
        let Ok(request) = ConnectRequest::decode(&mut Reader::new(payload)) else { return };
        let resumed = request.session_id != SessionId(0);
        let is_known = request.session_id == SessionId(self.session_id()) && self.life == Life::Alive;
        let mut response = ConnectResponse {
            passwd: Some(Bytes::from_static(&[7; 16])),
            // One server is older than the other.
            read_only: (link.server == 1).then_some(false),
            ..ConnectResponse::default()
        };
        if resumed && !is_known {
            link.is_over = true;
            link.say(Kind::Refused, |out| response.encode_frame(out));
            return;
        }
        if !resumed {
            self.sessions += 1;
            self.life = Life::Alive;
        }
        link.has_session = true;
        response.time_out = request.time_out;
        response.session_id = SessionId(self.session_id());
        link.say(Kind::Granted { resumed }, |out| response.encode_frame(out));
    }

    fn hear_request(&mut self, link: &mut Link, payload: &Bytes) {
        let mut reader = Reader::new(payload);
        let Ok(header) = RequestHeader::decode(&mut reader) else { return };
        let Ok(request) = Request::decode(header.op, &mut reader) else { return };
        let stat = Stat::default();
        if let Some(number) = books::number_of(&request) {
            self.executed[number] += 1;
        }
        let (err, body) = match &request {
            Request::Ping => return link.reply(Kind::Pong, -2, self.zxid, ErrorCode::OK, None),
            Request::Auth(_) => return link.reply(Kind::AuthReply, -4, 0, ErrorCode::OK, None),
            Request::GetData(get) => {
                link.watches_data |= get.watch;
                (ErrorCode::OK, Some(Response::GetData(GetDataResponse { data: None, stat })))
            }
            Request::Exists(exists) => {
                link.watches_exists |= exists.watch;
                (ErrorCode::NO_NODE, None)
            }
            Request::SetData(_) => {
                self.change(Some(link));
                (ErrorCode::OK, Some(Response::SetData(SetDataResponse { stat })))
            }
            Request::SetWatches(set) => {
                let has_data = !set.data_watches.is_empty();
                link.watches_exists |= !set.exist_watches.is_empty();
                link.watches_data |= has_data;
                if has_data && self.changed_at > set.relative_zxid.0 {
                    link.tell_change();
                }
                (ErrorCode::OK, None)
            }
            Request::CloseSession => {
                self.life = Life::Gone;
                (ErrorCode::OK, None)
            }
            _ => (ErrorCode::UNIMPLEMENTED, None),
        };
        link.reply(Kind::Reply, header.xid, self.zxid, err, body.as_ref());
        link.is_over |= request == Request::CloseSession;
    }
}

impl Link {
    pub(crate) fn new(id: ConnectionId, server: u8) -> Self {
        Self {
            id,
            server,
            is_up: false,
            outbox: Bytes::new(),
            is_split: false,
            inbox: VecDeque::new(),
            is_over: false,
            heard: Vec::new(),
            has_session: false,
            watches_data: false,
            watches_exists: false,
        }
    }

    fn tell_change(&mut self) {
        self.watches_data = false;
        let (event_type, state) = (EventType::NODE_DATA_CHANGED, KeeperState::SYNC_CONNECTED);
        let event = WatcherEvent { event_type, state, path: "/a".into() };
        self.say(Kind::Event, |out| encode_event_frame(Zxid(-1), &event, out));
    }

    fn reply(&mut self, kind: Kind, xid: i32, zxid: i64, err: ErrorCode, body: Option<&Response>) {
        let header = ReplyHeader { xid, zxid: Zxid(zxid), err };
        self.say(kind, |out| encode_reply_frame(&header, body, out));
    }

    fn say(&mut self, kind: Kind, encode: impl FnOnce(&mut BytesMut)) {
        let mut bytes = BytesMut::new();
        encode(&mut bytes);
        self.inbox.push_back(Said { kind, bytes: bytes.freeze(), forgery: None, is_begun: false });
    }
}

impl Said {
    /// What can be made of it.
    pub(crate) fn forgeries(&self) -> &'static [Forgery] {
        match self.kind {
            _ if self.forgery.is_some() || self.is_begun => &[],
            Kind::Granted { resumed: true } => {
                &[Forgery::NegativeLength, Forgery::Short, Forgery::Replaced, Forgery::ReadOnly]
            }
            Kind::Granted { resumed: false } => {
                &[Forgery::NegativeLength, Forgery::Short, Forgery::RefusedBirth, Forgery::ReadOnly]
            }
            Kind::Reply => {
                &[Forgery::NegativeLength, Forgery::Short, Forgery::WrongXid, Forgery::UnknownError]
            }
            Kind::Refused | Kind::Pong | Kind::AuthReply | Kind::Event => {
                &[Forgery::NegativeLength, Forgery::Short]
            }
        }
    }

    /// Its header is the server's.
    pub(crate) fn is_answer(&self) -> bool {
        matches!(self.forgery, None | Some(Forgery::UnknownError))
    }

    pub(crate) fn forge(&mut self, forgery: Forgery) {
        let mut bytes = BytesMut::from(&self.bytes[..]);
        match forgery {
            Forgery::NegativeLength => bytes[0] = 0xff,
            Forgery::Short => {
                bytes.truncate(12);
                bytes[..4].copy_from_slice(&8_i32.to_be_bytes());
            }
            Forgery::WrongXid => bytes[4] = crate::subject::WRONG_XID,
            Forgery::UnknownError => bytes[16..20].copy_from_slice(&(-7_777_i32).to_be_bytes()),
            Forgery::Replaced => bytes[12..20].copy_from_slice(&OTHER_SESSION.to_be_bytes()),
            Forgery::RefusedBirth => bytes[8..12].fill(0),
            Forgery::ReadOnly => {
                bytes.truncate(40);
                bytes.extend_from_slice(&[1]);
                bytes[..4].copy_from_slice(&37_i32.to_be_bytes());
            }
        }
        self.bytes = bytes.freeze();
        self.forgery = Some(forgery);
    }
}

const FIRST_SESSION: i64 = 0x1000;
const OTHER_SESSION: i64 = 0x2000;
