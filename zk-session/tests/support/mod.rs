//! A session in virtual time, and at the other end a server that says what the test tells it to.
#![allow(dead_code, reason = "each test file uses its part of it")]
#![expect(clippy::wildcard_enum_match_arm, reason = "it looks for one thing among many")]
#![expect(unreachable_pub, reason = "each test file is a crate of its own")]

mod checks;
#[cfg(feature = "planted")]
pub mod defects;
pub mod watching;
mod wire;

use core::time::Duration;
use std::collections::BTreeMap;

use zk_session::{
    Action, Config, ConnectionId, Event, Instant, Reply, RequestError, RequestId, RequestOptions, Session,
    State, Timer, WatchEvent,
    zk_proto::{
        Bytes, BytesMut, ConnectRequest, ConnectResponse, ErrorCode, EventType, ExistsRequest,
        ExistsResponse, GetDataRequest, GetDataResponse, KeeperState, ReplyHeader, Request, Response,
        SessionId, Stat, SyncRequest, WatcherEvent, Zxid, encode_event_frame, encode_reply_frame,
    },
};

pub use wire::{Sent, Wire};

/// The session that the server grants, unless a test says otherwise.
pub const SESSION: SessionId = SessionId(0x0100_0000_0000_0001);
pub const PASSWORD: [u8; 16] = *b"sixteen secrets!";

pub struct World {
    pub session: Session,
    pub now: Instant,
    /// Everything that came out, in order.
    pub trace: Vec<Action>,
    /// Whether each chunk counts as taken as soon as it is handed out.
    pub takes_at_once: bool,
    /// Whether the session is polled after each input.
    pub polls: bool,
    wires: BTreeMap<ConnectionId, Wire>,
    seen: usize,
    books: checks::Books,
}

pub fn config(connect_string: &str) -> Config {
    let mut config = Config::new(connect_string.parse().expect("a connect string"));
    config.session_timeout = Duration::from_secs(9);
    config
}

pub fn get_data(path: &str) -> Request {
    Request::GetData(GetDataRequest { path: path.into(), watch: false })
}

pub fn watch_data(path: &str) -> Request {
    Request::GetData(GetDataRequest { path: path.into(), watch: true })
}

pub fn watch_exists(path: &str) -> Request {
    Request::Exists(ExistsRequest { path: path.into(), watch: true })
}

pub fn sync(path: &str) -> Request {
    Request::Sync(SyncRequest { path: path.into() })
}

pub fn data(bytes: &'static [u8]) -> Response {
    Response::GetData(GetDataResponse { data: Some(Bytes::from_static(bytes)), stat: Stat::default() })
}

pub fn stat() -> Response {
    Response::Exists(ExistsResponse { stat: Stat::default() })
}

pub const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Walks to the state under test.
impl World {
    pub fn new(config: Config) -> Self {
        #[cfg(feature = "planted")]
        defects::plant();
        let now = Instant::from_millis(1000);
        let mut world = Self {
            books: checks::Books::new(&config),
            session: Session::new(config, now),
            now,
            trace: Vec::new(),
            takes_at_once: true,
            polls: true,
            wires: BTreeMap::new(),
            seen: 0,
        };
        world.drain();
        world
    }

    /// The transport is up, the ConnectRequest sent.
    pub fn associating(config: Config) -> Self {
        let mut world = Self::new(config);
        world.establish();
        world
    }

    /// A session that is ready, on a server that knows nothing else.
    pub fn ready(config: Config) -> Self {
        let mut world = Self::associating(config);
        world.accept();
        assert!(world.session.is_ready());
        world.events();
        world
    }

    /// Ready, with a one-time data watch.
    pub fn with_watch(config: Config, path: &str) -> (Self, RequestId) {
        let mut world = Self::ready(config);
        let watch = world.submit(watch_data(path));
        world.reply_to(watch, 5, Ok(data(b"x")));
        world.events();
        (world, watch)
    }
}

/// What a driver does.
impl World {
    pub fn connection(&self) -> ConnectionId {
        *self.wires.last_key_value().expect("an attempt was begun").0
    }

    pub fn wire(&self) -> &Wire {
        self.wires.last_key_value().expect("an attempt was begun").1
    }

