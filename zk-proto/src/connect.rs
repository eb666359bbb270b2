use core::fmt;

use bytes::{Bytes, BytesMut};

use crate::jute::put_length;
use crate::proto::Hidden;
use crate::{DecodeError, DecodeErrorKind, Field, Jute, Reader, Record, SessionId, Value, Zxid};

/// The first frame of a connection, from the client; no header precedes it. Its `Debug` hides the password.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct ConnectRequest {
    /// Always 0; servers ignore it.
    pub protocol_version: i32,
    /// The highest transaction that the client has seen; a server that is behind hangs up.
    pub last_zxid_seen: Zxid,
    /// The session timeout asked for, in milliseconds.
    pub time_out: i32,
    /// The session to resume; 0 for a new one.
    pub session_id: SessionId,
    /// The session's password; for a new session 16 zero bytes, as other clients send them.
    pub passwd: Option<Bytes>,
    /// Whether a read-only server will do; `None` if the byte is absent, as from clients before 3.4.
    pub read_only: Option<bool>,
}

/// The first frame of a connection, from the server; no header precedes it. Its `Debug` hides the password.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct ConnectResponse {
    /// Always 0.
    pub protocol_version: i32,
    /// The session timeout granted, in milliseconds; 0 or less if the session is gone.
    pub time_out: i32,
    /// The session; 0 if the one to resume is gone.
    pub session_id: SessionId,
    /// What to resume the session with, 16 bytes.
    pub passwd: Option<Bytes>,
    /// Whether the server is read-only; `None` if the byte is absent, as for clients before 3.4.
    pub read_only: Option<bool>,
}

impl ConnectRequest {
    /// Appends the frame: length and record.
    pub fn encode_frame(&self, out: &mut BytesMut) {
        encode_frame(self, out);
    }
}

impl ConnectResponse {
    /// The fewest bytes that a server's response has. A read-only server can answer with the 16
    /// bytes of a bare [`ReplyHeader`](crate::ReplyHeader) instead.
    pub const SHORTEST: usize = 36;

    /// Appends the frame: length and record.
    pub fn encode_frame(&self, out: &mut BytesMut) {
        encode_frame(self, out);
    }
}

fn encode_frame(record: &impl Jute, out: &mut BytesMut) {
    let len = record.encoded_len();
    out.reserve(4 + len);
    put_length(out, len);
    record.encode(out);
}

impl Record for ConnectRequest {
    const NAME: &'static str = "ConnectRequest";
    const FIELDS: &'static [Field] = &[
        Field { name: "protocolVersion", jute_type: "int" },
        Field { name: "lastZxidSeen", jute_type: "long" },
        Field { name: "timeOut", jute_type: "int" },
        Field { name: "sessionId", jute_type: "long" },
        Field { name: "passwd", jute_type: "buffer" },
        Field { name: "readOnly", jute_type: "boolean" },
    ];
}

impl Record for ConnectResponse {
    const NAME: &'static str = "ConnectResponse";
    const FIELDS: &'static [Field] = &[
        Field { name: "protocolVersion", jute_type: "int" },
        Field { name: "timeOut", jute_type: "int" },
        Field { name: "sessionId", jute_type: "long" },
        Field { name: "passwd", jute_type: "buffer" },
        Field { name: "readOnly", jute_type: "boolean" },
    ];
}

impl Jute for ConnectRequest {
    const MIN_LEN: usize = 28;

    fn encode(&self, out: &mut BytesMut) {
        self.protocol_version.encode(out);
        self.last_zxid_seen.encode(out);
        self.time_out.encode(out);
        self.session_id.encode(out);
        self.passwd.encode(out);
        self.read_only.iter().for_each(|read_only| read_only.encode(out));
    }

    fn encoded_len(&self) -> usize {
        24 + self.passwd.encoded_len() + usize::from(self.read_only.is_some())
    }

    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let within = |field| move |error: DecodeError| error.within(Self::NAME, field);
        Ok(Self {
            protocol_version: input.int().map_err(within("protocolVersion"))?,
            last_zxid_seen: Zxid::decode(input).map_err(within("lastZxidSeen"))?,
            time_out: input.int().map_err(within("timeOut"))?,
            session_id: SessionId::decode(input).map_err(within("sessionId"))?,
            passwd: input.buffer().map_err(within("passwd"))?,
            read_only: input.boolean().ok(),
        })
    }

    fn to_value(&self) -> Value {
        let mut fields = alloc::vec![
            ("protocolVersion", self.protocol_version.to_value()),
            ("lastZxidSeen", self.last_zxid_seen.to_value()),
            ("timeOut", self.time_out.to_value()),
            ("sessionId", self.session_id.to_value()),
            ("passwd", self.passwd.to_value()),
        ];
        fields.extend(self.read_only.map(|read_only| ("readOnly", read_only.to_value())));
        Value::Record(fields)
    }
}

impl Jute for ConnectResponse {
    const MIN_LEN: usize = Self::SHORTEST;

    fn encode(&self, out: &mut BytesMut) {
        self.protocol_version.encode(out);
        self.time_out.encode(out);
        self.session_id.encode(out);
        self.passwd.encode(out);
        self.read_only.iter().for_each(|read_only| read_only.encode(out));
    }

    fn encoded_len(&self) -> usize {
        16 + self.passwd.encoded_len() + usize::from(self.read_only.is_some())
    }

    fn decode(input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let len = input.remaining();
        if len < Self::SHORTEST {
            let kind = DecodeErrorKind::TooShort { len, needed: Self::SHORTEST };
            return Err(DecodeError::new(input.position(), kind).within(Self::NAME, ""));
        }
        let start = input.position();
        let within = |field| move |error: DecodeError| error.within(Self::NAME, field);
        let mut response = Self {
            protocol_version: input.int().map_err(within("protocolVersion"))?,
            time_out: input.int().map_err(within("timeOut"))?,
            session_id: SessionId::decode(input).map_err(within("sessionId"))?,
            passwd: input.buffer().map_err(within("passwd"))?,
            read_only: None,
        };
        // What follows a short password is no part of the record.
        let len = input.position() - start;
        if len < Self::SHORTEST {
            let kind = DecodeErrorKind::TooShort { len, needed: Self::SHORTEST };
            return Err(DecodeError::new(start, kind).within(Self::NAME, ""));
        }
        response.read_only = input.boolean().ok();
        Ok(response)
    }

    fn to_value(&self) -> Value {
        let mut fields = alloc::vec![
            ("protocolVersion", self.protocol_version.to_value()),
            ("timeOut", self.time_out.to_value()),
            ("sessionId", self.session_id.to_value()),
            ("passwd", self.passwd.to_value()),
        ];
        fields.extend(self.read_only.map(|read_only| ("readOnly", read_only.to_value())));
        Value::Record(fields)
    }
}

impl fmt::Debug for ConnectRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectRequest")
            .field("protocol_version", &self.protocol_version)
            .field("last_zxid_seen", &self.last_zxid_seen)
            .field("time_out", &self.time_out)
            .field("session_id", &self.session_id)
            .field("passwd", &Hidden(&self.passwd))
            .field("read_only", &self.read_only)
            .finish()
    }
}

impl fmt::Debug for ConnectResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectResponse")
            .field("protocol_version", &self.protocol_version)
            .field("time_out", &self.time_out)
            .field("session_id", &self.session_id)
            .field("passwd", &Hidden(&self.passwd))
            .field("read_only", &self.read_only)
            .finish()
    }
}
