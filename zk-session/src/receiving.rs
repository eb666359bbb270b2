//! What the server says: bytes to frames, frames to what they mean for the session.

use alloc::boxed::Box;
use core::time::Duration;

use bytes::Bytes;
use zk_proto::{
    ConnectResponse, Create2Response, CreateResponse, ErrorCode, Frame, FrameDecoder, Frames, Jute as _,
    MultiResponse, OpCode, Reader, ReplyHeader, Request, Response, SessionId, WatcherEvent, Zxid,
};

use crate::{
    ConnectionId, Delivery, DisconnectReason, Event, ExpiredBy, ExpiredReason, Failure, Instant,
    RequestError, Session, State, Timer, WatchEndReason,
    accepted::{Accepted, Retained},
    action::WatchEvent,
    admission,
    connection::{Answered, Connection, Control, Growth, Owner, Turn},
    rearm::Batch,
    transitions::Accepting,
    unwatch,
    watch::{Fired, Hearing, is_known},
};

impl Session {
    /// Takes so many bytes of the current connection.
    #[inline]
    pub(crate) fn receive(&mut self, count: usize, put: impl FnOnce(&mut FrameDecoder)) {
        self.stats.bytes_received += count as u64;
        let Some(connection) = &mut self.connection else { return };
        connection.excused = false;
        if !(planted!(BytesAreLostAlone) && count == 1) {
            put(&mut connection.decoder);
        }
        let is_silence = planted!(GrowingFramesAreSilence) && connection.growth.is_some();
        if self.state.is_connected() && !is_silence {
            self.timers.set(Timer::Read, self.now + self.read_timeout());
        }
        self.take_frames(if planted!(FloodsAreTakenUp) { usize::MAX } else { MANY });
    }

    /// Whether frames have come that nobody has looked at: there is much to tell already. What follows from the time waits
    /// for them: they came before it.
    pub(crate) fn has_unread(&self) -> bool {
        self.connection.as_ref().is_some_and(|connection| connection.unread.is_some())
    }

    /// Looks at frames that were left for later, as all is told that came before them; says whether there is more to tell.
    pub(crate) fn take_unread(&mut self) -> bool {
        if !self.has_unread() {
            return false;
        }
        self.take_frames(MANY);
        self.act_on_time();
        !self.outbox.is_empty()
    }

    /// Looks at all that has come, whatever there is to tell: something else has happened since.
    pub(crate) fn take_all_unread(&mut self) {
        if self.has_unread() {
            self.take_frames(usize::MAX);
        }
    }

    /// Looks at what has come, until so many actions wait to be polled: the rest is as good as not here yet (INV-73).
    fn take_frames(&mut self, enough: usize) {
        let Some(current) = self.connection.as_ref().map(|connection| connection.id) else { return };
        if self.has_unread() && self.outbox.waiting() >= enough {
            return;
        }
        let mut came_whole = false;
        loop {
            let Some(connection) = self.connection.as_mut().filter(|connection| connection.id == current)
            else {
                return;
            };
            if let Some(frames) = connection.next_frames() {
                if !self.on_frames(current, frames, enough) {
                    return;
                }
            } else {
                match connection.decoder.next() {
                    Ok(Some(Frame::Whole(payload))) => self.on_lone_payload(&payload),
                    Ok(Some(Frame::Oversize { header, len })) => self.on_oversize(&header, len),
                    Ok(None) => break,
                    Err(_) if planted!(BadLengthsArePassedOver) => break,
                    Err(error) => return self.disconnect(DisconnectReason::BadFrame(error)),
                }
            }
            came_whole = true;
        }
        self.watch_growth(came_whole);
    }

    fn on_lone_payload(&mut self, payload: &Bytes) {
        self.on_payload(Reader::new(payload));
    }

