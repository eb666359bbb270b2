use core::time::Duration;
use std::{collections::VecDeque, net::TcpStream, time::Instant};

use zk_client::{Attempts, DialError, Machine, NO_LATER, Recording};
use zk_session::{Action, Config, ConnectionId, Epoch, Event};

use crate::{
    dial::dial,
    news::{News, NewsDesk},
    probe,
    pumped::{Moved, PumpedLink, transfer},
    transport::Security,
};

/// A session that is pumped by a loop of the application's own, over a non-blocking socket; or that
/// [waits](Self::wait) itself, if the loop has nothing else to wait for.
///
/// The loop calls [`pump`](Self::pump) and takes the events with [`poll_event`](Self::poll_event); then it sleeps
/// until the [`socket`](Self::socket) is readable (or writable, while [`wants_to_write`](Self::wants_to_write)),
/// or [`timeout`](Self::timeout) has passed, or the driver's `wake` was called. What is [submitted](Self::submit) leaves
/// at the next `pump`, for which there is no time to sleep. No thread but the loop's touches the session: resolving names,
/// dialling and probing are done by short-lived threads, which call `wake` when they have an outcome.
///
/// ```no_run
/// use zk_std::{Config, Driver, zk_session::{Event, RequestOptions}};
/// use zk_std::zk_proto::{GetDataRequest, Request};
///
/// let loop_thread = std::thread::current();
/// let config = Config::new("zk1:2181,zk2:2181".parse().expect("a connect string"));
/// let mut driver = Driver::new(config, move || loop_thread.unpark());
/// let get = GetDataRequest { path: "/greeting".into(), watch: false };
/// driver.submit(Request::GetData(get), RequestOptions::default()).expect("a valid request");
/// while !driver.session().state().is_terminal() {
///     driver.pump();
///     while let Some(event) = driver.poll_event() {
///         println!("{event:?}");
///     }
///     // A real loop waits for the socket, too.
///     std::thread::park_timeout(driver.timeout().unwrap_or_default().min(std::time::Duration::from_millis(10)));
/// }
/// ```
pub struct Driver {
    pub(crate) session: Machine,
    pub(crate) epoch: Epoch,
    pub(crate) link: Option<PumpedLink>,
    pub(crate) attempts: Attempts,
    security: Security,
    pub(crate) events: VecDeque<Event>,
    pub(crate) desk: NewsDesk,
    /// The next pump has something to do.
    pub(crate) has_more: bool,
}

impl Driver {
    /// A driver of a new session. `wake` has the loop call [`pump`](Self::pump) soon; it is called on other threads.
    pub fn new(config: Config, wake: impl Fn() + Send + Sync + 'static) -> Self {
        Self::of(Recording::default().open(config, zk_session::Instant::ZERO), wake)
    }

    pub(crate) fn of(session: Machine, wake: impl Fn() + Send + Sync + 'static) -> Self {
        Self {
            session,
            epoch: Epoch::new(Instant::now()),
            link: None,
            attempts: Attempts::default(),
            security: Security::default(),
            events: VecDeque::new(),
            desk: NewsDesk::new(wake),
            has_more: true,
        }
    }

