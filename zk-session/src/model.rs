//! When two sessions are the same state: for programs that search through all states of a session.
//!
//! The configuration and the counters of [`Stats`](crate::Stats) don't count, for nothing follows from them, apart
//! from the bytes received and the pings, which a frame's growth is measured by.

use core::hash::{Hash, Hasher};

use crate::Session;

impl Session {
    fn parts(&self) -> impl Hash + PartialEq {
        let Self {
            config: _,
            chroot: _,
            stats,
            state,
            now,
            outbox,
            timers,
            connection,
            watches,
            identity,
            identities,
            xids,
            closing,
            ensemble,
            deadlines,
            watches_asked_for,
            search,
            probe_interval,
            dialects,
            epoch,
            probes,
            connections,
            requests,
            accepted,
        } = self;
        let growth = connection.as_ref().and_then(|connection| connection.growth.as_ref());
        let grown = growth.map(|growth| (stats.bytes_received - growth.received, stats.pings - growth.pings));
        (
            (grown, state, now, outbox, timers, connection, requests),
            (watches, identity, identities, xids, closing, ensemble, deadlines),
            (watches_asked_for, search, probe_interval, dialects, epoch, probes),
            (connections, accepted),
        )
    }
}

#[doc(hidden)]
impl Hash for Session {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.parts().hash(state);
    }
}

/// Of sessions with the same configuration.
#[doc(hidden)]
impl PartialEq for Session {
    fn eq(&self, other: &Self) -> bool {
        self.parts() == other.parts()
    }
}

#[doc(hidden)]
impl Eq for Session {}
