//! Every change of a session's state.

use alloc::boxed::Box;
use core::time::Duration;

use zk_proto::{OpCode, ReplyHeader, Request, SessionId};

use crate::{
    Action, ConnectionId, Delivery, DisconnectReason, Event, ExpiredBy, ExpiredReason, Failure, OnLoss,
    Session, State, Timer, WatchEndReason,
    clock::ping_interval,
    connection::{Connection, Stage},
    rearm::Rearm,
};

impl Session {
    pub(crate) fn start_attempt(&mut self) {
        self.connections += 1;
        self.stats.attempts += 1;
        let connection = ConnectionId(self.connections);
        let server = self.ensemble.next();
        self.dialects.forget(&self.config.connect_string.servers, self.now);
        let max_frame_len = self.config.max_frame_len.max(MIN_FRAME_LIMIT);
        let mut attempt = Connection::new(connection, server.clone(), max_frame_len);
        attempt.lacks_create2 = self.dialects.lacks(&server, OpCode::CREATE2);
        self.connection = Some(attempt);
        self.state = State::Connecting;
        self.timers.stop(Timer::Backoff);
        self.timers.set(Timer::Connect, self.now + self.attempt_timeout());
        self.outbox.push(Action::Connect { connection, server });
    }

    /// The transport is up: the ConnectRequest goes out, under the same deadline.
    pub(crate) fn associate(&mut self) {
        let request = self.connect_request();
        let Some(connection) = &mut self.connection else { return };
        request.encode_frame(connection.control());
        connection.connect_sent_at = self.now;
        connection.excused = false;
        if planted!(PingsBeforeTheResponse) {
            connection.push_uncounted(&Request::Ping, ReplyHeader::PING_XID);
        }
        self.state = State::Associating;
        if let Some(due) = self.timers.get(Timer::Connect) {
            self.timers.stop(Timer::Connect);
            let extended = self.now + self.attempt_timeout();
            self.timers.set(Timer::Read, if planted!(ConnectingExtendsTheAttempt) { extended } else { due });
        }
    }

    /// A server has accepted the session.
    pub(crate) fn connected(&mut self, response: Accepting) {
        let resumed = self.identity.session.is_some();
        self.state = if response.read_only { State::ConnectedReadOnly } else { State::Connected };
        if response.read_only {
            self.begin_search();
        }
        if !response.read_only || planted!(ReadOnlySessionsAreResumed) {
            self.identity.session = Some((response.session_id, response.password));
            self.probe_interval = Duration::ZERO;
        }
        if !planted!(GrantedTimeoutIsIgnored) {
            self.identity.timeout = response.timeout;
        }
        self.stats.connections += 1;
        self.ensemble.accepted();
        self.timers.set(Timer::Read, self.now + self.read_timeout());
        let Some(connection) = &mut self.connection else { return };
        connection.stage = Stage::Auths;
        connection.rearm = Some(Box::new(Rearm::new(&self.watches)));
        let sent_at = connection.connect_sent_at;
        self.timers.set(Timer::Ping, (sent_at + ping_interval(response.timeout)).max(self.now));
        self.heard_of(sent_at, true);
        self.emit(Event::Connected {
            session_id: response.session_id,
            negotiated_timeout: response.timeout,
            read_only: response.read_only,
            resumed,
            epoch: self.epoch,
        });
        self.begin_sasl();
    }

    /// The machine drops its connection and looks for another server.
    pub(crate) fn disconnect(&mut self, reason: DisconnectReason) {
        if let Some(connection) = self.connection.take() {
            let action = Action::Disconnect { connection: connection.id, reason: reason.clone() };
            if !planted!(ConnectionsOverlap) {
                self.outbox.push(action);
            }
            self.lost(connection, reason);
        }
    }