    /// Tells whether none are left for later.
    fn on_frames(&mut self, current: ConnectionId, mut frames: Frames, enough: usize) -> bool {
        self.read_replies();
        while self.outbox.waiting() < enough && self.is_current(current) {
            // Events come in floods: what is looked up for replies would be in vain before each.
            let header = frames.peek_reply().filter(|_| self.state != State::Associating);
            if let Some(ReplyHeader { xid: ReplyHeader::EVENT_XID, zxid, .. }) = header {
                self.on_notification(zxid, frames.record(frames.place()));
                frames.pass();
                continue;
            }
            self.on_plain_replies(&mut frames);
            let Some(reader) = frames.next() else { break };
            self.on_payload(reader);
        }
        let is_enough = self.outbox.waiting() >= enough;
        if is_enough && let Some(connection) = self.connection.as_mut().filter(|own| own.id == current) {
            connection.unread = Some(Box::new(frames.clone()));
        }
        if self.requests.has_answered() {
            self.outbox.keep(frames);
        }
        !is_enough
    }

    /// Takes replies in their turn, for as long as nothing but outcomes follows from them. They are nearly all that
    /// servers send, so what is the same for all of them is looked up once.
    fn on_plain_replies(&mut self, frames: &mut Frames) {
        let Some(connection) = self.connection.as_ref().filter(|_| self.state.is_connected()) else { return };
        let answerable = connection.answerable();
        let knows_all = connection.has_remove_watches && self.dialects.has_create2;
        let is_known = |op| knows_all || !unwatch::proves_remove_watches(op);
        let mut zxid = self.identity.last_zxid;
        let (mut count, mut sent_at) = (0, None);
        while let Some(header) = frames.peek_reply().filter(|header| header.err == ErrorCode::OK) {
            let place = frames.place();
            let Some(plain) = self.requests.answer_plain(&header, place, is_known, answerable) else { break };
            if plain.deadline < Instant::MAX {
                self.remove_deadline(plain.deadline, plain.request);
            }
            zxid = if planted!(ZxidsFall) { header.zxid } else { zxid.max(header.zxid) };
            sent_at = Some(plain.sent_at);
            count += 1;
            frames.pass();
        }
        if let Some(sent_at) = sent_at {
            self.stats.ended += u64::from(count);
            self.outbox.push_unread(count);
            self.connection.iter_mut().for_each(Connection::note_answer);
            self.note_answer(sent_at, zxid);
        }
    }

    /// A frame under way must keep growing: from when it began, or the last one ended.
    fn watch_growth(&mut self, came_whole: bool) {
        let Some(connection) = &mut self.connection else { return };
        if connection.decoder.is_empty() || !self.state.is_connected() {
            connection.growth = None;
            self.timers.stop(Timer::Frame);
        } else if came_whole || connection.growth.is_none() {
            let before_it = self.stats.bytes_received.saturating_sub(connection.decoder.pending() as u64);
            let pings = self.stats.pings;
            connection.growth = Some(Growth { since: self.now, received: before_it, pings });
            let due = self.now + self.read_timeout();
            self.timers.set(Timer::Frame, due);
        }
    }

    fn on_payload(&mut self, mut reader: Reader<'_>) {
        if self.state == State::Associating {
            return self.on_connect_response(reader);
        }
        let header = match ReplyHeader::decode(&mut reader) {
            Ok(header) => header,
            Err(_) if planted!(ShortFramesArePassedOver) => return,
            Err(error) => return self.disconnect(DisconnectReason::MalformedFrame(error)),
        };
        match header.xid {
            ReplyHeader::EVENT_XID => self.on_notification(header.zxid, reader),
            ReplyHeader::PING_XID => self.on_pong(),
            ReplyHeader::AUTH_XID => self.on_auth_reply(header.err),
            _ => self.on_answer(header, &mut reader),
        }
    }

    fn oversize(&self, len: usize) -> DisconnectReason {
        DisconnectReason::OversizeFrame { len, limit: self.config.max_frame_len }
    }

