//! How the clients of an ensemble spread when its list of servers changes: each decides for itself whether to
//! move, with probabilities that even out the load (ZOOKEEPER-1355, `StaticHostProvider.updateServerList`).

use alloc::vec::Vec;

use zk_proto::ServerAddr;

use crate::random::Random;

/// A move under way: servers are drawn from the new and the kept ones until one accepts.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "model", derive(PartialEq))]
pub(crate) struct Move {
    new: Vec<ServerAddr>,
    kept: Vec<ServerAddr>,
    new_probability: f64,
}

impl Move {
    /// What a client on `current` does when `servers` (in the order in which they will be tried) replace
    /// `before`: nothing, or a move.
    pub(crate) fn decide(
        before: &[ServerAddr],
        servers: &[ServerAddr],
        current: &ServerAddr,
        random: &mut Random,
    ) -> Option<Self> {
        let (kept, new): (Vec<_>, Vec<_>) =
            servers.iter().cloned().partition(|server| before.contains(server));
        let (size, kept_len, total) = (before.len() as f64, kept.len() as f64, servers.len() as f64);
        let is_kept = servers.contains(current);
        let new_probability = if total > size {
            if is_kept && random.fraction() > 1.0 - size / total {
                return None;
            }
            1.0
        } else if is_kept {
            return None;
        } else if size == kept_len {
            0.0
        } else {
            1.0 - kept_len * (size - total) / (total * (size - kept_len))
        };
        Some(Self { new, kept, new_probability })
    }

    /// The next server to try; none when all have been tried.
    pub(crate) fn next(&mut self, random: &mut Random) -> Option<ServerAddr> {
        let takes_new = random.fraction() <= self.new_probability;
        let from = if !self.new.is_empty() && (takes_new || self.kept.is_empty()) {
            &mut self.new
        } else {
            &mut self.kept
        };
        if from.is_empty() { None } else { Some(from.remove(0)) }
    }
}

#[cfg(feature = "model")]
impl Eq for Move {}

#[cfg(feature = "model")]
impl core::hash::Hash for Move {
    fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
        (&self.new, &self.kept, self.new_probability.to_bits()).hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn servers(ports: core::ops::Range<u16>) -> Vec<ServerAddr> {
        ports.map(|port| ServerAddr { host: "h".into(), port }).collect()
    }

    fn moved(before: &[ServerAddr], after: &[ServerAddr], rounds: u64) -> Vec<Option<ServerAddr>> {
        (0..rounds)
            .map(|seed| {
                let mut random = Random::new(seed);
                let current = &before[seed as usize % before.len()];
                Move::decide(before, after, current, &mut random)
                    .map(|mut plan| plan.next(&mut random).expect("a server to go to"))
            })
            .collect()
    }

    #[test]
    fn growing_from_three_to_five_moves_two_of_five_to_the_new_ones() {
        let moves = moved(&servers(1..4), &servers(1..6), 10_000);
        let count = moves.iter().flatten().count();
        assert!((3_800..4_200).contains(&count), "{count}");
        assert!(moves.iter().flatten().all(|server| server.port >= 4));
    }

    #[test]
    fn shrinking_moves_only_those_whose_server_is_gone() {
        let moves = moved(&servers(1..6), &servers(1..4), 10_000);
        for (client, to) in moves.iter().enumerate() {
            assert_eq!(to.is_some(), client % 5 >= 3);
        }
    }

    #[test]
    fn replacing_servers_leaves_an_even_load() {
        // 1, 2 and 3 become 3, 4 and 5: nobody leaves 3, and those of 1 and 2 go to 4 and 5.
        let moves = moved(&servers(1..4), &servers(3..6), 9_000);
        let at = |port| moves.iter().flatten().filter(|server| server.port == port).count();
        assert_eq!(at(3), 0);
        assert_eq!(at(4) + at(5), 6_000);
    }

    #[test]
    fn fewer_servers_some_of_them_new_have_an_even_load() {
        // Each of 4 to 7 is to have a quarter; 4 and 5 have a fifth each already.
        let moves = moved(&servers(1..6), &servers(4..8), 10_000);
        let at = |port| moves.iter().flatten().filter(|server| server.port == port).count();
        assert_eq!(moves.iter().flatten().count(), 6_000);
        assert!((4_800..5_200).contains(&(at(6) + at(7))), "{} and {}", at(6), at(7));
    }

    #[test]
    fn a_list_that_only_loses_the_current_server_has_a_place_to_go() {
        let before = servers(1..3);
        let mut random = Random::new(1);
        let mut plan = Move::decide(&before, &servers(1..2), &before[1], &mut random).expect("a move");
        assert_eq!(plan.next(&mut random).map(|server| server.port), Some(1));
        assert_eq!(plan.next(&mut random), None);
    }
}
