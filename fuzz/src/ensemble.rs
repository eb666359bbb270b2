//! The simulated ensemble under clients that say anything, and faults.

use core::{
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};
use std::collections::BTreeMap;

use zk_session::{
    Instant,
    zk_proto::{
        AddWatchMode, AddWatchRequest, Bytes, BytesMut, ConnectRequest, ConnectResponse, CreateMode,
        DeleteRequest, ExistsRequest, Frame, FrameDecoder, GetChildren2Request, GetDataRequest, Jute as _,
        Multi, OPEN_ACL_UNSAFE, Op, OpCode, Reader, ReplyHeader, Request, RequestHeader, SessionId,
        SetDataRequest, SyncRequest, WatcherEvent, Zxid,
    },
};
use zk_sim::{Options, Output, PeerId, SimEnsemble, Version};

use super::choices::Choices;

/// The bytes choose an ensemble, and all that is done to it. What it says are whole frames of known form; and said again
/// to another one, they lead to the same.
pub fn ensemble(data: &[u8]) {
    let said = Clients::run(data);
    assert_eq!(Clients::run(data), said, "the same inputs had other outputs");
}

struct Clients<'a> {
    choices: Choices<'a>,
    ensemble: SimEnsemble,
    now: Instant,
    peers: Vec<PeerId>,
    lines: BTreeMap<PeerId, Line>,
    /// Sessions that were granted, with their passwords.
    granted: Vec<(SessionId, Bytes)>,
    said: Vec<Output>,
}

/// What the ensemble says on a connection.
struct Line {
    decoder: FrameDecoder,
    /// The first bytes that were told on it: four letters are answered by text.
    word: Vec<u8>,
    is_first: bool,
    is_closed: bool,
    xid: i32,
}

impl<'a> Clients<'a> {
    fn run(data: &'a [u8]) -> Vec<Output> {
        let mut choices = Choices::new(data);
        let options = Options {
            servers: choices.of(&[1, 3, 5]),
            version: choices.of(&[Version::V3_4, Version::V3_6, Version::V3_8, Version::V3_9]),
            read_only: choices.one_in(2),
            local_sessions: choices.one_in(2),
            ..Options::default()
        };
        let now = Instant::from_millis(1_000);
        let ensemble = SimEnsemble::new(options, now);
        let (peers, lines, granted, said) = (Vec::new(), BTreeMap::new(), Vec::new(), Vec::new());
        let mut clients = Self { choices, ensemble, now, peers, lines, granted, said };
        while !clients.choices.are_used_up() && clients.said.len() < MOST_SAID {
            clients.step();
            clients.listen();
        }
        clients.said
    }

    fn step(&mut self) {
        match self.choices.byte() % 16 {
            0 | 1 => self.connect(),
            2 | 3 => self.hello(),
            4 => {
                let bytes = self.choices.bytes();
                self.tell(bytes);
            }
            5 | 6 => self.any_request(),
            7..=11 => self.request(),
            12 => self.fault(),
            13 => {
                if let Some(peer) = self.peer() {
                    self.ensemble.disconnect(peer, self.now);
                    self.peers.retain(|other| *other != peer);
                    self.lines.remove(&peer);
                }
            }
            _ => self.pass(),
        }
    }

    fn connect(&mut self) {
        let server = self.server();
        let address = IpAddr::V4(Ipv4Addr::new(10, 0, 0, self.choices.byte() % 4));
        if let Some(peer) = self.ensemble.connect(server, address, self.now) {
            let decoder = FrameDecoder::new(64 << 20);
            self.lines
                .insert(peer, Line { decoder, word: Vec::new(), is_first: true, is_closed: false, xid: 0 });
            self.peers.push(peer);
        }
    }

    /// A ConnectRequest: for a new session, for one that was granted, or with something wrong in it.
    fn hello(&mut self) {
        let which = self.choices.byte();
        let known = self.granted.get(usize::from(which)).cloned();
        let (session_id, password) =
            known.unwrap_or((SessionId(i64::from(which % 3)), Bytes::from_static(&[0; 16])));
        let request = ConnectRequest {
            protocol_version: 0,
            last_zxid_seen: Zxid(i64::from(self.choices.of(&[0_u8, 0, 0, 1, 200])) << 20),
            time_out: self.choices.of(&[10_000, 1, -1, i32::MAX]),
            session_id,
            passwd: Some(password),
            read_only: self.choices.of(&[Some(false), Some(true), None]),
        };
        let mut bytes = BytesMut::new();
        request.encode_frame(&mut bytes);
        self.tell(&bytes);
    }

    /// A request whose record can be anything.
    fn any_request(&mut self) {
        let op = match self.choices.byte() {
            0..32 => self.choices.int(),
            byte => i32::from(byte % 32) + if byte < 200 { 0 } else { 95 },
        };
        let xid = self.xid();
        let mut bytes = BytesMut::from(&[0; 4][..]);
        RequestHeader { xid, op: OpCode(op) }.encode(&mut bytes);
        bytes.extend_from_slice(self.choices.bytes());
        let len = (bytes.len() - 4) as u32;
        bytes[..4].copy_from_slice(&len.to_be_bytes());
        self.tell(&bytes);
    }

