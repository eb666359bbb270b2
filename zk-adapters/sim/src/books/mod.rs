//! Books kept beside a session: what must hold after every single input, whatever the story is about.
//!
//! [`Books`] is told of each call before and after it, and of each action, and panics where the session breaks a promise.
//! The numbers in its messages name the invariants; `INV-01` is that each request has exactly one outcome.
#![expect(
    clippy::wildcard_enum_match_arm,
    clippy::missing_panics_doc,
    reason = "a check looks for one thing among many, and panics when it finds it"
)]

mod lines;
mod outcomes;
mod states;
mod watches;

use zk_session::{
    Action, Config, Event, Instant, RequestId, Session, SubmitError,
    zk_proto::{Jute as _, OpCode, Reader, Request, RequestHeader},
};

use crate::input::Input;
use lines::{Line, Lines, SentFrame};
use outcomes::Outcomes;
use states::{KeepAlive, States};
use watches::WatchBook;

pub(crate) use watches::LiveWatch;

/// Books kept beside the session, from nothing but what goes in and what comes out.
#[derive(Clone, Debug)]
pub struct Books {
    config: Config,
    now: Instant,
    is_drained: bool,
    /// The session before an input that must do nothing.
    must_stay: Option<String>,
    must_be_silent: bool,
    /// A tick that was due.
    ticked_at: Option<Instant>,
    lines: Lines,
    outcomes: Outcomes,
    states: States,
    watches: WatchBook,
    keep_alive: KeepAlive,
}

impl Books {
    /// The books of a session that is made from this configuration at this time.
    pub fn new(config: Config, now: Instant) -> Self {
        Self {
            lines: Lines::new(config.max_frame_len),
            outcomes: Outcomes::default(),
            states: States::default(),
            keep_alive: KeepAlive::default(),
            watches: WatchBook::new(config.connect_string.chroot.clone()),
            config,
            now,
            is_drained: false,
            must_stay: None,
            must_be_silent: false,
            ticked_at: None,
        }
    }

    /// The watches that the session holds.
    pub(crate) fn live_watches(&self) -> impl Iterator<Item = LiveWatch> {
        self.watches.live()
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
        let is_late = session.poll_timeout().is_some_and(|due| due < now);
        let can_send = self.lines.live().is_some_and(Line::can_send);
        self.keep_alive.check(now, is_late || !can_send, session.negotiated_timeout());
        self.must_be_silent = does_nothing && self.is_drained;
        self.must_stay = does_nothing.then(|| format!("{session:?}"));
        self.ticked_at = None;
        if let (Input::Timeout, false) = (input, is_early) {
            self.ticked_at = Some(now.max(self.now));
        }
        if let Input::Received(connection, bytes) = input {
            self.lines.received(*connection, bytes, session.state());
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
        self.is_drained = false;
        if let Some(before) = self.must_stay.take() {
            assert_eq!(before, format!("{session:?}"), "INV-31, INV-51, INV-62: {input:?} does nothing");
        }
        if let Ok(Some(id)) = accepted {
            assert!(!self.states.is_over(), "INV-31: {id:?} was accepted after the end");
            self.outcomes.accepted(*id, input);
        }
        match input {
            Input::Sent(connection, count) => self.lines.sent(*connection, *count),
            Input::Disconnected(connection) => self.lines.ended(*connection),
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
            | Input::Cancel(_)
            | Input::UpdateServers(_) => {}
        }
        self.check_numbers(session);
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
            Action::Connect { connection, .. } => self.lines.connect(*connection, &self.config),
            Action::Send { connection, bytes } => {
                self.keep_alive.sent(self.now);
                assert!(bytes.len() <= self.config.max_send_len.max(64), "a chunk of {} bytes", bytes.len());
                for frame in self.lines.send(*connection, bytes) {
                    self.frame(&frame, session);
                }
                self.begun(session);
            }
            Action::Disconnect { connection, reason } => self.lines.disconnect(*connection, reason.clone()),
            Action::Probe { .. } => {}
            Action::Emit(event) => self.event(event, session),
        }
    }

    fn event(&mut self, event: &Event, session: &Session) {
        self.states.event(event);
        self.watches.event(event);
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

    /// One whole frame was handed out.
    fn frame(&mut self, frame: &SentFrame, session: &Session) {
        let line = self.lines.current().expect("a Send has a connection");
        if frame.is_first {
            return line.connect_request(&frame.payload, session, &self.config);
        }
        let mut reader = Reader::new(&frame.payload);
        let header = RequestHeader::decode(&mut reader).expect("INV-70: a header");
        let request = Request::decode(header.op, &mut reader).expect("INV-70: a request");
        assert!(line.is_accepted, "INV-18: {:?} before the ConnectResponse", header.op);
        assert!(!line.has_closed, "INV-54, INV-74: {:?} after closeSession", header.op);
        match request {
            Request::Ping => line.ping(header.xid),
            Request::Auth(packet) => line.auth(header.xid, packet),
            Request::SetWatches(_) | Request::SetWatches2(_) => {
                line.takes_xid(header.xid);
                let len = frame.payload.len() + 4;
                let most = self.config.max_set_watches_len;
                let set = self.watches.set_again(&request, len, most);
                line.rearmed.extend(set);
            }
            Request::Sasl(_) => {
                assert!(line.auths.is_empty() && !line.requests_begun, "INV-19: SASL comes first");
                line.takes_xid(header.xid);
            }
            Request::CloseSession => {
                line.takes_xid(header.xid);
                line.has_closed = true;
            }
            other => self.request(header, &other, frame.start),
        }
    }

    fn request(&mut self, header: RequestHeader, request: &Request, start: u64) {
        let line = self.lines.current().expect("a Send has a connection");
        line.takes_xid(header.xid);
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
        self.outcomes.handed_out(id, line.id, &self.lines);
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
        self.states.check(session, self.lines.live());
        let line: Option<&Line> = self.lines.live();
        assert_eq!(session.is_ready(), line.is_some() && self.states.is_ready(), "INV-27");
    }
}
