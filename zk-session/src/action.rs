//! All that comes out of a session.

use alloc::string::String;
use core::{fmt, time::Duration};

use bytes::Bytes;
use zk_proto::{ErrorCode, EventType, KeeperState, Response, ServerAddr, SessionId, Ustring, Zxid};

use crate::{DisconnectReason, RequestError};

/// Names one connection, or one attempt at one; never used twice in a session's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub(crate) u64);

impl ConnectionId {
    /// The number, counted from 1.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The id with this number, for drivers that carry ids through places that take only numbers.
    pub const fn from_number(number: u64) -> Self {
        Self(number)
    }
}

/// Names one accepted request; never used twice in a session's life. A watch bears the name of the request
/// that set it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub(crate) u64);

impl RequestId {
    /// The number, counted from 1 in the order of acceptance.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The id with this number, for drivers that carry ids through places that take only numbers.
    pub const fn from_number(number: u64) -> Self {
        Self(number)
    }
}

/// Names one probe; never used twice in a session's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProbeId(pub(crate) u64);

impl ProbeId {
    /// The number, counted from 1.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The id with this number, for drivers that carry ids through places that take only numbers.
    pub const fn from_number(number: u64) -> Self {
        Self(number)
    }
}

/// What the driver must do, in the order in which it was polled.
#[derive(Clone, PartialEq, Eq, Hash)]
#[must_use = "a session lives only as long as its driver does what it says"]
#[expect(clippy::exhaustive_enums, reason = "a driver must handle each")]
pub enum Action {
    /// Establish a transport to `server`, the first one or the next after a failure, and report it with
    /// `handle_connected` or `handle_disconnected`. Names are resolved anew, and every address is tried.
    Connect {
        /// The new connection's name.
        connection: ConnectionId,
        /// Where to.
        server: ServerAddr,
    },
    /// Write `bytes`, and report what the transport took with `handle_sent`. No further `Send` comes before
    /// all of it is reported.
    Send {
        /// The connection to write to.
        connection: ConnectionId,
        /// Whole frames, or a slice of a long one. Once they are sent and dropped, the session uses their memory again.
        bytes: Bytes,
    },
    /// Drop the transport, whether or not it is established yet. Nothing is to be reported of it any more.
    Disconnect {
        /// The connection to drop.
        connection: ConnectionId,
        /// Why.
        reason: DisconnectReason,
    },
    /// On a transport of its own, the same as for connections: send the four bytes `isro`, read until the
    /// server closes, within a second, and report with `handle_probed` whether the answer is `rw`.
    Probe {
        /// The probe's name.
        probe: ProbeId,
        /// Whom to ask.
        server: ServerAddr,
    },
    /// Tell the application.
    Emit(Event),
}

/// Shows how long a `Send` is, not its bytes: they can be a password.
impl fmt::Debug for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect { connection, server } => {
                f.debug_struct("Connect").field("connection", connection).field("server", server).finish()
            }
            Self::Send { connection, bytes } => {
                f.debug_struct("Send").field("connection", connection).field("len", &bytes.len()).finish()
            }
            Self::Disconnect { connection, reason } => {
                f.debug_struct("Disconnect").field("connection", connection).field("reason", reason).finish()
            }
            Self::Probe { probe, server } => {
                f.debug_struct("Probe").field("probe", probe).field("server", server).finish()
            }
            Self::Emit(event) => f.debug_tuple("Emit").field(event).finish(),
        }
    }
}

