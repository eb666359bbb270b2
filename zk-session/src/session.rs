//! The session: its inputs, commands, outputs and views.

use alloc::{boxed::Box, collections::VecDeque, sync::Arc};
use core::{borrow::Borrow, fmt, time::Duration};

use bytes::Bytes;
use zk_proto::{ConnectString, FrameDecoder, Request, SessionId, Zxid};

use crate::{
    Action, Config, ConnectionId, Credentials, DisconnectReason, Event, Failure, Instant, RequestId,
    RequestOptions, Stats, SubmitError, Timer,
    accepted::Accepted,
    admission::Admissible,
    auth::Identities,
    chroot::Chroot,
    clock::LATE_PART,
    connection::{Connection, Xids},
    dialects::Dialects,
    ensemble::Ensemble,
    outbox::Outbox,
    read_only::Search,
    requests::{self, Requests},
    stats::Counters,
    timers::Timers,
    watches::Watches,
};

/// Where a session stands, in the words of ZooKeeper's `States`.
///
/// ```text
///                  ┌──────────────── next server, at once or after a back-off ───────────────┐
///                  ▼                                                                         │
///   new ───▶ Connecting ── transport up ──▶ Associating ── ConnectResponse ──▶ Connected     │
///                  │  refused, Connect timer     │  closed, Read timer,       ConnectedReadOnly
///                  └─────────────┐               │  not a ConnectResponse          │         │
///                                └───────────────┴─────────────────────────────────┴─ lost ──┘
///
///   Associating ── session refused or replaced ──▶ Expired        (the servers' verdict)
///   Connected ──── auth or SASL refused ─────────▶ AuthFailed
///   any ────────── close ────────────────────────▶ Closed         (confirmed or not, in bounded time)
///   any ────────── Expiry timer, if configured ──▶ Expired        (the client's own)
/// ```
///
/// | state | `handle_connected` | `handle_received` | `handle_disconnected` | timers | `close` |
/// | --- | --- | --- | --- | --- | --- |
/// | Connecting: dialling, or waiting to | → Associating, ConnectRequest | – | next server | Connect: next server; Backoff: dial | with a session: goes on until it can close it; else → Closed |
/// | Associating | – | ConnectResponse: → Connected, Expired or next server | next server | Read: next server | goes on until it can close the session |
/// | Connected, ConnectedReadOnly | – | replies, watch events | what was sent or queued ends, → Connecting | Ping: ping; Read, Pong, Frame: next server; Probe: asks another server | closeSession; its reply: → Closed |
/// | Closed, Expired, AuthFailed | – | – | – | none | – |
///
/// In every state that isn't terminal, the timers MayBeExpired, Expiry, Deadline and Close act on time. Input of a
/// connection that isn't the current one does nothing in any state.
///
/// On a new connection nothing but the ConnectRequest leaves before the ConnectResponse; then come SASL, the auth
/// packets, the watches, and requests, in this order. [`Event::Ready`](crate::Event::Ready) tells that what goes
/// before requests is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "these are ZooKeeper's states")]
pub enum State {
    /// Not connected: a transport is being established, or the next attempt waits.
    Connecting,
    /// The transport is up, the ConnectResponse not here yet.
    Associating,
    /// A server has accepted the session.
    Connected,
    /// A server in read-only mode has accepted the session.
    ConnectedReadOnly,
    /// The session has expired. Terminal.
    Expired,
    /// Authentication failed. Terminal.
    AuthFailed,
    /// The session was closed. Terminal.
    Closed,
}

impl State {
    /// Whether nothing can happen any more.
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Expired | Self::AuthFailed | Self::Closed)
    }

    /// Whether a server has accepted the session on the current connection.
    pub const fn is_connected(self) -> bool {
        matches!(self, Self::Connected | Self::ConnectedReadOnly)
    }
}

