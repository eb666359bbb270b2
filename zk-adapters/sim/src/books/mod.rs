//! Books kept beside a session: what must hold after every single input, whatever the story is about.
//!
//! [`Books`] is told of each call before and after it, and of each action, and panics where the session breaks a promise.
//! The numbers in its messages name the invariants; `INV-01` is that each request has exactly one outcome.
#![expect(
    clippy::wildcard_enum_match_arm,
    clippy::missing_panics_doc,
    reason = "a check looks for one thing among many, and panics when it finds it"
)]

mod attempts;
mod handshake;
mod hearing;
mod leaving;
mod lines;
mod liveness;
mod losses;
mod meetings;
mod outcomes;
mod sightings;
mod states;
mod watches;

use zk_session::{
    Action, Config, ConnectionId, Event, ExpiredBy, Expiry, Instant, OnLoss, RequestId, Session, SubmitError,
    zk_proto::{Jute as _, OpCode, Reader, Request, RequestHeader, Ustring},
};

use crate::input::Input;
use attempts::Attempts;
use handshake::Identity;
use leaving::Step;
use lines::{Line, Lines, SentFrame};
use liveness::Liveness;
use meetings::Meetings;
use outcomes::Outcomes;
use states::States;
use watches::WatchBook;

use losses::MANY;

pub(crate) use outcomes::EARLY;
pub(crate) use sightings::{Sighting, Sightings};
pub(crate) use watches::LiveWatch;

/// Books kept beside the session, from nothing but what goes in and what comes out.
#[derive(Clone, Debug)]
pub struct Books {
    config: Config,
    now: Instant,
    is_drained: bool,
    /// All actions had been polled before the last call: what comes now is from that call.
    is_exact: bool,
    /// The session before an input that must do nothing.
    must_stay: Option<String>,
    must_be_silent: bool,
    /// A tick that was due.
    ticked_at: Option<Instant>,
    lines: Lines,
    outcomes: Outcomes,
    states: States,
    watches: WatchBook,
    identity: Identity,
    attempts: Attempts,
    liveness: Liveness,
    meetings: Meetings,
    sightings: Sightings,
    /// How many requests were in flight before the last call.
    in_flight: usize,
}

impl Books {
    /// The books of a session that is made from this configuration at this time.
    pub fn new(config: Config, now: Instant) -> Self {
        Self {
            lines: Lines::new(&config),
            outcomes: Outcomes::default(),
            states: States::default(),
            identity: Identity::new(&config),
            attempts: Attempts::default(),
            liveness: Liveness::default(),
            watches: WatchBook::new(config.connect_string.chroot.clone()),
            config,
            now,
            is_drained: false,
            is_exact: true,
            must_stay: None,
            must_be_silent: false,
            ticked_at: None,
            meetings: Meetings::default(),
            sightings: Sightings::default(),
            in_flight: 0,
        }
    }

    /// The watches that the session holds.
    pub(crate) fn live_watches(&self) -> impl Iterator<Item = LiveWatch> {
        self.watches.live()
    }

    /// What the session has gone through.
    pub(crate) fn sightings(&self) -> &Sightings {
        &self.sightings
    }

    /// A path of the application, as servers name it.
    pub(crate) fn server_path(&self, path: &Ustring) -> String {
        self.watches.server_path(path).to_str().into_owned()
    }

    /// Whether it is being closed.
    pub(crate) fn is_closing(&self) -> bool {
        self.watches.is_closing()
    }

    /// The oldest of what was sent on the current connection and not answered, if it is a request.
    pub(crate) fn oldest_request(&self) -> Option<(RequestId, &Request)> {
        let line = self.lines.live()?;
        let (xid, _) = line.waiting.front()?;
        self.outcomes.get(line.asked_by(*xid)?)
    }

    /// Watches are being armed again, in many batches.
    pub(crate) fn has_many_batches(&self) -> bool {
        self.lines.live().is_some_and(|line| line.leaving.all_batches >= MANY) && !self.states.is_ready()
    }

    /// How many bytes of what is handed out the transport takes until a frame has left whole.
    pub(crate) fn rest_of_frame(&self) -> Option<usize> {
        let line = self.lines.live()?;
        usize::try_from(line.leaving.next_end()? - line.taken).ok()
    }

    /// The xid of the oldest request that the current connection's server has heard and not answered.
    pub(crate) fn oldest_xid(&self) -> Option<i32> {
        self.waiting_xids().next()
    }

    /// The xids of all that waits for an answer, the oldest first.
    pub(crate) fn waiting_xids(&self) -> impl Iterator<Item = i32> {
        self.lines.live().into_iter().flat_map(|line| line.waiting.iter().map(|(xid, _)| *xid))
    }

