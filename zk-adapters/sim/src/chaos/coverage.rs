//! What the runs have come upon: a fault that never meets a state proves nothing about it.

use std::collections::BTreeMap;

use zk_session::{Event, State};

use crate::{
    books::{Sighting, Sightings},
    chaos::{Fault, names},
    world::{ClientId, World},
};

/// Where a session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// Between two attempts, or dialling.
    Connecting,
    /// Waiting for the ConnectResponse.
    Associating,
    /// Connected, and not ready yet.
    Priming,
    /// Ready, with nothing in flight.
    Idle,
    /// Ready, with requests in flight.
    Busy,
    /// Connected to a read-only server.
    ReadOnly,
    /// Over.
    Over,
}

impl Phase {
    /// Those that end by themselves or by faults.
    pub const ALL: &[Self] =
        &[Self::Connecting, Self::Associating, Self::Priming, Self::Idle, Self::Busy, Self::ReadOnly];

    pub(super) fn of(world: &World, client: ClientId) -> Self {
        let session = world.session(client);
        match session.state() {
            State::Connecting => Self::Connecting,
            State::Associating => Self::Associating,
            State::ConnectedReadOnly => Self::ReadOnly,
            State::Connected if !session.is_ready() => Self::Priming,
            State::Connected if session.stats().in_flight == 0 => Self::Idle,
            State::Connected => Self::Busy,
            _ => Self::Over,
        }
    }
}

/// How often faults met phases, and how often what happened.
#[derive(Clone, Debug, Default)]
pub struct Coverage {
    faults: BTreeMap<(Fault, Phase), u64>,
    events: BTreeMap<&'static str, u64>,
    sightings: Sightings,
}

impl Coverage {
    pub(super) fn fault(&mut self, fault: Fault, phase: Phase) {
        *self.faults.entry((fault, phase)).or_default() += 1;
    }

    pub(super) fn event(&mut self, event: &Event) {
        if let Some(name) = names::of(event) {
            *self.events.entry(name).or_default() += 1;
        }
    }

    pub(super) fn saw(&mut self, sighting: Sighting) {
        self.sightings.saw(sighting);
    }

    pub(super) fn saw_all(&mut self, sightings: &Sightings) {
        self.sightings.add(sightings);
    }

    /// Adds what another run came upon.
    pub fn add(&mut self, other: &Self) {
        for (key, count) in &other.faults {
            *self.faults.entry(*key).or_default() += count;
        }
        for (key, count) in &other.events {
            *self.events.entry(key).or_default() += count;
        }
        self.sightings.add(&other.sightings);
    }

    /// How often a fault met a phase.
    pub fn met(&self, fault: Fault, phase: Phase) -> u64 {
        self.faults.get(&(fault, phase)).copied().unwrap_or(0)
    }

    /// What sessions told and went through, and how often.
    pub fn told(&self) -> impl Iterator<Item = (&str, u64)> {
        let events = self.events.iter().map(|(name, count)| (*name, *count));
        events.chain(Sighting::ALL.iter().map(|seen| (seen.name(), self.sightings.count(*seen))))
    }

    /// The pairs of a fault and a phase that met less often than this, and what happened less often.
    pub fn missing(&self, least: u64) -> Vec<String> {
        let pairs = Fault::ALL.iter().flat_map(|fault| Phase::ALL.iter().map(move |phase| (*fault, *phase)));
        let pairs = pairs.filter(|(fault, phase)| can_meet(*fault, *phase));
        let pairs = pairs.map(|(fault, phase)| (format!("{fault:?} in {phase:?}"), self.met(fault, phase)));
        let count = |name: &&&str| self.events.get(**name).copied().unwrap_or(0);
        let told = names::EXPECTED.iter().map(|name| (format!("told {name:?}"), count(&name)));
        let seen = Sighting::ALL.iter().map(|seen| (seen.name().to_owned(), self.sightings.count(*seen)));
        let all = pairs.chain(told).chain(seen);
        all.filter(|(_, count)| *count < least).map(|(name, count)| format!("{name}: {count}")).collect()
    }
}

/// Whether a fault can do anything to a session that is there.
fn can_meet(fault: Fault, phase: Phase) -> bool {
    match (fault, phase) {
        // There is no connection, and nothing on its way, before the dialling has come to its end.
        (
            Fault::ResetUnreported | Fault::HalfOpen | Fault::ServerCloses | Fault::Corrupt | Fault::Lie,
            Phase::Connecting,
        ) => false,
        // Where there is a leader, whoever can hear it isn't read-only; the others don't hear of another one.
        (Fault::LeaderChange, Phase::ReadOnly) => false,
        _ => true,
    }
}