/// A ZooKeeper session as a pure state machine.
///
/// # Inputs
/// The `handle_` methods tell what the driver saw. They never fail. What names a connection that isn't the
/// current one is ignored.
///
/// # Commands
/// [`submit`](Self::submit), [`cancel`](Self::cancel), [`remove_watch`](Self::remove_watch),
/// [`add_auth`](Self::add_auth), [`update_servers`](Self::update_servers) and [`close`](Self::close) tell what the
/// application wants: any number, in any order, between any two polls. They leave the connection alone: what ends it
/// is done at the next poll, for until then the transport may take more of what was handed out.
///
/// # Outputs
/// [`poll_action`](Self::poll_action) tells each thing that happened once and in order: drain it after commands, and
/// after inputs before the transport takes more. Drivers that have many events to hand on ask
/// [`poll_event`](Self::poll_event) first, which costs less. [`poll_timeout`](Self::poll_timeout) tells when
/// [`handle_timeout`](Self::handle_timeout) is due; asking again is harmless and gets the newest answer.
///
/// # Views
/// The other methods only look.
///
/// Each input and command brings the time. A reading before the latest one counts as the latest one.
///
/// # Servers
/// What a server may do wrong, and what comes of it. Nothing panics, hangs, or gives a request another one's reply.
///
/// | the server | the session |
/// | --- | --- |
/// | sends a frame of negative length, or shorter than a header | drops the connection |
/// | sends a reply longer than `Config::max_frame_len` | fails its request with [`Failure::ReplyTooLarge`], skips the frame |
/// | sends another frame longer than that | drops the connection |
/// | answers with a body that doesn't decode | fails the request with [`Failure::MalformedReply`] |
/// | answers out of order, with an unknown xid, or what was not handed out whole | drops the connection; but a refusal that servers send ahead of its turn is matched |
/// | hangs up on a request with [`Retry::WhenSafe`](crate::Retry::WhenSafe) | sends it again, and ends it the third time |
/// | answers with an unknown error code | the request is refused with that number |
/// | sends an event of unknown type | tells the owners of that path the number, keeps their watches |
/// | sends an event that nobody waits for, an unsolicited pong or auth reply | counts it, does nothing |
/// | sends anything but a ConnectResponse first, or refuses a new session | tries the next server |
/// | sends a second ConnectResponse | drops the connection |
/// | grants a session timeout of any size | computes its timers from it, in 64 bits and at least 1 ms |
/// | sends a zxid that goes backwards | keeps the highest |
/// | sends bytes slower than `Config::min_frame_rate`, answers to pings not counted, or nothing for 2/3 of the session timeout | drops the connection |
/// | sends bytes, but answers no ping within the session timeout | drops the connection |
/// | sends more bytes than a record has | ignores them |
#[derive(Clone)]
pub struct Session {
    pub(crate) config: Arc<Config>,
    pub(crate) chroot: Chroot,
    pub(crate) state: State,
    pub(crate) now: Instant,
    pub(crate) outbox: Outbox,
    pub(crate) timers: Timers,
    pub(crate) connection: Option<Connection>,
    pub(crate) requests: Requests,
    pub(crate) watches: Watches,
    pub(crate) identity: Identity,
    pub(crate) identities: Identities,
    pub(crate) xids: Xids,
    pub(crate) closing: bool,
    pub(crate) stats: Counters,
    pub(crate) ensemble: Ensemble,
    /// In order. Requests mostly have later deadlines than those before them, and end before them.
    pub(crate) deadlines: VecDeque<(Instant, RequestId)>,
    /// Accepted requests that ask for a watch and have no outcome yet.
    pub(crate) watches_asked_for: usize,
    pub(crate) search: Option<Box<Search>>,
    /// The time between two probes; zero before the first one.
    pub(crate) probe_interval: Duration,
    pub(crate) dialects: Dialects,
    /// Counts sessions, if a lost connection ends one.
    pub(crate) epoch: u64,
    pub(crate) probes: u64,
    pub(crate) connections: u64,
    pub(crate) accepted: u64,
}

/// Who the session is to the servers; it outlives connections.
#[derive(Clone)]
#[cfg_attr(feature = "model", derive(PartialEq, Eq, Hash))]
pub(crate) struct Identity {
    /// The id and password of the session, once there is one.
    pub(crate) session: Option<(SessionId, Bytes)>,
    /// The session timeout in force: what a server granted, before that what is asked for.
    pub(crate) timeout: Duration,
    /// The highest zxid that a reply has told.
    pub(crate) last_zxid: Zxid,
    /// When the youngest frame that was answered had been handed out.
    pub(crate) heard_of_at: Instant,
}

/// Inputs.
impl Session {
    /// A session that begins to connect at once. Without a server, which a connect string that was parsed
    /// always has, it is closed from the beginning; with an identity that is too long to be sent, it is
    /// [`State::AuthFailed`] from the beginning.
    pub fn new(config: impl Into<Arc<Config>>, now: Instant) -> Self {
        let config = config.into();
        let seed = config.seed;
        Self::with_seed(config, seed, now)
    }

