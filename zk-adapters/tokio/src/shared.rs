use core::{net::SocketAddr, task::Waker};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;
use zk_proto::{ErrorCode, Request, ServerAddr};
use zk_session::{
    AuthInfo, ConnectionId, Delivery, DisconnectReason, Epoch, Event, Instant, Reply, RequestId,
    RequestOptions, Session, WatchEvent,
};

use crate::{
    AttemptCause, AttemptFailure, Error, SessionEnd, SessionEvent, WatchEnded,
    events::EventQueue,
    link::{Link, ReadBuffer, Seen},
    slots::{SlotId, Slots},
    standing::Standing,
    trace,
    watch::Watches,
};

/// What the handles of a client and its driver share.
#[derive(Debug)]
pub(crate) struct Shared {
    inner: Mutex<Inner>,
    epoch: Epoch,
    /// Told when the session becomes ready, and when it ends.
    milestone: Notify,
}

/// The session, and where its events go. Never locked across I/O, an await, or a wake-up.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) session: Session,
    pub(crate) slots: Slots,
    pub(crate) watches: Watches,
    pub(crate) standing: Standing,
    pub(crate) events: EventQueue,
    /// Wakes the driver; there only while it sleeps.
    pub(crate) driver: Option<Waker>,
    /// The server that is connected to, or being tried.
    pub(crate) server: Option<ServerAddr>,
    /// Which of its addresses, while there is a TCP connection.
    pub(crate) address: Option<SocketAddr>,
    /// The server has accepted the session on the latest connection.
    pub(crate) is_accepted: bool,
    pub(crate) is_established: bool,
    pub(crate) end: Option<SessionEnd>,
    failures: BTreeMap<ServerAddr, AttemptCause>,
}

/// Before any moment that the session has been told, and so the latest one for it.
pub(crate) const NO_LATER: Instant = Instant::ZERO;

/// What is to be done once the lock is released.
#[derive(Debug, Default)]
pub(crate) struct Wakeups {
    wakers: Vec<Waker>,
    milestone: bool,
    told: trace::Told,
}

impl Shared {
    pub(crate) fn new(session: Session, epoch: Epoch) -> Self {
        let inner = Inner {
            session,
            slots: Slots::default(),
            watches: Watches::default(),
            standing: Standing::default(),
            events: EventQueue::default(),
            driver: None,
            server: None,
            address: None,
            is_accepted: false,
            is_established: false,
            end: None,
            failures: BTreeMap::new(),
        };
        Self { inner: Mutex::new(inner), epoch, milestone: Notify::new() }
    }

    /// The moment, as the session tells it. It is tokio's clock, so that a paused one pauses the session.
    pub(crate) fn now(&self) -> Instant {
        self.epoch.instant(tokio::time::Instant::now().into_std())
    }

    /// A moment of the session on tokio's clock; none if it lies beyond what that can tell.
    pub(crate) fn alarm_at(&self, due: Instant) -> Option<tokio::time::Instant> {
        self.epoch.std_instant(due).map(Into::into)
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the session at this moment, and wakes the driver to act upon it.
    pub(crate) fn command<R>(&self, change: impl FnOnce(&mut Inner, Instant) -> R) -> R {
        let now = self.now();
        self.change(|inner| change(inner, now))
    }

    /// Changes the session, and wakes the driver to act upon it: it brings the time before it does so, and a change
    /// that doesn't count from the present needs none.
    pub(crate) fn change<R>(&self, change: impl FnOnce(&mut Inner) -> R) -> R {
        let mut inner = self.lock();
        let result = change(&mut inner);
        let driver = inner.driver.take();
        drop(inner);
        if let Some(driver) = driver {
            driver.wake();
        }
        result
    }

    /// Wakes all who have something to take up; tells whether there are any.
    pub(crate) fn wake(&self, wakeups: &mut Wakeups) -> bool {
        wakeups.told.tell();
        let are_some = !wakeups.wakers.is_empty();
        for waker in wakeups.wakers.drain(..) {
            waker.wake();
        }
        if core::mem::take(&mut wakeups.milestone) {
            self.milestone.notify_waiters();
        }
        are_some
    }

    /// Waits until `look` sees what it wants; it is asked anew at each milestone.
    pub(crate) async fn wait_for<R>(&self, mut look: impl FnMut(&Inner) -> Option<R>) -> R {
        loop {
            let milestone = self.milestone.notified();
            if let Some(seen) = look(&self.lock()) {
                return seen;
            }
            milestone.await;
        }
    }
}

impl Inner {
    pub(crate) fn submit(
        &mut self,
        request: Request,
        options: RequestOptions,
        now: Instant,
    ) -> Result<(RequestId, SlotId), Error> {
        if self.end == Some(SessionEnd::DriverGone) {
            return Err(Error::DriverGone { delivery: Delivery::NotSent });
        }
        let request = self.session.submit(request, options, now)?;
        Ok((request, self.slots.insert(request)))
    }