    /// The connection is gone, whoever ended it.
    pub(crate) fn lost(&mut self, connection: Connection, reason: DisconnectReason) {
        if planted!(ClosedIsExpired) && reason == DisconnectReason::ClosedBeforeResponse {
            return self.expire(ExpiredBy::Server, ExpiredReason::Refused);
        }
        for timer in [Timer::Connect, Timer::Read, Timer::Ping, Timer::Pong, Timer::Frame] {
            self.timers.stop(timer);
        }
        self.end_search();
        let was_connected = self.state.is_connected();
        self.state = State::Connecting;
        if was_connected {
            self.lost_accepted(connection, reason);
        } else if reason != DisconnectReason::Rebalanced
            && let Some(attempts) = self.ensemble.attempt_failed()
        {
            self.emit(Event::AllServersFailed { attempts, last_reason: reason });
        }
        if self.closing && self.identity.session.is_none() {
            self.end(State::Closed, &Failure::Closed, Event::Closed { confirmed: false });
            return;
        }
        let delay = self.ensemble.backoff(self.config.backoff, self.third());
        if delay.is_zero() {
            self.start_attempt();
        } else if !planted!(NothingIsWaitedFor) {
            self.timers.set(Timer::Backoff, self.now + delay);
        }
    }

    /// A server had accepted the session on it: what was sent there, or waits behind that, ends with it.
    fn lost_accepted(&mut self, connection: Connection, reason: DisconnectReason) {
        let held = connection.ready_at.is_some_and(|ready| self.now - ready >= self.third());
        if reason != DisconnectReason::Rebalanced {
            self.ensemble.connection_lost(held);
        }
        self.watches.connection_lost(self.identity.last_zxid);
        let reached = connection.window.reached();
        self.identities.connection_lost(connection.auths.iter().copied(), reached);
        self.fail_or_requeue(&connection, &reason);
        if self.config.on_loss == OnLoss::NewSession {
            self.leave_session();
        }
        if planted!(AuthsEndWithTheConnection) {
            self.fail_auths(&Failure::ConnectionLoss);
        }
        if planted!(DisconnectedIsToldTwice) {
            self.emit(Event::Disconnected { reason: reason.clone() });
        }
        self.emit(Event::Disconnected { reason });
    }

    /// The session is left to time out, with all that belonged to it; the next attempt creates another one.
    fn leave_session(&mut self) {
        self.identity.session = None;
        self.epoch += 1;
        self.timers.stop(Timer::MayBeExpired);
        self.timers.stop(Timer::Expiry);
        self.end_watches();
    }

    fn end_watches(&mut self) {
        for (request, path) in self.watches.end_all() {
            let path = self.chroot.client_path(&path);
            self.emit(Event::WatchEnded { request, path, reason: WatchEndReason::SessionEnded });
        }
    }

    /// The session is over: `event` is the last thing that is told, after all outcomes and ends of watches.
    pub(crate) fn end(&mut self, state: State, failure: &Failure, event: Event) {
        self.state = state;
        if !planted!(TimersOutliveTheEnd) {
            self.timers.stop_all();
        }
        self.search = None;
        self.identity.session = None;
        let reached = self.connection.take().map(|connection| {
            let reason = DisconnectReason::SessionEnded;
            self.outbox.push(Action::Disconnect { connection: connection.id, reason });
            let reached = connection.window.reached();
            self.identities.connection_lost(connection.auths.into_iter(), reached);
            reached
        });
        for entry in self.requests.take_all() {
            let (request, sent) = entry.taken();
            let is_reached = sent.zip(reached).is_some_and(|(sent, reached)| sent.start < reached);
            self.fail(&request, failure.clone(), Delivery::of(request.was_sent || is_reached));
        }
        self.fail_auths(failure);
        if !planted!(WatchesEndInSilence) {
            self.end_watches();
        }
        self.emit(event);
    }

    /// The session has expired. If it was being closed, that is what a server has confirmed thereby.
    pub(crate) fn expire(&mut self, by: ExpiredBy, reason: ExpiredReason) {
        if self.closing {
            let confirmed = by == ExpiredBy::Server;
            self.end(State::Closed, &Failure::Closed, Event::Closed { confirmed });
        } else {
            self.end(State::Expired, &Failure::SessionExpired, Event::Expired { by, reason });
        }
    }
}

/// What a ConnectResponse grants.
pub(crate) struct Accepting {
    pub(crate) session_id: SessionId,
    pub(crate) password: bytes::Bytes,
    pub(crate) timeout: Duration,
    pub(crate) read_only: bool,
}

/// Room for a ConnectResponse.
const MIN_FRAME_LIMIT: usize = 64;
