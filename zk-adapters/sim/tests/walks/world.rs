//! A session with its driver and its server, in virtual time.

use core::time::Duration;

use zk_session::{
    Action, Config, ConnectionId, Instant, ProbeId, RequestId, Session, State, SubmitError, zk_proto::Bytes,
};

use zk_sim::{Books, Input};

use crate::server::Server;

/// How the transport treats what the session sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    /// Takes each chunk whole and at once.
    Flows,
    /// Takes nothing: its buffer is full.
    Stalls,
}

/// One step of a driver.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Call(Instant, Input),
    /// A call of `poll_action`, whether or not there was one.
    Poll,
}

/// The transport of the last `Connect`.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    pub(crate) connection: ConnectionId,
    pub(crate) is_up: bool,
    /// Handed out, and not taken yet.
    pub(crate) outbox: Bytes,
}

/// A session, all that it does, and all that is done to it.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) session: Session,
    pub(crate) now: Instant,
    pub(crate) server: Server,
    pub(crate) transport: Transport,
    pub(crate) link: Option<Link>,
    /// The last probe that was asked for.
    pub(crate) probe: Option<ProbeId>,
    /// All actions so far.
    pub(crate) trace: Vec<Action>,
    /// All calls so far.
    pub(crate) log: Vec<Step>,
    /// What the server says arrives in pieces of at most so many bytes.
    pub(crate) piece: usize,
    checks: Books,
}

impl World {
    /// When each session is made.
    pub(crate) const BEGIN: Instant = Instant::from_millis(1_000_000);

    /// A session that dials its first server.
    pub(crate) fn new(config: Config) -> Self {
        let now = Self::BEGIN;
        let time_out = i32::try_from(config.session_timeout.as_millis()).unwrap_or(i32::MAX);
        let mut world = Self {
            session: Session::new(config.clone(), now),
            now,
            server: Server::new(time_out),
            transport: Transport::Flows,
            link: None,
            probe: None,
            trace: Vec::new(),
            log: Vec::new(),
            piece: usize::MAX,
            checks: Books::new(config, now),
        };
        world.settle();
        world
    }
}

/// What the transport and the server do.
impl World {
    /// The transport comes up, and the server hears the ConnectRequest.
    pub(crate) fn connect(&mut self) {
        let connection = self.connection();
        self.server.begin_connection();
        self.do_input(Input::Connected(connection));
    }

    pub(crate) fn accept_session(&mut self) {
        self.server.accept();
        self.settle();
    }

    /// The server answers the oldest request as if all were well.
    pub(crate) fn answer(&mut self) {
        self.server.answer();
        self.settle();
    }

    /// The connection is cut: refused, reset, end of stream.
    pub(crate) fn cut(&mut self) {
        let connection = self.connection();
        self.link = None;
        self.server.begin_connection();
        self.do_input(Input::Disconnected(connection));
    }

    /// A stalled transport takes so many bytes of what is outstanding.
    pub(crate) fn take(&mut self, count: usize) {
        let link = self.link.as_mut().expect("a connection");
        let bytes = link.outbox.split_to(count);
        let connection = link.connection;
        self.server.hear(&bytes);
        self.do_input(Input::Sent(connection, count));
    }
}

/// Time.
impl World {
    /// The next timer comes, on time.
    pub(crate) fn tick(&mut self) {
        let due = self.session.poll_timeout().expect("a timer is set");
        self.now = self.now.max(due);
        self.do_input(Input::Timeout);
    }

    /// Time passes, each tick on time. A session that spins fails here.
    pub(crate) fn advance(&mut self, duration: Duration) {
        let end = self.now + duration;
        let timeout = self.session.negotiated_timeout().as_millis().clamp(1, 10_000);
        let most = 100 + 20 * (duration.as_millis() / timeout);
        let mut ticks = 0;
        while self.session.poll_timeout().is_some_and(|due| due <= end) {
            self.tick();
            ticks += 1;
            assert!(ticks <= most, "more than {most} wake-ups in {duration:?}");
        }
        self.now = end;
    }

    /// Time passes, and nobody tells the session.
    pub(crate) fn oversleep(&mut self, duration: Duration) {
        self.now = self.now + duration;
    }
}

/// What is seen.
impl World {
    pub(crate) fn state(&self) -> State {
        self.session.state()
    }

    /// The connection of the link.
    pub(crate) fn connection(&self) -> ConnectionId {
        self.link.as_ref().expect("a connection").connection
    }
}

/// The driver.
impl World {
    pub(crate) fn do_input(&mut self, input: Input) {
        self.input(input).expect("nothing that can be refused");
    }

    /// Makes a call, does what follows from it, and checks all that must hold.
    pub(crate) fn input(&mut self, input: Input) -> Result<Option<RequestId>, SubmitError> {
        let accepted = self.input_undrained(input);
        self.settle();
        accepted
    }

    /// Makes a call and leaves the actions where they are.
    pub(crate) fn input_undrained(&mut self, input: Input) -> Result<Option<RequestId>, SubmitError> {
        self.log.push(Step::Call(self.now, input.clone()));
        self.checks.before(&input, &self.session, self.now);
        let accepted = input.apply(&mut self.session, self.now);
        self.checks.after(&input, &accepted, &self.session, self.now);
        accepted
    }

    /// Does what the session says, and lets the server speak, until nothing more happens.
    pub(crate) fn settle(&mut self) {
        for _ in 0..100_000 {
            self.drain();
            let Some(input) = self.reaction() else { return };
            self.input_undrained(input).expect("inputs can't fail");
        }
        panic!("the world never comes to rest");
    }

    /// Does what the session says.
    pub(crate) fn drain(&mut self) {
        while self.drain_one() {}
        self.checks.drained(&mut self.session);
    }

    /// Does one thing that the session says, if there is any.
    pub(crate) fn drain_one(&mut self) -> bool {
        self.log.push(Step::Poll);
        let Some(action) = self.session.poll_action() else { return false };
        self.checks.action(&action, &self.session);
        self.obey(&action);
        self.trace.push(action);
        true
    }

    fn obey(&mut self, action: &Action) {
        match action {
            Action::Connect { connection, .. } => {
                self.link = Some(Link { connection: *connection, is_up: false, outbox: Bytes::new() });
                self.server.begin_connection();
            }
            Action::Send { bytes, .. } => {
                let link = self.link.as_mut().expect("a Send has a connection");
                link.is_up = true;
                link.outbox = bytes.clone();
            }
            Action::Disconnect { .. } => {
                self.link = None;
                self.server.begin_connection();
            }
            Action::Probe { probe, .. } => self.probe = Some(*probe),
            Action::Emit(_) => {}
        }
    }

    /// What the transport and the server do of their own accord.
    fn reaction(&mut self) -> Option<Input> {
        let link = self.link.as_mut()?;
        if self.transport == Transport::Flows && !link.outbox.is_empty() {
            let bytes = core::mem::take(&mut link.outbox);
            self.server.hear(&bytes);
            return Some(Input::Sent(link.connection, bytes.len()));
        }
        if self.server.out.is_empty() {
            return None;
        }
        let len = self.server.out.len().min(self.piece);
        Some(Input::Received(link.connection, self.server.out.split_to(len).freeze()))
    }
}
