//! Watches armed again: after a reconnect, or where a server has dropped them (`DataTree.setWatches`).

use alloc::{boxed::Box, collections::BTreeSet, vec::Vec};

use zk_proto::{Request, SetWatches, SetWatches2, Ustring, Vector, Zxid};

use crate::{
    RequestId,
    watch::{Arming, Watch, WatchKind, wire_path},
    watches::Watches,
};

/// Arms a session's watches again: batch by batch, each with a zxid that none of its watches has been checked
/// beyond.
///
/// Before 3.9 servers keep one mode for a path and table, and the last one wins. So one-time watches come
/// first, and where a persistent one replaces them it hears for them; then recursive ones, which win over the other
/// persistent ones; only a child watch under a recursive watch of the same path comes behind that.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "model", derive(PartialEq, Eq, Hash))]
pub(crate) struct Rearm {
    /// What is still to be sent, the next one last.
    passes: Vec<Pass>,
    /// Paths at which a recursive watch would replace a child watch.
    late_children: BTreeSet<Box<[u8]>>,
    /// How far the current pass has come: up to the watch of this owner.
    cursor: Option<RequestId>,
    /// Batches that are sent and not acknowledged.
    unacknowledged: usize,
    /// Those among them that hold persistent watches.
    unacknowledged_persistent: usize,
    /// What the persistent watches had been told when they were lost: until their owners are told of the gap.
    gap_from: Option<Zxid>,
}

/// One walk over the watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "model", derive(Hash))]
enum Pass {
    Persistent {
        checked: Zxid,
    },
    Recursive {
        checked: Zxid,
    },
    OneTime {
        checked: Zxid,
    },
    /// Child watches at paths that have a recursive watch too.
    LateChild {
        checked: Zxid,
    },
}

impl Pass {
    const fn relative_zxid(self) -> Zxid {
        match self {
            Self::Persistent { checked }
            | Self::Recursive { checked }
            | Self::OneTime { checked }
            | Self::LateChild { checked } => checked,
        }
    }

    const fn is_persistent(self) -> bool {
        matches!(self, Self::Persistent { .. } | Self::Recursive { .. })
    }

    fn takes(self, watch: &Watch, late_children: &BTreeSet<Box<[u8]>>) -> bool {
        let Arming::Lost { checked, .. } = watch.arming else { return false };
        let is_late = || watch.kind == WatchKind::Child && late_children.contains(&watch.path);
        match self {
            Self::Persistent { .. } => watch.kind == WatchKind::Persistent,
            Self::Recursive { .. } => watch.kind == WatchKind::PersistentRecursive,
            Self::OneTime { checked: pass } => !watch.kind.is_persistent() && checked == pass && !is_late(),
            Self::LateChild { checked: pass } => checked == pass && is_late(),
        }
    }
}

/// A batch on its way to the server: which watches are in it.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "model", derive(PartialEq, Eq, Hash))]
pub(crate) struct Batch {
    persistent: bool,
    owners: Vec<RequestId>,
}

impl Rearm {
    pub(crate) fn new(watches: &Watches) -> Self {
        let mut one_time = BTreeSet::new();
        let mut persistent_since = None;
        for watch in watches.iter() {
            let Arming::Lost { checked, .. } = watch.arming else { continue };
            if watch.kind.is_persistent() {
                persistent_since = Some(persistent_since.map_or(checked, |since: Zxid| since.min(checked)));
            } else {
                one_time.insert(checked);
            }
        }
        let late_children = watches.children_under_recursive();
        let late = one_time.iter().filter(|_| !late_children.is_empty());
        let mut passes: Vec<_> = late.map(|&checked| Pass::LateChild { checked }).collect();
        let recursive = persistent_since.filter(|_| watches.has_recursive());
        passes.extend(recursive.map(|checked| Pass::Recursive { checked }));
        passes.extend(persistent_since.map(|checked| Pass::Persistent { checked }));
        passes.extend(one_time.into_iter().map(|checked| Pass::OneTime { checked }));
        Self {
            passes,
            late_children,
            cursor: None,
            unacknowledged: 0,
            unacknowledged_persistent: 0,
            gap_from: persistent_since,
        }
    }

    /// Takes up what has to be armed again since this began.
    pub(crate) fn also(&mut self, watches: &Watches) {
        let rest = Self::new(watches);
        self.passes = rest.passes;
        self.late_children = rest.late_children;
        self.cursor = None;
        self.gap_from = self.gap_from.into_iter().chain(rest.gap_from).min();
    }

    /// Everything has been sent.
    pub(crate) fn is_sent(&self) -> bool {
        self.passes.is_empty()
    }

