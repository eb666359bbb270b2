//! The watches of one server: ZooKeeper's two `WatchManager`s.

use std::collections::{BTreeMap, BTreeSet};

use zk_session::zk_proto::{ErrorCode, EventType, WatcherType};

use crate::ensemble::peer::PeerId;

/// How a connection watches a path, as bits: from 3.9 on several modes live side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct Modes(u8);

impl Modes {
    pub(crate) const ONE_TIME: Self = Self(1);
    pub(crate) const PERSISTENT: Self = Self(2);
    pub(crate) const RECURSIVE: Self = Self(4);

    pub(crate) fn has(self, mode: Self) -> bool {
        self.0 & mode.0 != 0
    }

    fn with(self, mode: Self) -> Self {
        Self(self.0 | mode.0)
    }

    fn without(self, mode: Self) -> Self {
        Self(self.0 & !mode.0)
    }

    fn is_none(self) -> bool {
        self.0 == 0
    }
}

/// Which of the two tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Table {
    Data,
    Child,
}

/// The watches of all connections to a server.
#[derive(Clone, Debug)]
pub(crate) struct Watches {
    data: BTreeMap<String, BTreeMap<PeerId, Modes>>,
    child: BTreeMap<String, BTreeMap<PeerId, Modes>>,
    paths: BTreeMap<PeerId, BTreeSet<(Table, String)>>,
    one_mode: bool,
    /// How many recursive watches there are, in each table.
    recursive: [usize; 2],
}

impl Watches {
    pub(crate) fn new(one_mode: bool) -> Self {
        Self {
            data: BTreeMap::new(),
            child: BTreeMap::new(),
            paths: BTreeMap::new(),
            one_mode,
            recursive: [0; 2],
        }
    }

    /// A one-time watch of a read.
    pub(crate) fn watch(&mut self, table: Table, path: &str, peer: PeerId) {
        self.add(table, path, peer, Modes::ONE_TIME);
    }

    /// A persistent watch: in both tables, but for recursive ones from 3.9 on.
    pub(crate) fn persist(&mut self, path: &str, peer: PeerId, mode: Modes) {
        self.add(Table::Data, path, peer, mode);
        if self.one_mode || mode != Modes::RECURSIVE {
            self.add(Table::Child, path, peer, mode);
        }
    }

    /// Who is to be told of a change, in no particular order; their one-time watches of it are gone then.
    pub(crate) fn trigger(&mut self, event: EventType, path: &str) -> Vec<PeerId> {
        let mut told = Vec::new();
        if event != EventType::NODE_CHILDREN_CHANGED {
            self.trigger_in(Table::Data, event, path, &mut told);
        }
        if event == EventType::NODE_CHILDREN_CHANGED || event == EventType::NODE_DELETED {
            self.trigger_in(Table::Child, event, path, &mut told);
        }
        told
    }

    /// Whether a connection has a watch of this type; an error where the version doesn't know the type.
    pub(crate) fn contains(
        &self,
        path: Option<&str>,
        peer: PeerId,
        watcher_type: WatcherType,
    ) -> Result<bool, ErrorCode> {
        let mut found = false;
        for (table, modes) in self.matching(watcher_type)? {
            let peers = path.and_then(|path| self.table(table).get(path));
            if self.one_mode {
                found |= self.is_watched(table, path, peers.is_some())?;
            } else {
                found |= peers.and_then(|peers| peers.get(&peer)).is_some_and(|has| has.has(modes));
            }
        }
        Ok(found)
    }

    /// With one mode for each path, it is only looked whether anybody watches: `WatchManager.containsWatcher` with its
    /// `PathParentIterator`, which needs slashes.
    fn is_watched(&self, table: Table, path: Option<&str>, is_watched: bool) -> Result<bool, ErrorCode> {
        let path = path.ok_or(ErrorCode::MARSHALLING_ERROR)?;
        if path.is_empty() {
            return Ok(false);
        }
        let goes_up = !is_watched && self.recursive[table as usize] > 0;
        if !path.contains('/') || (goes_up && !path.starts_with('/')) {
            return Err(ErrorCode::MARSHALLING_ERROR);
        }
        Ok(is_watched)
    }

    /// Removes them; whether there was one. An error where the version doesn't know the type.
    pub(crate) fn remove(
        &mut self,
        path: Option<&str>,
        peer: PeerId,
        watcher_type: WatcherType,
    ) -> Result<bool, ErrorCode> {
        let mut found = false;
        for (table, modes) in self.matching(watcher_type)? {
            let Some(path) = path else { continue };
            let had = self.table(table).get(path).and_then(|peers| peers.get(&peer)).copied();
            if let Some(had) = had.filter(|had| had.has(modes)) {
                found = true;
                self.put(table, path, peer, had.without(modes));
            }
        }
        Ok(found)
    }

