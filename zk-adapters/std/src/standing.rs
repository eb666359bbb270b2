use core::{fmt, task::Waker, time::Duration};
use std::{collections::VecDeque, sync::Arc};

use zk_client::Hub;
use zk_proto::ErrorResponse;
use zk_session::{Chroot, Instant, RequestId};

use crate::{Call, Error, StandingEvent, WatchEnded, parking::Awaited, shared::Shared};

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
    /// # Errors
    ///
    /// [`WatchEnded`]: why nothing more will come, each time it is called from then on.
    #[expect(clippy::should_implement_trait, reason = "the end of an iterator doesn't say why; see `iter`")]
    pub fn next(&mut self) -> Result<StandingEvent, WatchEnded> {
        loop {
            if let Some(told) = self.wait_until(None) {
                return told;
            }
        }
    }

    /// [`next`](Self::next), at most for so long; none if nothing has come by then.
    pub fn next_timeout(&mut self, limit: Duration) -> Option<Result<StandingEvent, WatchEnded>> {
        let until = self.shared.now() + limit;
        self.wait_until(Some(until))
    }

    /// All that it tells until it ends, waited for.
    pub fn iter(&mut self) -> impl Iterator<Item = StandingEvent> {
        core::iter::from_fn(|| self.next().ok())
    }

    fn wait_until(&mut self, until: Option<Instant>) -> Option<Result<StandingEvent, WatchEnded>> {
        if self.taken.is_empty() {
            let mut held = Held { request: self.request, taken: &mut self.taken };
            if let Err(ended) = self.shared.wait_for(&mut held, until)? {
                return Some(Err(ended));
            }
            self.taken.iter_mut().for_each(|told| told.undo(&self.chroot));
        }
        self.taken.pop_front().map(Ok)
    }

    /// The request that set the watch.
    pub fn request(&self) -> RequestId {
        self.request
    }
}

/// What a standing watch tells.
struct Held<'a> {
    request: RequestId,
    taken: &'a mut VecDeque<StandingEvent>,
}

impl Awaited for Held<'_> {
    type Outcome = Result<(), WatchEnded>;

    const IS_READ: bool = true;

    fn take(&mut self, hub: &mut Hub) -> Option<Self::Outcome> {
        hub.standing.take(self.request, self.taken)
    }

    fn wait(&mut self, hub: &mut Hub, waker: &Waker) {
        hub.standing.wait(self.request, waker);
    }
}

impl Drop for StandingWatch {
    fn drop(&mut self) {
        let is_armed = self.shared.lock().hub.standing.forget(self.request);
        if is_armed {
            self.shared.command(|hub, now| hub.session.remove_watch(self.request, now));
        }
    }
}

impl fmt::Debug for StandingWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StandingWatch").field("request", &self.request).finish_non_exhaustive()
    }
}

/// A request under way that sets a standing watch: for the [`StandingWatch`].
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

    /// Waits until the watch is set, as [`Call::wait`] does.
    ///
    /// # Errors
    ///
    /// [`Error`]: why there is no answer, and no watch.
    pub fn wait(self) -> Result<StandingWatch, Error> {
        self.call.wait()?;
        Ok(self.watch.expect("an answered request was accepted"))
    }
}
