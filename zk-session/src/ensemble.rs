//! Which server is tried next, and when.

use alloc::{boxed::Box, vec::Vec};
use core::time::Duration;

use zk_proto::ServerAddr;

use crate::{random::Random, rebalance::Move};

/// In which order a session tries its servers.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum ServerOrder {
    /// In random order, so that the clients of an ensemble spread over it.
    #[default]
    Shuffled,
    /// In the order of the connect string.
    AsListed,
    /// These first, as far as they are in the connect string, then the others; either in random order.
    PreferredFirst(Vec<ServerAddr>),
}

/// The servers of the connect string in the order in which they are tried, and what came of it.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "model", derive(PartialEq, Eq, Hash))]
pub(crate) struct Ensemble {
    servers: Vec<ServerAddr>,
    next: usize,
    next_to_probe: usize,
    /// The server of the last attempt.
    current: ServerAddr,
    /// In boxes, for they are rarely there.
    plan: Option<Box<Move>>,
    /// Where a read-write server was found.
    hint: Option<Box<ServerAddr>>,
    /// Attempts and short-lived connections since the last one that held.
    failures: usize,
    /// Attempts since the last accepted handshake.
    attempts: usize,
    random: Random,
}

impl Ensemble {
    pub(crate) fn new(servers: Vec<ServerAddr>, order: &ServerOrder, seed: u64) -> Self {
        let address = if planted!(AddressesAreSeeds) { servers.as_ptr().addr() as u64 } else { 0 };
        let mut random = Random::new(seed ^ address);
        let servers = ordered(servers, order, &mut random);
        Self {
            current: servers.first().cloned().unwrap_or_else(|| ServerAddr::new("", 0)),
            servers,
            next: 0,
            next_to_probe: 0,
            plan: None,
            hint: None,
            failures: 0,
            attempts: 0,
            random,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.servers.len()
    }

    /// The next server in turn; every other one comes before it comes again.
    pub(crate) fn next(&mut self) -> ServerAddr {
        let planned = |plan: &mut Option<Box<Move>>, random| plan.as_mut().and_then(|plan| plan.next(random));
        self.current =
            match self.hint.take().map(|hint| *hint).or_else(|| planned(&mut self.plan, &mut self.random)) {
                Some(server) => server,
                None => {
                    self.plan = None;
                    let server = self.servers[self.next].clone();
                    self.next = (self.next + usize::from(!planted!(OneServerOnly))) % self.servers.len();
                    server
                }
            };
        self.current.clone()
    }

    /// The next server to ask whether it is read-write; attempts go on in their own order.
    pub(crate) fn next_to_probe(&mut self) -> ServerAddr {
        self.next_to_probe = (self.next_to_probe + 1) % self.servers.len();
        self.servers[self.next_to_probe].clone()
    }

    /// The next attempt goes to this server.
    pub(crate) fn next_is(&mut self, server: &ServerAddr) {
        self.hint = Some(Box::new(server.clone()));
    }

    /// Replaces the servers; tells whether the session has to leave its current one.
    pub(crate) fn update(&mut self, servers: Vec<ServerAddr>, order: &ServerOrder) -> bool {
        let servers = ordered(servers, order, &mut self.random);
        self.plan = Move::decide(&self.servers, &servers, &self.current, &mut self.random).map(Box::new);
        self.hint = None;
        self.next =
            servers.iter().position(|server| *server == self.current).map_or(0, |at| at + 1) % servers.len();
        self.next_to_probe = 0;
        self.servers = servers;
        self.plan.is_some()
    }

    /// Notes a failed attempt; tells how many there were if that completes a cycle of all servers.
    pub(crate) fn attempt_failed(&mut self) -> Option<usize> {
        self.failures = self.failures.saturating_add(1);
        self.attempts = self.attempts.saturating_add(1);
        let is_cycle = self.attempts.is_multiple_of(self.servers.len()) && !planted!(FailedCyclesAreUntold);
        is_cycle.then_some(self.servers.len())
    }

    /// Notes an accepted handshake.
    pub(crate) fn accepted(&mut self) {
        self.attempts = 0;
        self.plan = None;
    }

    /// Notes the end of a connection that was accepted; one that didn't hold counts as a failure, so that a
    /// server that accepts and hangs up can't cause a storm.
    pub(crate) fn connection_lost(&mut self, held: bool) {
        self.failures = if held { 0 } else { self.failures.saturating_add(1) };
    }

    /// How long to wait before the next attempt, between these bounds and not longer than `at_most`: not at all in the
    /// first cycle after a connection that held.
    pub(crate) fn backoff(&mut self, (floor, cap): (Duration, Duration), at_most: Duration) -> Duration {
        let cycles = self.failures / self.servers.len();
        if cycles == 0 || planted!(NobodyBacksOff) {
            return Duration::ZERO;
        }
        let doubled = u32::try_from(cycles - 1)
            .ok()
            .and_then(|exponent| 2_u32.checked_pow(exponent))
            .and_then(|factor| FIRST_BOUND.checked_mul(factor))
            .unwrap_or(Duration::MAX);
        self.random.between(floor, doubled.min(cap).min(at_most))
    }
}

fn ordered(mut servers: Vec<ServerAddr>, order: &ServerOrder, random: &mut Random) -> Vec<ServerAddr> {
    match order {
        ServerOrder::AsListed => {}
        ServerOrder::Shuffled => random.shuffle(&mut servers),
        ServerOrder::PreferredFirst(preferred) => {
            random.shuffle(&mut servers);
            servers.sort_by_key(|server| !preferred.contains(server));
        }
    }
    servers
}

/// The longest wait after the first cycle of failures, as in the Java client.
const FIRST_BOUND: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;

