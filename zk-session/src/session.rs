//! The session: its inputs, commands and outputs, and every change of its state.
//!
//! | state | `handle_connected` | `handle_received` | `handle_disconnected` | timers | `close` |
//! | --- | --- | --- | --- | --- | --- |
//! | [`Connecting`](State::Connecting): dialling, or waiting to | → Associating, ConnectRequest | – | next server | Connect: next server; Backoff: dial | with a session: goes on until it can close it; else → Closed |
//! | [`Associating`](State::Associating) | – | ConnectResponse: → Connected, Expired or next server | next server | Read: next server | goes on until it can close the session |
//! | [`Connected`](State::Connected), [`ConnectedReadOnly`](State::ConnectedReadOnly) | – | replies, watch events | what was sent or queued ends, → Connecting | Ping: ping; Read, Pong, Frame: next server | closeSession; its reply: → Closed |
//! | [`Closed`](State::Closed), [`Expired`](State::Expired), [`AuthFailed`](State::AuthFailed) | – | – | – | none | – |
//!
//! In every state that isn't terminal, MayBeExpired, Expiry, Deadline and Close act on time.

use alloc::{
    boxed::Box,
    collections::{BTreeSet, VecDeque},
};
use core::{fmt, time::Duration};

use zk_proto::{Request, SessionId, Zxid};

use crate::{
    Action, Config, ConnectionId, Credentials, Delivery, DisconnectReason, Event, ExpiredBy, ExpiredReason,
    Expiry, Failure, Instant, RequestError, RequestId, RequestOptions, Retry, Stats, SubmitError, Timer,
    WatchEndReason,
    action::Reply,
    admission,
    chroot::Chroot,
    connection::{Connection, Owner, SendLimits, Xids},
    ensemble::Ensemble,
    requests::{self, Accepted, Queue},
    timers::Timers,
    watches::Watches,
};

/// Where a session stands, in the words of ZooKeeper's `States`.
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
/// [`submit`](Self::submit), [`cancel`](Self::cancel), [`remove_watch`](Self::remove_watch) and
/// [`close`](Self::close) tell what the application wants: any number, in any order, between any two polls.
///
/// # Outputs
/// [`poll_action`](Self::poll_action) tells each thing that happened once and in order: drain it after inputs
/// and commands. [`poll_timeout`](Self::poll_timeout) tells when [`handle_timeout`](Self::handle_timeout) is
/// due; asking again is harmless and gets the newest answer.
///
/// # Views
/// The other methods only look.
///
/// Each input and command brings the time. A reading before the latest one counts as the latest one.
#[derive(Clone)]
pub struct Session {
    pub(crate) config: Config,
    pub(crate) chroot: Chroot,
    pub(crate) state: State,
    pub(crate) now: Instant,
    pub(crate) actions: VecDeque<Action>,
    pub(crate) timers: Timers,
    pub(crate) connection: Option<Connection>,
    pub(crate) queue: Queue,
    pub(crate) watches: Watches,
    pub(crate) identity: Identity,
    pub(crate) xids: Xids,
    pub(crate) closing: bool,
    pub(crate) stats: Stats,
    ensemble: Ensemble,
    deadlines: BTreeSet<(Instant, RequestId)>,
    /// Accepted requests that ask for a watch and have no outcome yet.
    watches_asked_for: usize,
    connections: u64,
    requests: u64,
}

/// Who the session is to the servers; it outlives connections.
#[derive(Clone)]
pub(crate) struct Identity {
    /// The id and password of the session, once there is one.
    pub(crate) session: Option<(SessionId, bytes::Bytes)>,
    /// The session timeout in force: what a server granted, before that what is asked for.
    pub(crate) timeout: Duration,
    /// The highest zxid that a reply has told.
    pub(crate) last_zxid: Zxid,
    /// When the youngest frame that was answered had been handed out.
    pub(crate) heard_of_at: Instant,
}

