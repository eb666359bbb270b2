//! Identities of the auth schemes: each is told to every server that the session comes to, and gets one
//! outcome (ZooKeeper's `addAuthInfo`).

use alloc::{collections::VecDeque, string::String, vec::Vec};
use core::{fmt, ops::Range};

use bytes::Bytes;
use zk_proto::{AuthPacket, ErrorCode, ReplyHeader, Request, Response, Zxid};

use crate::{
    Delivery, Event, Failure, Instant, RequestError, RequestId, Session, State, SubmitError,
    outcomes::delivery, requests,
};

/// What identifies a client under an auth scheme.
#[derive(Clone, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_structs, reason = "made by applications")]
pub struct AuthInfo {
    /// The scheme: `digest`, or whatever else the servers have a provider for.
    pub scheme: String,
    /// What the scheme wants, a secret: of `digest`, `user:password` in UTF-8.
    pub auth: Bytes,
}

impl AuthInfo {
    fn packet(&self) -> Request {
        let (scheme, auth) = (self.scheme.as_str().into(), Some(self.auth.clone()));
        Request::Auth(AuthPacket { auth_type: 0, scheme, auth })
    }
}

impl fmt::Debug for AuthInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthInfo").field("scheme", &self.scheme).finish_non_exhaustive()
    }
}

/// All identities that were ever added, in order, each once.
#[derive(Clone, Default)]
#[cfg_attr(feature = "model", derive(PartialEq, Eq, Hash))]
pub(crate) struct Identities {
    added: Vec<Added>,
}

#[derive(Clone)]
#[cfg_attr(feature = "model", derive(PartialEq, Eq, Hash))]
struct Added {
    info: AuthInfo,
    /// The calls that have had no outcome.
    waiting: Vec<RequestId>,
    /// A byte of it may have reached a server.
    was_sent: bool,
    /// It was cancelled before it was sent, and is told to nobody.
    is_cancelled: bool,
    /// The session was made with it.
    is_configured: bool,
}

/// An auth packet that was queued on the current connection and not answered.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "model", derive(PartialEq, Eq, Hash))]
pub(crate) struct AuthSent {
    index: usize,
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) sent_at: Instant,
}

impl Identities {
    pub(crate) fn new(infos: &[AuthInfo]) -> Self {
        let mut identities = Self::default();
        for info in infos {
            let index = identities.place(info.clone());
            identities.added[index].is_configured = true;
        }
        identities
    }

    /// How many calls have had no outcome.
    pub(crate) fn waiting(&self) -> usize {
        self.added.iter().map(|added| added.waiting.len()).sum()
    }

    /// How many of them have their packet on the current connection.
    pub(crate) fn waiting_for(&self, sent: &VecDeque<AuthSent>) -> usize {
        let is_sent = |index| sent.iter().any(|sent| sent.index == index);
        let added = self.added.iter().enumerate().filter(|&(index, _)| is_sent(index));
        added.map(|(_, added)| added.waiting.len()).sum()
    }

    fn place(&mut self, info: AuthInfo) -> usize {
        if let Some(index) = self.added.iter().position(|added| added.info == info) {
            self.added[index].is_cancelled = false;
            return index;
        }
        let (was_sent, is_cancelled, is_configured) = (false, false, false);
        self.added.push(Added { info, waiting: Vec::new(), was_sent, is_cancelled, is_configured });
        self.added.len() - 1
    }

    /// Notes what became of the packets of a connection that is gone.
    pub(crate) fn connection_lost(&mut self, sent: impl Iterator<Item = AuthSent>, reached: u64) {
        for sent in sent {
            self.added[sent.index].was_sent |= delivery(sent.start, reached) == Delivery::MaybeApplied;
        }
    }
}

impl Session {
    /// Adds an identity: at once if the session is connected, and to every server that it comes to. Its
    /// outcome comes as [`Event::Reply`]; a refusal is [`Event::AuthFailed`], and ends the session, as in the
    /// Java client. Other than a request it outlives a lost connection.
    ///
    /// # Errors
    /// If it doesn't fit into a frame, there are too many, or the session has ended or is being closed.
    pub fn add_auth(&mut self, info: AuthInfo, now: Instant) -> Result<RequestId, SubmitError> {
        self.begin_input(now);
        self.admit_any()?;
        self.admit_len(&info)?;
        let is_known = self.identities.added.iter().any(|added| added.info == info);
        if !is_known && self.identities.added.len() >= MAX_IDENTITIES {
            return Err(SubmitError::QueueFull {
                limit_name: "the number of identities",
                limit: MAX_IDENTITIES,
            });
        }
        if self.identities.waiting() >= MAX_WAITING {
            return Err(SubmitError::QueueFull {
                limit_name: "the number of auth calls",
                limit: MAX_WAITING,
            });
        }
        let index = self.identities.place(info);
        let id = self.accept();
        self.identities.added[index].waiting.push(id);
        if self.connection.as_ref().is_some_and(|connection| connection.stage.has_sent_auths()) {
            self.send_auth(index);
        }
        Ok(id)
    }

