use core::{net::SocketAddr, task::Waker};

use zk_proto::{ErrorCode, Request, ServerAddr};
use zk_session::{
    Action, AuthInfo, ConnectionId, Delivery, DisconnectReason, Event, Instant, Reply, RequestId,
    RequestOptions, WatchEvent,
};

use crate::{
    AttemptFailure, Attempts, DialError, Errand, ErrandId, Error, EventQueue, Lost, Machine, SessionEnd,
    SessionEvent, Slots, Standing, StandingEvent, WatchEnded, Watches,
    errands::{Errands, Tools},
};

/// A session, and the books that lead what comes out of it to those who wait for it.
///
/// It does no I/O and wakes nobody: an adapter keeps it behind its lock, moves the session's bytes, hands it the
/// session's events, and wakes those in [`Wakeups`] once the lock is released.
#[derive(Debug)]
pub struct Hub {
    /// The session.
    pub session: Machine,
    /// Who waits for which request's outcome.
    pub slots: Slots,
    /// Who waits for which one-time watch.
    pub watches: Watches,
    /// Who waits for which standing watch.
    pub standing: Standing,
    /// What happened to the session, and isn't read yet.
    pub events: EventQueue,
    /// Wakes the driver; there only while it sleeps.
    pub driver: Option<Waker>,
    /// The server that is connected to or being tried, and why others were given up.
    pub attempts: Attempts,
    /// Requests have flowed.
    pub is_established: bool,
    /// How the session ended, once it has.
    pub end: Option<SessionEnd>,
    errands: Errands,
}

/// What a slot is taken for.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_enums, reason = "there is no third kind")]
pub enum Work {
    /// A request.
    Request(RequestId),
    /// Several that serve one purpose.
    Errand(ErrandId),
}

/// What is to be done once the lock is released.
#[derive(Debug, Default)]
pub struct Wakeups {
    /// Whom to wake.
    pub wakers: Vec<Waker>,
    /// The session became ready, or ended.
    pub milestone: bool,
    /// What happened to the session, for a log.
    pub events: Vec<SessionEvent>,
}

/// A moment before any that the session has been told: for it, the latest one.
pub const NO_LATER: Instant = Instant::ZERO;

impl Hub {
    /// A hub for a session that has just been made.
    pub fn new(session: impl Into<Machine>) -> Self {
        Self {
            session: session.into(),
            slots: Slots::default(),
            watches: Watches::default(),
            standing: Standing::default(),
            events: EventQueue::default(),
            driver: None,
            attempts: Attempts::default(),
            errands: Errands::default(),
            is_established: false,
            end: None,
        }
    }

    /// Submits a request, and takes a slot for its outcome.
    ///
    /// # Errors
    ///
    /// [`Error::NotSubmitted`] or [`Error::DriverGone`].
    #[inline]
    pub fn submit(
        &mut self,
        request: &Request,
        options: RequestOptions,
        now: Instant,
    ) -> Result<RequestId, Box<Error>> {
        self.admit()?;
        match self.session.submit(request, options, now) {
            Ok(request) => {
                self.slots.insert(Work::Request(request));
                Ok(request)
            }
            Err(error) => Err(Box::new(error.into())),
        }
    }

    /// Adds an identity, and takes a slot for the outcome.
    ///
    /// # Errors
    ///
    /// As [`submit`](Self::submit).
    pub fn add_auth(&mut self, info: AuthInfo, now: Instant) -> Result<RequestId, Box<Error>> {
        self.admit()?;
        let request = self.session.add_auth(info, now).map_err(Error::from)?;
        self.slots.insert(Work::Request(request));
        Ok(request)
    }

    #[inline]
    fn admit(&self) -> Result<(), Box<Error>> {
        match self.end {
            Some(SessionEnd::DriverGone) => Err(Box::new(Error::DriverGone { delivery: Delivery::NotSent })),
            Some(_) | None => Ok(()),
        }
    }

    /// Begins an errand with these options for each of its requests, and takes a slot for its outcome.
    ///
    /// # Errors
    ///
    /// [`Error::NotSubmitted`] if its path breaks a rule, or [`Error::DriverGone`].
    pub fn run<T>(&mut self, errand: Errand<T>, mut options: RequestOptions) -> Result<ErrandId, Box<Error>> {
        self.admit()?;
        options.retry = errand.retry.unwrap_or(options.retry);
        let recipe = errand.recipe.map_err(Error::from)?;
        // Nobody waits yet.
        let mut wakeups = Wakeups::default();
        let (errands, tools) = self.errands(&mut wakeups);
        Ok(errands.begin(recipe, options, tools))
    }