    pub(crate) fn add_auth(&mut self, info: AuthInfo, now: Instant) -> Result<(RequestId, SlotId), Error> {
        if self.end == Some(SessionEnd::DriverGone) {
            return Err(Error::DriverGone { delivery: Delivery::NotSent });
        }
        let request = self.session.add_auth(info, now)?;
        Ok((request, self.slots.insert(request)))
    }

    /// Takes up one event of the session.
    #[expect(clippy::wildcard_enum_match_arm, reason = "all others are the session's own")]
    pub(crate) fn dispatch(&mut self, event: Event, wakeups: &mut Wakeups) {
        match event {
            Event::Reply(reply) => self.dispatch_reply(reply, wakeups),
            Event::Watch(event) => self.dispatch_watch_event(event, wakeups),
            Event::WatchEnded { request, reason, .. } => {
                wakeups.add(self.watches.end(request, reason.into()));
                wakeups.add(self.standing.end(request, reason.into()));
            }
            other => {
                self.take_note(&other, wakeups);
                if let Some(event) = SessionEvent::new(other, self) {
                    self.push_event(event, wakeups);
                }
            }
        }
    }

    fn dispatch_reply(&mut self, Reply { request, result, .. }: Reply, wakeups: &mut Wakeups) {
        let outcome = result.map_err(Error::from);
        if let Err(error) = &outcome {
            self.watches.refused(request, error.code() == Some(ErrorCode::NO_NODE));
            self.standing.refused(request);
        }
        wakeups.add(self.slots.finish(request, outcome));
    }

