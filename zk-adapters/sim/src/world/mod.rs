//! Sessions, an ensemble and the network between them, in virtual time and one thread.

mod client;
mod network;

use core::net::{IpAddr, Ipv4Addr};
use core::{hash::Hasher as _, time::Duration};
use std::{collections::BTreeMap, hash::DefaultHasher};

use zk_session::{
    Action, Config, ConnectionId, Event, Instant, RequestId, RequestOptions, Session, SubmitError,
    zk_proto::{ConnectString, Request, ServerAddr},
};

use crate::{
    books::Books,
    drive::transcript,
    ensemble::{Options, Output, PeerId, SimEnsemble},
    input::Input,
};

use client::{Client, Next};
use network::{Link, Piece};

pub use client::ClientId;
pub use network::{Dialling, Flow, Network};

/// What a call of a session gives: the id of what was accepted, or why nothing was.
pub(crate) type Accepted = Result<Option<RequestId>, SubmitError>;

/// Sessions, an ensemble and the network between them.
///
/// After each call of a session, books kept beside it are compared with it: a world panics where a session breaks a promise.
#[derive(Debug)]
pub struct World {
    now: Instant,
    ensemble: SimEnsemble,
    clients: Vec<Client>,
    peers: BTreeMap<PeerId, usize>,
    /// Whose session was last told something, or asked.
    speaking: Option<ClientId>,
    is_recording: bool,
    is_telling: bool,
    is_tracing: bool,
}

/// What a world is made of.
impl World {
    /// A world with an ensemble that has elected its leader, and no session yet.
    pub fn new(options: Options) -> Self {
        let now = BEGIN;
        let ensemble = SimEnsemble::new(options, now);
        Self {
            now,
            ensemble,
            clients: Vec::new(),
            peers: BTreeMap::new(),
            speaking: None,
            is_recording: false,
            is_telling: false,
            is_tracing: false,
        }
    }

    /// The usual configuration of a session, with all servers of the ensemble in its connection string.
    pub fn config(&self) -> Config {
        Config::new(self.servers(0..self.ensemble.options().servers))
    }

    /// A connection string of these servers, which are called `s0`, `s1` and so on.
    ///
    /// # Panics
    /// If there are none.
    pub fn servers(&self, numbers: impl IntoIterator<Item = usize>) -> ConnectString {
        let names: Vec<_> = numbers.into_iter().map(|number| format!("s{number}:2181")).collect();
        names.join(",").parse().expect("names and ports")
    }

    /// Opens a session.
    pub fn open(&mut self, config: Config) -> ClientId {
        let mut client = Client::new(config, self.now);
        client.inputs = self.is_recording.then(Vec::new);
        client.trace = self.is_tracing.then(DefaultHasher::new);
        client.story = self.is_telling.then_some(ClientId(self.clients.len()));
        self.clients.push(client);
        let id = ClientId(self.clients.len() - 1);
        self.drain(id);
        id
    }

    /// From now on, what each session that is opened is told is kept, see [`World::inputs`].
    pub fn record(&mut self) {
        self.is_recording = true;
    }

    /// From now on, all that sessions are told and say is printed to standard error as it happens, for sessions opened
    /// from now on.
    pub fn tell(&mut self) {
        self.is_telling = true;
    }

    /// From now on, a fingerprint is kept of all that sessions say that are opened.
    pub(crate) fn trace(&mut self) {
        self.is_tracing = true;
    }

    /// The fingerprint, if the world traces.
    pub(crate) fn traced(&self) -> Option<u64> {
        let traces = self.clients.iter().filter_map(|client| client.trace.as_ref());
        self.is_tracing.then(|| traces.fold(0, |all, trace| all ^ trace.finish()))
    }

    /// What time it is.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// The ensemble.
    pub fn ensemble(&self) -> &SimEnsemble {
        &self.ensemble
    }

