use core::{num::NonZero, task::Waker};
use std::collections::VecDeque;

use zk_proto::Response;
use zk_session::RequestId;

use crate::Error;

/// Where the outcomes of requests are put for those who await them: a slab, and a ring that finds a request's place
/// in it. Neither allocates in a steady state.
#[derive(Debug, Default)]
pub struct Slots {
    slots: Vec<Slot>,
    free: Vec<SlotId>,
    /// The slot of each request from `first` on that has no outcome yet.
    pending: VecDeque<Option<SlotId>>,
    first: u64,
}

/// A place among the slots, held by one `Call`: counted from 1.
#[derive(Clone, Copy, Debug)]
pub struct SlotId(NonZero<u32>);

#[derive(Debug)]
enum Slot {
    Free,
    Waiting(Option<Waker>),
    /// Nobody awaits the outcome any more, but the session still owes it.
    Abandoned,
    Done(Result<Response, Error>),
}

impl Slots {
    /// Takes a slot for a request. Requests come in the order of their numbers.
    ///
    /// # Panics
    ///
    /// If four billion requests have no outcome yet; a session bounds its requests far below.
    #[inline]
    pub fn insert(&mut self, request: RequestId) -> SlotId {
        let slot = self.reserve();
        if self.pending.is_empty() {
            self.first = request.get();
        }
        // Some requests have no slot.
        while self.first + (self.pending.len() as u64) < request.get() {
            self.pending.push_back(None);
        }
        self.pending.push_back(Some(slot));
        slot
    }

    /// Takes a slot for what isn't one request.
    #[inline]
    pub(crate) fn reserve(&mut self) -> SlotId {
        let slot = self.free.pop().unwrap_or_else(|| self.add());
        self.slots[slot.index()] = Slot::Waiting(None);
        slot
    }

    #[cold]
    fn add(&mut self) -> SlotId {
        if self.slots.is_empty() {
            // Many sessions never have more than one request under way.
            self.slots.reserve_exact(1);
        }
        self.slots.push(Slot::Free);
        let count = u32::try_from(self.slots.len()).ok().and_then(NonZero::new);
        SlotId(count.expect("the session bounds its requests far below this"))
    }

    /// Puts the outcome of a request into its slot, and returns who awaits it.
    #[inline]
    pub fn finish(&mut self, request: RequestId, outcome: Result<Response, Error>) -> Option<Waker> {
        let slot = self.settle(request)?;
        self.fill(slot, outcome)
    }

    /// Puts an outcome into a slot, and returns who awaits it.
    #[inline]
    pub(crate) fn fill(&mut self, slot: SlotId, outcome: Result<Response, Error>) -> Option<Waker> {
        let place = &mut self.slots[slot.index()];
        let Slot::Waiting(waker) = place else {
            self.release(slot);
            return None;
        };
        let waker = waker.take();
        *place = Slot::Done(outcome);
        waker
    }

    /// The slot of a request that has its outcome now.
    #[inline]
    fn settle(&mut self, request: RequestId) -> Option<SlotId> {
        let place = request.get().checked_sub(self.first)?;
        let slot = self.pending.get_mut(usize::try_from(place).ok()?)?.take()?;
        while let Some(None) = self.pending.front() {
            self.pending.pop_front();
            self.first += 1;
        }
        Some(slot)
    }

    /// The outcome, if it is there; the slot is free then.
    ///
    /// # Panics
    ///
    /// If the slot was given up, or its outcome taken.
    #[inline]
    pub fn take(&mut self, slot: SlotId) -> Option<Result<Response, Error>> {
        let place = &mut self.slots[slot.index()];
        if let Slot::Waiting(_) = place {
            return None;
        }
        self.free.push(slot);
        match core::mem::replace(place, Slot::Free) {
            Slot::Done(outcome) => Some(outcome),
            Slot::Free | Slot::Waiting(_) | Slot::Abandoned => {
                unreachable!("a slot is looked into only by the call that holds it")
            }
        }
    }

