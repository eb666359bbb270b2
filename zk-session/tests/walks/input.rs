//! Every input and command of a session as data: to record, to repeat, to draw at random.

use zk_session::{
    AuthInfo, ConnectionId, Instant, ProbeId, RequestId, RequestOptions, Session, SubmitError,
    zk_proto::{Bytes, ConnectString, Request},
};

/// One call of a session.
#[derive(Clone, Debug)]
pub(crate) enum Input {
    Connected(ConnectionId),
    Received(ConnectionId, Bytes),
    Sent(ConnectionId, usize),
    Disconnected(ConnectionId),
    Probed(ProbeId, bool),
    Timeout,
    Submit(Box<Request>, RequestOptions),
    Cancel(RequestId),
    RemoveWatch(RequestId),
    AddAuth(AuthInfo),
    UpdateServers(ConnectString),
    Close,
}

impl Input {
    /// Makes the call; tells the id of what was accepted, or why nothing was.
    pub(crate) fn apply(
        &self,
        session: &mut Session,
        now: Instant,
    ) -> Result<Option<RequestId>, SubmitError> {
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
    pub(crate) fn connection(&self) -> Option<ConnectionId> {
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
