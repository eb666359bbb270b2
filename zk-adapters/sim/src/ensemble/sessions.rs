//! The sessions of the ensemble, as its leader tracks them.

use core::time::Duration;
use std::collections::BTreeMap;

use zk_session::{
    Instant,
    zk_proto::{Bytes, SessionId},
};

use crate::ensemble::peer::PeerId;

/// All sessions that haven't ended.
#[derive(Clone, Debug)]
pub(crate) struct Sessions {
    open: BTreeMap<SessionId, Tracked>,
    tick: Duration,
    created: u64,
    seed: u64,
}

/// One of them.
#[derive(Clone, Debug)]
pub(crate) struct Tracked {
    pub(crate) timeout: Duration,
    /// When it expires unless it is heard of: a multiple of the tick.
    pub(crate) expires: Instant,
    /// The connection that speaks for it.
    pub(crate) owner: Option<PeerId>,
    /// The leader has decided its end; the servers haven't applied it yet.
    pub(crate) is_closing: bool,
}

impl Sessions {
    pub(crate) fn new(tick: Duration, seed: u64) -> Self {
        Self { open: BTreeMap::new(), tick, created: 0, seed }
    }

    /// A new id: the server in its high byte, as real ones have it.
    pub(crate) fn next_id(&mut self, server: usize) -> SessionId {
        self.created += 1;
        let middle = self.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 24 << 16;
        let low = (middle & 0x00FF_FFFF_FFFF_0000) | (self.created & 0xFFFF);
        SessionId((((server as u64 + 1) << 56) | low) as i64)
    }

    pub(crate) fn open(&mut self, id: SessionId, timeout: Duration, owner: PeerId, now: Instant) {
        let expires = self.expiry(now, timeout);
        self.open.insert(id, Tracked { timeout, expires, owner: Some(owner), is_closing: false });
    }

    pub(crate) fn get(&self, id: SessionId) -> Option<&Tracked> {
        self.open.get(&id).filter(|session| !session.is_closing)
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = SessionId> {
        self.open.iter().filter(|(_, session)| !session.is_closing).map(|(id, _)| *id)
    }

    /// A connection takes a session over.
    pub(crate) fn claim(&mut self, id: SessionId, timeout: Duration, owner: PeerId, now: Instant) -> bool {
        let expires = self.expiry(now, timeout);
        let Some(session) = self.open.get_mut(&id).filter(|session| !session.is_closing) else {
            return false;
        };
        (session.timeout, session.owner) = (timeout, Some(owner));
        session.expires = session.expires.max(expires);
        true
    }

    /// The session was heard of.
    pub(crate) fn touch(&mut self, id: SessionId, now: Instant) {
        if let Some(session) = self.open.get_mut(&id) {
            session.expires = session.expires.max(next_tick(now + session.timeout, self.tick));
        }
    }

    /// Its end is decided.
    pub(crate) fn begin_to_close(&mut self, id: SessionId) {
        if let Some(session) = self.open.get_mut(&id) {
            session.is_closing = true;
        }
    }

    pub(crate) fn remove(&mut self, id: SessionId) {
        self.open.remove(&id);
    }

    pub(crate) fn next_expiry(&self) -> Option<Instant> {
        self.open.values().filter(|session| !session.is_closing).map(|session| session.expires).min()
    }

    pub(crate) fn expired(&self, now: Instant) -> Vec<SessionId> {
        let due = self.open.iter().filter(|(_, session)| !session.is_closing && session.expires <= now);
        due.map(|(id, _)| *id).collect()
    }

    /// A new leader has heard of nobody yet: all start anew.
    pub(crate) fn restart(&mut self, now: Instant) {
        for session in self.open.values_mut() {
            session.expires = next_tick(now + session.timeout, self.tick);
        }
    }

    fn expiry(&self, now: Instant, timeout: Duration) -> Instant {
        next_tick(now + timeout, self.tick)
    }
}

/// `ExpiryQueue.roundToNextInterval`.
fn next_tick(at: Instant, tick: Duration) -> Instant {
    let (at, tick) = (at.as_nanos(), u64::try_from(tick.as_nanos()).unwrap_or(u64::MAX).max(1));
    Instant::from_nanos((at / tick).saturating_add(1).saturating_mul(tick))
}

/// The password of a session, which every server can check: `ZooKeeperServer.generatePasswd`.
pub(crate) fn password(id: SessionId) -> Bytes {
    const MULTIPLIER: u64 = 0x5_DEEC_E66D;
    const MASK: u64 = (1 << 48) - 1;
    let mut state = ((id.0 as u64 ^ 0xB341_5C00) ^ MULTIPLIER) & MASK;
    let mut bytes = Vec::with_capacity(16);
    for _ in 0..4 {
        state = (state.wrapping_mul(MULTIPLIER) + 0xB) & MASK;
        bytes.extend_from_slice(&((state >> 16) as u32).to_le_bytes());
    }
    bytes.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_those_of_real_servers() {
        let expected: Vec<u8> = (0..32)
            .step_by(2)
            .map(|at| u8::from_str_radix(&"054cc74a37327db215e702e20c73f005"[at..at + 2], 16).expect("hex"))
            .collect();
        assert_eq!(password(SessionId(1)), expected);
        assert_eq!(password(SessionId(0x0100_0000_0000_0001)), expected);
    }
}
