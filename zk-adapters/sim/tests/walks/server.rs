//! A scripted server: it says what a ZooKeeper server would where nothing else is asked of it.

use std::collections::VecDeque;

use zk_session::zk_proto::{
    Bytes, BytesMut, ConnectRequest, ConnectResponse, ErrorCode, EventType, Frame, FrameDecoder, Jute as _,
    KeeperState, OpCode, Reader, ReplyHeader, Request, RequestHeader, Response, SessionId, WatcherEvent,
    Zxid, encode_event_frame, encode_reply_frame,
};

use crate::requests::plain_response;

/// One server for all connections; its state outlives them.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    decoder: FrameDecoder,
    expects_connect: bool,
    /// Requests that were heard on the current connection and not answered.
    pub(crate) unanswered: VecDeque<(i32, Request)>,
    /// Bytes on their way to the session.
    pub(crate) out: BytesMut,
    /// The last transaction that it has processed.
    pub(crate) zxid: i64,
    pub(crate) session_id: i64,
    pub(crate) password: Bytes,
    /// The session timeout that it grants, in milliseconds.
    pub(crate) time_out: i32,
    pub(crate) read_only: Option<bool>,
    pub(crate) answers_pings: bool,
    /// Answers auth, SetWatches and closeSession at once.
    pub(crate) answers_session: bool,
}

impl Server {
    pub(crate) fn new(time_out: i32) -> Self {
        Self {
            decoder: FrameDecoder::new(usize::MAX),
            expects_connect: true,
            unanswered: VecDeque::new(),
            out: BytesMut::new(),
            zxid: 100,
            session_id: 0x1000_0000_0000_0001,
            password: Bytes::from_static(b"0123456789abcdef"),
            time_out,
            read_only: Some(false),
            answers_pings: true,
            answers_session: true,
        }
    }

    /// A new connection: the former one is forgotten, and its watches with it.
    pub(crate) fn begin_connection(&mut self) {
        self.decoder = FrameDecoder::new(usize::MAX);
        self.expects_connect = true;
        self.unanswered.clear();
        self.out.clear();
    }

    /// Takes bytes from the session.
    pub(crate) fn hear(&mut self, bytes: &[u8]) {
        self.decoder.push(bytes);
        while let Some(frame) = self.decoder.next().expect("the session sends whole frames") {
            let Frame::Whole(payload) = frame else { panic!("no frame is too long for this server") };
            self.hear_frame(&payload);
        }
    }

    fn hear_frame(&mut self, payload: &Bytes) {
        let mut reader = Reader::new(payload);
        if core::mem::take(&mut self.expects_connect) {
            ConnectRequest::decode(&mut reader).expect("a ConnectRequest comes first");
            return;
        }
        let header = RequestHeader::decode(&mut reader).expect("a request has a header");
        let request = Request::decode(header.op, &mut reader).expect("a request that can be decoded");
        match request {
            Request::Ping => {
                if self.answers_pings {
                    self.say(ReplyHeader::PING_XID, self.zxid, ErrorCode::OK, None);
                }
            }
            Request::Auth(_) => {
                if self.answers_session {
                    self.say(ReplyHeader::AUTH_XID, 0, ErrorCode::OK, None);
                }
            }
            other => self.hear_request(header.xid, other),
        }
    }

    fn hear_request(&mut self, xid: i32, request: Request) {
        const SESSIONS_OWN: [OpCode; 3] = [OpCode::SET_WATCHES, OpCode::SET_WATCHES2, OpCode::CLOSE_SESSION];
        let is_sessions_own = SESSIONS_OWN.contains(&request.op_code());
        self.unanswered.push_back((xid, request));
        if is_sessions_own && self.answers_session && self.unanswered.len() == 1 {
            self.unanswered.clear();
            self.say(xid, self.zxid, ErrorCode::OK, None);
        }
    }

    /// Accepts the session.
    pub(crate) fn accept(&mut self) {
        let response = ConnectResponse {
            protocol_version: 0,
            time_out: self.time_out,
            session_id: SessionId(self.session_id),
            passwd: Some(self.password.clone()),
            read_only: self.read_only,
        };
        response.encode_frame(&mut self.out);
    }

    /// Says that the session is gone.
    pub(crate) fn refuse_session(&mut self) {
        let response = ConnectResponse {
            passwd: Some(Bytes::from_static(&[0; 16])),
            read_only: Some(false),
            ..ConnectResponse::default()
        };
        response.encode_frame(&mut self.out);
    }

    /// Says a reply, whatever was asked.
    pub(crate) fn say(&mut self, xid: i32, zxid: i64, err: ErrorCode, body: Option<&Response>) {
        encode_reply_frame(&ReplyHeader { xid, zxid: Zxid(zxid), err }, body, &mut self.out);
    }

    /// Takes the oldest request that wasn't answered.
    pub(crate) fn take_oldest(&mut self) -> (i32, Request) {
        self.unanswered.pop_front().expect("a request waits for its answer")
    }

    /// Answers the oldest request as if all were well, in a new transaction.
    pub(crate) fn answer(&mut self) {
        let (xid, request) = self.take_oldest();
        self.zxid += 1;
        let response = plain_response(&request);
        self.say(xid, self.zxid, ErrorCode::OK, Some(&response));
    }

    /// Answers the oldest request with this response.
    pub(crate) fn answer_with(&mut self, response: &Response) {
        let (xid, _) = self.take_oldest();
        self.zxid += 1;
        self.say(xid, self.zxid, ErrorCode::OK, Some(response));
    }

    /// Refuses the oldest request.
    pub(crate) fn refuse(&mut self, code: ErrorCode) {
        let (xid, _) = self.take_oldest();
        self.zxid += 1;
        self.say(xid, self.zxid, code, None);
    }

    /// Tells of a change of this znode, as servers before 3.9 do: without a zxid.
    pub(crate) fn notify(&mut self, event_type: EventType, path: &str) {
        self.zxid += 1;
        let event = WatcherEvent { event_type, state: KeeperState::SYNC_CONNECTED, path: path.into() };
        encode_event_frame(Zxid(-1), &event, &mut self.out);
    }
}
