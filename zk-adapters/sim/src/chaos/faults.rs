//! What can go wrong, by name.

use core::time::Duration;

use fastrand::Rng;
use zk_session::{
    Instant, State,
    zk_proto::{Bytes, BytesMut, ConnectRequest},
};

use crate::{
    chaos::{Chaos, coverage::Phase, is_open},
    ensemble::Options,
    world::{ClientId, Dialling, Flow, Network},
};

macro_rules! faults {
    ($($(#[doc = $doc:literal])+ $fault:ident,)+) => {
        /// A kind of fault.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Fault {
            $($(#[doc = $doc])+ $fault,)+
        }

        impl Fault {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$fault,)+];
        }
    };
}

faults! {
    /// New connections are refused.
    Refuse,
    /// New connections hang.
    Hang,
    /// The network gets slow.
    Delay,
    /// A connection is reset, with all that is on its way.
    Reset,
    /// A connection is reset, and the driver doesn't know how much the transport had taken.
    ResetUnreported,
    /// A connection ends for the client, and the server doesn't know.
    HalfOpen,
    /// The server closes its connections.
    ServerCloses,
    /// Bytes to the server are lost.
    HoleToServer,
    /// Bytes to the client are lost.
    HoleToClient,
    /// Bytes are lost both ways.
    Hole,
    /// Bytes come in small pieces.
    Pieces,
    /// Bytes trickle.
    Trickle,
    /// The transport takes nothing.
    Stall,
    /// The transport takes a few bytes at a time.
    SlowTransport,
    /// Bytes are changed on their way.
    Corrupt,
    /// A server dies.
    Crash,
    /// A server dies, and its disk with it.
    LoseDisk,
    /// The leader changes.
    LeaderChange,
    /// A server lags behind the leader.
    Lag,
    /// A server is cut off from the others.
    Isolate,
    /// A server stops in its tracks.
    Pause,
    /// The leader ends a session.
    Expire,
    /// The leader ends a session while its connection is lost.
    ExpireAway,
    /// Somebody else speaks for the session.
    Steal,
    /// Somebody tries to, with a wrong password.
    Stranger,
    /// The server says what nobody asked for.
    Lie,
    /// A tick comes late.
    LateTick,
    /// The clock jumps ahead by hours.
    Jump,
}

/// Which faults a run has.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    faults: Vec<Fault>,
}

impl Plan {
    /// Most runs have a few kinds of faults, some have all, some none.
    pub(super) fn draw(rng: &mut Rng, options: &Options) -> Self {
        let mut faults: Vec<Fault> = Fault::ALL.to_vec();
        rng.shuffle(&mut faults);
        let few = rng.usize(1..8);
        faults.truncate(match rng.u32(0..10) {
            0 => 0,
            1..4 => faults.len(),
            _ => few,
        });
        // What is told anything can't be held to what it says: such runs are for themselves.
        if rng.u32(0..4) > 0 {
            faults.retain(|fault| !matches!(fault, Fault::Corrupt | Fault::Lie));
        }
        if options.servers == 1 {
            faults.retain(|fault| !matches!(fault, Fault::LoseDisk | Fault::LeaderChange | Fault::Isolate));
        }
        Self { faults }
    }

    fn among(&self, faults: &[Fault]) -> Vec<Fault> {
        faults.iter().copied().filter(|fault| self.has(*fault)).collect()
    }

    pub(super) fn has(&self, fault: Fault) -> bool {
        self.faults.contains(&fault)
    }

    /// Nobody is told what isn't so.
    pub(super) fn is_honest(&self) -> bool {
        !self.has(Fault::Corrupt) && !self.has(Fault::Lie)
    }

    /// A stream that goes on has no hole in it.
    pub(super) fn keeps_streams_whole(&self) -> bool {
        ![Fault::Hole, Fault::HoleToServer, Fault::HoleToClient].iter().any(|hole| self.has(*hole))
    }

    /// What a server answers, the leader has heard of.
    pub(super) fn leader_hears(&self) -> bool {
        !self.has(Fault::Isolate)
    }
}

impl Chaos {
    /// One of the planned faults happens.
    pub(super) fn go_wrong(&mut self) {
        let Some(fault) = self.rng.choice(&self.plan.faults).copied() else { return };
        let client = self.some_session();
        self.inflict(fault, client);
    }

    /// A session that is half-way somewhere is hit there.
    pub(super) fn ambush(&mut self, client: ClientId) {
        let is_led = self.world.ensemble().leader().is_some();
        let fault = match Phase::of(&self.world, client) {
            Phase::ReadOnly if self.is_behind(client) && !is_led && self.plan.has(Fault::Isolate) => {
                return self.leave_behind(client);
            }
            // Too rare to leave it to the plan.
            Phase::ReadOnly if self.is_behind(client) && is_led => self.rng.choice(AGAINST_SESSIONS),
            Phase::Priming if self.world.books(client).has_many_batches() => {
                self.rng.choice(self.plan.among(&LOSSES))
            }
            _ => self.rng.choice(&self.plan.faults).copied(),
        };
        if let Some(fault) = fault {
            self.inflict(fault, client);
        }
    }

