//! A server that does its worst, and how much memory a session holds meanwhile (INV-65 to INV-73).

use core::time::Duration;
use std::collections::VecDeque;

use allocation_counter::measure;
use zk_session::{
    Action, AuthInfo, Config, ConnectionId, Instant, RequestId, RequestOptions, Retry, Session,
    zk_proto::{
        AddWatchMode, AddWatchRequest, Bytes, ExistsRequest, GetDataRequest, Multi, Op, Request,
        SetDataRequest,
    },
};

use super::choices::Choices;

/// The bytes choose a configuration, and what the server says to it.
pub fn hostile(data: &[u8]) {
    let mut choices = Choices::new(data);
    let config = config(&mut choices);
    let most = most_heap(&config);
    let mut driver = Driver::new(config);
    let counted = measure(|| driver.run(choices));
    assert!(counted.bytes_max <= most, "{} bytes, at most {most} are allowed", counted.bytes_max);
}

/// The heap that a session needs at most, as the documentation of [`Config`] has it.
fn most_heap(config: &Config) -> u64 {
    let frames = config.max_frame_len.max(64) * FRAME;
    let queued = config.max_queued_bytes * 2;
    let requests = (config.max_queued_requests + config.max_in_flight) * REQUEST;
    let watches = config.max_watches * WATCH;
    let sends = (config.max_send_len + config.max_set_watches_len) * 2;
    (frames + queued + requests + watches + sends + MOST_PIECE * 2 + CONSTANT) as u64
}

fn config(choices: &mut Choices<'_>) -> Config {
    let mut config = Config::new("a:1,b:1".parse().expect("a connect string"));
    config.max_frame_len = choices.of(&[64, 300, 4_096, 1 << 16]);
    config.max_queued_requests = choices.of(&[1, 10, 100]);
    config.max_queued_bytes = choices.of(&[100, 2_000, 50_000]);
    config.max_in_flight = choices.of(&[1, 10, 100]);
    config.max_watches = choices.of(&[1, 10, 100]);
    config.max_send_len = choices.of(&[64, 1_000, 64 << 10]);
    config.max_set_watches_len = choices.of(&[10, 1_000]);
    config.read_only = choices.one_in(4);
    if choices.one_in(4) {
        config.auth = vec![AuthInfo { scheme: "digest".into(), auth: Bytes::from_static(b"me:secret") }];
    }
    config
}

/// A driver that does its duty: it drains after each call. What it needs itself is there from the beginning.
struct Driver {
    config: Option<Config>,
    now: Instant,
    connection: Option<ConnectionId>,
    stalls: bool,
    outstanding: usize,
    /// What the server hears, and the xids that it hasn't answered.
    heard: Vec<u8>,
    xids: VecDeque<[u8; 4]>,
    /// What it says.
    said: Vec<u8>,
}

impl Driver {
    fn new(config: Config) -> Self {
        Self {
            config: Some(config),
            now: Instant::ZERO,
            connection: None,
            stalls: false,
            outstanding: 0,
            heard: Vec::with_capacity(MOST_HEARD),
            xids: VecDeque::with_capacity(MOST_XIDS),
            said: Vec::with_capacity(MOST_SAID),
        }
    }

    fn run(&mut self, mut choices: Choices<'_>) {
        let Some(config) = self.config.take() else { return };
        let mut session = Session::new(config, self.now);
        self.drain(&mut session);
        while !choices.are_used_up() && !session.state().is_terminal() {
            self.step(&mut session, &mut choices);
            self.drain(&mut session);
        }
    }

