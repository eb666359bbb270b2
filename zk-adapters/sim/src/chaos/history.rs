//! What the ensemble's log says of the tree at each zxid.

use std::collections::{BTreeMap, BTreeSet};

use zk_session::zk_proto::{Bytes, Zxid};

use crate::{
    chaos::ledger::{Found, Read},
    ensemble::Txn,
    world::World,
};

/// The tree at each zxid, as far as the log made it.
#[derive(Clone, Debug, Default)]
pub(super) struct History {
    /// When what was written, by what nothing else contains.
    pub(super) applied: BTreeMap<Bytes, Vec<Zxid>>,
    znodes: BTreeMap<String, Vec<(Zxid, State)>>,
    /// All children that a znode ever had, by their names.
    children: BTreeMap<String, BTreeSet<String>>,
}

/// What became of a znode.
#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Is(Option<Bytes>),
    Deleted,
}

impl History {
    pub(super) fn of(world: &World) -> Self {
        let mut history = Self::default();
        for entry in world.ensemble().log() {
            history.note(&entry.txn, entry.zxid);
        }
        history
    }

    fn note(&mut self, txn: &Txn, zxid: Zxid) {
        match txn {
            Txn::Create { path, data, .. } => {
                let (parent, name) = path.rsplit_once('/').unwrap_or_default();
                if self.children.entry(parent.to_owned()).or_default().insert(name.to_owned()) {
                    self.turn(path, Zxid(0), State::Deleted);
                }
                self.wrote(path, zxid, data.as_ref());
            }
            Txn::SetData { path, data, .. } => self.wrote(path, zxid, data.as_ref()),
            Txn::Delete { path } => self.turn(path, zxid, State::Deleted),
            Txn::CloseSession { paths, .. } => {
                paths.iter().for_each(|path| self.turn(path, zxid, State::Deleted));
            }
            Txn::Multi(txns) => txns.iter().for_each(|txn| self.note(txn, zxid)),
            _ => {}
        }
    }

    fn wrote(&mut self, path: &str, zxid: Zxid, data: Option<&Bytes>) {
        if let Some(data) = data {
            self.applied.entry(data.clone()).or_default().push(zxid);
        }
        self.turn(path, zxid, State::Is(data.cloned()));
    }

    fn turn(&mut self, path: &str, zxid: Zxid, state: State) {
        self.znodes.entry(path.to_owned()).or_default().push((zxid, state));
    }

    /// What became of a znode, in order.
    pub(super) fn of_path(&self, path: &str) -> impl core::fmt::Debug {
        self.znodes.get(path)
    }

    pub(super) fn has_deleted(&self, path: &str, zxid: Zxid) -> bool {
        self.znodes.get(path).is_some_and(|states| states.contains(&(zxid, State::Deleted)))
    }

    /// What a znode was; none if the log doesn't know.
    fn at(&self, path: &str, zxid: Zxid) -> Option<&State> {
        let states = self.znodes.get(path)?;
        states.iter().rev().find(|(at, _)| *at <= zxid).map(|(_, state)| state)
    }

    /// Whether the log tells the same. What it doesn't know may have been there from the beginning.
    pub(super) fn tells(&self, read: &Read) -> bool {
        let state = self.at(&read.path, read.zxid);
        match &read.found {
            Found::Data(data) => state.is_none_or(|state| *state == State::Is(data.clone())),
            Found::Stat => state != Some(&State::Deleted),
            Found::NoNode => !matches!(state, Some(State::Is(_))),
            Found::Children(names) => {
                let parent = if read.path == "/" { "" } else { &read.path };
                let all = self.children.get(parent);
                all.into_iter().flatten().all(|name| {
                    let is_there =
                        matches!(self.at(&format!("{parent}/{name}"), read.zxid), Some(State::Is(_)));
                    is_there == names.contains(name)
                })
            }
        }
    }
}