    /// What hasn't been sent stays as it is. A gap isn't told if some of the persistent watches are among that.
    pub(crate) fn send_no_more(&mut self) {
        if !self.is_persistent_sent() {
            self.gap_from = None;
        }
        self.passes.clear();
    }

    fn is_persistent_sent(&self) -> bool {
        !self.passes.iter().any(|pass| pass.is_persistent())
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
        let mut paths = Paths::default();
        let mut owners = Vec::new();
        for seat in watches.seats_after(self.cursor) {
            let Some((owner, watch)) = watches.seated(seat) else { continue };
            let kind = watch.kind;
            if pass.takes(watch, &self.late_children) {
                if !paths.push(watch, max_len) {
                    break;
                }
                // Who else waits for the same is heard for by the same path.
                watches.each_beside(seat, |owner, watch| {
                    if watch.kind == kind && pass.takes(watch, &self.late_children) {
                        watch.arming.send();
                        owners.push(owner);
                    }
                });
            }
            self.cursor = Some(owner);
        }
        if paths.is_empty() {
            return None;
        }
        Some((paths.into_request(pass), Batch { persistent: pass.is_persistent(), owners }))
    }

    /// The server has armed this batch. Persistent watches count as armed only when their owners have been
    /// told the gap.
    pub(crate) fn acknowledged(&mut self, watches: &mut Watches, batch: &Batch) {
        self.answered(batch);
        if batch.persistent {
            return;
        }
        for owner in &batch.owners {
            if let Some(watch) = watches.of_mut(*owner).filter(|watch| watch.arming.is_sent()) {
                watch.arming = Arming::Armed;
            }
        }
    }

    /// The server has refused this batch: its watches end. Tells their owners and paths.
    pub(crate) fn refused(&mut self, watches: &mut Watches, batch: &Batch) -> Vec<(RequestId, Ustring)> {
        self.answered(batch);
        let is_in = |owner: &RequestId| watches.of(*owner).is_some_and(|watch| watch.arming.is_sent());
        let mut owners: Vec<_> = batch.owners.iter().copied().filter(is_in).collect();
        owners.sort_unstable();
        owners.into_iter().filter_map(|owner| Some((owner, watches.remove(owner)?.0))).collect()
    }

    fn answered(&mut self, batch: &Batch) {
        self.unacknowledged -= usize::from(!planted!(NeverReadyAgain));
        self.unacknowledged_persistent -= usize::from(batch.persistent);
    }

    /// Once, when the last persistent watch is armed: from where on its owners may have missed something.
    pub(crate) fn take_gap(&mut self, watches: &mut Watches) -> Option<Zxid> {
        if !self.is_persistent_sent() || self.unacknowledged_persistent > 0 {
            return None;
        }
        let from = self.gap_from.take()?;
        (watches.persistent_restored() && !planted!(GapsAreUntold)).then_some(from)
    }
}

impl Batch {
    /// The paths of the recursive watches in it.
    pub(crate) fn recursive(&self, watches: &Watches) -> Vec<Ustring> {
        if !self.persistent {
            return Vec::new();
        }
        let watches = self.owners.iter().filter_map(|owner| {
            let watch = watches.of(*owner)?;
            let is_meant = watch.kind == WatchKind::PersistentRecursive && watch.arming.is_sent();
            is_meant.then(|| wire_path(&watch.path))
        });
        watches.collect()
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
    fn push(&mut self, Watch { path, kind, .. }: &Watch, max_len: usize) -> bool {
        if planted!(ChildWatchesStayLost) && *kind == WatchKind::Child {
            return true;
        }
        let len = self.len + LENGTH_PREFIX + path.len();
        if !self.is_empty() && SET_WATCHES_FIXED_LEN + len > max_len && !planted!(BatchesAreTooLong) {
            return false;
        }
        self.len = len;
        self.lists[*kind as usize].push(wire_path(path));
        true
    }

    fn into_request(self, pass: Pass) -> Request {
        let relative_zxid = pass.relative_zxid();
        let [data, exist, child, persistent, recursive] = self.lists.map(|mut paths| {
            paths.sort_unstable();
            Vector::from(paths)
        });
        match pass {
            Pass::OneTime { .. } | Pass::LateChild { .. } => Request::SetWatches(SetWatches {
                relative_zxid,
                data_watches: data,
                exist_watches: exist,
                child_watches: child,
            }),
            Pass::Persistent { .. } | Pass::Recursive { .. } => Request::SetWatches2(SetWatches2 {
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

/// The bytes before a path in a frame.
const LENGTH_PREFIX: usize = 4;
/// What a SetWatches2 frame is made of beside paths: length, header, zxid, five counts.
const SET_WATCHES_FIXED_LEN: usize = 4 + 8 + 8 + 5 * 4;
