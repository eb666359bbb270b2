//! Where the watches at a path are: looked up by a hash of it.
//!
//! Nobody walks over this table, so that nothing a session does depends on where something lies in it.

use alloc::{vec, vec::Vec};
use core::num::NonZeroU32;

use crate::watch::Seat;

/// The first seat at each path that is watched. An open-addressing table with linear probing, at most three quarters full.
#[derive(Clone, Debug, Default)]
pub(crate) struct ByPath {
    /// A power of two, or none.
    slots: Vec<Option<Slot>>,
    used: usize,
    /// Who doesn't know it can hardly choose paths so that they all belong to one place.
    seed: u64,
}

/// A path's hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tag(NonZeroU32);

#[derive(Clone, Copy, Debug)]
struct Slot {
    tag: Tag,
    first: Seat,
}

impl ByPath {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, ..Self::default() }
    }

    /// An empty table with room for so many paths.
    pub(crate) fn emptied(&self, paths: usize) -> Self {
        let slots = if paths == 0 { 0 } else { (paths * 2).next_power_of_two().max(LEAST_SLOTS) };
        Self { slots: vec![None; slots], used: 0, seed: self.seed }
    }

    #[inline]
    pub(crate) fn tag(&self, path: &[u8]) -> Tag {
        let (words, rest) = path.as_chunks();
        let mut hash = fold(self.seed ^ path.len() as u64);
        for word in words {
            hash = fold(hash ^ u64::from_le_bytes(*word));
        }
        let rest = rest.iter().fold(0, |rest, byte| rest << 8 | u64::from(*byte));
        Tag(NonZeroU32::MIN | (fold(hash ^ rest) as u32) << 1)
    }

    /// The first seat at the path with this tag whose seats these are.
    #[inline]
    pub(crate) fn find(&self, tag: Tag, is_there: impl Fn(Seat) -> bool) -> Option<Seat> {
        let slot = self.slots[self.slot_of(tag, is_there)?]?;
        Some(slot.first)
    }

    /// Puts in a path that isn't there yet.
    pub(crate) fn insert(&mut self, tag: Tag, first: Seat) {
        if (self.used + 1) * 4 > self.slots.len() * 3 {
            self.resize(self.used + 1);
        }
        self.used += 1;
        self.place(Slot { tag, first });
    }

    /// Another one is the first at its path now.
    pub(crate) fn replace(&mut self, tag: Tag, first: Seat, by: Seat) {
        if let Some(place) = self.slot_of(tag, |seat| seat == first) {
            self.slots[place] = Some(Slot { tag, first: by });
        }
    }

    /// The only one at its path is gone.
    pub(crate) fn remove(&mut self, tag: Tag, first: Seat) {
        let Some(mut hole) = self.slot_of(tag, |seat| seat == first) else { return };
        self.used -= 1;
        let mut place = hole;
        loop {
            place = self.follow(place);
            let Some(slot) = self.slots[place] else { break };
            // What isn't where it belongs may have been kept from there by what is gone.
            if self.distance(self.home(slot.tag), place) >= self.distance(hole, place) {
                self.slots[hole] = Some(slot);
                hole = place;
            }
        }
        self.slots[hole] = None;
    }

    /// Gives memory back that nothing needs.
    pub(crate) fn shrink(&mut self) {
        if self.slots.len() > self.used * 8 {
            self.resize(self.used);
        }
    }

    fn resize(&mut self, paths: usize) {
        let slots = core::mem::replace(self, self.emptied(paths)).slots;
        for slot in slots.into_iter().flatten() {
            self.used += 1;
            self.place(slot);
        }
    }

    /// There is room.
    fn place(&mut self, slot: Slot) {
        let mut place = self.home(slot.tag);
        while self.slots[place].is_some() {
            place = self.follow(place);
        }
        self.slots[place] = Some(slot);
    }

    #[inline]
    fn slot_of(&self, tag: Tag, is_it: impl Fn(Seat) -> bool) -> Option<usize> {
        if self.used == 0 {
            return None;
        }
        let mut place = self.home(tag);
        loop {
            let slot = self.slots[place]?;
            if slot.tag == tag && is_it(slot.first) {
                return Some(place);
            }
            place = self.follow(place);
        }
    }

    /// Where it belongs.
    #[inline]
    fn home(&self, Tag(tag): Tag) -> usize {
        (tag.get() >> 1) as usize & self.mask()
    }

    #[inline]
    fn follow(&self, place: usize) -> usize {
        (place + 1) & self.mask()
    }

    fn distance(&self, from: usize, to: usize) -> usize {
        to.wrapping_sub(from) & self.mask()
    }

    #[inline]
    fn mask(&self) -> usize {
        self.slots.len().wrapping_sub(1)
    }
}

