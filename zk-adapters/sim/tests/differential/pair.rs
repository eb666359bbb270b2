//! A simulated and a real server, to which the same is done.

use core::time::Duration;
use std::collections::BTreeSet;

use zk_proto::{
    AuthPacket, Bytes, BytesMut, ConnectRequest, ErrorCode, Jute, OpCode, ReplyHeader, Request, SessionId,
    Zxid,
};
use zk_sim::Options;

use crate::{
    calls::Call,
    mapping::Mapping,
    messages::{Awaited, Message, compare},
    sides::{Came, Real, Side, Sim},
    steps::{CLIENTS, Hello, Password, Seen, Step, Whose},
    versions::{self, version_of},
};

pub(crate) type Outcome = Result<(), String>;

pub(crate) struct Pair {
    sim: Sim,
    real: Real,
    mapping: Mapping,
    clients: Vec<Client>,
    /// All sessions that were opened and not closed.
    sessions: Vec<Known>,
    version: zk_sim::Version,
    pub(crate) tally: Tally,
}

/// How fast time goes.
#[derive(Clone, Copy)]
pub(crate) enum Pace {
    /// So slowly that no session expires, no container and no znode with a time to live goes: each side has a time of its
    /// own for that.
    Still,
    /// So fast that a test can wait for it.
    Quick,
}

/// What was compared so far.
#[derive(Clone, Copy, Default)]
pub(crate) struct Tally {
    pub(crate) replies: u64,
    pub(crate) refusals: u64,
    pub(crate) events: u64,
}

/// What a client remembers.
#[derive(Clone, Default)]
struct Client {
    is_connected: bool,
    xid: i32,
    /// The last session, on each side.
    session: Option<Known>,
}

/// A session and its password, on each side.
type Known = [(SessionId, Bytes); 2];

/// A request, as each side gets it.
struct Frame {
    xid: i32,
    op: OpCode,
    body: [Bytes; 2],
}

/// How the client knows that it has heard everything.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Until {
    /// A ping is answered.
    Ping,
    /// The connection is closed.
    Closed,
    /// Something has come.
    First,
}

impl Pair {
    pub(crate) fn start(pace: Pace) -> Self {
        let (tick, container_check) = match pace {
            Pace::Still => (Duration::from_secs(10), Duration::from_secs(36_000)),
            Pace::Quick => (Duration::from_millis(500), Duration::from_millis(500)),
        };
        let ensemble = zk_harness::Options::new()
            .tick_time(tick)
            .max_session_timeout(tick * 20)
            .jvm_flag(format!("-Dznode.container.checkIntervalMs={}", container_check.as_millis()))
            .config_line("reconfigEnabled=false")
            .standalone()
            .expect("a real server");
        let version = version_of(&ensemble);
        let options = Options {
            version,
            tick,
            max_client_cnxns: 0,
            container_check,
            super_digest: Some("super:2KCAOlea08rlrYvOZvQwvrr82Jc=".to_owned()),
            ..Options::default()
        };
        Self {
            sim: Sim::new(options),
            real: Real::new(ensemble),
            mapping: Mapping::default(),
            clients: vec![Client::default(); CLIENTS + 1],
            sessions: Vec::new(),
            tally: Tally::default(),
            version,
        }
    }

    pub(crate) fn has_containers(&self) -> bool {
        versions::knows(self.version, OpCode::CREATE_CONTAINER)
    }

    /// All paths of the simulated server, parents first.
    pub(crate) fn paths(&self) -> Vec<String> {
        self.sim.paths()
    }

    pub(crate) fn perform(&mut self, step: &Step) -> Outcome {
        match step {
            Step::Ask(client, calls) => self.ask(*client, calls),
            Step::Refused(client, op, body) => {
                if !versions::refuses(self.version, *op) {
                    return Ok(());
                }
                self.ensure_session(*client)?;
                let frame = self.frame(*client, *op, [body.clone(), body.clone()]);
                self.exchange(*client, vec![frame], Until::Closed)
            }
            Step::Authenticate(client, scheme, auth) => {
                self.ensure_session(*client)?;
                self.authenticate(*client, scheme, *auth)
            }
            Step::Cut(client) => {
                self.cut(*client);
                Ok(())
            }
            Step::Open(client, hello) => self.open(*client, hello),
            Step::CloseSession(client) => self.close_session(*client),
        }
    }

    pub(crate) fn ask(&mut self, client: usize, calls: &[Call]) -> Outcome {
        // What ends the connection goes alone: what is still to be answered then is a matter of luck.
        let version = self.version;
        let knows = |call: &Call| versions::knows(version, call.op());
        for calls in calls.chunk_by(|a, b| knows(a) && knows(b) && a.lets_others_follow()) {
            self.ensure_session(client)?;
            let knows_all = calls.iter().all(knows);
            let mut frames = Vec::new();
            for call in calls {
                let body = [0, 1].map(|side| call.body(|age| self.mapping.aged(age)[side]));
                frames.push(self.frame(client, call.op(), body));
            }
            self.exchange(client, frames, if knows_all { Until::Ping } else { Until::Closed })?;
        }
        Ok(())
    }

