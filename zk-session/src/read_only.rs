//! Read-only mode: a session on a server that has lost its quorum looks for one that hasn't
//! (`ClientCnxn.SendThread.pingRwServer`).

use alloc::boxed::Box;
use core::time::Duration;

use crate::{Action, DisconnectReason, Instant, ProbeId, Session, State, Timer};

/// The search for a read-write server, while the session is on a read-only one.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "model", derive(PartialEq, Eq, Hash))]
pub(crate) struct Search {
    /// The probe whose answer counts, and whom it asks.
    probe: ProbeId,
    server: zk_proto::ServerAddr,
}

impl Session {
    /// What the server that a probe asked has answered to `isro`: `rw`, or anything else, or nothing. Answers
    /// to earlier probes than the last one are ignored.
    pub fn handle_probed(&mut self, probe: ProbeId, read_write: bool, now: Instant) {
        self.begin_input(now);
        let found = self.search.take_if(|search| search.probe == probe && read_write);
        if let (Some(search), State::ConnectedReadOnly) = (found, self.state) {
            self.ensemble.next_is(&search.server);
            if let Some(connection) = &mut self.connection {
                connection.leaving = Some(Box::new(DisconnectReason::ReadWriteServerFound));
            }
        }
    }

    /// The session has come to a read-only server: the search begins at once, or goes on where one before it
    /// ended without a read-write server.
    pub(crate) fn begin_search(&mut self) {
        self.timers.set(Timer::Probe, self.now + self.probe_interval);
    }

    pub(crate) fn end_search(&mut self) {
        self.search = None;
        self.timers.stop(Timer::Probe);
    }

    /// Asks the next server, and doubles the time to the one after it.
    pub(crate) fn probe(&mut self) {
        self.probe_interval = (self.probe_interval.max(FIRST_INTERVAL) * 2).min(LAST_INTERVAL);
        self.probes += 1;
        let (probe, server) = (ProbeId(self.probes), self.ensemble.next_to_probe());
        self.search = Some(Box::new(Search { probe, server: server.clone() }));
        self.timers.set(Timer::Probe, self.now + self.probe_interval);
        self.outbox.push(Action::Probe { probe, server });
    }
}

/// Doubled before each use, as in the Java client.
const FIRST_INTERVAL: Duration = Duration::from_millis(100);
const LAST_INTERVAL: Duration = Duration::from_secs(60);
