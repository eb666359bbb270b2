//! What sessions were doing when the leader ended them, and what they were told of it.

use std::collections::BTreeMap;

use zk_session::{
    Event, ExpiredBy, State,
    zk_proto::{SessionId, Zxid},
};

use crate::{
    books::Sighting,
    chaos::{Chaos, Coverage},
    ensemble::Txn,
    world::{ClientId, World},
};

/// Which sessions have ended, and weren't told so yet.
#[derive(Clone, Debug, Default)]
pub(super) struct Expiries {
    /// The last transaction that was looked at.
    looked_at: Zxid,
    untold: BTreeMap<ClientId, Doing>,
}

#[derive(Clone, Copy, Debug)]
enum Doing {
    Dialling,
    BackingOff,
    ShakingHands,
    Priming,
    Closing,
}

impl Doing {
    fn of(world: &World, client: ClientId) -> Option<Self> {
        let session = world.session(client);
        Some(match session.state() {
            state if state.is_terminal() => return None,
            _ if world.books(client).is_closing() => Self::Closing,
            State::Connecting if world.server(client).is_some() => Self::Dialling,
            State::Connecting => Self::BackingOff,
            State::Associating => Self::ShakingHands,
            _ if !session.is_ready() => Self::Priming,
            _ => return None,
        })
    }

    fn expired(self) -> Sighting {
        match self {
            Self::Dialling => Sighting::ExpiredDialling,
            Self::BackingOff => Sighting::ExpiredBackingOff,
            Self::ShakingHands => Sighting::ExpiredShakingHands,
            Self::Priming => Sighting::ExpiredPriming,
            Self::Closing => Sighting::ExpiredClosing,
        }
    }

    fn told(self) -> Sighting {
        match self {
            Self::Dialling => Sighting::ToldDialling,
            Self::BackingOff => Sighting::ToldBackingOff,
            Self::ShakingHands => Sighting::ToldShakingHands,
            Self::Priming => Sighting::ToldPriming,
            Self::Closing => Sighting::ToldClosing,
        }
    }
}

impl Expiries {
    pub(super) fn event(&mut self, client: ClientId, event: &Event, coverage: &mut Coverage) {
        if let Event::Expired { by: ExpiredBy::Server, .. } | Event::Closed { confirmed: true } = event
            && let Some(doing) = self.untold.remove(&client)
        {
            coverage.saw(doing.told());
        }
    }
}

impl Chaos {
    /// Sees which sessions the leader has ended since the last look.
    pub(super) fn note_expiries(&mut self) {
        let ensemble = self.world.ensemble();
        let (last, looked_at) = (ensemble.last_zxid(), self.expiries.looked_at);
        if last == looked_at {
            return;
        }
        self.expiries.looked_at = last;
        let new = ensemble.log().rev().take_while(|entry| entry.zxid > looked_at);
        let expired: Vec<SessionId> = new
            .filter(|entry| entry.cxid == 0)
            .filter_map(|entry| match entry.txn {
                Txn::CloseSession { session, .. } => Some(session),
                _ => None,
            })
            .collect();
        expired.into_iter().for_each(|session| self.note_expired(session));
    }

    fn note_expired(&mut self, session: SessionId) {
        let is_it = |client: &ClientId| {
            self.world.session(*client).credentials().is_some_and(|known| known.session_id == session)
        };
        let Some(client) = self.sessions.iter().copied().find(is_it) else { return };
        if let Some(doing) = Doing::of(&self.world, client) {
            self.coverage.saw(doing.expired());
            self.expiries.untold.insert(client, doing);
        }
    }
}
