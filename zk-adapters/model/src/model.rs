//! The model: its size, its rules, and what must be possible in it.

use std::sync::Arc;

use stateright::{Model, Property};
use zk_session::State;

use crate::{
    Defect,
    act::Act,
    books::{Fate, Watch},
    census::Census,
    world::World,
};

/// How large the model is, and what its session is made with.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "made by those who run it")]
pub struct Setup {
    /// The longest sequence of steps.
    pub depth: u8,
    /// How many requests there are: a read with a watch, a write with a deadline, and another watch.
    pub requests: u64,
    /// How many faults there are at most.
    pub faults: u8,
    /// How often the watched znode is changed by somebody else, at most.
    pub changes: u8,
    /// The session has an identity to tell to every server.
    pub auth: bool,
    /// The session accepts read-only servers.
    pub read_only: bool,
    /// Each watch is armed again in a batch of its own.
    pub batches: bool,
    /// From one in so many states the faults end and the session must recover; 0: never.
    pub heal_one_in: u64,
    /// A planted defect.
    pub defect: Option<Defect>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            depth: 16,
            requests: 2,
            faults: 2,
            changes: 0,
            auth: false,
            read_only: false,
            batches: false,
            heal_one_in: 32,
            defect: None,
        }
    }
}

/// All states of a session within a [`Setup`]. Clones share their counts.
#[derive(Clone, Debug)]
pub struct SessionModel {
    setup: Setup,
    census: Arc<Census>,
}

impl SessionModel {
    /// The model of this size.
    pub fn new(setup: Setup) -> Self {
        Self { setup, census: Arc::new(Census::new()) }
    }

    /// How many different states were seen.
    pub fn states(&self) -> usize {
        self.census.len()
    }
}

impl Model for SessionModel {
    type State = World;
    type Action = Act;

    fn init_states(&self) -> Vec<World> {
        vec![World::new(&self.setup)]
    }

    fn actions(&self, world: &World, acts: &mut Vec<Act>) {
        world.acts(&self.setup, acts);
    }

    fn next_state(&self, world: &World, act: Act) -> Option<World> {
        Some(world.after(act))
    }

    fn within_boundary(&self, world: &World) -> bool {
        self.census.admits(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties: Vec<_> =
            RULES.iter().map(|(_, name, condition)| Property::always(name, *condition)).collect();
        if self.setup.defect.is_none() {
            properties.extend(REACHED.iter().map(|(name, condition)| Property::sometimes(name, *condition)));
        }
        properties
    }
}

type Condition = fn(&SessionModel, &World) -> bool;

/// The rules: number, name, and whether it holds in a state.
pub const RULES: &[(u32, &str, Condition)] = &[
    (1, "INV-01 each request has one outcome", holds::<1>),
    (2, "INV-02 accepted = ended + queued + in flight", holds::<2>),
    (3, "INV-03 what is called unsent was not executed", holds::<3>),
    (4, "INV-04 what is called open was sent", holds::<4>),
    (7, "INV-07 a write is executed at most once", holds::<7>),
    (14, "INV-14 xids are positive and rise", holds::<14>),
    (16, "INV-16 a reply that doesn't fit ends the connection, nothing else", holds::<16>),
    (18, "INV-18 nothing but the ConnectRequest before the ConnectResponse", holds::<18>),
    (19, "INV-19 auth, watches, requests, and Ready when they are through", holds::<19>),
    (21, "INV-21 a granted session is Connected, with or without the read-only byte", holds::<21>),
    (22, "INV-22 a refused resume is expiry, a refused birth isn't", holds::<22>),
    (23, "INV-23 another identity is expiry", holds::<23>),
    (26, "INV-26 read-only is opt-in and local", holds::<26>),
    (27, "INV-27 states are told in order", holds::<27>),
    (31, "INV-31 terminal is terminal", |model, world| holds::<31>(model, world) && world.stays_over()),
    (32, "INV-32 terminal is complete", holds::<32>),
    (36, "INV-36 a one-time watch fires once", holds::<36>),
    (40, "INV-40 no change goes unseen", |model, world| !model.heals(world) || world.healed().has_seen_all),
    (49, "INV-49 there is always a next timer", holds::<49>),
    (50, "INV-50 a tick makes progress", holds::<50>),
    (51, "INV-51 late and early ticks", |model, world| {
        holds::<51>(model, world) && world.trials().waits_its_time
    }),
    (57, "INV-57 when faults end, the session recovers", |model, world| {
        !model.heals(world) || world.healed().is_live
    }),
    (61, "INV-61 one connection at a time", holds::<61>),
    (62, "INV-62 the past can't speak", |_, world| world.trials().ignores_the_past),
    (69, "INV-69 bad bytes end a connection, nothing else", holds::<69>),
    (70, "INV-70 what is sent is whole", holds::<70>),
    (74, "INV-74 closeSession comes last", holds::<74>),
    (79, "INV-79 no panic", holds::<79>),
];

fn holds<const RULE: u32>(_: &SessionModel, world: &World) -> bool {
    world.books.holds(RULE)
}

/// What has to happen somewhere, or the search proves little.
const REACHED: &[(&str, Condition)] = &[
    ("a write is executed", |_, world| world.ensemble.executed[1] == 1),
    ("a read is executed twice", |_, world| world.ensemble.executed[0] == 2),
    ("a watch is armed", |_, world| matches!(world.books.watches[0], Watch::Armed(_))),
    ("a watch is armed again", |_, world| world.books.line.rearmed[0] && world.books.is_ready),
    ("a watch ends", |_, world| world.books.watches[0] == Watch::Ended),
    ("a session expires", |_, world| world.subject.session().state() == State::Expired),
    ("a session is closed", |_, world| world.subject.session().state() == State::Closed),
    ("all requests have ended", |model, world| world.books.count(Fate::Ended) == model.setup.requests),
];

impl SessionModel {
    fn heals(&self, world: &World) -> bool {
        match self.setup.heal_one_in {
            0 => false,
            one_in => world.fingerprint.is_multiple_of(one_in),
        }
    }
}