    fn request(&mut self) {
        let xid = self.xid();
        let path = self.choices.of(&["/", "/a", "/a/b", "/a/b/c", "/zookeeper", "no path"]);
        let watch = self.choices.one_in(2);
        let request = match self.choices.byte() % 12 {
            0..=2 => self.create(path),
            3 => Request::Delete(DeleteRequest { path: path.into(), version: -1 }),
            4 => Request::SetData(SetDataRequest { path: path.into(), data: None, version: 0 }),
            5 => Request::GetData(GetDataRequest { path: path.into(), watch }),
            6 => Request::Exists(ExistsRequest { path: path.into(), watch }),
            7 => Request::GetChildren2(GetChildren2Request { path: path.into(), watch }),
            8 => {
                let mode = AddWatchMode(self.choices.byte().into());
                Request::AddWatch(AddWatchRequest { path: path.into(), mode })
            }
            9 => {
                let delete = Op::Delete(DeleteRequest { path: path.into(), version: -1 });
                let check = Op::SetData(SetDataRequest { path: "/a".into(), data: None, version: -1 });
                Request::Multi(Multi { ops: vec![check, delete] })
            }
            10 => Request::Sync(SyncRequest { path: path.into() }),
            _ => match self.choices.byte() % 4 {
                0 => Request::CloseSession,
                1 => Request::WhoAmI,
                _ => Request::Ping,
            },
        };
        let mut bytes = BytesMut::new();
        request.encode_frame(xid, &mut bytes);
        self.tell(&bytes);
    }

    fn create(&mut self, path: &str) -> Request {
        let ttl = self.choices.short().into();
        let mode = CreateMode::from_flags(i32::from(self.choices.byte() % 7), ttl).unwrap_or_default();
        Request::create(path, Some(Bytes::from_static(b"data")), OPEN_ACL_UNSAFE, mode)
    }

    fn fault(&mut self) {
        let (server, now) = (self.server(), self.now);
        let session = self.granted.last().map_or(SessionId(9), |(id, _)| *id);
        let lag = Duration::from_millis(self.choices.short().into());
        let ensemble = &mut self.ensemble;
        match self.choices.byte() % 14 {
            0 => ensemble.crash(server, now),
            1 => ensemble.restart(server, now),
            2 => ensemble.lose_disk(server, now),
            3 => ensemble.pause(server, now),
            4 => ensemble.resume(server, now),
            5 => ensemble.isolate(server, now),
            6 => ensemble.rejoin(server, now),
            7 => ensemble.set_lag(server, lag, now),
            8 => ensemble.lead(server, now),
            9 => ensemble.expire(session, now),
            10 => ensemble.close_connections(server, now),
            11 => ensemble.wipe(now),
            _ => ensemble.heal(now),
        }
    }

    /// Time passes, each wake-up on time or all of them late.
    fn pass(&mut self) {
        let end = self.now + Duration::from_millis(self.choices.short().into());
        let is_late = self.choices.one_in(4);
        for _ in 0..MOST_WAKE_UPS {
            let Some(due) = self.ensemble.poll_timeout().filter(|due| *due <= end && !is_late) else { break };
            self.now = self.now.max(due);
            self.ensemble.handle_timeout(self.now);
            self.listen();
        }
        self.now = end;
        self.ensemble.handle_timeout(self.now);
    }

    fn tell(&mut self, bytes: &[u8]) {
        let Some(peer) = self.peer() else { return };
        if let Some(line) = self.lines.get_mut(&peer) {
            let missing = WORD_LEN - line.word.len();
            line.word.extend(bytes.iter().take(missing));
        }
        self.ensemble.receive(peer, bytes, self.now);
    }

    fn server(&mut self) -> usize {
        usize::from(self.choices.byte() % 6)
    }

    /// The one that spoke last, mostly.
    fn peer(&mut self) -> Option<PeerId> {
        let back = self.choices.of(&[0, 0, 0, 1, 2]);
        self.peers.iter().rev().nth(back).copied()
    }

    fn xid(&mut self) -> i32 {
        let Some(line) = self.peers.last().and_then(|peer| self.lines.get_mut(peer)) else { return 1 };
        line.xid += 1;
        line.xid
    }

    fn listen(&mut self) {
        while let Some(output) = self.ensemble.poll_output() {
            let (Output::Send { peer, .. } | Output::Close { peer }) = output;
            if let Some(line) = self.lines.get_mut(&peer) {
                assert!(!line.is_closed, "{output:?} after the end of its connection");
                match &output {
                    Output::Send { bytes, .. } => self.granted.extend(line.hear(bytes)),
                    Output::Close { .. } => line.is_closed = true,
                }
            }
            self.said.push(output);
        }
    }
}

impl Line {
    /// Whole frames, of known form; the session that one grants.
    fn hear(&mut self, bytes: &[u8]) -> Option<(SessionId, Bytes)> {
        if self.word.len() == WORD_LEN && self.word.is_ascii() && self.word[0] > 0 {
            assert!(bytes.is_ascii(), "not a word's answer: {bytes:?}");
            return None;
        }
        self.decoder.push(bytes);
        let mut granted = None;
        while let Some(frame) = self.decoder.next().expect("a length") {
            let Frame::Whole(payload) = frame else { panic!("a frame of 64 MiB") };
            let mut reader = Reader::new(&payload);
            // A server may refuse before it answers.
            if core::mem::take(&mut self.is_first) && payload.len() != 16 {
                let response = ConnectResponse::decode(&mut reader).expect("a ConnectResponse comes first");
                let password = response.passwd.unwrap_or_default();
                granted = (response.session_id != SessionId(0)).then_some((response.session_id, password));
                continue;
            }
            let header = ReplyHeader::decode(&mut reader).expect("a header");
            if header.xid == ReplyHeader::EVENT_XID {
                WatcherEvent::decode(&mut reader).expect("an event");
                assert_eq!(reader.rest().len(), 0);
            }
        }
        assert!(self.decoder.is_empty(), "half a frame");
        granted
    }
}

const WORD_LEN: usize = 4;
const MOST_SAID: usize = 10_000;
const MOST_WAKE_UPS: usize = 1_000;