    /// Has this waker woken when the outcome is there, instead of an earlier one.
    #[inline]
    pub fn wait(&mut self, slot: SlotId, waker: &Waker) {
        if let Slot::Waiting(waiting) = &mut self.slots[slot.index()] {
            match waiting {
                Some(waiting) => waiting.clone_from(waker),
                None => *waiting = Some(waker.clone()),
            }
        }
    }

    /// Gives up a slot; tells whether its request still has no outcome.
    pub fn abandon(&mut self, slot: SlotId) -> bool {
        let place = &mut self.slots[slot.index()];
        if let Slot::Waiting(_) = place {
            *place = Slot::Abandoned;
            return true;
        }
        self.release(slot);
        false
    }

    /// Gives back its memory, if nothing is awaited.
    pub(crate) fn give_back(&mut self) {
        if self.free.len() == self.slots.len() {
            *self = Self::default();
        }
    }

    fn release(&mut self, slot: SlotId) {
        self.slots[slot.index()] = Slot::Free;
        self.free.push(slot);
    }
}

impl SlotId {
    #[inline]
    fn index(self) -> usize {
        self.0.get() as usize - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u64) -> RequestId {
        RequestId::from_number(number)
    }

    /// Takes the outcome, or waits for it.
    fn poll(slots: &mut Slots, slot: SlotId) -> Option<Result<Response, Error>> {
        slots.wait(slot, Waker::noop());
        slots.take(slot)
    }

    #[test]
    fn outcomes_in_any_order_reach_their_own_slots() {
        let mut slots = Slots::default();
        let held: Vec<_> = (1..=3).map(|number| slots.insert(id(number))).collect();
        assert!(poll(&mut slots, held[1]).is_none());
        assert!(slots.finish(id(2), Ok(Response::Empty)).is_some());
        assert!(slots.finish(id(1), Err(Error::DriverGone { delivery: NOT_SENT })).is_none());
        assert!(matches!(poll(&mut slots, held[1]), Some(Ok(Response::Empty))));
        assert!(matches!(poll(&mut slots, held[0]), Some(Err(Error::DriverGone { .. }))));
        assert!(poll(&mut slots, held[2]).is_none());
    }

    #[test]
    fn an_abandoned_slot_is_used_again_only_after_its_outcome() {
        let mut slots = Slots::default();
        let first = slots.insert(id(1));
        assert!(slots.abandon(first));
        let second = slots.insert(id(2));
        assert_ne!(second.index(), first.index());
        assert!(slots.finish(id(1), Ok(Response::Empty)).is_none());
        assert_eq!(slots.insert(id(3)).index(), first.index());
    }

    #[test]
    fn an_outcome_that_is_never_taken_holds_one_slot_and_no_more() {
        let mut slots = Slots::default();
        let forgotten = slots.insert(id(1));
        slots.finish(id(1), Ok(Response::Empty));
        for number in 2..1000 {
            let slot = slots.insert(id(number));
            slots.finish(id(number), Ok(Response::Empty));
            assert!(poll(&mut slots, slot).is_some());
        }
        assert_eq!(slots.slots.len(), 2);
        assert!(slots.pending.is_empty());
        assert!(!slots.abandon(forgotten));
    }

    #[test]
    fn a_burst_is_given_back_when_nothing_is_awaited() {
        let mut slots = Slots::default();
        let held: Vec<_> = (1..=1000).map(|number| slots.insert(id(number))).collect();
        for number in 1..=1000 {
            slots.finish(id(number), Ok(Response::Empty));
        }
        slots.give_back();
        assert_eq!(slots.slots.len(), 1000);
        for slot in held {
            assert!(poll(&mut slots, slot).is_some());
        }
        slots.give_back();
        assert_eq!(slots.slots.capacity(), 0);
        let slot = slots.insert(id(1001));
        slots.finish(id(1001), Ok(Response::Empty));
        assert!(poll(&mut slots, slot).is_some());
    }

    const NOT_SENT: zk_session::Delivery = zk_session::Delivery::NotSent;
}
