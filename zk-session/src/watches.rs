//! The registered watches: added when a reply says that they are armed, removed when they fire, armed again
//! after a reconnect (ZooKeeper's `ZKWatchManager` and `DataTree.setWatches`).

use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};
use core::ops::Bound;

use zk_proto::{EventType, Request, SetWatches, SetWatches2, Ustring, Vector, Zxid};

use crate::RequestId;

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
    const LAST: Self = Self::PersistentRecursive;

    pub(crate) const fn is_persistent(self) -> bool {
        matches!(self, Self::Persistent | Self::PersistentRecursive)
    }

    /// Whether the watch hears of such an event at its own path.
    fn hears(self, event: EventType) -> bool {
        match event {
            EventType::NODE_CREATED | EventType::NODE_DATA_CHANGED => self != Self::Child,
            EventType::NODE_CHILDREN_CHANGED => matches!(self, Self::Child | Self::Persistent),
            // An event that this crate doesn't know concerns whoever watches the path.
            _ => true,
        }
    }
}

/// Server path, kind, and the request that set the watch: its owner.
type Key = (Ustring, WatchKind, RequestId);

/// Where a watch stands with the server.
///
/// `checked` is the zxid up to which the server is known to have told the watch everything. It is kept apart
/// for each watch, because replies that arrive while the watches of a new connection are still being armed
/// raise the session's `last_zxid` past what the later ones have been checked against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Arming {
    Armed,
    Lost { checked: Zxid },
    Sent { checked: Zxid, batch: u64 },
}

/// All watches of a session.
#[derive(Clone, Debug, Default)]
pub(crate) struct Watches {
    by_key: BTreeMap<Key, Arming>,
    by_owner: BTreeMap<RequestId, (Ustring, WatchKind)>,
    recursive: usize,
}

/// A watch that hears of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
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
        self.recursive += usize::from(kind == WatchKind::PersistentRecursive);
        self.by_owner.insert(owner, (path.clone(), kind));
        self.by_key.insert((path, kind, owner), Arming::Armed);
    }

    /// Forgets the watch that this request set, and tells its path.
    pub(crate) fn remove(&mut self, owner: RequestId) -> Option<Ustring> {
        let (path, kind) = self.by_owner.remove(&owner)?;
        self.recursive -= usize::from(kind == WatchKind::PersistentRecursive);
        self.by_key.remove(&(path.clone(), kind, owner));
        Some(path)
    }

    /// Resolves an event to those who hear of it, in the order of registration, and ends the one-time watches
    /// among them.
    pub(crate) fn fire(&mut self, event: EventType, path: &Ustring) -> Vec<Fired> {
        let mut fired = Vec::new();
        for ((_, kind, owner), arming) in self.at(path).filter(|(key, _)| key.1.hears(event)) {
            if *kind != WatchKind::PersistentRecursive {
                let early = kind.is_persistent() && *arming != Arming::Armed;
                fired.push(Fired { owner: *owner, last: !kind.is_persistent() && is_known(event), early });
            }
        }
        if self.recursive > 0 && event != EventType::NODE_CHILDREN_CHANGED {
            for ancestor in ancestors(path) {
                let recursive = self.at(&ancestor).filter(|(key, _)| key.1 == WatchKind::PersistentRecursive);
                fired.extend(recursive.map(|(key, arming)| Fired {
                    owner: key.2,
                    last: false,
                    early: *arming != Arming::Armed,
                }));
            }
        }
        fired.sort_unstable();
        for ended in fired.iter().filter(|fired| fired.last) {
            self.remove(ended.owner);
        }
        fired
    }

    /// The server has forgotten all watches; those that were armed have been told everything up to `last_zxid`.
    pub(crate) fn connection_lost(&mut self, last_zxid: Zxid) {
        for arming in self.by_key.values_mut() {
            *arming = match *arming {
                Arming::Armed => Arming::Lost { checked: last_zxid },
                Arming::Lost { checked } | Arming::Sent { checked, .. } => Arming::Lost { checked },
            };
        }
    }

    /// Ends all watches, in the order of registration.
    pub(crate) fn end_all(&mut self) -> impl Iterator<Item = (RequestId, Ustring)> + use<> {
        let ended = core::mem::take(self);
        ended.by_owner.into_iter().map(|(owner, (path, _))| (owner, path))
    }

    /// The persistent watches are armed, and their owners know what they may have missed.
    fn persistent_restored(&mut self) {
        for (key, arming) in &mut self.by_key {
            if key.1.is_persistent() && matches!(arming, Arming::Sent { .. }) {
                *arming = Arming::Armed;
            }
        }
    }

    fn at(&self, path: &Ustring) -> impl Iterator<Item = (&Key, &Arming)> {
        let first = (path.clone(), WatchKind::FIRST, RequestId(0));
        let last = (path.clone(), WatchKind::LAST, RequestId(u64::MAX));
        self.by_key.range(first..=last)
    }
}

