use core::{fmt, task::Waker, time::Duration};
use std::sync::Arc;

use zk_client::Hub;
use zk_session::{Chroot, RequestId, WatchEvent};

use crate::{Call, Error, WatchEnded, parking::Awaited, shared::Shared};

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
    /// # Errors
    ///
    /// [`WatchEnded`]: why there will be no event.
    pub fn changed(&mut self) -> Result<WatchEvent, WatchEnded> {
        loop {
            if let Some(outcome) = self.wait_until(None) {
                return outcome;
            }
        }
    }

    /// [`changed`](Self::changed), at most for so long; none if nothing has come by then.
    pub fn changed_timeout(&mut self, limit: Duration) -> Option<Result<WatchEvent, WatchEnded>> {
        let until = self.shared.now() + limit;
        self.wait_until(Some(until))
    }

    fn wait_until(&mut self, until: Option<zk_session::Instant>) -> Option<Result<WatchEvent, WatchEnded>> {
        if self.outcome.is_none() {
            let mut outcome = self.shared.wait_for(&mut Held(self.request), until)?;
            if let Ok(event) = &mut outcome {
                self.chroot.undo_path(&mut event.path);
            }
            self.outcome = Some(outcome);
        }
        self.outcome.clone()
    }

    /// The request that set the watch.
    pub fn request(&self) -> RequestId {
        self.request
    }
}

/// The outcome of a watch.
struct Held(RequestId);

impl Awaited for Held {
    type Outcome = Result<WatchEvent, WatchEnded>;

    const IS_READ: bool = true;

    fn take(&mut self, hub: &mut Hub) -> Option<Self::Outcome> {
        hub.watches.take(self.0)
    }

    fn wait(&mut self, hub: &mut Hub, waker: &Waker) {
        hub.watches.wait(self.0, waker);
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if self.outcome.is_some() {
            return;
        }
        let is_armed = self.shared.lock().hub.watches.forget(self.request);
        if is_armed {
            self.shared.command(|hub, now| hub.session.remove_watch(self.request, now));
        }
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

/// A request under way that sets a watch: for its answer and the [`Watch`].
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

    /// Waits for the answer, as [`Call::wait`] does.
    ///
    /// # Errors
    ///
    /// [`Error`]: why there is no answer, and no watch.
    ///
    /// # Panics
    ///
    /// If [`wait_timeout`](Self::wait_timeout) has returned the outcome.
    pub fn wait(self) -> Result<(T, Watch), Error> {
        let answer = self.call.wait()?;
        Ok((answer, self.watch.expect("an answered request was accepted")))
    }

    /// Waits for the answer, as [`Call::wait_timeout`] does.
    ///
    /// # Panics
    ///
    /// If it has returned the outcome.
    pub fn wait_timeout(&mut self, limit: Duration) -> Option<Result<(T, Watch), Error>> {
        let answer = self.call.wait_timeout(limit)?;
        let watch = |answer| (answer, self.watch.take().expect("an answered request was accepted"));
        Some(answer.map(watch))
    }
}
