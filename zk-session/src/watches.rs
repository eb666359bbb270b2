//! The registered watches: added when a reply says that they are armed, removed when they fire
//! (ZooKeeper's `ZKWatchManager`).

use alloc::{boxed::Box, collections::BTreeSet, vec::Vec};

use zk_proto::{EventType, Ustring, WatcherType, Zxid};

use crate::{
    RequestId,
    by_path::{ByPath, Tag},
    roster::Roster,
    watch::{Arming, Fired, Hearing, Seat, Watch, WatchKind},
};

/// All watches of a session.
#[derive(Clone, Debug)]
pub(crate) struct Watches {
    roster: Roster,
    by_path: ByPath,
    /// Recursive ones count too.
    persistent: usize,
    recursive: usize,
    /// No ancestor with a longer path is worth looking up.
    longest_recursive: usize,
    /// Who hears of the latest event.
    fired: Vec<Fired>,
}

impl Watches {
    /// None yet. With another seed they lie elsewhere in memory, and that is all.
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            roster: Roster::default(),
            by_path: ByPath::new(seed),
            persistent: 0,
            recursive: 0,
            longest_recursive: 0,
            fired: Vec::new(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.roster.len()
    }

    /// Registers a watch that the server has just armed.
    pub(crate) fn add(&mut self, path: &Ustring, kind: WatchKind, owner: RequestId) {
        self.insert(path, kind, owner, Arming::Armed);
    }

    /// Registers a watch that no server has armed: it has been told everything up to `checked`.
    pub(crate) fn add_unarmed(&mut self, path: &Ustring, kind: WatchKind, owner: RequestId, checked: Zxid) {
        self.insert(path, kind, owner, Arming::Lost { checked, with_connection: false });
    }

    fn insert(&mut self, path: &Ustring, kind: WatchKind, owner: RequestId, arming: Arming) {
        self.persistent += usize::from(kind.is_persistent());
        if kind == WatchKind::PersistentRecursive {
            self.recursive += 1;
            self.longest_recursive = self.longest_recursive.max(path.len());
        }
        let watch = Watch { path: path.as_bytes().into(), kind, arming, next: None, previous: None };
        match self.roster.push(owner, watch) {
            Some(seat) => self.link(seat),
            None => self.link_all(),
        }
    }

    /// Forgets the watch that this request set, and tells its path.
    pub(crate) fn remove(&mut self, owner: RequestId) -> Option<(Ustring, WatchKind)> {
        let watch = self.forget(self.roster.seat_of(owner)?)?;
        self.compact();
        Some((Ustring::from_bytes(watch.path.into()), watch.kind))
    }

    /// The other watches keep their seats until they are compacted.
    fn forget(&mut self, seat: Seat) -> Option<Watch> {
        let watch = self.roster.take(seat)?;
        self.persistent -= usize::from(watch.kind.is_persistent());
        self.recursive -= usize::from(watch.kind == WatchKind::PersistentRecursive);
        self.unlink(seat, &watch);
        Some(watch)
    }

    /// Resolves an event to those who hear of it, in the order of registration, and ends the one-time watches
    /// among them.
    pub(crate) fn fire(&mut self, event: EventType, path: &Ustring) -> &[Fired] {
        if self.fired.capacity() > MOST_ROOM {
            self.fired = Vec::new();
        }
        self.fired.clear();
        let mut has_ended = false;
        let mut next = self.first_at(path.as_bytes());
        while let Some(seat) = next {
            let Some((owner, watch)) = self.roster.get(seat) else { break };
            next = watch.next;
            let Some(hearing) = watch.hears(event) else { continue };
            if planted!(OneWatchFires) && !self.fired.is_empty() {
                continue;
            }
            self.fired.push(Fired { owner, hearing });
            if hearing == Hearing::Last && !planted!(WatchesFireTwice) {
                self.forget(seat);
                has_ended = true;
            }
        }
        if self.recursive > 0 && event != EventType::NODE_CHILDREN_CHANGED {
            self.fire_recursive(path);
        }
        self.fired.sort_unstable();
        if has_ended {
            self.compact();
        }
        &self.fired
    }

