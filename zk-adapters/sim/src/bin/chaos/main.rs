//! Runs many random schedules of faults, each from its own seed, and tells what they came upon.
//!
//! `chaos [--seeds N] [--from N] [--steps N] [--threads N] [--least N]`; `chaos --seed N` runs that one alone, and tells its
//! story. What fails is made short and printed as a transcript, which `chaos --replay FILE` judges. Built with the feature
//! `planted`, `chaos --planted [N]` checks the checks.

mod planted;
mod total;
mod wanted;

use core::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};
use std::{path::Path, process::ExitCode, sync::Mutex, time::Instant};

use total::Total;
use wanted::Wanted;
use zk_sim::{Broken, Chaos, Outcome, replay};

fn main() -> ExitCode {
    let Some(wanted) = Wanted::parse(std::env::args().skip(1)) else {
        eprintln!("{}", wanted::USAGE);
        return ExitCode::from(2);
    };
    Broken::instead_of_panics();
    if wanted.plant.as_ref().is_some_and(|defect| !planted::plant(defect)) {
        return ExitCode::from(2);
    }
    let is_well = match (&wanted.replay, wanted.planted) {
        (Some(path), _) => is_well_replayed(path),
        (None, Some(sample)) => planted::run(sample, &wanted),
        (None, None) => run(&wanted),
    };
    if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn is_well_replayed(path: &Path) -> bool {
    let replayed = match std::fs::read_to_string(path) {
        Ok(transcript) => replay(&transcript).map_err(|broken| broken.message),
        Err(error) => Err(error.to_string()),
    };
    println!("{}", replayed.as_ref().err().map_or("no promise is broken", String::as_str));
    replayed.is_ok()
}

/// Runs all seeds; whether all is well.
fn run(wanted: &Wanted) -> bool {
    let begin = Instant::now();
    let total = Mutex::new(Total::default());
    let next = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..wanted.threads {
            scope.spawn(|| work(wanted, &next, &total));
        }
    });
    let total = total.into_inner().expect("no thread holds it");
    total.print(begin.elapsed());
    let missing = if wanted.least == 0 { Vec::new() } else { total.coverage.missing(wanted.least) };
    missing.iter().for_each(|missing| println!("met less than {} times: {missing}", wanted.least));
    total.failed.is_empty() && missing.is_empty()
}

/// Runs seeds until there are no more.
fn work(wanted: &Wanted, next: &AtomicU64, total: &Mutex<Total>) {
    loop {
        let Some(seed) = wanted.seed(next.fetch_add(1, Ordering::Relaxed)) else { return };
        let result = if wanted.seeds == 1 {
            Chaos::told(seed).run(wanted.steps)
        } else if seed.is_multiple_of(TWICE) {
            twice(seed, wanted.steps)
        } else {
            Chaos::seeded(seed).run(wanted.steps)
        };
        if let Err(broken) = &result {
            tell(seed, wanted.steps, broken);
        }
        total.lock().expect("no thread panics with it").add(seed, result);
    }
}

/// Tells what a run has broken, and of the first runs, the shortest way to it.
fn tell(seed: u64, steps: u64, broken: &Broken) {
    static TOLD: AtomicU64 = AtomicU64::new(0);
    eprintln!("FAILED: chaos --seed {seed} --steps {steps}\n{}", broken.message);
    if TOLD.fetch_add(1, Ordering::Relaxed) >= MOST_SHRUNK {
        return;
    }
    let begin = Instant::now();
    let Some(shrunk) = Chaos::shrink(seed, steps, || begin.elapsed() < LONGEST_SHRINKING) else { return };
    eprintln!(
        "shrunk from {} steps to {}, from {} calls to {}{}: {}",
        broken.step,
        shrunk.steps,
        shrunk.all_inputs,
        shrunk.inputs,
        if shrunk.is_shown { "" } else { ", which don't show it without the ensemble" },
        shrunk.broken.message,
    );
    print!("{}", shrunk.transcript);
}

/// INV-78: what is done twice comes out the same.
fn twice(seed: u64, steps: u64) -> Result<Outcome, Broken> {
    let first = Chaos::traced(seed).run(steps)?;
    let second = Chaos::traced(seed).run(steps)?;
    if first.trace == second.trace { Ok(first) } else { Err(Broken::unequal()) }
}

/// One of so many seeds runs twice.
const TWICE: u64 = 250;
/// So many failed runs are made short, and each within this time.
const MOST_SHRUNK: u64 = 3;
const LONGEST_SHRINKING: Duration = Duration::from_secs(20);
