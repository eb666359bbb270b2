use core::{fmt, mem, time::Duration};
use std::sync::Arc;

use zk_client::{Errand, Hub, NO_LATER, SlotId, Typed, Work, requests::Read};
use zk_proto::{Request, Response};
use zk_session::{Chroot, Instant, RequestId, RequestOptions, Retry};

use crate::{Error, parking::Awaited, shared::Shared};

/// A request under way.
///
/// The request was submitted when the method that returned this was called, so requests run in the order of the
/// calls; those that are submitted together leave in one write, when the first of them is waited for, or after a
/// millisecond at the latest. Dropping it cancels the request: it isn't sent, if it hasn't been yet, and otherwise
/// its answer is ignored.
#[must_use = "dropping it cancels the request"]
pub struct Call<T> {
    shared: Arc<Shared>,
    chroot: Chroot,
    state: State,
    deadline: Option<Instant>,
    read: Read<T>,
}

#[derive(Debug)]
enum State {
    /// Boxed, as it is rare and large.
    Refused(Box<Error>),
    UnderWay {
        work: Work,
        slot: SlotId,
    },
    Over,
}

impl<T> Call<T> {
    #[inline]
    pub(crate) fn submit(
        shared: &Arc<Shared>,
        chroot: &Chroot,
        mut typed: Typed<T>,
        options: CallOptions,
        accepted: Accepted,
    ) -> Self {
        let (options, now) = options.at(shared);
        let submitted = shared.submit(chroot, &mut typed.request, options, now, accepted);
        Self::new(shared, chroot, typed.read, options.deadline, submitted)
    }

    /// Begins what takes several requests, each with these options.
    pub(crate) fn run(
        shared: &Arc<Shared>,
        chroot: &Chroot,
        errand: Errand<T>,
        options: CallOptions,
    ) -> Self {
        let (options, _) = options.at(shared);
        let (read, mut inner) = (errand.read, shared.lock());
        let begun = inner.hub.run(errand, options);
        shared.submitted(inner, options.deadline);
        let begun = begun.map(|(errand, slot)| (Work::Errand(errand), slot));
        Self::new(shared, chroot, read, options.deadline, begun)
    }

    /// A request that was submitted, or refused.
    #[inline]
    pub(crate) fn new(
        shared: &Arc<Shared>,
        chroot: &Chroot,
        read: Read<T>,
        deadline: Option<Instant>,
        submitted: Result<(Work, SlotId), Box<Error>>,
    ) -> Self {
        let state = match submitted {
            Ok((work, slot)) => State::UnderWay { work, slot },
            Err(error) => State::Refused(error),
        };
        Self { shared: Arc::clone(shared), chroot: chroot.clone(), state, deadline, read }
    }

    /// Waits for the outcome. It takes no longer than the request's deadline.
    ///
    /// # Errors
    ///
    /// [`Error`]: why there is no answer.
    ///
    /// # Panics
    ///
    /// If [`wait_timeout`](Self::wait_timeout) has returned the outcome.
    pub fn wait(mut self) -> Result<T, Error> {
        if let State::UnderWay { slot, .. } = self.state {
            let taken = self.shared.take(&mut Slot(slot));
            if let Some(outcome) = taken {
                return self.end(outcome);
            }
        }
        loop {
            if let Some(outcome) = self.wait_until(None) {
                return outcome;
            }
        }
    }

    /// Waits for the outcome, at most for so long; none if it isn't there by then, and the request goes on.
    ///
    /// # Panics
    ///
    /// If it has returned the outcome.
    pub fn wait_timeout(&mut self, limit: Duration) -> Option<Result<T, Error>> {
        let until = self.shared.now() + limit;
        loop {
            let outcome = self.wait_until(Some(until));
            if outcome.is_some() || self.shared.now() >= until {
                return outcome;
            }
        }
    }

    /// Waits until this moment, or until the deadline.
    fn wait_until(&mut self, until: Option<Instant>) -> Option<Result<T, Error>> {
        if let State::UnderWay { slot, .. } = self.state {
            let until = until.into_iter().chain(self.deadline).min();
            let Some(outcome) = self.shared.wait_for(&mut Slot(slot), until) else {
                // If it was the deadline that came, the session acts upon it.
                self.shared.command(|hub, now| hub.session.handle_timeout(now));
                return None;
            };
            return Some(self.end(outcome));
        }
        match mem::replace(&mut self.state, State::Over) {
            State::Refused(error) => Some(Err(*error)),
            State::Over | State::UnderWay { .. } => panic!("a call is waited for after it ended"),
        }
    }

    #[inline]
    fn end(&mut self, mut outcome: Result<Response, Error>) -> Result<T, Error> {
        self.state = State::Over;
        if let Ok(response) = &mut outcome {
            self.chroot.undo(response);
        }
        (self.read)(outcome)
    }

    /// Below which path of the session's the request's paths are.
    pub(crate) fn chroot(&self) -> &Chroot {
        &self.chroot
    }

    /// The request's number, as the session counts them. None if it was not accepted, has ended, or is several.
    pub fn request(&self) -> Option<RequestId> {
        match self.state {
            State::UnderWay { work: Work::Request(request), .. } => Some(request),
            State::UnderWay { .. } | State::Refused(_) | State::Over => None,
        }
    }
}

/// What is done once a request is accepted, before anything can come of it.
pub(crate) type Accepted = fn(&mut Hub, RequestId);

impl Shared {
    /// One function for requests of all kinds.
    fn submit(
        &self,
        chroot: &Chroot,
        request: &mut Request,
        options: RequestOptions,
        now: Instant,
        accepted: Accepted,
    ) -> Result<(Work, SlotId), Box<Error>> {
        chroot.apply(request).map_err(Error::from)?;
        let mut inner = self.lock();
        let (request, slot) = inner.hub.submit(request, options, now)?;
        accepted(&mut inner.hub, request);
        self.submitted(inner, options.deadline);
        Ok((Work::Request(request), slot))
    }
}

/// The outcome of a request.
struct Slot(SlotId);

impl Awaited for Slot {
    type Outcome = Result<Response, Error>;

    const IS_READ: bool = true;

    #[inline]
    fn take(&mut self, hub: &mut Hub) -> Option<Self::Outcome> {
        hub.slots.take(self.0)
    }

    fn wait(&mut self, hub: &mut Hub, waker: &core::task::Waker) {
        hub.slots.wait(self.0, waker);
    }
}

impl<T> Drop for Call<T> {
    fn drop(&mut self) {
        let State::UnderWay { work, slot } = self.state else { return };
        let is_under_way = self.shared.lock().hub.slots.abandon(slot);
        if is_under_way {
            self.shared.command(|hub, now| hub.cancel(work, now));
        }
    }
}

impl<T> fmt::Debug for Call<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("state", &self.state).finish_non_exhaustive()
    }
}

/// What the requests of one handle are submitted with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CallOptions {
    pub(crate) deadline: Option<Duration>,
    pub(crate) retry: Retry,
    pub(crate) epoch: Option<u64>,
}

impl CallOptions {
    fn at(self, shared: &Shared) -> (RequestOptions, Instant) {
        let mut options = RequestOptions::default().with_retry(self.retry);
        options.epoch = self.epoch;
        let Some(deadline) = self.deadline else { return (options, NO_LATER) };
        let now = shared.now();
        (options.with_deadline(now + deadline), now)
    }
}
