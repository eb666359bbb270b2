use core::{mem, task::Waker, time::Duration};
use std::sync::Arc;

use zk_client::{Errand, Hub, NO_LATER, Work};
use zk_proto::{Request, Response};
use zk_session::{Chroot, Instant, RequestId, RequestOptions, Retry};

use crate::{Error, parking::Awaited, shared::Shared};

/// What is under way for a `Call`: the same for requests of all kinds, so that it is compiled once.
pub(crate) struct Pending {
    shared: Arc<Shared>,
    chroot: Chroot,
    state: State,
    deadline: Option<Instant>,
}

#[derive(Debug)]
enum State {
    /// Boxed, as it is rare and large.
    Refused(Box<Error>),
    UnderWay(Work),
    Over,
}

/// What is done once a request is accepted, before anything can come of it.
pub(crate) type Accepted = fn(&mut Hub, RequestId);

impl Pending {
    pub(crate) fn submit(
        shared: &Arc<Shared>,
        chroot: &Chroot,
        request: &mut Request,
        options: CallOptions,
        accepted: Accepted,
    ) -> Self {
        let (options, now) = options.at(shared);
        let submitted = shared.submit(chroot, request, options, now, accepted);
        Self::new(shared, chroot, options.deadline, submitted.map(Work::Request))
    }

    /// Begins what takes several requests, each with these options.
    pub(crate) fn run<T>(
        shared: &Arc<Shared>,
        chroot: &Chroot,
        errand: Errand<T>,
        options: CallOptions,
    ) -> Self {
        let (options, _) = options.at(shared);
        let mut inner = shared.lock();
        let begun = inner.hub.run(errand, options);
        shared.submitted(inner, options.deadline);
        Self::new(shared, chroot, options.deadline, begun.map(Work::Errand))
    }

    /// What was submitted, or refused.
    #[inline]
    pub(crate) fn new(
        shared: &Arc<Shared>,
        chroot: &Chroot,
        deadline: Option<Instant>,
        submitted: Result<Work, Box<Error>>,
    ) -> Self {
        let state = match submitted {
            Ok(work) => State::UnderWay(work),
            Err(error) => State::Refused(error),
        };
        Self { shared: Arc::clone(shared), chroot: chroot.clone(), state, deadline }
    }

    pub(crate) fn wait(mut self) -> Result<Response, Error> {
        if let State::UnderWay(work) = self.state {
            let mut inner = self.shared.lock();
            if inner.hub.slots.is_filled(work) {
                inner.activity += 1;
                let mut outcome = inner.hub.slots.take(work);
                drop(inner);
                self.end(&mut outcome);
                return outcome;
            }
        }
        loop {
            if let Some(outcome) = self.wait_until(None) {
                return outcome;
            }
        }
    }

    pub(crate) fn wait_timeout(&mut self, limit: Duration) -> Option<Result<Response, Error>> {
        let until = self.shared.now() + limit;
        loop {
            let outcome = self.wait_until(Some(until));
            if outcome.is_some() || self.shared.now() >= until {
                return outcome;
            }
        }
    }

    /// Waits until this moment, or until the deadline.
    fn wait_until(&mut self, until: Option<Instant>) -> Option<Result<Response, Error>> {
        if let State::UnderWay(work) = self.state {
            let until = until.into_iter().chain(self.deadline).min();
            let Some(mut outcome) = self.shared.wait_for(&mut Slot(work), until) else {
                // If it was the deadline that came, the session acts upon it.
                self.shared.command(|hub, now| hub.session.handle_timeout(now));
                return None;
            };
            self.end(&mut outcome);
            return Some(outcome);
        }
        match mem::replace(&mut self.state, State::Over) {
            State::Refused(error) => Some(Err(*error)),
            State::Over | State::UnderWay(_) => panic!("a call is waited for after it ended"),
        }
    }

    #[inline]
    fn end(&mut self, outcome: &mut Result<Response, Error>) {
        self.state = State::Over;
        if let Ok(response) = outcome {
            self.chroot.undo(response);
        }
    }

    pub(crate) fn state(&self) -> &impl core::fmt::Debug {
        &self.state
    }

    /// Below which path of the session's the request's paths are.
    pub(crate) fn chroot(&self) -> &Chroot {
        &self.chroot
    }

    pub(crate) fn request(&self) -> Option<RequestId> {
        match self.state {
            State::UnderWay(Work::Request(request)) => Some(request),
            State::UnderWay(Work::Errand(_)) | State::Refused(_) | State::Over => None,
        }
    }
}

impl Shared {
    fn submit(
        &self,
        chroot: &Chroot,
        request: &mut Request,
        options: RequestOptions,
        now: Instant,
        accepted: Accepted,
    ) -> Result<RequestId, Box<Error>> {
        chroot.apply(request).map_err(Error::from)?;
        let mut inner = self.lock();
        let request = inner.hub.submit(request, options, now)?;
        accepted(&mut inner.hub, request);
        self.submitted(inner, options.deadline);
        Ok(request)
    }
}

/// The outcome of a request.
struct Slot(Work);

impl Awaited for Slot {
    type Outcome = Result<Response, Error>;

    const IS_READ: bool = true;

    #[inline]
    fn take(&mut self, hub: &mut Hub) -> Option<Self::Outcome> {
        hub.slots.is_filled(self.0).then(|| hub.slots.take(self.0))
    }

    fn wait(&mut self, hub: &mut Hub, waker: &Waker) {
        hub.slots.wait(self.0, waker);
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        let State::UnderWay(work) = self.state else { return };
        let is_under_way = self.shared.lock().hub.slots.abandon(work);
        if is_under_way {
            self.shared.command(|hub, now| hub.cancel(work, now));
        }
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