    fn step(&mut self, session: &mut Session, choices: &mut Choices<'_>) {
        let Some(connection) = self.connection else { return self.tick(session) };
        match choices.byte() % 16 {
            0 | 1 => session.handle_connected(connection, self.now),
            2 | 3 => {
                self.accept(choices);
                self.say(session, connection);
            }
            4 => {
                self.said.extend_from_slice(choices.bytes());
                self.say(session, connection);
            }
            5 | 6 => {
                self.frame(choices);
                self.say(session, connection);
            }
            7 | 8 => {
                self.reply(choices);
                self.say(session, connection);
            }
            9..=11 => submit(session, choices, self.now),
            12 => self.tick(session),
            13 => session.handle_disconnected(connection, self.now),
            14 => {
                self.stalls = !self.stalls;
                session.handle_sent(connection, core::mem::take(&mut self.outstanding), self.now);
            }
            _ => {
                let last = session.stats().accepted;
                let id = RequestId::from_number(last.saturating_sub(u64::from(choices.byte() % 8)));
                if choices.one_in(2) {
                    session.cancel(id, self.now);
                } else {
                    session.remove_watch(id, self.now);
                }
            }
        }
    }

    fn tick(&mut self, session: &mut Session) {
        if let Some(due) = session.poll_timeout() {
            self.now = self.now.max(due);
        }
        session.handle_timeout(self.now);
    }

    /// A ConnectResponse, its password as long as may be.
    fn accept(&mut self, choices: &mut Choices<'_>) {
        // What has come so far is a ConnectRequest, which has no xid.
        self.xids.clear();
        let len = usize::from(choices.of(&[16, 0, 200, u16::MAX]));
        self.said.extend((37 + len as u32 - 16).to_be_bytes());
        self.said.extend([0; 4]);
        self.said.extend(choices.of(&[10_000_u32, 1, 0, u32::MAX]).to_be_bytes());
        self.said.extend([0, 0, 0, 0, 0, 0, 0, 1 + choices.byte() % 2]);
        self.said.extend((len as u32).to_be_bytes());
        self.said.extend(core::iter::repeat_n(7, len));
        self.said.push(0);
    }

    /// A frame of any length, filled with a pattern; or not filled. Or as many events as there is room for.
    fn frame(&mut self, choices: &mut Choices<'_>) {
        let len = match choices.byte() % 8 {
            0 => choices.int(),
            1 => choices.short().into(),
            7 => return self.flood(choices),
            _ => choices.byte().into(),
        };
        self.said.extend(len.to_be_bytes());
        self.pattern(choices, usize::try_from(len).unwrap_or(0));
    }

    /// The same event of a znode, over and over.
    fn flood(&mut self, choices: &mut Choices<'_>) {
        let path = path(choices);
        let mut event = (16 + 12 + path.len() as u32).to_be_bytes().to_vec();
        event.extend((-1_i32).to_be_bytes());
        event.extend([0; 12]);
        event.extend(choices.of(&[3_i32, 1, 2, 4, 9]).to_be_bytes());
        event.extend(3_i32.to_be_bytes());
        event.extend((path.len() as u32).to_be_bytes());
        event.extend(path.as_bytes());
        let len = usize::from(choices.short()) / event.len() * event.len();
        let room = MOST_SAID - self.said.len();
        self.said.extend(event.iter().cycle().take(len.min(room)));
    }

    /// A reply to what waits for one: its body is a beginning, and a pattern.
    fn reply(&mut self, choices: &mut Choices<'_>) {
        let xid = match choices.byte() % 8 {
            0 => (-1_i32).to_be_bytes(),
            1 => choices.int().to_be_bytes(),
            _ => self.xids.pop_front().unwrap_or_default(),
        };
        let head = choices.bytes();
        let len = usize::from(choices.of(&[0, 0, 100, 3_000, u16::MAX]));
        self.said.extend((16 + head.len() as u32 + len as u32).to_be_bytes());
        self.said.extend(xid);
        self.said.extend([0, 0, 0, 0, 0, 0, 0, 9]);
        self.said.extend(choices.of(&[0_i32, 0, 0, -101, -112, -6, 7]).to_be_bytes());
        self.said.extend_from_slice(head);
        self.pattern(choices, len);
    }

    fn pattern(&mut self, choices: &mut Choices<'_>, len: usize) {
        let pattern = choices.bytes();
        let room = MOST_SAID - self.said.len();
        self.said.extend(pattern.iter().cycle().take(len.min(room)));
    }

