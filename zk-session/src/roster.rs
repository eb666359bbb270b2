//! All watches, in the order of their owners.

use alloc::collections::VecDeque;

use crate::{
    RequestId,
    watch::{Seat, Watch},
};

/// The watches, each with the request that set it. They come nearly always in the order of those, for replies do.
#[derive(Clone, Debug, Default)]
pub(crate) struct Roster {
    entries: VecDeque<(RequestId, Option<Watch>)>,
    /// The number of the first seat; the others follow, beyond the last number with the first one.
    first: u32,
    /// Entries whose watch is gone.
    gone: usize,
}

impl Roster {
    pub(crate) fn len(&self) -> usize {
        self.entries.len() - self.gone
    }

    /// The watch's seat; none if it sits in between, where others have changed theirs.
    pub(crate) fn push(&mut self, owner: RequestId, watch: Watch) -> Option<Seat> {
        if self.entries.back().is_none_or(|(last, _)| *last < owner) {
            self.entries.push_back((owner, Some(watch)));
            return Some(self.seat(self.entries.len() - 1));
        }
        match self.place(owner) {
            Ok(place) => self.gone -= usize::from(self.entries[place].1.replace(watch).is_none()),
            Err(place) => self.entries.insert(place, (owner, Some(watch))),
        }
        None
    }

    pub(crate) fn seat_of(&self, owner: RequestId) -> Option<Seat> {
        let place = self.place(owner).ok().filter(|&place| self.entries[place].1.is_some())?;
        Some(self.seat(place))
    }

    pub(crate) fn get(&self, seat: Seat) -> Option<(RequestId, &Watch)> {
        let (owner, watch) = self.entries.get(self.index(seat))?;
        Some((*owner, watch.as_ref()?))
    }

    pub(crate) fn get_mut(&mut self, seat: Seat) -> Option<(RequestId, &mut Watch)> {
        let index = self.index(seat);
        let (owner, watch) = self.entries.get_mut(index)?;
        Some((*owner, watch.as_mut()?))
    }

    /// Takes a watch out; the others stay where they are.
    pub(crate) fn take(&mut self, seat: Seat) -> Option<Watch> {
        let index = self.index(seat);
        let watch = self.entries.get_mut(index)?.1.take()?;
        self.gone += 1;
        while self.entries.pop_front_if(|(_, watch)| watch.is_none()).is_some() {
            self.first = self.first.wrapping_add(1);
            self.gone -= 1;
        }
        Some(watch)
    }

    /// Closes the gaps once they are most of it; tells whether it did, and all have other seats.
    pub(crate) fn compact(&mut self) -> bool {
        let has_many_gaps = self.gone > COMPACT_AT && self.gone > self.entries.len() / 2;
        if has_many_gaps {
            self.entries.retain(|(_, watch)| watch.is_some());
            self.entries.shrink_to(self.entries.len() * 2);
            self.gone = 0;
        }
        has_many_gaps
    }

    /// Gives memory back, if there is room for so many times what there is, and for more than is to be `kept`.
    pub(crate) fn shrink(&mut self, times: usize, kept: usize) {
        if self.entries.capacity() > (self.entries.len() * times).max(kept) {
            self.entries.shrink_to(self.entries.len() * 2);
        }
    }

