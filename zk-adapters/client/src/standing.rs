use core::task::Waker;
use std::collections::{BTreeMap, VecDeque};

use zk_proto::Zxid;
use zk_session::{RequestId, WatchEvent};

use crate::WatchEnded;

/// What a standing watch tells.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[repr(u64)] // A tag as wide as what comes after it: events are moved in whole words.
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

/// The standing watches that somebody holds.
#[derive(Debug, Default)]
pub struct Standing {
    held: BTreeMap<RequestId, Held>,
}

#[derive(Debug, Default)]
pub(crate) struct Held {
    unread: VecDeque<StandingEvent>,
    end: Option<WatchEnded>,
    waker: Option<Waker>,
}

impl Standing {
    /// Keeps a place for the watch that a request sets.
    pub fn hold(&mut self, request: RequestId) {
        self.held.insert(request, Held::default());
    }

    /// The request failed: it has set no watch.
    pub(crate) fn refused(&mut self, request: RequestId) {
        self.held.remove(&request);
    }

    /// The watch that this request has set, if somebody holds it.
    #[inline]
    pub(crate) fn held(&mut self, request: RequestId) -> Option<&mut Held> {
        self.held.get_mut(&request)
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

    /// Moves what a watch tells to `taken`, which is empty, or says why nothing more will come; none if there is nothing
    /// yet. It is no more than is soon told, so that others see how far its owner is.
    pub fn take(
        &mut self,
        request: RequestId,
        taken: &mut VecDeque<StandingEvent>,
    ) -> Option<Result<(), WatchEnded>> {
        let held = self.held.get_mut(&request)?;
        if held.unread.is_empty() {
            return held.end.map(Err);
        }
        taken.extend(held.unread.drain(..held.unread.len().min(MOST_TAKEN)));
        Some(Ok(()))
    }

    /// Has this waker woken when there is something to take, instead of an earlier one.
    pub fn wait(&mut self, request: RequestId, waker: &Waker) {
        match self.held.get_mut(&request).map(|held| &mut held.waker) {
            Some(Some(waiting)) => waiting.clone_from(waker),
            Some(waiting) => *waiting = Some(waker.clone()),
            None => {}
        }
    }

    /// Forgets a watch; tells whether the session still has it.
    pub fn forget(&mut self, request: RequestId) -> bool {
        self.held.remove(&request).is_some_and(|held| held.end.is_none())
    }
}

impl Held {
    /// Tells something, and returns whom to wake.
    #[inline]
    pub(crate) fn push(&mut self, event: StandingEvent) -> Option<Waker> {
        if self.unread.len() < MOST_UNREAD {
            self.unread.push_back(event);
        } else {
            self.skip();
        }
        self.waker.take()
    }

    /// Counts what is told as left out, for too much is unread.
    fn skip(&mut self) {
        if let Some(StandingEvent::Skipped { count }) = self.unread.back_mut() {
            *count += 1;
        } else {
            // The last one makes room for the word that it, too, is left out.
            self.unread.pop_back();
            self.unread.push_back(StandingEvent::Skipped { count: 2 });
        }
    }
}

/// A single read brings up to some 2,500 events, before anybody can take one.
const MOST_UNREAD: usize = 4096;
/// So many events are taken over at once.
const MOST_TAKEN: usize = 256;
