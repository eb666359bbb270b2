//! The registered watches: added when a reply says that they are armed, removed when they fire
//! (ZooKeeper's `ZKWatchManager`).

use alloc::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    vec::Vec,
};
use core::{borrow::Borrow, cmp::Ordering, ops::Bound};

use zk_proto::{Bytes, EventType, Ustring, WatcherType, Zxid};

use crate::{
    RequestId,
    owners::{Owners, Watched},
};

/// What a watch waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum WatchKind {
    Data,
    Exist,
    Child,
    Persistent,
    PersistentRecursive,
}

impl WatchKind {
    const FIRST: Self = Self::Data;
    pub(crate) const LAST: Self = Self::PersistentRecursive;

    pub(crate) const fn is_persistent(self) -> bool {
        matches!(self, Self::Persistent | Self::PersistentRecursive)
    }

    /// Whether removeWatches of this type means such a watch.
    fn is_of(self, kind: WatcherType) -> bool {
        match kind {
            WatcherType::CHILDREN => self == Self::Child,
            WatcherType::DATA => matches!(self, Self::Data | Self::Exist),
            WatcherType::PERSISTENT => self == Self::Persistent,
            WatcherType::PERSISTENT_RECURSIVE => self == Self::PersistentRecursive,
            other => other == WatcherType::ANY,
        }
    }

    /// Whether the watch hears of such an event at its own path.
    fn hears(self, event: EventType) -> bool {
        match event {
            EventType::NODE_CREATED | EventType::NODE_DATA_CHANGED => {
                self != Self::Child || planted!(ChildWatchesHearData)
            }
            EventType::NODE_CHILDREN_CHANGED => matches!(self, Self::Child | Self::Persistent),
            // An event that this crate doesn't know concerns whoever watches the path.
            _ => true,
        }
    }
}

/// Which watch it is. The path is the server's; the owner is the request that set the watch.
///
/// Paths mostly differ in their ends, so those are compared first: it takes one comparison of numbers, where the paths
/// themselves begin alike and lie elsewhere in memory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "model", derive(Hash))]
pub(crate) struct Key {
    ending: u64,
    pub(crate) path: Arc<[u8]>,
    pub(crate) kind: WatchKind,
    pub(crate) owner: RequestId,
}

/// A path as the protocol has it.
pub(crate) fn wire_path(path: &[u8]) -> Ustring {
    Ustring::from_bytes(Bytes::copy_from_slice(path))
}

/// The last eight bytes of a path as a number.
fn ending(path: &[u8]) -> u64 {
    match path.last_chunk() {
        Some(last) => u64::from_be_bytes(*last),
        None => path.iter().fold(0, |ending, byte| ending << 8 | u64::from(*byte)),
    }
}

/// What keys are ordered by, wherever it lies: a search needs no key of its own.
trait Place {
    fn ending(&self) -> u64;
    fn rest(&self) -> (&[u8], WatchKind, RequestId);
}

impl Place for Key {
    fn ending(&self) -> u64 {
        self.ending
    }

    fn rest(&self) -> (&[u8], WatchKind, RequestId) {
        (&self.path, self.kind, self.owner)
    }
}

/// Where the watches at a path begin.
struct Beginning<'a> {
    ending: u64,
    path: &'a [u8],
}

impl Place for Beginning<'_> {
    fn ending(&self) -> u64 {
        self.ending
    }

    fn rest(&self) -> (&[u8], WatchKind, RequestId) {
        (self.path, WatchKind::FIRST, RequestId(0))
    }
}

impl<'a> Borrow<dyn Place + 'a> for Key {
    fn borrow(&self) -> &(dyn Place + 'a) {
        self
    }
}

impl Ord for dyn Place + '_ {
    fn cmp(&self, other: &Self) -> Ordering {
        self.ending().cmp(&other.ending()).then_with(|| self.rest().cmp(&other.rest()))
    }
}

impl PartialOrd for dyn Place + '_ {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for dyn Place + '_ {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for dyn Place + '_ {}

/// Where a watch stands with the server.
///
/// `checked` is the zxid up to which the server is known to have told the watch everything. It is kept apart
/// for each watch, because replies that arrive while the watches of a new connection are still being armed
/// raise the session's `last_zxid` past what the later ones have been checked against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "model", derive(Hash))]
pub(crate) enum Arming {
    Armed,
    /// With the connection, or without it: then no event is kept back.
    Lost {
        checked: Zxid,
        with_connection: bool,
    },
    Sent {
        checked: Zxid,
        with_connection: bool,
        batch: u64,
    },
}

impl Arming {
    /// The owner of a persistent watch hasn't been told the gap yet.
    const fn has_gap(self) -> bool {
        matches!(self, Self::Lost { with_connection: true, .. } | Self::Sent { with_connection: true, .. })
    }
}

/// All watches of a session.
#[derive(Clone, Debug, Default)]
#[cfg_attr(feature = "model", derive(PartialEq, Eq, Hash))]
pub(crate) struct Watches {
    pub(crate) by_key: BTreeMap<Key, Arming>,
    by_owner: Owners,
    /// Recursive ones count too.
    persistent: usize,
    pub(crate) recursive: usize,
    /// No ancestor with a longer path is worth looking up.
    longest_recursive: usize,
    /// Room for those who hear of an event, for the next one to use.
    room: Vec<Fired>,
}

/// A watch that hears of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "model", derive(Hash))]
pub(crate) struct Fired {
    pub(crate) owner: RequestId,
    /// The watch has ended with it.
    pub(crate) last: bool,
    /// A persistent watch whose owner hasn't been told the gap yet: the event comes after that.
    pub(crate) early: bool,
}

impl Watches {
    pub(crate) fn len(&self) -> usize {
        self.by_key.len()
    }

