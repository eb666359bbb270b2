//! An ensemble of ZooKeeper servers in memory: bytes and time in, bytes and wake-ups out.
//!
//! It speaks the server's side of the whole protocol, holds a data tree on each server, tracks sessions, elects leaders and
//! lets followers lag, all of it deterministically: same inputs, same outputs. It opens no socket and reads no clock.
//! What real servers do, it is checked against, operation by operation.
//!
//! # Example
//!
//! ```
//! use zk_sim::{Options, Output, SimEnsemble};
//! use zk_session::{Instant, zk_proto::{BytesMut, ConnectRequest}};
//!
//! let mut ensemble = SimEnsemble::new(Options::default(), Instant::ZERO);
//! let peer = ensemble.connect(0, "127.0.0.1".parse()?, Instant::ZERO).expect("the server runs");
//! let mut hello = BytesMut::new();
//! ConnectRequest { time_out: 10_000, ..ConnectRequest::default() }.encode_frame(&mut hello);
//! ensemble.receive(peer, &hello, Instant::ZERO);
//! assert!(matches!(ensemble.poll_output(), Some(Output::Send { bytes, .. }) if bytes.len() > 36));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "most matches here name a few operations of many: the rest is answered alike"
)]

mod access;
mod condition;
mod faults;
mod leader;
mod options;
mod peer;
mod prepare;
mod quorum;
mod reads;
mod replies;
mod server;
mod serving;
mod sessions;
mod text;
mod tree;
mod txn;
mod watches;
mod words;

use core::net::IpAddr;
use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

use zk_session::{
    Instant,
    zk_proto::{Bytes, SessionId, WatcherType, Zxid},
};

use crate::ensemble::{
    peer::Peer,
    server::{Proposal, Role, Server},
    sessions::Sessions,
    watches::{Modes, Table, Watches},
};

pub use options::{Options, UnknownVersion, Version};
pub use peer::PeerId;
pub use tree::{Tree, Znode};
pub use txn::{Owner, Transaction, Txn};

/// What an ensemble does to a client's connection.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "whoever carries the bytes must handle both")]
pub enum Output {
    /// Sends bytes to the client.
    Send {
        /// The connection.
        peer: PeerId,
        /// The bytes.
        bytes: Bytes,
    },
    /// Closes the connection; nothing is sent on it after that.
    Close {
        /// The connection.
        peer: PeerId,
    },
}

/// ZooKeeper servers in memory and virtual time.
#[derive(Clone, Debug)]
pub struct SimEnsemble {
    options: Options,
    now: Instant,
    servers: Vec<Server>,
    peers: BTreeMap<PeerId, Peer>,
    last_peer: u64,
    sessions: Sessions,
    /// What was decided; its first entry has the index `trimmed`.
    log: VecDeque<Transaction>,
    trimmed: usize,
    last_zxid: i64,
    leader: Option<usize>,
    /// When an election is over.
    election: Option<Instant>,
    /// When all notice that the leader is lost.
    dissolution: Option<Instant>,
    next_container_check: Instant,
    proposals: BTreeMap<(Instant, u64), Proposal>,
    proposed: u64,
    outputs: VecDeque<Output>,
    /// Connections that have bytes to send.
    talking: Vec<PeerId>,
}

/// Inputs.
impl SimEnsemble {
    /// An ensemble whose servers are up and have elected a leader.
    pub fn new(options: Options, now: Instant) -> Self {
        let watches = Watches::new(options.version.one_mode_per_path());
        let server = Server::new(fresh_tree(&options), watches);
        let mut ensemble = Self {
            now,
            servers: vec![server; options.servers.max(1)],
            peers: BTreeMap::new(),
            last_peer: 0,
            sessions: Sessions::new(options.tick, options.seed),
            log: VecDeque::new(),
            trimmed: 0,
            last_zxid: 0,
            leader: None,
            election: None,
            dissolution: None,
            next_container_check: now + options.container_check,
            proposals: BTreeMap::new(),
            proposed: 0,
            outputs: VecDeque::new(),
            talking: Vec::new(),
            options,
        };
        ensemble.elect();
        ensemble
    }

