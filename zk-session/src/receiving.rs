//! What the server says: bytes to frames, frames to what they mean for the session.

use core::time::Duration;

use bytes::Bytes;
use zk_proto::{
    ConnectRequest, ConnectResponse, ErrorCode, Frame, Jute as _, Reader, ReplyHeader, Request, Response,
    SessionId, WatcherEvent, Zxid,
};

use crate::{
    Delivery, DisconnectReason, Event, ExpiredBy, ExpiredReason, Failure, RequestError, Session, State,
    Timer, WatchEndReason,
    action::WatchEvent,
    admission,
    connection::{Growth, Owner},
    requests::Accepted,
    session::Accepting,
    watches::{Batch, Fired},
};

impl Session {
    /// Takes bytes of the current connection.
    pub(crate) fn receive(&mut self, bytes: &[u8]) {
        self.stats.bytes_received += bytes.len() as u64;
        let Some(connection) = &mut self.connection else { return };
        let current = connection.id;
        connection.excused = false;
        connection.decoder.push(bytes);
        if self.state.is_connected() {
            self.timers.set(Timer::Read, self.now + self.read_timeout());
        }
        let mut came_whole = false;
        loop {
            let Some(connection) = &mut self.connection else { return };
            if connection.id != current {
                return;
            }
            match connection.decoder.next() {
                Ok(Some(frame)) => self.on_frame(frame),
                Ok(None) => break,
                Err(error) => return self.disconnect(DisconnectReason::BadFrame(error)),
            }
            came_whole = true;
        }
        self.watch_growth(came_whole);
    }

    /// A frame under way must keep growing: from when it began, or the last one ended.
    fn watch_growth(&mut self, came_whole: bool) {
        let Some(connection) = &mut self.connection else { return };
        if connection.decoder.is_empty() || !self.state.is_connected() {
            connection.growth = None;
            self.timers.stop(Timer::Frame);
        } else if came_whole || connection.growth.is_none() {
            connection.growth = Some(Growth { since: self.now, received: self.stats.bytes_received });
            let due = self.now + self.read_timeout();
            self.timers.set(Timer::Frame, due);
        }
    }

    fn on_frame(&mut self, frame: Frame) {
        match (frame, self.state) {
            (Frame::Whole(payload), State::Associating) => self.on_connect_response(&payload),
            (Frame::Whole(payload), _) => self.on_message(&payload),
            (Frame::Oversize { header, len }, State::Connected | State::ConnectedReadOnly) => {
                self.on_oversize(&header, len);
            }
            (Frame::Oversize { len, .. }, _) => self.disconnect(self.oversize(len)),
        }
    }

    fn oversize(&self, len: usize) -> DisconnectReason {
        DisconnectReason::OversizeFrame { len, limit: self.config.max_frame_len }
    }

    fn on_message(&mut self, payload: &Bytes) {
        let mut reader = Reader::new(payload);
        let header = match ReplyHeader::decode(&mut reader) {
            Ok(header) => header,
            Err(error) => return self.disconnect(DisconnectReason::MalformedFrame(error)),
        };
        match header.xid {
            ReplyHeader::EVENT_XID => self.on_notification(header.zxid, &mut reader),
            ReplyHeader::PING_XID => self.on_pong(),
            // No auth packet was sent; an answer to none concerns nobody.
            ReplyHeader::AUTH_XID => {}
            _ => self.on_answer(header, &mut reader),
        }
    }

    /// A longer frame than is accepted: it fails the request that it answers, and is skipped.
    fn on_oversize(&mut self, header: &Bytes, len: usize) {
        let header = ReplyHeader::decode(&mut Reader::new(header));
        let answered = header.ok().and_then(|header| Some((self.take_answered(header)?, header.zxid)));
        let Some((Owner::Request(accepted), zxid)) = answered else {
            return self.disconnect(self.oversize(len));
        };
        let failure = Failure::ReplyTooLarge { len, limit: self.config.max_frame_len };
        self.stats.failed += 1;
        let result = Err(RequestError::Failed { failure, delivery: Delivery::MaybeApplied });
        self.outcome(&accepted, zxid, result);
    }

    fn on_pong(&mut self) {
        self.stats.pongs += 1;
        let Some(connection) = &mut self.connection else { return };
        let Some(sent_at) = connection.pings.unanswered.pop_front() else { return };
        match connection.pings.unanswered.front() {
            Some(&oldest) => self.timers.set(Timer::Pong, oldest + self.identity.timeout),
            None => self.timers.stop(Timer::Pong),
        }
        self.heard_of(sent_at, false);
    }

