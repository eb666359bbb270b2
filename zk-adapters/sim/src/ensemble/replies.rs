//! What a server does with the leader's word: applies it, tells watches, and answers.

use zk_session::zk_proto::{
    Create2Response, CreateResponse, ErrorCode, EventType, KeeperState, MultiResponse, Op, OpCode, OpResult,
    Perms, ReplyHeader, Request, Response, SetAclResponse, SetDataResponse, SetWatches, SetWatches2,
    SyncResponse, Ustring, Vector, WatcherEvent, Zxid, encode_event_frame,
};

use crate::ensemble::{
    SimEnsemble,
    options::Version,
    peer::{Peer, PeerId, Ready},
    reads::{Answer, Failure, Reader},
    server::Delivery,
    text,
    tree::{Applied, Change},
    txn::Txn,
    watches::{Modes, Table},
};

impl SimEnsemble {
    /// A server takes the leader's next word.
    pub(super) fn deliver_next(&mut self, server: usize) {
        let (_, delivery) = self.servers[server].inbox.pop_front().expect("it is due");
        self.handle_delivery(server, delivery);
    }

    pub(super) fn handle_delivery(&mut self, server: usize, delivery: Delivery) {
        match delivery {
            Delivery::Commit { index, origin } => self.apply(server, index, origin),
            Delivery::Sync { peer } => {
                let answer = |request: &Request| match request {
                    Request::Sync(sync) => Ok(Response::Sync(SyncResponse { path: text::echo(&sync.path) })),
                    _ => Ok(Response::Empty),
                };
                self.answer_oldest(peer, answer);
            }
            Delivery::Failed { peer, has_body } => {
                let parts = has_body.then(MultiResponse::default);
                self.answer_oldest(peer, |_| Err(Failure { code: ErrorCode::MARSHALLING_ERROR, parts }));
            }
            Delivery::Renewed { peer, session, verdict } => match verdict {
                Ok(timeout) => self.finish_session(peer, session, timeout),
                Err(_) => self.reject_session(peer),
            },
        }
    }

    /// Applies an entry of the log, tells watches of it, and then answers whoever asked for it.
    fn apply(&mut self, server: usize, index: usize, origin: Option<PeerId>) {
        let state = &mut self.servers[server];
        if index < state.applied {
            return;
        }
        let mut changes = Vec::new();
        let transaction = &self.log[index - self.trimmed];
        let applied = state.tree.apply(transaction, &mut changes);
        state.applied = index + 1;
        let (zxid, txn) = (transaction.zxid, transaction.txn.clone());
        for change in &changes {
            self.notify(server, zxid, change);
        }
        if let Some(peer) =
            origin.filter(|peer| self.peers.get(peer).is_some_and(|peer| peer.server == server))
        {
            self.answer_commit(peer, &txn, applied);
        }
        if let Txn::CloseSession { session, .. } = txn {
            let speaks = self
                .peers
                .iter()
                .filter(|(_, peer)| peer.server == server && peer.session() == Some(session));
            let closing: Vec<_> = speaks.map(|(id, _)| *id).collect();
            closing.into_iter().for_each(|id| self.close(id));
        }
    }

    fn notify(&mut self, server: usize, zxid: Zxid, change: &Change) {
        let told = self.servers[server].watches.trigger(change.event, &change.path);
        let version = self.options.version;
        for id in told {
            let Some(peer) = self.peers.get_mut(&id) else { continue };
            if version.filters_events() && !peer.identities.may(Perms::READ, &change.acl) {
                continue;
            }
            let zxid = if version >= Version::V3_9 { zxid } else { Zxid(-1) };
            encode_event_frame(zxid, &event(change.event, &change.path), &mut peer.out);
            self.talking.push(id);
        }
    }

    fn answer_commit(&mut self, id: PeerId, txn: &Txn, applied: Applied) {
        match txn {
            Txn::CreateSession { session, timeout_ms } => {
                let timeout = core::time::Duration::from_millis(u64::try_from(*timeout_ms).unwrap_or(0));
                self.finish_session(id, *session, timeout);
            }
            Txn::Error(ErrorCode::SESSION_MOVED) => self.close(id),
            _ => {
                let version = self.options.version;
                self.answer_oldest(id, |request| write_response(request, applied, version));
            }
        }
    }

