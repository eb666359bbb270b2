use core::net::SocketAddr;
use std::{collections::BTreeMap, sync::Arc};

use zk_proto::ServerAddr;
use zk_session::{DisconnectReason, Event};

use crate::{AttemptCause, AttemptFailure, DialError, Lost};

/// The server that a session is connected to, or tries; and why the last attempt at each server failed, since the session was
/// last ready.
#[derive(Debug, Default)]
pub struct Attempts {
    server: Option<ServerAddr>,
    address: Option<SocketAddr>,
    is_securing: bool,
    /// The server has accepted the session on the latest connection.
    is_accepted: bool,
    failures: BTreeMap<ServerAddr, AttemptCause>,
}

impl Attempts {
    /// The session wants to be connected to a server.
    pub fn begin(&mut self, server: ServerAddr) {
        self.server = Some(server);
        self.address = None;
        self.is_securing = false;
        self.is_accepted = false;
    }

    /// A TLS handshake is under way on the connection.
    pub fn securing(&mut self) {
        self.is_securing = true;
    }

    /// A transport is there.
    pub fn opened(&mut self, address: SocketAddr) {
        self.address = Some(address);
        self.is_securing = false;
    }

    /// No transport could be had.
    pub fn dial_failed(&mut self, error: DialError) -> Option<AttemptFailure> {
        self.failed(AttemptCause::Dial(Arc::new(error)))
    }

    /// The transport has ended. It isn't an attempt that failed if the session had been accepted on it.
    pub fn lost(&mut self, lost: Lost) -> Option<AttemptFailure> {
        self.failed(lost.into())
    }

    /// The session gave up its connection. It isn't an attempt that failed if it had been accepted on it.
    pub fn dropped(&mut self, reason: DisconnectReason) -> Option<AttemptFailure> {
        #[cfg(feature = "tls")]
        if self.is_securing && reason == DisconnectReason::ConnectTimeout {
            return self.dial_failed(crate::TlsError::Stalled.into());
        }
        self.failed(AttemptCause::Session(reason))
    }

    fn failed(&mut self, cause: AttemptCause) -> Option<AttemptFailure> {
        let server = self.server.clone().filter(|_| !self.is_accepted)?;
        self.failures.insert(server.clone(), cause.clone());
        Some(AttemptFailure { server, cause })
    }

    /// Takes note of what the session says.
    #[expect(clippy::wildcard_enum_match_arm, reason = "only milestones are noted")]
    pub fn take_note(&mut self, event: &Event) {
        match event {
            Event::Connected { .. } => self.is_accepted = true,
            Event::Ready => self.failures.clear(),
            Event::Expired { .. } | Event::AuthFailed { .. } | Event::Closed { .. } => self.end(),
            _ => {}
        }
    }

    /// There will be no more.
    pub(crate) fn end(&mut self) {
        self.server = None;
        self.address = None;
    }

    /// The server that is connected to, or being tried.
    pub fn server(&self) -> Option<&ServerAddr> {
        self.server.as_ref()
    }

    /// Which of its addresses, while there is a transport.
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Why the last attempt at each server failed, in the order of the servers' names.
    pub fn failures(&self) -> Vec<AttemptFailure> {
        let failures = self.failures.iter();
        failures
            .map(|(server, cause)| AttemptFailure { server: server.clone(), cause: cause.clone() })
            .collect()
    }
}