    pub(crate) fn authenticate(&mut self, client: usize, scheme: &str, auth: Option<&str>) -> Outcome {
        let is_refused = versions::refuses_credentials(scheme, auth);
        let mut body = BytesMut::new();
        let auth = auth.map(|auth| Bytes::copy_from_slice(auth.as_bytes()));
        AuthPacket { auth_type: 0, scheme: scheme.into(), auth }.encode(&mut body);
        let body = body.freeze();
        let frame = Frame { xid: ReplyHeader::AUTH_XID, op: OpCode::AUTH, body: [body.clone(), body] };
        self.exchange(client, vec![frame], if is_refused { Until::Closed } else { Until::First })
    }

    /// Compares what comes to a client by itself.
    pub(crate) fn wait(&mut self, client: usize) -> Result<Message, String> {
        let heard = self.sides().map(|side| Message::decode(&side.wait(client), &Awaited::new()));
        compare(&mut self.mapping, &heard[0], &heard[1])?;
        let [_, real] = heard;
        Ok(real)
    }

    fn cut(&mut self, client: usize) {
        self.clients[client].is_connected = false;
        self.sim.cut(client);
        self.real.cut(client);
    }

    pub(crate) fn close_session(&mut self, client: usize) -> Outcome {
        self.ensure_session(client)?;
        let frame = self.frame(client, OpCode::CLOSE_SESSION, [Bytes::new(), Bytes::new()]);
        let session = self.clients[client].session.clone();
        self.sessions.retain(|known| Some(known) != session.as_ref());
        self.exchange(client, vec![frame], Until::Closed)
    }

    /// All sessions end: later, they would expire on one side only.
    pub(crate) fn close_all(&mut self) -> Outcome {
        while let Some(session) = self.sessions.pop() {
            self.cut(0);
            self.clients[0].session = Some(session);
            self.close_session(0)?;
        }
        (0..self.clients.len()).for_each(|client| self.cut(client));
        self.clients.fill(Client::default());
        Ok(())
    }

    /// A client without a connection goes on with its session, or gets a new one.
    pub(crate) fn ensure_session(&mut self, client: usize) -> Outcome {
        if self.clients[client].is_connected {
            return Ok(());
        }
        self.open(client, &Hello::new(Whose::Of(client)))?;
        if self.clients[client].is_connected {
            return Ok(());
        }
        self.open(client, &Hello::new(Whose::New))
    }

    fn open(&mut self, client: usize, hello: &Hello) -> Outcome {
        self.cut(client);
        let frames = [0, 1].map(|side| self.hello(side, hello));
        let mut messages = Vec::new();
        for (side, frame) in self.sides().into_iter().zip(frames) {
            side.connect(client);
            side.send(client, &frame);
            messages.push(Message::decode_first(&side.receive(client)));
        }
        compare(&mut self.mapping, &messages[0], &messages[1])?;
        let [Message::Opened(sim), Message::Opened(real)] = &messages[..] else {
            return self.fence(None, false);
        };
        if sim.time_out <= 0 {
            let closed = self.sides().map(|side| side.receive(client));
            return if closed == [Came::Closed, Came::Closed] {
                self.fence(None, false)
            } else {
                Err(format!("not closed after a refusal: {closed:?}"))
            };
        }
        let known = [sim, real].map(|opened| (opened.session_id, opened.passwd.clone().unwrap_or_default()));
        if !self.sessions.contains(&known) {
            self.sessions.push(known.clone());
        }
        self.clients[client] = Client { is_connected: true, session: Some(known), ..self.clients[client] };
        self.fence(Some(client), false)
    }

    fn hello(&self, side: usize, hello: &Hello) -> BytesMut {
        let known = |client: usize| self.clients[client].session.as_ref().map(|known| known[side].clone());
        let (session_id, password) = match hello.whose {
            Whose::New => (SessionId(0), Bytes::from_static(&[0; 16])),
            Whose::Of(client) => known(client).unwrap_or((SessionId(0), Bytes::from_static(&[0; 16]))),
            Whose::Unknown => (SessionId(0x0123_4567_89AB_CDEF), Bytes::from_static(&[7; 16])),
        };
        let passwd = match hello.password {
            Password::Right => Some(password),
            Password::Wrong => Some(password.iter().map(|byte| byte ^ 1).collect()),
            Password::Short => Some(password.slice(..password.len().min(8))),
            // 3.4 never answers that.
            Password::Null if self.version == zk_sim::Version::V3_4 => Some(password),
            Password::Null => None,
        };
        let last_zxid_seen = match hello.seen {
            Seen::Aged(age) => self.mapping.aged(age)[side],
            Seen::Future => Zxid(i64::MAX),
        };
        let request = ConnectRequest {
            protocol_version: 0,
            last_zxid_seen,
            time_out: hello.timeout_ms,
            session_id,
            passwd,
            read_only: hello.read_only,
        };
        let mut frame = BytesMut::new();
        request.encode_frame(&mut frame);
        frame
    }