    pub fn establish(&mut self) {
        let connection = self.connection();
        self.session.handle_connected(connection, self.now);
        self.drain();
    }

    pub fn receive(&mut self, bytes: &[u8]) {
        let connection = self.connection();
        let mut other = self.session.clone();
        self.session.handle_received(connection, bytes, self.now);
        other.handle_received_owned(connection, Bytes::copy_from_slice(bytes), self.now);
        assert_eq!(actions(other), actions(self.session.clone()), "handed over, the same comes of it");
        self.drain();
    }

    /// The transport took `count` bytes of the outstanding chunk.
    pub fn take(&mut self, count: usize) {
        let connection = self.connection();
        self.wires.get_mut(&connection).expect("the current wire").take(count);
        self.session.handle_sent(connection, count, self.now);
        self.drain();
    }

    pub fn cut(&mut self) {
        let connection = self.connection();
        self.session.handle_disconnected(connection, self.now);
        self.drain();
    }

    /// Waits out a back-off, if there is one before the next attempt.
    pub fn await_attempt(&mut self) {
        while let Some((Timer::Backoff | Timer::MayBeExpired, due)) = self.session.next_timer() {
            self.now = self.now.max(due);
            self.tick();
        }
        assert_eq!(self.state(), State::Connecting);
    }

    pub fn tick(&mut self) {
        self.session.handle_timeout(self.now);
        self.drain();
    }

    /// Time passes, with a tick whenever one is due. More than a few wake-ups a second would be a spin.
    pub fn advance(&mut self, duration: Duration) {
        let end = self.now + duration;
        let most = 50 + 20 * (duration.as_millis() / self.session.negotiated_timeout().as_millis().max(1));
        for _ in 0..most {
            match self.session.poll_timeout().filter(|&due| due <= end) {
                Some(due) => self.now = self.now.max(due),
                None => {
                    self.now = end;
                    return;
                }
            }
            self.tick();
        }
        panic!("{most} ticks in {duration:?}: {:?}", self.session);
    }

    pub fn submit(&mut self, request: Request) -> RequestId {
        self.submit_with(request, RequestOptions::default())
    }

    pub fn submit_with(&mut self, request: Request, options: RequestOptions) -> RequestId {
        let id = self.session.submit(request, options, self.now).expect("accepted");
        self.books.accepted(id);
        self.drain();
        id
    }

    /// A command of the session, and what it leads to.
    pub fn command<T>(&mut self, command: impl FnOnce(&mut Session, Instant) -> T) -> T {
        let result = command(&mut self.session, self.now);
        self.drain();
        result
    }

    /// Notes an id that a command has returned.
    pub fn note_accepted(&mut self, id: RequestId) {
        self.books.accepted(id);
    }

    /// Polled in either way, the same comes.
    fn next_action(&mut self) -> Option<Action> {
        let event = self.session.clone().poll_event();
        assert_eq!(event.is_some(), self.session.has_event());
        let action = self.session.poll_action();
        if event.is_some() {
            assert_eq!(action, event.map(Action::Emit));
        }
        action
    }

    pub fn drain(&mut self) {
        while self.polls
            && let Some(action) = self.next_action()
        {
            self.books.action(&action, &self.session);
            match &action {
                Action::Connect { connection, .. } => {
                    self.wires.insert(*connection, Wire::default());
                }
                Action::Send { connection, bytes } => {
                    let wire = self.wires.get_mut(connection).expect("sent to a known connection");
                    wire.send(bytes);
                    if self.takes_at_once {
                        wire.take(bytes.len());
                        self.session.handle_sent(*connection, bytes.len(), self.now);
                    }
                }
                Action::Disconnect { .. } | Action::Probe { .. } | Action::Emit(_) => {}
            }
            self.trace.push(action);
        }
        if self.polls {
            self.books.step(&self.session, self.now);
        }
    }
}

/// What a server does.
impl World {
    /// The ConnectRequest of the current connection.
    pub fn connect_request(&self) -> &ConnectRequest {
        self.wire().connect.as_ref().expect("a ConnectRequest was sent")
    }

    pub fn accept(&mut self) {
        self.accept_as(SESSION, 9000, false);
    }