    /// The same with another seed than the configuration's: for many sessions that share one configuration.
    pub fn with_seed(config: impl Into<Arc<Config>>, seed: u64, now: Instant) -> Self {
        let config = config.into();
        let has_servers = !config.connect_string.servers.is_empty();
        let resume = config.resume.clone().filter(|credentials| credentials.session_id != SessionId(0));
        let mut session = Self {
            chroot: Chroot::new(config.connect_string.chroot.as_deref()),
            state: State::Connecting,
            now,
            outbox: Outbox::default(),
            timers: Timers::default(),
            connection: None,
            requests: Requests::default(),
            watches: Watches::new(seed),
            identity: Identity {
                timeout: Duration::from_millis(config.session_timeout_millis().unsigned_abs().into()),
                last_zxid: resume.as_ref().map_or(Zxid(0), |credentials| credentials.last_zxid),
                session: resume.map(|credentials| (credentials.session_id, credentials.password)),
                heard_of_at: now,
            },
            identities: Identities::new(&config.auth),
            xids: Xids::default(),
            closing: false,
            stats: Counters::default(),
            ensemble: Ensemble::new(config.connect_string.servers.clone(), &config.server_order, seed),
            deadlines: VecDeque::new(),
            watches_asked_for: 0,
            search: None,
            probe_interval: Duration::ZERO,
            dialects: Dialects::default(),
            epoch: 0,
            probes: 0,
            connections: 0,
            accepted: 0,
            config,
        };
        if !has_servers {
            session.end(State::Closed, &Failure::Closed, Event::Closed { confirmed: false });
        } else if let Some(scheme) = session.identity_too_long() {
            session.end(State::AuthFailed, &Failure::AuthFailed, Event::AuthFailed { scheme });
        } else {
            session.start_attempt();
        }
        session
    }

    /// The transport of this connection is established.
    pub fn handle_connected(&mut self, connection: ConnectionId, now: Instant) {
        self.at(now);
        if self.state == State::Connecting && self.is_current(connection) {
            self.associate();
        }
        self.act_on_time();
    }

    /// These bytes arrived on this connection, cut anywhere. Once there is much to tell, the rest of them is only kept, and
    /// looked at when that is polled.
    pub fn handle_received(&mut self, connection: ConnectionId, bytes: &[u8], now: Instant) {
        self.take_in(connection, bytes.len(), |decoder| decoder.push(bytes), now);
    }

    /// The same for bytes that the driver has done with: what they tell is read where they lie, instead of being copied, which
    /// is worth it where many come at once. They are kept until that is polled and let go of; then they are the driver's
    /// alone again, if it has kept a handle on them ([`Bytes::try_into_mut`]).
    pub fn handle_received_owned(&mut self, connection: ConnectionId, bytes: Bytes, now: Instant) {
        self.take_in(connection, bytes.len(), |decoder| decoder.hand_over(bytes), now);
    }

    fn take_in(
        &mut self,
        connection: ConnectionId,
        count: usize,
        put: impl FnOnce(&mut FrameDecoder),
        now: Instant,
    ) {
        self.at(now);
        let expects_bytes = self.state == State::Associating || self.state.is_connected();
        if expects_bytes && self.is_current(connection) && count > 0 {
            self.receive(count, put);
        }
        self.act_on_time();
    }

    /// The transport took `count` more bytes of the outstanding `Send`; 0 is a report too.
    ///
    /// Before [`handle_disconnected`](Self::handle_disconnected), a driver reports the most that the transport
    /// can have taken: what lies beyond is known to have stayed. A `Send` that was never reported on counts
    /// as wholly taken.
    pub fn handle_sent(&mut self, connection: ConnectionId, count: usize, now: Instant) {
        self.at(now);
        if let Some(current) = self.connection.as_mut().filter(|current| current.id == connection) {
            current.window.sent(count);
        }
        self.act_on_time();
    }

    /// The transport of this connection has ended, or couldn't be established: refused, reset, end of stream.
    pub fn handle_disconnected(&mut self, connection: ConnectionId, now: Instant) {
        self.at(now);
        if self.is_current(connection) {
            self.take_all_unread();
        }
        if let Some(current) = self.connection.take_if(|current| current.id == connection) {
            let reason = match self.state {
                State::Connecting => DisconnectReason::ConnectFailed,
                State::Associating => DisconnectReason::ClosedBeforeResponse,
                State::Connected
                | State::ConnectedReadOnly
                | State::Expired
                | State::AuthFailed
                | State::Closed => DisconnectReason::ConnectionLost,
            };
            self.lost(current, reason);
        }
        self.act_on_time();
    }

