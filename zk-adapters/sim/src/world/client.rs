//! A session in the world, with its driver and its books.

use core::hash::Hash as _;
use std::{collections::VecDeque, hash::DefaultHasher};

use zk_session::{Action, Config, Event, Instant, ProbeId, Session};

use crate::{
    books::Books,
    ensemble::PeerId,
    input::Input,
    world::network::{Link, Network},
};

/// A session of a world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(pub(super) usize);

impl ClientId {
    /// Counts from 0 on, in the order in which the sessions were opened.
    pub fn number(self) -> usize {
        self.0
    }
}

#[derive(Debug)]
pub(super) struct Client {
    pub(super) session: Session,
    pub(super) books: Books,
    pub(super) network: Network,
    pub(super) link: Option<Link>,
    /// Connections that the session has given up, and that don't know it yet.
    pub(super) ghosts: Vec<Link>,
    pub(super) probes: VecDeque<(Instant, ProbeId, bool)>,
    pub(super) events: VecDeque<Event>,
    /// What the session was told, if it is to be known.
    pub(super) inputs: Option<Vec<(Instant, Input)>>,
    pub(super) config: Config,
    /// A fingerprint of all that the session said, if it is to be known.
    pub(super) trace: Option<DefaultHasher>,
    /// What the session has said, and a defect holds back.
    #[cfg(feature = "planted")]
    held: VecDeque<Action>,
    pub(super) opened_at: Instant,
    /// Where its story is told as it happens.
    pub(super) story: Option<ClientId>,
    /// The next poll is for an event, if one comes next.
    asks_for_event: bool,
    /// The last bytes were handed over.
    hands_over: bool,
}

impl Client {
    pub(super) fn new(config: Config, now: Instant) -> Self {
        Self {
            session: Session::new(config.clone(), now),
            books: Books::new(config.clone(), now),
            network: Network::default(),
            link: None,
            ghosts: Vec::new(),
            probes: VecDeque::new(),
            events: VecDeque::new(),
            inputs: None,
            config,
            trace: None,
            #[cfg(feature = "planted")]
            held: VecDeque::new(),
            opened_at: now,
            story: None,
            asks_for_event: false,
            hands_over: false,
        }
    }

    /// The connection to the server that has this name for it.
    pub(super) fn link_of(&mut self, peer: PeerId) -> Option<&mut Link> {
        self.link.iter_mut().chain(&mut self.ghosts).find(|link| link.peer == Some(peer))
    }

    /// When something happens to it next, and what.
    pub(super) fn next(&self, now: Instant) -> Option<(Instant, Next)> {
        let mut next: Option<(Instant, Next)> = None;
        let mut offer = |due: Option<Instant>, what: Next| {
            if let Some(due) = due
                && next.is_none_or(|(earliest, _)| due < earliest)
            {
                next = Some((due, what));
            }
        };
        if let Some(link) = &self.link {
            offer(link.to_client.due(), Next::Hear);
            offer(link.dialled_at, Next::Dialled);
            offer((!link.outbox.is_empty() && self.network.window > 0).then_some(now), Next::Take);
            offer(link.to_server.due(), Next::Reach);
        }
        for (number, ghost) in self.ghosts.iter().enumerate() {
            offer(ghost.to_client.due(), Next::GhostHears(number));
            offer(ghost.to_server.due(), Next::GhostReaches(number));
        }
        offer(self.probes.front().map(|(due, ..)| *due), Next::Probed);
        offer(self.session.poll_timeout(), Next::Tick);
        next
    }

    /// Makes a call of the session, and keeps its actions for later.
    pub(super) fn input(&mut self, input: Input, now: Instant) -> super::Accepted {
        if let Some(id) = self.story {
            eprintln!("{now:?} {id:?} <- {input:?} [{:?}]", self.session.stats().watches);
        }
        self.books.before(&input, &self.session, now);
        let accepted = self.call(&input, now);
        self.books.after(&input, &accepted, &self.session, now);
        if let Some(inputs) = &mut self.inputs {
            inputs.push((now, input));
        }
        accepted
    }

    /// Bytes are lent and handed over in turn.
    fn call(&mut self, input: &Input, now: Instant) -> super::Accepted {
        if let Input::Received(connection, bytes) = input {
            self.hands_over = !self.hands_over;
            if self.hands_over {
                self.session.handle_received_owned(*connection, bytes.clone(), now);
                return Ok(None);
            }
        }
        input.apply(&mut self.session, now)
    }

    pub(super) fn poll(&mut self) -> Option<Action> {
        let action = self.next_action()?;
        if let Some(id) = self.story {
            eprintln!("    {id:?} -> {action:?}");
        }
        if let Some(trace) = &mut self.trace {
            format!("{action:?}").hash(trace);
            if let Action::Send { bytes, .. } = &action {
                bytes.hash(trace);
            }
        }
        self.books.action(&action, &self.session);
        Some(action)
    }

    /// Polls in both ways in turn.
    fn ask(&mut self) -> Option<Action> {
        self.asks_for_event = !self.asks_for_event;
        if !self.asks_for_event || !self.session.has_event() {
            return self.session.poll_action();
        }
        Some(Action::Emit(self.session.poll_event().expect("the event that comes next")))
    }
}

#[cfg(not(feature = "planted"))]
impl Client {
    fn next_action(&mut self) -> Option<Action> {
        self.ask()
    }
}

/// Defects that would blur the session's code are planted between it and its driver.
#[cfg(feature = "planted")]
impl Client {
    fn next_action(&mut self) -> Option<Action> {
        use zk_session::Planted;

        let newest = Planted::NewestActionFirst.is_on();
        if !newest && !Planted::RepliesOvertakeEvents.is_on() {
            return self.ask();
        }
        while let Some(action) = self.ask() {
            self.held.push_back(action);
        }
        if newest {
            return self.held.pop_back();
        }
        let is_reply = |action: &Action| matches!(action, Action::Emit(Event::Reply(_)));
        let first = self.held.iter().position(is_reply).unwrap_or(0);
        self.held.remove(first)
    }
}

/// What can happen to a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    Dialled,
    Take,
    Reach,
    Hear,
    GhostHears(usize),
    GhostReaches(usize),
    Probed,
    Tick,
}