    /// Before a call.
    ///
    /// # Panics
    /// Here as in the other methods, if the session breaks a promise.
    pub fn before(&mut self, input: &Input, session: &Session, now: Instant) {
        let is_stale = input.connection().is_some_and(|connection| !self.lines.is_live(connection));
        let is_early = matches!(input, Input::Timeout)
            && session.poll_timeout().is_none_or(|due| due > now.max(self.now));
        // INV-62, INV-51, INV-31
        let does_nothing = (is_stale && now <= self.now) || is_early || session.state().is_terminal();
        let late = session.poll_timeout().map(|due| now.max(self.now) - due).filter(|late| !late.is_zero());
        let can_send = self.lines.live().is_some_and(Line::can_send);
        let timeout = session.negotiated_timeout();
        self.liveness.check_sending(now, late.is_some() || !can_send, timeout);
        self.must_be_silent = does_nothing && self.is_drained;
        if !self.is_drained {
            self.in_flight = session.stats().in_flight;
        }
        self.must_stay = does_nothing.then(|| format!("{session:?}"));
        self.ticked_at = None;
        self.liveness.not_ticked();
        if let (Input::Timeout, false) = (input, is_early) {
            self.ticked_at = Some(now.max(self.now));
            self.liveness.ticked(late.unwrap_or_default(), timeout, self.is_drained);
        }
        match input {
            Input::Received(connection, bytes) => {
                self.received(*connection, bytes, session, now.max(self.now));
            }
            Input::Cancel(request) => self.note_cancel(*request, now),
            _ => {}
        }
    }

    fn received(&mut self, connection: ConnectionId, bytes: &[u8], session: &Session, now: Instant) {
        let Some(heard) = self.lines.received(connection, bytes, session.state()) else { return };
        self.liveness.received(now);
        self.note_chunk(now);
        for heard in heard {
            self.liveness.answered(heard.sent_at, heard.timeout, heard.is_new, now);
        }
    }

    /// After a call, its actions not polled yet.
    pub fn after(
        &mut self,
        input: &Input,
        accepted: &Result<Option<RequestId>, SubmitError>,
        session: &Session,
        now: Instant,
    ) {
        self.now = self.now.max(now);
        self.meetings.called(input, now);
        self.is_exact = core::mem::take(&mut self.is_drained);
        if let Some(before) = self.must_stay.take() {
            assert_eq!(before, format!("{session:?}"), "INV-31, INV-51, INV-62: {input:?} does nothing");
        }
        if let Ok(Some(id)) = accepted {
            assert!(!self.states.is_over(), "INV-31: {id:?} was accepted after the end");
            let due_on = session.stats().connections + u64::from(!session.state().is_connected());
            self.outcomes.accepted(*id, input, due_on);
        }
        if !session.state().is_connected() {
            self.lines.left();
        }
        match input {
            Input::Sent(connection, count) => self.lines.sent(*connection, *count),
            Input::Disconnected(connection) => {
                let ended = self.lines.ended(*connection);
                // The session may have left it before, and said so in an action that wasn't polled.
                self.ended(ended, self.is_exact);
            }
            Input::RemoveWatch(watch) => self.watches.given_up(*watch),
            Input::AddAuth(info) => {
                if let Ok(Some(id)) = accepted {
                    self.lines.auth_added(info, *id);
                }
            }
            Input::Close => self.watches.closing(),
            Input::Connected(_)
            | Input::Received(..)
            | Input::Probed(..)
            | Input::Timeout
            | Input::Submit(..)
            | Input::Cancel(_) => {}
            Input::UpdateServers(_) => self.attempts.apart(),
        }
        self.check_numbers(session);
    }

    /// A connection has ended, if it was there and its acceptance is told; exactly now, or earlier.
    fn ended(&mut self, is_accepted: Option<bool>, is_exact: bool) {
        if let Some(is_accepted) = is_accepted {
            self.note_loss();
            self.attempts.ended(is_accepted, is_exact.then_some(self.now));
        }
    }

    fn check_numbers(&mut self, session: &Session) {
        let stats = session.stats();
        let held = (stats.queued + stats.in_flight) as u64;
        assert_eq!(stats.accepted, stats.ended + held, "INV-02: {stats:?}");
        assert_eq!(stats.accepted, self.outcomes.accepted_count(), "INV-02: {stats:?}");
        let config = &self.config;
        assert!(stats.queued_bytes <= config.max_queued_bytes, "INV-72: {stats:?}");
        let auths = self.outcomes.open_auths();
        assert!(stats.queued <= config.max_queued_requests + auths, "INV-72: {stats:?}");
        assert!(stats.in_flight <= config.max_in_flight + auths, "INV-72: {stats:?}");
        assert!(stats.watches <= config.max_watches, "INV-72: {stats:?}");
        self.states.last_zxid(session.last_zxid());
        let highest = self.lines.highest_zxid(self.config.resume.as_ref());
        assert!(session.last_zxid() <= highest, "INV-48: {:?} > {highest:?}", session.last_zxid());
    }

