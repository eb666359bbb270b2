//! What was written, and what came of it, compared with the ensemble's log: by zxids, not by search.

use std::collections::{BTreeMap, BTreeSet};

use zk_session::{
    Delivery, DisconnectReason, Event, ExpiredBy, Reply, RequestError, RequestId,
    zk_proto::{Bytes, ErrorCode, Op, OpResult, Request, Response, SessionId, Ustring, Vector, Zxid},
};

use crate::{
    books::EARLY,
    chaos::{faults::Plan, history::History, is_open},
    ensemble::{Transaction, Txn},
    world::{ClientId, World},
};

/// Books over all sessions of a run.
#[derive(Clone, Debug, Default)]
pub(super) struct Ledger {
    tokens: u64,
    open: BTreeMap<(ClientId, RequestId), Entry>,
    writes: Vec<(Written, Fate)>,
    /// What was deleted, and at which zxid.
    deleted: Vec<(String, Zxid)>,
    reads: Vec<Read>,
    seen: BTreeMap<ClientId, Seen>,
    /// The last transaction that was looked at for expiries.
    looked_at: Zxid,
    told_to_expire: BTreeSet<SessionId>,
}

#[derive(Clone, Debug)]
enum Entry {
    Write(Written),
    Delete(Ustring),
    Read(Vec<Ustring>),
    Other,
}

/// The tokens of a write, which nothing else contains.
#[derive(Clone, Debug)]
struct Written {
    tokens: Vec<Bytes>,
    /// Who asked for what, to be told when it goes wrong.
    what: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Applied(Zxid),
    Refused,
    NotSent,
    MaybeApplied,
}

/// What was read, and when.
#[derive(Clone, Debug)]
pub(super) struct Read {
    pub(super) path: String,
    pub(super) zxid: Zxid,
    pub(super) found: Found,
}

#[derive(Clone, Debug)]
pub(super) enum Found {
    Data(Option<Bytes>),
    Stat,
    Children(BTreeSet<String>),
    NoNode,
}

/// What a session has been told.
#[derive(Clone, Debug, Default)]
struct Seen {
    zxid: Zxid,
    /// The highest zxid of an outcome on this connection.
    on_connection: Zxid,
    may_be_expired: bool,
    session: Option<SessionId>,
}

impl Ledger {
    /// Data that nothing else contains.
    pub(super) fn token(&mut self) -> Bytes {
        self.tokens += 1;
        Bytes::from(format!("<{}>", self.tokens))
    }

    pub(super) fn submitted(&mut self, client: ClientId, id: RequestId, request: &Request) {
        let tokens: Vec<Bytes> = match request {
            Request::Create(create) | Request::Create2(create) | Request::CreateContainer(create) => {
                create.data.clone().into_iter().collect()
            }
            Request::SetData(set) => set.data.clone().into_iter().collect(),
            Request::Multi(multi) => multi.ops.iter().filter_map(data).collect(),
            _ => Vec::new(),
        };
        let path = || request.path().cloned().unwrap_or_default();
        let entry = match request {
            Request::Delete(_) => Entry::Delete(path()),
            Request::GetData(_) | Request::Exists(_) | Request::GetChildren(_) | Request::GetChildren2(_) => {
                Entry::Read(vec![path()])
            }
            Request::MultiRead(multi) => {
                Entry::Read(multi.ops.iter().cloned().map(|mut op| op.path_mut().clone()).collect())
            }
            _ if tokens.is_empty() => Entry::Other,
            _ => Entry::Write(Written { tokens, what: format!("{client:?} {id:?} {request:?}") }),
        };
        self.open.insert((client, id), entry);
    }

