//! One state of the model: the session, its driver, the network, the servers, the application, and the books.

use core::{
    hash::{BuildHasher as _, Hash, Hasher},
    panic::AssertUnwindSafe,
    time::Duration,
};
use std::{panic::catch_unwind, sync::OnceLock};

use ahash::RandomState;
use zk_session::{
    Action, AuthInfo, Config, ExpiredReason, Instant, ProbeId, RequestId, RequestOptions, Retry, ServerOrder,
    Session,
    zk_proto::{Bytes, ExistsRequest, GetDataRequest, Request, SetDataRequest},
};

use crate::{
    Setup,
    act::Act,
    books::{Books, Fate, MAX_REQUESTS, Told},
    ensemble::{Ensemble, Forgery, Kind, Link, Said},
    heal::Healed,
    relative::{EPOCH_NANOS, Relative},
    subject::Subject,
    trials::Trials,
};

/// One state.
#[derive(Clone, Debug)]
pub struct World {
    pub(crate) subject: Subject,
    pub(crate) now: Instant,
    pub(crate) steps: u8,
    pub(crate) faults: u8,
    /// How often somebody else may still change the watched znode.
    pub(crate) changes: u8,
    pub(crate) link: Option<Link>,
    pub(crate) probe: Option<ProbeId>,
    pub(crate) ensemble: Ensemble,
    pub(crate) books: Books,
    /// Of all that counts: not of when the state was reached, nor in how many steps.
    pub(crate) fingerprint: u64,
    verdicts: Verdicts,
}

/// What is found out on copies of a state, once, for all rules that ask.
#[derive(Clone, Debug, Default)]
struct Verdicts {
    trials: OnceLock<Trials>,
    healed: OnceLock<Healed>,
}

/// The steps are part of a state: so the search is complete to its depth in whatever order it goes.
impl Hash for World {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.fingerprint, self.steps).hash(state);
    }
}

impl PartialEq for World {
    fn eq(&self, other: &Self) -> bool {
        (self.fingerprint, self.steps) == (other.fingerprint, other.steps)
    }
}

impl World {
    /// A session that dials its first server.
    pub(crate) fn new(setup: &Setup) -> Self {
        let now = Instant::from_nanos(EPOCH_NANOS);
        let session = Session::new(config(setup), now);
        let mut world = Self {
            subject: Subject::new(session, setup.defect),
            now,
            steps: 0,
            faults: setup.faults,
            changes: setup.changes,
            link: None,
            probe: None,
            ensemble: Ensemble::new(),
            books: Books::new(u8::from(setup.auth)),
            fingerprint: 0,
            verdicts: Verdicts::default(),
        };
        world.drain();
        world.fingerprint = world.fingerprint();
        world
    }

    /// What follows from an act. A panic is a broken rule like any other.
    pub(crate) fn after(&self, act: Act) -> Self {
        let mut next = self.clone();
        let done = catch_unwind(AssertUnwindSafe(move || {
            next.perform(act);
            next
        }));
        let mut next = done.unwrap_or_else(|_| {
            let mut broken = self.clone();
            broken.books.check(79, false);
            broken
        });
        next.steps = self.steps + 1;
        next.fingerprint = next.fingerprint();
        next.verdicts = Verdicts::default();
        next
    }

    /// Whether what must do nothing does nothing here.
    pub(crate) fn trials(&self) -> Trials {
        *self.verdicts.trials.get_or_init(|| self.try_out())
    }

    /// What becomes of it when all faults end.
    pub(crate) fn healed(&self) -> Healed {
        *self.verdicts.healed.get_or_init(|| self.heal())
    }

    fn fingerprint(&self) -> u64 {
        let Self { subject, now, faults, changes, link, probe, ensemble, books, .. } = self;
        let mut hasher = HASHER.build_hasher();
        subject.session().hash(&mut Relative::new(&mut hasher, now.as_nanos()));
        (faults, changes, link, probe, ensemble, books).hash(&mut hasher);
        hasher.finish()
    }

