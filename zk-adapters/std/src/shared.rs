use core::{task::Waker, time::Duration};
use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError},
};

use zk_client::{Hub, Machine, Wakeups};
use zk_proto::ServerAddr;
use zk_session::{Action, ConnectionId, Instant};

use crate::{
    link::Link,
    probe, reader,
    sync::{Clock, Condvar, Mutex, MutexGuard},
    transport::Security,
};

/// What the handles of a client and its threads share.
///
/// Nobody reads or writes under its lock, and whoever changes the session does what it then says: see
/// [`settle`](Self::settle).
#[derive(Debug)]
pub(crate) struct Shared {
    inner: Mutex<Inner>,
    pub(crate) clock: Clock,
    pub(crate) security: Security,
    /// Told when the session becomes ready, and when it ends.
    milestone: Condvar,
    /// Told when the reader thread should look again.
    pub(crate) reader: Condvar,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) hub: Hub,
    pub(crate) link: Option<Link>,
    /// When the ticker will wake by itself.
    pub(crate) alarm: Instant,
    /// Counts what was submitted and what was taken up: as long as it moves, there are others to read.
    pub(crate) activity: u64,
    /// The threads that wait for something, and would read if nobody else did.
    followers: BTreeMap<u64, Waker>,
    tickets: u64,
    wakeups: Wakeups,
}

pub(crate) type Guard<'a> = MutexGuard<'a, Inner>;

impl Shared {
    pub(crate) fn new(session: Machine, security: Security) -> Self {
        let inner = Inner {
            hub: Hub::new(session),
            link: None,
            alarm: Instant::MAX,
            activity: 0,
            followers: BTreeMap::new(),
            tickets: 0,
            wakeups: Wakeups::default(),
        };
        let (milestone, reader) = (Condvar::new(), Condvar::new());
        Self { inner: Mutex::new(inner), clock: Clock::new(), security, milestone, reader }
    }

    pub(crate) fn now(&self) -> Instant {
        self.clock.now()
    }

    pub(crate) fn lock(&self) -> Guard<'_> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the session at this moment, and does what it says then.
    pub(crate) fn command<R>(self: &Arc<Self>, change: impl FnOnce(&mut Hub, Instant) -> R) -> R {
        let now = self.now();
        let mut inner = self.lock();
        let result = change(&mut inner.hub, now);
        drop(self.settle(inner));
        result
    }

    /// Does what the session says, until there is nothing more to do for now: tells its events, wakes who has
    /// something to take up, and writes what waits, unless somebody is at it.
    pub(crate) fn settle<'a>(self: &'a Arc<Self>, mut inner: Guard<'a>) -> Guard<'a> {
        loop {
            inner.act(self);
            if let Some(wakeups) = inner.take_wakeups() {
                drop(inner);
                self.wake(wakeups);
                inner = self.lock();
                continue;
            }
            let Some(writing) = inner.link.as_mut().and_then(Link::begin_write) else { return inner };
            drop(inner);
            let outcome = writing.write();
            let now = self.now();
            inner = self.lock();
            inner.end_write(self, writing, outcome, now);
        }
    }

    /// Leaves the session after something was submitted that has this deadline.
    #[inline]
    pub(crate) fn submitted(&self, mut inner: Guard<'_>, deadline: Option<Instant>) {
        let waker = inner.submitted(self, deadline);
        drop(inner);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Leaves the session to others, one of whom goes on to read.
    pub(crate) fn leave(self: &Arc<Self>, mut inner: Guard<'_>) {
        inner.hand_over(self);
        if let Some(wakeups) = inner.take_wakeups() {
            drop(inner);
            self.wake(wakeups);
        }
    }

    /// Waits until `look` sees what it wants; it is asked anew at each milestone. None if it takes longer.
    pub(crate) fn wait_for_milestone<R>(
        &self,
        limit: Option<Duration>,
        mut look: impl FnMut(&Hub) -> Option<R>,
    ) -> Option<R> {
        let until = limit.map(|limit| self.now() + limit);
        let mut inner = self.lock();
        loop {
            if let Some(seen) = look(&inner.hub) {
                return Some(seen);
            }
            let left = until.map_or(Duration::MAX, |until| until - self.now());
            if left.is_zero() {
                return None;
            }
            inner = self.wait_on(&self.milestone, inner, left);
        }
    }

    /// Waits until that is told, at most for so long. It may return early.
    pub(crate) fn wait_on<'a>(&'a self, told: &Condvar, inner: Guard<'a>, limit: Duration) -> Guard<'a> {
        self.clock.wait(&self.inner, told, inner, limit)
    }

    fn wake(&self, wakeups: Wakeups) {
        for waker in wakeups.wakers {
            waker.wake();
        }
        if wakeups.milestone {
            self.milestone.notify_all();
        }
    }
}

impl Inner {
    /// Does all that the session says but what takes I/O on its connection.
    fn act(&mut self, shared: &Arc<Shared>) {
        while let Some(action) = self.hub.poll_action(&mut self.wakeups) {
            match action {
                Action::Emit(event) => self.hub.dispatch(event, &mut self.wakeups),
                Action::Send { connection, bytes } => {
                    if let Some(link) = self.link_of(connection) {
                        link.send(bytes);
                    }
                }
                Action::Connect { connection, server } => self.connect(shared, connection, server),
                Action::Probe { probe, server } => probe::spawn(shared, probe, server),
                Action::Disconnect { connection, reason } => {
                    self.hub.attempt_dropped(reason, &mut self.wakeups);
                    if self.link_of(connection).is_some() {
                        self.drop_link(shared);
                    }
                }
            }
        }
        let is_due_earlier =
            self.hub.driver.is_some() && self.hub.session.poll_timeout().is_some_and(|due| due < self.alarm);
        if is_due_earlier || self.hub.is_over() {
            self.wake_ticker();
        }
    }

