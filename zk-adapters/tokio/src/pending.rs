use core::{
    mem,
    task::{Context, Poll},
    time::Duration,
};
use std::sync::Arc;

use zk_client::{Errand, Hub, NO_LATER, Work};
use zk_proto::{Request, Response};
use zk_session::{Chroot, Instant, RequestId, RequestOptions, Retry};

use crate::{Error, shared::Shared};

/// What is under way for a `Call`: the same for requests of all kinds, so that it is compiled once.
pub(crate) struct Pending {
    shared: Arc<Shared>,
    chroot: Chroot,
    state: State,
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
        let submitted = shared.submit(chroot, request, options, accepted);
        Self::new(shared, chroot, submitted.map(Work::Request))
    }

    /// Begins what takes several requests, each with these options.
    pub(crate) fn run<T>(
        shared: &Arc<Shared>,
        chroot: &Chroot,
        errand: Errand<T>,
        options: CallOptions,
    ) -> Self {
        let (options, _) = options.at(shared);
        let begun = shared.change(|hub| hub.run(errand, options));
        Self::new(shared, chroot, begun.map(Work::Errand))
    }

    /// What was submitted, or refused.
    #[inline]
    pub(crate) fn new(shared: &Arc<Shared>, chroot: &Chroot, submitted: Result<Work, Box<Error>>) -> Self {
        let state = match submitted {
            Ok(work) => State::UnderWay(work),
            Err(error) => State::Refused(error),
        };
        Self { shared: Arc::clone(shared), chroot: chroot.clone(), state }
    }

    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<Response, Error>> {
        let State::UnderWay(work) = self.state else { return Poll::Ready(self.refusal()) };
        let mut hub = self.shared.lock();
        if !hub.slots.is_filled(work) {
            hub.slots.wait(work, context.waker());
            return Poll::Pending;
        }
        let mut outcome = hub.slots.take(work);
        drop(hub);
        self.state = State::Over;
        if let Ok(response) = &mut outcome {
            self.chroot.undo(response);
        }
        Poll::Ready(outcome)
    }

    #[cold]
    fn refusal(&mut self) -> Result<Response, Error> {
        match mem::replace(&mut self.state, State::Over) {
            State::Refused(error) => Err(*error),
            State::Over | State::UnderWay(_) => panic!("a call is polled after it was ready"),
        }
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

    pub(crate) fn state(&self) -> &impl core::fmt::Debug {
        &self.state
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        let State::UnderWay(work) = self.state else { return };
        if self.shared.lock().slots.abandon(work) {
            self.shared.command(|hub, now| hub.cancel(work, now));
        }
    }
}

impl Shared {
    fn submit(
        &self,
        chroot: &Chroot,
        request: &mut Request,
        options: CallOptions,
        accepted: Accepted,
    ) -> Result<RequestId, Box<Error>> {
        let (options, now) = options.at(self);
        chroot.apply(request).map_err(Error::from)?;
        let mut hub = self.lock();
        let request = hub.submit(request, options, now)?;
        accepted(&mut hub, request);
        self.leave(hub);
        Ok(request)
    }
}

/// What the requests of one handle are submitted with.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct CallOptions {
    pub(crate) deadline: Option<Duration>,
    pub(crate) retry: Retry,
    pub(crate) epoch: Option<u64>,
}

impl CallOptions {
    /// Reads the clock only where a deadline counts from it.
    fn at(self, shared: &Shared) -> (RequestOptions, Instant) {
        let mut options = RequestOptions::default().with_retry(self.retry);
        options.epoch = self.epoch;
        let Some(deadline) = self.deadline else { return (options, NO_LATER) };
        let now = shared.now();
        (options.with_deadline(now + deadline), now)
    }
}