    /// Does something to the ensemble.
    pub fn ensemble_mut<T>(&mut self, change: impl FnOnce(&mut SimEnsemble, Instant) -> T) -> T {
        let result = change(&mut self.ensemble, self.now);
        self.carry();
        result
    }

    /// A session.
    pub fn session(&self, client: ClientId) -> &Session {
        &self.clients[client.0].session
    }

    /// The configuration that a session was opened with.
    pub fn config_of(&self, client: ClientId) -> &Config {
        &self.clients[client.0].config
    }

    /// All that a session was told, if the world records.
    pub fn inputs(&self, client: ClientId) -> &[(Instant, Input)] {
        self.clients[client.0].inputs.as_deref().unwrap_or_default()
    }

    /// When a session was opened.
    pub(crate) fn opened_at(&self, client: ClientId) -> Instant {
        self.clients[client.0].opened_at
    }

    /// Whose session was last told something, or asked.
    pub(crate) fn speaking(&self) -> Option<ClientId> {
        self.speaking
    }

    /// What is said next is about this one.
    pub(crate) fn speaks(&mut self, client: ClientId) {
        self.speaking = Some(client);
    }

    /// All that a session was told as lines for [`drive`](crate::drive), if the world records.
    pub fn transcript(&self, client: ClientId) -> String {
        transcript(self.config_of(client), self.clients[client.0].opened_at, self.inputs(client))
    }

    /// What a session has told since the last call.
    pub fn events(&mut self, client: ClientId) -> impl Iterator<Item = Event> {
        self.clients[client.0].events.drain(..)
    }

    /// The network of a session, to be changed.
    pub fn network(&mut self, client: ClientId) -> &mut Network {
        &mut self.clients[client.0].network
    }

    /// How the ensemble calls the session's connection, if there is one.
    pub fn peer(&self, client: ClientId) -> Option<PeerId> {
        self.clients[client.0].link.as_ref()?.peer
    }

    /// The session's connection, if it is connected.
    pub fn connection(&self, client: ClientId) -> Option<ConnectionId> {
        let link = self.clients[client.0].link.as_ref()?;
        link.peer.map(|_| link.connection)
    }

    /// Whether its server has the session's connection, as far as it knows.
    pub(crate) fn is_heard(&self, client: ClientId) -> bool {
        self.peer(client).is_some_and(|peer| self.peers.contains_key(&peer))
    }

    pub(crate) fn books(&self, client: ClientId) -> &Books {
        &self.clients[client.0].books
    }

    /// The server that a session is connected to, or tries to be.
    pub fn server(&self, client: ClientId) -> Option<usize> {
        Some(self.clients[client.0].link.as_ref()?.server)
    }

    /// All sessions, those that are over too.
    pub fn clients(&self) -> impl Iterator<Item = ClientId> + use<> {
        (0..self.clients.len()).map(ClientId)
    }
}

/// What an application does.
impl World {
    /// Submits a request.
    ///
    /// # Errors
    /// As [`Session::submit`] has them.
    pub fn submit(
        &mut self,
        client: ClientId,
        request: Request,
        options: RequestOptions,
    ) -> Result<RequestId, SubmitError> {
        let id = self.input(client, Input::Submit(Box::new(request), options))?;
        Ok(id.expect("a request that was accepted has an id"))
    }

    /// Makes any call of a session, and does what it says.
    ///
    /// # Errors
    /// As the call has them.
    pub fn input(&mut self, client: ClientId, input: Input) -> Result<Option<RequestId>, SubmitError> {
        self.speaks(client);
        let accepted = self.clients[client.0].input(input, self.now);
        self.drain(client);
        accepted
    }

    /// Makes any call of a session, by a clock that is so much behind, and leaves what it says for later.
    ///
    /// # Errors
    /// As the call has them.
    pub fn input_undrained(
        &mut self,
        client: ClientId,
        input: Input,
        behind: Duration,
    ) -> Result<Option<RequestId>, SubmitError> {
        self.speaks(client);
        let now = Instant::ZERO + (self.now - Instant::ZERO).saturating_sub(behind);
        self.clients[client.0].input(input, now)
    }
}

