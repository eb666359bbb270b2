//! What can go wrong, and for whom.

use core::{fmt, net::SocketAddr, time::Duration};
use std::{io, sync::Arc};

use zk_proto::{ConnectStringError, ErrorCode, OpResult, ServerAddr};
use zk_session::{
    Delivery, DisconnectReason, ExpiredReason, Failure, RequestError, SubmitError, WatchEndReason,
};

use crate::SessionEnd;

/// Why a request didn't get what it asked for.
///
/// "The server said no" and "nobody knows" are never the same value: see [`code`](Self::code) and
/// [`delivery`](Self::delivery).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A server's answer: the request was received and refused. Nothing was applied.
    #[error("refused by the server: {code}")]
    Refused {
        /// ZooKeeper's code, known or not. Of a multi: the first real error among its results.
        code: ErrorCode,
        /// Of a refused multi: the result of each operation, in order. Otherwise empty.
        results: Vec<OpResult>,
    },
    /// There is no answer: `delivery` says whether the request can have been applied all the same.
    #[error("{failure}")]
    Failed {
        /// What came between the request and its answer.
        failure: Failure,
        /// Whether a server can have applied the request.
        delivery: Delivery,
    },
    /// The request was not accepted: nothing was sent.
    #[error(transparent)]
    NotSubmitted(#[from] SubmitError),
    /// What drives the session is gone: of an asynchronous client, with its runtime.
    #[error("the client's driver is gone")]
    DriverGone {
        /// Whether a server can have applied the request.
        delivery: Delivery,
    },
}

impl Error {
    /// The server's code, if it was the server that refused.
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Refused { code, .. } => Some(*code),
            Self::Failed { .. } | Self::NotSubmitted(_) | Self::DriverGone { .. } => None,
        }
    }

    /// Whether a server can have applied the request. None if the server refused it, which proves that none did.
    pub fn delivery(&self) -> Option<Delivery> {
        match self {
            Self::Refused { .. } => None,
            Self::Failed { delivery, .. } | Self::DriverGone { delivery } => Some(*delivery),
            Self::NotSubmitted(_) => Some(Delivery::NotSent),
        }
    }
}

impl From<RequestError> for Error {
    fn from(error: RequestError) -> Self {
        match error {
            RequestError::Refused { code, results } => Self::Refused { code, results },
            RequestError::Failed { failure, delivery } => Self::Failed { failure, delivery },
            _ => unreachable!("a request is refused or fails"),
        }
    }
}

/// Why a watch ended without an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WatchEnded {
    /// A server refused to arm it again after a reconnect.
    #[error("the watch could not be armed again: {0}")]
    RearmFailed(ErrorCode),
    /// The session has ended.
    #[error("the session has ended")]
    SessionEnded,
    /// It was removed.
    #[error("the watch was removed")]
    Removed,
    /// What drives the session is gone: of an asynchronous client, with its runtime.
    #[error("the client's driver is gone")]
    DriverGone,
}

impl From<WatchEndReason> for WatchEnded {
    fn from(reason: WatchEndReason) -> Self {
        match reason {
            WatchEndReason::RearmFailed(code) => Self::RearmFailed(code),
            WatchEndReason::Removed => Self::Removed,
            WatchEndReason::SessionEnded | _ => Self::SessionEnded,
        }
    }
}

/// Why no session was established.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The connect string can't be read.
    #[error("invalid connect string")]
    ConnectString(
        #[source]
        #[from]
        ConnectStringError,
    ),
    /// The connect string isn't accepted for this session.
    #[error(transparent)]
    Refused(SubmitError),
    /// No server accepted the session in time.
    #[error("no session within {limit:?}{}", List(.failures))]
    TimedOut {
        /// The limit that was configured.
        limit: Duration,
        /// Why the last attempt at each server failed, in the order of the servers' names; those under way not
        /// counted.
        failures: Vec<AttemptFailure>,
    },
    /// A server refused to resume the session: it has expired, is unknown, or its password is another.
    #[error("the session to resume has expired")]
    Expired {
        /// How it was found out.
        reason: ExpiredReason,
    },
    /// Authentication failed.
    #[error("authentication failed")]
    AuthFailed,
    /// The operating system refuses a thread.
    #[error("no thread for the session: {0}")]
    NoThread(Arc<io::Error>),
    /// The session was closed, or its driver gone, before it was established.
    #[error("the session was closed before it was established")]
    Closed,
}

/// What the session's end means for those who wait for its beginning.
impl From<SessionEnd> for ConnectError {
    fn from(end: SessionEnd) -> Self {
        match end {
            SessionEnd::Expired { reason } => Self::Expired { reason },
            SessionEnd::AuthFailed => Self::AuthFailed,
            SessionEnd::Closed { .. } | SessionEnd::DriverGone => Self::Closed,
        }
    }
}

/// Why an attempt at a server failed.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{server}: {cause}")]
#[non_exhaustive]
pub struct AttemptFailure {
    /// The server, as the connect string names it.
    pub server: ServerAddr,
    /// What came in the way.
    pub cause: AttemptCause,
}

/// What came in the way of an attempt.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AttemptCause {
    /// No connection was established.
    #[error(transparent)]
    Dial(Arc<DialError>),
    /// The TCP connection failed before the session was established.
    #[error("the connection failed: {0}")]
    Io(Arc<io::Error>),
    /// The session gave up the attempt.
    #[error(transparent)]
    Session(DisconnectReason),
}

/// How a transport ended.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_enums, reason = "there is no third way")]
pub enum Lost {
    /// The server closed it.
    EndOfStream,
    /// The operating system's word.
    Io(Arc<io::Error>),
}

impl From<Lost> for AttemptCause {
    fn from(lost: Lost) -> Self {
        match lost {
            Lost::EndOfStream => Self::Session(DisconnectReason::ClosedBeforeResponse),
            Lost::Io(error) => Self::Io(error),
        }
    }
}

/// Why no TCP connection was established.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DialError {
    /// The server's name can't be resolved.
    #[error("its name can't be resolved: {0}")]
    Resolve(io::Error),
    /// The server's name has no address.
    #[error("its name has no address")]
    NoAddress,
    /// The server isn't spoken to by TLS.
    #[cfg(feature = "tls")]
    #[error(transparent)]
    Tls(#[from] crate::TlsError),
    /// A connection was accepted, and reset at once.
    #[error("the connection was reset at once: {0}")]
    Lost(io::Error),
    /// None of its addresses accepted.
    #[error("no address accepts{}", List(.0))]
    Addresses(Vec<AddressError>),
}

/// Why an address didn't accept a TCP connection.
#[derive(Debug, thiserror::Error)]
#[error("{address}: {error}")]
#[non_exhaustive]
pub struct AddressError {
    /// The address.
    pub address: SocketAddr,
    /// The operating system's word.
    pub error: io::Error,
}

impl AddressError {
    /// This address failed with that error.
    pub fn new(address: SocketAddr, error: io::Error) -> Self {
        Self { address, error }
    }
}

/// Shows a list as the end of a sentence.
struct List<'a, T>(&'a [T]);

impl<T: fmt::Display> fmt::Display for List<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, item) in self.0.iter().enumerate() {
            write!(f, "{} {item}", if index == 0 { ":" } else { ";" })?;
        }
        Ok(())
    }
}