    fn admit_len(&self, info: &AuthInfo) -> Result<(), SubmitError> {
        let (len, limit) = (requests::payload_len(&info.packet()), self.config.max_request_len);
        if len > limit { Err(SubmitError::TooLarge { len, limit }) } else { Ok(()) }
    }

    /// The scheme of an identity of the configuration that [`add_auth`](Self::add_auth) would refuse: servers would
    /// hang up on it, on every connection.
    pub(crate) fn identity_too_long(&self) -> Option<String> {
        let refused = self.config.auth.iter().find(|info| self.admit_len(info).is_err());
        refused.map(|info| info.scheme.clone())
    }

    /// The priming's second step: all identities, in the order in which they were added.
    pub(crate) fn send_auths(&mut self) {
        for index in 0..self.identities.added.len() {
            let is_forgotten = planted!(AuthsAreForgotten) && self.stats.connections > 1;
            if !self.identities.added[index].is_cancelled && !is_forgotten {
                self.send_auth(index);
                if planted!(AuthsAreToldTwice) {
                    self.send_auth(index);
                }
            }
        }
    }

    fn send_auth(&mut self, index: usize) {
        let packet = self.identities.added[index].info.packet();
        let Some(connection) = self.connection.as_mut().filter(|connection| !connection.close_sent) else {
            return;
        };
        let Range { start, end } = connection.push_uncounted(&packet, ReplyHeader::AUTH_XID);
        connection.auths.push_back(AuthSent { index, start, end, sent_at: self.now });
    }

    /// Servers answer auth packets in order, ahead of requests.
    pub(crate) fn on_auth_reply(&mut self, err: ErrorCode) {
        let Some(connection) = &mut self.connection else { return };
        let Some(sent) = connection.auth_answered() else { return };
        #[cfg(feature = "planted")]
        if planted!(AuthRepliesTakeRequests) {
            self.requests.forget(false);
        }
        self.heard_of(sent.sent_at, false);
        let added = &mut self.identities.added[sent.index];
        added.was_sent = true;
        let scheme = added.info.scheme.clone();
        for id in core::mem::take(&mut added.waiting) {
            let result = if err == ErrorCode::OK { Ok(Response::Empty) } else { Err(self.refusal(err)) };
            self.tell(id, Zxid(0), result);
        }
        if err == ErrorCode::AUTH_FAILED {
            self.end(State::AuthFailed, &Failure::AuthFailed, Event::AuthFailed { scheme });
        } else {
            self.note_progress();
        }
    }

    /// Ends the call with this id, if it is one of those that wait.
    pub(crate) fn give_up_auth(&mut self, id: RequestId, failure: &Failure) {
        let auths = self.connection.iter().flat_map(|connection| &connection.auths);
        let sent: Vec<_> = auths.map(|sent| sent.index).collect();
        for (index, added) in self.identities.added.iter_mut().enumerate() {
            let Some(place) = added.waiting.iter().position(|waiting| *waiting == id) else { continue };
            added.waiting.remove(place);
            let was_sent = added.was_sent || sent.contains(&index);
            added.is_cancelled = !was_sent && added.waiting.is_empty() && !added.is_configured;
            let error = self.failure(failure.clone(), Delivery::of(was_sent));
            return self.tell(id, Zxid(0), Err(error));
        }
    }

    /// Ends all calls that wait, when the session ends.
    pub(crate) fn fail_auths(&mut self, failure: &Failure) {
        let mut waiting: Vec<_> = core::mem::take(&mut self.identities.added)
            .into_iter()
            .flat_map(|added| added.waiting.into_iter().map(move |id| (id, added.was_sent)))
            .collect();
        waiting.sort_unstable();
        for (id, was_sent) in waiting {
            let error: RequestError = self.failure(failure.clone(), Delivery::of(was_sent));
            self.tell(id, Zxid(0), Err(error));
        }
    }
}

/// How many identities a session may have; each is sent on every connection.
const MAX_IDENTITIES: usize = 64;
/// How many calls may wait for their outcome.
const MAX_WAITING: usize = 1024;