    /// All servers are well but the session's, which is cut off from them.
    fn leave_behind(&mut self, client: ClientId) {
        let Some(left) = self.world.server(client) else { return };
        self.world.ensemble_mut(|ensemble, now| {
            ensemble.isolate(left, now);
            for server in (0..ensemble.options().servers).filter(|server| *server != left) {
                ensemble.restart(server, now);
                ensemble.resume(server, now);
                ensemble.rejoin(server, now);
            }
        });
    }

    /// Whether a session of the whole ensemble is at a read-only server.
    pub(super) fn is_behind(&self, client: ClientId) -> bool {
        let session = self.world.session(client);
        session.state() == State::ConnectedReadOnly && session.credentials().is_some()
    }

    fn inflict(&mut self, fault: Fault, client: ClientId) {
        match fault {
            Fault::Crash
            | Fault::LoseDisk
            | Fault::LeaderChange
            | Fault::Lag
            | Fault::Isolate
            | Fault::Pause
            | Fault::ServerCloses => self.inflict_server(fault, client),
            Fault::Jump => {
                if self.rng.u32(0..10) == 0 {
                    let time = Duration::from_secs(self.rng.u64(60..20_000));
                    self.oversleep(fault, time);
                }
            }
            Fault::LateTick => {}
            _ => {
                let phase = Phase::of(&self.world, client);
                let has_acted = match fault {
                    Fault::Expire | Fault::ExpireAway => self.expire(fault, client),
                    Fault::Steal | Fault::Stranger => self.speak_for(fault, client),
                    Fault::Reset | Fault::ResetUnreported | Fault::HalfOpen => self.lose(fault, client),
                    Fault::Corrupt => self.corrupt(client),
                    Fault::Lie => self.lie(client),
                    _ => self.change_network(fault, client),
                };
                if has_acted {
                    self.coverage.fault(fault, phase);
                }
            }
        }
    }

    /// Tells, as the others do, whether anything is other than it was.
    fn change_network(&mut self, fault: Fault, client: ClientId) -> bool {
        let rng = &mut self.rng;
        let network = self.world.network(client);
        let before = network.clone();
        match fault {
            Fault::Refuse => network.dialling = Dialling::Refused,
            Fault::Hang => network.dialling = Dialling::Hangs,
            Fault::Delay => network.latency = Duration::from_millis(rng.u64(0..2_000)),
            Fault::HoleToServer => network.to_server = Flow::BlackHole,
            Fault::HoleToClient => network.to_client = Flow::BlackHole,
            Fault::Hole => (network.to_server, network.to_client) = (Flow::BlackHole, Flow::BlackHole),
            Fault::Pieces => network.piece = rng.usize(1..8),
            Fault::Trickle => {
                (network.piece, network.pause) = (rng.usize(1..20), Duration::from_millis(rng.u64(0..400)));
            }
            Fault::Stall => network.window = 0,
            Fault::SlowTransport => network.window = rng.usize(1..64),
            _ => {}
        }
        *network != before
    }

    fn lose(&mut self, fault: Fault, client: ClientId) -> bool {
        let is_dialling = self.world.connection(client).is_none();
        match fault {
            Fault::Reset => {
                let rest = self.world.books(client).rest_of_frame().unwrap_or(0);
                match self.rng.u32(0..4) {
                    0 => self.world.take(client, self.rng.usize(0..100)),
                    1 => self.world.take(client, rest),
                    _ => {}
                }
                self.world.lose(client, true, true)
            }
            Fault::ResetUnreported => self.world.lose(client, false, true) && !is_dialling,
            _ => self.world.lose(client, true, false) && !is_dialling,
        }
    }

    fn corrupt(&mut self, client: ClientId) -> bool {
        let (rng, longest) = (&mut self.rng, self.world.longest_piece(client));
        let (at, count) = (rng.usize(0..longest.clamp(1, 60)), rng.usize(1..4));
        let flip = rng.u8(1..);
        let mut has_acted = false;
        let change = |place, byte: &mut u8| {
            if (at..at + count).contains(&place) {
                *byte ^= flip;
                has_acted = true;
            }
        };
        self.world.corrupt(client, change);
        has_acted
    }

    /// The clock goes on, and what falls due meanwhile is late.
    pub(super) fn oversleep(&mut self, fault: Fault, time: Duration) {
        self.world.oversleep(time);
        for client in &self.sessions {
            let due = self.world.session(*client).poll_timeout();
            if due.is_some_and(|due| due < self.world.now()) {
                self.coverage.fault(fault, Phase::of(&self.world, *client));
            }
        }
    }

