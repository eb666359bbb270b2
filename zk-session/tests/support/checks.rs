//! What must hold after every step, whatever a test does. The numbers are those of the project's invariants.

use std::collections::{BTreeMap, BTreeSet};

use zk_session::{Action, Config, Event, Instant, RequestId, Session, State, zk_proto::Zxid};

/// The application's own books.
pub struct Books {
    pending: BTreeSet<RequestId>,
    ended: u64,
    accepted: u64,
    /// Watches that have ended or fired for the last time.
    gone: BTreeSet<RequestId>,
    /// What was told of the session last.
    told: Told,
    last_zxid: Zxid,
    attempts: BTreeMap<u64, bool>,
    max_in_flight: usize,
    max_queued: usize,
    max_watches: usize,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Told {
    Nothing,
    Connected,
    Ready,
    Disconnected,
    End,
}

impl Books {
    pub fn new(config: &Config) -> Self {
        Self {
            pending: BTreeSet::new(),
            ended: 0,
            accepted: 0,
            gone: BTreeSet::new(),
            told: Told::Nothing,
            last_zxid: Zxid(0),
            attempts: BTreeMap::new(),
            max_in_flight: config.max_in_flight.max(1),
            max_queued: config.max_queued_requests + config.max_in_flight,
            max_watches: config.max_watches,
        }
    }

    pub fn accepted(&mut self, id: RequestId) {
        self.accepted += 1;
        assert!(self.pending.insert(id), "an id twice");
    }

    pub fn action(&mut self, action: &Action, session: &Session) {
        // INV-31: after the end nothing comes out.
        assert_ne!(self.told, Told::End, "{action:?} after the end");
        match action {
            Action::Connect { connection, .. } => {
                // INV-61: one connection at a time, ids never twice.
                assert!(self.attempts.last_key_value().is_none_or(|(last, _)| *last < connection.get()));
                self.attempts.insert(connection.get(), false);
            }
            Action::Send { connection, .. } => {
                let first =
                    !core::mem::replace(self.attempts.get_mut(&connection.get()).expect("known"), true);
                // INV-18: not a byte more than the ConnectRequest before its answer.
                assert!(first || self.told != Told::Disconnected && self.told != Told::Nothing);
            }
            Action::Disconnect { .. } | Action::Probe { .. } => {}
            Action::Emit(event) => self.event(event, session),
        }
    }

    fn event(&mut self, event: &Event, session: &Session) {
        match event {
            Event::Reply(reply) => {
                // INV-01: one outcome each.
                assert!(self.pending.remove(&reply.request), "a second outcome: {reply:?}");
                self.ended += 1;
                // INV-48: what was told isn't ahead of what will be asked for.
                assert!(reply.zxid <= session.last_zxid(), "{reply:?}");
            }
            Event::Watch(watch) => {
                // INV-36: once means once.
                assert!(!self.gone.contains(&watch.request), "after its end: {watch:?}");
                if watch.last {
                    self.gone.insert(watch.request);
                }
            }
            Event::WatchEnded { request, .. } => {
                assert!(self.gone.insert(*request), "ended twice: {event:?}");
            }
            Event::Connected { .. } => self.tell(&[Told::Nothing, Told::Disconnected], Told::Connected),
            Event::Ready => self.tell(&[Told::Connected], Told::Ready),
            Event::Disconnected { .. } => self.tell(&[Told::Connected, Told::Ready], Told::Disconnected),
            Event::Expired { .. } | Event::Closed { .. } | Event::AuthFailed { .. } => {
                // INV-32: all outcomes come before the end.
                assert!(self.pending.is_empty(), "at the end without outcome: {:?}", self.pending);
                assert!(session.state().is_terminal());
                self.told = Told::End;
            }
            _ => {}
        }
    }

    /// INV-27: only the documented order of states.
    fn tell(&mut self, from: &[Told], to: Told) {
        assert!(from.contains(&self.told), "{to:?} after {:?}", self.told);
        self.told = to;
    }

    pub fn step(&mut self, session: &Session, now: Instant) {
        let stats = session.stats();
        // INV-02: conservation, by the session's books and by ours.
        assert_eq!(stats.accepted, stats.ended + (stats.queued + stats.in_flight) as u64, "{stats:?}");
        assert_eq!((stats.accepted, stats.ended), (self.accepted, self.ended), "{stats:?}");
        assert_eq!(self.pending.len(), stats.queued + stats.in_flight);
        // INV-48: the zxid never falls.
        assert!(session.last_zxid() >= self.last_zxid);
        self.last_zxid = session.last_zxid();
        // INV-72: limits hold.
        assert!(stats.in_flight <= self.max_in_flight, "{stats:?}");
        assert!(stats.queued <= self.max_queued, "{stats:?}");
        assert!(stats.watches <= self.max_watches, "{stats:?}");
        // INV-31 and INV-49: a timer as long as the session lives, none after, nor at the end of time.
        let is_over = session.state().is_terminal();
        assert!(session.poll_timeout().is_none() || !is_over, "{session:?}");
        assert!(session.poll_timeout().is_some() || is_over || now == Instant::MAX, "{session:?}");
        assert_eq!(session.state().is_terminal(), self.told == Told::End);
        assert_eq!(session.is_ready(), self.told == Told::Ready, "{session:?}");
        assert!(session.next_timer().is_none_or(|(_, due)| due > Instant::ZERO || now == Instant::ZERO));
        assert_eq!(session.state() == State::Connected || session.state() == State::ConnectedReadOnly, {
            matches!(self.told, Told::Connected | Told::Ready)
        });
    }
}
