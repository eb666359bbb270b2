//! What the runs have come upon: a fault that never meets a state proves nothing about it.

use std::collections::BTreeMap;

use zk_session::{Delivery, Event, Failure, RequestError, State, WatchEndReason};

use crate::{
    chaos::Fault,
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
    events: BTreeMap<String, u64>,
}

impl Coverage {
    pub(super) fn fault(&mut self, fault: Fault, phase: Phase) {
        *self.faults.entry((fault, phase)).or_default() += 1;
    }

    pub(super) fn event(&mut self, event: &Event) {
        *self.events.entry(name(event)).or_default() += 1;
    }

    /// Adds what another run came upon.
    pub fn add(&mut self, other: &Self) {
        for (key, count) in &other.faults {
            *self.faults.entry(*key).or_default() += count;
        }
        for (key, count) in &other.events {
            *self.events.entry(key.clone()).or_default() += count;
        }
    }

    /// How often a fault met a phase.
    pub fn met(&self, fault: Fault, phase: Phase) -> u64 {
        self.faults.get(&(fault, phase)).copied().unwrap_or(0)
    }

    /// What sessions told, and how often.
    pub fn told(&self) -> impl Iterator<Item = (&str, u64)> {
        self.events.iter().map(|(name, count)| (name.as_str(), *count))
    }

    /// The pairs of a fault and a phase that met less often than this, and what was told less often.
    pub fn missing(&self, least: u64) -> Vec<String> {
        let pairs = Fault::ALL.iter().flat_map(|fault| Phase::ALL.iter().map(move |phase| (*fault, *phase)));
        let pairs =
            pairs.filter(|(fault, phase)| can_meet(*fault, *phase) && self.met(*fault, *phase) < least);
        let pairs = pairs.map(|(fault, phase)| format!("{fault:?} in {phase:?}: {}", self.met(fault, phase)));
        let rare = |name: &&&str| self.events.get(**name).copied().unwrap_or(0) < least;
        pairs.chain(EXPECTED.iter().filter(rare).map(|name| format!("told {name:?}"))).collect()
    }
}

/// What needs a connection, or a session, doesn't meet those that have none.
fn can_meet(fault: Fault, phase: Phase) -> bool {
    !(phase == Phase::ReadOnly
        && matches!(fault, Fault::Steal | Fault::Stranger | Fault::Expire | Fault::ExpireAway))
}

fn name(event: &Event) -> String {
    match event {
        Event::Reply(reply) => match &reply.result {
            Ok(_) => "reply ok".to_owned(),
            Err(RequestError::Refused { results, .. }) if results.is_empty() => "reply refused".to_owned(),
            Err(RequestError::Refused { .. }) => "reply multi refused".to_owned(),
            Err(RequestError::Failed { failure, delivery }) => {
                let delivery = if *delivery == Delivery::NotSent { "not sent" } else { "maybe applied" };
                format!("reply {}, {delivery}", failure_name(failure))
            }
            Err(_) => "reply other".to_owned(),
        },
        Event::Watch(event) => format!("watch {:?}", event.event_type.0),
        Event::WatchEnded { reason, .. } => match reason {
            WatchEndReason::RearmFailed(_) => "watch ended, rearm failed".to_owned(),
            WatchEndReason::SessionEnded => "watch ended, session ended".to_owned(),
            _ => "watch ended, removed".to_owned(),
        },
        Event::Connected { resumed, read_only, .. } => format!("connected {resumed} {read_only}"),
        Event::Closed { confirmed } => format!("closed {confirmed}"),
        Event::Expired { by, reason } => format!("expired {by:?} {reason:?}"),
        other => format!("{other:?}").split([' ', '(', '{']).next().unwrap_or_default().to_owned(),
    }
}

fn failure_name(failure: &Failure) -> &'static str {
    match failure {
        Failure::ConnectionLoss => "connection loss",
        Failure::Deadline => "deadline",
        Failure::Cancelled => "cancelled",
        Failure::SessionExpired => "expired",
        Failure::AuthFailed => "auth failed",
        Failure::Closed => "closed",
        Failure::ReplyTooLarge { .. } => "too large",
        Failure::Unsupported { .. } => "unsupported",
        Failure::MalformedReply { .. } => "malformed",
        _ => "other",
    }
}

/// What sessions must have told in enough runs.
const EXPECTED: [&str; 30] = [
    "AbandonedCreate",
    "AllServersFailed",
    "AuthFailed",
    "Disconnected",
    "Late",
    "MayBeExpired",
    "Ready",
    "WatchesRestored",
    "closed false",
    "closed true",
    "connected false false",
    "connected false true",
    "connected true false",
    "expired Client Silence",
    "expired Server Refused",
    "reply cancelled, maybe applied",
    "reply cancelled, not sent",
    "reply connection loss, maybe applied",
    "reply connection loss, not sent",
    "reply deadline, maybe applied",
    "reply deadline, not sent",
    "reply multi refused",
    "reply ok",
    "reply refused",
    "reply too large, maybe applied",
    "watch 1",
    "watch 2",
    "watch 3",
    "watch 4",
    "watch ended, session ended",
];