    /// The session hears it: in one piece, or in many, lent or handed over.
    fn say(&mut self, session: &mut Session, connection: ConnectionId) {
        let piece = if self.said.len().is_multiple_of(3) { 1_000 } else { MOST_PIECE };
        for piece in self.said.chunks(piece) {
            if self.said.len().is_multiple_of(2) {
                session.handle_received_owned(connection, Bytes::copy_from_slice(piece), self.now);
            } else {
                session.handle_received(connection, piece, self.now);
            }
        }
        self.said.clear();
    }

    fn drain(&mut self, session: &mut Session) {
        while let Some(action) = session.poll_action() {
            match action {
                Action::Connect { connection, .. } => {
                    self.connection = Some(connection);
                    self.heard.clear();
                    self.xids.clear();
                    self.outstanding = 0;
                }
                Action::Send { connection, bytes } => {
                    self.hear(&bytes);
                    if self.stalls {
                        self.outstanding = bytes.len();
                    } else {
                        session.handle_sent(connection, bytes.len(), self.now);
                    }
                }
                Action::Disconnect { .. } => self.connection = None,
                Action::Probe { .. } | Action::Emit(_) => {}
            }
        }
    }

    fn hear(&mut self, bytes: &[u8]) {
        if self.heard.len() + bytes.len() > MOST_HEARD {
            self.heard.clear();
            return;
        }
        self.heard.extend_from_slice(bytes);
        let mut at = 0;
        while let Some((len, xid)) = self.heard.get(at..at + 8).map(|head| head.split_at(4)) {
            let len = len.first_chunk().map_or(0, |len| u32::from_be_bytes(*len)) as usize;
            if self.heard.len() < at + 4 + len {
                break;
            }
            if self.xids.len() < MOST_XIDS {
                self.xids.extend(xid.first_chunk());
            }
            at += 4 + len;
        }
        self.heard.drain(..at);
    }
}

fn path(choices: &mut Choices<'_>) -> String {
    format!("/{}", "p".repeat(usize::from(choices.byte() % 32)))
}

fn submit(session: &mut Session, choices: &mut Choices<'_>, now: Instant) {
    let path = path(choices);
    let path = path.as_str();
    let read = |watch| Request::GetData(GetDataRequest { path: path.into(), watch });
    let request = match choices.byte() % 8 {
        0 => read(false),
        1 | 2 => read(true),
        3 => Request::Exists(ExistsRequest { path: path.into(), watch: true }),
        4 => {
            Request::AddWatch(AddWatchRequest { path: path.into(), mode: AddWatchMode::PERSISTENT_RECURSIVE })
        }
        5 => {
            let op = Op::GetData(GetDataRequest { path: path.into(), watch: false });
            Request::MultiRead(Multi { ops: vec![op; usize::from(choices.byte() % 64)] })
        }
        _ => {
            let data = Some(vec![1; usize::from(choices.byte()) * 8].into());
            Request::SetData(SetDataRequest { path: path.into(), data, version: -1 })
        }
    };
    let mut options = RequestOptions::default();
    if choices.one_in(2) {
        options = options.with_retry(Retry::WhenSafe);
    }
    if choices.one_in(4) {
        options = options.with_deadline(now + Duration::from_secs(1));
    }
    // Refused at a limit.
    let _ = session.submit(request, options, now);
}

/// A frame under way, the one before it that its slices hold, and what one decodes to.
const FRAME: usize = 24;
/// What is known of a request beside its bytes.
const REQUEST: usize = 1024;
/// A watch, and its path.
const WATCH: usize = 1024;
const CONSTANT: usize = 64 << 10;
/// What a driver hands over at once, as those of the adapters do.
const MOST_PIECE: usize = 64 << 10;
const MOST_HEARD: usize = 1 << 18;
const MOST_XIDS: usize = 1 << 10;
const MOST_SAID: usize = 1 << 18;