/// Arms a session's watches again on a new connection: batch by batch, persistent ones first (servers before
/// 3.9 keep one mode for a path, and the last one wins), each batch with a zxid that none of its watches has
/// been checked beyond.
#[derive(Clone, Debug)]
pub(crate) struct Rearm {
    /// What is still to be sent, the next one last.
    passes: Vec<Pass>,
    /// The last watch that has been sent in the current pass.
    cursor: Option<Key>,
    batches: u64,
    /// Batches that are sent and not acknowledged.
    unacknowledged: usize,
    /// Those among them that hold persistent watches.
    unacknowledged_persistent: usize,
    /// What the persistent watches had been told when they were lost: until their owners are told of the gap.
    gap_from: Option<Zxid>,
}

/// One walk over the watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pass {
    Persistent { checked: Zxid },
    OneTime { checked: Zxid },
}

impl Pass {
    const fn relative_zxid(self) -> Zxid {
        match self {
            Self::Persistent { checked } | Self::OneTime { checked } => checked,
        }
    }

    fn takes(self, kind: WatchKind, arming: Arming) -> bool {
        let Arming::Lost { checked } = arming else { return false };
        match self {
            Self::Persistent { .. } => kind.is_persistent(),
            Self::OneTime { checked: pass } => !kind.is_persistent() && checked == pass,
        }
    }
}

/// A batch on its way to the server: which watches are in it.
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    number: u64,
    persistent: bool,
    after: Option<Key>,
    to: Key,
}

impl Rearm {
    pub(crate) fn new(watches: &Watches) -> Self {
        let mut one_time = BTreeSet::new();
        let mut persistent_since = None;
        for (key, arming) in &watches.by_key {
            let Arming::Lost { checked } = *arming else { continue };
            if key.1.is_persistent() {
                persistent_since = Some(persistent_since.map_or(checked, |since: Zxid| since.min(checked)));
            } else {
                one_time.insert(checked);
            }
        }
        let mut passes: Vec<_> = one_time.into_iter().map(|checked| Pass::OneTime { checked }).collect();
        passes.extend(persistent_since.map(|checked| Pass::Persistent { checked }));
        Self {
            passes,
            cursor: None,
            batches: 0,
            unacknowledged: 0,
            unacknowledged_persistent: 0,
            gap_from: persistent_since,
        }
    }

    /// Everything has been sent.
    pub(crate) fn is_sent(&self) -> bool {
        self.passes.is_empty()
    }

    /// Everything has been sent and acknowledged.
    pub(crate) fn is_done(&self) -> bool {
        self.is_sent() && self.unacknowledged == 0
    }

    /// The next batch, its frame at most `max_len` bytes long unless its only path is longer.
    pub(crate) fn next_batch(&mut self, watches: &mut Watches, max_len: usize) -> Option<(Request, Batch)> {
        while let Some(&pass) = self.passes.last() {
            if let Some((request, batch)) = self.batch_of(pass, watches, max_len) {
                self.unacknowledged += 1;
                self.unacknowledged_persistent += usize::from(batch.persistent);
                return Some((request, batch));
            }
            self.passes.pop();
            self.cursor = None;
        }
        None
    }

    fn batch_of(&mut self, pass: Pass, watches: &mut Watches, max_len: usize) -> Option<(Request, Batch)> {
        let after = self.cursor.clone();
        let from = after.clone().map_or(Bound::Unbounded, Bound::Excluded);
        let mut paths = Paths::default();
        self.batches += 1;
        for (key, arming) in watches.by_key.range_mut((from, Bound::Unbounded)) {
            if !pass.takes(key.1, *arming) {
                continue;
            }
            if !paths.push(key, max_len) {
                break;
            }
            *arming = Arming::Sent { checked: checked(*arming), batch: self.batches };
            self.cursor = Some(key.clone());
        }
        if paths.is_empty() {
            return None;
        }
        let to = self.cursor.clone()?;
        let persistent = matches!(pass, Pass::Persistent { .. });
        Some((paths.into_request(pass), Batch { number: self.batches, persistent, after, to }))
    }

    /// The server has armed this batch. Persistent watches count as armed only when their owners have been
    /// told the gap.
    pub(crate) fn acknowledged(&mut self, watches: &mut Watches, batch: &Batch) {
        self.answered(batch);
        for arming in batch.of(watches).map(|(_, arming)| arming) {
            if !batch.persistent {
                *arming = Arming::Armed;
            }
        }
    }

