use core::{mem, task::Waker};
use std::collections::BTreeMap;

use zk_proto::Response;

use crate::{Error, Work};

/// Where the outcomes of requests are put for those who await them.
///
/// A slot's place follows from its number, as long as no other is held there: numbers come one after the other, and
/// few are held for long. Nothing is allocated in a steady state.
#[derive(Debug, Default)]
pub struct Slots {
    /// As many as a power of two, or none.
    places: Vec<(Number, Slot)>,
    /// Those whose place was taken.
    displaced: BTreeMap<Number, Slot>,
    held: usize,
    /// How often none was held any more since the last [`give_back`](Self::give_back).
    rests: u8,
}

/// Whose slot it is: the number of a request, or one counted down from the highest for an errand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Number(u64);

#[derive(Debug)]
enum Slot {
    /// Nobody's.
    Free,
    Waiting(Option<Waker>),
    /// Nobody awaits the outcome any more, but the session still owes it.
    Abandoned,
    Done(Result<Response, Error>),
}

impl Slots {
    /// Takes a slot for what has none yet.
    #[inline]
    pub fn insert(&mut self, work: Work) {
        let number = work.into();
        let index = self.index(number);
        match self.places.get_mut(index) {
            Some(place @ (_, Slot::Free)) => *place = (number, Slot::Waiting(None)),
            Some(_) | None => self.make_room(number),
        }
        self.held += 1;
    }

    /// Holds a slot whose place is taken. If every second place is, there are too few of them.
    #[cold]
    fn make_room(&mut self, number: Number) {
        if self.held >= self.places.len() / 2 {
            // Many sessions never have more than one request under way.
            let count = (self.places.len() * 2).max(1);
            let mut places = Vec::with_capacity(count);
            places.resize_with(count, || (NOBODY, Slot::Free));
            let places = mem::replace(&mut self.places, places);
            let displaced = mem::take(&mut self.displaced);
            places.into_iter().chain(displaced).for_each(|(number, slot)| self.put(number, slot));
        }
        self.put(number, Slot::Waiting(None));
    }

    fn put(&mut self, number: Number, slot: Slot) {
        let index = self.index(number);
        match self.places.get_mut(index) {
            _ if matches!(slot, Slot::Free) => {}
            Some(place @ (_, Slot::Free)) => *place = (number, slot),
            Some(_) | None => drop(self.displaced.insert(number, slot)),
        }
    }

    /// Puts an outcome into its slot, if there is one, and returns who awaits it.
    #[inline]
    pub fn fill(&mut self, work: Work, outcome: Result<Response, Error>) -> Option<Waker> {
        let number = work.into();
        let slot = self.slot(number)?;
        let Slot::Waiting(waker) = slot else {
            self.release(number);
            return None;
        };
        let waker = waker.take();
        *slot = Slot::Done(outcome);
        waker
    }

    /// Whether the outcome is there.
    ///
    /// # Panics
    ///
    /// If the slot was given up, or its outcome taken.
    #[inline]
    pub fn is_filled(&mut self, work: Work) -> bool {
        !matches!(self.slot(work.into()).expect(HELD), Slot::Waiting(_))
    }

    /// The outcome, which is there; the slot is free then.
    ///
    /// # Panics
    ///
    /// If it isn't there.
    #[inline]
    pub fn take(&mut self, work: Work) -> Result<Response, Error> {
        let number = work.into();
        let index = self.index(number);
        self.held -= 1;
        let outcome = match self.places.get_mut(index) {
            Some((holder, slot)) if *holder == number => {
                *holder = NOBODY;
                slot.take()
            }
            Some(_) | None => take_displaced(&mut self.displaced, number),
        };
        if self.held == 0 && self.rests < FEW_RESTS {
            self.rest();
        }
        outcome
    }

    /// Gives its memory back at once as long as that isn't often: most sessions are idle.
    #[cold]
    fn rest(&mut self) {
        self.rests += 1;
        self.places = Vec::new();
    }

