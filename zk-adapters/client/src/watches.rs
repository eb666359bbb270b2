use core::task::Waker;
use std::collections::BTreeMap;

use zk_session::{RequestId, WatchEvent};

use crate::WatchEnded;

/// The one-time watches that somebody holds.
#[derive(Debug, Default)]
pub struct Watches {
    held: BTreeMap<RequestId, Held>,
}

#[derive(Debug)]
struct Held {
    /// It is set even if there is no such znode: its creation is what is waited for.
    on_missing: bool,
    waker: Option<Waker>,
    outcome: Option<Result<WatchEvent, WatchEnded>>,
}

impl Watches {
    /// Keeps a place for the watch that a request sets; `on_missing` if it is set where there is no such znode, too.
    pub fn hold(&mut self, request: RequestId, on_missing: bool) {
        self.held.insert(request, Held { on_missing, waker: None, outcome: None });
    }

    /// The request failed: it has set no watch, but where a missing znode may be watched.
    pub(crate) fn refused(&mut self, request: RequestId, is_missing: bool) {
        let is_set = self.held.get(&request).is_some_and(|held| is_missing && held.on_missing);
        if !is_set {
            self.held.remove(&request);
        }
    }

    pub(crate) fn tell(&mut self, event: WatchEvent) -> Option<Waker> {
        self.settle(event.request, Ok(event))
    }

    pub(crate) fn end(&mut self, request: RequestId, reason: WatchEnded) -> Option<Waker> {
        self.settle(request, Err(reason))
    }

    pub(crate) fn end_all(&mut self) -> Vec<Waker> {
        let open = self.held.values_mut().filter(|held| held.outcome.is_none());
        open.filter_map(|held| {
            held.outcome = Some(Err(WatchEnded::DriverGone));
            held.waker.take()
        })
        .collect()
    }

    fn settle(&mut self, request: RequestId, outcome: Result<WatchEvent, WatchEnded>) -> Option<Waker> {
        let held = self.held.get_mut(&request)?;
        held.outcome.get_or_insert(outcome);
        held.waker.take()
    }

    /// The watch's outcome, if it is there; the watch is forgotten then.
    pub fn take(&mut self, request: RequestId) -> Option<Result<WatchEvent, WatchEnded>> {
        let outcome = self.held.get_mut(&request)?.outcome.take()?;
        self.held.remove(&request);
        Some(outcome)
    }

    /// Has this waker woken when the outcome is there, instead of an earlier one.
    pub fn wait(&mut self, request: RequestId, waker: &Waker) {
        if let Some(held) = self.held.get_mut(&request) {
            held.waker = Some(waker.clone());
        }
    }

    /// Forgets a watch; tells whether the session still has it.
    pub fn forget(&mut self, request: RequestId) -> bool {
        self.held.remove(&request).is_some_and(|held| held.outcome.is_none())
    }
}
