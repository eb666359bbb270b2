//! What is measured: encoding into a warm buffer, and decoding a frame's payload.

use core::hint::black_box;

use zk_proto::{
    Bytes, BytesMut, CreateMode, DecodeError, Frame, FrameDecoder, GetChildren2Response, GetDataRequest,
    GetDataResponse, Jute, Multi, OPEN_ACL_UNSAFE, Op, OpCode, Reader, ReplyHeader, Request, RequestHeader,
    Response, SetDataRequest, Stat, Ustring, Vector, encode_reply_frame,
};

/// One operation on one message.
pub(crate) trait Case {
    type Output;

    fn new() -> Self;
    /// The message's frame, which is what memcpy copies next to it.
    fn frame(&self) -> &[u8];
    /// What a turn takes over: making it isn't part of the turn, nor is dropping the outcome.
    fn payload(&self) -> Bytes {
        Bytes::new()
    }
    fn run(&mut self, payload: Bytes) -> Self::Output;
}

/// Calls a macro with all cases.
macro_rules! for_each_case {
    ($macro:ident) => {
        $macro! {
            DecodeGetData<100>,
            DecodeGetData<1_048_576>,
            ReadGetData,
            EncodeGetData<100>,
            EncodeGetData<1_048_576>,
            DecodeChildren,
            EncodeChildren,
            EncodeCreate,
            DecodeCreate,
            EncodeMulti,
            DecodeMulti,
            CutFrames
        }
    };
}
pub(crate) use for_each_case;

fn reply_frame(response: &Response) -> BytesMut {
    let mut out = BytesMut::new();
    encode_reply_frame(&ReplyHeader::default(), Some(response), &mut out);
    out
}

fn request_frame(request: &Request) -> BytesMut {
    let mut out = BytesMut::new();
    request.encode_frame(1, &mut out);
    out
}

/// The payload as a session has it: a slice of a stream's buffer.
fn payload(frame: &[u8]) -> Bytes {
    let mut decoder = FrameDecoder::new(usize::MAX);
    decoder.push(frame);
    match decoder.next() {
        Ok(Some(Frame::Whole(payload))) => payload,
        other => panic!("{other:?}"),
    }
}

#[inline]
fn decode_reply(op: OpCode, payload: &Bytes) -> Result<Response, DecodeError> {
    let mut input = Reader::new(payload);
    black_box(ReplyHeader::decode(&mut input)).expect("a header");
    Response::decode(op, &mut input)
}

fn data(len: usize) -> Response {
    Response::GetData(GetDataResponse { data: Some(Bytes::from(vec![7; len])), stat: Stat::default() })
}

fn children() -> Response {
    let names = (0..1000).map(|number| format!("child-{number:07}"));
    Response::GetChildren2(GetChildren2Response { children: Vector::from_strs(names), stat: Stat::default() })
}

/// 100 bytes of data.
fn create() -> Request {
    let data = Some(Bytes::from_static(&[7; 100]));
    Request::create("/services/search/instance-", data, OPEN_ACL_UNSAFE, CreateMode::EphemeralSequential)
}

/// 100 setData.
fn multi() -> Request {
    let op = |number| {
        let data = Some(Bytes::from_static(&[7; 16]));
        Op::SetData(SetDataRequest { path: format!("/services/{number:04}").into(), data, version: -1 })
    };
    Request::Multi(Multi { ops: (0..100).map(op).collect() })
}

/// A getData reply, decoded.
pub(crate) struct DecodeGetData<const LEN: usize> {
    frame: BytesMut,
    payload: Bytes,
}

impl<const LEN: usize> Case for DecodeGetData<LEN> {
    type Output = Result<Response, DecodeError>;

    fn new() -> Self {
        let frame = reply_frame(&data(LEN));
        Self { payload: payload(&frame), frame }
    }

    fn frame(&self) -> &[u8] {
        &self.frame
    }

    fn payload(&self) -> Bytes {
        self.payload.clone()
    }

    #[inline]
    fn run(&mut self, payload: Bytes) -> Self::Output {
        decode_reply(OpCode::GET_DATA, black_box(&payload))
    }
}

/// A getData reply, read where it lies.
pub(crate) struct ReadGetData {
    frame: BytesMut,
    payload: Bytes,
}

impl Case for ReadGetData {
    type Output = ();

    fn new() -> Self {
        let frame = reply_frame(&data(100));
        Self { payload: payload(&frame), frame }
    }

    fn frame(&self) -> &[u8] {
        &self.frame
    }