    /// A longer frame than is accepted: it fails the request that it answers, and is skipped.
    fn on_oversize(&mut self, header: &Bytes, len: usize) {
        if !self.state.is_connected() {
            return self.disconnect(self.oversize(len));
        }
        if planted!(OversizeRepliesAnswerNobody) {
            return;
        }
        let header = ReplyHeader::decode(&mut Reader::new(header));
        let Ok(header) = header else { return self.disconnect(self.oversize(len)) };
        let (request, turn) = match self.take_oldest(header) {
            Some(request) => (request, Turn::Oldest),
            None => match self.take_other(header) {
                Some(Answered::Request(request, _)) => (request, Turn::Early),
                Some(Answered::Control(control)) if matches!(control.owner, Owner::Unwatch) => return,
                Some(Answered::Control(_)) | None => return self.disconnect(self.oversize(len)),
            },
        };
        if header.err == ErrorCode::OK && !request.has_ended {
            let error = self.unusable(Failure::ReplyTooLarge { len, limit: self.config.max_frame_len });
            self.outcome(&request, header.zxid, Err(error));
        } else {
            // A refusal needs no body, and what was given up none either.
            self.on_reply(request, turn, header, &mut Reader::new(&Bytes::new()));
        }
    }

    fn on_pong(&mut self) {
        self.stats.pongs += 1;
        let Some(connection) = &mut self.connection else { return };
        let Some(sent_at) = connection.pings.unanswered.pop_front() else { return };
        match connection.pings.unanswered.front() {
            // The server has just heard us, whatever the next ping waits behind.
            Some(&oldest) => {
                let due = (oldest + self.identity.timeout).max(self.now + self.third());
                self.timers.set(Timer::Pong, due);
            }
            None => self.timers.stop(Timer::Pong),
        }
        self.stats.last_ping_round_trip = Some(self.now - sent_at);
        self.heard_of(sent_at, false);
    }

    /// Matches a reply to the oldest request; notes its zxid, and that the server has heard of us.
    fn take_oldest(&mut self, header: ReplyHeader) -> Option<Accepted> {
        let (request, sent) = self.connection.as_mut()?.take_oldest(&mut self.requests, header.xid)?;
        self.note_answer(sent.at, header.zxid);
        Some(request)
    }

    /// The same for what isn't the oldest request.
    fn take_other(&mut self, header: ReplyHeader) -> Option<Answered> {
        let answered = self.connection.as_mut()?.answered(&mut self.requests, header.xid, header.err)?;
        match &answered {
            Answered::Request(_, sent) => self.note_answer(sent.at, header.zxid),
            Answered::Control(Control { sent_at, owner: Owner::Sasl, .. }) => self.heard_of(*sent_at, false),
            Answered::Control(control) => self.note_answer(control.sent_at, header.zxid),
        }
        Some(answered)
    }

    fn note_answer(&mut self, sent_at: Instant, zxid: Zxid) {
        let highest = self.identity.last_zxid.max(zxid);
        self.identity.last_zxid = if planted!(ZxidsFall) { zxid } else { highest };
        self.heard_of(sent_at, false);
    }

    fn on_answer(&mut self, header: ReplyHeader, reader: &mut Reader<'_>) {
        if let Some(request) = self.take_oldest(header) {
            return self.on_reply(request, Turn::Oldest, header, reader);
        }
        match self.take_other(header) {
            Some(Answered::Request(request, _)) => self.on_reply(request, Turn::Early, header, reader),
            Some(Answered::Control(control)) => self.on_control_answer(control.owner, header.err, reader),
            None if planted!(MisfitsArePassedOver) => {}
            None => self.disconnect(DisconnectReason::UnexpectedReply { xid: header.xid }),
        }
    }

    fn on_control_answer(&mut self, owner: Owner, err: ErrorCode, reader: &mut Reader<'_>) {
        match owner {
            Owner::Unwatch => {}
            Owner::SetWatches(batch) => self.on_watches_set(&batch, err),
            Owner::CloseSession => {
                let confirmed = matches!(err, ErrorCode::OK | ErrorCode::SESSION_EXPIRED);
                self.end(State::Closed, &Failure::Closed, Event::Closed { confirmed });
            }
            Owner::Sasl => self.on_sasl_reply(err, reader),
        }
    }