    /// The time that [`poll_timeout`](Self::poll_timeout) told has come. Early, late or repeated calls are
    /// harmless; before a late one, unread input is best fed.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.at(now);
        if self.timers.are_due(self.now) {
            self.take_all_unread();
        }
        let is_due = |due: &Instant| *due <= self.now || planted!(EarlyTicksPing);
        let Some(due) = self.poll_timeout().filter(is_due) else { return };
        let late = self.now - due;
        if late >= self.identity.timeout / LATE_PART {
            self.be_late(late);
        }
        self.act_on_time();
        self.act_on_last_timers();
        self.act_on_connection_timers();
    }
}

/// Commands.
impl Session {
    /// Accepts a request: its one outcome comes as [`Event::Reply`] under the id that is returned. Paths are
    /// client paths. A request that is lent stays with the caller, who can submit it again where it was refused.
    ///
    /// # Errors
    /// If a limit of `Config` is reached, the request can't be sent as it is, or the session has ended or is
    /// being closed. Nothing has changed then.
    pub fn submit(
        &mut self,
        request: impl Borrow<Request>,
        options: RequestOptions,
        now: Instant,
    ) -> Result<RequestId, SubmitError> {
        self.submit_lent(request.borrow(), options, now)
    }

    fn submit_lent(
        &mut self,
        request: &Request,
        options: RequestOptions,
        now: Instant,
    ) -> Result<RequestId, SubmitError> {
        self.begin_input(now);
        let admissible = self.admit(request, options.epoch)?;
        if self.chroot.is_root() {
            self.accept_request(request, admissible, options)
        } else {
            self.accept_rooted(request, admissible, options)
        }
    }

    #[inline(never)]
    fn accept_rooted(
        &mut self,
        request: &Request,
        admissible: Admissible,
        options: RequestOptions,
    ) -> Result<RequestId, SubmitError> {
        self.accept_request(&self.chroot.rooted(request), admissible, options)
    }

    #[inline(always)]
    fn accept_request(
        &mut self,
        request: &Request,
        admissible: Admissible,
        options: RequestOptions,
    ) -> Result<RequestId, SubmitError> {
        let Admissible { op, asks_for_watch, creates_ephemeral, ops } = admissible;
        let deadline = options.deadline.unwrap_or(Instant::MAX);
        let len = requests::frame_len(request);
        let may_return = self.may_return(op, options.retry);
        self.admit_size(len, may_return)?;
        let id = self.accept();
        self.watches_asked_for += usize::from(asks_for_watch);
        self.requests.retryable.count(may_return, len);
        let accepted = Accepted {
            id,
            deadline,
            op,
            len: len as u32, // of 31 bits, and the prefix
            ops,
            may_return,
            was_sent: false,
            creates_ephemeral,
            asks_for_watch,
            has_ended: false,
            retained: None,
        };
        self.enqueue(accepted, request, options.retry);
        self.fail_if_unsupported(id, op);
        if deadline < Instant::MAX {
            self.insert_deadline(deadline, id);
            self.act_on_deadlines();
        }
        Ok(id)
    }

    /// Gives up a request: if it wasn't handed out it is removed, otherwise its reply will be swallowed. It
    /// ends at once, as [`Failure::Cancelled`]; nothing happens if it has ended.
    pub fn cancel(&mut self, request: RequestId, now: Instant) {
        self.at(now);
        self.give_up(request, &Failure::Cancelled);
        self.act_on_time();
    }

    /// Gives up the one watch that this request set, or is going to set; it tells nothing any more. Nothing
    /// happens if there is none.
    pub fn remove_watch(&mut self, watch: RequestId, now: Instant) {
        self.at(now);
        self.unwatch(watch);
        self.act_on_time();
    }

    /// Replaces the servers. Whether the session moves to another one is drawn so that the clients of the
    /// ensemble spread evenly over the new list (ZOOKEEPER-1355). The chroot stays, so the new connect string
    /// need not name it.
    ///
    /// # Errors
    /// If the connect string names another chroot, or the session has ended or is being closed.
    pub fn update_servers(
        &mut self,
        mut connect_string: ConnectString,
        now: Instant,
    ) -> Result<(), SubmitError> {
        self.begin_input(now);
        self.admit_any()?;
        let chroot = self.config.connect_string.chroot.clone();
        if connect_string.chroot.is_some() && connect_string.chroot != chroot {
            return Err(SubmitError::InvalidArgument {
                what: "connect_string: a session's chroot is for life",
            });
        }
        if connect_string.servers.is_empty() {
            return Err(SubmitError::InvalidArgument { what: "connect_string: it has no server" });
        }
        connect_string.chroot = chroot;
        Arc::make_mut(&mut self.config).connect_string = connect_string;
        let servers = self.config.connect_string.servers.clone();
        let moves = self.ensemble.update(servers, &self.config.server_order);
        if let Some(connection) = &mut self.connection {
            connection.leaving = moves.then(|| Box::new(DisconnectReason::Rebalanced));
        }
        Ok(())
    }

