//! Which server is tried next, and when.

use alloc::vec::Vec;
use core::time::Duration;

use zk_proto::ServerAddr;

/// The servers of the connect string in the order in which they are tried, and what came of it.
#[derive(Clone, Debug)]
pub(crate) struct Ensemble {
    servers: Vec<ServerAddr>,
    next: usize,
    /// Attempts and short-lived connections since the last one that held.
    failures: usize,
    /// Attempts since the last accepted handshake.
    attempts: usize,
    random: Random,
    backoff: (Duration, Duration),
}

impl Ensemble {
    /// Shuffles the servers, so that the clients of an ensemble spread over it.
    pub(crate) fn new(mut servers: Vec<ServerAddr>, seed: u64, backoff: (Duration, Duration)) -> Self {
        let mut random = Random(seed);
        for unplaced in (2..=servers.len()).rev() {
            servers.swap(unplaced - 1, random.below(unplaced as u64) as usize);
        }
        Self { servers, next: 0, failures: 0, attempts: 0, random, backoff }
    }

    pub(crate) fn len(&self) -> usize {
        self.servers.len()
    }

    /// The next server in turn; every other one comes before it comes again.
    pub(crate) fn next(&mut self) -> ServerAddr {
        let server = self.servers[self.next].clone();
        self.next = (self.next + 1) % self.servers.len();
        server
    }

    /// Notes a failed attempt; tells how many there were if that completes a cycle of all servers.
    pub(crate) fn attempt_failed(&mut self) -> Option<usize> {
        self.failures = self.failures.saturating_add(1);
        self.attempts = self.attempts.saturating_add(1);
        (self.attempts % self.servers.len() == 0).then_some(self.servers.len())
    }

    /// Notes an accepted handshake.
    pub(crate) fn accepted(&mut self) {
        self.attempts = 0;
    }

    /// Notes the end of a connection that was accepted; one that didn't hold counts as a failure, so that a
    /// server that accepts and hangs up can't cause a storm.
    pub(crate) fn connection_lost(&mut self, held: bool) {
        self.failures = if held { 0 } else { self.failures.saturating_add(1) };
    }

    /// How long to wait before the next attempt: not at all in the first cycle after a connection that held.
    pub(crate) fn backoff(&mut self, at_most: Duration) -> Duration {
        let cycles = self.failures / self.servers.len();
        if cycles == 0 {
            return Duration::ZERO;
        }
        let (floor, cap) = self.backoff;
        let doubled = u32::try_from(cycles - 1)
            .ok()
            .and_then(|exponent| 2_u32.checked_pow(exponent))
            .and_then(|factor| FIRST_BOUND.checked_mul(factor))
            .unwrap_or(Duration::MAX);
        self.random.between(floor, doubled.min(cap).min(at_most))
    }
}

/// A small generator of pseudo-random numbers (SplitMix64): the same seed, the same numbers.
#[derive(Clone, Debug)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from zero up to, not including, `bound`.
    fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }

    /// A duration from `low` to `high`; `low` if that is the larger one.
    fn between(&mut self, low: Duration, high: Duration) -> Duration {
        let span = u64::try_from(high.saturating_sub(low).as_nanos()).unwrap_or(u64::MAX - 1);
        low.saturating_add(Duration::from_nanos(self.below(span.saturating_add(1))))
    }
}

/// The longest wait after the first cycle of failures, as in the Java client.
const FIRST_BOUND: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use alloc::{format, string::ToString};

    use super::*;

    fn ensemble(count: usize, seed: u64) -> Ensemble {
        let servers =
            (0..count).map(|i| ServerAddr { host: format!("s{i}").to_string(), port: 2181 }).collect();
        Ensemble::new(servers, seed, (Duration::from_millis(50), Duration::from_secs(10)))
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
    fn the_first_cycle_is_not_delayed_and_later_ones_stay_within_floor_and_cap() {
        let mut ensemble = ensemble(3, 9);
        for _ in 0..2 {
            assert_eq!(ensemble.attempt_failed(), None);
            assert_eq!(ensemble.backoff(Duration::MAX), Duration::ZERO);
        }
        assert_eq!(ensemble.attempt_failed(), Some(3));
        for _ in 0..500 {
            let delay = ensemble.backoff(Duration::MAX);
            assert!((Duration::from_millis(50)..=Duration::from_secs(10)).contains(&delay), "{delay:?}");
            ensemble.attempt_failed();
        }
        assert!(ensemble.backoff(Duration::from_millis(60)) <= Duration::from_millis(60));
        ensemble.connection_lost(true);
        assert_eq!(ensemble.backoff(Duration::MAX), Duration::ZERO);
    }

    #[test]
    fn an_absurd_backoff_saturates() {
        let servers = Vec::from([ServerAddr { host: "a".to_string(), port: 1 }]);
        let mut ensemble = Ensemble::new(servers, 0, (Duration::MAX, Duration::MAX));
        ensemble.attempt_failed();
        assert_eq!(ensemble.backoff(Duration::MAX), Duration::MAX);
    }
}
