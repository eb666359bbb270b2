//! A session of a client's in the ledger: made, followed, and ended.

use core::time::Duration;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use tokio::runtime::Handle;
use zk_client::{SessionEnd, SessionEvent};
use zk_session::{
    Config,
    zk_proto::{ConnectString, SessionId},
};

use crate::client::{Client, Events, HANG, Kind};
use crate::ledger::{End, Ledger, Moment, Ready, Session, Span};

/// What every client needs.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) runtime: Handle,
    /// The relays before the servers, in the servers' order.
    pub(crate) servers: ConnectString,
    pub(crate) seed: u64,
}

/// A session, and a thread that writes down what happens to it.
pub(crate) struct Connection {
    pub(crate) client: Client,
    pub(crate) session: SessionId,
    ledger: Arc<Ledger>,
    follower: JoinHandle<()>,
}

impl Connection {
    /// None if there is no session within the connect limit: that is told, and no fault of the client's.
    pub(crate) fn open(place: &Place, client: usize, kind: Kind, timeout: Duration) -> Option<Self> {
        let mut config = Config::new(place.servers.clone());
        config.session_timeout = timeout;
        if client.is_multiple_of(2) {
            // What is behind these is known not to be sent when the connection is lost.
            config.max_in_flight = 4;
        }
        config.seed = place.seed.wrapping_add(client as u64);
        let begun = Moment::now();
        let (connected, events) = match Client::connect(kind, &place.runtime, config) {
            Ok(connected) => connected,
            Err(error) => {
                place.ledger.tell(format!("client {client} found no session: {error}"));
                return None;
            }
        };
        let Some(session) = connected.session() else {
            place.ledger.tell(format!("client {client} lost its session at once"));
            return None;
        };
        let entry = Session::new(client, session, connected.negotiated_timeout(), begun);
        place.ledger.write(|books| books.sessions.insert(session, entry));
        let follower = Follower {
            ledger: Arc::clone(&place.ledger),
            servers: place.servers.clone(),
            client,
            session,
            server: 0,
            since: None,
        };
        let follower = thread::spawn(move || follower.follow(events));
        Some(Self { client: connected, session, ledger: Arc::clone(&place.ledger), follower })
    }

    /// Whether its end was told.
    pub(crate) fn is_over(&self) -> bool {
        self.follower.is_finished()
    }

    /// Closes it, unless its end was told, and waits until that is written down.
    pub(crate) fn close(self) {
        let now = Moment::now();
        if !self.is_over() {
            self.entry(|session| session.closing = Some(now));
            if !self.await_end(now) {
                return;
            }
        }
        let connections = self.client.stats().connections;
        self.entry(|session| session.connections = connections);
        drop(self.client);
        if self.follower.join().is_err() {
            self.ledger.violated("no client panics", format!("session {}", self.session));
        }
    }

    /// Whether it ends at all.
    fn await_end(&self, begun: Moment) -> bool {
        let end = self.client.close();
        let took = Moment::now().since(begun);
        if end.is_none() || took > CLOSE_LIMIT {
            let what = format!("to close session {} took {took:?}", self.session);
            self.ledger.violated("every call has an outcome", what);
        }
        if end == Some(SessionEnd::DriverGone) {
            self.ledger.violated("no driver dies", format!("session {}", self.session));
        }
        end.is_some()
    }

    fn entry(&self, change: impl FnOnce(&mut Session)) {
        self.ledger.write(|books| books.sessions.get_mut(&self.session).map(change));
    }
}

/// Writes down what happens to a session.
struct Follower {
    ledger: Arc<Ledger>,
    servers: ConnectString,
    client: usize,
    session: SessionId,
    /// The one that it is connected to.
    server: usize,
    /// Since when its requests flow.
    since: Option<Moment>,
}

impl Follower {
    fn follow(mut self, events: Events) {
        for event in events {
            let (now, client, session) = (Moment::now(), self.client, self.session);
            self.ledger.tell(format!("client {client}, session {session}: {event:?}"));
            self.note(now, event);
        }
        self.pause(Moment::now());
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "the story has them all")]
    fn note(&mut self, now: Moment, event: SessionEvent) {
        match event {
            SessionEvent::Connected { server, .. } => {
                self.server = self.servers.servers.iter().position(|known| *known == server).unwrap_or(0);
            }
            SessionEvent::Ready => self.since = Some(now),
            SessionEvent::Disconnected { .. } => self.pause(now),
            SessionEvent::Late { by } => {
                let span = Span { from: now.minus(by), to: now };
                self.entry(|session| session.late.push(span));
            }
            SessionEvent::MayBeExpired => self.entry(|session| session.may_be_expired += 1),
            SessionEvent::Expired { .. } => self.end(now, End::Expired),
            SessionEvent::Closed { confirmed } => self.end(now, End::Closed { confirmed }),
            SessionEvent::AuthFailed { .. } | SessionEvent::DriverGone => self.end(now, End::Other),
            _ => {}
        }
    }

    /// Requests flow no longer.
    fn pause(&mut self, now: Moment) {
        let Some(from) = self.since.take() else { return };
        let ready = Ready { span: Span { from, to: now }, server: self.server };
        self.entry(|session| session.ready.push(ready));
    }

    fn end(&mut self, now: Moment, end: End) {
        self.pause(now);
        self.entry(|session| session.end = Some((now, end)));
    }

    fn entry(&self, change: impl FnOnce(&mut Session)) {
        self.ledger.write(|books| books.sessions.get_mut(&self.session).map(change));
    }
}

/// A close takes no longer than `Config::close_timeout`, but on a busy machine.
const CLOSE_LIMIT: Duration = Duration::from_secs(10);
/// How long a session that isn't over may take to serve again when there are no faults any more.
pub(crate) const RECOVERY: Duration = HANG;