    pub(crate) fn perform(&mut self, act: Act) {
        self.faults -= u8::from(act.is_fault());
        match act {
            Act::Tick => self.tick(),
            Act::Jump => self.now = self.now + SESSION_TIMEOUT * 2,
            Act::Change => {
                self.changes -= 1;
                self.ensemble.change(self.link.as_mut());
            }
            Act::Expire => self.ensemble.expire(self.link.as_mut()),
            Act::Submit => self.submit(),
            Act::Cancel(number) => self.subject.cancel(RequestId::from_number(number as u64 + 1), self.now),
            Act::Close => {
                self.books.is_closing = true;
                self.subject.close(self.now);
            }
            Act::Probed(read_write) => {
                if let Some(probe) = self.probe.take() {
                    self.subject.probed(probe, read_write, self.now);
                }
            }
            Act::Forge(forgery) => {
                if let Some(said) = self.link.as_mut().and_then(|link| link.inbox.front_mut()) {
                    said.forge(forgery);
                }
            }
            Act::Deliver | Act::DeliverHalf | Act::DeliverAll => return self.deliver(act),
            Act::Up | Act::Take | Act::TakeHalf | Act::End | Act::Refuse | Act::Reset { .. } => {
                self.transport(act);
            }
        }
        self.drain();
        self.rest();
    }

    fn tick(&mut self) {
        let Some(due) = self.subject.poll_timeout() else { return };
        self.now = self.now.max(due);
        self.subject.timeout(self.now);
        let told = self.drain();
        self.books.check(51, told.pings <= 1);
        let next = self.subject.poll_timeout();
        let now = self.now;
        self.books.check(50, next.is_none_or(|next| next > now));
    }

    fn transport(&mut self, act: Act) {
        let Some(link) = &mut self.link else { return };
        let connection = link.id;
        match act {
            Act::Up => {
                link.is_up = true;
                self.subject.connected(connection, self.now);
            }
            Act::Take | Act::TakeHalf => {
                let len = if act == Act::Take { link.outbox.len() } else { link.outbox.len() / 2 };
                let bytes = link.outbox.split_to(len);
                link.is_split = act == Act::TakeHalf;
                self.ensemble.hear(link, &bytes);
                self.subject.sent(connection, len, self.now);
            }
            _ => {
                if act == (Act::Reset { reported: true }) {
                    self.subject.sent(connection, 0, self.now);
                    self.drain();
                }
                if self.link.take_if(|link| link.id == connection).is_some() {
                    self.subject.disconnected(connection, self.now);
                }
            }
        }
    }

    fn submit(&mut self) {
        let number = MAX_REQUESTS as u64 - self.books.count(Fate::Unborn);
        let options = RequestOptions::default();
        let (request, options) = match number {
            0 => (
                Request::GetData(GetDataRequest { path: "/a".into(), watch: true }),
                options.with_retry(Retry::WhenSafe),
            ),
            1 => {
                let data = Some(Bytes::from_static(b"new"));
                let set = SetDataRequest { path: "/a".into(), data, version: -1 };
                (Request::SetData(set), options.with_deadline(self.now + SESSION_TIMEOUT / 2))
            }
            _ => (Request::Exists(ExistsRequest { path: "/b".into(), watch: true }), options),
        };
        let accepted = self.subject.submit(request, options, self.now);
        let is_next = accepted.is_ok_and(|id| id.get() == number + 1);
        // A session that is over by its own clock refuses; that is told in the same step.
        let told = if is_next {
            self.books.requests[number as usize] = Fate::Open;
            self.drain()
        } else {
            self.drain()
        };
        self.books.check(1, is_next || told.is_over);
    }
}

