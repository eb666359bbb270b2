//! Giving up watches, at the servers too where they need to know.

use alloc::boxed::Box;

use zk_proto::{OpCode, RemoveWatchesRequest, Request, Ustring, WatcherType, Zxid};

use crate::{Event, RequestId, Session, WatchEndReason, connection::Owner, rearm::Rearm, watch::WatchKind};

impl Session {
    /// Ends the watch that this request set; the server is told if nothing else of this session watches the
    /// path, and if it is known to have the operation. If the watch isn't registered yet it won't be.
    pub(crate) fn unwatch(&mut self, owner: RequestId) {
        if let Some((path, kind)) = self.watches.remove(owner) {
            self.tell_removed(owner, &path);
            self.unwatch_at_server(path, kind);
        } else if let Some(accepted) = self.accepted_mut(owner) {
            let asked = !planted!(GivenUpWatchesComeBack) && core::mem::take(&mut accepted.asks_for_watch);
            self.watches_asked_for -= usize::from(asked);
        }
    }

    fn tell_removed(&mut self, request: RequestId, path: &Ustring) {
        let path = self.chroot.client_path(path);
        self.emit(Event::WatchEnded { request, path, reason: WatchEndReason::Removed });
    }

    /// Has the server drop what it has for a path that nobody watches any more.
    ///
    /// Before 3.9 the last mode of a path wins: where others watch, a persistent watch may have replaced theirs.
    pub(crate) fn unwatch_at_server(&mut self, path: Ustring, given_up: WatchKind) {
        if self.watches.has_any_at(&path) && !planted!(RemovesOthersWatches) {
            if given_up.is_persistent() && !self.watches.has_at(path.as_bytes(), given_up) {
                self.rearm_at(&path, |_| true);
            }
            return;
        }
        if self.is_watch_asked_for_at(&path) {
            return;
        }
        let xid = self.xids.next();
        let Some(connection) = &mut self.connection else { return };
        // Where it can't be told at once it isn't: an event that nobody waits for does no harm.
        let has_room =
            self.requests.in_flight() + connection.unanswered_controls() < self.config.max_in_flight;
        if connection.stage.is_open() && connection.has_remove_watches && !connection.close_sent && has_room {
            let request =
                Request::RemoveWatches(RemoveWatchesRequest { path, watcher_type: WatcherType::ANY });
            connection.push_control(&request, xid, Owner::Unwatch, self.now);
        }
    }

    /// Whether a request that has no outcome yet is going to leave a watch there.
    fn is_watch_asked_for_at(&self, path: &Ustring) -> bool {
        if self.watches_asked_for == 0 {
            return false;
        }
        self.requests
            .iter()
            .filter(|accepted| accepted.asks_for_watch)
            .filter_map(|accepted| accepted.retained.as_ref()?.request.path())
            .any(|asked| asked == path)
    }

    /// The application has had watches removed by path and type: their owners hear of it. Before 3.9 servers
    /// remove by table, whatever the mode, so what else is at the path is armed again.
    pub(crate) fn watches_removed(&mut self, path: &Ustring, kind: WatcherType) {
        for owner in self.watches.owners_of_type(path, kind) {
            self.watches.remove(owner);
            self.tell_removed(owner, path);
        }
        self.rearm_at(path, |_| true);
    }

    /// Registers a watch, by a reply that shows the state of `zxid`.
    ///
    /// Before 3.9 servers keep one mode for a path and table, and the last one wins: a recursive watch replaces a
    /// one-time child watch, and then hears nothing of children; a one-time watch replaces a persistent one.
    pub(crate) fn watch_added(
        &mut self,
        path: Ustring,
        kind: WatchKind,
        owner: RequestId,
        on_wire: bool,
        zxid: Zxid,
    ) {
        let is_covered = !kind.is_persistent() && self.watches.cover(&path, kind);
        if !on_wire && !is_covered {
            // The persistent watch that was to hear for it is gone.
            self.watches.add_unarmed(&path, kind, owner, zxid);
            return self.rearm();
        }
        self.watches.add(&path, kind, owner);
        if kind == WatchKind::PersistentRecursive {
            self.rearm_children_at(&path);
        } else if on_wire && is_covered {
            self.rearm_at(&path, |_| true);
        }
    }

    /// A server has set a watch that was given up meanwhile. Before 3.9 it has replaced what was there.
    pub(crate) fn given_up_watch_added(&mut self, path: Ustring, kind: WatchKind, on_wire: bool) {
        if !self.watches.has_any_at(&path) {
            self.unwatch_at_server(path, kind);
        } else if kind.is_persistent() {
            self.rearm_at(&path, |_| true);
        } else if on_wire && self.watches.cover(&path, kind) {
            self.rearm_at(&path, |_| true);
        }
    }

    /// A recursive watch was set at this path: before 3.9 it has replaced the child watches that were there.
    pub(crate) fn rearm_children_at(&mut self, path: &Ustring) {
        self.rearm_at(path, |kind| kind == WatchKind::Child);
    }

    /// Sets watches again on the current connection, from what they have been told so far.
    fn rearm_at(&mut self, path: &Ustring, which: impl Fn(WatchKind) -> bool) {
        if self.watches.disarm_at(path, self.identity.last_zxid, which) {
            self.rearm();
        }
    }

    fn rearm(&mut self) {
        let Some(connection) = &mut self.connection else { return };
        match &mut connection.rearm {
            Some(rearm) => rearm.also(&self.watches),
            None => connection.rearm = Some(Box::new(Rearm::new(&self.watches))),
        }
    }
}

/// Whether a server that has answered this operation is one that has removeWatches: 3.5 or later.
#[inline]
pub(crate) fn proves_remove_watches(op: OpCode) -> bool {
    matches!(
        op,
        OpCode::CREATE2
            | OpCode::RECONFIG
            | OpCode::CHECK_WATCHES
            | OpCode::REMOVE_WATCHES
            | OpCode::CREATE_CONTAINER
            | OpCode::CREATE_TTL
            | OpCode::MULTI_READ
            | OpCode::GET_EPHEMERALS
            | OpCode::GET_ALL_CHILDREN_NUMBER
            | OpCode::ADD_WATCH
            | OpCode::WHO_AM_I
    )
}
