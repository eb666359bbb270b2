//! What differs by nature between two servers: zxids, times and session ids, mapped one to one as they appear.

use std::collections::BTreeMap;

use zk_proto::{SessionId, Stat, Zxid};

/// Pairs of values, the simulated server's first.
#[derive(Default)]
pub(crate) struct Mapping {
    zxids: BTreeMap<Zxid, Zxid>,
    real_zxids: BTreeMap<Zxid, Zxid>,
    sessions: BTreeMap<SessionId, SessionId>,
    real_sessions: BTreeMap<SessionId, SessionId>,
    /// When transactions took place, on each side.
    times: [BTreeMap<Zxid, i64>; 2],
}

impl Mapping {
    /// What isn't a transaction's number is the same on both sides; the others are one to one, in the same order.
    pub(crate) fn zxid(&mut self, what: &str, sim: Zxid, real: Zxid) -> Result<(), String> {
        let wrong = || format!("{what}: {sim} simulated, {real} real");
        if sim <= Zxid(0) || real <= Zxid(0) {
            return if sim == real { Ok(()) } else { Err(wrong()) };
        }
        match (self.zxids.get(&sim), self.real_zxids.get(&real)) {
            (Some(to), Some(_)) if *to == real => return Ok(()),
            (None, None) => {}
            (known, from) => return Err(format!("{}; known are {known:?} and {from:?}", wrong())),
        }
        let before = self.zxids.range(..sim).next_back().is_none_or(|(_, before)| *before < real);
        let after = self.zxids.range(sim..).next().is_none_or(|(_, after)| *after > real);
        if !before || !after {
            return Err(format!("{}: out of order", wrong()));
        }
        self.zxids.insert(sim, real);
        self.real_zxids.insert(real, sim);
        Ok(())
    }

    /// The pair that is so many before the last; no transaction, if there aren't so many.
    pub(crate) fn aged(&self, age: usize) -> [Zxid; 2] {
        self.zxids.iter().nth_back(age).map_or([Zxid(0); 2], |(sim, real)| [*sim, *real])
    }

    pub(crate) fn session(&mut self, sim: SessionId, real: SessionId) -> Result<(), String> {
        let none = SessionId(0);
        let known = (self.sessions.get(&sim), self.real_sessions.get(&real));
        match known {
            _ if sim == none && real == none => Ok(()),
            (Some(to), Some(_)) if *to == real => Ok(()),
            (None, None) if sim != none && real != none => {
                self.sessions.insert(sim, real);
                self.real_sessions.insert(real, sim);
                Ok(())
            }
            _ => Err(format!("session: {sim} simulated, {real} real; known are {known:?}")),
        }
    }

    /// Compares what is mapped of two stats, and takes it out.
    pub(crate) fn stat(&mut self, sim: &mut Stat, real: &mut Stat) -> Result<(), String> {
        self.zxid("czxid", sim.czxid, real.czxid)?;
        self.zxid("mzxid", sim.mzxid, real.mzxid)?;
        self.zxid("pzxid", sim.pzxid, real.pzxid)?;
        self.session(sim.ephemeral_owner, real.ephemeral_owner)?;
        for (side, stat) in [&mut *sim, &mut *real].into_iter().enumerate() {
            self.time(side, stat.czxid, stat.ctime)?;
            self.time(side, stat.mzxid, stat.mtime)?;
            *stat = Stat {
                czxid: Zxid(0),
                mzxid: Zxid(0),
                pzxid: Zxid(0),
                ctime: 0,
                mtime: 0,
                ephemeral_owner: SessionId(0),
                ..*stat
            };
        }
        Ok(())
    }

    /// A transaction has one time, whoever tells of it, and zxid 0 has none.
    fn time(&mut self, side: usize, zxid: Zxid, time: i64) -> Result<(), String> {
        let known = *self.times[side].entry(zxid).or_insert(if zxid == Zxid(0) { 0 } else { time });
        if known == time {
            return Ok(());
        }
        let side = ["simulated", "real"][side];
        Err(format!("{side}: transaction {zxid} took place at {known}, and at {time}"))
    }
}
