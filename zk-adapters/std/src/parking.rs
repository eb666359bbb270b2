//! Waiting for something: with a waker that unparks the thread, or by reading what is waited for oneself.

use core::task::Waker;
use std::{sync::Arc, task::Wake};

use zk_client::Hub;
use zk_session::Instant;

use crate::{
    shared::Shared,
    sync::{
        thread::{self, Thread},
        thread_local,
    },
};

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}

thread_local! {
    static WAKER: Waker = Waker::from(Arc::new(Unpark(thread::current())));
}

/// Calls `f` with a waker that unparks the current thread.
pub(crate) fn with_waker<R>(f: impl FnOnce(&Waker) -> R) -> R {
    WAKER.with(f)
}

/// Something to wait for.
pub(crate) trait Awaited {
    type Outcome;

    /// The outcome, if it is there.
    fn take(&mut self, hub: &mut Hub) -> Option<Self::Outcome>;

    /// Has the waker woken when it may be there.
    fn wait(&mut self, hub: &mut Hub, waker: &Waker);

    /// Whether it comes by what the server sends, and by nothing else in the end: then it can be read for.
    const IS_READ: bool;
}

impl Shared {
    /// The outcome, if it is there.
    #[inline]
    pub(crate) fn take<A: Awaited>(&self, awaited: &mut A) -> Option<A::Outcome> {
        let mut inner = self.lock();
        let outcome = awaited.take(&mut inner.hub);
        inner.activity += u64::from(outcome.is_some());
        outcome
    }

    /// Waits for something; none if the moment `until` came before it.
    pub(crate) fn wait_for<A: Awaited>(
        self: &Arc<Self>,
        awaited: &mut A,
        until: Option<Instant>,
    ) -> Option<A::Outcome> {
        let taken = self.take(awaited);
        if taken.is_some() {
            return taken;
        }
        with_waker(|waker| self.wait_long(awaited, until, waker))
    }

    fn wait_long<A: Awaited>(
        self: &Arc<Self>,
        awaited: &mut A,
        until: Option<Instant>,
        waker: &Waker,
    ) -> Option<A::Outcome> {
        let mut now = self.now();
        let mut inner = self.lock();
        inner.bring(now);
        loop {
            inner = self.settle(inner);
            let outcome = awaited.take(&mut inner.hub);
            inner.activity += u64::from(outcome.is_some());
            if outcome.is_some() || until.is_some_and(|until| until <= now) {
                self.leave(inner);
                return outcome;
            }
            let limit = until.map(|until| until - now);
            let link = inner.link.as_mut().filter(|_| A::IS_READ);
            if let Some(mut reading) = link.and_then(|link| link.begin_read()) {
                drop(inner);
                let outcome = reading.read(limit);
                now = self.now();
                inner = self.lock();
                inner.end_read(self, reading, outcome, now);
            } else {
                awaited.wait(&mut inner.hub, waker);
                let ticket = A::IS_READ.then(|| inner.follow(waker));
                drop(inner);
                self.clock.park(limit);
                now = self.now();
                inner = self.lock();
                if let Some(ticket) = ticket {
                    inner.unfollow(ticket);
                }
            }
        }
    }
}