    /// Speaks TLS with the servers from the next connection on.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, tls: crate::Tls) -> Self {
        self.security.tls = Some(tls);
        self
    }

    /// The socket to wait for, while there is one. A name that changes tells a new one.
    pub fn socket(&self) -> Option<(ConnectionId, &TcpStream)> {
        let link = self.link.as_ref()?;
        Some((link.connection, link.socket()?))
    }

    /// Whether the socket didn't take all there is to write.
    pub fn wants_to_write(&self) -> bool {
        self.link.as_ref().is_some_and(PumpedLink::has_to_write)
    }

    /// How long the loop may sleep; none if only the socket or `wake` matters.
    pub fn timeout(&self) -> Option<Duration> {
        let due = self.session.poll_timeout().map(|due| due - self.now());
        if self.has_more { Some(Duration::ZERO) } else { due }
    }

    /// What has happened, each thing once and in order. What isn't taken before the next [`pump`](Self::pump) is kept,
    /// however much it is. Connections are begun and given up here too, in the order in which the session says so.
    #[inline]
    pub fn poll_event(&mut self) -> Option<Event> {
        if self.events.is_empty() && (self.session.has_event() || !self.find_event()) {
            self.session.poll_event()
        } else {
            self.events.pop_front()
        }
    }

    /// Does what the session says until there is an event, if any comes; tells whether it is one to be taken from here.
    fn find_event(&mut self) -> bool {
        while self.events.is_empty() && !self.session.has_event() {
            let Some(action) = self.session.poll_action() else { break };
            self.carry_out(action);
        }
        !self.events.is_empty()
    }

    /// Moves what can be moved without waiting, and acts upon time. What has come is told before more is read.
    pub fn pump(&mut self) {
        let now = self.now();
        self.catch_up(now);
        let is_due = self.is_due(now);
        let mut reads = true;
        for _ in 0..ROUNDS {
            self.act_on_all();
            let moved = self.transfer(reads, now);
            self.has_more = moved != Moved::Nothing;
            match moved {
                // What lies unread is fed before a tick; without one, it is told where it lies.
                Moved::Read if !is_due => return,
                // Where nothing had come, only the next pump looks again.
                Moved::Read | Moved::Written => reads = moved == Moved::Read,
                Moved::Nothing => break,
            }
        }
        self.session.handle_timeout(now);
        self.act_on_all();
        self.has_more |= self.wants_to_write() && self.transfer(true, now) != Moved::Nothing;
        if is_due {
            self.link.iter_mut().for_each(PumpedLink::give_back);
        }
    }

    /// Whether something is to be done by the time alone.
    pub(crate) fn is_due(&self, now: zk_session::Instant) -> bool {
        self.session.poll_timeout().is_some_and(|due| due <= now)
    }

    /// Brings the time, and what other threads have found out.
    pub(crate) fn catch_up(&mut self, now: zk_session::Instant) {
        while let Some(news) = self.desk.next() {
            self.take_up(news, now);
        }
        if let Some(link) = &self.link {
            // Nothing but the time, for what is handed out before anything is reported.
            self.session.handle_sent(link.connection, 0, now);
        }
    }

    pub(crate) fn take_up(&mut self, news: News, now: zk_session::Instant) {
        match news {
            News::Probed(probe, read_write) => self.session.handle_probed(probe, read_write, now),
            News::Dialled(connection, outcome) => {
                let Some(link) = self.link.as_mut().filter(|link| link.connection == connection) else {
                    return;
                };
                let open =
                    |(transport, address)| link.open(transport).map(|()| address).map_err(DialError::Lost);
                match outcome.and_then(open) {
                    Ok(address) => {
                        self.attempts.opened(address);
                        self.session.handle_connected(connection, now);
                    }
                    Err(error) => {
                        self.link = None;
                        self.attempts.dial_failed(error);
                        self.session.handle_disconnected(connection, now);
                    }
                }
            }
        }
    }

    /// Does what the session says, whether or not anybody asks for the events.
    pub(crate) fn act_on_all(&mut self) {
        while let Some(action) = self.session.poll_action() {
            self.carry_out(action);
        }
    }

    fn carry_out(&mut self, action: Action) {
        self.has_more |= !matches!(action, Action::Emit(_));
        match action {
            Action::Emit(event) => {
                self.attempts.take_note(&event);
                self.events.push_back(event);
            }
            Action::Send { connection, bytes } => {
                if let Some(link) = self.link.as_mut().filter(|link| link.connection == connection) {
                    link.send(bytes);
                    // It is known that nothing of it has left, until the next pump.
                    self.session.handle_sent(connection, 0, NO_LATER);
                }
            }
            Action::Connect { connection, server } => {
                self.link = Some(PumpedLink::new(connection));
                let limit = self.session.negotiated_timeout();
                let security = self.security.clone();
                self.attempts.begin(server.clone());
                let open = move || {
                    let (stream, address) = dial(&server, limit)?;
                    Ok((security.secure(&server, stream, limit)?, address))
                };
                self.desk.send_for(move || News::Dialled(connection, open()));
            }
            Action::Probe { probe, server } => {
                let security = self.security.clone();
                let ask = move || probe::ask(&server, &security).unwrap_or_default();
                self.desk.send_for(move || News::Probed(probe, ask()));
            }
            Action::Disconnect { connection, reason } => {
                self.attempts.dropped(reason);
                self.link.take_if(|link| link.connection == connection);
            }
        }
    }

    /// Writes once, and reads once if that is asked for.
    fn transfer(&mut self, reads: bool, now: zk_session::Instant) -> Moved {
        transfer(&mut self.link, &mut self.session, &mut self.attempts, reads, now)
    }
}

/// So often a pump moves bytes before it lets the loop see to other things.
const ROUNDS: usize = 16;