    fn frame(&mut self, client: usize, op: OpCode, body: [Bytes; 2]) -> Frame {
        let xid = &mut self.clients[client].xid;
        *xid += 1;
        let xid = if op == OpCode::PING { ReplyHeader::PING_XID } else { *xid };
        Frame { xid, op, body }
    }

    /// Sends requests, and compares all that comes of them, on all connections.
    fn exchange(&mut self, client: usize, frames: Vec<Frame>, until: Until) -> Outcome {
        let awaited: Awaited = frames.iter().map(|frame| (frame.xid, frame.op)).collect();
        // A close of a session can delete several znodes, in no order.
        let is_ordered = frames.iter().all(|frame| frame.op != OpCode::CLOSE_SESSION);
        let pings = 1 + frames.iter().filter(|frame| frame.op == OpCode::PING).count();
        let mut heard = Vec::new();
        for (number, side) in self.sides().into_iter().enumerate() {
            let mut bytes = BytesMut::new();
            frames.iter().for_each(|frame| encode(frame, number, &mut bytes));
            if until == Until::Ping {
                Request::Ping.encode_frame(ReplyHeader::PING_XID, &mut bytes);
            }
            side.send(client, &bytes);
            heard.push(hear(side, client, until, pings, &awaited));
        }
        self.compare(client, &heard[0], &heard[1], is_ordered)?;
        if heard[0].last() == Some(&Message::Closed) {
            self.clients[client].is_connected = false;
        }
        self.fence(Some(client), !is_ordered)
    }

    /// What the others hear of it.
    fn fence(&mut self, but: Option<usize>, is_unordered: bool) -> Outcome {
        let others: BTreeSet<_> =
            (0..CLIENTS).filter(|other| Some(*other) != but && self.clients[*other].is_connected).collect();
        let mut ping = BytesMut::new();
        Request::Ping.encode_frame(ReplyHeader::PING_XID, &mut ping);
        for other in &others {
            self.sides().into_iter().for_each(|side| side.send(*other, &ping));
        }
        for other in others {
            let awaited = Awaited::from([(ReplyHeader::PING_XID, OpCode::PING)]);
            let heard = self.sides().map(|side| hear(side, other, Until::Ping, 1, &awaited));
            self.compare(other, &heard[0], &heard[1], !is_unordered)?;
            if heard[0].last() == Some(&Message::Closed) {
                self.clients[other].is_connected = false;
            }
        }
        Ok(())
    }

    fn compare(&mut self, client: usize, sim: &[Message], real: &[Message], is_ordered: bool) -> Outcome {
        let (mut sim, mut real) = (sim.to_vec(), real.to_vec());
        if !is_ordered {
            sort_events(&mut sim);
            sort_events(&mut real);
        }
        for at in 0..sim.len().max(real.len()) {
            let (Some(sim), Some(real)) = (sim.get(at), real.get(at)) else {
                return Err(format!("client {client}: simulated {sim:#?}\nreal {real:#?}"));
            };
            compare(&mut self.mapping, sim, real).map_err(|what| format!("client {client}: {what}"))?;
            self.tally.add(real);
        }
        Ok(())
    }

    fn sides(&mut self) -> [&mut dyn Side; 2] {
        [&mut self.sim, &mut self.real]
    }
}

impl Tally {
    fn add(&mut self, message: &Message) {
        match message {
            Message::Event(..) => self.events += 1,
            Message::Reply(header, _) if header.xid != ReplyHeader::PING_XID => {
                self.replies += 1;
                self.refusals += u64::from(header.err != ErrorCode::OK);
            }
            _ => {}
        }
    }
}

fn encode(frame: &Frame, side: usize, out: &mut BytesMut) {
    let body = &frame.body[side];
    i32::try_from(body.len() + 8).expect("short").encode(out);
    zk_proto::RequestHeader { xid: frame.xid, op: frame.op }.encode(out);
    out.extend_from_slice(body);
}

fn hear(
    side: &mut dyn Side,
    client: usize,
    until: Until,
    mut pings: usize,
    awaited: &Awaited,
) -> Vec<Message> {
    let mut heard = Vec::new();
    loop {
        let message = Message::decode(&side.receive(client), awaited);
        let ends = match &message {
            Message::Closed | Message::Silence => true,
            Message::Reply(header, _) if until == Until::Ping => {
                pings -= usize::from(header.xid == ReplyHeader::PING_XID);
                pings == 0
            }
            Message::Reply(header, _) => until == Until::First && header.err == ErrorCode::OK,
            Message::Opened(_) | Message::Event(..) => false,
        };
        heard.push(message);
        if ends {
            return heard;
        }
    }
}

/// Events first, in an order that doesn't depend on when they came.
fn sort_events(messages: &mut [Message]) {
    messages.sort_by_key(|message| match message {
        Message::Event(_, event) => (0, event.path.clone(), event.event_type),
        _ => (1, zk_proto::Ustring::NULL, zk_proto::EventType::NONE),
    });
}