    fn dispatch_watch_event(&mut self, event: WatchEvent, wakeups: &mut Wakeups) {
        if self.standing.has(event.request) {
            return wakeups.add(self.standing.tell(&event));
        }
        if !event.last {
            // A one-time watch is over with whatever it tells, be it an event that only a newer server knows.
            self.session.remove_watch(event.request, NO_LATER);
        }
        wakeups.add(self.watches.tell(event));
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "only milestones are noted")]
    fn take_note(&mut self, event: &Event, wakeups: &mut Wakeups) {
        let end = match *event {
            Event::WatchesRestored { from, to } => {
                wakeups.wakers.extend(self.standing.tell_gap(from, to));
                return;
            }
            Event::Ready => {
                self.is_established = true;
                self.failures.clear();
                wakeups.milestone = true;
                return;
            }
            Event::Connected { .. } => {
                self.is_accepted = true;
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
        wakeups.told.note(&event);
        wakeups.add(self.events.push(event));
    }

    fn end(&mut self, end: SessionEnd, wakeups: &mut Wakeups) {
        self.end.get_or_insert(end);
        self.server = None;
        self.address = None;
        wakeups.milestone = true;
        wakeups.add(self.events.end());
    }

    /// Tells the session what was seen of its connection.
    pub(crate) fn report(
        &mut self,
        connection: ConnectionId,
        seen: Seen,
        buffer: &ReadBuffer,
        now: Instant,
        wakeups: &mut Wakeups,
    ) {
        match seen {
            Seen::Nothing => {}
            Seen::Opened(address) => {
                self.address = Some(address);
                self.session.handle_connected(connection, now);
            }
            Seen::Failed(error) => {
                self.attempt_failed(AttemptCause::Dial(Arc::new(error)), wakeups);
                self.session.handle_disconnected(connection, now);
            }
            Seen::Moved { sent, received, lost, .. } => {
                if let Some(sent) = sent {
                    self.session.handle_sent(connection, sent, now);
                }
                if received > 0 {
                    self.session.handle_received(connection, buffer.filled(received), now);
                }
                if let Some(lost) = lost {
                    if !self.is_accepted {
                        self.attempt_failed(lost.into(), wakeups);
                    }
                    self.session.handle_disconnected(connection, now);
                }
            }
        }
    }

    pub(crate) fn attempt_begun(&mut self, server: &ServerAddr, wakeups: &mut Wakeups) {
        self.server = Some(server.clone());
        self.address = None;
        self.is_accepted = false;
        self.push_event(SessionEvent::Connecting { server: server.clone() }, wakeups);
    }

    /// Notes that the session gave up its connection: an attempt that failed, unless it had been accepted on it.
    pub(crate) fn attempt_dropped(&mut self, reason: DisconnectReason, wakeups: &mut Wakeups) {
        if !self.is_accepted {
            self.attempt_failed(AttemptCause::Session(reason), wakeups);
        }
    }

    fn attempt_failed(&mut self, cause: AttemptCause, wakeups: &mut Wakeups) {
        let Some(server) = self.server.clone() else { return };
        self.failures.insert(server.clone(), cause.clone());
        self.push_event(SessionEvent::AttemptFailed { server, cause }, wakeups);
    }

    /// Why the last attempt at each server failed, since the session was last ready.
    pub(crate) fn failures(&self) -> Vec<AttemptFailure> {
        self.failures
            .iter()
            .map(|(server, cause)| AttemptFailure { server: server.clone(), cause: cause.clone() })
            .collect()
    }

    /// Whether the session is connected to `server`.
    pub(crate) fn is_connected(&self) -> bool {
        self.session.state().is_connected()
    }

    /// Whether nothing more will come out of the session.
    pub(crate) fn is_over(&self) -> bool {
        self.session.state().is_terminal()
    }

    /// Ends all that depends on the driver, which is being dropped before the session has ended. The machine
    /// itself tells what can have reached a server: it is closed as if its network were gone.
    pub(crate) fn driver_dropped(&mut self, link: Option<&Link>, now: Instant, wakeups: &mut Wakeups) {
        self.session.close(now);
        if let Some(link) = link {
            self.session.handle_sent(link.connection, 0, now);
            self.session.handle_disconnected(link.connection, now);
        }
        self.session.handle_timeout(Instant::MAX);
        while let Some(action) = self.session.poll_action() {
            let zk_session::Action::Emit(Event::Reply(Reply { request, result, .. })) = action else {
                continue;
            };
            let delivery = result.err().and_then(|error| error.delivery()).unwrap_or(Delivery::MaybeApplied);
            wakeups.add(self.slots.finish(request, Err(Error::DriverGone { delivery })));
        }
        wakeups.wakers.extend(self.watches.end_all());
        wakeups.wakers.extend(self.standing.end_all(WatchEnded::DriverGone));
        self.push_event(SessionEvent::DriverGone, wakeups);
        self.end(SessionEnd::DriverGone, wakeups);
    }
}

impl Wakeups {
    pub(crate) fn add(&mut self, waker: Option<Waker>) {
        self.wakers.extend(waker);
    }
}
