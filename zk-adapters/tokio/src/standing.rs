use core::{
    fmt,
    future::{Future, poll_fn},
    pin::Pin,
    task::{Context, Poll, ready},
};
use std::{collections::VecDeque, sync::Arc};

use zk_proto::ErrorResponse;
use zk_session::{Chroot, RequestId};

use crate::{Call, Error, StandingEvent, WatchEnded, shared::Shared};

/// A persistent or persistent recursive watch: it tells all that happens until it is dropped.
#[must_use = "a watch is removed when it is dropped"]
pub struct StandingWatch {
    shared: Arc<Shared>,
    chroot: Chroot,
    request: RequestId,
    /// What is taken over at once, to be told one by one.
    taken: VecDeque<StandingEvent>,
}

impl StandingWatch {
    /// Waits for the next thing that it tells. Up to 4,096 wait unread behind up to
    /// 256 that it has taken over; then some are left out, and it says so.
    ///
    /// Cancel safe: nothing is lost if the returned future is dropped.
    ///
    /// # Errors
    ///
    /// [`WatchEnded`]: why nothing more will come, each time it is called from then on.
    pub async fn next(&mut self) -> Result<StandingEvent, WatchEnded> {
        poll_fn(|context| self.poll_next(context)).await
    }

    /// The next thing that it tells, once it is there. For those who write futures by hand.
    ///
    /// # Errors
    ///
    /// As [`next`](Self::next).
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<StandingEvent, WatchEnded>> {
        loop {
            if let Some(told) = self.taken.pop_front() {
                return Poll::Ready(Ok(told));
            }
            let mut hub = self.shared.lock();
            let Some(taken) = hub.standing.take(self.request, &mut self.taken) else {
                hub.standing.wait(self.request, context.waker());
                return Poll::Pending;
            };
            drop(hub);
            taken?;
            self.taken.iter_mut().for_each(|told| told.undo(&self.chroot));
        }
    }

    /// The request that set the watch.
    pub fn request(&self) -> RequestId {
        self.request
    }
}

impl Drop for StandingWatch {
    fn drop(&mut self) {
        if self.shared.lock().standing.forget(self.request) {
            self.shared.command(|hub, now| hub.session.remove_watch(self.request, now));
        }
    }
}

impl fmt::Debug for StandingWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StandingWatch").field("request", &self.request).finish_non_exhaustive()
    }
}

/// A request under way that sets a standing watch; a future of the [`StandingWatch`].
#[derive(Debug)]
#[must_use = "dropping it cancels the request and its watch"]
pub struct StandingCall {
    // Dropped in this order: the request is cancelled before its watch is removed.
    call: Call<ErrorResponse>,
    watch: Option<StandingWatch>,
}

impl StandingCall {
    pub(crate) fn new(call: Call<ErrorResponse>, shared: &Arc<Shared>) -> Self {
        let chroot = || call.chroot().clone();
        let watch = call.request().map(|request| StandingWatch {
            shared: Arc::clone(shared),
            chroot: chroot(),
            request,
            taken: VecDeque::new(),
        });
        Self { call, watch }
    }
}

impl Future for StandingCall {
    type Output = Result<StandingWatch, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        ready!(Pin::new(&mut self.call).poll(context))?;
        Poll::Ready(Ok(self.watch.take().expect("an answered request was accepted, and is polled no more")))
    }
}