/// Inputs.
impl Session {
    /// A session that begins to connect at once.
    ///
    /// # Panics
    /// If the connect string has no server, which none that was parsed can be.
    pub fn new(config: Config, now: Instant) -> Self {
        assert!(!config.connect_string.servers.is_empty(), "a connect string has at least one server");
        let resume = config.resume.clone();
        let mut session = Self {
            chroot: Chroot::new(config.connect_string.chroot.clone()),
            state: State::Connecting,
            now,
            actions: VecDeque::new(),
            timers: Timers::default(),
            connection: None,
            queue: Queue::default(),
            watches: Watches::default(),
            identity: Identity {
                timeout: Duration::from_millis(config.session_timeout_millis().unsigned_abs().into()),
                last_zxid: resume.as_ref().map_or(Zxid(0), |credentials| credentials.last_zxid),
                session: resume.map(|credentials| (credentials.session_id, credentials.password)),
                heard_of_at: now,
            },
            xids: Xids::default(),
            closing: false,
            stats: Stats::default(),
            ensemble: Ensemble::new(config.connect_string.servers.clone(), config.seed, config.backoff),
            deadlines: BTreeSet::new(),
            watches_asked_for: 0,
            connections: 0,
            requests: 0,
            config,
        };
        session.start_attempt();
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

    /// These bytes arrived on this connection, cut anywhere.
    pub fn handle_received(&mut self, connection: ConnectionId, bytes: &[u8], now: Instant) {
        self.at(now);
        let expects_bytes = self.state == State::Associating || self.state.is_connected();
        if expects_bytes && self.is_current(connection) && !bytes.is_empty() {
            self.receive(bytes);
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
        let Some(due) = self.poll_timeout().filter(|&due| due <= self.now) else { return };
        let late = self.now - due;
        if late >= self.identity.timeout / LATE_PART {
            self.be_late(late);
        }
        self.act_on_time();
        self.act_on_connection_timers();
    }
}

/// Commands.
impl Session {
    /// Accepts a request: its one outcome comes as [`Event::Reply`] under the id that is returned. Paths are
    /// client paths.
    ///
    /// # Errors
    /// If a limit of `Config` is reached, the request can't be sent as it is, or the session has ended or is
    /// being closed. Nothing has changed then.
    pub fn submit(
        &mut self,
        mut request: Request,
        options: RequestOptions,
        now: Instant,
    ) -> Result<RequestId, SubmitError> {
        self.at(now);
        self.act_on_time();
        self.admit(&request)?;
        self.chroot.apply(&mut request);
        self.admit_size(&request)?;
        self.requests += 1;
        let id = RequestId(self.requests);
        let asks_for_watch = admission::asks_for_watch(&request);
        let is_retained = asks_for_watch || options.retry == Retry::WhenSafe;
        self.watches_asked_for += usize::from(asks_for_watch);
        let accepted = Accepted {
            id,
            op: request.op_code(),
            deadline: options.deadline,
            retry: options.retry,
            asks_for_watch,
            retained: None,
        };
        self.queue.push(accepted, request, is_retained);
        self.stats.accepted += 1;
        if let Some(deadline) = options.deadline {
            self.deadlines.insert((deadline, id));
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
        if let Some(path) = self.watches.remove(watch) {
            let path = self.chroot.client_path(&path);
            self.emit(Event::WatchEnded { request: watch, path, reason: WatchEndReason::Removed });
        } else if let Some(accepted) = self.accepted_mut(watch) {
            let asked = core::mem::take(&mut accepted.asks_for_watch);
            self.watches_asked_for -= usize::from(asked);
        }
        self.act_on_time();
    }

    /// Closes the session: what was accepted goes first, then closeSession. [`Event::Closed`] follows within
    /// `Config::close_timeout`, and says whether a server has confirmed. In a terminal state, or called again,
    /// it does nothing.
    pub fn close(&mut self, now: Instant) {
        self.at(now);
        if !self.closing && !self.state.is_terminal() {
            self.closing = true;
            self.timers.set(Timer::Close, self.now + self.config.close_timeout);
            if self.state == State::Connecting && self.identity.session.is_none() {
                self.end(State::Closed, &Failure::Closed, Event::Closed { confirmed: false });
            }
        }
        self.act_on_time();
    }
}

/// Outputs.
impl Session {
    /// What has to be done next, each thing once and in order; none if there is nothing more for now.
    pub fn poll_action(&mut self) -> Option<Action> {
        loop {
            if let Some(action) = self.actions.pop_front() {
                return Some(action);
            }
            self.prime();
            if self.actions.is_empty() {
                return self.next_send();
            }
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due; none if nothing is scheduled.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.next_timer().map(|(_, due)| due)
    }
}

/// Views.
impl Session {
    /// Where the session stands.
    pub fn state(&self) -> State {
        self.state
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
        self.timers.next()
    }

    /// What the session has done, and holds.
    pub fn stats(&self) -> Stats {
        let in_flight = self.connection.iter().flat_map(|connection| &connection.in_flight);
        Stats {
            queued: self.queue.len(),
            queued_bytes: self.queue.bytes(),
            in_flight: in_flight.filter(|frame| matches!(frame.owner, Owner::Request(_))).count(),
            watches: self.watches.len(),
            ..self.stats
        }
    }
}

/// Transitions: the only places where `state` changes.
impl Session {
    fn start_attempt(&mut self) {
        self.connections += 1;
        self.stats.attempts += 1;
        let connection = ConnectionId(self.connections);
        self.connection = Some(Connection::new(connection, self.config.max_frame_len.max(MIN_FRAME_LIMIT)));
        self.state = State::Connecting;
        self.timers.stop(Timer::Backoff);
        self.timers.set(Timer::Connect, self.now + self.attempt_timeout());
        let server = self.ensemble.next();
        self.actions.push_back(Action::Connect { connection, server });
    }

    /// The transport is up: the ConnectRequest goes out, under the same deadline.
    fn associate(&mut self) {
        let request = self.connect_request();
        let Some(connection) = &mut self.connection else { return };
        request.encode_frame(connection.control());
        connection.connect_sent_at = self.now;
        self.state = State::Associating;
        if let Some(due) = self.timers.get(Timer::Connect) {
            self.timers.stop(Timer::Connect);
            self.timers.set(Timer::Read, due);
        }
    }

    /// A server has accepted the session.
    pub(crate) fn connected(&mut self, response: Accepting) {
        let resumed = self.identity.session.is_some();
        self.state = if response.read_only { State::ConnectedReadOnly } else { State::Connected };
        self.identity.session = Some((response.session_id, response.password));
        self.identity.timeout = response.timeout;
        self.stats.connections += 1;
        self.ensemble.accepted();
        self.timers.set(Timer::Read, self.now + self.read_timeout());
        let Some(connection) = &mut self.connection else { return };
        connection.rearm = Some(crate::watches::Rearm::new(&self.watches));
        let sent_at = connection.connect_sent_at;
        self.timers.set(Timer::Ping, sent_at + ping_interval(response.timeout));
        self.timers.stop(Timer::MayBeExpired);
        self.heard_of(sent_at, true);
        self.emit(Event::Connected {
            session_id: response.session_id,
            negotiated_timeout: response.timeout,
            read_only: response.read_only,
            resumed,
        });
    }

    /// The machine drops its connection and looks for another server.
    pub(crate) fn disconnect(&mut self, reason: DisconnectReason) {
        if let Some(connection) = self.connection.take() {
            let action = Action::Disconnect { connection: connection.id, reason: reason.clone() };
            self.actions.push_back(action);
            self.lost(connection, reason);
        }
    }

    /// The connection is gone, whoever ended it.
    fn lost(&mut self, connection: Connection, reason: DisconnectReason) {
        for timer in [Timer::Connect, Timer::Read, Timer::Ping, Timer::Pong, Timer::Frame] {
            self.timers.stop(timer);
        }
        let was_connected = self.state.is_connected();
        self.state = State::Connecting;
        if was_connected {
            let held = connection.ready_at.is_some_and(|ready| self.now - ready >= self.identity.timeout / 3);
            self.ensemble.connection_lost(held);
            self.watches.connection_lost(self.identity.last_zxid);
            self.fail_or_requeue(connection);
            self.emit(Event::Disconnected { reason });
        } else if let Some(attempts) = self.ensemble.attempt_failed() {
            self.emit(Event::AllServersFailed { attempts, last_reason: reason });
        }
        if self.closing && self.identity.session.is_none() {
            self.end(State::Closed, &Failure::Closed, Event::Closed { confirmed: false });
            return;
        }
        let delay = self.ensemble.backoff(self.identity.timeout / 3);
        if delay.is_zero() {
            self.start_attempt();
        } else {
            self.timers.set(Timer::Backoff, self.now + delay);
        }
    }

    /// The session is over: `event` is the last thing that is told, after all outcomes and ends of watches.
    pub(crate) fn end(&mut self, state: State, failure: &Failure, event: Event) {
        self.state = state;
        self.timers.stop_all();
        self.identity.session = None;
        if let Some(connection) = self.connection.take() {
            let reason = DisconnectReason::SessionEnded;
            self.actions.push_back(Action::Disconnect { connection: connection.id, reason });
            let reached = connection.window.reached();
            for frame in connection.in_flight {
                if let Owner::Request(accepted) = frame.owner {
                    self.fail(accepted, failure.clone(), delivery(frame.start, reached));
                }
            }
        }
        for accepted in self.queue.take_all() {
            self.fail(accepted, failure.clone(), Delivery::NotSent);
        }
        for (request, path) in self.watches.end_all() {
            let path = self.chroot.client_path(&path);
            self.emit(Event::WatchEnded { request, path, reason: WatchEndReason::SessionEnded });
        }
        self.emit(event);
    }

    /// The session has expired. If it was being closed, that is what a server has confirmed thereby.
    pub(crate) fn expire(&mut self, by: ExpiredBy, reason: ExpiredReason) {
        if self.closing && by == ExpiredBy::Server {
            self.end(State::Closed, &Failure::Closed, Event::Closed { confirmed: true });
        } else {
            self.end(State::Expired, &Failure::SessionExpired, Event::Expired { by, reason });
        }
    }
}

/// What a ConnectResponse grants.
pub(crate) struct Accepting {
    pub(crate) session_id: SessionId,
    pub(crate) password: bytes::Bytes,
    pub(crate) timeout: Duration,
    pub(crate) read_only: bool,
}

/// Time.
impl Session {
    fn at(&mut self, now: Instant) {
        self.now = self.now.max(now);
    }

    /// What is true by the time alone, whatever the connection does.
    fn act_on_time(&mut self) {
        if self.timers.is_due(Timer::Deadline, self.now) {
            self.act_on_deadlines();
        }
        if self.timers.is_due(Timer::MayBeExpired, self.now) {
            self.timers.stop(Timer::MayBeExpired);
            self.emit(Event::MayBeExpired);
        }
        if self.timers.is_due(Timer::Expiry, self.now) {
            self.expire(ExpiredBy::Client, ExpiredReason::Silence);
        }
        if self.timers.is_due(Timer::Close, self.now) {
            self.end(State::Closed, &Failure::Closed, Event::Closed { confirmed: false });
        }
    }

    fn act_on_deadlines(&mut self) {
        while let Some(&(deadline, request)) = self.deadlines.first() {
            if deadline > self.now {
                self.timers.set(Timer::Deadline, deadline);
                return;
            }
            self.deadlines.pop_first();
            self.give_up(request, &Failure::Deadline);
        }
        self.timers.stop(Timer::Deadline);
    }

    fn act_on_connection_timers(&mut self) {
        if self.timers.is_due(Timer::Backoff, self.now) {
            self.start_attempt();
        } else if self.timers.is_due(Timer::Connect, self.now) {
            self.disconnect(DisconnectReason::ConnectTimeout);
        } else if self.timers.is_due(Timer::Read, self.now) {
            let is_connected = self.state.is_connected();
            self.disconnect(if is_connected {
                DisconnectReason::ReadTimeout
            } else {
                DisconnectReason::ConnectTimeout
            });
        } else if self.timers.is_due(Timer::Frame, self.now) {
            self.check_growth();
        } else if self.timers.is_due(Timer::Pong, self.now) {
            self.check_pong();
        }
        if self.timers.is_due(Timer::Ping, self.now) {
            self.ping();
        }
    }

    /// Nothing has been sent for a third of the session timeout. The timer runs again when the ping leaves.
    fn ping(&mut self) {
        self.timers.stop(Timer::Ping);
        if let Some(connection) = &mut self.connection {
            connection.shrink();
            connection.push_ping();
        }
        self.queue.shrink();
    }

    /// The oldest ping has waited for a whole session timeout. A frame that is half received excuses it: the
    /// answer comes behind.
    fn check_pong(&mut self) {
        let Some(connection) = &self.connection else { return };
        if connection.decoder.is_empty() {
            self.disconnect(DisconnectReason::PingTimeout);
        } else {
            self.timers.set(Timer::Pong, self.now + self.identity.timeout / 3);
        }
    }

    /// A frame has been under way for as long as silence would be borne.
    fn check_growth(&mut self) {
        let received = self.stats.bytes_received;
        let least = u64::from(self.config.min_frame_rate);
        let Some(growth) = self.connection.as_mut().and_then(|connection| connection.growth.as_mut()) else {
            self.timers.stop(Timer::Frame);
            return;
        };
        let elapsed = (self.now - growth.since).as_millis();
        if u128::from(received - growth.received) * 1000 < u128::from(least) * elapsed {
            self.disconnect(DisconnectReason::SlowFrame);
        } else {
            growth.since = self.now;
            growth.received = received;
            self.timers.set(Timer::Frame, self.now + self.read_timeout());
        }
    }

    /// A tick came so late that what the server has sent meanwhile may lie unread: its silence is excused
    /// once, for a third of the session timeout, in which a ping asks whether it is there.
    fn be_late(&mut self, by: Duration) {
        self.emit(Event::Late { by });
        let grace = self.now + self.identity.timeout / 3;
        let Some(connection) = &mut self.connection else { return };
        if core::mem::replace(&mut connection.excused, true) {
            return;
        }
        for timer in [Timer::Connect, Timer::Read, Timer::Pong, Timer::Frame] {
            if self.timers.is_due(timer, self.now) {
                self.timers.set(timer, grace);
            }
        }
        if let Some(growth) = &mut connection.growth {
            growth.since = self.now;
            growth.received = self.stats.bytes_received;
        }
        if self.state.is_connected() && !connection.close_sent {
            self.timers.set(Timer::Ping, self.now);
        }
    }

    /// The servers have heard of the session: a frame handed out at `sent_at` was answered.
    pub(crate) fn heard_of(&mut self, sent_at: Instant, anew: bool) {
        if sent_at <= self.identity.heard_of_at && !anew {
            return;
        }
        self.identity.heard_of_at = self.identity.heard_of_at.max(sent_at);
        let timeout = self.identity.timeout;
        let may_be_expired = self.identity.heard_of_at + timeout;
        if anew || may_be_expired > self.now || self.timers.get(Timer::MayBeExpired).is_some() {
            self.timers.set(Timer::MayBeExpired, may_be_expired);
        }
        if self.config.expiry == Expiry::Client {
            self.timers.set(Timer::Expiry, may_be_expired + timeout / 3);
        }
    }

    /// A third of the session timeout, or less if there are more than three servers: whatever the last one
    /// did, there is time to try another.
    fn attempt_timeout(&self) -> Duration {
        let parts = u32::try_from(self.ensemble.len()).unwrap_or(u32::MAX).max(3);
        (self.identity.timeout / parts).max(MIN_ATTEMPT_TIMEOUT)
    }

    pub(crate) fn read_timeout(&self) -> Duration {
        self.identity.timeout / 3 * 2
    }
}

/// Requests.
impl Session {
    fn admit(&self, request: &Request) -> Result<(), SubmitError> {
        match self.state {
            State::Expired => return Err(SubmitError::Expired),
            State::AuthFailed => return Err(SubmitError::AuthFailed),
            State::Closed => return Err(SubmitError::Closed),
            State::Connecting | State::Associating | State::Connected | State::ConnectedReadOnly => {}
        }
        if self.closing {
            return Err(SubmitError::Closed);
        }
        admission::check(request)?;
        if self.queue.len() >= self.config.max_queued_requests {
            let limit = self.config.max_queued_requests;
            return Err(SubmitError::QueueFull { limit_name: "max_queued_requests", limit });
        }
        let limit = self.config.max_watches;
        if admission::asks_for_watch(request) && self.watches.len() + self.watches_asked_for >= limit {
            return Err(SubmitError::TooManyWatches { limit });
        }
        Ok(())
    }

    fn admit_size(&self, request: &Request) -> Result<(), SubmitError> {
        let len = requests::payload_len(request);
        if len > self.config.max_request_len {
            return Err(SubmitError::TooLarge { len, limit: self.config.max_request_len });
        }
        if self.queue.bytes() + len > self.config.max_queued_bytes {
            let limit = self.config.max_queued_bytes;
            return Err(SubmitError::QueueFull { limit_name: "max_queued_bytes", limit });
        }
        Ok(())
    }

    fn accepted_mut(&mut self, id: RequestId) -> Option<&mut Accepted> {
        if let Some(accepted) = self.queue.get_mut(id) {
            return Some(accepted);
        }
        match self.connection.as_mut()?.find(id)? {
            Owner::Request(accepted) => Some(accepted),
            Owner::Abandoned | Owner::SetWatches(_) | Owner::CloseSession => None,
        }
    }

    /// Ends a request that nothing else has ended; a reply that still comes is swallowed.
    fn give_up(&mut self, id: RequestId, failure: &Failure) {
        if let Some(accepted) = self.queue.remove(id) {
            self.fail(accepted, failure.clone(), Delivery::NotSent);
            return;
        }
        let Some(owner) = self.connection.as_mut().and_then(|connection| connection.find(id)) else { return };
        if let Owner::Request(accepted) = core::mem::replace(owner, Owner::Abandoned) {
            self.fail(accepted, failure.clone(), Delivery::MaybeApplied);
        }
    }

    /// A connection that was accepted is lost: what was sent on it or waited behind ends with it, unless it
    /// may be sent again.
    fn fail_or_requeue(&mut self, connection: Connection) {
        let reached = connection.window.reached();
        let mut again = Queue::default();
        for frame in connection.in_flight {
            if let Owner::Request(accepted) = frame.owner {
                let delivery = delivery(frame.start, reached);
                self.fail_or_keep(accepted, delivery, &mut again);
            }
        }
        for accepted in self.queue.take_all() {
            self.fail_or_keep(accepted, Delivery::NotSent, &mut again);
        }
        self.queue = again;
    }

    fn fail_or_keep(&mut self, mut accepted: Accepted, delivery: Delivery, again: &mut Queue) {
        let is_safe = delivery == Delivery::NotSent || admission::only_reads(accepted.op);
        match accepted.retained.take() {
            Some(request) if is_safe && accepted.retry == Retry::WhenSafe => {
                again.push(accepted, *request, true)
            }
            retained => {
                accepted.retained = retained;
                self.fail(accepted, Failure::ConnectionLoss, delivery);
            }
        }
    }

    fn fail(&mut self, accepted: Accepted, failure: Failure, delivery: Delivery) {
        self.stats.failed += 1;
        self.outcome(&accepted, Zxid(0), Err(RequestError::Failed { failure, delivery }));
    }

    /// Tells a request's one outcome.
    pub(crate) fn outcome(
        &mut self,
        accepted: &Accepted,
        zxid: Zxid,
        result: Result<zk_proto::Response, RequestError>,
    ) {
        self.stats.ended += 1;
        self.watches_asked_for -= usize::from(accepted.asks_for_watch);
        if let Some(deadline) = accepted.deadline {
            self.deadlines.remove(&(deadline, accepted.id));
        }
        self.emit(Event::Reply(Reply { request: accepted.id, zxid, result }));
    }
}

/// Sending.
impl Session {
    fn next_send(&mut self) -> Option<Action> {
        let connection = self.connection.as_mut()?;
        let limits = SendLimits {
            max_send_len: self.config.max_send_len.max(MIN_SEND_LIMIT),
            max_in_flight: self.config.max_in_flight.max(1),
        };
        let pings = connection.pings.unanswered.len();
        let bytes = connection.next_chunk(&mut self.queue, limits, &mut self.xids, self.now)?;
        self.stats.bytes_sent += bytes.len() as u64;
        self.stats.pings += (connection.pings.unanswered.len() - pings) as u64;
        if self.state.is_connected() {
            if connection.close_sent {
                self.timers.stop(Timer::Ping);
            } else {
                self.timers.set(Timer::Ping, self.now + ping_interval(self.identity.timeout));
            }
            if let Some(&oldest) = connection.pings.unanswered.front() {
                self.timers.set(Timer::Pong, oldest + self.identity.timeout);
            }
        }
        Some(Action::Send { connection: connection.id, bytes })
    }

    fn is_current(&self, connection: ConnectionId) -> bool {
        self.connection.as_ref().is_some_and(|current| current.id == connection)
    }

    pub(crate) fn emit(&mut self, event: Event) {
        self.actions.push_back(Action::Emit(event));
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

/// Whether a frame that begins at `start` can have reached the server.
fn delivery(start: u64, reached: u64) -> Delivery {
    if start < reached { Delivery::MaybeApplied } else { Delivery::NotSent }
}

/// When to be heard again, as in `ClientCnxn.SendThread.run`: after a third of the session timeout, and after
/// 10 s at the latest.
fn ping_interval(timeout: Duration) -> Duration {
    (timeout / 3).min(MAX_PING_INTERVAL)
}

const MAX_PING_INTERVAL: Duration = Duration::from_secs(10);
/// A tick is late from this part of the session timeout on.
const LATE_PART: u32 = 10;
/// Room for a ConnectResponse.
const MIN_FRAME_LIMIT: usize = 64;
const MIN_SEND_LIMIT: usize = 64;
const MIN_ATTEMPT_TIMEOUT: Duration = Duration::from_millis(1);

const _: () = {
    const fn is_send_and_sync<T: Send + Sync>() {}
    is_send_and_sync::<Session>();
    is_send_and_sync::<Box<Action>>();
};
