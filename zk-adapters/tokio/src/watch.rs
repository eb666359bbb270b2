use core::{
    fmt,
    future::{Future, poll_fn},
    pin::Pin,
    task::{Context, Poll, ready},
};
use std::sync::Arc;

use zk_session::{Chroot, RequestId, WatchEvent};

use crate::{Call, Error, WatchEnded, shared::Shared};

/// A one-time watch that is armed on the servers: it tells one event, or why it ended without one.
///
/// It outlives lost connections, and tells after a reconnect what changed meanwhile, as far as a server can
/// know: a znode created and deleted again while no connection was up is not told to a watch for its creation.
///
/// Dropping it removes it.
#[must_use = "a watch is removed when it is dropped"]
pub struct Watch {
    shared: Arc<Shared>,
    chroot: Chroot,
    request: RequestId,
    outcome: Option<Result<WatchEvent, WatchEnded>>,
}

impl Watch {
    /// Waits for the event, or for the watch's end. Once there, the outcome stays: further calls give it again.
    ///
    /// Cancel safe: the event is not lost if the returned future is dropped.
    ///
    /// # Errors
    ///
    /// [`WatchEnded`]: why there will be no event.
    pub async fn changed(&mut self) -> Result<WatchEvent, WatchEnded> {
        poll_fn(|context| self.poll_changed(context)).await
    }

    /// The event or the watch's end, once it is there. For those who write futures by hand.
    ///
    /// # Errors
    ///
    /// [`WatchEnded`]: why there will be no event.
    pub fn poll_changed(&mut self, context: &mut Context<'_>) -> Poll<Result<WatchEvent, WatchEnded>> {
        if let Some(outcome) = &self.outcome {
            return Poll::Ready(outcome.clone());
        }
        let mut hub = self.shared.lock();
        let Some(mut outcome) = hub.watches.take(self.request) else {
            hub.watches.wait(self.request, context.waker());
            return Poll::Pending;
        };
        drop(hub);
        if let Ok(event) = &mut outcome {
            self.chroot.undo_path(&mut event.path);
        }
        self.outcome = Some(outcome.clone());
        Poll::Ready(outcome)
    }

    /// The request that set the watch.
    pub fn request(&self) -> RequestId {
        self.request
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if self.outcome.is_some() || !self.shared.lock().watches.forget(self.request) {
            return;
        }
        self.shared.command(|hub, now| hub.session.remove_watch(self.request, now));
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch")
            .field("request", &self.request)
            .field("outcome", &self.outcome)
            .finish_non_exhaustive()
    }
}

/// A request under way that sets a watch; a future of its answer and the [`Watch`].
///
/// Where no answer comes, or the server refuses, no watch is set.
#[derive(Debug)]
#[must_use = "dropping it cancels the request and its watch"]
pub struct WatchCall<T> {
    // Dropped in this order: the request is cancelled before its watch is removed.
    call: Call<T>,
    watch: Option<Watch>,
}

impl<T> WatchCall<T> {
    pub(crate) fn new(call: Call<T>, shared: &Arc<Shared>) -> Self {
        let watch = call.request().map(|request| Watch {
            shared: Arc::clone(shared),
            chroot: call.chroot().clone(),
            request,
            outcome: None,
        });
        Self { call, watch }
    }
}

impl<T> Future for WatchCall<T> {
    type Output = Result<(T, Watch), Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = ready!(Pin::new(&mut self.call).poll(context))?;
        let watch = self.watch.take().expect("an answered request was accepted, and is polled no more");
        Poll::Ready(Ok((answer, watch)))
    }
}