/// The two halves of a product, folded: each bit of the number has its part in each of the result.
#[inline]
fn fold(number: u64) -> u64 {
    let product = u128::from(number) * u128::from(MULTIPLIER);
    product as u64 ^ (product >> 64) as u64
}

/// An odd number without a pattern.
const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;
const LEAST_SLOTS: usize = 8;

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;

    /// So many different seats.
    fn seats(count: u32) -> Vec<Seat> {
        (0..count).map(Seat).collect()
    }

    #[test]
    fn each_path_is_found_and_no_other_whatever_came_and_went() {
        let paths: Vec<_> = (0..1000).map(|number| format!("/a/{number}")).collect();
        let seats = seats(1000);
        for seed in 0..8 {
            let mut by_path = ByPath::new(seed);
            let tags: Vec<_> = paths.iter().map(|path| by_path.tag(path.as_bytes())).collect();
            let find = |by_path: &ByPath, number: usize| {
                by_path.find(tags[number], |seat| seat == seats[number]).is_some()
            };
            for number in 0..1000 {
                by_path.insert(tags[number], seats[number]);
                // Every third goes again, when others have come.
                if let Some(gone) = number.checked_sub(7).filter(|gone| gone % 3 == 0) {
                    by_path.remove(tags[gone], seats[gone]);
                }
            }
            for number in 0..1000 {
                assert_eq!(find(&by_path, number), number % 3 != 0 || number + 7 >= 1000, "{number}");
            }
        }
    }

    #[test]
    fn those_with_the_same_tag_are_told_apart() {
        let seats = seats(6);
        let mut by_path = ByPath::new(1);
        let tag = by_path.tag(b"/a");
        for seat in &seats {
            by_path.insert(tag, *seat);
        }
        by_path.remove(tag, seats[2]);
        by_path.replace(tag, seats[3], seats[2]);
        let left: Vec<_> =
            seats.iter().map(|seat| by_path.find(tag, |other| other == *seat).is_some()).collect();
        assert_eq!(left, [true, true, true, false, true, true]);
    }

    #[test]
    fn the_table_grows_and_is_given_back() {
        let seats = seats(100_000);
        let mut by_path = ByPath::new(1);
        let tags: Vec<_> =
            (0..seats.len()).map(|number| by_path.tag(format!("/{number}").as_bytes())).collect();
        for (tag, seat) in tags.iter().zip(&seats) {
            by_path.insert(*tag, *seat);
            assert!(by_path.used * 4 <= by_path.slots.len() * 3);
        }
        assert!(by_path.slots.len() <= 262_144);
        for (tag, seat) in tags.iter().zip(&seats).skip(100) {
            by_path.remove(*tag, *seat);
        }
        by_path.shrink();
        assert_eq!(by_path.slots.len(), 256);
        assert!(by_path.find(tags[7], |seat| seat == seats[7]).is_some());
        for (tag, seat) in tags.iter().zip(&seats).take(100) {
            by_path.remove(*tag, *seat);
        }
        by_path.shrink();
        assert_eq!((by_path.slots.capacity(), by_path.find(tags[7], |_| true)), (0, None));
    }

    #[test]
    fn tags_are_spread_and_depend_on_the_seed() {
        let by_path = ByPath::new(7);
        let mut counts = [0; 16];
        for number in 0..16_000 {
            counts[by_path.tag(format!("/a/b-{number:010}").as_bytes()).0.get() as usize >> 1 & 15] += 1;
        }
        assert!(counts.iter().all(|count| (800..1200).contains(count)), "{counts:?}");
        assert_ne!(by_path.tag(b"/a"), ByPath::new(8).tag(b"/a"));
        assert_ne!(by_path.tag(b"/a\0"), by_path.tag(b"/a"));
    }
}
