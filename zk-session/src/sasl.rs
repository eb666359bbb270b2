//! SASL: an exchange of tokens that goes before everything else on each new connection
//! (`ZooKeeperSaslClient`).

use alloc::{boxed::Box, sync::Arc};
use core::fmt;

use bytes::Bytes;
use zk_proto::{ErrorCode, GetSaslRequest, Jute as _, Reader, Request, SetSaslResponse};

use crate::{
    DisconnectReason, Event, Failure, Session, State, Timer,
    connection::{Owner, Stage},
};

/// A SASL mechanism, configured with an identity: it begins one exchange for each connection.
///
/// A mechanism sees challenges and gives responses, and nothing else of the session.
pub trait SaslMechanism: Send + Sync {
    /// Begins an exchange.
    fn begin(&self) -> Box<dyn SaslExchange>;
}

/// The client's side of one SASL exchange.
pub trait SaslExchange: Send + Sync {
    /// The first token; empty where the mechanism lets the server begin.
    ///
    /// # Errors
    /// If the mechanism can't begin: the session ends as not authenticated.
    fn initial_response(&mut self) -> Result<Bytes, SaslError>;

    /// Takes the server's token.
    ///
    /// # Errors
    /// If the token isn't acceptable, or proves that the server doesn't know the secret: the session ends as
    /// not authenticated.
    fn respond(&mut self, challenge: &[u8]) -> Result<SaslStep, SaslError>;

    /// Another exchange in the same state.
    fn clone_box(&self) -> Box<dyn SaslExchange>;
}

/// What follows a challenge.
#[derive(Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "an exchange goes on, ends with a token, or ends")]
pub enum SaslStep {
    /// Send this token, and wait for the next challenge.
    Respond(Bytes),
    /// Send this token; the exchange is complete with the server's answer, which may be null.
    Last(Bytes),
    /// The exchange is complete.
    Complete,
}

/// Why a mechanism gave up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct SaslError {
    /// What is wrong, without any secret.
    pub what: &'static str,
}

/// How to authenticate by SASL.
#[derive(Clone)]
pub struct Sasl(Arc<dyn SaslMechanism>);

impl Sasl {
    /// Authenticates by this mechanism.
    pub fn new(mechanism: impl SaslMechanism + 'static) -> Self {
        Self(Arc::new(mechanism))
    }
}

/// So that a mechanism can be made of another: one that counts its steps, or writes them down.
impl SaslMechanism for Sasl {
    fn begin(&self) -> Box<dyn SaslExchange> {
        self.0.begin()
    }
}

impl fmt::Debug for Sasl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sasl").finish_non_exhaustive()
    }
}

/// An exchange under way on the current connection.
pub(crate) struct Exchange {
    client: Box<dyn SaslExchange>,
    /// The last token was sent; only the server's answer is missing.
    is_last: bool,
    /// A ping was due, but only tokens may leave.
    pub(crate) holds_ping: bool,
}

impl Clone for Exchange {
    fn clone(&self) -> Self {
        Self { client: self.client.clone_box(), ..*self }
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange").finish_non_exhaustive()
    }
}

/// What a mechanism knows can't be looked into: an exchange is like itself alone.
#[cfg(feature = "model")]
impl PartialEq for Exchange {
    fn eq(&self, other: &Self) -> bool {
        core::ptr::eq(self, other)
    }
}

#[cfg(feature = "model")]
impl Eq for Exchange {}

#[cfg(feature = "model")]
impl core::hash::Hash for Exchange {
    fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
        self.is_last.hash(state);
    }
}

impl Session {
    /// The priming's first step, if SASL is configured.
    pub(crate) fn begin_sasl(&mut self) {
        let Some(sasl) = &self.config.sasl else { return };
        let mut client = sasl.0.begin();
        let first = client.initial_response();
        let Some(connection) = &mut self.connection else { return };
        connection.stage = Stage::Sasl(Exchange { client, is_last: false, holds_ping: false });
        match first {
            Ok(token) => self.send_token(token),
            Err(_) => self.sasl_failed(),
        }
    }

    pub(crate) fn on_sasl_reply(&mut self, err: ErrorCode, reader: &mut Reader<'_>) {
        match err {
            ErrorCode::OK => {}
            ErrorCode::AUTH_FAILED | ErrorCode::SESSION_CLOSED_REQUIRE_SASL_AUTH => {
                return self.sasl_failed();
            }
            code => return self.disconnect(DisconnectReason::SaslInterrupted { code }),
        }
        let token = match SetSaslResponse::decode(reader) {
            Ok(response) => response.token,
            Err(error) => return self.disconnect(DisconnectReason::MalformedFrame(error)),
        };
        let Some(connection) = &mut self.connection else { return };
        let Stage::Sasl(exchange) = &mut connection.stage else { return };
        if exchange.is_last {
            return self.exchange_done();
        }
        let Some(challenge) = token else { return self.sasl_failed() };
        match exchange.client.respond(&challenge) {
            Ok(SaslStep::Respond(token)) => self.send_token(token),
            Ok(SaslStep::Last(token)) => {
                exchange.is_last = true;
                self.send_token(token);
            }
            Ok(SaslStep::Complete) => self.exchange_done(),
            Err(_) => self.sasl_failed(),
        }
    }

    fn exchange_done(&mut self) {
        let Some(connection) = &mut self.connection else { return };
        let done = core::mem::replace(&mut connection.stage, Stage::Auths);
        if matches!(done, Stage::Sasl(Exchange { holds_ping: true, .. })) {
            self.timers.set(Timer::Ping, self.now);
        }
    }

    fn send_token(&mut self, token: Bytes) {
        let xid = self.xids.next();
        if let Some(connection) = &mut self.connection {
            if let Stage::Sasl(exchange) = &mut connection.stage {
                // The token is as good as a ping.
                exchange.holds_ping = false;
            }
            let request = Request::Sasl(GetSaslRequest { token: Some(token) });
            connection.push_control(&request, xid, Owner::Sasl, self.now);
        }
    }

    fn sasl_failed(&mut self) {
        let scheme = "sasl".into();
        self.end(State::AuthFailed, &Failure::AuthFailed, Event::AuthFailed { scheme });
    }
}

#[cfg(all(test, feature = "digest-md5"))]
mod tests {
    use alloc::format;

    use super::*;
    use crate::DigestMd5;

    #[test]
    fn what_prints_says_what_it_is_and_nothing_else() {
        let sasl = Sasl::new(DigestMd5::new("bob", "bob-secret", b"key"));
        assert_eq!(format!("{sasl:?}"), "Sasl { .. }");
        let exchange = Exchange { client: sasl.begin(), is_last: false, holds_ping: false };
        assert_eq!(format!("{exchange:?}"), "Exchange { .. }");
    }
}