    fn on_reply(&mut self, accepted: Accepted, turn: Turn, header: ReplyHeader, reader: &mut Reader<'_>) {
        if accepted.has_ended {
            return self.on_abandoned(accepted, header, reader);
        }
        if self.learn(accepted.op, &header) && self.may_fall_back(&accepted, turn) {
            return self.fall_back(accepted);
        }
        self.settle(&accepted);
        let result = self.result_of(&accepted, header, reader);
        let is_answer = !matches!(result, Err(RequestError::Failed { .. }));
        self.tell(accepted.id, header.zxid, result);
        if is_answer {
            self.note_watches(&accepted, header);
        }
        if planted!(ExpiredRepliesAreVerdicts) && header.err == ErrorCode::SESSION_EXPIRED {
            self.expire(ExpiredBy::Server, ExpiredReason::Refused);
        }
    }

    /// What an answer says of watches: one is armed, or some are removed.
    fn note_watches(&mut self, accepted: &Accepted, header: ReplyHeader) {
        let Some(retained) = &accepted.retained else { return };
        let Retained { request, is_covered, .. } = &**retained;
        let (owner, asks_for_watch, on_wire) = (accepted.id, accepted.asks_for_watch, !is_covered);
        let ReplyHeader { zxid, err, .. } = header;
        if let Request::RemoveWatches(remove) = request {
            if matches!(err, ErrorCode::OK | ErrorCode::NO_WATCHER) {
                self.watches_removed(&remove.path, remove.watcher_type);
            }
        } else if let Some((path, kind)) = admission::watch_left(request, err) {
            if asks_for_watch {
                self.watch_added(path, kind, owner, on_wire, zxid);
            } else if admission::asks_for_watch(request) {
                self.given_up_watch_added(path, kind, on_wire);
            }
        }
    }

    fn result_of(
        &mut self,
        accepted: &Accepted,
        header: ReplyHeader,
        reader: &mut Reader<'_>,
    ) -> Result<Response, RequestError> {
        if planted!(RefusalsAreOk) && header.err != ErrorCode::OK {
            return Ok(Response::Empty);
        }
        if header.err != ErrorCode::OK {
            return Err(self.refusal(header.err));
        }
        let mut response = match Response::decode(accepted.op, reader) {
            Ok(response) => response,
            Err(error) => return Err(self.unusable(Failure::MalformedReply { zxid: header.zxid, error })),
        };
        self.chroot.undo(&mut response);
        if let Response::Multi(multi) | Response::MultiRead(multi) = &mut response {
            self.check_results(accepted, multi)?;
        }
        Ok(response)
    }

    fn check_results(&mut self, accepted: &Accepted, multi: &mut MultiResponse) -> Result<(), RequestError> {
        let (results, ops) = (multi.results.len(), accepted.ops as usize);
        if results != ops {
            return Err(self.unusable(Failure::WrongResultCount { results, ops }));
        }
        match multi.first_error().filter(|_| accepted.op == OpCode::MULTI && !planted!(RefusedMultisAreOk)) {
            None => Ok(()),
            Some(code) => {
                self.stats.refused += 1;
                Err(RequestError::Refused { code, results: core::mem::take(&mut multi.results) })
            }
        }
    }

    /// A request that was given up is answered. Nobody waits for it, but it may have removed watches, left one,
    /// or created an ephemeral znode that nobody knows of.
    fn on_abandoned(&mut self, mut given_up: Accepted, header: ReplyHeader, reader: &mut Reader<'_>) {
        self.learn(given_up.op, &header);
        given_up.asks_for_watch = false;
        self.note_watches(&given_up, header);
        if !given_up.creates_ephemeral || header.err != ErrorCode::OK {
            return;
        }
        let response = Response::decode(given_up.op, reader);
        if let Ok(
            Response::Create(CreateResponse { path }) | Response::Create2(Create2Response { path, .. }),
        ) = response
        {
            let path = self.chroot.client_path(&path);
            self.emit(Event::AbandonedCreate { request: given_up.id, path });
        }
    }

    /// The server has answered, but nobody can tell what.
    pub(crate) fn unusable(&mut self, failure: Failure) -> RequestError {
        self.failure(failure, Delivery::MaybeApplied)
    }
}

