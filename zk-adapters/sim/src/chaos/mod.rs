//! Random schedules of faults: one seed, one schedule, and a panic where a promise is broken.
//!
//! A run draws an ensemble, sessions and a plan of faults from its seed; then, step by step, something falls due, an
//! application does something, or something goes wrong. In the end everything heals, and what was promised for the end
//! is checked against the ensemble's own books. Each step draws from its own seed, so that a run can be repeated without
//! some of its steps: what is left does what it did.
#![expect(clippy::wildcard_enum_match_arm, reason = "a fault or a check is about one thing among many")]

mod application;
mod broken;
mod coverage;
mod ends;
mod expiries;
mod faults;
mod history;
mod ledger;
mod lies;
mod names;
mod shrink;

use core::time::Duration;

use fastrand::Rng;
use zk_session::{AuthInfo, Config, Event, Expiry, OnLoss, ServerOrder, State};

use crate::{
    ensemble::{Options, Version},
    world::{ClientId, World},
};

use application::Application;
use expiries::Expiries;
use faults::Plan;
use ledger::Ledger;

pub use broken::Broken;
pub use coverage::{Coverage, Phase};
pub use faults::Fault;
pub use shrink::{Shrunk, replay};

/// One run.
#[derive(Debug)]
pub struct Chaos {
    seed: u64,
    rng: Rng,
    world: World,
    plan: Plan,
    /// The sessions that are in use; others are over, or are left to themselves.
    sessions: Vec<ClientId>,
    applications: Vec<Application>,
    ledger: Ledger,
    coverage: Coverage,
    expiries: Expiries,
    steps: u64,
}

impl Chaos {
    /// The run of a seed.
    pub fn seeded(seed: u64) -> Self {
        Self::new(seed, |_| {})
    }

    /// The run of a seed, which tells its story on standard error.
    pub fn told(seed: u64) -> Self {
        Self::new(seed, |chaos| {
            eprintln!("{:?}\n{:?}", chaos.world.ensemble().options(), chaos.plan);
            chaos.world.tell();
        })
    }

    /// The run of a seed, whose outcome has a fingerprint of all that the sessions said.
    pub fn traced(seed: u64) -> Self {
        Self::new(seed, |chaos| chaos.world.trace())
    }

    fn new(seed: u64, prepare: impl FnOnce(&mut Self)) -> Self {
        let mut rng = Rng::with_seed(seed);
        let options = options(&mut rng);
        let plan = Plan::draw(&mut rng, &options);
        let mut chaos = Self {
            seed,
            world: World::new(options),
            plan,
            sessions: Vec::new(),
            applications: Vec::new(),
            ledger: Ledger::default(),
            coverage: Coverage::default(),
            expiries: Expiries::default(),
            steps: 0,
            rng,
        };
        prepare(&mut chaos);
        for _ in 0..chaos.rng.usize(1..=3) {
            chaos.open();
        }
        chaos
    }

    /// Makes so many steps, heals everything, and checks what must hold in the end.
    ///
    /// # Errors
    /// If a session breaks a promise.
    pub fn run(mut self, steps: u64) -> Result<Outcome, Broken> {
        self.make(0..steps)
    }

    /// Makes the steps with these numbers, heals everything, and checks what must hold in the end.
    fn make(&mut self, numbers: impl IntoIterator<Item = u64>) -> Result<Outcome, Broken> {
        let begin = self.world.now();
        let made = Broken::catch(|| {
            for number in numbers {
                self.step(number);
            }
            self.end();
        });
        made.map_err(|broken| Broken { step: self.steps, ..broken })?;
        let simulated = self.world.now() - begin;
        let mut coverage = core::mem::take(&mut self.coverage);
        for client in self.world.clients() {
            coverage.saw_all(self.world.books(client).sightings());
        }
        Ok(Outcome { steps: self.steps, simulated, coverage, trace: self.world.traced() })
    }

    fn step(&mut self, number: u64) {
        self.rng = Rng::with_seed(self.seed.wrapping_mul(ODD).wrapping_add(number).wrapping_mul(ODD));
        self.steps += 1;
        match self.rng.u32(0..100) {
            0..28 => self.act(),
            28..34 => self.go_wrong(),
            34..36 => self.heal_something(),
            36 if self.plan.has(Fault::LateTick) => {
                let late = Duration::from_millis(self.rng.u64(0..5_000));
                self.oversleep(Fault::LateTick, late);
            }
            37 => self.renew_sessions(),
            _ => self.pass(),
        }
        self.look();
    }

    /// The next thing falls due; and now and then, something goes wrong just when a session is half-way to being ready.
    fn pass(&mut self) {
        if self.rng.u32(0..100) == 0 {
            self.cancel_at_reply();
        }
        self.world.step();
        let half_way = self.sessions.iter().find_map(|client| Some((*client, self.odds_of(*client)?)));
        if let Some((client, odds)) = half_way
            && self.rng.u32(0..odds) == 0
        {
            self.ambush(client);
        }
    }