/// Time.
impl World {
    /// Lets time pass, and does all that falls due.
    pub fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        while self.next().is_some_and(|(due, ..)| due <= end) {
            self.step();
        }
        self.now = self.now.max(end);
    }

    /// Lets time pass without doing anything: what falls due meanwhile is late.
    pub fn oversleep(&mut self, time: Duration) {
        self.now = self.now + time;
    }

    /// Does the next thing that falls due; whether there was one.
    pub fn step(&mut self) -> bool {
        let Some((due, what)) = self.next() else { return false };
        self.now = self.now.max(due);
        match what {
            None => {
                self.ensemble.handle_timeout(self.now);
                self.carry();
            }
            Some((client, next)) => self.perform(client, next),
        }
        true
    }

    /// Whose session is next to be told of its server's bytes, if that is what happens next.
    pub(crate) fn hears_next(&self) -> Option<ClientId> {
        match self.next() {
            Some((_, Some((client, Next::Hear)))) => Some(client),
            _ => None,
        }
    }

    /// Waits for the next thing that falls due, and leaves it for later.
    pub(crate) fn wait(&mut self) {
        self.now = self.now.max(self.next_due().unwrap_or(self.now));
    }

    /// Tells a session what has come from its server, and leaves what it says for later.
    pub(crate) fn hear_undrained(&mut self, client: ClientId) {
        let Some(link) = &mut self.clients[client.0].link else { return };
        let connection = link.connection;
        if let Some(Piece::Bytes(bytes)) = link.to_client.pop_bytes() {
            let heard = self.input_undrained(client, Input::Received(connection, bytes), Duration::ZERO);
            heard.expect("what a driver tells can't be refused");
        }
    }

    /// When the next thing falls due.
    pub fn next_due(&self) -> Option<Instant> {
        self.next().map(|(due, _)| due)
    }

    fn next(&self) -> Option<(Instant, Option<(ClientId, Next)>)> {
        let mut earliest = self.ensemble.poll_timeout().map(|due| (due, None));
        for (number, client) in self.clients.iter().enumerate() {
            if let Some((due, next)) = client.next(self.now)
                && earliest.is_none_or(|(earliest, _)| due < earliest)
            {
                earliest = Some((due, Some((ClientId(number), next))));
            }
        }
        earliest
    }

    fn perform(&mut self, client: ClientId, next: Next) {
        let state = &mut self.clients[client.0];
        match next {
            Next::Tick => self.do_input(client, Input::Timeout),
            Next::Dialled => self.dialled(client),
            Next::Take => self.take(client, usize::MAX),
            Next::Probed => {
                let (_, probe, read_write) = state.probes.pop_front().expect("it is due");
                self.do_input(client, Input::Probed(probe, read_write));
            }
            Next::Hear => {
                let link = state.link.as_mut().expect("it is due");
                let (connection, piece) = (link.connection, link.to_client.pop().expect("it is due"));
                match piece {
                    Piece::Bytes(bytes) => self.do_input(client, Input::Received(connection, bytes)),
                    Piece::End => self.cut(client),
                }
            }
            Next::Reach => {
                let link = state.link.as_mut().expect("it is due");
                let (peer, piece) = (link.peer, link.to_server.pop().expect("it is due"));
                self.reach(peer, piece);
            }
            Next::GhostHears(number) => {
                let ghost = &mut state.ghosts[number];
                let (connection, piece) = (ghost.connection, ghost.to_client.pop().expect("it is due"));
                match piece {
                    Piece::Bytes(bytes) => self.do_input(client, Input::Received(connection, bytes)),
                    Piece::End => self.lay(client, number),
                }
            }
            Next::GhostReaches(number) => {
                let ghost = &mut state.ghosts[number];
                let (peer, piece) = (ghost.peer, ghost.to_server.pop().expect("it is due"));
                self.reach(peer, piece);
            }
        }
    }
}