/// Watches.
impl Session {
    fn on_notification(&mut self, zxid: Zxid, mut reader: Reader<'_>) {
        let WatcherEvent { event_type, state, mut path } = match WatcherEvent::decode(&mut reader) {
            Ok(event) => event,
            Err(error) => return self.disconnect(DisconnectReason::MalformedFrame(error)),
        };
        if planted!(LongerEventsAreMalformed) && reader.remaining() > 0 {
            return self.disconnect(DisconnectReason::UnexpectedReply { xid: ReplyHeader::EVENT_XID });
        }
        self.stats.notifications += 1;
        if planted!(EventsRaiseZxid) {
            self.identity.last_zxid = self.identity.last_zxid.max(zxid);
        }
        assert!(is_known(event_type) || !planted!(UnknownEventsPanic));
        if !is_known(event_type) {
            // The server may have dropped its one-time watches for it.
            self.watches.disarm_at(&path, self.identity.last_zxid, |kind| !kind.is_persistent());
        }
        let fired = self.watches.fire(event_type, &path);
        let Some(last) = fired.len().checked_sub(1) else { return self.on_unwanted() };
        self.chroot.undo_path(&mut path);
        for (place, &Fired { owner: request, hearing }) in fired.iter().enumerate() {
            let path = if place == last { core::mem::take(&mut path) } else { path.clone() };
            let event = WatchEvent { request, event_type, state, path, zxid, last: hearing == Hearing::Last };
            match &mut self.connection {
                Some(connection) if hearing == Hearing::Early => connection.keep_early(event),
                Some(_) | None => self.outbox.push_heard(event),
            }
        }
    }

    fn on_unwanted(&mut self) {
        self.stats.unwanted_notifications += 1;
        if planted!(GhostsEndConnections) {
            self.disconnect(DisconnectReason::UnexpectedReply { xid: ReplyHeader::EVENT_XID });
        }
    }

    fn on_watches_set(&mut self, batch: &Batch, err: ErrorCode) {
        let Some(rearm) = self.connection.as_mut().and_then(|connection| connection.rearm.as_mut()) else {
            return;
        };
        if err == ErrorCode::OK {
            rearm.acknowledged(&mut self.watches, batch);
            for path in batch.recursive(&self.watches) {
                self.rearm_children_at(&path);
            }
        } else {
            for (request, path) in rearm.refused(&mut self.watches, batch) {
                let path = self.chroot.client_path(&path);
                self.emit(Event::WatchEnded { request, path, reason: WatchEndReason::RearmFailed(err) });
            }
        }
        self.note_progress();
    }
}

/// The handshake.
impl Session {
    fn on_connect_response(&mut self, mut reader: Reader<'_>) {
        let response = match ConnectResponse::decode(&mut reader) {
            Ok(response) => response,
            Err(error) => return self.disconnect(DisconnectReason::BadConnectResponse(error)),
        };
        let asked_for = self.identity.session.as_ref().map(|(session_id, _)| *session_id);
        let Some(millis) = u64::try_from(response.time_out).ok().filter(|&millis| millis > 0) else {
            return match asked_for {
                Some(_) => self.expire(ExpiredBy::Server, ExpiredReason::Refused),
                None if planted!(RefusedBirthsExpire) => {
                    self.expire(ExpiredBy::Server, ExpiredReason::Refused)
                }
                None => self.disconnect(DisconnectReason::SessionRefused),
            };
        };
        let is_another = asked_for.is_some_and(|session_id| session_id != response.session_id);
        if is_another && !planted!(AnotherIdentityIsTaken) {
            return self.expire(ExpiredBy::Server, ExpiredReason::Replaced);
        }
        if response.session_id == SessionId(0) {
            return self.disconnect(DisconnectReason::SessionRefused);
        }
        let read_only = response.read_only == Some(true);
        if read_only && !self.config.read_only && !planted!(ReadOnlyIsTakenUnasked) {
            return self.disconnect(DisconnectReason::ReadOnlyServer);
        }
        self.connected(Accepting {
            session_id: response.session_id,
            password: response.passwd.map_or_else(Bytes::new, |password| Bytes::copy_from_slice(&password)),
            timeout: Duration::from_millis(millis),
            read_only,
        });
    }
}

/// So many actions may wait before more is looked at of what a server says.
const MANY: usize = 64;
