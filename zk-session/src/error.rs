//! Errors, grouped by who has to do something about them.

use alloc::vec::Vec;

use zk_proto::{DecodeError, ErrorCode, FrameError, OpCode, OpResult, PathError, Zxid};

/// Whether a request that failed can have been applied by a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "there is no third answer")]
pub enum Delivery {
    /// No byte of it can have reached a server: it wasn't applied, and is safe to repeat.
    NotSent,
    /// A byte of it may have reached a server: it may have been applied, or may still be.
    MaybeApplied,
}

/// Why an accepted request didn't get what it asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// A server's answer: the request was received and refused. Nothing was applied.
    #[error("refused by the server: {code}")]
    Refused {
        /// ZooKeeper's code, known or not. Of a multi: the first real error among its results.
        code: ErrorCode,
        /// Of a refused multi: the result of each operation, in order. Otherwise empty.
        results: Vec<OpResult>,
    },
    /// Nobody knows, or nobody was asked: `delivery` says which.
    #[error("{failure}")]
    Failed {
        /// What came between the request and its answer.
        failure: Failure,
        /// Whether a server can have applied the request.
        delivery: Delivery,
    },
}

impl RequestError {
    /// Whether a server can have applied the request; a refusal proves that none did.
    pub fn delivery(&self) -> Option<Delivery> {
        match self {
            Self::Refused { .. } => None,
            Self::Failed { delivery, .. } => Some(*delivery),
        }
    }

    /// The server's code, if it was the server that refused.
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Refused { code, .. } => Some(*code),
            Self::Failed { .. } => None,
        }
    }
}

/// What came between a request and its answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// The connection was lost before the reply came.
    #[error("the connection was lost before the reply")]
    ConnectionLoss,
    /// The request's deadline passed.
    #[error("the request's deadline passed")]
    Deadline,
    /// The request was cancelled.
    #[error("the request was cancelled")]
    Cancelled,
    /// The session expired.
    #[error("the session expired")]
    SessionExpired,
    /// Authentication failed, which ends the session.
    #[error("authentication failed")]
    AuthFailed,
    /// The session was closed.
    #[error("the session was closed")]
    Closed,
    /// The reply is longer than `Config::max_frame_len`.
    #[error("the reply is {len} bytes long, over the limit of {limit}")]
    ReplyTooLarge {
        /// The reply's length, in bytes.
        len: usize,
        /// The limit that was configured, in bytes.
        limit: usize,
    },
    /// The reply to a multi doesn't have a result for each operation.
    #[error("the reply has {results} results for {ops} operations")]
    WrongResultCount {
        /// The results in the reply.
        results: usize,
        /// The operations in the request.
        ops: usize,
    },
    /// The server doesn't have this operation, as it has said before. That is forgotten when the session connects to
    /// the server an hour later or more, for a newer one may run there then.
    #[error("the server doesn't have the operation {op}")]
    Unsupported {
        /// The operation.
        op: OpCode,
    },
    /// The server answered with success, but the answer can't be read.
    #[error("the reply (zxid {zxid}) can't be decoded: {error}")]
    MalformedReply {
        /// The zxid of the reply's header.
        zxid: Zxid,
        /// What is wrong with the body.
        error: DecodeError,
    },
}

/// Why a request wasn't accepted. Nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SubmitError {
    /// As many requests are queued as `Config::max_queued_requests` or `Config::max_queued_bytes` allow.
    #[error("{limit_name} is reached: {limit}")]
    QueueFull {
        /// Which limit of `Config` it is.
        limit_name: &'static str,
        /// Its value.
        limit: usize,
    },
    /// The request's frame is longer than `Config::max_request_len`; a server would hang up on it.
    #[error("the request's frame is {len} bytes long, over max_request_len: {limit}")]
    TooLarge {
        /// The frame's length, in bytes.
        len: usize,
        /// The limit that was configured, in bytes.
        limit: usize,
    },
    /// As many watches are registered or asked for as `Config::max_watches` allows.
    #[error("max_watches is reached: {limit}")]
    TooManyWatches {
        /// The limit that was configured.
        limit: usize,
    },
    /// The path breaks ZooKeeper's rules for paths.
    #[error(transparent)]
    InvalidPath(#[from] PathError),
    /// The request can't be sent as it is.
    #[error("invalid argument: {what}")]
    InvalidArgument {
        /// Which field, and why.
        what: &'static str,
    },
    /// The request was meant for an earlier session.
    #[error("session epoch {asked} is over: it is {current}")]
    StaleEpoch {
        /// The epoch in `RequestOptions`.
        asked: u64,
        /// The epoch of the session.
        current: u64,
    },
    /// The session is closed, or being closed.
    #[error("the session is closed")]
    Closed,
    /// The session has expired.
    #[error("the session has expired")]
    Expired,
    /// Authentication failed, which ended the session.
    #[error("authentication failed")]
    AuthFailed,
}

