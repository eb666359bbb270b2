//! What a session sends: the priming of each new connection, then requests, chunk by chunk.

use bytes::Bytes;
use zk_proto::{ConnectRequest, Request, SessionId};

use crate::{
    Action, ConnectionId, Event, Session, Timer,
    clock::ping_interval,
    connection::{Connection, Owner, SendLimits, Stage},
    rearm::Rearm,
};

impl Session {
    pub(crate) fn connect_request(&self) -> ConnectRequest {
        let (session_id, password) = match &self.identity.session {
            Some((session_id, password)) => (*session_id, password.clone()),
            None => (SessionId(0), Bytes::from_static(&[0; 16])),
        };
        ConnectRequest {
            protocol_version: 0,
            last_zxid_seen: self.identity.last_zxid,
            time_out: if planted!(NegotiatedTimeoutIsAsked) {
                i32::try_from(self.identity.timeout.as_millis()).unwrap_or(i32::MAX)
            } else {
                self.config.session_timeout_millis()
            },
            session_id,
            passwd: Some(password),
            read_only: Some(self.config.read_only),
        }
    }

    /// Queues what comes next of the priming, once what went before is handed out, so that it can leave at once, before
    /// anything changes that it tells of; behind all requests, the closeSession of a session that is being closed.
    pub(crate) fn prime(&mut self) {
        if !self.state.is_connected() {
            return;
        }
        let Some(connection) = &mut self.connection else { return };
        if connection.has_control() || connection.has_slices() || !connection.window.is_open() {
            return;
        }
        if matches!(connection.stage, Stage::Auths) {
            connection.stage = Stage::Watches;
            self.send_auths();
        }
        let Some(connection) = &mut self.connection else { return };
        match connection.stage {
            Stage::Watches | Stage::Open => self.send_watches(),
            Stage::Handshake | Stage::Sasl(_) | Stage::Auths => {}
        }
        self.note_progress();
    }

    /// The priming's third step: the watches, batch by batch. Later on, those that have to be armed again. A session
    /// that is being closed needs no more of them; what they have missed isn't told then, nor what they hear.
    fn send_watches(&mut self) {
        let Some(connection) = &mut self.connection else { return };
        let next = connection.rearm.as_mut().and_then(|rearm| {
            if self.closing {
                rearm.send_no_more();
            }
            rearm.next_batch(&mut self.watches, self.config.max_set_watches_len)
        });
        match next {
            Some((request, batch)) => {
                let xid = self.xids.next();
                connection.push_control(&request, xid, Owner::SetWatches(batch.into()), self.now);
            }
            None => {
                if !connection.stage.is_open() {
                    connection.stage = Stage::Open;
                    self.fail_unsupported();
                }
                self.send_close();
            }
        }
    }

    /// Behind all requests, closeSession, if the session is being closed.
    fn send_close(&mut self) {
        let Some(connection) = &mut self.connection else { return };
        let is_empty = self.requests.waiting() == 0 || planted!(CloseOvertakes);
        if self.closing && is_empty && !connection.close_sent {
            let xid = self.xids.next();
            connection.push_control(&Request::CloseSession, xid, Owner::CloseSession, self.now);
            connection.close_sent = true;
        }
    }

    /// Tells what the priming has come to: the gap of the persistent watches, and that all is through.
    pub(crate) fn note_progress(&mut self) {
        let Some(connection) = &mut self.connection else { return };
        let Some(rearm) = &mut connection.rearm else { return };
        if let Some(from) = rearm.take_gap(&mut self.watches) {
            let early = core::mem::take(&mut connection.early_events);
            let from = if planted!(GapsBeginWhereTheyEnd) { self.identity.last_zxid } else { from };
            let to = if planted!(GapsEndWhereTheyBegin) { from } else { self.identity.last_zxid };
            self.emit(Event::WatchesRestored { from, to });
            for event in early {
                if self.watches.has(event.request) {
                    self.outbox.push_heard(event);
                }
            }
        }
        let Some(connection) = &mut self.connection else { return };
        let is_done = connection.rearm.as_deref().is_some_and(Rearm::is_done) && connection.auths.is_empty();
        if connection.stage.is_open() && is_done {
            connection.rearm = None;
            if !self.closing && connection.ready_at.is_none() {
                connection.ready_at = Some(self.now);
                self.emit(Event::Ready);
            }
        }
    }
}

