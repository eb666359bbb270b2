//! Threads, locks and the clock: those of the standard library.
//!
//! In this crate's own tests, those of a scheduler that tries out in which orders threads can run, and finds those in
//! which one of them waits for ever. It knows no time: a short wait may end at any moment, and the clock goes on when
//! one does; a long one doesn't end by itself, so that no time limit hides that nobody was woken.

#[cfg(not(test))]
pub(crate) use self::real::*;
#[cfg(test)]
pub(crate) use self::tried::*;

#[cfg(not(test))]
mod real {
    use core::time::Duration;
    use std::{sync::PoisonError, time::Instant};
    pub(crate) use std::{
        sync::{Condvar, Mutex, MutexGuard},
        thread, thread_local,
    };

    use zk_session::Epoch;

    #[derive(Debug)]
    pub(crate) struct Clock(Epoch);

    impl Clock {
        pub(crate) fn new() -> Self {
            Self(Epoch::new(Instant::now()))
        }

        /// The moment, as the session tells it.
        pub(crate) fn now(&self) -> zk_session::Instant {
            self.0.instant(Instant::now())
        }

        /// Sleeps until the thread is unparked, at most for this long. It may return early.
        pub(crate) fn park(&self, limit: Option<Duration>) {
            match limit {
                Some(limit) => thread::park_timeout(limit),
                None => thread::park(),
            }
        }

        /// Waits until it is told, at most for this long. It may return early.
        pub(crate) fn wait<'a, T>(
            &self,
            _: &'a Mutex<T>,
            told: &Condvar,
            guard: MutexGuard<'a, T>,
            limit: Duration,
        ) -> MutexGuard<'a, T> {
            told.wait_timeout(guard, limit).unwrap_or_else(PoisonError::into_inner).0
        }
    }
}

#[cfg(test)]
mod tried {
    use core::{
        sync::atomic::{AtomicU64, Ordering},
        time::Duration,
    };
    use std::sync::PoisonError;

    pub(crate) use shuttle::{
        sync::{Condvar, Mutex, MutexGuard},
        thread, thread_local,
    };

    #[derive(Debug)]
    pub(crate) struct Clock(AtomicU64);

    impl Clock {
        pub(crate) fn new() -> Self {
            Self(AtomicU64::new(0))
        }

        pub(crate) fn now(&self) -> zk_session::Instant {
            zk_session::Instant::ZERO + Duration::from_nanos(self.0.load(Ordering::Relaxed))
        }

        pub(crate) fn park(&self, limit: Option<Duration>) {
            if !self.passes(limit) {
                thread::park();
            }
        }

        pub(crate) fn wait<'a, T>(
            &self,
            mutex: &'a Mutex<T>,
            told: &Condvar,
            guard: MutexGuard<'a, T>,
            limit: Duration,
        ) -> MutexGuard<'a, T> {
            if limit >= LONG {
                return told.wait(guard).unwrap_or_else(PoisonError::into_inner);
            }
            drop(guard);
            self.passes(Some(limit));
            mutex.lock().unwrap_or_else(PoisonError::into_inner)
        }

        /// Lets a short time pass, and others run.
        fn passes(&self, limit: Option<Duration>) -> bool {
            let Some(limit) = limit.filter(|&limit| limit < LONG) else { return false };
            thread::yield_now();
            self.0.fetch_add(limit.as_nanos() as u64, Ordering::Relaxed);
            true
        }
    }

    const LONG: Duration = Duration::from_secs(1);
}