    /// The seats from the first owner after this one to the last, those of watches that are gone too.
    pub(crate) fn seats_after(&self, owner: Option<RequestId>) -> impl Iterator<Item = Seat> + use<> {
        let beginning = owner.map_or(0, |owner| self.entries.partition_point(|(other, _)| *other <= owner));
        let first = self.first;
        (beginning..self.entries.len()).map(move |index| Seat(first.wrapping_add(index as u32)))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (RequestId, &Watch)> {
        self.entries.iter().filter_map(|(owner, watch)| Some((*owner, watch.as_ref()?)))
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Watch> {
        self.entries.iter_mut().filter_map(|(_, watch)| watch.as_mut())
    }

    pub(crate) fn into_iter(self) -> impl Iterator<Item = (RequestId, Watch)> {
        self.entries.into_iter().filter_map(|(owner, watch)| Some((owner, watch?)))
    }

    fn seat(&self, index: usize) -> Seat {
        Seat(self.first.wrapping_add(index as u32))
    }

    #[inline]
    fn index(&self, Seat(number): Seat) -> usize {
        number.wrapping_sub(self.first) as usize
    }

    fn place(&self, owner: RequestId) -> Result<usize, usize> {
        self.entries.binary_search_by_key(&owner, |(owner, _)| *owner)
    }
}

/// As many entries may outlive their watches before they are looked through.
const COMPACT_AT: usize = 32;

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;
    use crate::watch::{Arming, WatchKind};

    fn watch(kind: WatchKind) -> Watch {
        Watch { path: b"/a"[..].into(), kind, arming: Arming::Armed, next: None, previous: None }
    }

    fn roster(numbers: impl IntoIterator<Item = u64>) -> Roster {
        let mut roster = Roster::default();
        for number in numbers {
            roster.push(RequestId(number), watch(WatchKind::Data));
        }
        roster
    }

    fn remove(roster: &mut Roster, number: u64) -> Option<WatchKind> {
        let seat = roster.seat_of(RequestId(number))?;
        let kind = roster.take(seat)?.kind;
        roster.compact();
        Some(kind)
    }

    fn numbers(roster: &Roster) -> Vec<u64> {
        roster.iter().map(|(owner, _)| owner.0).collect()
    }

    #[test]
    fn owners_are_found_whatever_order_they_come_and_go_in() {
        let mut some = roster([1, 2, 5, 3, 4]);
        assert!(remove(&mut some, 3).is_some() && remove(&mut some, 3).is_none());
        assert!(some.seat_of(RequestId(2)).is_some() && some.seat_of(RequestId(3)).is_none());
        assert!(some.push(RequestId(3), watch(WatchKind::Child)).is_none());
        assert_eq!(some.len(), 5);
        assert_eq!(remove(&mut some, 1), Some(WatchKind::Data));
        assert_eq!(numbers(&some), [2, 3, 4, 5]);
        let after = some.seats_after(Some(RequestId(3))).filter_map(|seat| Some(some.get(seat)?.0.0));
        assert_eq!(after.collect::<Vec<_>>(), [4, 5]);
    }

    #[test]
    fn a_seat_is_kept_while_others_leave_and_follow() {
        for first in [0, u32::MAX - 1] {
            let mut some = Roster { first, ..Roster::default() };
            let seats: Vec<_> =
                (1..=4).map(|number| some.push(RequestId(number), watch(WatchKind::Data))).collect();
            remove(&mut some, 1);
            remove(&mut some, 3);
            some.push(RequestId(5), watch(WatchKind::Data));
            let owner = |seat: Option<Seat>| some.get(seat?).map(|(owner, _)| owner.0);
            assert_eq!(seats.into_iter().map(owner).collect::<Vec<_>>(), [None, Some(2), None, Some(4)]);
        }
    }

    #[test]
    fn what_is_gone_takes_no_more_room_than_what_is_left() {
        let mut some = roster(0..1000);
        for number in (1..1000).filter(|number| number % 10 != 0) {
            remove(&mut some, number);
            assert!(some.entries.len() <= 2 * some.len() + COMPACT_AT + 1);
        }
        assert_eq!(numbers(&some), (0..100).map(|number| number * 10).collect::<Vec<_>>());
        assert!(some.entries.capacity() <= 256);
        for number in 0..100 {
            remove(&mut some, number * 10);
        }
        some.shrink(4, 0);
        assert_eq!(some.entries.capacity(), 0);
    }

    #[test]
    fn only_watches_that_are_left_are_counted_whatever_order_the_others_went_in() {
        let mut some = roster(1..=6);
        for (gone, left) in [(2, 5), (3, 4), (1, 3), (6, 2), (5, 1), (4, 0)] {
            assert!(remove(&mut some, gone).is_some());
            assert_eq!(some.len(), left, "after {gone}");
        }
        some.push(RequestId(7), watch(WatchKind::Data));
        assert_eq!(some.len(), 1);
    }
}