    pub(super) fn event(&mut self, client: ClientId, event: &Event, world: &World, plan: &Plan) {
        let seen = self.seen.entry(client).or_default();
        match event {
            Event::Reply(reply) => {
                let is_of_turn =
                    matches!(&reply.result, Err(RequestError::Refused { code, .. }) if EARLY.contains(code));
                if plan.is_honest() && !is_of_turn && reply.zxid > Zxid(0) {
                    assert!(reply.zxid >= seen.zxid, "INV-48: {reply:?} after one of {:?}", seen.zxid);
                }
                self.reply(client, reply, world);
            }
            Event::Connected { epoch, read_only, session_id, .. } => {
                // A read-only server keeps no session alive.
                seen.may_be_expired &= *read_only;
                if !*read_only {
                    seen.session = Some(*session_id);
                }
                seen.on_connection = Zxid(0);
                if *epoch > 1 {
                    seen.zxid = Zxid(0);
                }
            }
            Event::MayBeExpired => seen.may_be_expired = true,
            Event::Watch(event) if plan.is_honest() && event.zxid > Zxid(0) => {
                assert!(
                    event.zxid > seen.on_connection,
                    "INV-37: {event:?} after an outcome of {:?}",
                    seen.on_connection
                );
            }
            Event::Expired { by: ExpiredBy::Server, .. } if plan.is_honest() => {
                let is_there = seen.session.is_some_and(|id| world.ensemble().session(id).is_some());
                assert!(!is_there, "INV-28: {:?} expired, says the session, and is there", seen.session);
            }
            Event::Closed { confirmed: true } if plan.is_honest() => {
                let is_there = seen.session.is_some_and(|id| world.ensemble().session(id).is_some());
                assert!(!is_there, "INV-75: {:?} was closed, says the session, and is there", seen.session);
            }
            Event::Disconnected { reason } | Event::AllServersFailed { last_reason: reason, .. }
                if plan.is_honest() && plan.keeps_streams_whole() =>
            {
                assert!(
                    !is_servers_fault(reason),
                    "INV-09, INV-15, INV-16, INV-42: servers do no wrong: {reason:?}"
                );
            }
            _ => {}
        }
    }

    fn reply(&mut self, client: ClientId, reply: &Reply, world: &World) {
        let seen = self.seen.entry(client).or_default();
        if reply.zxid > Zxid(0) {
            seen.on_connection = seen.on_connection.max(reply.zxid);
            seen.zxid = seen.zxid.max(reply.zxid);
        }
        let Some(entry) = self.open.remove(&(client, reply.request)) else { return };
        match entry {
            Entry::Write(written) => self.writes.push((written, fate(reply))),
            Entry::Delete(path) if reply.result.is_ok() => {
                self.deleted.push((world.books(client).server_path(&path), reply.zxid));
            }
            Entry::Read(paths) => {
                let books = world.books(client);
                let paths = paths.iter().map(|path| books.server_path(path));
                let found = paths.zip(found(&reply.result));
                self.reads.extend(
                    found.filter_map(|(path, found)| Some(Read { path, zxid: reply.zxid, found: found? })),
                );
            }
            Entry::Delete(_) | Entry::Other => {}
        }
    }

    /// INV-29: the ensemble never expires a session of which it could not know that it may be expired.
    pub(super) fn watch_expiries(&mut self, world: &mut World, sessions: &[ClientId], plan: &Plan) {
        let last = world.ensemble().last_zxid();
        if last == self.looked_at {
            return;
        }
        let new = world.ensemble().log().rev().take_while(|entry| entry.zxid > self.looked_at);
        let expired: Vec<SessionId> = new.filter(|entry| entry.cxid == 0).filter_map(ended).collect();
        self.looked_at = last;
        for session in expired {
            if self.told_to_expire.contains(&session) || !plan.leader_hears() || !plan.is_honest() {
                continue;
            }
            let is_it = |client: &&ClientId| {
                world.session(**client).credentials().is_some_and(|known| known.session_id == session)
            };
            let Some(client) = sessions.iter().find(is_it).filter(|client| is_open(world, **client)) else {
                continue;
            };
            // A driver that comes late can't have told.
            let is_late = world.session(*client).poll_timeout().is_some_and(|due| due < world.now());
            let told = is_late || self.seen.get(client).is_some_and(|seen| seen.may_be_expired);
            assert!(
                told || may_be_expired_now(world, *client),
                "INV-29: {client:?} ({:?}) has expired at {:?}, and thinks itself alive",
                world.session(*client).negotiated_timeout(),
                world.now(),
            );
        }
    }

    /// The leader ends this session by order.
    pub(super) fn expiring(&mut self, session: SessionId) {
        self.told_to_expire.insert(session);
    }

