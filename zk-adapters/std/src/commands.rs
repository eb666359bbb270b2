//! What an application asks of a session that it pumps and looks at, and that it may want on record.

use core::{borrow::Borrow, fmt};
use std::time::Instant;

use zk_client::{AttemptFailure, NO_LATER};
use zk_proto::{ConnectString, Request, ServerAddr};
use zk_session::{AuthInfo, RequestId, RequestOptions, Session, SubmitError};

use crate::Driver;

/// A session that is recorded.
#[cfg(feature = "record")]
impl Driver {
    /// As [`new`](Self::new), and the session is recorded, as a transcript that can be replayed: attach it to a bug
    /// report. See [`Recorder`](crate::Recorder) for what is in it, and what else it means.
    pub fn recorded(
        config: crate::Config,
        recorder: crate::Recorder,
        wake: impl Fn() + Send + Sync + 'static,
    ) -> Self {
        let mut recording = zk_client::Recording::default();
        recording.recorder = Some(recorder);
        Self::of(recording.open(config, zk_session::Instant::ZERO), wake)
    }
}

/// What the application looks at.
impl Driver {
    /// The session, to look at.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// The server that the session is connected to, as the connect string names it.
    pub fn server(&self) -> Option<&ServerAddr> {
        self.attempts.server().filter(|_| self.session.state().is_connected())
    }

    /// Why the last attempt at each server failed, in the order of the servers' names, since the session was last ready. A loop
    /// that gets no session, or not back what it has lost, finds here what to tell.
    pub fn failures(&self) -> Vec<AttemptFailure> {
        self.attempts.failures()
    }

    /// The moment, as the session tells it: deadlines are counted from it.
    pub fn now(&self) -> zk_session::Instant {
        self.epoch.instant(Instant::now())
    }
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver").field("session", &self.session).finish_non_exhaustive()
    }
}

/// The session's commands. What they ask for is done at the next [`pump`](Self::pump), or prepared for it when the
/// events are taken.
impl Driver {
    /// Accepts a request: its one outcome comes as [`Event::Reply`](zk_session::Event::Reply) under the id that is
    /// returned. See [`Session::submit`](zk_session::Session::submit).
    ///
    /// # Errors
    /// If a limit of [`Config`](crate::Config) is reached, the request can't be sent as it is, or the session has ended
    /// or is being closed. Nothing has changed then.
    pub fn submit(
        &mut self,
        request: impl Borrow<Request>,
        options: RequestOptions,
    ) -> Result<RequestId, SubmitError> {
        self.has_more = true;
        // Without a deadline, the next pump is early enough to look at the clock.
        let now = if options.deadline.is_some() { self.now() } else { NO_LATER };
        self.session.submit(request, options, now)
    }

    /// Gives up a request: see [`Session::cancel`](zk_session::Session::cancel).
    pub fn cancel(&mut self, request: RequestId) {
        self.has_more = true;
        self.session.cancel(request, self.now());
    }

    /// Gives up the watch that this request set, or is going to set: see
    /// [`Session::remove_watch`](zk_session::Session::remove_watch).
    pub fn remove_watch(&mut self, watch: RequestId) {
        self.has_more = true;
        self.session.remove_watch(watch, self.now());
    }

    /// Adds an identity, whose outcome comes as [`Event::Reply`](zk_session::Event::Reply): see
    /// [`Session::add_auth`](zk_session::Session::add_auth).
    ///
    /// # Errors
    /// If it doesn't fit into a frame, there are too many, or the session has ended or is being closed.
    pub fn add_auth(&mut self, info: AuthInfo) -> Result<RequestId, SubmitError> {
        self.has_more = true;
        self.session.add_auth(info, self.now())
    }

    /// Replaces the servers: see [`Session::update_servers`](zk_session::Session::update_servers).
    ///
    /// # Errors
    /// If the connect string names another chroot, or the session has ended or is being closed.
    pub fn update_servers(&mut self, servers: ConnectString) -> Result<(), SubmitError> {
        self.has_more = true;
        self.session.update_servers(servers, self.now())
    }

    /// Closes the session; [`Event::Closed`](zk_session::Event::Closed) follows: see
    /// [`Session::close`](zk_session::Session::close).
    pub fn close(&mut self) {
        self.has_more = true;
        self.session.close(self.now());
    }
}
