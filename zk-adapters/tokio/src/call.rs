use core::{
    fmt,
    future::Future,
    mem,
    pin::Pin,
    task::{Context, Poll},
};
use std::sync::Arc;

use zk_client::{Errand, Hub, NO_LATER, SlotId, Typed, Work, requests::Read};
use zk_proto::Request;
use zk_session::{Chroot, Instant, RequestId, RequestOptions};

use crate::{Error, shared::Shared};

/// A request under way; a future of its answer.
///
/// The request was submitted when the method that returned this was called, so requests run in the order of the
/// calls, polled or not. Dropping it cancels the request: it isn't sent, if it hasn't been yet, and otherwise its
/// answer is ignored.
#[must_use = "dropping it cancels the request"]
pub struct Call<T> {
    shared: Arc<Shared>,
    chroot: Chroot,
    state: State,
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
        let submitted = shared.submit(chroot, &mut typed.request, options, accepted);
        Self::new(shared, chroot, typed.read, submitted)
    }

    /// Begins what takes several requests, each with these options.
    pub(crate) fn run(
        shared: &Arc<Shared>,
        chroot: &Chroot,
        errand: Errand<T>,
        options: CallOptions,
    ) -> Self {
        let (options, _) = options.at(shared);
        let read = errand.read;
        let begun = shared.change(|hub| hub.run(errand, options));
        Self::new(shared, chroot, read, begun.map(|(errand, slot)| (Work::Errand(errand), slot)))
    }

    /// A request that was submitted, or refused.
    #[inline]
    pub(crate) fn new(
        shared: &Arc<Shared>,
        chroot: &Chroot,
        read: Read<T>,
        submitted: Result<(Work, SlotId), Box<Error>>,
    ) -> Self {
        let state = match submitted {
            Ok((work, slot)) => State::UnderWay { work, slot },
            Err(error) => State::Refused(error),
        };
        Self { shared: Arc::clone(shared), chroot: chroot.clone(), state, read }
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

impl<T> Future for Call<T> {
    type Output = Result<T, Error>;

    /// # Panics
    ///
    /// If polled again after it was ready.
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let State::UnderWay { slot, .. } = self.state {
            let mut hub = self.shared.lock();
            let Some(mut outcome) = hub.slots.take(slot) else {
                hub.slots.wait(slot, context.waker());
                return Poll::Pending;
            };
            drop(hub);
            self.state = State::Over;
            if let Ok(response) = &mut outcome {
                self.chroot.undo(response);
            }
            return Poll::Ready((self.read)(outcome));
        }
        match mem::replace(&mut self.state, State::Over) {
            State::Refused(error) => Poll::Ready(Err(*error)),
            State::Over | State::UnderWay { .. } => panic!("a call is polled after it was ready"),
        }
    }
}

impl<T> Drop for Call<T> {
    fn drop(&mut self) {
        let State::UnderWay { work, slot } = self.state else { return };
        if self.shared.lock().slots.abandon(slot) {
            self.shared.command(|hub, now| hub.cancel(work, now));
        }
    }
}

impl<T> fmt::Debug for Call<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("state", &self.state).finish_non_exhaustive()
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
        options: CallOptions,
        accepted: Accepted,
    ) -> Result<(Work, SlotId), Box<Error>> {
        let (options, now) = options.at(self);
        chroot.apply(request).map_err(Error::from)?;
        let mut hub = self.lock();
        let (request, slot) = hub.submit(request, options, now)?;
        accepted(&mut hub, request);
        self.leave(hub);
        Ok((Work::Request(request), slot))
    }
}

/// What the requests of one handle are submitted with.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct CallOptions {
    pub(crate) deadline: Option<core::time::Duration>,
    pub(crate) retry: zk_session::Retry,
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