    /// Registers a watch that the server has just armed.
    pub(crate) fn add(&mut self, path: Ustring, kind: WatchKind, owner: RequestId) {
        self.insert(path, kind, owner, Arming::Armed);
    }

    /// Registers a watch that no server has armed: it has been told everything up to `checked`.
    pub(crate) fn add_unarmed(&mut self, path: Ustring, kind: WatchKind, owner: RequestId, checked: Zxid) {
        self.insert(path, kind, owner, Arming::Lost { checked, with_connection: false });
    }

    fn insert(&mut self, path: Ustring, kind: WatchKind, owner: RequestId, arming: Arming) {
        self.persistent += usize::from(kind.is_persistent());
        if kind == WatchKind::PersistentRecursive {
            self.recursive += 1;
            self.longest_recursive = self.longest_recursive.max(path.len());
        }
        let path: Arc<[u8]> = path.as_bytes().into();
        self.by_owner.insert(owner, (path.clone(), kind));
        self.by_key.insert(Key { ending: ending(&path), path, kind, owner }, arming);
    }

    /// Forgets the watch that this request set, and tells its path.
    pub(crate) fn remove(&mut self, owner: RequestId) -> Option<(Ustring, WatchKind)> {
        self.forget(owner).map(|(path, kind)| (wire_path(&path), kind))
    }

    fn forget(&mut self, owner: RequestId) -> Option<Watched> {
        let (path, kind) = self.by_owner.remove(owner)?;
        self.persistent -= usize::from(kind.is_persistent());
        self.recursive -= usize::from(kind == WatchKind::PersistentRecursive);
        let key = Key { ending: ending(&path), path, kind, owner };
        self.by_key.remove(&key);
        Some((key.path, kind))
    }

    /// Resolves an event to those who hear of it, in the order of registration, and ends the one-time watches
    /// among them. Once they are told, their room is [taken back](Self::take_back).
    pub(crate) fn fire(&mut self, event: EventType, path: &Ustring) -> Vec<Fired> {
        let mut fired = core::mem::take(&mut self.room);
        for (&Key { kind, owner, .. }, arming) in self.at(path.as_bytes()) {
            if kind.hears(event) && kind != WatchKind::PersistentRecursive {
                let early = kind.is_persistent() && arming.has_gap();
                fired.push(Fired { owner, last: !kind.is_persistent() && is_known(event), early });
            }
        }
        if self.recursive > 0 && event != EventType::NODE_CHILDREN_CHANGED {
            let known =
                ancestors(path.as_bytes()).filter(|ancestor| ancestor.len() <= self.longest_recursive);
            for ancestor in known {
                let recursive =
                    self.at(ancestor).filter(|(key, _)| key.kind == WatchKind::PersistentRecursive);
                fired.extend(recursive.map(|(key, arming)| Fired {
                    owner: key.owner,
                    last: false,
                    early: arming.has_gap(),
                }));
            }
        }
        fired.sort_unstable();
        if planted!(OneWatchFires) {
            fired.truncate(1);
        }
        for ended in fired.iter().filter(|fired| fired.last && !planted!(WatchesFireTwice)) {
            self.forget(ended.owner);
        }
        fired
    }

    /// Takes back the room of those who have heard.
    pub(crate) fn take_back(&mut self, mut fired: Vec<Fired>) {
        if fired.capacity() <= MOST_ROOM {
            fired.clear();
            self.room = fired;
        }
    }

    /// Gives memory back that nothing needs.
    pub(crate) fn shrink(&mut self) {
        self.room = Vec::new();
    }

    pub(crate) fn has(&self, owner: RequestId) -> bool {
        self.by_owner.contains(owner)
    }

    pub(crate) fn has_any_at(&self, path: &Ustring) -> bool {
        self.at(path.as_bytes()).next().is_some()
    }

    /// Whether there is a watch of this kind at this path.
    pub(crate) fn has_at(&self, path: &Ustring, kind: WatchKind) -> bool {
        self.at(path.as_bytes()).any(|(key, _)| key.kind == kind)
    }

