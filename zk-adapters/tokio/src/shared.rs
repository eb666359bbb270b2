use std::sync::PoisonError;
#[cfg(not(test))]
use std::sync::{Mutex, MutexGuard};

// In this crate's own tests, a scheduler tries out in which order threads can run.
#[cfg(test)]
use shuttle::sync::{Mutex, MutexGuard};
use tokio::sync::Notify;
use zk_client::{Hub, Machine, Wakeups};
use zk_session::{Epoch, Instant};

use crate::trace;

/// What the handles of a client and its driver share.
#[derive(Debug)]
pub(crate) struct Shared {
    /// Never locked across I/O, an await, or a wake-up.
    hub: Mutex<Hub>,
    epoch: Epoch,
    /// Told when the session becomes ready, and when it ends.
    milestone: Notify,
}

impl Shared {
    pub(crate) fn new(session: Machine, epoch: Epoch) -> Self {
        Self { hub: Mutex::new(Hub::new(session)), epoch, milestone: Notify::new() }
    }

    /// The moment, as the session tells it. It is tokio's clock, so that a paused one pauses the session.
    pub(crate) fn now(&self) -> Instant {
        self.epoch.instant(tokio::time::Instant::now().into_std())
    }

    /// A moment of the session on tokio's clock; none if it lies beyond what that can tell.
    pub(crate) fn alarm_at(&self, due: Instant) -> Option<tokio::time::Instant> {
        self.epoch.std_instant(due).map(Into::into)
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Hub> {
        self.hub.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the session at this moment, and wakes the driver to act upon it.
    pub(crate) fn command<R>(&self, change: impl FnOnce(&mut Hub, Instant) -> R) -> R {
        let now = self.now();
        self.change(|hub| change(hub, now))
    }

    /// Changes the session, and wakes the driver to act upon it: it brings the time before it does so, and a change
    /// that doesn't count from the present needs none.
    pub(crate) fn change<R>(&self, change: impl FnOnce(&mut Hub) -> R) -> R {
        let mut hub = self.lock();
        let result = change(&mut hub);
        self.leave(hub);
        result
    }

    /// Leaves the session, which was changed, to the driver.
    #[inline]
    pub(crate) fn leave(&self, mut hub: MutexGuard<'_, Hub>) {
        let driver = hub.driver.take();
        drop(hub);
        if let Some(driver) = driver {
            driver.wake();
        }
    }

    /// Wakes all who have something to take up; tells whether there are any.
    pub(crate) fn wake(&self, wakeups: &mut Wakeups) -> bool {
        trace::tell(&mut wakeups.events);
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
    pub(crate) async fn wait_for<R>(&self, mut look: impl FnMut(&Hub) -> Option<R>) -> R {
        loop {
            let milestone = self.milestone.notified();
            if let Some(seen) = look(&self.lock()) {
                return seen;
            }
            milestone.await;
        }
    }
}