    /// A connection is gone, and its watches with it.
    pub(crate) fn forget(&mut self, peer: PeerId) {
        for (table, path) in self.paths.remove(&peer).unwrap_or_default() {
            self.put(table, &path, peer, Modes::default());
        }
    }

    /// All that a connection watches.
    pub(crate) fn of(&self, peer: PeerId) -> impl Iterator<Item = (Table, &str, Modes)> {
        self.paths.get(&peer).into_iter().flatten().map(move |(table, path)| {
            let modes = self.table(*table).get(path).and_then(|peers| peers.get(&peer)).copied();
            (*table, path.as_str(), modes.unwrap_or_default())
        })
    }

    fn matching(&self, watcher_type: WatcherType) -> Result<Vec<(Table, Modes)>, ErrorCode> {
        let any = Modes(7);
        let exact = |mode| if self.one_mode { any } else { mode };
        Ok(match watcher_type {
            WatcherType::CHILDREN => vec![(Table::Child, exact(Modes::ONE_TIME))],
            WatcherType::DATA => vec![(Table::Data, exact(Modes::ONE_TIME))],
            WatcherType::ANY => vec![(Table::Data, any), (Table::Child, any)],
            WatcherType::PERSISTENT if !self.one_mode => {
                vec![(Table::Data, Modes::PERSISTENT), (Table::Child, Modes::PERSISTENT)]
            }
            WatcherType::PERSISTENT_RECURSIVE if !self.one_mode => vec![(Table::Data, Modes::RECURSIVE)],
            _ => return Err(ErrorCode::MARSHALLING_ERROR),
        })
    }

    fn trigger_in(&mut self, table: Table, event: EventType, path: &str, told: &mut Vec<PeerId>) {
        let at_path: Vec<_> =
            self.table(table).get(path).into_iter().flatten().map(|(peer, modes)| (*peer, *modes)).collect();
        for (peer, modes) in at_path {
            let only_recursive = modes == Modes::RECURSIVE;
            if only_recursive && event == EventType::NODE_CHILDREN_CHANGED {
                continue;
            }
            tell(told, peer);
            self.put(table, path, peer, modes.without(Modes::ONE_TIME));
        }
        if self.recursive[table as usize] == 0 || event == EventType::NODE_CHILDREN_CHANGED {
            return;
        }
        for ancestor in ancestors(path) {
            let peers = self.table(table).get(ancestor).into_iter().flatten();
            peers.filter(|(_, modes)| modes.has(Modes::RECURSIVE)).for_each(|(peer, _)| tell(told, *peer));
        }
    }

    fn add(&mut self, table: Table, path: &str, peer: PeerId, mode: Modes) {
        let had = self.table(table).get(path).and_then(|peers| peers.get(&peer)).copied();
        let modes = if self.one_mode { mode } else { had.unwrap_or_default().with(mode) };
        self.put(table, path, peer, modes);
    }

    /// The one place where the tables change.
    fn put(&mut self, table: Table, path: &str, peer: PeerId, modes: Modes) {
        let peers = match table {
            Table::Data => &mut self.data,
            Table::Child => &mut self.child,
        };
        let had = peers.get_mut(path).and_then(|peers| peers.remove(&peer)).unwrap_or_default();
        self.recursive[table as usize] -= usize::from(had.has(Modes::RECURSIVE));
        self.recursive[table as usize] += usize::from(modes.has(Modes::RECURSIVE));
        if modes.is_none() {
            if peers.get(path).is_some_and(BTreeMap::is_empty) {
                peers.remove(path);
            }
            if let Some(paths) = self.paths.get_mut(&peer) {
                paths.remove(&(table, path.to_owned()));
            }
            return;
        }
        match peers.get_mut(path) {
            Some(peers) => _ = peers.insert(peer, modes),
            None => _ = peers.insert(path.to_owned(), BTreeMap::from([(peer, modes)])),
        }
        if had.is_none() {
            self.paths.entry(peer).or_default().insert((table, path.to_owned()));
        }
    }

    fn table(&self, table: Table) -> &BTreeMap<String, BTreeMap<PeerId, Modes>> {
        match table {
            Table::Data => &self.data,
            Table::Child => &self.child,
        }
    }
}

fn tell(told: &mut Vec<PeerId>, peer: PeerId) {
    if !told.contains(&peer) {
        told.push(peer);
    }
}

/// The paths above this one, the nearest first.
fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    let parent = |path: &str| (path.len() > 1).then(|| path.rfind('/')).flatten();
    let mut rest = path;
    core::iter::from_fn(move || {
        let at = parent(rest)?;
        rest = if at == 0 { "/" } else { &path[..at] };
        Some(rest)
    })
}