    fn inflict_server(&mut self, fault: Fault, client: ClientId) {
        let servers = self.world.ensemble().options().servers;
        let any = self.rng.usize(0..servers);
        let server =
            self.world.server(client).filter(|server| *server < servers && self.rng.bool()).unwrap_or(any);
        let lag = Duration::from_millis(self.rng.u64(0..3_000));
        let met = self.met_at(fault, server);
        let has_acted = self.world.ensemble_mut(|ensemble, now| {
            ensemble.handle_timeout(now);
            let before = ensemble.condition(server);
            match fault {
                Fault::Crash => ensemble.crash(server, now),
                Fault::LoseDisk => {
                    ensemble.crash(server, now);
                    ensemble.lose_disk(server, now);
                }
                Fault::LeaderChange => ensemble.lead(server, now),
                Fault::Lag => ensemble.set_lag(server, lag, now),
                Fault::Isolate => ensemble.isolate(server, now),
                Fault::Pause => ensemble.pause(server, now),
                _ => ensemble.close_connections(server, now),
            }
            ensemble.condition(server) != before
        });
        for phase in met.into_iter().filter(|_| has_acted) {
            self.coverage.fault(fault, phase);
        }
    }

    /// Where the sessions are that feel what happens to a server.
    fn met_at(&self, fault: Fault, server: usize) -> Vec<Phase> {
        let feels = |client: &&ClientId| match fault {
            // It closes all connections to servers that follow the leader.
            Fault::LeaderChange => {
                let is_dialling = self.world.connection(**client).is_none();
                let server = self.world.server(**client);
                server.is_some_and(|server| self.world.ensemble().is_serving(server))
                    && (is_dialling || self.world.is_heard(**client))
            }
            Fault::ServerCloses => {
                self.world.server(**client) == Some(server) && self.world.is_heard(**client)
            }
            _ => self.world.server(**client) == Some(server),
        };
        let met = self.sessions.iter().filter(feels);
        met.map(|client| Phase::of(&self.world, *client)).collect()
    }

    fn expire(&mut self, fault: Fault, client: ClientId) -> bool {
        let Some(credentials) = self.world.session(client).credentials() else { return false };
        let id = credentials.session_id;
        if fault == Fault::ExpireAway {
            self.world.cut(client);
        }
        let was_there = self.world.ensemble().session(id).is_some();
        self.ledger.expiring(id);
        self.world.ensemble_mut(|ensemble, now| ensemble.expire(id, now));
        was_there && self.world.ensemble().session(id).is_none()
    }

    /// Somebody asks for the session at a server.
    fn speak_for(&mut self, fault: Fault, client: ClientId) -> bool {
        let Some(credentials) = self.world.session(client).credentials() else { return false };
        let ensemble = self.world.ensemble();
        let servers = 0..ensemble.options().servers;
        let hears = |server: &usize| ensemble.condition(*server).hears_clients();
        let hearing: Vec<_> = servers.filter(hears).collect();
        let Some(server) =
            self.rng.choice(hearing).filter(|_| ensemble.session(credentials.session_id).is_some())
        else {
            return false;
        };
        let asked = self.world.config_of(client).session_timeout;
        let time_out = i32::try_from(asked.as_millis()).unwrap_or(i32::MAX);
        let password =
            if fault == Fault::Steal { credentials.password } else { Bytes::from_static(&[7; 16]) };
        let request = ConnectRequest {
            time_out,
            session_id: credentials.session_id,
            passwd: Some(password),
            read_only: Some(self.rng.bool()),
            ..ConnectRequest::default()
        };
        let mut hello = BytesMut::new();
        request.encode_frame(&mut hello);
        self.world.ensemble_mut(|ensemble, now: Instant| {
            let address = core::net::Ipv4Addr::new(10, 9, 9, 9).into();
            let Some(peer) = ensemble.connect(server, address, now) else { return false };
            ensemble.receive(peer, &hello, now);
            ensemble.disconnect(peer, now);
            true
        })
    }

    /// Something that went wrong is put right.
    pub(super) fn heal_something(&mut self) {
        let client = self.some_session();
        let servers = self.world.ensemble().options().servers;
        let server = self.rng.usize(0..servers);
        match self.rng.u32(0..4) {
            0 | 1 => *self.world.network(client) = Network::default(),
            2 => self.world.ensemble_mut(|ensemble, now| {
                ensemble.restart(server, now);
                ensemble.resume(server, now);
            }),
            _ => self.world.ensemble_mut(|ensemble, now| ensemble.rejoin(server, now)),
        }
    }

    /// Everything is put right.
    pub(super) fn heal(&mut self) {
        self.world.ensemble_mut(crate::ensemble::SimEnsemble::heal);
        let longest = self.world.ensemble().options().longest_session_timeout();
        for client in self.world.clients() {
            *self.world.network(client) = Network::default();
            self.world.hurry(client);
            self.world.lay_ghosts(client);
            // Others go on as they are, or find out for themselves that nobody is there: but for those who were granted a
            // timeout that no server grants.
            let finds_out = self.world.session(client).negotiated_timeout() <= longest;
            let is_left = self.rng.bool() && finds_out;
            if is_open(&self.world, client) && self.world.server(client).is_some() && !is_left {
                self.world.cut(client);
            }
        }
    }
}

/// Faults that end a connection, and nothing else.
const LOSSES: [Fault; 4] = [Fault::Reset, Fault::ResetUnreported, Fault::HalfOpen, Fault::ServerCloses];
/// Faults that end a session, or try to.
const AGAINST_SESSIONS: [Fault; 4] = [Fault::Expire, Fault::ExpireAway, Fault::Steal, Fault::Stranger];
