//! Requests through a session: from `submit` to the event that tells the outcome.

use core::hint::black_box;
use std::sync::Arc;

use zk_proto::{
    Bytes, BytesMut, ConnectResponse, ErrorCode, GetDataRequest, GetDataResponse, ReplyHeader, Request,
    Response, SessionId, SetDataRequest, SetDataResponse, Stat, Ustring, Zxid, encode_reply_frame,
};
use zk_session::{Action, Config, ConnectionId, Event, Instant, RequestOptions, Session, SubmitError};

use crate::Measured;

/// So many requests are in flight at once.
const IN_FLIGHT: [usize; 4] = [1, 16, 256, 16_384];
const NODE: Ustring = Ustring::from_static("/bench/node-0001");

/// All cases.
pub(crate) fn all() -> Vec<Measured> {
    let mut measured: Vec<_> = IN_FLIGHT.map(|count| in_flight("getData", count, get_data)).into();
    measured.push(in_flight("setData", 256, set_data));
    measured.extend([16, 65_536].map(full_queue));
    measured
}

fn in_flight(name: &str, count: usize, what: fn() -> (Request, Response)) -> Measured {
    let run = move |turns| {
        let mut bench = Bench::new();
        let (request, response) = what();
        let mut replies = Replies::new(&response, count);
        (0..turns).for_each(|_| bench.turn(&request, &mut replies, count));
    };
    let turns = (16_384 / count as u64).clamp(2, 512);
    let name = format!("session {name}, {count} in flight");
    Measured { name, turns, operations: count as u64, run: Box::new(run) }
}

/// A request more than the queue takes, while there is no connection.
fn full_queue(limit: usize) -> Measured {
    let run = move |turns| {
        let mut config = Config::new("server:1".parse().expect("a connect string"));
        config.max_queued_requests = limit;
        let mut session = Session::new(config, Instant::ZERO);
        let (request, _) = get_data();
        let submit = |session: &mut Session| {
            session.submit(black_box(&request), RequestOptions::default(), Instant::ZERO)
        };
        (0..limit).for_each(|_| _ = submit(&mut session).expect("there is room"));
        for _ in 0..turns {
            assert!(matches!(submit(&mut session), Err(SubmitError::QueueFull { .. })));
        }
    };
    let name = format!("session queue of {limit} full");
    Measured { name, turns: 512, operations: 1, run: Box::new(run) }
}

fn get_data() -> (Request, Response) {
    let data = Some(Bytes::from_static(&[7; 100]));
    (
        Request::GetData(GetDataRequest { path: NODE, watch: false }),
        Response::GetData(GetDataResponse { data, stat: Stat::default() }),
    )
}

fn set_data() -> (Request, Response) {
    let data = Some(Bytes::from_static(&[7; 100]));
    (
        Request::SetData(SetDataRequest { path: NODE, data, version: -1 }),
        Response::SetData(SetDataResponse { stat: Stat::default() }),
    )
}

/// A connected session, and the driver's and server's part in a turn.
pub(crate) struct Bench {
    pub(crate) session: Session,
    connection: ConnectionId,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let mut config = Config::new("server:1".parse().expect("a connect string"));
        config.max_in_flight = 1 << 20;
        config.max_send_len = 64 << 20;
        Self::with(config)
    }

    pub(crate) fn with(config: impl Into<Arc<Config>>) -> Self {
        let mut session = Session::new(config, Instant::ZERO);
        let Some(Action::Connect { connection, .. }) = session.poll_action() else { panic!("it connects") };
        session.handle_connected(connection, Instant::ZERO);
        let mut bench = Self { session, connection };
        bench.drain();
        let mut greeting = BytesMut::new();
        ConnectResponse {
            protocol_version: 0,
            time_out: 10_000,
            session_id: SessionId(1),
            passwd: Some(Bytes::from_static(&[0; 16])),
            read_only: Some(false),
        }
        .encode_frame(&mut greeting);
        bench.receive(&greeting);
        bench
    }

    /// Does what the session says, and hands events on; tells how many replies and watch events came out.
    pub(crate) fn drain(&mut self) -> usize {
        let mut told = 0;
        loop {
            while let Some(event) = self.session.poll_event() {
                told += 1;
                black_box(&event);
            }
            match self.session.poll_action() {
                Some(Action::Send { connection, bytes }) => {
                    self.session.handle_sent(connection, bytes.len(), Instant::ZERO);
                }
                Some(Action::Emit(event)) => {
                    told += usize::from(matches!(event, Event::Reply(_) | Event::Watch(_)));
                }
                Some(Action::Connect { .. } | Action::Disconnect { .. } | Action::Probe { .. }) => {}
                None => return told,
            }
        }
    }

    pub(crate) fn receive(&mut self, bytes: &[u8]) -> usize {
        self.session.handle_received(self.connection, bytes, Instant::ZERO);
        self.drain()
    }

    pub(crate) fn submit(&mut self, request: &Request) {
        self.session.submit(request, RequestOptions::default(), Instant::ZERO).expect("there is room");
    }

    fn turn(&mut self, request: &Request, replies: &mut Replies, count: usize) {
        (0..count).for_each(|_| self.submit(black_box(request)));
        self.drain();
        assert_eq!(self.receive(replies.next()), count);
    }
}

/// The replies to a turn's requests, one frame after the other.
pub(crate) struct Replies {
    frames: Vec<u8>,
    frame_len: usize,
    xid: i32,
}

impl Replies {
    pub(crate) fn new(response: &Response, count: usize) -> Self {
        let header = ReplyHeader { xid: 0, zxid: Zxid(5), err: ErrorCode::OK };
        let mut frame = BytesMut::new();
        encode_reply_frame(&header, Some(response), &mut frame);
        Self { frames: frame.repeat(count), frame_len: frame.len(), xid: 1 }
    }

    /// The replies to the next requests.
    pub(crate) fn next(&mut self) -> &[u8] {
        for frame in self.frames.chunks_exact_mut(self.frame_len) {
            frame[4..8].copy_from_slice(&self.xid.to_be_bytes());
            self.xid += 1;
        }
        &self.frames
    }
}