    /// Every write's fate is what the log says of it, and every read is what the tree was.
    pub(super) fn settle(&self, world: &World) {
        assert!(
            self.open.is_empty() || world.clients().any(|client| is_open(world, client)),
            "INV-01: {:?} have no outcome",
            self.open
        );
        let history = History::of(world);
        for (written, fate) in &self.writes {
            for token in &written.tokens {
                let found = history.applied.get(token).map(Vec::as_slice).unwrap_or_default();
                let is_so = match fate {
                    Fate::Applied(zxid) => found == [*zxid],
                    Fate::Refused | Fate::NotSent => found.is_empty(),
                    Fate::MaybeApplied => found.len() <= 1,
                };
                assert!(
                    is_so,
                    "INV-03, INV-05, INV-07: {fate:?} is told, and applied at {found:?}: {}",
                    written.what
                );
            }
        }
        for (path, zxid) in &self.deleted {
            let is_so = history.has_deleted(path, *zxid);
            assert!(is_so, "INV-05: {path} was deleted at {zxid:?}, it is told, and it wasn't");
        }
        for read in &self.reads {
            let was = history.tells(read);
            assert!(was, "INV-05: a read isn't what was there: {read:?}, {:?}", history.of_path(&read.path));
        }
    }
}

/// Whether it is said that the server has broken the protocol.
fn is_servers_fault(reason: &DisconnectReason) -> bool {
    matches!(
        reason,
        DisconnectReason::SessionRefused
            | DisconnectReason::BadFrame(_)
            | DisconnectReason::MalformedFrame(_)
            | DisconnectReason::UnexpectedReply { .. }
    )
}

fn fate(reply: &Reply) -> Fate {
    match &reply.result {
        Ok(_) => Fate::Applied(reply.zxid),
        Err(RequestError::Refused { .. }) => Fate::Refused,
        Err(RequestError::Failed { delivery: Delivery::NotSent, .. }) => Fate::NotSent,
        Err(_) => Fate::MaybeApplied,
    }
}

/// What a request has found at each of its paths; none if it has found out nothing, or of another kind.
fn found(result: &Result<Response, RequestError>) -> Vec<Option<Found>> {
    let one = match result {
        Ok(Response::MultiRead(read)) => return read.results.iter().map(found_within).collect(),
        Ok(Response::GetData(read)) => Some(Found::Data(read.data.clone())),
        Ok(Response::Exists(_)) => Some(Found::Stat),
        Ok(Response::GetChildren(read)) => Some(children(&read.children)),
        Ok(Response::GetChildren2(read)) => Some(children(&read.children)),
        Err(RequestError::Refused { code: ErrorCode::NO_NODE, .. }) => Some(Found::NoNode),
        _ => None,
    };
    vec![one]
}

fn found_within(result: &OpResult) -> Option<Found> {
    match result {
        OpResult::GetData(read) => Some(Found::Data(read.data.clone())),
        OpResult::GetChildren(read) => Some(children(&read.children)),
        OpResult::Error(ErrorCode::NO_NODE) => Some(Found::NoNode),
        _ => None,
    }
}

fn children(names: &Vector<Ustring>) -> Found {
    Found::Children(names.iter().map(|name| name.to_str().into_owned()).collect())
}

fn data(op: &Op) -> Option<Bytes> {
    match op {
        Op::Create(create) | Op::Create2(create) | Op::CreateContainer(create) => create.data.clone(),
        Op::SetData(set) => set.data.clone(),
        _ => None,
    }
}

fn ended(entry: &Transaction) -> Option<SessionId> {
    if let Txn::CloseSession { session, .. } = entry.txn { Some(session) } else { None }
}

/// Whether the session would say so if it were asked now.
fn may_be_expired_now(world: &World, client: ClientId) -> bool {
    let mut session = world.session(client).clone();
    session.handle_timeout(world.now());
    let mut told = core::iter::from_fn(|| session.poll_action());
    told.any(|action| {
        matches!(
            action,
            zk_session::Action::Emit(Event::MayBeExpired | Event::Expired { .. } | Event::Closed { .. })
        )
    })
}
