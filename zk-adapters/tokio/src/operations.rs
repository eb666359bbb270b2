//! Requests beyond reading and writing one znode.

use bytes::Bytes;
use zk_client::{NO_LATER, Work, requests};
use zk_proto::{
    Acl, AddWatchMode, ClientInfo, GetAclResponse, GetDataResponse, Op, OpResult, Stat, Ustring, Vector,
    WatcherType,
};
use zk_session::AuthInfo;

use crate::{Call, Client, StandingCall, pending::Pending};

/// Several operations in one request.
impl Client {
    /// Does all of these operations or none (opcode `multi`), and returns the result of each, in order. An empty
    /// multi is legal.
    ///
    /// If one fails the request is refused with its code, and [`Error::Refused`](crate::Error::Refused) has the
    /// result of each: 0 before the one that failed, `RUNTIMEINCONSISTENCY` after it.
    pub fn multi(&self, ops: impl Into<Vec<Op>>) -> Call<Vec<OpResult>> {
        self.call(requests::multi(ops))
    }

    /// Does all of these reads (opcode `multiRead`, since 3.6), each for itself: a result can be an error while
    /// others succeed. Only [`Op::GetData`] and [`Op::GetChildren`], without watches.
    pub fn multi_read(&self, ops: impl Into<Vec<Op>>) -> Call<Vec<OpResult>> {
        self.call(requests::multi_read(ops))
    }
}

/// Access, and who one is.
impl Client {
    /// A znode's ACL and `Stat` (opcode `getACL`). Refused with `NO_NODE` or `NO_AUTH`; without the right to
    /// administer the znode, hashes of passwords are masked.
    pub fn get_acl(&self, path: impl Into<Ustring>) -> Call<GetAclResponse> {
        self.call(requests::get_acl(path))
    }

    /// Replaces a znode's ACL, if its ACL has this version (`Stat::aversion`); -1 means any. Fires no watch.
    /// Refused with `NO_NODE`, `NO_AUTH`, `BAD_VERSION` or `INVALID_ACL`.
    pub fn set_acl(&self, path: impl Into<Ustring>, acl: Vector<Acl>, version: i32) -> Call<Stat> {
        self.call(requests::set_acl(path, acl, version))
    }

    /// Adds an identity to the session, on the current server and on every later one; of the scheme `digest`,
    /// `auth` is `user:password`. A refusal ends the session, as in the Java client.
    pub fn add_auth(&self, scheme: &str, auth: impl Into<Bytes>) -> Call<()> {
        let info = AuthInfo { scheme: scheme.to_owned(), auth: auth.into() };
        let added = self.shared().change(|hub| hub.add_auth(info, NO_LATER));
        let pending = Pending::new(self.shared(), self.root(), added.map(Work::Request));
        Call::new(pending, |outcome| outcome.map(drop))
    }

    /// The identities that the connection has (opcode `whoAmI`, since 3.7).
    pub fn who_am_i(&self) -> Call<Vector<ClientInfo>> {
        self.call(requests::who_am_i())
    }

    /// The paths of this session's ephemeral znodes that begin with `prefix` (opcode `getEphemerals`, since 3.6);
    /// `/` means all below the chroot. The prefix is one of text, not of components.
    pub fn get_ephemerals(&self, prefix: impl Into<Ustring>) -> Call<Vector<Ustring>> {
        self.call(requests::get_ephemerals(prefix))
    }

    /// How many descendants a znode has (opcode `getAllChildrenNumber`, since 3.6). Refused with `NO_NODE`.
    pub fn get_all_children_number(&self, path: impl Into<Ustring>) -> Call<i32> {
        self.call(requests::get_all_children_number(path))
    }
}

/// Watches by path.
impl Client {
    /// Sets a watch that stays (opcode `addWatch`, since 3.6): of this znode alone, or of all its descendants too.
    /// The znode need not exist.
    pub fn add_watch(&self, path: impl Into<Ustring>, mode: AddWatchMode) -> StandingCall {
        self.standing_call(requests::add_watch(path, mode))
    }

    /// Whether the server has such a watch of this connection (opcode `checkWatches`, since 3.5). Before 3.9 servers say
    /// yes for a watch of anybody's.
    pub fn check_watches(&self, path: impl Into<Ustring>, watcher_type: WatcherType) -> Call<bool> {
        self.call(requests::check_watches(path, watcher_type))
    }

    /// Removes all watches of this session on this path that are of this type (opcode `removeWatches`, since 3.5);
    /// each of them ends. Returns whether the server had any.
    pub fn remove_watches(&self, path: impl Into<Ustring>, watcher_type: WatcherType) -> Call<bool> {
        self.call(requests::remove_watches(path, watcher_type))
    }
}

/// The ensemble's own configuration.
impl Client {
    /// The ensemble's configuration, as text in `data`, and its `Stat` (the znode `/zookeeper/config`).
    pub fn get_config(&self) -> Call<GetDataResponse> {
        self.call(requests::get_config())
    }

    /// Changes the ensemble's membership step by step (opcode `reconfig`, since 3.5): `joining` are lines such as
    /// `server.4=host:2888:3888;2181`, `leaving` are ids, both separated by commas. `config_version` is that of
    /// the last configuration seen, -1 for any. Returns the new configuration.
    ///
    /// Refused with `RECONFIG_DISABLED`, `NO_AUTH`, `BAD_VERSION`, `NEW_CONFIG_NO_QUORUM`,
    /// `RECONFIG_IN_PROGRESS`, or `UNIMPLEMENTED` by a standalone server.
    pub fn reconfig(&self, joining: &str, leaving: &str, config_version: i64) -> Call<GetDataResponse> {
        self.call(requests::reconfig(joining, leaving, config_version))
    }

    /// Replaces the ensemble's membership: `members` has a line for each server. Otherwise as
    /// [`reconfig`](Self::reconfig).
    pub fn reconfig_to(&self, members: &str, config_version: i64) -> Call<GetDataResponse> {
        self.call(requests::reconfig_to(members, config_version))
    }
}