    fn fire_recursive(&mut self, path: &Ustring) {
        let mut fired = core::mem::take(&mut self.fired);
        let known = ancestors(path.as_bytes()).filter(|ancestor| ancestor.len() <= self.longest_recursive);
        let watches = known.flat_map(|ancestor| self.at(ancestor));
        let recursive = watches.filter(|(_, watch)| watch.kind == WatchKind::PersistentRecursive);
        fired.extend(recursive.map(|(owner, watch)| Fired { owner, hearing: watch.arming.hearing() }));
        self.fired = fired;
    }

    /// Gives memory back that nothing needs.
    pub(crate) fn shrink(&mut self) {
        self.fired = Vec::new();
        self.roster.shrink(4, 0);
        self.by_path.shrink();
    }

    pub(crate) fn has(&self, owner: RequestId) -> bool {
        self.roster.seat_of(owner).is_some()
    }

    pub(crate) fn has_any_at(&self, path: &Ustring) -> bool {
        self.first_at(path.as_bytes()).is_some()
    }

    pub(crate) fn has_recursive(&self) -> bool {
        self.recursive > 0
    }

    /// Whether there is a watch of this kind at this path.
    pub(crate) fn has_at(&self, path: &[u8], kind: WatchKind) -> bool {
        self.at(path).any(|(_, watch)| watch.kind == kind)
    }

    /// Whether a persistent watch at this path hears all that a one-time watch of this kind would. A recursive one
    /// hears nothing of children, and before 3.9 a persistent one beside it doesn't either.
    pub(crate) fn cover(&self, path: &Ustring, one_time: WatchKind) -> bool {
        if self.persistent == 0 {
            return false;
        }
        let has = |kind| self.has_at(path.as_bytes(), kind);
        match one_time {
            WatchKind::Child => has(WatchKind::Persistent) && !has(WatchKind::PersistentRecursive),
            WatchKind::Data | WatchKind::Exist | WatchKind::Persistent | WatchKind::PersistentRecursive => {
                has(WatchKind::Persistent) || has(WatchKind::PersistentRecursive)
            }
        }
    }

    /// Who watches this path in a way that removeWatches of this type means, in the order of registration.
    pub(crate) fn owners_of_type(&self, path: &Ustring, kind: WatcherType) -> Vec<RequestId> {
        let meant = self.at(path.as_bytes()).filter(|(_, watch)| watch.kind.is_of(kind));
        let mut owners: Vec<_> = meant.map(|(owner, _)| owner).collect();
        owners.sort_unstable();
        owners
    }

    /// Paths that have a child watch and a recursive one.
    pub(crate) fn children_under_recursive(&self) -> BTreeSet<Box<[u8]>> {
        if self.recursive == 0 {
            return BTreeSet::new();
        }
        let recursive = self.iter().filter(|watch| watch.kind == WatchKind::PersistentRecursive);
        let has_child = |watch: &&Watch| self.has_at(&watch.path, WatchKind::Child);
        recursive.filter(has_child).map(|watch| watch.path.clone()).collect()
    }

    /// In the order of registration.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Watch> {
        self.roster.iter().map(|(_, watch)| watch)
    }

    /// Ends all watches, in the order of registration.
    pub(crate) fn end_all(&mut self) -> impl Iterator<Item = (RequestId, Ustring)> + use<> {
        let rest = Self { by_path: self.by_path.emptied(0), ..Self::new(0) };
        let ended = core::mem::replace(self, rest).roster.into_iter();
        ended.map(|(owner, watch)| (owner, Ustring::from_bytes(watch.path.into())))
    }
}

/// How they stand with the server.
impl Watches {
    /// Some of the watches at this path have to be armed again; tells whether there are any.
    pub(crate) fn disarm_at(
        &mut self,
        path: &Ustring,
        last_zxid: Zxid,
        which: impl Fn(WatchKind) -> bool,
    ) -> bool {
        let mut are_any = false;
        self.each_at(self.first_at(path.as_bytes()), |_, watch| {
            if which(watch.kind) {
                are_any = true;
                if watch.arming == Arming::Armed {
                    watch.arming = Arming::Lost { checked: last_zxid, with_connection: false };
                }
            }
        });
        are_any
    }