    /// A client connects to a server, by its number from 0 on. None where nobody listens: the server is down.
    pub fn connect(&mut self, server: usize, address: IpAddr, now: Instant) -> Option<PeerId> {
        self.run(now);
        if self.servers.get(server)?.role == Role::Down {
            return None;
        }
        self.last_peer += 1;
        let id = PeerId(self.last_peer);
        let limit = self.options.max_client_cnxns;
        let same = self.peers.values().filter(|peer| peer.server == server && peer.address == address);
        if self.servers[server].role == Role::Looking || (limit > 0 && same.count() >= limit) {
            self.outputs.push_back(Output::Close { peer: id });
            return Some(id);
        }
        let idle_until = self.now + SESSIONLESS;
        self.peers.insert(id, Peer::new(server, address, self.options.max_frame_len, idle_until));
        Some(id)
    }

    /// A client's bytes arrive, in any pieces. Those of a connection that is gone are ignored.
    pub fn receive(&mut self, peer: PeerId, bytes: &[u8], now: Instant) {
        self.run(now);
        if let Some(state) = self.peers.get_mut(&peer) {
            state.unread.extend_from_slice(bytes);
            self.pump(peer);
        }
        self.settle();
    }

    /// The client's side of a connection is gone. The session lives on.
    pub fn disconnect(&mut self, peer: PeerId, now: Instant) {
        self.run(now);
        self.drop_peer(peer);
        self.settle();
    }

    /// Time has passed. To be called at [`SimEnsemble::poll_timeout`]; at any other time it does no harm.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.run(now);
    }
}

/// Outputs.
impl SimEnsemble {
    /// What happens next to a connection, in order.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`SimEnsemble::handle_timeout`] is to be called; none: nothing will happen by itself.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.next_due()
    }
}

/// Views.
impl SimEnsemble {
    /// How the ensemble was set up.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// The leader's number, if there is a leader.
    pub fn leader(&self) -> Option<usize> {
        self.leader
    }

    /// Whether a server serves clients as part of a quorum.
    pub fn is_serving(&self, server: usize) -> bool {
        self.servers.get(server).is_some_and(|server| server.role == Role::Serving)
    }

    /// A server's znodes.
    ///
    /// # Panics
    /// If there is no such server.
    pub fn tree(&self, server: usize) -> &Tree {
        &self.servers[server].tree
    }

    /// The last transaction that was decided.
    pub fn last_zxid(&self) -> Zxid {
        Zxid(self.last_zxid)
    }

    /// What was decided, in order. Of a long history the beginning is forgotten.
    pub fn log(&self) -> impl DoubleEndedIterator<Item = &Transaction> {
        self.log.iter()
    }

    /// The sessions that haven't ended.
    pub fn sessions(&self) -> impl Iterator<Item = SessionId> {
        self.sessions.ids()
    }

    /// The timeout of a session, and when it expires unless it is heard of.
    pub fn session(&self, id: SessionId) -> Option<(Duration, Instant)> {
        self.sessions.get(id).map(|session| (session.timeout, session.expires))
    }

    /// The session that a connection speaks for, once it has one.
    pub fn session_of(&self, peer: PeerId) -> Option<SessionId> {
        self.peers.get(&peer)?.session()
    }

    /// The watches of a connection: path and kind, by the type that would remove it.
    pub fn watches(&self, peer: PeerId) -> impl Iterator<Item = (&str, WatcherType)> {
        let server = self.peers.get(&peer).map(|peer| &self.servers[peer.server]);
        let all = server.into_iter().flat_map(move |server| server.watches.of(peer));
        all.flat_map(|(table, path, modes)| {
            let one_time = match table {
                Table::Data => WatcherType::DATA,
                Table::Child => WatcherType::CHILDREN,
            };
            let kinds = [
                (Modes::ONE_TIME, one_time),
                (Modes::PERSISTENT, WatcherType::PERSISTENT),
                (Modes::RECURSIVE, WatcherType::PERSISTENT_RECURSIVE),
            ];
            kinds.into_iter().filter(move |(mode, _)| modes.has(*mode)).map(move |(_, kind)| (path, kind))
        })
    }
}