    /// One in how many times a session is hit in a state that doesn't last, or is rare.
    fn odds_of(&self, client: ClientId) -> Option<u32> {
        match Phase::of(&self.world, client) {
            Phase::Priming if self.world.books(client).has_many_batches() => Some(3),
            Phase::Associating | Phase::Priming => Some(12),
            Phase::Idle if self.world.longest_piece(client) > 0 => Some(6),
            Phase::ReadOnly if self.is_behind(client) => {
                Some(if self.world.ensemble().leader().is_some() { 1 } else { 2 })
            }
            Phase::ReadOnly => Some(5),
            _ => None,
        }
    }

    /// Reads what the sessions have told.
    fn look(&mut self) {
        for client in self.sessions.clone() {
            self.world.speaks(client);
            let events: Vec<Event> = self.world.events(client).collect();
            for event in events {
                self.coverage.event(&event);
                self.expiries.event(client, &event, &mut self.coverage);
                self.ledger.event(client, &event, &self.world, &self.plan);
            }
        }
        self.note_expiries();
        self.ledger.watch_expiries(&mut self.world, &self.sessions, &self.plan);
    }

    /// Sessions that are over make room for new ones.
    fn renew_sessions(&mut self) {
        let over = self.sessions.iter().position(|client| self.world.session(*client).state().is_terminal());
        if let Some(over) = over.filter(|_| self.world.clients().count() < MOST_SESSIONS) {
            self.world.drain(self.sessions[over]);
            self.look();
            self.sessions.swap_remove(over);
            self.applications.swap_remove(over);
            self.open();
        }
    }

    fn open(&mut self) {
        let config = self.config();
        let client = self.world.open(config);
        self.sessions.push(client);
        self.applications.push(Application::default());
    }

    /// Limits that are reached, and every choice that there is.
    fn config(&mut self) -> Config {
        let rng = &mut self.rng;
        let mut config = self.world.config();
        config.seed = rng.u64(..);
        config.session_timeout = self.world.ensemble().options().tick * rng.u32(1..25);
        config.on_loss = if rng.u32(0..10) == 0 { OnLoss::NewSession } else { OnLoss::Resume };
        config.expiry = if rng.u32(0..10) == 0 { Expiry::Client } else { Expiry::Server };
        config.read_only = self.world.ensemble().options().read_only && rng.bool();
        config.server_order = if rng.bool() { ServerOrder::Shuffled } else { ServerOrder::AsListed };
        config.max_in_flight = *rng.choice(&[1, 3, 1_000, 1_000]).expect("a choice");
        config.max_queued_requests = *rng.choice(&[2, 30, 1_000]).expect("a choice");
        config.max_send_len = *rng.choice(&[64, 100, 64 << 10, 64 << 10]).expect("a choice");
        config.max_set_watches_len = *rng.choice(&[60, 100, 1 << 17]).expect("a choice");
        config.max_frame_len = *rng.choice(&[200, 1 << 20, 1 << 20, 1 << 20]).expect("a choice");
        config.max_watches = *rng.choice(&[3, 20, 1_000]).expect("a choice");
        if rng.bool() {
            config.connect_string.chroot = Some("/app".into());
        }
        if rng.u32(0..3) == 0 {
            let users = (0..rng.u32(1..4)).map(|number| format!("u{number}:p"));
            let auth = |user: String| AuthInfo { scheme: "digest".into(), auth: user.into() };
            config.auth = users.map(auth).collect();
        }
        config
    }

    fn some_session(&mut self) -> ClientId {
        let index = self.rng.usize(0..self.sessions.len());
        self.sessions[index]
    }
}

/// What a run that broke no promise has gone through.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Outcome {
    /// How many steps it made, those of the end included.
    pub steps: u64,
    /// How much time passed in it.
    pub simulated: Duration,
    /// What it came upon.
    pub coverage: Coverage,
    /// Of a run that is traced, a fingerprint of all that its sessions said.
    pub trace: Option<u64>,
}

fn options(rng: &mut Rng) -> Options {
    let version = [Version::V3_4, Version::V3_6, Version::V3_8, Version::V3_9, Version::V3_9];
    Options {
        servers: *rng.choice(&[1, 2, 3, 3, 3, 5]).expect("a choice"),
        version: *rng.choice(&version).expect("a choice"),
        tick: Duration::from_millis(*rng.choice(&[100, 500, 2_000]).expect("a choice")),
        hop: Duration::from_millis(*rng.choice(&[0, 0, 1, 20]).expect("a choice")),
        sync_limit: Duration::from_millis(rng.u64(200..5_000)),
        election: Duration::from_millis(rng.u64(1..1_000)),
        read_only: rng.bool(),
        local_sessions: rng.bool(),
        seed: rng.u64(..),
        ..Options::default()
    }
}

/// Spreads the seeds of steps.
const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
/// So many sessions are opened in a run.
const MOST_SESSIONS: usize = 8;

/// Whether a session may still be talked to.
fn is_open(world: &World, client: ClientId) -> bool {
    let state: State = world.session(client).state();
    !state.is_terminal()
}