    /// Answers what is the oldest by now, and then the reads behind it.
    fn answer_oldest(&mut self, id: PeerId, answer: impl FnOnce(&Request) -> Answer) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let Some(owed) = peer.owed.pop_front_if(|owed| owed.ready == Ready::Leader) else { return };
        let answer = owed.request.map_err(Failure::from).and_then(|request| answer(&request));
        self.send_answer(id, owed.xid, answer);
        self.answer_ready(id);
    }

    /// Answers the reads whose turn it is.
    pub(super) fn answer_ready(&mut self, id: PeerId) {
        while let Some(peer) = self.peers.get_mut(&id)
            && let Some(owed) = peer.owed.pop_front_if(|owed| owed.ready == Ready::Now)
        {
            if self.has_moved(id) {
                return self.close(id);
            }
            let answer = match owed.request {
                Ok(Request::SetWatches(set)) => self.rearm(id, &extend(set)),
                Ok(Request::SetWatches2(set)) => self.rearm(id, &set),
                Ok(request) => self.read(id, &request),
                Err(code) => Err(code.into()),
            };
            self.send_answer(id, owed.xid, answer);
        }
    }

    /// The leader checks whose session it is even when it reads; a follower doesn't know.
    pub(super) fn has_moved(&self, id: PeerId) -> bool {
        let leads = |peer: &Peer| self.is_led() && self.leader == Some(peer.server);
        let session = self.peers.get(&id).filter(|peer| leads(peer)).and_then(Peer::session);
        session.and_then(|id| self.sessions.get(id)).is_some_and(|tracked| tracked.owner != Some(id))
    }

    fn read(&mut self, id: PeerId, request: &Request) -> Answer {
        let peer = &self.peers[&id];
        let server = &mut self.servers[peer.server];
        let session = peer.session().ok_or(ErrorCode::SESSION_EXPIRED)?;
        let mut reader = Reader {
            tree: &server.tree,
            watches: &mut server.watches,
            identities: &peer.identities,
            session,
            peer: id,
            version: self.options.version,
        };
        reader.answer(request)
    }

    /// `DataTree.setWatches`: what has changed since is told at once, the rest is watched again.
    fn rearm(&mut self, id: PeerId, set: &SetWatches2) -> Answer {
        let peer = self.peers.get_mut(&id).ok_or(ErrorCode::SESSION_EXPIRED)?;
        let server = &mut self.servers[peer.server];
        let mut say = |kind, path: &str| encode_event_frame(Zxid(-1), &event(kind, path), &mut peer.out);
        let (tree, watches, since) = (&server.tree, &mut server.watches, set.relative_zxid);
        for path in set.data_watches.iter().map(|path| text::read(&path).into_owned()) {
            match tree.get(&path).map(|znode| znode.stat().mzxid) {
                None => say(EventType::NODE_DELETED, &path),
                Some(mzxid) if mzxid > since => say(EventType::NODE_DATA_CHANGED, &path),
                Some(_) => watches.watch(Table::Data, &path, id),
            }
        }
        for path in set.exist_watches.iter().map(|path| text::read(&path).into_owned()) {
            match tree.get(&path) {
                Some(_) => say(EventType::NODE_CREATED, &path),
                None => watches.watch(Table::Data, &path, id),
            }
        }
        for path in set.child_watches.iter().map(|path| text::read(&path).into_owned()) {
            match tree.get(&path).map(|znode| znode.pzxid) {
                None => say(EventType::NODE_DELETED, &path),
                Some(pzxid) if pzxid > since => say(EventType::NODE_CHILDREN_CHANGED, &path),
                Some(_) => watches.watch(Table::Child, &path, id),
            }
        }
        set.persistent_watches
            .iter()
            .map(|path| text::read(&path).into_owned())
            .for_each(|path| watches.persist(&path, id, Modes::PERSISTENT));
        let recursive = set.persistent_recursive_watches.iter().map(|path| text::read(&path).into_owned());
        recursive.for_each(|path| watches.persist(&path, id, Modes::RECURSIVE));
        Ok(Response::Empty)
    }

    fn send_answer(&mut self, id: PeerId, xid: i32, answer: Answer) {
        let Some(peer) = self.peers.get(&id) else { return };
        let zxid = self.servers[peer.server].tree.last_zxid();
        match answer {
            Ok(response) => self.reply(id, ReplyHeader { xid, zxid, err: ErrorCode::OK }, Some(&response)),
            Err(failure) => {
                let body = failure.parts.map(Response::Multi);
                self.reply(id, ReplyHeader { xid, zxid, err: failure.code }, body.as_ref());
            }
        }
    }
}

fn event(event_type: EventType, path: &str) -> WatcherEvent {
    WatcherEvent { event_type, state: KeeperState::SYNC_CONNECTED, path: text::write(path) }
}

fn extend(set: SetWatches) -> SetWatches2 {
    SetWatches2 {
        relative_zxid: set.relative_zxid,
        data_watches: set.data_watches,
        exist_watches: set.exist_watches,
        child_watches: set.child_watches,
        persistent_watches: Vector::<Ustring>::default(),
        persistent_recursive_watches: Vector::<Ustring>::default(),
    }
}

/// The reply to a write, by what its transaction did.
fn write_response(request: &Request, applied: Applied, version: Version) -> Answer {
    Ok(match (applied, request) {
        (Applied::Refused(code), _) => return Err(code.into()),
        (Applied::Created { path, .. }, Request::Create(_)) => {
            Response::Create(CreateResponse { path: path.into() })
        }
        (Applied::Created { path, stat }, _) => {
            Response::Create2(Create2Response { path: path.into(), stat })
        }
        (Applied::Stat(stat), Request::SetAcl(_)) => Response::SetAcl(SetAclResponse { stat }),
        (Applied::Stat(stat), _) => Response::SetData(SetDataResponse { stat }),
        (Applied::Multi(applied), Request::Multi(multi)) => {
            let results = multi.ops.iter().zip(applied);
            let results = results.map(|(op, applied)| multi_result(op, applied, version)).collect();
            Response::Multi(MultiResponse { results })
        }
        (Applied::MultiRefused(codes), _) => {
            Response::Multi(MultiResponse { results: codes.into_iter().map(OpResult::Error).collect() })
        }
        (Applied::Multi(_) | Applied::Nothing, _) => Response::Empty,
    })
}

fn multi_result(op: &Op, applied: Applied, version: Version) -> OpResult {
    match (applied, op) {
        (Applied::Created { path, stat }, op) if version.kind_of_create(op) != Some(OpCode::CREATE) => {
            OpResult::Create2(Create2Response { path: path.into(), stat })
        }
        (Applied::Created { path, .. }, _) => OpResult::Create(CreateResponse { path: path.into() }),
        (Applied::Stat(stat), _) => OpResult::SetData(SetDataResponse { stat }),
        (Applied::Refused(code), _) => OpResult::Error(code),
        (_, Op::Check(_)) => OpResult::Check,
        _ => OpResult::Delete,
    }
}