    /// Whether a persistent watch at this path hears all that a one-time watch of this kind would. A recursive one
    /// hears nothing of children, and before 3.9 a persistent one beside it doesn't either.
    pub(crate) fn cover(&self, path: &Ustring, one_time: WatchKind) -> bool {
        if self.persistent == 0 {
            return false;
        }
        let has = |kind| self.has_at(path, kind);
        match one_time {
            WatchKind::Child => has(WatchKind::Persistent) && !has(WatchKind::PersistentRecursive),
            WatchKind::Data | WatchKind::Exist | WatchKind::Persistent | WatchKind::PersistentRecursive => {
                has(WatchKind::Persistent) || has(WatchKind::PersistentRecursive)
            }
        }
    }

    /// Who watches this path in a way that removeWatches of this type means, in the order of registration.
    pub(crate) fn owners_of_type(&self, path: &Ustring, kind: WatcherType) -> Vec<RequestId> {
        let mut owners: Vec<_> = self
            .at(path.as_bytes())
            .filter(|(key, _)| key.kind.is_of(kind))
            .map(|(key, _)| key.owner)
            .collect();
        owners.sort_unstable();
        owners
    }

    /// Some of the watches at this path have to be armed again; tells whether there are any.
    pub(crate) fn disarm_at(
        &mut self,
        path: &Ustring,
        last_zxid: Zxid,
        which: impl Fn(WatchKind) -> bool,
    ) -> bool {
        let keys = self.at(path.as_bytes()).map(|(key, _)| key).filter(|key| which(key.kind));
        let keys: Vec<_> = keys.cloned().collect();
        for key in &keys {
            if let Some(arming @ Arming::Armed) = self.by_key.get_mut(key) {
                *arming = Arming::Lost { checked: last_zxid, with_connection: false };
            }
        }
        !keys.is_empty()
    }

    /// The server has forgotten all watches; those that were armed have been told everything up to `last_zxid`.
    pub(crate) fn connection_lost(&mut self, last_zxid: Zxid) {
        for (key, arming) in &mut self.by_key {
            *arming = match *arming {
                Arming::Armed => Arming::Lost { checked: last_zxid, with_connection: true },
                Arming::Lost { checked, .. } | Arming::Sent { checked, .. } => {
                    let is_forgotten = planted!(RearmsFromLastZxid) && !key.kind.is_persistent();
                    let checked = if is_forgotten { last_zxid } else { checked };
                    Arming::Lost { checked, with_connection: true }
                }
            };
        }
    }

    /// Ends all watches, in the order of registration.
    pub(crate) fn end_all(&mut self) -> impl Iterator<Item = (RequestId, Ustring)> + use<> {
        let ended = core::mem::take(self);
        ended.by_owner.into_iter().map(|(owner, (path, _))| (owner, wire_path(&path)))
    }

    /// Paths that have a child watch and a recursive one.
    pub(crate) fn children_under_recursive(&self) -> BTreeSet<Arc<[u8]>> {
        if self.recursive == 0 {
            return BTreeSet::new();
        }
        let recursive = self.by_key.keys().filter(|key| key.kind == WatchKind::PersistentRecursive);
        let has_child = |key: &&Key| self.at(&key.path).any(|(key, _)| key.kind == WatchKind::Child);
        recursive.filter(has_child).map(|key| key.path.clone()).collect()
    }

    /// The persistent watches are armed, and their owners know what they may have missed. Tells whether there
    /// are any.
    pub(crate) fn persistent_restored(&mut self) -> bool {
        let mut are_some = false;
        for (key, arming) in &mut self.by_key {
            if key.kind.is_persistent() && matches!(arming, Arming::Sent { .. }) {
                *arming = Arming::Armed;
                are_some = true;
            }
        }
        are_some
    }

    fn at<'a>(&'a self, path: &'a [u8]) -> impl Iterator<Item = (&'a Key, &'a Arming)> {
        let first = Beginning { ending: ending(path), path };
        let from = (Bound::Included(&first as &dyn Place), Bound::Unbounded);
        self.by_key.range::<dyn Place, _>(from).take_while(move |(key, _)| *key.path == *path)
    }
}

/// For more than so many owners at once, room is made anew.
const MOST_ROOM: usize = 16;

/// Whether the event is one of the four that servers send, after which one-time watches are gone there.
pub(crate) fn is_known(event: EventType) -> bool {
    if planted!(UnknownEventsEnd) {
        return true;
    }
    (EventType::NODE_CREATED.0..=EventType::NODE_CHILDREN_CHANGED.0).contains(&event.0)
}

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

    #[test]
    fn kinds_hear_what_the_servers_table_says() {
        let mut watches = Watches::default();
        let kinds = [
            WatchKind::Data,
            WatchKind::Exist,
            WatchKind::Child,
            WatchKind::Persistent,
            WatchKind::PersistentRecursive,
        ];
        let mut heard = |event| {
            for (id, kind) in kinds.into_iter().enumerate() {
                watches.remove(RequestId(id as u64));
                watches.add(path("/a"), kind, RequestId(id as u64));
            }
            watches
                .fire(event, &path("/a"))
                .into_iter()
                .map(|fired| (fired.owner.0, fired.last))
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
