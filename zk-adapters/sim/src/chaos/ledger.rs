//! What was written, and what came of it, compared with the ensemble's log: by zxids, not by search.

use std::collections::{BTreeMap, BTreeSet};

use zk_session::{
    Delivery, DisconnectReason, Event, ExpiredBy, Reply, RequestError, RequestId,
    zk_proto::{Bytes, Op, Request, Response, SessionId, Zxid},
};

use crate::{
    chaos::{faults::Plan, is_open},
    ensemble::{Transaction, Txn},
    world::{ClientId, World},
};

/// Books over all sessions of a run.
#[derive(Clone, Debug, Default)]
pub(super) struct Ledger {
    tokens: u64,
    open: BTreeMap<(ClientId, RequestId), Entry>,
    writes: Vec<(Written, Fate)>,
    reads: Vec<Read>,
    seen: BTreeMap<ClientId, Seen>,
    /// The last transaction that was looked at for expiries.
    looked_at: Zxid,
    told_to_expire: BTreeSet<SessionId>,
}

#[derive(Clone, Debug)]
enum Entry {
    Write(Written),
    Read(String),
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
struct Read {
    path: String,
    zxid: Zxid,
    data: Option<Bytes>,
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
            Request::GetData(read) => {
                self.open.insert((client, id), Entry::Read(read.path.to_str().into_owned()));
                return;
            }
            _ => Vec::new(),
        };
        let entry = if tokens.is_empty() {
            Entry::Other
        } else {
            Entry::Write(Written { tokens, what: format!("{client:?} {id:?} {request:?}") })
        };
        self.open.insert((client, id), entry);
    }

    pub(super) fn event(&mut self, client: ClientId, event: &Event, world: &World, plan: &Plan) {
        let seen = self.seen.entry(client).or_default();
        match event {
            Event::Reply(reply) => self.reply(client, reply, world),
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
            Entry::Read(path) => {
                if let Ok(Response::GetData(read)) = &reply.result {
                    let chroot = world.config_of(client).connect_string.chroot.clone().unwrap_or_default();
                    let path = if path == "/" && !chroot.is_empty() { chroot } else { chroot + &path };
                    self.reads.push(Read { path, zxid: reply.zxid, data: read.data.clone() });
                }
            }
            Entry::Other => {}
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
        let mut applied: BTreeMap<Bytes, Vec<Zxid>> = BTreeMap::new();
        let mut history: BTreeMap<String, Vec<(Zxid, Option<Bytes>)>> = BTreeMap::new();
        for entry in world.ensemble().log() {
            note(&entry.txn, entry, &mut applied, &mut history);
        }
        for (written, fate) in &self.writes {
            for token in &written.tokens {
                let found = applied.get(token).map(Vec::as_slice).unwrap_or_default();
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
        for read in &self.reads {
            let states = history.get(&read.path).map(Vec::as_slice).unwrap_or_default();
            let state = states.iter().rev().find(|(zxid, _)| *zxid <= read.zxid);
            let is_so = state.is_none_or(|(_, data)| *data == read.data);
            assert!(is_so, "a read isn't what was there: {read:?}, {state:?}");
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

fn note(
    txn: &Txn,
    entry: &Transaction,
    applied: &mut BTreeMap<Bytes, Vec<Zxid>>,
    history: &mut BTreeMap<String, Vec<(Zxid, Option<Bytes>)>>,
) {
    match txn {
        Txn::Create { path, data, .. } | Txn::SetData { path, data, .. } => {
            if let Some(data) = data {
                applied.entry(data.clone()).or_default().push(entry.zxid);
            }
            history.entry(path.clone()).or_default().push((entry.zxid, data.clone()));
        }
        Txn::Multi(txns) => txns.iter().for_each(|txn| note(txn, entry, applied, history)),
        _ => {}
    }
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
