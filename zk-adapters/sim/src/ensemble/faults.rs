//! What can go wrong with servers, by name.

use core::time::Duration;

use zk_session::{Instant, zk_proto::SessionId};

use crate::ensemble::{
    SimEnsemble, fresh_tree,
    server::{Role, Server},
    sessions::Sessions,
    watches::Watches,
};

/// Faults. Servers are numbered from 0 on; what isn't one is ignored.
impl SimEnsemble {
    /// Kills a server. Its tree survives; its connections and watches don't.
    pub fn crash(&mut self, server: usize, now: Instant) {
        self.fault(now, server, |ensemble| {
            ensemble.close_all(server);
            let state = &mut ensemble.servers[server];
            state.role = Role::Down;
            (state.is_paused, state.has_lost_leader) = (false, false);
            (state.cut_off_at, state.read_only_at) = (None, None);
            state.inbox.clear();
            state.outbox.clear();
        });
    }

    /// Starts a server that is down.
    pub fn restart(&mut self, server: usize, now: Instant) {
        self.fault(now, server, |ensemble| {
            let read_only_at = ensemble.options.read_only.then(|| ensemble.now + ensemble.options.tick);
            let state = &mut ensemble.servers[server];
            if state.role == Role::Down {
                state.role = Role::Looking;
                state.read_only_at = read_only_at;
            }
        });
    }

    /// A server that is down loses its disk. It gets the tree anew from the leader when it is back.
    pub fn lose_disk(&mut self, server: usize, now: Instant) {
        self.fault(now, server, |ensemble| {
            if ensemble.servers[server].role == Role::Down && ensemble.servers.len() > 1 {
                ensemble.servers[server].tree = fresh_tree(&ensemble.options);
                ensemble.servers[server].applied = 0;
            }
        });
    }

    /// Stops a server in its tracks: it still accepts connections and bytes, and does nothing with them.
    pub fn pause(&mut self, server: usize, now: Instant) {
        self.fault(now, server, |ensemble| {
            ensemble.servers[server].is_paused = ensemble.servers[server].role != Role::Down;
        });
    }

    /// Lets a paused server go on.
    pub fn resume(&mut self, server: usize, now: Instant) {
        self.fault(now, server, |ensemble| {
            if ensemble.servers[server].is_paused {
                ensemble.wake(server);
            }
        });
    }

    /// Cuts a server off from the others, not from clients.
    pub fn isolate(&mut self, server: usize, now: Instant) {
        self.fault(now, server, |ensemble| ensemble.servers[server].is_isolated = true);
    }

    /// Ends the isolation of a server.
    pub fn rejoin(&mut self, server: usize, now: Instant) {
        self.fault(now, server, |ensemble| ensemble.servers[server].is_isolated = false);
    }

    /// Makes a server hear of transactions so much later, and of those that are on their way no later than that.
    pub fn set_lag(&mut self, server: usize, lag: Duration, now: Instant) {
        self.fault(now, server, |ensemble| {
            let latest = ensemble.now + ensemble.options.hop + lag;
            let state = &mut ensemble.servers[server];
            state.lag = lag;
            state.inbox.iter_mut().for_each(|(due, _)| *due = latest.min(*due));
        });
    }

    /// Makes a server the leader, if it can be: all connections are closed, as at each change of leader.
    pub fn lead(&mut self, server: usize, now: Instant) {
        self.fault(now, server, |ensemble| {
            if ensemble.is_led() && ensemble.servers[server].is_live() && ensemble.servers.len() > 1 {
                ensemble.dissolve();
                ensemble.election = None;
                ensemble.begin_epoch(server);
            }
        });
    }

    /// Lets the leader end a session, as if it had not been heard of for its timeout.
    pub fn expire(&mut self, session: SessionId, now: Instant) {
        self.run(now);
        if self.is_led() && self.sessions.get(session).is_some() {
            self.end_session(session);
        }
        self.settle();
    }

    /// Closes all connections to a server, as an administrator can.
    pub fn close_connections(&mut self, server: usize, now: Instant) {
        self.fault(now, server, |ensemble| ensemble.close_all(server));
    }

    /// All servers lose everything, and start anew.
    pub fn wipe(&mut self, now: Instant) {
        self.run(now);
        (0..self.servers.len()).for_each(|server| self.close_all(server));
        let watches = Watches::new(self.options.version.one_mode_per_path());
        let server = Server::new(fresh_tree(&self.options), watches);
        self.servers.iter_mut().for_each(|state| *state = server.clone());
        self.sessions = Sessions::new(self.options.tick, self.options.seed.wrapping_add(1));
        self.log.clear();
        self.proposals.clear();
        (self.trimmed, self.last_zxid, self.leader, self.dissolution) = (0, 0, None, None);
        self.elect();
        self.settle();
    }

    /// Starts, resumes and rejoins all servers, without lag.
    pub fn heal(&mut self, now: Instant) {
        for server in 0..self.servers.len() {
            self.set_lag(server, Duration::ZERO, now);
            self.rejoin(server, now);
            self.resume(server, now);
            self.restart(server, now);
        }
    }

    fn fault(&mut self, now: Instant, server: usize, fault: impl FnOnce(&mut Self)) {
        self.run(now);
        if server < self.servers.len() {
            fault(self);
            self.recheck();
        }
        self.settle();
    }
}
