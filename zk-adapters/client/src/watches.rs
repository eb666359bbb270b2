use core::{
    hash::{BuildHasherDefault, Hasher},
    task::Waker,
};
use std::collections::{HashMap, hash_map::Entry};

use zk_session::{RequestId, WatchEvent};

use crate::WatchEnded;

/// The one-time watches that somebody holds.
#[derive(Debug, Default)]
pub struct Watches {
    held: HashMap<RequestId, Held, BuildHasherDefault<Spread>>,
}

#[derive(Debug)]
enum Held {
    Open {
        /// It is set even if there is no such znode: its creation is what is waited for.
        on_missing: bool,
        waker: Option<Waker>,
    },
    Over(Result<WatchEvent, WatchEnded>),
}

/// The session counts its requests: nobody else can choose their numbers. Neighbours come and go together, so they lie
/// together in memory, block by block; the highest bits, by which the table tells apart what shares a place, differ.
#[derive(Debug, Default)]
struct Spread(u64);

impl Hasher for Spread {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.write_u64(byte.into()));
    }

    #[inline]
    fn write_u64(&mut self, number: u64) {
        self.0 = self.0.rotate_left(8) ^ number;
    }

    #[inline]
    fn finish(&self) -> u64 {
        let block = (self.0 / BLOCK).wrapping_mul(GOLDEN);
        let place = ((block ^ (block >> 32)) & !(BLOCK - 1)) | (self.0 % BLOCK);
        place ^ (self.0 << HIGHEST)
    }
}

impl Watches {
    /// Keeps a place for the watch that a request sets; `on_missing` if it is set where there is no such znode, too.
    pub fn hold(&mut self, request: RequestId, on_missing: bool) {
        self.held.insert(request, Held::Open { on_missing, waker: None });
    }

    /// The request failed: it has set no watch, but where a missing znode may be watched.
    pub(crate) fn refused(&mut self, request: RequestId, is_missing: bool) {
        if let Some(&Held::Open { on_missing, .. }) = self.held.get(&request)
            && !(is_missing && on_missing)
        {
            self.held.remove(&request);
        }
    }

    pub(crate) fn tell(&mut self, event: WatchEvent) -> Option<Waker> {
        self.held.get_mut(&event.request)?.settle(Ok(event))
    }

    pub(crate) fn end(&mut self, request: RequestId, reason: WatchEnded) -> Option<Waker> {
        self.held.get_mut(&request)?.settle(Err(reason))
    }

    pub(crate) fn end_all(&mut self) -> Vec<Waker> {
        self.held.values_mut().filter_map(|held| held.settle(Err(WatchEnded::DriverGone))).collect()
    }

    /// The watch's outcome, if it is there; the watch is forgotten then.
    pub fn take(&mut self, request: RequestId) -> Option<Result<WatchEvent, WatchEnded>> {
        let Entry::Occupied(entry) = self.held.entry(request) else { return None };
        if let Held::Open { .. } = entry.get() {
            return None;
        }
        let Held::Over(outcome) = entry.remove() else { return None };
        Some(outcome)
    }

    /// Has this waker woken when the outcome is there, instead of an earlier one.
    pub fn wait(&mut self, request: RequestId, waker: &Waker) {
        match self.held.get_mut(&request) {
            Some(Held::Open { waker: Some(waiting), .. }) => waiting.clone_from(waker),
            Some(Held::Open { waker: waiting, .. }) => *waiting = Some(waker.clone()),
            Some(Held::Over(_)) | None => {}
        }
    }

    /// Forgets a watch; tells whether the session still has it.
    pub fn forget(&mut self, request: RequestId) -> bool {
        matches!(self.held.remove(&request), Some(Held::Open { .. }))
    }

    /// Gives back the memory of many watches once there are few.
    pub(crate) fn give_back(&mut self) {
        if self.held.capacity() > KEPT.max(4 * self.held.len()) {
            self.held.shrink_to(2 * self.held.len());
        }
    }
}

impl Held {
    /// The first outcome stays.
    fn settle(&mut self, outcome: Result<WatchEvent, WatchEnded>) -> Option<Waker> {
        let Self::Open { waker, .. } = self else { return None };
        let waker = waker.take();
        *self = Self::Over(outcome);
        waker
    }
}

/// 2⁶⁴ divided by the golden ratio: neighbouring blocks are spread over all bits.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;
/// So many neighbours lie together.
const BLOCK: u64 = 16;
/// Where the seven highest bits begin.
const HIGHEST: u32 = 57;
/// Room for so many watches is kept.
const KEPT: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(watches: &mut Watches, number: u64) -> Option<Result<WatchEvent, WatchEnded>> {
        watches.take(RequestId::from_number(number))
    }

    #[test]
    fn the_first_outcome_stays_and_is_taken_once() {
        let mut watches = Watches::default();
        watches.hold(RequestId::from_number(1), false);
        watches.wait(RequestId::from_number(1), Waker::noop());
        assert!(ended(&mut watches, 1).is_none());
        assert!(watches.end(RequestId::from_number(1), WatchEnded::Removed).is_some());
        assert!(watches.end(RequestId::from_number(1), WatchEnded::SessionEnded).is_none());
        assert_eq!(ended(&mut watches, 1), Some(Err(WatchEnded::Removed)));
        assert!(ended(&mut watches, 1).is_none());
    }

    #[test]
    fn a_refused_request_leaves_a_watch_only_where_a_missing_znode_is_watched() {
        let mut watches = Watches::default();
        let is_set = |watches: &mut Watches, on_missing, is_missing| {
            watches.hold(RequestId::from_number(1), on_missing);
            watches.refused(RequestId::from_number(1), is_missing);
            watches.forget(RequestId::from_number(1))
        };
        assert!(is_set(&mut watches, true, true));
        assert!(!is_set(&mut watches, true, false));
        assert!(!is_set(&mut watches, false, true));
        assert!(!is_set(&mut watches, false, false));
    }

    #[test]
    fn the_memory_of_many_watches_is_given_back() {
        let mut watches = Watches::default();
        (0..10_000).for_each(|number| watches.hold(RequestId::from_number(number), false));
        watches.give_back();
        assert!(watches.held.capacity() >= 10_000);
        (1..10_000).for_each(|number| assert!(watches.forget(RequestId::from_number(number))));
        watches.give_back();
        assert!(watches.held.capacity() < KEPT);
        assert!(watches.forget(RequestId::from_number(0)));
    }
}