    fn connect(&mut self, shared: &Arc<Shared>, connection: ConnectionId, server: ServerAddr) {
        self.hub.attempt_begun(&server, &mut self.wakeups);
        self.drop_link(shared);
        self.link = Some(Link::new(connection));
        if let Err(error) = reader::spawn(shared, connection, server) {
            self.link = None;
            let now = shared.now();
            self.hub.lost(connection, zk_client::Lost::Io(Arc::new(error)), now, &mut self.wakeups);
        }
    }

    /// Tells the session the time, before it is told what doesn't depend on it.
    pub(crate) fn bring(&mut self, now: Instant) {
        if let Some(link) = &self.link {
            self.hub.session.handle_sent(link.connection, 0, now);
        }
    }

    /// Something was submitted that has this deadline. Returns whom to wake: it leaves when its owner waits for it,
    /// which may be now or never, so somebody has to look.
    #[inline]
    fn submitted(&mut self, shared: &Shared, deadline: Option<Instant>) -> Option<Waker> {
        self.activity += 1;
        if deadline.is_some_and(|deadline| deadline < self.alarm) {
            return self.hub.driver.take();
        }
        let link = self.link.as_mut().filter(|link| link.is_unattended())?;
        if link.reader_sleeps {
            link.reader_sleeps = false;
            shared.reader.notify_all();
            return None;
        }
        self.hub.driver.take()
    }

    /// Gives memory back that wasn't needed of late.
    pub(crate) fn give_back(&mut self) {
        self.hub.give_back();
        if let Some(link) = &mut self.link {
            link.give_back();
        }
    }

    /// Its threads notice when they look next.
    pub(crate) fn drop_link(&mut self, shared: &Shared) {
        if let Some(link) = self.link.take() {
            link.shut_down();
            shared.reader.notify_all();
        }
    }

    pub(crate) fn link_of(&mut self, connection: ConnectionId) -> Option<&mut Link> {
        self.link.as_mut().filter(|link| link.connection == connection)
    }

    /// The hub, and where it puts whom to wake.
    pub(crate) fn hub_and_wakeups(&mut self) -> (&mut Hub, &mut Wakeups) {
        (&mut self.hub, &mut self.wakeups)
    }

    /// Has the ticker act, at the next chance.
    pub(crate) fn wake_ticker(&mut self) {
        self.wakeups.wakers.extend(self.hub.driver.take());
    }

    fn take_wakeups(&mut self) -> Option<Wakeups> {
        self.wakeups.events = Vec::new();
        let is_needed = !self.wakeups.wakers.is_empty() || self.wakeups.milestone;
        is_needed.then(|| core::mem::take(&mut self.wakeups))
    }
}

/// Who reads: one of those who wait; if nobody waits, the connection's own thread.
impl Inner {
    /// Waits in line to read; woken when it is one's turn.
    pub(crate) fn follow(&mut self, waker: &Waker) -> u64 {
        self.tickets += 1;
        self.followers.insert(self.tickets, waker.clone());
        self.tickets
    }

    pub(crate) fn unfollow(&mut self, ticket: u64) {
        self.followers.remove(&ticket);
    }

    /// Has the first in line read, if nobody does; or the reader thread, if it sleeps.
    pub(crate) fn hand_over(&mut self, shared: &Shared) {
        let Some(link) = self.link.as_mut().filter(|link| link.is_free()) else { return };
        if let Some((_, next)) = self.followers.first_key_value() {
            self.wakeups.wakers.push(next.clone());
        } else if link.reader_sleeps {
            link.reader_sleeps = false;
            shared.reader.notify_all();
        }
    }
}