    /// An action was polled.
    pub fn action(&mut self, action: &Action, session: &Session) {
        assert!(!self.must_be_silent, "INV-31, INV-51, INV-62: {action:?} came out of nothing");
        assert!(!self.states.is_over(), "INV-31, INV-32: {action:?} came after the end");
        match action {
            Action::Connect { connection, server } => {
                self.lines.connect(*connection, &self.config);
                self.attempts.connect(server, session, &self.config, self.now);
                self.liveness.begun();
            }
            Action::Send { connection, bytes } => {
                self.liveness.sent(self.now);
                assert!(bytes.len() <= self.config.max_send_len.max(64), "a chunk of {} bytes", bytes.len());
                for frame in self.lines.send(*connection, bytes) {
                    self.frame(&frame, session);
                }
                self.count_batches(session);
                self.begun(session);
            }
            Action::Disconnect { connection, reason } => {
                let ended = self.lines.disconnect(*connection, reason.clone());
                self.ended(ended, self.is_exact);
                self.attempts.dropped(reason);
                self.liveness.dropped(reason, self.now, session.negotiated_timeout());
            }
            Action::Probe { .. } => {}
            Action::Emit(event) => self.event(event, session),
        }
    }

    fn event(&mut self, event: &Event, session: &Session) {
        self.states.event(event);
        let known = self.lines.highest_zxid(self.config.resume.as_ref());
        if matches!(event, Event::Disconnected { .. }) {
            let armed = self.lines.last().map(Line::armed_again).unwrap_or_default();
            self.watches.lost_again(&armed, known);
        }
        let handed_out = self.lines.last().map_or(0, |line| line.handed_out);
        self.meetings.event(event);
        if let Event::Watch(event) = event {
            self.watches.sighting(event).into_iter().for_each(|sighting| self.sightings.saw(sighting));
        }
        self.watches.event(event, known, handed_out);
        if let Event::WatchesRestored { to, .. } = event {
            let armed_at = self.lines.last().and_then(Line::first_armed_at);
            assert!(armed_at.is_none_or(|armed| armed <= *to), "INV-41: {event:?}, armed at {armed_at:?}");
        }
        self.identity.event(event, self.lines.last());
        self.attempts.event(event);
        if matches!(event, Event::Connected { .. }) {
            self.liveness.sent(self.now);
        }
        self.liveness.event(event, self.is_exact, self.config.on_loss == OnLoss::NewSession);
        self.ending(event);
        if let Event::Reply(reply) = event {
            assert!(reply.zxid <= session.last_zxid(), "INV-48: {reply:?} is ahead of last_zxid");
            let request = self.outcomes.reply(reply, &mut self.lines, self.now);
            if let Some(request) = request {
                self.watches.reply(reply, &request);
            }
        }
        if matches!(event, Event::Disconnected { .. }) {
            self.outcomes.connection_lost();
        }
        if matches!(event, Event::Connected { .. }) {
            self.lines.accepted();
        }
        if *event == Event::Ready {
            let line = self.lines.current().expect("INV-27: Ready without a connection");
            assert!(line.has_sent_auths(), "INV-19: Ready, and {:?} were sent", line.auths);
            if !core::mem::replace(&mut line.requests_begun, true) {
                self.watches.rearmed(&line.rearmed);
            }
        }
        if self.states.is_over() {
            assert!(self.outcomes.open().next().is_none(), "INV-32: {:?}", self.outcomes.open().next());
            assert_eq!(self.watches.len(), 0, "INV-32: a watch got no notice of its end");
        }
    }

    /// How a session may end.
    fn ending(&self, event: &Event) {
        match event {
            Event::Expired { by: ExpiredBy::Client, .. } => {
                assert_eq!(self.config.expiry, Expiry::Client, "INV-30: nobody asked for that");
            }
            Event::AuthFailed { .. } => {
                let line = self.lines.last();
                let is_so = line.is_none_or(|line| line.has_refused_auth) || self.config.sasl.is_some();
                assert!(is_so, "INV-77: no server has refused an identity");
            }
            Event::Closed { confirmed: true } => {
                let is_so = self.lines.last().is_some_and(Line::has_ended_session);
                assert!(is_so, "INV-75: no server has confirmed the end");
            }
            _ => {}
        }
    }