/// Why a connection, or an attempt at one, ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum DisconnectReason {
    /// The transport couldn't be established: the driver's word.
    #[error("the server could not be reached")]
    ConnectFailed,
    /// The transport wasn't established, or the ConnectResponse didn't come, within the attempt's deadline.
    #[error("no session within the attempt's deadline")]
    ConnectTimeout,
    /// The server closed the connection without a ConnectResponse: it isn't serving, is throttling, refuses
    /// clients that aren't read-only, or has seen less than this session.
    #[error("closed by the server before its ConnectResponse")]
    ClosedBeforeResponse,
    /// The first frame isn't a ConnectResponse.
    #[error("not a ConnectResponse")]
    BadConnectResponse(#[source] DecodeError),
    /// The server refused to create a session.
    #[error("the server refused a new session")]
    SessionRefused,
    /// The server is in read-only mode, and the session isn't meant for that.
    #[error("the server is read-only")]
    ReadOnlyServer,
    /// A read-write server was found: the session leaves a read-only one.
    #[error("a read-write server was found")]
    ReadWriteServerFound,
    /// The server doesn't know an operation, and closes the connection for it.
    #[error("the server doesn't know the operation {op}")]
    UnsupportedOperation {
        /// The operation.
        op: OpCode,
    },
    /// The list of servers has changed, and the session moves to another one.
    #[error("the list of servers has changed")]
    Rebalanced,
    /// The transport ended: the driver's word.
    #[error("the connection was lost")]
    ConnectionLost,
    /// No byte came for 2/3 of the session timeout.
    #[error("nothing was heard for 2/3 of the session timeout")]
    ReadTimeout,
    /// Bytes come, but a ping has waited for its answer for a whole session timeout.
    #[error("a ping was not answered within the session timeout")]
    PingTimeout,
    /// A frame under way grows slower than `Config::min_frame_rate`, answers to pings not counted.
    #[error("a frame grows too slowly")]
    SlowFrame,
    /// The stream can't be cut into frames.
    #[error("bad frame")]
    BadFrame(#[source] FrameError),
    /// A frame longer than `Config::max_frame_len` that isn't a request's reply.
    #[error("a frame of {len} bytes, over the limit of {limit}, answers no request")]
    OversizeFrame {
        /// The frame's length, in bytes.
        len: usize,
        /// The limit that was configured, in bytes.
        limit: usize,
    },
    /// A frame, or a session-owned reply, that can't be decoded.
    #[error("malformed frame")]
    MalformedFrame(#[source] DecodeError),
    /// A reply that doesn't fit what is in flight.
    #[error("unexpected reply with xid {xid}")]
    UnexpectedReply {
        /// The reply's xid.
        xid: i32,
    },
    /// The SASL exchange was answered with an error that isn't a refusal.
    #[error("the SASL exchange failed for now: {code}")]
    SaslInterrupted {
        /// The server's code.
        code: ErrorCode,
    },
    /// The session has ended: closed, expired, or not authenticated.
    #[error("the session has ended")]
    SessionEnded,
}

impl DisconnectReason {
    /// The session has left a connection with which nothing was wrong.
    pub(crate) fn is_own_choice(&self) -> bool {
        matches!(self, Self::Rebalanced | Self::ReadWriteServerFound | Self::UnsupportedOperation { .. })
    }
}