/// What the driver does.
impl World {
    /// Does all that the session says.
    pub(crate) fn drain(&mut self) -> Told {
        let mut told = Told::default();
        for _ in 0..MAX_ACTIONS {
            let Some(action) = self.subject.poll_action() else { return told };
            let link = self.link.as_ref().map(|link| link.id);
            self.books.action(&action, link, &self.ensemble.executed, &mut told);
            match action {
                Action::Connect { connection, server } => {
                    self.link = Some(Link::new(connection, u8::from(&*server.host != "a")));
                }
                Action::Send { bytes, .. } => {
                    if let Some(link) = &mut self.link {
                        link.outbox = bytes;
                        link.is_split = false;
                    }
                }
                Action::Disconnect { .. } => self.link = None,
                Action::Probe { probe, .. } => self.probe = Some(probe),
                Action::Emit(_) => {}
            }
        }
        self.books.check(50, false);
        told
    }

    /// What must hold when there is nothing more to do.
    fn rest(&mut self) {
        let (stats, session) = (self.subject.stats(), self.subject.session());
        let ended = self.books.count(Fate::Ended);
        let accepted = ended + self.books.count(Fate::Open);
        let held = (stats.queued + stats.in_flight) as u64;
        let is_over = self.books.is_over;
        let adds_up = (stats.accepted, stats.ended, stats.accepted) == (accepted, ended, ended + held);
        let is_terminal = session.state().is_terminal();
        let is_ready = session.is_ready();
        self.books.check(2, adds_up);
        self.books.check(7, self.ensemble.executed[1] <= 1);
        self.books.check(27, is_ready == (self.books.is_ready && !is_over));
        self.books.check(31, is_terminal == is_over);
        let due = self.subject.poll_timeout();
        self.books.check(49, due.is_some() || is_over);
        self.books.check(31, due.is_none() || !is_over);
    }

    fn deliver(&mut self, act: Act) {
        let Some(link) = &mut self.link else { return };
        let connection = link.id;
        if act == Act::DeliverHalf {
            let Some(said) = link.inbox.front_mut() else { return };
            said.is_begun = true;
            let half = said.bytes.split_to(HALF);
            self.subject.received(connection, &half, self.now);
            self.drain();
            return self.rest();
        }
        let count = if act == Act::DeliverAll { link.inbox.len() } else { 1 };
        let delivered: Vec<_> = link.inbox.drain(..count).collect();
        let bytes: Vec<_> = delivered.iter().flat_map(|said| &said.bytes).copied().collect();
        for said in delivered.iter().filter(|said| said.is_answer() && !said.is_begun) {
            self.note_answered(&said.bytes, said.kind);
        }
        for said in delivered.iter().filter(|said| said.is_begun) {
            // The length and half of the xid arrived before: an xid of the model fits into the other half.
            self.note_answered(&[&[0; HALF][..], &said.bytes].concat(), said.kind);
        }
        let before = self.before();
        self.subject.received(connection, &bytes, self.now);
        let told = self.drain();
        self.judge(&delivered[0], &before, &told);
        self.rest();
    }

    fn note_answered(&mut self, frame: &[u8], kind: Kind) {
        let xid = frame.get(6..8).and_then(|xid| xid.first_chunk()).map_or(0, |xid| u16::from_be_bytes(*xid));
        let zxid =
            frame.get(8..16).and_then(|zxid| zxid.first_chunk()).map_or(0, |zxid| i64::from_be_bytes(*zxid));
        match kind {
            Kind::Reply => self.books.answered(xid.into(), zxid),
            Kind::AuthReply => self.books.answered(-4, zxid),
            Kind::Granted { .. } | Kind::Refused | Kind::Pong | Kind::Event => {}
        }
    }
}

/// What the session knew before bytes came.
struct Before {
    session: i64,
    is_closing: bool,
    watches: usize,
    reads_only: bool,
}