/// Chunks.
impl Session {
    /// What comes behind all that has happened: the next chunk, or what was found out on the way to it.
    #[inline(never)]
    pub(crate) fn next_action(&mut self) -> Option<Action> {
        if self.take_unread() {
            return self.poll_action();
        }
        if planted!(PollingMovesTimers) && self.state.is_connected() {
            let due = self.timers.get(Timer::Ping).unwrap_or(self.now);
            self.timers.set(Timer::Ping, due + core::time::Duration::from_nanos(1));
        }
        let is_due = self.timers.are_due(self.now);
        if is_due {
            self.act_on_last_timers();
        }
        if self.is_settled() {
            if !is_due && self.requests.waiting() == 0 {
                self.rest();
                return None;
            }
        } else {
            self.leave();
            self.prime();
        }
        if self.outbox.is_empty() { self.next_send() } else { self.poll_action() }
    }

    /// Drops the connection, if a command has asked for that.
    fn leave(&mut self) {
        if let Some(reason) = self.connection.as_mut().and_then(|connection| connection.leaving.take()) {
            self.disconnect(*reason);
        }
    }

    /// Requests may leave, and nothing else is to be said or done.
    fn is_settled(&self) -> bool {
        let is_primed = |connection: &Connection| {
            connection.is_quiet() && connection.rearm.is_none() && connection.leaving.is_none()
        };
        !self.closing && self.connection.as_ref().is_some_and(is_primed)
    }

    /// Gives memory back when nothing is under way any more, as long as that isn't often: most sessions are idle, and none
    /// needs to hold what another could use. One that isn't idle would only take it again.
    fn rest(&mut self) {
        let is_resting = self.requests.is_empty();
        if let Some(connection) = self.connection.as_mut().filter(|_| is_resting)
            && connection.rests.begin()
        {
            self.give_back();
        }
    }

    fn next_send(&mut self) -> Option<Action> {
        let connection = self.connection.as_mut()?;
        let limits = SendLimits {
            max_send_len: self.config.max_send_len.max(MIN_SEND_LIMIT),
            max_in_flight: self.config.max_in_flight.max(1),
        };
        let pings = connection.pings.unanswered.len();
        let bytes = connection.next_chunk(&mut self.requests, limits, &mut self.xids, self.now)?;
        connection.rests.end();
        self.stats.bytes_sent += bytes.len() as u64;
        self.stats.pings += (connection.pings.unanswered.len() - pings) as u64;
        if self.state.is_connected() {
            if connection.close_sent {
                self.timers.stop(Timer::Ping);
            } else {
                self.timers.set(Timer::Ping, self.now + ping_interval(self.identity.timeout));
            }
            let oldest = connection.pings.unanswered.front();
            if let Some(&oldest) = oldest.filter(|_| self.timers.get(Timer::Pong).is_none()) {
                self.timers.set(Timer::Pong, oldest + self.identity.timeout);
            }
        }
        Some(Action::Send { connection: connection.id, bytes })
    }

    pub(crate) fn is_current(&self, connection: ConnectionId) -> bool {
        self.connection.as_ref().is_some_and(|current| current.id == connection || planted!(ThePastSpeaks))
    }

    #[inline(always)]
    pub(crate) fn emit(&mut self, event: Event) {
        self.outbox.push(Action::Emit(event));
    }
}

const MIN_SEND_LIMIT: usize = 64;