    /// One whole frame was handed out.
    fn frame(&mut self, frame: &SentFrame, session: &Session) {
        let line = self.lines.current().expect("a Send has a connection");
        if frame.is_first {
            line.leaving.frame(frame, Step::ConnectRequest);
            let request = line.connect_request(&frame.payload, session, &self.config, self.now);
            return self.identity.asked(&request);
        }
        let mut reader = Reader::new(&frame.payload);
        let header = RequestHeader::decode(&mut reader).expect("INV-70: a header");
        let request = Request::decode(header.op, &mut reader).expect("INV-70: a request");
        line.leaving.frame(frame, Step::of(header.op));
        assert!(line.is_accepted, "INV-18: {:?} before the ConnectResponse", header.op);
        assert!(!line.has_closed, "INV-54, INV-74: {:?} after closeSession", header.op);
        match request {
            Request::Ping => line.ping(header.xid, self.now),
            Request::Auth(packet) => line.auth(header.xid, packet, self.now),
            Request::SetWatches(_) | Request::SetWatches2(_) => {
                line.takes_xid(header.xid, self.now);
                let len = frame.payload.len() + 4;
                let most = self.config.max_set_watches_len;
                let set = self.watches.set_again(&request, frame.start, len, most);
                line.sets_again(header.xid, set);
            }
            Request::Sasl(_) => {
                assert!(line.auths.is_empty() && !line.requests_begun, "INV-19: SASL comes first");
                line.takes_xid(header.xid, self.now);
            }
            Request::CloseSession => {
                line.takes_xid(header.xid, self.now);
                line.close(header.xid);
            }
            other => self.request(header, &other, frame.start),
        }
    }

    fn request(&mut self, header: RequestHeader, request: &Request, start: u64) {
        let line = self.lines.current().expect("a Send has a connection");
        line.takes_xid(header.xid, self.now);
        let begun = line.begun_at(start).and_then(|id| self.outcomes.get(id));
        let next = begun.or_else(|| self.outcomes.next_after(line.last_sent()));
        let id = next.filter(|(_, asked)| self.watches.same_on_the_wire(asked, request)).map(|(id, _)| id);
        let Some(id) = id else {
            assert_eq!(header.op, OpCode::REMOVE_WATCHES, "INV-12: {request:?} is sent, {next:?} is next");
            return;
        };
        if !line.requests_begun {
            line.requests_begun = true;
            assert!(line.has_sent_auths(), "INV-19: a request before the auths");
            self.watches.rearmed(&line.rearmed);
        }
        line.sent_request(id, header.xid, start);
        let line = (line.id, line.ordinal);
        self.outcomes.handed_out(id, line, &self.lines);
    }

    /// A frame was handed out in part: whose it is.
    fn begun(&mut self, _: &Session) {
        let Some(line) = self.lines.current() else { return };
        let last = line.last_sent();
        let next = self.outcomes.next_after(last).map(|(id, _)| id);
        line.note_begun(next);
    }

    /// All actions were polled.
    pub fn drained(&mut self, session: &mut Session) {
        self.is_drained = true;
        let due = session.poll_timeout();
        assert_eq!(session.poll_action(), None, "INV-80");
        assert_eq!(session.poll_timeout(), due, "INV-80");
        let stats = session.stats();
        self.in_flight = stats.in_flight;
        assert_eq!(stats.ended, self.outcomes.ended_count(), "INV-01, INV-02: {stats:?}");
        assert_eq!(stats.watches, self.watches.len(), "INV-33, INV-36: {stats:?}");
        let is_over = session.state().is_terminal();
        assert_eq!(is_over, self.states.is_over(), "INV-31: {:?}", session.state());
        let stands_still = self.now == Instant::MAX;
        assert!(due.is_none() || !is_over, "INV-31: {due:?}");
        assert!(due.is_some() || is_over || stands_still, "INV-49: {:?}", session.state());
        assert_eq!(due, session.next_timer().map(|(_, due)| due));
        if let (Some(ticked_at), Some(due)) = (self.ticked_at.take(), due) {
            assert!(due > ticked_at, "INV-50: {:?}", session.next_timer());
        }
        self.outcomes.check_deadlines(self.now, due);
        self.identity.check(session);
        self.attempts.check(due);
        self.liveness.check(session, self.now);
        let misfit = self.lines.live().and_then(|line| line.misfit);
        assert_eq!(misfit, None, "it must end the connection");
        self.states.check(session, self.lines.live());
        let line: Option<&Line> = self.lines.live();
        assert_eq!(session.is_ready(), line.is_some() && self.states.is_ready(), "INV-27");
    }
}
