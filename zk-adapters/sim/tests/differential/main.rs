//! The simulated ensemble answers as a real ZooKeeper does: the same is done to both, and every reply and every event is
//! compared, up to zxids, times and session ids, which are mapped one to one.
//!
//! `ZK_DIFFERENTIAL_OPERATIONS` says how many operations are compared (2,000 unless told), `ZK_DIFFERENTIAL_SEED` with
//! which of all sequences to begin. `ZOOKEEPER_HOME` chooses the version.
#![expect(clippy::wildcard_enum_match_arm, reason = "a comparison looks for a few messages among many")]

mod calls;
mod mapping;
mod messages;
mod pair;
mod regressions;
mod sides;
mod steps;
mod time;
mod trees;
mod versions;

use core::cell::Cell;
use std::{
    env,
    sync::{Mutex, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use pair::{Outcome, Pace, Pair, Tally};
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use steps::{Step, steps};

/// One pair for all tests: a server takes its time to start.
static PAIR: Mutex<Option<Pair>> = Mutex::new(None);

#[test]
fn generated_operations_have_the_same_effects_on_both() {
    let operations = variable("ZK_DIFFERENTIAL_OPERATIONS").unwrap_or(2_000);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
    let mut seed = variable("ZK_DIFFERENTIAL_SEED").unwrap_or(now * 1_000_000);
    let mut done = 0;
    while done < operations {
        done += check_seed(seed);
        seed += 1;
    }
    let slot = PAIR.lock().unwrap_or_else(PoisonError::into_inner);
    let Tally { replies, refusals, events } = slot.as_ref().expect("nothing has failed").tally;
    println!(
        "{done} operations, {replies} replies of which {refusals} refusals, {events} events: no difference"
    );
    // What is compared is worth it.
    let granted = replies - refusals;
    assert!(done < 1_000 || granted > done / 3 && refusals > done / 5 && events > done / 25);
}

fn variable(name: &str) -> Option<u64> {
    let value = env::var(name).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name}: {value:?} is not a number")))
}

/// Compares one sequence, and says how long it was. A failing one is made shorter, and shown.
fn check_seed(seed: u64) -> u64 {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config = Config { cases: 1, max_shrink_iters: 400, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let len = Cell::new(0);
    let outcome = runner.run(&steps(), |steps| {
        len.set(steps.iter().map(Step::len).sum());
        run(&steps).map_err(TestCaseError::fail)
    });
    match outcome {
        Ok(()) => len.get(),
        Err(TestError::Fail(what, steps)) => {
            panic!("ZK_DIFFERENTIAL_SEED={seed} {what}\nsteps, as short as they can be: {steps:#?}")
        }
        Err(TestError::Abort(why)) => panic!("ZK_DIFFERENTIAL_SEED={seed} {why}"),
    }
}

/// Does the same to both, and compares their trees in the end. After a difference, both begin anew.
fn run(steps: &[Step]) -> Outcome {
    let mut slot = PAIR.lock().unwrap_or_else(PoisonError::into_inner);
    let mut pair = slot.take().unwrap_or_else(|| Pair::start(Pace::Still));
    for (at, step) in steps.iter().enumerate() {
        pair.perform(step).map_err(|what| format!("step {at}, {step:?}: {what}"))?;
    }
    trees::compare(&mut pair).map_err(|what| format!("in the end: {what}"))?;
    pair.close_all()?;
    *slot = Some(pair);
    Ok(())
}
