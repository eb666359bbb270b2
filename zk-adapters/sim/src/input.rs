//! Every input and command of a session as data: to record, to repeat, to draw at random.

use zk_session::{
    AuthInfo, ConnectionId, Instant, ProbeId, RequestId, RequestOptions, Session, SubmitError,
    zk_proto::{Bytes, ConnectString, Request},
};

/// One call of a session.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_enums, reason = "whoever interprets calls must know each")]
pub enum Input {
    /// `handle_connected`.
    Connected(ConnectionId),
    /// `handle_received`.
    Received(ConnectionId, Bytes),
    /// `handle_sent`.
    Sent(ConnectionId, usize),
    /// `handle_disconnected`.
    Disconnected(ConnectionId),
    /// `handle_probed`.
    Probed(ProbeId, bool),
    /// `handle_timeout`.
    Timeout,
    /// `submit`.
    Submit(Box<Request>, RequestOptions),
    /// `cancel`.
    Cancel(RequestId),
    /// `remove_watch`.
    RemoveWatch(RequestId),
    /// `add_auth`.
    AddAuth(AuthInfo),
    /// `update_servers`.
    UpdateServers(ConnectString),
    /// `close`.
    Close,
}

impl Input {
    /// Makes the call; tells the id of what was accepted.
    ///
    /// # Errors
    /// Why nothing was accepted.
    pub fn apply(&self, session: &mut Session, now: Instant) -> Result<Option<RequestId>, SubmitError> {
        match self {
            Self::Connected(connection) => session.handle_connected(*connection, now),
            Self::Received(connection, bytes) => session.handle_received(*connection, bytes, now),
            Self::Sent(connection, count) => session.handle_sent(*connection, *count, now),
            Self::Disconnected(connection) => session.handle_disconnected(*connection, now),
            Self::Probed(probe, read_write) => session.handle_probed(*probe, *read_write, now),
            Self::Timeout => session.handle_timeout(now),
            Self::Submit(request, options) => {
                return session.submit((**request).clone(), *options, now).map(Some);
            }
            Self::Cancel(request) => session.cancel(*request, now),
            Self::RemoveWatch(watch) => session.remove_watch(*watch, now),
            Self::AddAuth(info) => return session.add_auth(info.clone(), now).map(Some),
            Self::UpdateServers(servers) => {
                return session.update_servers(servers.clone(), now).map(|()| None);
            }
            Self::Close => session.close(now),
        }
        Ok(None)
    }

    /// The connection that it speaks of.
    pub fn connection(&self) -> Option<ConnectionId> {
        match self {
            Self::Connected(connection)
            | Self::Received(connection, _)
            | Self::Sent(connection, _)
            | Self::Disconnected(connection) => Some(*connection),
            Self::Probed(..)
            | Self::Timeout
            | Self::Submit(..)
            | Self::Cancel(_)
            | Self::RemoveWatch(_)
            | Self::AddAuth(_)
            | Self::UpdateServers(_)
            | Self::Close => None,
        }
    }
}