    /// The server has forgotten all watches; those that were armed have been told everything up to `last_zxid`.
    pub(crate) fn connection_lost(&mut self, last_zxid: Zxid) {
        for watch in self.roster.iter_mut() {
            watch.arming = match watch.arming {
                Arming::Armed => Arming::Lost { checked: last_zxid, with_connection: true },
                Arming::Lost { checked, .. } | Arming::Sent { checked, .. } => {
                    let is_forgotten = planted!(RearmsFromLastZxid) && !watch.kind.is_persistent();
                    let checked = if is_forgotten { last_zxid } else { checked };
                    Arming::Lost { checked, with_connection: true }
                }
            };
        }
    }

    /// The persistent watches are armed, and their owners know what they may have missed. Tells whether there
    /// are any.
    pub(crate) fn persistent_restored(&mut self) -> bool {
        let mut are_some = false;
        for watch in self.roster.iter_mut() {
            if watch.kind.is_persistent() && watch.arming.is_sent() {
                watch.arming = Arming::Armed;
                are_some = true;
            }
        }
        are_some
    }

    /// The seats of all whose owners come after this one, in the order of registration, those of watches that are gone
    /// too.
    pub(crate) fn seats_after(&self, owner: Option<RequestId>) -> impl Iterator<Item = Seat> + use<> {
        self.roster.seats_after(owner)
    }

    pub(crate) fn seated(&self, seat: Seat) -> Option<(RequestId, &Watch)> {
        self.roster.get(seat)
    }

    pub(crate) fn of(&self, owner: RequestId) -> Option<&Watch> {
        let (_, watch) = self.roster.get(self.roster.seat_of(owner)?)?;
        Some(watch)
    }

    pub(crate) fn of_mut(&mut self, owner: RequestId) -> Option<&mut Watch> {
        let (_, watch) = self.roster.get_mut(self.roster.seat_of(owner)?)?;
        Some(watch)
    }

    /// Goes over all watches at the path of this one.
    pub(crate) fn each_beside(&mut self, seat: Seat, then: impl FnMut(RequestId, &mut Watch)) {
        let first = self.roster.get(seat).and_then(|(_, watch)| self.first_at(&watch.path));
        self.each_at(first, then);
    }

    fn each_at(&mut self, first: Option<Seat>, mut then: impl FnMut(RequestId, &mut Watch)) {
        let mut next = first;
        while let Some(seat) = next {
            let Some((owner, watch)) = self.roster.get_mut(seat) else { break };
            next = watch.next;
            then(owner, watch);
        }
    }
}

/// The watches at a path, each of which knows the next.
impl Watches {
    fn at(&self, path: &[u8]) -> impl Iterator<Item = (RequestId, &Watch)> {
        let mut next = self.first_at(path);
        core::iter::from_fn(move || {
            let (owner, watch) = self.roster.get(next?)?;
            next = watch.next;
            Some((owner, watch))
        })
    }

    fn first_at(&self, path: &[u8]) -> Option<Seat> {
        self.first_with(self.by_path.tag(path), path)
    }

    fn first_with(&self, tag: Tag, path: &[u8]) -> Option<Seat> {
        let is_there = |seat| self.roster.get(seat).is_some_and(|(_, watch)| *watch.path == *path);
        self.by_path.find(tag, is_there)
    }

    fn link(&mut self, seat: Seat) {
        let Some((_, watch)) = self.roster.get(seat) else { return };
        let tag = self.by_path.tag(&watch.path);
        let next = self.first_with(tag, &watch.path);
        match next {
            Some(first) => self.by_path.replace(tag, first, seat),
            None => self.by_path.insert(tag, seat),
        }
        if let Some((_, watch)) = self.roster.get_mut(seat) {
            (watch.next, watch.previous) = (next, None);
        }
        if let Some((_, neighbour)) = next.and_then(|next| self.roster.get_mut(next)) {
            neighbour.previous = Some(seat);
        }
    }