/// The network.
impl World {
    /// Ends a session's connection now, both ways; what is on its way is lost.
    pub fn cut(&mut self, client: ClientId) {
        self.lose(client, true, true);
    }

    /// Ends a session's connection. What the transport has taken can be left unreported, and the server may not hear
    /// of the end. Tells whether there was a connection, or an attempt at one.
    pub fn lose(&mut self, client: ClientId, is_reported: bool, server_hears: bool) -> bool {
        let Some(link) = self.clients[client.0].link.take() else { return false };
        if server_hears && let Some(peer) = link.peer {
            self.ensemble.disconnect(peer, self.now);
            self.peers.remove(&peer);
        }
        if is_reported && !link.is_reported && !link.outbox.is_empty() {
            self.do_input(client, Input::Sent(link.connection, 0));
        }
        self.do_input(client, Input::Disconnected(link.connection));
        self.carry();
        true
    }

    /// How much is on its way to or from a session, at most, in one piece.
    pub(crate) fn longest_piece(&self, client: ClientId) -> usize {
        let link = self.clients[client.0].link.as_ref();
        link.map_or(0, |link| link.to_client.longest().max(link.to_server.longest()))
    }

    /// Changes bytes that are on their way to or from a session. It may be told anything then.
    pub fn corrupt(&mut self, client: ClientId, mut change: impl FnMut(usize, &mut u8)) {
        if let Some(link) = &mut self.clients[client.0].link {
            link.to_client.corrupt(&mut change);
            link.to_server.corrupt(change);
        }
    }

    /// What is on its way to and from a session arrives now, however slow the network was.
    pub(crate) fn hurry(&mut self, client: ClientId) {
        if let Some(link) = &mut self.clients[client.0].link {
            link.to_client.hurry(self.now);
            link.to_server.hurry(self.now);
        }
    }

    /// Loses what is on its way to and from a session, and nothing else.
    pub fn lose_flight(&mut self, client: ClientId) {
        if let Some(link) = &mut self.clients[client.0].link {
            link.to_client.clear();
            link.to_server.clear();
        }
    }

    /// The transport takes so many bytes of what a session has handed out.
    pub fn take(&mut self, client: ClientId, count: usize) {
        let state = &mut self.clients[client.0];
        let Some(link) = state.link.as_mut().filter(|link| !link.outbox.is_empty()) else { return };
        let count = link.outbox.len().min(count).min(state.network.window);
        let bytes = link.outbox.split_to(count);
        link.is_reported = true;
        link.to_server.push(bytes, state.network.to_server, &state.network, self.now);
        let connection = link.connection;
        self.do_input(client, Input::Sent(connection, count));
    }

    /// Whether the session waits for its transport to take bytes.
    pub fn has_outbox(&self, client: ClientId) -> bool {
        self.clients[client.0].link.as_ref().is_some_and(|link| !link.outbox.is_empty())
    }

    /// The connections that a session has given up come to their end.
    pub fn lay_ghosts(&mut self, client: ClientId) {
        while !self.clients[client.0].ghosts.is_empty() {
            self.lay(client, 0);
        }
    }

    fn lay(&mut self, client: ClientId, ghost: usize) {
        let ghost = self.clients[client.0].ghosts.swap_remove(ghost);
        if let Some(peer) = ghost.peer {
            self.ensemble.disconnect(peer, self.now);
            self.peers.remove(&peer);
            self.carry();
        }
    }

    fn dialled(&mut self, client: ClientId) {
        let state = &mut self.clients[client.0];
        let link = state.link.as_mut().expect("it is due");
        link.dialled_at = None;
        let (connection, server) = (link.connection, link.server);
        let address = IpAddr::V4(Ipv4Addr::new(10, 0, 0, u8::try_from(client.0 % 250).unwrap_or(0)));
        let peer = match state.network.dialling {
            Dialling::Open => self.ensemble.connect(server, address, self.now),
            Dialling::Refused => None,
            Dialling::Hangs => return,
        };
        link.peer = peer;
        match peer {
            Some(peer) => {
                self.peers.insert(peer, client.0);
                self.do_input(client, Input::Connected(connection));
            }
            None => self.cut(client),
        }
        self.carry();
    }