    #[inline]
    fn run(&mut self, _: Bytes) {
        let mut input = Reader::new(black_box(&self.payload));
        let header = ReplyHeader::decode(&mut input).expect("a header");
        let data = input.bytes().expect("a buffer");
        let stat = Stat::decode(&mut input).expect("a stat");
        black_box((&header, data, &stat));
    }
}

/// A getData reply, encoded.
pub(crate) struct EncodeGetData<const LEN: usize> {
    frame: BytesMut,
    response: Response,
}

impl<const LEN: usize> Case for EncodeGetData<LEN> {
    type Output = ();

    fn new() -> Self {
        let response = data(LEN);
        Self { frame: reply_frame(&response), response }
    }

    fn frame(&self) -> &[u8] {
        &self.frame
    }

    #[inline]
    fn run(&mut self, _: Bytes) {
        self.frame.clear();
        encode_reply_frame(
            black_box(&ReplyHeader::default()),
            Some(black_box(&self.response)),
            &mut self.frame,
        );
        black_box(&self.frame);
    }
}

/// A getChildren2 reply with 1,000 children, decoded and read.
pub(crate) struct DecodeChildren {
    frame: BytesMut,
    payload: Bytes,
}

impl Case for DecodeChildren {
    type Output = Vector<Ustring>;

    fn new() -> Self {
        let frame = reply_frame(&children());
        Self { payload: payload(&frame), frame }
    }

    fn frame(&self) -> &[u8] {
        &self.frame
    }

    fn payload(&self) -> Bytes {
        self.payload.clone()
    }

    #[inline]
    fn run(&mut self, payload: Bytes) -> Self::Output {
        let response = decode_reply(OpCode::GET_CHILDREN2, black_box(&payload));
        let Ok(Response::GetChildren2(reply)) = response else { panic!("{response:?}") };
        reply.children.iter_str().for_each(|child| {
            black_box(&*child);
        });
        reply.children
    }
}

/// A getChildren2 reply with 1,000 children, encoded.
pub(crate) struct EncodeChildren {
    frame: BytesMut,
    response: Response,
}

impl Case for EncodeChildren {
    type Output = ();

    fn new() -> Self {
        let response = children();
        Self { frame: reply_frame(&response), response }
    }

    fn frame(&self) -> &[u8] {
        &self.frame
    }

    #[inline]
    fn run(&mut self, _: Bytes) {
        self.frame.clear();
        encode_reply_frame(
            black_box(&ReplyHeader::default()),
            Some(black_box(&self.response)),
            &mut self.frame,
        );
        black_box(&self.frame);
    }
}

macro_rules! request_cases {
    ($($encode:ident $decode:ident $request:ident)+) => {$(
        pub(crate) struct $encode {
            frame: BytesMut,
            request: Request,
        }

        impl Case for $encode {
    type Output = ();

    fn new() -> Self {
                let request = $request();
                Self { frame: request_frame(&request), request }
            }

            fn frame(&self) -> &[u8] {
                &self.frame
            }

    #[inline]
            fn run(&mut self, _: Bytes) {
                self.frame.clear();
                black_box(&self.request).encode_frame(black_box(1), &mut self.frame);
                black_box(&self.frame);
            }
        }

        pub(crate) struct $decode {
            frame: BytesMut,
            payload: Bytes,
        }

        impl Case for $decode {
    type Output = Result<Request, DecodeError>;

    fn new() -> Self {
                let frame = request_frame(&$request());
                Self { payload: payload(&frame), frame }
            }

            fn frame(&self) -> &[u8] {
                &self.frame
            }

            fn payload(&self) -> Bytes {
        self.payload.clone()
    }

    #[inline]
            fn run(&mut self, payload: Bytes) -> Self::Output {
                let mut input = Reader::new(black_box(&payload));
                let header = RequestHeader::decode(&mut input).expect("a header");
                Request::decode(header.op, &mut input)
            }
        }
    )+};
}

request_cases! {
    EncodeCreate DecodeCreate create
    EncodeMulti DecodeMulti multi
}

/// A stream of 100 small frames, cut.
pub(crate) struct CutFrames {
    stream: BytesMut,
    decoder: FrameDecoder,
}

impl Case for CutFrames {
    type Output = ();

    fn new() -> Self {
        let request = Request::GetData(GetDataRequest { path: "/services/search".into(), watch: false });
        let mut stream = BytesMut::new();
        (0..100).for_each(|xid| request.encode_frame(xid, &mut stream));
        Self { stream, decoder: FrameDecoder::new(1 << 20) }
    }

    fn frame(&self) -> &[u8] {
        &self.stream
    }

    #[inline]
    fn run(&mut self, _: Bytes) {
        self.decoder.push(black_box(&self.stream));
        while let Ok(Some(frame)) = self.decoder.next() {
            black_box(frame);
        }
    }
}