    pub fn accept_as(&mut self, session_id: SessionId, time_out: i32, read_only: bool) {
        let passwd = Some(Bytes::from_static(&PASSWORD));
        let read_only = Some(read_only);
        self.answer_connect(&ConnectResponse {
            protocol_version: 0,
            time_out,
            session_id,
            passwd,
            read_only,
        });
    }

    /// The session is unknown here.
    pub fn refuse(&mut self) {
        let passwd = Some(Bytes::from_static(&[0; 16]));
        let (session_id, read_only) = (SessionId(0), Some(false));
        self.answer_connect(&ConnectResponse {
            protocol_version: 0,
            time_out: 0,
            session_id,
            passwd,
            read_only,
        });
    }

    pub fn answer_connect(&mut self, response: &ConnectResponse) {
        let mut frame = BytesMut::new();
        response.encode_frame(&mut frame);
        self.receive(&frame);
    }

    /// What was sent on the current connection behind the ConnectRequest, each once.
    pub fn sent(&mut self) -> Vec<Sent> {
        let connection = self.connection();
        self.wires.get_mut(&connection).map(Wire::take_sent).unwrap_or_default()
    }

    /// The operations among it.
    pub fn sent_requests(&mut self) -> Vec<Request> {
        self.sent().into_iter().map(|sent| sent.request).collect()
    }

    /// Answers the request that was submitted under this id; it must be the oldest that is unanswered.
    pub fn reply_to(&mut self, _request: RequestId, zxid: i64, result: Result<Response, ErrorCode>) {
        let xid = self.wire().oldest_unanswered().expect("a request was sent");
        self.reply(xid, zxid, result);
    }

    pub fn reply(&mut self, xid: i32, zxid: i64, result: Result<Response, ErrorCode>) {
        let frame = reply_frame(xid, zxid, result);
        self.answered(xid);
        self.receive(&frame);
    }

    /// The server is about to answer this request.
    pub fn answered(&mut self, xid: i32) {
        let connection = self.connection();
        self.wires.get_mut(&connection).expect("the current wire").answered(xid);
    }

    pub fn pong(&mut self) {
        self.reply(ReplyHeader::PING_XID, 0, Ok(Response::Empty));
    }

    pub fn notify(&mut self, event_type: EventType, path: &str, zxid: i64) {
        let frame = event_frame(event_type, path, zxid);
        self.receive(&frame);
    }
}

/// What the application hears.
impl World {
    /// The events since the last call.
    pub fn events(&mut self) -> Vec<Event> {
        let events = self.trace[self.seen..].iter().filter_map(|action| match action {
            Action::Emit(event) => Some(event.clone()),
            _ => None,
        });
        let events = events.collect();
        self.seen = self.trace.len();
        events
    }

    pub fn replies(&mut self) -> Vec<Reply> {
        let replies = self.events().into_iter().filter_map(|event| match event {
            Event::Reply(reply) => Some(reply),
            _ => None,
        });
        replies.collect()
    }

    pub fn watch_events(&mut self) -> Vec<WatchEvent> {
        let events = self.events().into_iter().filter_map(|event| match event {
            Event::Watch(event) => Some(event),
            _ => None,
        });
        events.collect()
    }

    /// The one reply since the last call, with its error if it is one.
    pub fn error(&mut self) -> RequestError {
        let [reply] = <[Reply; 1]>::try_from(self.replies()).expect("one reply");
        reply.result.expect_err("an error")
    }

    pub fn state(&self) -> State {
        self.session.state()
    }
}

pub fn reply_frame(xid: i32, zxid: i64, result: Result<Response, ErrorCode>) -> BytesMut {
    let mut frame = BytesMut::new();
    let err = result.as_ref().err().copied().unwrap_or(ErrorCode::OK);
    let body = result.ok().filter(|body| *body != Response::Empty);
    encode_reply_frame(&ReplyHeader { xid, zxid: Zxid(zxid), err }, body.as_ref(), &mut frame);
    frame
}

pub fn event_frame(event_type: EventType, path: &str, zxid: i64) -> BytesMut {
    let mut frame = BytesMut::new();
    let event = WatcherEvent { event_type, state: KeeperState::SYNC_CONNECTED, path: path.into() };
    encode_event_frame(Zxid(zxid), &event, &mut frame);
    frame
}

fn actions(mut session: Session) -> Vec<Action> {
    core::iter::from_fn(|| session.poll_action()).collect()
}