    /// Closes the session: what was accepted goes first, then closeSession. [`Event::Closed`] follows within
    /// `Config::close_timeout`, and says whether a server has confirmed. In a terminal state, or called again,
    /// it does nothing.
    pub fn close(&mut self, now: Instant) {
        self.at(now);
        if !self.closing && !self.state.is_terminal() {
            self.closing = true;
            if !planted!(CloseIsUnbounded) {
                self.timers.set(Timer::Close, self.now + self.config.close_timeout);
            }
            if self.state == State::Connecting && self.identity.session.is_none() {
                self.end(State::Closed, &Failure::Closed, Event::Closed { confirmed: false });
            }
        }
        self.act_on_time();
    }
}

/// Outputs.
impl Session {
    /// When [`handle_timeout`](Self::handle_timeout) is due; none if nothing is scheduled, and at
    /// [`Instant::MAX`], where time stands still.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.first().filter(|&due| due < Instant::MAX || self.now < Instant::MAX)
    }
}

/// Views.
impl Session {
    /// What the session was told when it was made, with the servers of its last
    /// [`update_servers`](Self::update_servers).
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Where the session stands.
    pub fn state(&self) -> State {
        self.state
    }

    /// Counts the sessions of this machine, from 0: more than one only with
    /// [`OnLoss::NewSession`](crate::OnLoss::NewSession).
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Whether [`Event::Ready`] was told on the current connection: watches are armed, requests flow.
    pub fn is_ready(&self) -> bool {
        self.connection.as_ref().is_some_and(|connection| connection.ready_at.is_some())
    }

    /// What a later session needs to resume this one; none as long as no server has created it, and once it
    /// has ended.
    pub fn credentials(&self) -> Option<Credentials> {
        let (session_id, password) = self.identity.session.clone()?;
        Some(Credentials { session_id, password, last_zxid: self.identity.last_zxid })
    }

    /// The session timeout that a server granted; before that, the one that is asked for.
    pub fn negotiated_timeout(&self) -> Duration {
        self.identity.timeout
    }

    /// The highest zxid that a reply has told. It never falls.
    pub fn last_zxid(&self) -> Zxid {
        self.identity.last_zxid
    }

    /// What [`poll_timeout`](Self::poll_timeout) waits for.
    pub fn next_timer(&self) -> Option<(Timer, Instant)> {
        self.timers.next().filter(|&(_, due)| due < Instant::MAX || self.now < Instant::MAX)
    }

    /// What the session has done, and holds.
    pub fn stats(&self) -> Stats {
        let auths = self.connection.as_ref().map(|connection| &connection.auths);
        let auths_in_flight = auths.map_or(0, |auths| self.identities.waiting_for(auths));
        let Counters {
            bytes_received,
            bytes_sent,
            attempts,
            connections,
            accepted,
            ended,
            refused,
            failed,
            pings,
            pongs,
            last_ping_round_trip,
            notifications,
            unwanted_notifications,
        } = self.stats;
        Stats {
            bytes_received,
            bytes_sent,
            attempts,
            connections,
            accepted,
            ended,
            refused,
            failed,
            pings,
            pongs,
            last_ping_round_trip,
            notifications,
            unwanted_notifications,
            queued: self.requests.waiting() + self.identities.waiting() - auths_in_flight
                + usize::from(planted!(MiscountsTheQueue) && self.requests.waiting() > 3),
            queued_bytes: self.requests.waiting_bytes(),
            in_flight: self.requests.iter_in_flight().count() + auths_in_flight,
            watches: self.watches.len(),
        }
    }
}

/// Shows where the session stands; it holds secrets and other people's data.
impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("state", &self.state)
            .field("last_zxid", &self.identity.last_zxid)
            .field("negotiated_timeout", &self.identity.timeout)
            .field("next_timer", &self.next_timer())
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

const _: () = {
    const fn is_send_and_sync<T: Send + Sync>() {}
    is_send_and_sync::<Session>();
    is_send_and_sync::<Box<Action>>();
};
