use core::task::Waker;
use std::collections::{BTreeMap, VecDeque};

use zk_proto::Zxid;
use zk_session::{Chroot, RequestId, WatchEvent};

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

impl StandingEvent {
    /// Turns its path from one above this root into the one below it.
    #[inline]
    pub fn undo(&mut self, chroot: &Chroot) {
        if let Self::Event(event) = self {
            chroot.undo_path(&mut event.path);
        }
    }
}

/// The standing watches that somebody holds.
#[derive(Debug, Default)]
pub struct Standing {
    held: BTreeMap<RequestId, Held>,
    /// How many of them are crowded.
    crowded: usize,
    /// How often something was taken.
    takes: u64,
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
        self.remove(request);
    }

    fn remove(&mut self, request: RequestId) -> Option<Held> {
        let held = self.held.remove(&request)?;
        self.crowded -= usize::from(held.is_crowded());
        Some(held)
    }

    /// Whether some have so much unread that another read may bring more than is kept of it.
    pub fn are_crowded(&self) -> bool {
        self.crowded > 0
    }

    /// How often something was taken.
    pub fn takes(&self) -> u64 {
        self.takes
    }

    /// The watch that this request has set, if somebody holds it, and how many are crowded.
    #[inline]
    pub(crate) fn held(&mut self, request: RequestId) -> Option<(&mut Held, &mut usize)> {
        Some((self.held.get_mut(&request)?, &mut self.crowded))
    }

    pub(crate) fn tell_gap(&mut self, from: Zxid, to: Zxid) -> Vec<Waker> {
        let held = self.held.values_mut();
        let crowded = &mut self.crowded;
        held.filter_map(|held| held.push(StandingEvent::Gap { from, to }, crowded)).collect()
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
        self.takes += 1;
        let was_crowded = held.is_crowded();
        taken.extend(held.unread.drain(..held.unread.len().min(MOST_TAKEN)));
        self.crowded -= usize::from(was_crowded && !held.is_crowded());
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
        self.remove(request).is_some_and(|held| held.end.is_none())
    }
}

impl Held {
    /// Tells something, and returns whom to wake.
    #[inline(always)]
    pub(crate) fn push(&mut self, event: StandingEvent, crowded: &mut usize) -> Option<Waker> {
        if self.unread.len() < MOST_UNREAD {
            self.unread.push_back(event);
            *crowded += usize::from(self.unread.len() == CROWDED);
        } else {
            self.skip();
        }
        self.waker.take()
    }

    fn is_crowded(&self) -> bool {
        self.unread.len() >= CROWDED
    }

    /// Counts what is told as left out, for too much is unread.
    #[cold]
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

const MOST_UNREAD: usize = 4096;
/// A read of 128 KiB brings up to 3,972 events, before anybody can take one.
const CROWDED: usize = MOST_UNREAD - 3972;
/// So many events are taken over at once.
const MOST_TAKEN: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    const GAP: StandingEvent = StandingEvent::Gap { from: Zxid(1), to: Zxid(2) };

    fn tell(standing: &mut Standing, number: u64, times: usize) {
        for _ in 0..times {
            let (held, crowded) = standing.held(RequestId::from_number(number)).expect("it is held");
            assert!(held.push(GAP, crowded).is_none());
        }
    }

    #[test]
    fn those_are_crowded_for_whom_another_read_is_too_much() {
        let mut standing = Standing::default();
        let [first, second] = [1, 2].map(RequestId::from_number);
        [first, second].into_iter().for_each(|request| standing.hold(request));
        tell(&mut standing, 1, CROWDED - 1);
        assert!(!standing.are_crowded());
        tell(&mut standing, 1, 1);
        tell(&mut standing, 2, 2 * MOST_UNREAD);
        assert!(standing.are_crowded());

        let mut taken = VecDeque::new();
        standing.take(first, &mut taken).expect("something is told").expect("the watch stays");
        assert_eq!((taken.len(), standing.crowded), (CROWDED, 1));
        standing.forget(second);
        assert!(!standing.are_crowded());
        standing.tell_gap(Zxid(1), Zxid(2));
        tell(&mut standing, 1, CROWDED);
        standing.refused(first);
        assert!(!standing.are_crowded());
    }
}