    fn reach(&mut self, peer: Option<PeerId>, piece: Piece) {
        let Some(peer) = peer else { return };
        match piece {
            Piece::Bytes(bytes) => self.ensemble.receive(peer, &bytes, self.now),
            Piece::End => self.ensemble.disconnect(peer, self.now),
        }
        self.carry();
    }

    /// Puts what the ensemble says on its way.
    fn carry(&mut self) {
        while let Some(output) = self.ensemble.poll_output() {
            let (Output::Send { peer, .. } | Output::Close { peer }) = output;
            let Some(number) = self.peers.get(&peer) else { continue };
            let client = &mut self.clients[*number];
            let network = client.network.clone();
            let Some(link) = client.link_of(peer) else { continue };
            match output {
                Output::Send { bytes, .. } => {
                    link.to_client.push(bytes, network.to_client, &network, self.now);
                }
                Output::Close { .. } => {
                    link.to_client.end(network.to_client, &network, self.now);
                    self.peers.remove(&peer);
                    client.ghosts.retain(|ghost| ghost.peer != Some(peer) || ghost.to_client.due().is_some());
                }
            }
        }
    }
}

/// What a driver does.
impl World {
    fn do_input(&mut self, client: ClientId, input: Input) {
        self.input(client, input).expect("what a driver tells can't be refused");
    }

    /// Does all that a session says.
    pub fn drain(&mut self, client: ClientId) {
        self.speaks(client);
        while let Some(action) = self.clients[client.0].poll() {
            self.obey(client, action);
        }
        let state = &mut self.clients[client.0];
        state.books.drained(&mut state.session);
    }

    /// Does one thing that a session says; whether there was one.
    pub fn drain_one(&mut self, client: ClientId) -> bool {
        self.speaks(client);
        let action = self.clients[client.0].poll();
        let Some(action) = action else { return false };
        self.obey(client, action);
        true
    }

    fn obey(&mut self, client: ClientId, action: Action) {
        let state = &mut self.clients[client.0];
        match action {
            Action::Connect { connection, server } => {
                let dialled_at = (state.network.dialling != Dialling::Hangs)
                    .then_some(self.now + state.network.latency * 2);
                state.link = Some(Link::new(connection, number(&server), dialled_at));
            }
            Action::Send { connection, bytes } => {
                let link = state.link.as_mut().filter(|link| link.connection == connection);
                let link = link.expect("a Send has a connection");
                (link.outbox, link.is_reported) = (bytes, false);
            }
            Action::Disconnect { connection, .. } => self.disconnect(client, connection),
            Action::Probe { probe, server } => {
                let is_serving = self.ensemble.is_serving(number(&server));
                let is_open = state.network.dialling == Dialling::Open;
                state.probes.push_back((self.now + PROBE, probe, is_serving && is_open));
            }
            Action::Emit(event) => state.events.push_back(event),
        }
    }

    /// The session gives a connection up; what is on its way keeps going for a while.
    fn disconnect(&mut self, client: ClientId, connection: ConnectionId) {
        let state = &mut self.clients[client.0];
        let Some(mut link) = state.link.take_if(|link| link.connection == connection) else { return };
        link.to_server.end(state.network.to_server, &state.network, self.now);
        if link.peer.is_some() {
            state.ghosts.push(link);
        }
    }
}

/// A server's number by its name, `s` and the number. Other names are numbers that no server has.
fn number(server: &ServerAddr) -> usize {
    server.host.strip_prefix('s').and_then(|number| number.parse().ok()).unwrap_or(usize::MAX)
}

/// When each world begins: late enough for clocks to run back.
const BEGIN: Instant = Instant::from_millis(1_000_000);
/// What a probe takes.
const PROBE: Duration = Duration::from_millis(3);