    /// Its requests are cancelled. What it may leave behind it still cleans up.
    fn give_up(&mut self, errand: ErrandId, now: Instant) {
        let mut wakeups = Wakeups::default();
        let (errands, tools) = self.errands(&mut wakeups);
        errands.give_up(errand, now, tools);
    }

    fn errands<'a>(&'a mut self, wakeups: &'a mut Wakeups) -> (&'a mut Errands, Tools<'a>) {
        let Self { errands, session, slots, .. } = self;
        (errands, Tools { session, slots, wakers: &mut wakeups.wakers })
    }

    /// Nobody waits for this any more.
    pub fn cancel(&mut self, work: Work, now: Instant) {
        match work {
            Work::Request(request) => self.session.cancel(request, now),
            Work::Errand(errand) => self.give_up(errand, now),
        }
    }

    /// What the session says next, after most of its events, which are taken up on the way. What comes as
    /// [`Action::Emit`] is still to be [dispatched](Self::dispatch).
    #[inline]
    pub fn poll_action(&mut self, wakeups: &mut Wakeups) -> Option<Action> {
        while let Some(event) = self.session.poll_event() {
            self.dispatch(event, wakeups);
        }
        self.session.poll_action()
    }

    /// Takes up one event of the session.
    #[inline]
    #[expect(clippy::wildcard_enum_match_arm, reason = "all others are rare")]
    pub fn dispatch(&mut self, event: Event, wakeups: &mut Wakeups) {
        match event {
            Event::Reply(Reply { request, result: Ok(response), .. }) if self.errands.are_none() => {
                wakeups.add(self.slots.fill(Work::Request(request), Ok(response)));
            }
            Event::Watch(event) => self.dispatch_watch_event(event, wakeups),
            other => self.dispatch_other(other, wakeups),
        }
    }

    /// What comes more rarely.
    #[expect(clippy::wildcard_enum_match_arm, reason = "all others are the session's own")]
    fn dispatch_other(&mut self, event: Event, wakeups: &mut Wakeups) {
        match event {
            Event::Reply(reply) => self.dispatch_reply(reply, wakeups),
            Event::WatchEnded { request, reason, .. } => {
                wakeups.add(self.watches.end(request, reason.into()));
                wakeups.add(self.standing.end(request, reason.into()));
            }
            // Its errand looks for it.
            Event::AbandonedCreate { request, .. } if self.errands.cleans_up_after(request) => {}
            other => {
                self.take_note(&other, wakeups);
                if let Some(event) = SessionEvent::new(other, &self.attempts) {
                    self.push_event(event, wakeups);
                }
            }
        }
    }

    fn dispatch_reply(&mut self, Reply { request, result, .. }: Reply, wakeups: &mut Wakeups) {
        let (errands, tools) = self.errands(wakeups);
        let Some(outcome) = errands.answered(request, result.map_err(Error::from), tools) else { return };
        if let Err(error) = &outcome {
            self.watches.refused(request, error.code() == Some(ErrorCode::NO_NODE));
            self.standing.refused(request);
        }
        wakeups.add(self.slots.fill(Work::Request(request), outcome));
    }

    /// Apart, for it looks into an event that is moved as a whole.
    #[inline(never)]
    fn dispatch_watch_event(&mut self, event: WatchEvent, wakeups: &mut Wakeups) {
        if let Some((held, crowded)) = self.standing.held(event.request) {
            return wakeups.add(held.push(StandingEvent::Event(event), crowded));
        }
        if !event.last {
            // A one-time watch is over with whatever it tells, be it an event that only a newer server knows.
            self.session.remove_watch(event.request, NO_LATER);
        }
        wakeups.add(self.watches.tell(event));
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "only milestones are noted")]
    fn take_note(&mut self, event: &Event, wakeups: &mut Wakeups) {
        self.attempts.take_note(event);
        let end = match *event {
            Event::WatchesRestored { from, to } => {
                wakeups.wakers.extend(self.standing.tell_gap(from, to));
                return;
            }
            Event::Ready => {
                self.is_established = true;
                wakeups.milestone = true;
                return;
            }
            Event::Expired { reason, .. } => SessionEnd::Expired { reason },
            Event::AuthFailed { .. } => SessionEnd::AuthFailed,
            Event::Closed { confirmed } => SessionEnd::Closed { confirmed },
            _ => return,
        };
        self.end(end, wakeups);
    }

    fn push_event(&mut self, event: SessionEvent, wakeups: &mut Wakeups) {
        wakeups.events.push(event.clone());
        wakeups.add(self.events.push(event));
    }

    fn end(&mut self, end: SessionEnd, wakeups: &mut Wakeups) {
        self.end.get_or_insert(end);
        wakeups.milestone = true;
        wakeups.add(self.events.end());
    }

    /// Gives back the memory of a burst that is over.
    pub fn give_back(&mut self) {
        self.slots.give_back();
        self.watches.give_back();
    }

    /// A transport is there.
    pub fn opened(&mut self, connection: ConnectionId, address: SocketAddr, now: Instant) {
        self.attempts.opened(address);
        self.session.handle_connected(connection, now);
    }

    /// No transport could be had.
    pub fn dial_failed(
        &mut self,
        connection: ConnectionId,
        error: DialError,
        now: Instant,
        wakeups: &mut Wakeups,
    ) {
        let failure = self.attempts.dial_failed(error);
        self.tell_failure(failure, wakeups);
        self.session.handle_disconnected(connection, now);
    }

    /// The transport has ended.
    pub fn lost(&mut self, connection: ConnectionId, lost: Lost, now: Instant, wakeups: &mut Wakeups) {
        let failure = self.attempts.lost(lost);
        self.tell_failure(failure, wakeups);
        self.session.handle_disconnected(connection, now);
    }

    /// The session wants to be connected to a server.
    pub fn attempt_begun(&mut self, server: &ServerAddr, wakeups: &mut Wakeups) {
        self.attempts.begin(server.clone());
        self.push_event(SessionEvent::Connecting { server: server.clone() }, wakeups);
    }

    /// Notes that the session gave up its connection: an attempt that failed, unless it had been accepted on it.
    pub fn attempt_dropped(&mut self, reason: DisconnectReason, wakeups: &mut Wakeups) {
        let failure = self.attempts.dropped(reason);
        self.tell_failure(failure, wakeups);
    }

    fn tell_failure(&mut self, failure: Option<AttemptFailure>, wakeups: &mut Wakeups) {
        if let Some(AttemptFailure { server, cause }) = failure {
            self.push_event(SessionEvent::AttemptFailed { server, cause }, wakeups);
        }
    }

    /// Whether a server has accepted the session on the current connection.
    pub fn is_connected(&self) -> bool {
        self.session.state().is_connected()
    }

    /// Whether nothing more will come out of the session.
    pub fn is_over(&self) -> bool {
        self.session.state().is_terminal()
    }

    /// Ends all that depends on the driver, which is being dropped before the session has ended. The machine
    /// itself tells what can have reached a server: it is closed as if its network were gone. Of the bytes that the
    /// transport of `connection` was given, all that it took have been reported.
    pub fn driver_gone(&mut self, connection: Option<ConnectionId>, now: Instant, wakeups: &mut Wakeups) {
        self.session.close(now);
        if let Some(connection) = connection {
            self.session.handle_sent(connection, 0, now);
            self.session.handle_disconnected(connection, now);
        }
        self.session.handle_timeout(Instant::MAX);
        while let Some(action) = self.session.poll_action() {
            let Action::Emit(Event::Reply(Reply { request, result, .. })) = action else { continue };
            let delivery = result.err().and_then(|error| error.delivery()).unwrap_or(Delivery::MaybeApplied);
            let (errands, tools) = self.errands(wakeups);
            let gone = errands.answered(request, Err(Error::DriverGone { delivery }), tools);
            wakeups.add(gone.and_then(|gone| self.slots.fill(Work::Request(request), gone)));
        }
        wakeups.wakers.extend(self.watches.end_all());
        wakeups.wakers.extend(self.standing.end_all(WatchEnded::DriverGone));
        self.push_event(SessionEvent::DriverGone, wakeups);
        self.attempts.end();
        self.end(SessionEnd::DriverGone, wakeups);
    }
}

impl Wakeups {
    /// Gives back the memory of a burst that is over.
    pub fn give_back(&mut self) {
        if self.wakers.is_empty() {
            self.wakers = Vec::new();
        }
    }

    #[inline]
    fn add(&mut self, waker: Option<Waker>) {
        if let Some(waker) = waker {
            if self.wakers.capacity() == 0 {
                // Most sessions never wake more than one at a time.
                self.wakers.reserve_exact(1);
            }
            self.wakers.push(waker);
        }
    }
}