/// The clock.
impl SimEnsemble {
    /// Does all that is due.
    fn run(&mut self, now: Instant) {
        while let Some(due) = self.next_due().filter(|due| *due <= now) {
            self.now = self.now.max(due);
            self.step();
        }
        self.now = self.now.max(now);
        self.settle();
    }

    /// Does all that needs no more time, and sends what is to be said.
    fn settle(&mut self) {
        while self.next_due().is_some_and(|due| due <= self.now) {
            self.step();
        }
        for id in core::mem::take(&mut self.talking) {
            self.flush(id);
        }
    }

    fn flush(&mut self, id: PeerId) {
        if let Some(peer) = self.peers.get_mut(&id).filter(|peer| !peer.out.is_empty()) {
            let bytes = peer.out.split().freeze();
            self.outputs.push_back(Output::Send { peer: id, bytes });
        }
    }

    fn next_due(&self) -> Option<Instant> {
        let led = self.is_led();
        let proposal = self.proposals.first_key_value().filter(|_| led).map(|((due, _), _)| *due);
        let delivery = self.servers.iter().filter_map(Server::next_delivery).min();
        let leaders = led.then(|| self.leaders_next());
        [proposal, delivery, leaders.flatten(), self.next_of_quorum(), self.next_idle()]
            .into_iter()
            .flatten()
            .min()
    }

    /// Does the first of what is due now.
    fn step(&mut self) {
        let now = self.now;
        if self.step_quorum() {
            return;
        }
        let due = |server: &Server| server.next_delivery().is_some_and(|due| due <= now);
        if let Some(server) = self.servers.iter().position(due) {
            return self.deliver_next(server);
        }
        if self.is_led() {
            if self.proposals.first_key_value().is_some_and(|((due, _), _)| *due <= now) {
                let (_, proposal) = self.proposals.pop_first().expect("it is there");
                return self.decide(proposal);
            }
            self.step_leader();
        }
        self.close_idle();
    }

    /// When the first connection has been silent for too long.
    fn next_idle(&self) -> Option<Instant> {
        let heard = self.peers.values().filter(|peer| !self.servers[peer.server].is_paused);
        heard.map(|peer| peer.idle_until).min()
    }

    fn close_idle(&mut self) {
        let is_idle = |peer: &Peer| peer.idle_until <= self.now && !self.servers[peer.server].is_paused;
        let idle: Vec<_> = self.peers.iter().filter(|(_, peer)| is_idle(peer)).map(|(id, _)| *id).collect();
        idle.into_iter().for_each(|id| self.close(id));
    }
}

/// Connections.
impl SimEnsemble {
    /// Sends what there is to send, and closes.
    fn close(&mut self, id: PeerId) {
        self.flush(id);
        if self.drop_peer(id) {
            self.outputs.push_back(Output::Close { peer: id });
        }
    }

    fn drop_peer(&mut self, id: PeerId) -> bool {
        let Some(peer) = self.peers.remove(&id) else { return false };
        self.servers[peer.server].watches.forget(id);
        true
    }

    fn close_all(&mut self, server: usize) {
        let peers: Vec<_> =
            self.peers.iter().filter(|(_, peer)| peer.server == server).map(|(id, _)| *id).collect();
        peers.into_iter().for_each(|id| self.close(id));
    }
}

fn fresh_tree(options: &Options) -> Tree {
    let config = (options.version > Version::V3_4).then(|| config_text(options.servers));
    Tree::new(config.as_deref())
}

/// The text of `/zookeeper/config`: a server that is alone has none.
fn config_text(servers: usize) -> String {
    if servers <= 1 {
        return String::new();
    }
    let line = |id: usize| {
        format!("server.{id}=127.0.0.1:{}:{}:participant;0.0.0.0:{}\n", 2887 + id, 3887 + id, 2180 + id)
    };
    (1..=servers).map(line).collect::<String>() + "version=0"
}

/// How long a connection may take to ask for a session: `zookeeper.nio.sessionlessCnxnTimeout`.
const SESSIONLESS: Duration = Duration::from_secs(10);