    /// Has this waker woken when the outcome is there, instead of an earlier one.
    #[inline]
    pub fn wait(&mut self, work: Work, waker: &Waker) {
        if let Some(Slot::Waiting(waiting)) = self.slot(work.into()) {
            match waiting {
                Some(waiting) => waiting.clone_from(waker),
                None => *waiting = Some(waker.clone()),
            }
        }
    }

    /// Gives up a slot; tells whether its request still has no outcome.
    pub fn abandon(&mut self, work: Work) -> bool {
        let number = work.into();
        let slot = self.slot(number).expect(HELD);
        if let Slot::Waiting(_) = slot {
            *slot = Slot::Abandoned;
            return true;
        }
        self.release(number);
        false
    }

    /// Gives back its memory, if nothing is awaited.
    pub(crate) fn give_back(&mut self) {
        self.rests = 0;
        if self.held == 0 {
            self.places = Vec::new();
        }
    }

    fn release(&mut self, number: Number) {
        self.held -= 1;
        let index = self.index(number);
        match self.places.get_mut(index) {
            Some(place) if place.0 == number => *place = (NOBODY, Slot::Free),
            Some(_) | None => drop(self.displaced.remove(&number)),
        }
    }

    #[inline]
    fn slot(&mut self, number: Number) -> Option<&mut Slot> {
        let index = self.index(number);
        match self.places.get_mut(index) {
            Some((holder, slot)) if *holder == number => Some(slot),
            Some(_) | None => displaced(&mut self.displaced, number),
        }
    }

    /// Where a slot belongs.
    #[inline]
    fn index(&self, number: Number) -> usize {
        number.0 as usize & self.places.len().wrapping_sub(1)
    }
}

impl From<Work> for Number {
    #[inline]
    fn from(work: Work) -> Self {
        match work {
            Work::Request(request) => Self(request.get()),
            Work::Errand(errand) => Self(u64::MAX - errand.0),
        }
    }
}

impl Slot {
    /// Moves the outcome, which is large, straight to where it goes.
    #[inline]
    fn take(&mut self) -> Result<Response, Error> {
        let Self::Done(outcome) = self else { unreachable!("{HELD}") };
        let outcome = mem::replace(outcome, Ok(Response::Empty));
        // There is nothing left to drop.
        mem::forget(mem::replace(self, Self::Free));
        outcome
    }
}

#[cold]
fn displaced(displaced: &mut BTreeMap<Number, Slot>, number: Number) -> Option<&mut Slot> {
    displaced.get_mut(&number)
}

#[cold]
fn take_displaced(displaced: &mut BTreeMap<Number, Slot>, number: Number) -> Result<Response, Error> {
    displaced.remove(&number).expect(HELD).take()
}

/// A client that comes to rest more often than this, between two times when memory is given back anyway, isn't idle.
const FEW_RESTS: u8 = 8;
/// Neither requests nor what is counted from the highest number get so far.
const NOBODY: Number = Number(0);
const HELD: &str = "a slot is looked into only by the call that holds it";

#[cfg(test)]
mod tests {
    use zk_session::RequestId;

    use super::*;
    use crate::errands::ErrandId;

    fn request(number: u64) -> Work {
        Work::Request(RequestId::from_number(number))
    }

    fn insert(slots: &mut Slots, number: u64) -> Work {
        slots.insert(request(number));
        request(number)
    }

    /// Takes the outcome, or waits for it.
    fn poll(slots: &mut Slots, slot: Work) -> Option<Result<Response, Error>> {
        slots.wait(slot, Waker::noop());
        slots.is_filled(slot).then(|| slots.take(slot))
    }

    #[test]
    fn outcomes_in_any_order_reach_their_own_slots() {
        let mut slots = Slots::default();
        let held: Vec<_> = (1..=3).map(|number| insert(&mut slots, number)).collect();
        assert!(poll(&mut slots, held[1]).is_none());
        assert!(slots.fill(request(2), Ok(Response::Empty)).is_some());
        assert!(slots.fill(request(1), Err(Error::DriverGone { delivery: NOT_SENT })).is_none());
        assert!(matches!(poll(&mut slots, held[1]), Some(Ok(Response::Empty))));
        assert!(matches!(poll(&mut slots, held[0]), Some(Err(Error::DriverGone { .. }))));
        assert!(poll(&mut slots, held[2]).is_none());
    }

