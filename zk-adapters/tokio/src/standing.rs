use core::{
    fmt,
    future::{Future, poll_fn},
    pin::Pin,
    task::{Context, Poll, Waker, ready},
};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use zk_proto::{ErrorResponse, Zxid};
use zk_session::{Chroot, RequestId, WatchEvent};

use crate::{Call, Error, WatchEnded, shared::Shared};

/// What a standing watch tells.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StandingEvent {
    /// Something happened.
    Event(WatchEvent),
    /// The connection was lost, and the watch is armed again. Servers don't replay what happened in between: who
    /// mirrors state reads it again.
    Gap {
        /// What happened up to this transaction was told.
        from: Zxid,
        /// What happens after this transaction will be told.
        to: Zxid,
    },
    /// So much was left out here, because too much was unread: as good as a gap.
    Skipped {
        /// How many events.
        count: u64,
    },
}

/// A persistent or persistent recursive watch: it tells all that happens until it is dropped.
#[must_use = "a watch is removed when it is dropped"]
pub struct StandingWatch {
    shared: Arc<Shared>,
    chroot: Chroot,
    request: RequestId,
}

impl StandingWatch {
    /// Waits for the next thing that it tells. Up to 4,096 wait unread, more than one read brings; then some are left out, and it says so.
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
        let mut told = ready!(self.shared.lock().standing.poll(self.request, context));
        if let Ok(StandingEvent::Event(event)) = &mut told {
            event.path = self.chroot.client_path(&event.path);
        }
        Poll::Ready(told)
    }

    /// The request that set the watch.
    pub fn request(&self) -> RequestId {
        self.request
    }
}

impl Drop for StandingWatch {
    fn drop(&mut self) {
        if self.shared.lock().standing.forget(self.request) {
            self.shared.command(|inner, now| inner.session.remove_watch(self.request, now));
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

/// The standing watches that somebody holds.
#[derive(Debug, Default)]
pub(crate) struct Standing {
    held: BTreeMap<RequestId, Held>,
}

#[derive(Debug, Default)]
struct Held {
    unread: VecDeque<StandingEvent>,
    end: Option<WatchEnded>,
    waker: Option<Waker>,
}

impl Standing {
    pub(crate) fn hold(&mut self, request: RequestId) {
        self.held.insert(request, Held::default());
    }

    /// The request failed: it has set no watch.
    pub(crate) fn refused(&mut self, request: RequestId) {
        self.held.remove(&request);
    }

    pub(crate) fn tell(&mut self, event: &WatchEvent) -> Option<Waker> {
        self.held.get_mut(&event.request)?.push(StandingEvent::Event(event.clone()))
    }

    pub(crate) fn has(&self, request: RequestId) -> bool {
        self.held.contains_key(&request)
    }

    pub(crate) fn tell_gap(&mut self, from: Zxid, to: Zxid) -> Vec<Waker> {
        let held = self.held.values_mut();
        held.filter_map(|held| held.push(StandingEvent::Gap { from, to })).collect()
    }

    pub(crate) fn end(&mut self, request: RequestId, reason: WatchEnded) -> Option<Waker> {
        let held = self.held.get_mut(&request)?;
        held.end.get_or_insert(reason);
        held.waker.take()
    }

    pub(crate) fn end_all(&mut self, reason: WatchEnded) -> Vec<Waker> {
        let requests: Vec<_> = self.held.keys().copied().collect();
        requests.into_iter().filter_map(|request| self.end(request, reason)).collect()
    }

    fn poll(&mut self, request: RequestId, context: &Context<'_>) -> Poll<Result<StandingEvent, WatchEnded>> {
        let held = self.held.get_mut(&request).expect("a watch is forgotten only when its handle is dropped");
        if let Some(event) = held.unread.pop_front() {
            return Poll::Ready(Ok(event));
        }
        if let Some(end) = held.end {
            return Poll::Ready(Err(end));
        }
        held.waker = Some(context.waker().clone());
        Poll::Pending
    }

    /// Forgets a watch; tells whether the session still has it.
    fn forget(&mut self, request: RequestId) -> bool {
        self.held.remove(&request).is_some_and(|held| held.end.is_none())
    }
}

impl Held {
    /// Adds what is told, or counts it as left out if too much is unread.
    fn push(&mut self, event: StandingEvent) -> Option<Waker> {
        if self.unread.len() < MOST_UNREAD {
            self.unread.push_back(event);
        } else if let Some(StandingEvent::Skipped { count }) = self.unread.back_mut() {
            *count += 1;
        } else {
            // The last one makes room for the word that it, too, is left out.
            self.unread.pop_back();
            self.unread.push_back(StandingEvent::Skipped { count: 2 });
        }
        self.waker.take()
    }
}

const MOST_UNREAD: usize = 4096;