    /// Matches a reply to the frame that it answers; notes its zxid, and that the server has heard of us.
    fn take_answered(&mut self, header: ReplyHeader) -> Option<Owner> {
        let frame = self.connection.as_mut()?.answered(header.xid, header.err)?;
        self.identity.last_zxid = self.identity.last_zxid.max(header.zxid);
        self.heard_of(frame.sent_at, false);
        Some(frame.owner)
    }

    fn on_answer(&mut self, header: ReplyHeader, reader: &mut Reader<'_>) {
        match self.take_answered(header) {
            Some(Owner::Request(accepted)) => self.on_reply(accepted, header, reader),
            Some(Owner::Abandoned) => {}
            Some(Owner::SetWatches(batch)) => self.on_watches_set(&batch, header.err),
            Some(Owner::CloseSession) => {
                let confirmed = matches!(header.err, ErrorCode::OK | ErrorCode::SESSION_EXPIRED);
                self.end(State::Closed, &Failure::Closed, Event::Closed { confirmed });
            }
            None => self.disconnect(DisconnectReason::UnexpectedReply { xid: header.xid }),
        }
    }

    fn on_reply(&mut self, mut accepted: Accepted, header: ReplyHeader, reader: &mut Reader<'_>) {
        let result = self.result_of(&accepted, header, reader);
        let is_answer = !matches!(result, Err(RequestError::Failed { .. }));
        if let Some(request) = accepted.retained.take().filter(|_| accepted.asks_for_watch && is_answer) {
            if let Some((path, kind)) = admission::watch_left(&request, header.err) {
                self.watches.add(path, kind, accepted.id);
            }
        }
        self.outcome(&accepted, header.zxid, result);
    }

    fn result_of(
        &mut self,
        accepted: &Accepted,
        header: ReplyHeader,
        reader: &mut Reader<'_>,
    ) -> Result<Response, RequestError> {
        if header.err != ErrorCode::OK {
            self.stats.refused += 1;
            return Err(RequestError::Refused { code: header.err, results: alloc::vec::Vec::new() });
        }
        let mut response = Response::decode(accepted.op, reader).map_err(|error| {
            self.stats.failed += 1;
            let failure = Failure::MalformedReply { zxid: header.zxid, error };
            RequestError::Failed { failure, delivery: Delivery::MaybeApplied }
        })?;
        self.chroot.undo(&mut response);
        if let Response::Multi(multi) = &mut response {
            if let Some(code) = multi.first_error() {
                self.stats.refused += 1;
                let results = core::mem::take(&mut multi.results);
                return Err(RequestError::Refused { code, results });
            }
        }
        Ok(response)
    }
}

/// Watches.
impl Session {
    fn on_notification(&mut self, zxid: Zxid, reader: &mut Reader<'_>) {
        let event = match WatcherEvent::decode(reader) {
            Ok(event) => event,
            Err(error) => return self.disconnect(DisconnectReason::MalformedFrame(error)),
        };
        self.stats.notifications += 1;
        let fired = self.watches.fire(event.event_type, &event.path);
        if fired.is_empty() {
            self.stats.unwanted_notifications += 1;
        }
        for fired in fired {
            if fired.early {
                self.keep_early(zxid, &event, fired);
            } else {
                self.tell_watch(zxid, &event, fired);
            }
        }
    }

    /// Keeps an event until its owner has been told of the gap before it.
    fn keep_early(&mut self, zxid: Zxid, event: &WatcherEvent, fired: Fired) {
        let Some(connection) = &mut self.connection else { return };
        if connection.early_events.len() >= MAX_EARLY_EVENTS {
            return self.disconnect(DisconnectReason::NotificationFlood);
        }
        connection.early_events.push((zxid, event.clone(), fired));
    }

    fn tell_watch(&mut self, zxid: Zxid, event: &WatcherEvent, fired: Fired) {
        self.emit(Event::Watch(WatchEvent {
            request: fired.owner,
            event_type: event.event_type,
            state: event.state,
            path: self.chroot.client_path(&event.path),
            zxid,
            last: fired.last,
        }));
    }