    /// The watch has left its seat.
    fn unlink(&mut self, seat: Seat, Watch { path, next, previous, .. }: &Watch) {
        if let Some((_, neighbour)) = next.and_then(|next| self.roster.get_mut(next)) {
            neighbour.previous = *previous;
        }
        if let Some((_, neighbour)) = previous.and_then(|previous| self.roster.get_mut(previous)) {
            neighbour.next = *next;
            return;
        }
        let tag = self.by_path.tag(path);
        match *next {
            Some(next) => self.by_path.replace(tag, seat, next),
            None => self.by_path.remove(tag, seat),
        }
    }

    /// All seats have changed.
    fn link_all(&mut self) {
        self.by_path = self.by_path.emptied(self.roster.len());
        for seat in self.roster.seats_after(None) {
            self.link(seat);
        }
    }

    /// Closes gaps, and gives back what much fewer watches don't need; the table, which is smaller and slow to make anew,
    /// is given back when there is time.
    fn compact(&mut self) {
        if self.roster.compact() {
            self.link_all();
        }
        self.roster.shrink(16, KEPT);
    }
}

/// Where they lie doesn't count.
#[cfg(feature = "model")]
impl Watches {
    fn parts(&self) -> impl core::hash::Hash + PartialEq {
        let watches = self.roster.iter().map(|(owner, watch)| (owner, &watch.path, watch.kind, watch.arming));
        (watches.collect::<Vec<_>>(), self.longest_recursive)
    }
}

#[cfg(feature = "model")]
impl PartialEq for Watches {
    fn eq(&self, other: &Self) -> bool {
        self.parts() == other.parts()
    }
}

#[cfg(feature = "model")]
impl Eq for Watches {}

#[cfg(feature = "model")]
impl core::hash::Hash for Watches {
    fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
        self.parts().hash(state);
    }
}

/// For more than so many owners at once, room is made anew.
const MOST_ROOM: usize = 256;
/// Room for so many watches is kept until there is time to give it back.
const KEPT: usize = 64;

