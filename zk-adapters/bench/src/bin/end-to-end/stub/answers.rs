use zk_proto::{
    Bytes, BytesMut, ConnectRequest, ConnectResponse, ErrorCode, ErrorResponse, EventType,
    GetChildren2Response, GetDataResponse, Jute as _, KeeperState, OpCode, Reader, ReplyHeader, Response,
    SessionId, SetDataResponse, Stat, Ustring, WatcherEvent, Zxid, encode_event_frame, encode_reply_frame,
};

/// Frames that are made beforehand, for the xid 0.
pub(crate) struct Answers {
    get_data: BytesMut,
    stat: BytesMut,
    children: BytesMut,
    error: BytesMut,
    empty: BytesMut,
    unknown: BytesMut,
    sessions: i64,
}

impl Answers {
    pub(crate) fn new() -> Self {
        let stat = Stat { mzxid: ZXID, data_length: 100, num_children: 1000, ..Stat::default() };
        let names = (0..1000).map(|number| Ustring::from(format!("child-{number:07}")));
        Self {
            get_data: frame(Response::GetData(GetDataResponse {
                data: Some(Bytes::from_static(&[b'x'; 100])),
                stat,
            })),
            stat: frame(Response::SetData(SetDataResponse { stat })),
            children: frame(Response::GetChildren2(GetChildren2Response { children: names.collect(), stat })),
            error: frame(Response::AddWatch(ErrorResponse { err: ErrorCode::OK })),
            empty: refusal(ErrorCode::OK),
            unknown: refusal(ErrorCode::UNIMPLEMENTED),
            sessions: 0,
        }
    }

    /// Accepts a session; none if that isn't what is asked for.
    pub(crate) fn greet(&mut self, request: &[u8], out: &mut Vec<u8>) -> Option<()> {
        let request = Bytes::copy_from_slice(request);
        let asked = ConnectRequest::decode(&mut Reader::new(&request)).ok()?;
        self.sessions += 1;
        let response = ConnectResponse {
            protocol_version: 0,
            time_out: asked.time_out.clamp(4_000, 40_000),
            session_id: SessionId(self.sessions),
            passwd: Some(Bytes::from_static(&[7; 16])),
            read_only: Some(false),
        };
        let mut frame = BytesMut::new();
        response.encode_frame(&mut frame);
        out.extend_from_slice(&frame);
        Some(())
    }

    /// Answers a request, and tells which events are to follow; none if it is no request.
    pub(crate) fn answer(&self, request: &[u8], out: &mut Vec<u8>) -> Option<Option<Fire>> {
        let (xid, rest) = request.split_first_chunk()?;
        let (op, body) = rest.split_first_chunk()?;
        let mut fire = None;
        let frame = match OpCode(i32::from_be_bytes(*op)) {
            OpCode::GET_DATA => {
                fire = path(body).and_then(Fire::new);
                &self.get_data
            }
            OpCode::EXISTS | OpCode::SET_DATA => &self.stat,
            OpCode::GET_CHILDREN2 => &self.children,
            OpCode::ADD_WATCH => &self.error,
            OpCode::PING | OpCode::CLOSE_SESSION | OpCode::DELETE => &self.empty,
            OpCode::CREATE | OpCode::CREATE2 => {
                return self.created(*xid, *op, path(body)?, out).map(|()| None);
            }
            _ => &self.unknown,
        };
        let begin = out.len();
        out.extend_from_slice(frame);
        out[begin + 4..begin + 8].copy_from_slice(xid);
        Some(fire)
    }

    /// The path comes back; behind it, from create2, the Stat.
    fn created(&self, xid: [u8; 4], op: [u8; 4], path: &[u8], out: &mut Vec<u8>) -> Option<()> {
        let (header, stat) = self.stat.split_at_checked(HEADER)?;
        let stat = if OpCode(i32::from_be_bytes(op)) == OpCode::CREATE2 { stat } else { &[] };
        let len = HEADER + path.len() + stat.len();
        out.extend_from_slice(&i32::try_from(len).ok()?.to_be_bytes());
        out.extend_from_slice(&xid);
        out.extend_from_slice(&header[8..]);
        out.extend_from_slice(&i32::try_from(path.len()).ok()?.to_be_bytes());
        out.extend_from_slice(path);
        out.extend_from_slice(stat);
        Some(())
    }
}

/// The path that a request begins with.
fn path(body: &[u8]) -> Option<&[u8]> {
    let (len, rest) = body.split_first_chunk()?;
    rest.get(..usize::try_from(i32::from_be_bytes(*len)).ok()?)
}

fn frame(response: Response) -> BytesMut {
    let mut frame = BytesMut::new();
    encode_reply_frame(&ReplyHeader { xid: 0, zxid: ZXID, err: ErrorCode::OK }, Some(&response), &mut frame);
    frame
}

fn refusal(err: ErrorCode) -> BytesMut {
    let mut frame = BytesMut::new();
    encode_reply_frame(&ReplyHeader { xid: 0, zxid: ZXID, err }, None, &mut frame);
    frame
}

/// Events that are to be sent.
pub(crate) struct Fire {
    /// Each has a path of its own.
    each: bool,
    next: u64,
    count: u64,
}

impl Fire {
    fn new(path: &[u8]) -> Option<Self> {
        let (kind, count) = core::str::from_utf8(path).ok()?.strip_prefix("/fire/")?.split_once('/')?;
        Some(Self { each: kind == "each", next: 0, count: count.parse().ok()? })
    }

    /// Appends as many events as may wait; tells whether there are more.
    pub(crate) fn append(&mut self, out: &mut Vec<u8>) -> bool {
        let mut frame = BytesMut::new();
        while self.next < self.count && out.len() < MOST_WAITING {
            let path =
                if self.each { format!("/w/{:07}", self.next).into() } else { Ustring::from_static("/w") };
            let event = WatcherEvent {
                event_type: EventType::NODE_DATA_CHANGED,
                state: KeeperState::SYNC_CONNECTED,
                path,
            };
            frame.clear();
            encode_event_frame(Zxid(-1), &event, &mut frame);
            out.extend_from_slice(&frame);
            self.next += 1;
        }
        self.next < self.count
    }
}

const ZXID: Zxid = Zxid(0x1_0000_0001);
/// The bytes of a frame's length and header.
const HEADER: usize = 20;
const MOST_WAITING: usize = 128 << 10;
