//! Whose watch is where: looked up by the request that set it.

use alloc::{collections::VecDeque, sync::Arc};

use crate::{RequestId, watches::WatchKind};

/// Path and kind of each owner's watch, in the order of the owners. They come nearly always in that order, for replies do.
#[derive(Clone, Debug, Default)]
pub(crate) struct Owners {
    entries: VecDeque<(RequestId, Option<Watched>)>,
    /// Entries whose watch is gone.
    gone: usize,
}

pub(crate) type Watched = (Arc<[u8]>, WatchKind);

impl Owners {
    #[cfg(any(test, feature = "model"))]
    fn len(&self) -> usize {
        self.entries.len() - self.gone
    }

    pub(crate) fn contains(&self, owner: RequestId) -> bool {
        self.place(owner).is_ok_and(|place| self.entries[place].1.is_some())
    }

    pub(crate) fn insert(&mut self, owner: RequestId, watched: Watched) {
        if self.entries.back().is_none_or(|(last, _)| *last < owner) {
            return self.entries.push_back((owner, Some(watched)));
        }
        match self.place(owner) {
            Ok(place) => self.gone -= usize::from(self.entries[place].1.replace(watched).is_none()),
            Err(place) => self.entries.insert(place, (owner, Some(watched))),
        }
    }

    pub(crate) fn remove(&mut self, owner: RequestId) -> Option<Watched> {
        let place = self.place(owner).ok()?;
        let watched = self.entries[place].1.take()?;
        self.gone += 1;
        while self.entries.pop_front_if(|(_, watched)| watched.is_none()).is_some() {
            self.gone -= 1;
        }
        if self.gone > COMPACT_AT && self.gone > self.entries.len() / 2 {
            self.entries.retain(|(_, watched)| watched.is_some());
            self.entries.shrink_to(self.entries.len() * 2);
            self.gone = 0;
        }
        Some(watched)
    }

    /// All of them, in order.
    pub(crate) fn into_iter(self) -> impl Iterator<Item = (RequestId, Watched)> {
        self.entries.into_iter().filter_map(|(owner, watched)| Some((owner, watched?)))
    }

    #[cfg(feature = "model")]
    fn iter(&self) -> impl Iterator<Item = (RequestId, &Watched)> {
        self.entries.iter().filter_map(|(owner, watched)| Some((*owner, watched.as_ref()?)))
    }

    fn place(&self, owner: RequestId) -> Result<usize, usize> {
        self.entries.binary_search_by_key(&owner, |(owner, _)| *owner)
    }
}

/// What is gone doesn't count.
#[cfg(feature = "model")]
impl PartialEq for Owners {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

#[cfg(feature = "model")]
impl Eq for Owners {}

#[cfg(feature = "model")]
impl core::hash::Hash for Owners {
    fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
        self.len().hash(state);
        self.iter().for_each(|entry| entry.hash(state));
    }
}

/// As many entries may outlive their watches before they are looked through.
const COMPACT_AT: usize = 32;

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    fn owners(numbers: impl IntoIterator<Item = u64>) -> Owners {
        let mut owners = Owners::default();
        for number in numbers {
            owners.insert(RequestId(number), (b"/a"[..].into(), WatchKind::Data));
        }
        owners
    }

    fn numbers(owners: Owners) -> Vec<u64> {
        owners.into_iter().map(|(owner, _)| owner.0).collect()
    }

    #[test]
    fn owners_are_found_whatever_order_they_come_and_go_in() {
        let mut some = owners([1, 2, 5, 3, 4]);
        assert!(some.remove(RequestId(3)).is_some() && some.remove(RequestId(3)).is_none());
        assert!(some.contains(RequestId(2)) && !some.contains(RequestId(3)));
        some.insert(RequestId(3), (b"/b"[..].into(), WatchKind::Child));
        assert_eq!(some.len(), 5);
        assert_eq!(some.remove(RequestId(1)).map(|(_, kind)| kind), Some(WatchKind::Data));
        assert_eq!(numbers(some), [2, 3, 4, 5]);
    }

    #[test]
    fn what_is_gone_takes_no_more_room_than_what_is_left() {
        let mut some = owners(0..1000);
        for number in (1..1000).filter(|number| number % 10 != 0) {
            some.remove(RequestId(number));
            assert!(some.entries.len() <= 2 * some.len() + COMPACT_AT + 1);
        }
        assert_eq!(numbers(some), (0..100).map(|number| number * 10).collect::<Vec<_>>());
    }

    #[test]
    fn only_watches_that_are_left_are_counted_whatever_order_the_others_went_in() {
        let mut some = owners(1..=6);
        for (gone, left) in [(2, 5), (3, 4), (1, 3), (6, 2), (5, 1), (4, 0)] {
            assert!(some.remove(RequestId(gone)).is_some());
            assert_eq!(some.len(), left, "after {gone}");
        }
        some.insert(RequestId(7), (b"/a"[..].into(), WatchKind::Data));
        assert_eq!(some.len(), 1);
    }
}