/// What must follow from what has arrived.
impl World {
    fn before(&self) -> Before {
        Before {
            session: self.books.own_session,
            is_closing: self.books.is_closing,
            watches: self.subject.stats().watches,
            reads_only: self.subject.session().config().read_only,
        }
    }

    fn judge(&mut self, said: &Said, before: &Before, told: &Told) {
        let is_over = told.expired.is_some() || told.closed == Some(true);
        match (said.forgery, said.kind) {
            (None, Kind::Granted { .. }) => self.books.check(21, told.connected == Some(false)),
            (None, Kind::Refused) => {
                let is_expired = told.expired == Some(ExpiredReason::Refused);
                self.books.check(22, is_expired || (before.is_closing && told.closed == Some(true)));
            }
            (Some(Forgery::NegativeLength | Forgery::Short), _) => {
                self.books.check(69, told.disconnected.is_some() && told.connected.is_none());
                self.books.check(69, told.answers == 0);
                self.stays(before, told, 69);
            }
            (Some(Forgery::WrongXid), _) => {
                let is_dropped =
                    matches!(told.disconnected, Some(zk_session::DisconnectReason::UnexpectedReply { .. }));
                self.books.check(16, is_dropped && told.answers == 0);
                self.stays(before, told, 16);
            }
            (Some(Forgery::UnknownError), _) => {
                self.books.check(69, told.disconnected.is_none() || before.is_closing);
                self.books.check(69, before.is_closing || !told.is_over);
            }
            (Some(Forgery::Replaced), _) => {
                let is_expired = told.expired == Some(ExpiredReason::Replaced);
                let is_closed = before.is_closing && told.closed == Some(true);
                self.books.check(23, (is_expired || is_closed) && told.connected.is_none());
            }
            (Some(Forgery::ReadOnly), _) if before.reads_only => {
                self.books.check(26, told.connected == Some(true) && !is_over);
            }
            (Some(Forgery::ReadOnly), _) => {
                self.books.check(26, told.connected.is_none() && told.disconnected.is_some());
                self.stays(before, told, 26);
            }
            (Some(Forgery::RefusedBirth), _) => {
                self.books.check(22, told.expired.is_none() && told.connected.is_none());
                self.stays(before, told, 22);
            }
            (None, Kind::Reply | Kind::Pong | Kind::AuthReply | Kind::Event) => {}
        }
    }

    /// A connection is lost, and nothing else: the session and its watches live on. (One that is being closed ends
    /// without a session, or when it is time.)
    fn stays(&mut self, before: &Before, told: &Told, rule: u32) {
        if told.is_over {
            return self.books.check(rule, before.is_closing && told.closed == Some(false));
        }
        let known = self.subject.session().credentials().map_or(0, |known| known.session_id.0);
        let watches = self.subject.stats().watches;
        self.books.check(rule, known == before.session && watches == before.watches);
    }
}

fn config(setup: &Setup) -> Config {
    let mut config = Config::new("a:1,b:1".parse().expect("a connect string"));
    config.server_order = ServerOrder::AsListed;
    config.session_timeout = SESSION_TIMEOUT;
    config.close_timeout = SESSION_TIMEOUT;
    config.backoff = (BACKOFF, BACKOFF);
    config.read_only = setup.read_only;
    if setup.auth {
        config.auth = vec![AuthInfo { scheme: "digest".into(), auth: Bytes::from_static(b"me:secret") }];
    }
    if setup.batches {
        // Each path has a frame of its own.
        config.max_set_watches_len = 1;
    }
    config
}

/// What the model's session asks for, and is granted.
pub(crate) const SESSION_TIMEOUT: Duration = Duration::from_secs(9);
pub(crate) const BACKOFF: Duration = Duration::from_secs(1);
/// No step has so many actions.
const MAX_ACTIONS: usize = 200;
/// The same in each run.
const HASHER: RandomState = RandomState::with_seeds(1, 2, 3, 4);
/// So many bytes are the first half of a frame.
const HALF: usize = 6;