/// The path itself, its parent, and so on up to the root.
fn ancestors(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = (!path.is_empty()).then_some(path.len());
    core::iter::from_fn(move || {
        let len = rest?;
        let known = path.get(..len)?;
        rest = match known.iter().rposition(|&byte| byte == b'/') {
            Some(0) if len > 1 => Some(1),
            Some(slash) if slash > 0 => Some(slash),
            Some(_) | None => None,
        };
        Some(known)
    })
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;

    use proptest::{collection, prelude::*};

    use super::*;

    fn path(text: &str) -> Ustring {
        Ustring::from(text)
    }

    #[test]
    fn the_ancestors_of_a_path_end_at_the_root() {
        let all = |text: &'static str| ancestors(text.as_bytes()).collect::<Vec<_>>();
        assert_eq!(all("/a/bc"), [&b"/a/bc"[..], b"/a", b"/"]);
        assert_eq!(all("/"), [b"/"]);
        assert!(all("").is_empty());
    }

    const KINDS: [WatchKind; 5] = [
        WatchKind::Data,
        WatchKind::Exist,
        WatchKind::Child,
        WatchKind::Persistent,
        WatchKind::PersistentRecursive,
    ];
    const PATHS: [&str; 6] = ["/", "/a", "/a/b", "/a/b/c", "/ab", "/b"];

    /// Something that happens to the watches; numbers choose owners and paths.
    #[derive(Clone, Debug)]
    enum Step {
        Add(u64, usize, usize),
        Remove(u64),
        Fire(i32, usize),
        Shrink,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            6 => (0..200_u64, 0..PATHS.len(), 0..KINDS.len()).prop_map(|(owner, path, kind)| Step::Add(owner, path, kind)),
            2 => (0..200_u64).prop_map(Step::Remove),
            2 => (1..6, 0..PATHS.len()).prop_map(|(event, path)| Step::Fire(event, path)),
            1 => Just(Step::Shrink),
        ]
    }

    /// What the watches are, as simply as can be: in the order of their owners.
    type Simple = BTreeMap<u64, (&'static str, WatchKind)>;

    /// Who hears of an event, and whether with the last one.
    fn hearers(simple: &Simple, event: EventType, path: &str) -> Vec<(u64, bool)> {
        let is_below = |root: &str| {
            root == "/" || path == root || path.strip_prefix(root).is_some_and(|rest| rest.starts_with('/'))
        };
        let hears = |(root, kind): (&str, WatchKind)| match kind {
            WatchKind::PersistentRecursive => is_below(root) && event != EventType::NODE_CHILDREN_CHANGED,
            WatchKind::Child => root == path && ![1, 3].contains(&event.0),
            WatchKind::Data | WatchKind::Exist => root == path && event != EventType::NODE_CHILDREN_CHANGED,
            WatchKind::Persistent => root == path,
        };
        let hearers = simple.iter().filter(|(_, watch)| hears(**watch));
        hearers.map(|(owner, (_, kind))| (*owner, !kind.is_persistent() && event.0 < 5)).collect()
    }

    proptest! {
        /// However watches come and go, each is found by its path and its owner as long as it is there.
        #[test]
        fn watches_are_what_a_list_of_them_would_be(steps in collection::vec(step(), 0..400)) {
            let mut watches = Watches::new(1);
            let mut simple = Simple::new();
            for step in steps {
                match step {
                    Step::Add(owner, place, kind) if !simple.contains_key(&owner) => {
                        watches.add(&path(PATHS[place]), KINDS[kind], RequestId(owner));
                        simple.insert(owner, (PATHS[place], KINDS[kind]));
                    }
                    Step::Add(..) => {}
                    Step::Remove(owner) => {
                        let removed = watches.remove(RequestId(owner));
                        let expected = simple.remove(&owner).map(|(root, kind)| (path(root), kind));
                        prop_assert_eq!(removed, expected);
                    }
                    Step::Fire(event, place) => {
                        let fired = watches.fire(EventType(event), &path(PATHS[place])).iter();
                        let fired: Vec<_> =
                            fired.map(|fired| (fired.owner.0, fired.hearing == Hearing::Last)).collect();
                        prop_assert_eq!(&fired, &hearers(&simple, EventType(event), PATHS[place]));
                        fired.iter().filter(|(_, last)| *last).for_each(|(owner, _)| _ = simple.remove(owner));
                    }
                    Step::Shrink => watches.shrink(),
                }
                prop_assert_eq!(watches.len(), simple.len());
                for place in PATHS {
                    let mut at: Vec<_> = watches.at(place.as_bytes()).map(|(owner, _)| owner.0).collect();
                    at.sort_unstable();
                    let there = simple.iter().filter(|(_, (root, _))| *root == place);
                    prop_assert_eq!(at, there.map(|(owner, _)| *owner).collect::<Vec<_>>());
                }
            }
            let ended = watches.end_all().map(|(owner, path)| (owner.0, path));
            let left = simple.into_iter().map(|(owner, (root, _))| (owner, path(root)));
            prop_assert_eq!(ended.collect::<Vec<_>>(), left.collect::<Vec<_>>());
        }
    }

    #[test]
    fn kinds_hear_what_the_servers_table_says() {
        let mut watches = Watches::new(0);
        let mut heard = |event| {
            for (id, kind) in KINDS.into_iter().enumerate() {
                watches.remove(RequestId(id as u64));
                watches.add(&path("/a"), kind, RequestId(id as u64));
            }
            watches
                .fire(event, &path("/a"))
                .iter()
                .map(|fired| (fired.owner.0, fired.hearing == Hearing::Last))
                .collect::<Vec<_>>()
        };
        assert_eq!(heard(EventType::NODE_CREATED), [(0, true), (1, true), (3, false), (4, false)]);
        assert_eq!(heard(EventType::NODE_DATA_CHANGED), [(0, true), (1, true), (3, false), (4, false)]);
        assert_eq!(heard(EventType::NODE_DELETED), [(0, true), (1, true), (2, true), (3, false), (4, false)]);
        assert_eq!(heard(EventType::NODE_CHILDREN_CHANGED), [(2, true), (3, false)]);
        let unknown = [(0, false), (1, false), (2, false), (3, false), (4, false)];
        assert_eq!(heard(EventType(99)), unknown);
    }
}
