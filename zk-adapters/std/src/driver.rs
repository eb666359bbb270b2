use core::{fmt, time::Duration};
use std::{collections::VecDeque, net::TcpStream, time::Instant};

use zk_client::{Machine, Recording};
use zk_session::{Action, Config, ConnectionId, Epoch, Event, Session};

use crate::{
    dial::dial,
    news::{News, NewsDesk},
    probe,
    pumped::PumpedLink,
    transport::Security,
};

/// A session that is pumped by a loop of the application's own, over a non-blocking socket.
///
/// The loop calls [`pump`](Self::pump) and takes the events with [`poll_event`](Self::poll_event); then it sleeps
/// until the [`socket`](Self::socket) is readable (or writable, while [`wants_to_write`](Self::wants_to_write)),
/// or [`timeout`](Self::timeout) has passed, or the driver's `wake` was called. What is [submitted](Self::submit) leaves
/// at the next `pump`. No thread but the loop's touches the session: resolving names, dialling and probing are done by
/// short-lived threads, which call `wake` when they have an outcome.
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
    epoch: Epoch,
    link: Option<PumpedLink>,
    security: Security,
    events: VecDeque<Event>,
    desk: NewsDesk,
    buffer: Vec<u8>,
    /// The last pump left off with more to do.
    has_more: bool,
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
            security: Security::default(),
            events: VecDeque::new(),
            desk: NewsDesk::new(wake),
            buffer: vec![0; BUFFER],
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

    /// The session, to look at.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// The moment, as the session tells it: deadlines are counted from it.
    pub fn now(&self) -> zk_session::Instant {
        self.epoch.instant(Instant::now())
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

    /// What has happened, each thing once and in order.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Moves what can be moved without waiting, and acts upon time.
    pub fn pump(&mut self) {
        let now = self.now();
        while let Some(news) = self.desk.next() {
            self.take_up(news, now);
        }
        self.has_more = true;
        for _ in 0..ROUNDS {
            self.act();
            if !self.transfer(now) {
                // What lies unread was fed before the tick.
                self.session.handle_timeout(now);
                self.act();
                self.has_more = self.transfer(now);
                return;
            }
        }
    }

    fn take_up(&mut self, news: News, now: zk_session::Instant) {
        match news {
            News::Probed(probe, read_write) => self.session.handle_probed(probe, read_write, now),
            News::Dialled(connection, transport) => {
                let Some(link) = self.link.as_mut().filter(|link| link.connection == connection) else {
                    return;
                };
                if link.open(transport) {
                    self.session.handle_connected(connection, now);
                } else {
                    self.link = None;
                    self.session.handle_disconnected(connection, now);
                }
            }
        }
    }

    fn act(&mut self) {
        while let Some(action) = self.session.poll_action() {
            match action {
                Action::Emit(event) => self.events.push_back(event),
                Action::Send { connection, bytes } => {
                    if let Some(link) = self.link.as_mut().filter(|link| link.connection == connection) {
                        link.send(bytes);
                    }
                }
                Action::Connect { connection, server } => {
                    self.link = Some(PumpedLink::new(connection));
                    let limit = self.session.negotiated_timeout();
                    let security = self.security.clone();
                    let open = move || security.secure(&server, dial(&server, limit)?.0, limit);
                    self.desk.send_for(move || News::Dialled(connection, open().ok()));
                }
                Action::Probe { probe, server } => {
                    let security = self.security.clone();
                    let ask = move || probe::ask(&server, &security).unwrap_or_default();
                    self.desk.send_for(move || News::Probed(probe, ask()));
                }
                Action::Disconnect { connection, .. } => {
                    self.link.take_if(|link| link.connection == connection);
                }
            }
        }
    }

    /// Writes and reads once each; tells whether anything moved.
    fn transfer(&mut self, now: zk_session::Instant) -> bool {
        let Some(link) = &mut self.link else { return false };
        let (connection, written) = (link.connection, link.write());
        if let Ok(sent) = written {
            self.session.handle_sent(connection, sent, now);
        }
        match link.read(&mut self.buffer) {
            Ok(0) if written.is_ok() => written.is_ok_and(|sent| sent > 0),
            Ok(received) if received > 0 => {
                self.session.handle_received(connection, &self.buffer[..received], now);
                true
            }
            Ok(_) | Err(_) => {
                // Nothing more of the outstanding chunk can leave.
                self.session.handle_sent(connection, 0, now);
                self.session.handle_disconnected(connection, now);
                self.link = None;
                true
            }
        }
    }
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver").field("session", &self.session).finish_non_exhaustive()
    }
}

const BUFFER: usize = 64 << 10;
/// So often a pump moves bytes before it lets the loop see to other things.
const ROUNDS: usize = 16;
