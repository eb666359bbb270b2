//! The harness on real servers.

use core::time::Duration;
use std::time::Instant;

use zk_harness::{Ensemble, Mode};

#[test]
fn a_standalone_server_serves_soon() {
    let begin = Instant::now();
    let ensemble = Ensemble::standalone().unwrap();
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    assert_eq!(ensemble.mode(0), Some(Mode::Standalone));
    assert_eq!(ensemble.leader(), Some(0));
    assert_eq!(ensemble.four_letter_word(0, "ruok").unwrap(), "imok");
}

#[test]
fn an_ensemble_of_three() {
    let _begin = Instant::now();
    let ensemble = Ensemble::start(3).unwrap();
    let leader = ensemble.leader().unwrap();
    let _begin = Instant::now();
    ensemble.kill(leader);
    let next = ensemble.wait_for_leader(Duration::from_secs(30)).unwrap();
    assert_ne!(leader, next);
    ensemble.restart(leader).unwrap();
    assert_eq!(ensemble.mode(leader), Some(Mode::Follower));
}