    /// The server has refused this batch: its watches end. Tells their owners and paths.
    pub(crate) fn refused(&mut self, watches: &mut Watches, batch: &Batch) -> Vec<(RequestId, Ustring)> {
        self.answered(batch);
        let owners: Vec<_> = batch.of(watches).map(|(key, _)| key.2).collect();
        owners.into_iter().filter_map(|owner| Some((owner, watches.remove(owner)?))).collect()
    }
}

impl Rearm {
    fn answered(&mut self, batch: &Batch) {
        self.unacknowledged -= 1;
        self.unacknowledged_persistent -= usize::from(batch.persistent);
    }

    /// Once, when the last persistent watch is armed: from where on its owners may have missed something.
    pub(crate) fn take_gap(&mut self, watches: &mut Watches) -> Option<Zxid> {
        let is_sent = !matches!(self.passes.last(), Some(Pass::Persistent { .. }));
        if !is_sent || self.unacknowledged_persistent > 0 {
            return None;
        }
        let from = self.gap_from.take()?;
        watches.persistent_restored();
        Some(from)
    }
}

impl Batch {
    fn of<'a>(&'a self, watches: &'a mut Watches) -> impl Iterator<Item = (&'a Key, &'a mut Arming)> {
        let after = self.after.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        watches
            .by_key
            .range_mut::<Key, _>((after, Bound::Included(&self.to)))
            .filter(|(_, arming)| matches!(arming, Arming::Sent { batch, .. } if *batch == self.number))
    }
}

/// The paths of one batch, by kind.
#[derive(Default)]
struct Paths {
    lists: [Vec<Ustring>; WatchKind::LAST as usize + 1],
    len: usize,
}

impl Paths {
    fn is_empty(&self) -> bool {
        self.lists.iter().all(Vec::is_empty)
    }

    /// Adds a watch, unless the frame would become too long by it.
    fn push(&mut self, (path, kind, _): &Key, max_len: usize) -> bool {
        let list = &self.lists[*kind as usize];
        if list.last() == Some(path) {
            return true;
        }
        let len = self.len + LENGTH_PREFIX + path.len();
        if !self.is_empty() && SET_WATCHES_FIXED_LEN + len > max_len {
            return false;
        }
        self.len = len;
        self.lists[*kind as usize].push(path.clone());
        true
    }

    fn into_request(self, pass: Pass) -> Request {
        let relative_zxid = pass.relative_zxid();
        let [data, exist, child, persistent, recursive] = self.lists.map(Vector::from);
        match pass {
            Pass::OneTime { .. } => Request::SetWatches(SetWatches {
                relative_zxid,
                data_watches: data,
                exist_watches: exist,
                child_watches: child,
            }),
            Pass::Persistent { .. } => Request::SetWatches2(SetWatches2 {
                relative_zxid,
                data_watches: data,
                exist_watches: exist,
                child_watches: child,
                persistent_watches: persistent,
                persistent_recursive_watches: recursive,
            }),
        }
    }
}

const fn checked(arming: Arming) -> Zxid {
    match arming {
        Arming::Lost { checked } | Arming::Sent { checked, .. } => checked,
        Arming::Armed => Zxid(0),
    }
}

/// Whether the event is one of the four that servers send, after which one-time watches are gone there.
fn is_known(event: EventType) -> bool {
    (EventType::NODE_CREATED.0..=EventType::NODE_CHILDREN_CHANGED.0).contains(&event.0)
}

/// The path itself, its parent, and so on up to the root.
fn ancestors(path: &Ustring) -> impl Iterator<Item = Ustring> + use<> {
    let bytes = path.clone().into_bytes().unwrap_or_default();
    let mut rest = (!bytes.is_empty()).then_some(bytes.len());
    core::iter::from_fn(move || {
        let len = rest?;
        rest = match bytes[..len].iter().rposition(|&byte| byte == b'/') {
            Some(0) if len > 1 => Some(1),
            Some(slash) if slash > 0 => Some(slash),
            Some(_) | None => None,
        };
        Some(Ustring::from_bytes(bytes.slice(..len)))
    })
}

/// The bytes before a path in a frame.
const LENGTH_PREFIX: usize = 4;
/// What a SetWatches2 frame is made of beside paths: length, header, zxid, five counts.
const SET_WATCHES_FIXED_LEN: usize = 4 + 8 + 8 + 5 * 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> Ustring {
        Ustring::from(text)
    }

    #[test]
    fn the_ancestors_of_a_path_end_at_the_root() {
        let all = |text| ancestors(&path(text)).collect::<Vec<_>>();
        assert_eq!(all("/a/bc"), [path("/a/bc"), path("/a"), path("/")]);
        assert_eq!(all("/"), [path("/")]);
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