    fn on_watches_set(&mut self, batch: &Batch, err: ErrorCode) {
        let Some(rearm) = self.connection.as_mut().and_then(|connection| connection.rearm.as_mut()) else {
            return;
        };
        if err == ErrorCode::OK {
            rearm.acknowledged(&mut self.watches, batch);
        } else {
            for (request, path) in rearm.refused(&mut self.watches, batch) {
                let path = self.chroot.client_path(&path);
                self.emit(Event::WatchEnded { request, path, reason: WatchEndReason::RearmFailed(err) });
            }
        }
        self.note_progress();
    }
}

/// Priming: what goes before requests on each new connection.
impl Session {
    pub(crate) fn connect_request(&self) -> ConnectRequest {
        let (session_id, password) = match &self.identity.session {
            Some((session_id, password)) => (*session_id, password.clone()),
            None => (SessionId(0), Bytes::from_static(&[0; 16])),
        };
        ConnectRequest {
            protocol_version: 0,
            last_zxid_seen: self.identity.last_zxid,
            time_out: self.config.session_timeout_millis(),
            session_id,
            passwd: Some(password),
            read_only: Some(false),
        }
    }

    fn on_connect_response(&mut self, payload: &Bytes) {
        let response = match ConnectResponse::decode(&mut Reader::new(payload)) {
            Ok(response) => response,
            Err(error) => return self.disconnect(DisconnectReason::BadConnectResponse(error)),
        };
        let asked_for = self.identity.session.as_ref().map(|(session_id, _)| *session_id);
        let Some(millis) = u64::try_from(response.time_out).ok().filter(|&millis| millis > 0) else {
            return match asked_for {
                Some(_) => self.expire(ExpiredBy::Server, ExpiredReason::Refused),
                None => self.disconnect(DisconnectReason::SessionRefused),
            };
        };
        if asked_for.is_some_and(|session_id| session_id != response.session_id) {
            return self.expire(ExpiredBy::Server, ExpiredReason::Replaced);
        }
        if response.session_id == SessionId(0) {
            return self.disconnect(DisconnectReason::SessionRefused);
        }
        if response.read_only == Some(true) {
            return self.disconnect(DisconnectReason::ReadOnlyServer);
        }
        self.connected(Accepting {
            session_id: response.session_id,
            password: response.passwd.map_or_else(Bytes::new, |password| Bytes::copy_from_slice(&password)),
            timeout: Duration::from_millis(millis),
            read_only: false,
        });
    }

    /// Queues what comes next of the priming, once what went before is handed out; behind all requests, the
    /// closeSession of a session that is being closed.
    pub(crate) fn prime(&mut self) {
        if !self.state.is_connected() {
            return;
        }
        let Some(connection) = &mut self.connection else { return };
        if connection.has_control() || !connection.window.is_open() {
            return;
        }
        if !connection.is_open && !self.closing {
            let batch = connection
                .rearm
                .as_mut()
                .and_then(|rearm| rearm.next_batch(&mut self.watches, self.config.max_set_watches_len));
            if let Some((request, batch)) = batch {
                let xid = self.xids.next();
                return connection.push_control(&request, xid, Owner::SetWatches(batch.into()), self.now);
            }
        }
        connection.is_open = true;
        if self.closing && self.queue.is_empty() && !connection.close_sent && !connection.has_slices() {
            let xid = self.xids.next();
            connection.push_control(&Request::CloseSession, xid, Owner::CloseSession, self.now);
            connection.close_sent = true;
        }
        self.note_progress();
    }

    /// Tells what the priming has come to: the gap of the persistent watches, and that all is through.
    fn note_progress(&mut self) {
        let Some(connection) = &mut self.connection else { return };
        let Some(rearm) = &mut connection.rearm else { return };
        if let Some(from) = rearm.take_gap(&mut self.watches) {
            let early = core::mem::take(&mut connection.early_events);
            self.emit(Event::WatchesRestored { from, to: self.identity.last_zxid });
            for (zxid, event, fired) in early {
                self.tell_watch(zxid, &event, fired);
            }
        }
        let Some(connection) = &mut self.connection else { return };
        if connection.is_open && connection.rearm.as_ref().is_some_and(crate::watches::Rearm::is_done) {
            connection.rearm = None;
            if !self.closing {
                connection.ready_at = Some(self.now);
                self.emit(Event::Ready);
            }
        }
    }
}

/// So many events may wait for the gap before them to be told.
const MAX_EARLY_EVENTS: usize = 4096;
