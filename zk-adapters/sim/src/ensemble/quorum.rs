//! Who leads, who follows, and who is left alone.

use zk_session::Instant;

use crate::ensemble::{
    SimEnsemble,
    server::{Role, Server},
};

impl SimEnsemble {
    /// When the next server notices something about the quorum.
    pub(super) fn next_of_quorum(&self) -> Option<Instant> {
        let awake = self.servers.iter().filter(|server| !server.is_paused);
        let noticed = awake.flat_map(|server| [server.cut_off_at, server.read_only_at]);
        noticed.chain([self.election, self.dissolution]).flatten().min()
    }

    /// Does the first that is due; whether there was something.
    pub(super) fn step_quorum(&mut self) -> bool {
        let now = self.now;
        let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if is_due(self.dissolution) {
            self.dissolve();
            return true;
        }
        if is_due(self.election) {
            self.elect();
            return true;
        }
        for number in 0..self.servers.len() {
            let server = &mut self.servers[number];
            if server.is_paused {
                continue;
            }
            if is_due(server.cut_off_at) {
                self.look(number);
                return true;
            }
            if is_due(server.read_only_at) {
                server.read_only_at = None;
                server.role = Role::ReadOnly;
                return true;
            }
        }
        false
    }

    /// Something has changed about who can talk to whom.
    pub(super) fn recheck(&mut self) {
        let has_quorum = self.has_quorum();
        match self.leader {
            Some(leader) if has_quorum && self.servers[leader].is_live() => {
                self.dissolution = None;
                (0..self.servers.len()).for_each(|number| self.recheck_follower(number));
            }
            Some(leader) if self.servers[leader].role == Role::Down => self.dissolve(),
            Some(_) => {
                let notice = self.now + self.options.sync_limit;
                self.dissolution.get_or_insert(notice);
            }
            None if has_quorum => {
                let over = self.now + self.election_time();
                self.election.get_or_insert(over);
            }
            None => self.election = None,
        }
    }

    fn recheck_follower(&mut self, number: usize) {
        let server = &mut self.servers[number];
        match (server.is_live(), server.role) {
            (true, Role::Looking | Role::ReadOnly) => self.join(number),
            (true, Role::Serving) => {
                server.cut_off_at = None;
                for proposal in core::mem::take(&mut server.outbox) {
                    self.propose(proposal);
                }
            }
            (false, Role::Serving) => {
                let notice = self.now + self.options.sync_limit;
                server.cut_off_at.get_or_insert(notice);
            }
            _ => {}
        }
    }

    fn has_quorum(&self) -> bool {
        self.servers.iter().filter(|server| server.is_live()).count() * 2 > self.servers.len()
    }

    fn election_time(&self) -> core::time::Duration {
        if self.servers.len() == 1 { core::time::Duration::ZERO } else { self.options.election }
    }

    /// The leader is lost. What it hadn't decided is forgotten.
    pub(super) fn dissolve(&mut self) {
        (self.leader, self.dissolution) = (None, None);
        self.proposals.clear();
        for number in 0..self.servers.len() {
            let server = &mut self.servers[number];
            match (server.role, server.is_paused) {
                (Role::Serving, false) => self.look(number),
                (Role::Serving, true) => server.has_lost_leader = true,
                _ => {}
            }
        }
        self.recheck();
    }

    /// A server has lost its leader: it closes its connections, and serves nobody for now.
    pub(super) fn look(&mut self, number: usize) {
        self.close_all(number);
        let read_only_at = self.options.read_only.then(|| self.now + self.options.tick);
        let server = &mut self.servers[number];
        server.role = Role::Looking;
        server.inbox.clear();
        server.outbox.clear();
        server.has_lost_leader = false;
        (server.cut_off_at, server.read_only_at) = (None, read_only_at);
    }

    /// Those who can talk to each other elect the one who knows most.
    pub(super) fn elect(&mut self) {
        self.election = None;
        if !self.has_quorum() {
            return;
        }
        let live = self.servers.iter().enumerate().filter(|(_, server)| server.is_live());
        let leader = live.max_by_key(|(number, server)| (server.applied, *number)).map(|(number, _)| number);
        self.begin_epoch(leader.expect("a quorum is somebody"));
    }

    /// This server leads from now on.
    pub(super) fn begin_epoch(&mut self, leader: usize) {
        self.leader = Some(leader);
        if self.servers.len() > 1 {
            self.last_zxid = ((self.last_zxid >> 32) + 1) << 32;
        }
        self.sessions.restart(self.now);
        self.next_container_check = self.now + self.options.container_check;
        self.join(leader);
        for number in 0..self.servers.len() {
            if self.servers[number].is_live() && number != leader {
                self.join(number);
            }
        }
    }

    /// A server follows the leader, and knows all that is decided.
    fn join(&mut self, number: usize) {
        self.close_all(number);
        let known = self.trimmed + self.log.len();
        if self.servers[number].applied < self.trimmed {
            let best = self.servers.iter().max_by_key(|server| server.applied).expect("there are servers");
            (self.servers[number].tree, self.servers[number].applied) = (best.tree.clone(), best.applied);
        }
        let server = &mut self.servers[number];
        for index in server.applied..known {
            server.tree.apply(&self.log[index - self.trimmed], &mut Vec::new());
        }
        server.applied = known;
        server.role = Role::Serving;
        server.inbox.clear();
        server.outbox.clear();
        (server.cut_off_at, server.read_only_at) = (None, None);
    }

    /// A server that was paused wakes up, and reads what has come meanwhile.
    pub(super) fn wake(&mut self, number: usize) {
        let server: &mut Server = &mut self.servers[number];
        server.is_paused = false;
        if server.has_lost_leader {
            self.look(number);
        }
        self.recheck();
        let peers: Vec<_> =
            self.peers.iter().filter(|(_, peer)| peer.server == number).map(|(id, _)| *id).collect();
        peers.into_iter().for_each(|id| self.pump(id));
    }
}
