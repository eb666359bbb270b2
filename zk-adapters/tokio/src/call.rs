use core::{
    fmt,
    future::Future,
    mem,
    pin::Pin,
    task::{Context, Poll},
};
use std::sync::Arc;

use zk_client::{Hub, NO_LATER, SlotId, Typed, requests::Read};
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
        request: RequestId,
        slot: SlotId,
    },
    Over,
}

impl<T> Call<T> {
    #[inline]
    pub(crate) fn submit(
        shared: &Arc<Shared>,
        chroot: &Chroot,
        typed: Typed<T>,
        options: CallOptions,
        accepted: Accepted,
    ) -> Self {
        let submitted = shared.submit(chroot, typed.request, options, accepted);
        Self::new(shared, chroot, typed.read, submitted)
    }

    /// A request that was submitted, or refused.
    #[inline]
    pub(crate) fn new(
        shared: &Arc<Shared>,
        chroot: &Chroot,
        read: Read<T>,
        submitted: Result<(RequestId, SlotId), Box<Error>>,
    ) -> Self {
        let state = match submitted {
            Ok((request, slot)) => State::UnderWay { request, slot },
            Err(error) => State::Refused(error),
        };
        Self { shared: Arc::clone(shared), chroot: chroot.clone(), state, read }
    }

    /// Below which path of the session's the request's paths are.
    pub(crate) fn chroot(&self) -> &Chroot {
        &self.chroot
    }

    /// The request's number, as the session counts them. None if it was not accepted, or has ended.
    pub fn request(&self) -> Option<RequestId> {
        match self.state {
            State::UnderWay { request, .. } => Some(request),
            State::Refused(_) | State::Over => None,
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
        let State::UnderWay { request, slot } = self.state else { return };
        if self.shared.lock().slots.abandon(slot) {
            self.shared.command(|hub, now| hub.session.cancel(request, now));
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
        mut request: Request,
        options: CallOptions,
        accepted: Accepted,
    ) -> Result<(RequestId, SlotId), Box<Error>> {
        let (options, now) = options.at(self);
        chroot.apply(&mut request).map_err(Error::from)?;
        let mut hub = self.lock();
        let submitted = hub.submit(request, options, now);
        if let Ok((request, _)) = submitted {
            accepted(&mut hub, request);
        }
        self.leave(hub);
        submitted
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