    const BOUNDS: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(10));

    fn ensemble(count: usize, seed: u64) -> Ensemble {
        let servers = (0..count).map(|i| ServerAddr { host: format!("s{i}").into(), port: 2181 }).collect();
        Ensemble::new(servers, &ServerOrder::Shuffled, seed)
    }

    #[test]
    fn between_two_attempts_at_one_server_every_other_is_tried_once() {
        let mut ensemble = ensemble(5, 7);
        let first: Vec<_> = (0..5).map(|_| ensemble.next()).collect();
        let second: Vec<_> = (0..5).map(|_| ensemble.next()).collect();
        assert_eq!(first, second);
        let mut distinct = first;
        distinct.sort_by(|a, b| a.host.cmp(&b.host));
        distinct.dedup();
        assert_eq!(distinct.len(), 5);
    }

    #[test]
    fn the_seed_orders_the_servers() {
        let order = |seed| {
            let mut ensemble = ensemble(6, seed);
            (0..6).map(|_| ensemble.next().host).collect::<Vec<_>>()
        };
        assert_eq!(order(1), order(1));
        assert!((2..20).any(|seed| order(seed) != order(1)));
    }

    #[test]
    fn the_order_can_be_the_list_or_begin_with_the_preferred_ones() {
        let list: Vec<_> = (0..6).map(|port| ServerAddr { host: "h".into(), port }).collect();
        let ports = |order| {
            let mut ensemble = Ensemble::new(list.clone(), &order, 3);
            (0..6).map(|_| ensemble.next().port).collect::<Vec<_>>()
        };
        assert_eq!(ports(ServerOrder::AsListed), [0, 1, 2, 3, 4, 5]);
        let mut preferred = ports(ServerOrder::PreferredFirst(Vec::from([list[4].clone(), list[1].clone()])));
        preferred[..2].sort_unstable();
        assert_eq!(preferred[..2], [1, 4]);
    }

    #[test]
    fn the_first_cycle_is_not_delayed_and_later_ones_stay_within_floor_and_cap() {
        let mut ensemble = ensemble(3, 9);
        for _ in 0..2 {
            assert_eq!(ensemble.attempt_failed(), None);
            assert_eq!(ensemble.backoff(BOUNDS, Duration::MAX), Duration::ZERO);
        }
        assert_eq!(ensemble.attempt_failed(), Some(3));
        for _ in 0..500 {
            let delay = ensemble.backoff(BOUNDS, Duration::MAX);
            assert!((Duration::from_millis(50)..=Duration::from_secs(10)).contains(&delay), "{delay:?}");
            ensemble.attempt_failed();
        }
        assert!(ensemble.backoff(BOUNDS, Duration::from_millis(60)) <= Duration::from_millis(60));
        ensemble.connection_lost(true);
        assert_eq!(ensemble.backoff(BOUNDS, Duration::MAX), Duration::ZERO);
    }

    #[test]
    fn an_absurd_backoff_saturates() {
        let servers = Vec::from([ServerAddr { host: "a".into(), port: 1 }]);
        let mut ensemble = Ensemble::new(servers, &ServerOrder::AsListed, 0);
        ensemble.attempt_failed();
        assert_eq!(ensemble.backoff((Duration::MAX, Duration::MAX), Duration::MAX), Duration::MAX);
    }

    #[test]
    fn the_bound_of_the_wait_doubles_with_each_failed_cycle_up_to_the_cap() {
        let longest_wait = |cycles: usize| {
            let waits = (0..200).map(|seed| {
                let mut ensemble = ensemble(2, seed);
                for _ in 0..2 * cycles {
                    ensemble.attempt_failed();
                }
                ensemble.backoff(BOUNDS, Duration::MAX)
            });
            waits.max().expect("some seeds")
        };
        for (cycles, bound) in [(1, 1), (2, 2), (3, 4), (4, 8), (5, 10), (6, 10)] {
            let (longest, bound) = (longest_wait(cycles), Duration::from_secs(bound));
            assert!(longest <= bound && longest > bound * 9 / 10, "{cycles}: {longest:?}");
        }
    }
}