    #[test]
    fn an_abandoned_slot_is_used_again_only_after_its_outcome() {
        let mut slots = Slots::default();
        let first = insert(&mut slots, 1);
        assert!(slots.abandon(first));
        let second = insert(&mut slots, 2);
        assert_eq!(slots.places.len(), 2);
        assert!(slots.fill(request(1), Ok(Response::Empty)).is_none());
        assert!(slots.fill(request(2), Ok(Response::Empty)).is_none());
        let third = insert(&mut slots, 3);
        assert_eq!(slots.places.len(), 2);
        assert!(poll(&mut slots, third).is_none());
        assert!(poll(&mut slots, second).is_some());
    }

    #[test]
    fn an_outcome_that_is_never_taken_holds_one_slot_and_no_more() {
        let mut slots = Slots::default();
        let forgotten = insert(&mut slots, 1);
        slots.fill(request(1), Ok(Response::Empty));
        for number in 2..1000 {
            let slot = insert(&mut slots, number);
            slots.fill(request(number), Ok(Response::Empty));
            assert!(poll(&mut slots, slot).is_some());
        }
        assert!(slots.places.len() <= 4, "{}", slots.places.len());
        assert_eq!(slots.held, 1);
        assert!(!slots.abandon(forgotten));
        assert_eq!(slots.held, 0);
    }

    #[test]
    fn slots_that_are_held_for_long_stand_in_nobodys_way() {
        let mut slots = Slots::default();
        let mut held = Vec::new();
        for number in 1..=10_000 {
            let slot = insert(&mut slots, number);
            slots.fill(request(number), Ok(Response::Empty));
            if number % 16 == 0 {
                held.push(slot);
            } else {
                assert!(poll(&mut slots, slot).is_some());
            }
        }
        held.push(Work::Errand(ErrandId(625)));
        slots.insert(held[625]);
        assert!(slots.fill(held[625], Ok(Response::Empty)).is_none());
        assert!(slots.places.len() <= 4 * held.len());
        for slot in held {
            assert!(poll(&mut slots, slot).is_some());
        }
        assert!(slots.held == 0 && slots.displaced.is_empty());
    }

    #[test]
    fn an_outcome_without_a_slot_goes_nowhere() {
        let mut slots = Slots::default();
        assert!(slots.fill(request(1), Ok(Response::Empty)).is_none());
        slots.insert(request(2));
        assert!(slots.fill(request(4), Ok(Response::Empty)).is_none());
        assert_eq!(slots.held, 1);
    }

    #[test]
    fn a_burst_is_given_back_when_nothing_is_awaited() {
        let mut slots = Slots::default();
        let held: Vec<_> = (1..=1000).map(|number| insert(&mut slots, number)).collect();
        for number in 1..=1000 {
            slots.fill(request(number), Ok(Response::Empty));
        }
        slots.give_back();
        assert_eq!(slots.places.len(), 1024);
        for slot in held {
            assert!(poll(&mut slots, slot).is_some());
        }
        slots.give_back();
        assert_eq!(slots.places.capacity(), 0);
        let slot = insert(&mut slots, 1001);
        slots.fill(request(1001), Ok(Response::Empty));
        assert!(poll(&mut slots, slot).is_some());
    }

    #[test]
    fn what_a_lone_request_takes_is_given_back_at_once_unless_there_are_many() {
        let mut slots = Slots::default();
        let ask = |slots: &mut Slots| {
            (1..=u64::from(FEW_RESTS) + 2)
                .filter(|&number| {
                    let slot = insert(slots, number);
                    slots.fill(request(number), Ok(Response::Empty));
                    assert!(poll(slots, slot).is_some());
                    slots.places.capacity() == 0
                })
                .count()
        };
        assert_eq!(ask(&mut slots), usize::from(FEW_RESTS));
        slots.give_back();
        assert_eq!(slots.places.capacity(), 0);
        assert_eq!(ask(&mut slots), usize::from(FEW_RESTS), "it was idle meanwhile");
    }

    const NOT_SENT: zk_session::Delivery = zk_session::Delivery::NotSent;
}