/// What the application may want to hear.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Event {
    /// The one outcome of a request.
    Reply(Reply),
    /// A watch has something to tell: one event for each owner.
    Watch(WatchEvent),
    /// A watch has ended without telling anything.
    WatchEnded {
        /// The request that set the watch.
        request: RequestId,
        /// The watched znode, as the application named it.
        path: Ustring,
        /// Why it ended.
        reason: WatchEndReason,
    },
    /// The persistent watches are armed again: after a reconnect, or where a server may have dropped some of them
    /// for another watch of the same path, as servers before 3.9 do. Servers don't replay what happened in
    /// between: owners that mirror state read it again.
    WatchesRestored {
        /// The changes up to this zxid had been delivered.
        from: Zxid,
        /// The changes after this zxid will be delivered.
        to: Zxid,
    },
    /// A server has accepted the session: it was created, or goes on.
    Connected {
        /// The session's id. From a read-only server it is good on this connection only.
        session_id: SessionId,
        /// The session timeout that the server granted.
        negotiated_timeout: Duration,
        /// The server is in read-only mode.
        read_only: bool,
        /// The session existed before; its ephemeral znodes and watches go on.
        resumed: bool,
        /// Counts the sessions of this machine, from 0: more than one only with [`OnLoss::NewSession`].
        ///
        /// [`OnLoss::NewSession`]: crate::OnLoss::NewSession
        epoch: u64,
    },
    /// Watches are armed again, and requests flow.
    Ready,
    /// The connection is lost. The session may live on: the machine is looking for another server.
    Disconnected {
        /// Why.
        reason: DisconnectReason,
    },
    /// A full cycle of servers was tried without success. The machine goes on trying.
    AllServersFailed {
        /// How many attempts the cycle had.
        attempts: usize,
        /// Why the last one failed.
        last_reason: DisconnectReason,
    },
    /// The servers have answered nothing that was handed out within the last session timeout: the session
    /// may have expired. Time to stop acting as its owner; only a server can tell for certain.
    MayBeExpired,
    /// A request that was given up has created an ephemeral znode after all: nobody else knows of it.
    AbandonedCreate {
        /// The request.
        request: RequestId,
        /// The znode, as the application names it.
        path: Ustring,
    },
    /// The session has expired. Terminal.
    Expired {
        /// Who says so.
        by: ExpiredBy,
        /// How it was found out.
        reason: ExpiredReason,
    },
    /// A server refused to authenticate the session, or an identity of the configuration is longer than
    /// `Config::max_request_len`. Terminal, as in the Java client; the session itself, if there was one, lives
    /// on at the servers until its timeout has passed.
    AuthFailed {
        /// The auth scheme, or `sasl`.
        scheme: String,
    },
    /// The session was closed on request. Terminal.
    Closed {
        /// A server confirmed that the session is gone. Otherwise it ends, with its ephemeral znodes, when
        /// its timeout has passed; false too where there was no session to close.
        confirmed: bool,
    },
    /// A call of `handle_timeout` came later than it was due, by at least a tenth of the session timeout. It
    /// isn't read as the server's silence.
    Late {
        /// How much later.
        by: Duration,
    },
}

/// The one outcome of a request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Reply {
    /// The request that has ended.
    pub request: RequestId,
    /// The zxid of the reply's header: the last transaction that the server had processed. 0 if there was no
    /// reply.
    pub zxid: Zxid,
    /// What the server answered, or why there is no answer.
    pub result: Result<Response, RequestError>,
}

/// What a watch tells.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct WatchEvent {
    /// The request that set the watch.
    pub request: RequestId,
    /// What happened to the znode; unknown types are told with their number.
    pub event_type: EventType,
    /// The state that the server put into the event: `SyncConnected`, from any server so far.
    pub state: KeeperState,
    /// The znode, as the application names it. For a recursive watch it may be a descendant.
    pub path: Ustring,
    /// The zxid of the notification's header: that of the change on servers from 3.9, otherwise -1.
    pub zxid: Zxid,
    /// The watch has ended with this event.
    pub last: bool,
}

/// Why a watch ended without an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WatchEndReason {
    /// A server refused to arm it again after a reconnect.
    RearmFailed(ErrorCode),
    /// The session has ended.
    SessionEnded,
    /// It was removed on request.
    Removed,
}

/// Who says that a session has expired.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "there is nobody else to say it")]
pub enum ExpiredBy {
    /// A server: the session is gone.
    Server,
    /// The machine itself, because [`Expiry::Client`](crate::Expiry::Client) was configured.
    Client,
}

/// How it was found out that a session has expired.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ExpiredReason {
    /// A server refused to resume the session: expired, unknown, or a wrong password.
    Refused,
    /// A server answered with another session.
    Replaced,
    /// No server answered within 4/3 of the session timeout.
    Silence,
}

/// What a later session needs to resume this one.
#[derive(Clone, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_structs, reason = "made by applications that have stored it")]
pub struct Credentials {
    /// The session's id.
    pub session_id: SessionId,
    /// The password that the server gave with it: a secret.
    pub password: Bytes,
    /// The last zxid that the session has seen; 0 if it isn't known.
    pub last_zxid: Zxid,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Credentials");
        if planted!(PasswordsArePrinted) {
            shown.field("password", &self.password);
        }
        shown.field("last_zxid", &self.last_zxid).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_made_of_their_numbers_and_tell_them() {
        for number in [1, 7, u64::MAX] {
            assert_eq!(ConnectionId::from_number(number).get(), number);
            assert_eq!(RequestId::from_number(number).get(), number);
            assert_eq!(ProbeId::from_number(number).get(), number);
        }
    }
}
