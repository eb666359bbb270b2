//! Runs many random schedules of faults, each from its own seed, and tells what they came upon.
//!
//! `chaos [--seeds N] [--from N] [--steps N] [--threads N] [--least N]`; `chaos --seed N` runs that one alone, and tells its
//! story. Built with the feature `planted`, `chaos --planted [N]` checks the checks.

mod planted;
mod total;

use core::sync::atomic::{AtomicU64, Ordering};
use std::{process::ExitCode, sync::Mutex, time::Instant};

use total::Total;
use zk_sim::{Broken, Chaos, Outcome};

fn main() -> ExitCode {
    let Some(wanted) = Wanted::parse(std::env::args().skip(1)) else {
        eprintln!(
            "usage: chaos [--seed N | --from N --seeds N] [--steps N] [--threads N] [--least N]\n\
             \x20      chaos --planted [N] [--from N] [--steps N] [--within SECONDS]\n\
             --least: the run fails if a fault met a state less often than this\n\
             --planted: plants every defect, or N of them, drawn from the seed that --from tells, and looks for each"
        );
        return ExitCode::from(2);
    };
    // What is broken is told below.
    std::panic::set_hook(Box::new(|_| {}));
    let is_well = match wanted.planted {
        Some(sample) => planted::run(sample, &wanted),
        None => run(&wanted),
    };
    if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

struct Wanted {
    from: u64,
    seeds: u64,
    steps: u64,
    threads: usize,
    least: u64,
    planted: Option<usize>,
    within: u64,
}

impl Wanted {
    fn parse(args: impl Iterator<Item = String>) -> Option<Self> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let mut wanted =
            Self { from: 0, seeds: 1_000, steps: 2_000, threads, least: 0, planted: None, within: 60 };
        let mut args = args.peekable();
        while let Some(name) = args.next() {
            let value = args.next_if(|value| !value.starts_with("--"));
            if (name.as_str(), &value) == ("--planted", &None) {
                wanted.planted = Some(usize::MAX);
                continue;
            }
            let value: u64 = value?.parse().ok()?;
            match name.as_str() {
                "--seed" => (wanted.from, wanted.seeds) = (value, 1),
                "--from" => wanted.from = value,
                "--seeds" => wanted.seeds = value,
                "--steps" => wanted.steps = value,
                "--threads" => wanted.threads = usize::try_from(value).ok()?.max(1),
                "--within" => wanted.within = value,
                "--least" => wanted.least = value,
                "--planted" => wanted.planted = Some(usize::try_from(value).ok()?),
                _ => return None,
            }
        }
        Some(wanted)
    }
}

/// Runs all seeds; whether all is well.
fn run(wanted: &Wanted) -> bool {
    let begin = Instant::now();
    let total = Mutex::new(Total::default());
    let next = AtomicU64::new(wanted.from);
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
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= wanted.from + wanted.seeds {
            return;
        }
        let result = if wanted.seeds == 1 {
            Chaos::told(seed).run(wanted.steps)
        } else if seed.is_multiple_of(TWICE) {
            twice(seed, wanted.steps)
        } else {
            Chaos::seeded(seed).run(wanted.steps)
        };
        let mut total = total.lock().expect("no thread panics with it");
        if let Err(broken) = &result {
            eprintln!("FAILED: chaos --seed {seed} --steps {}\n{}", wanted.steps, broken.message);
        }
        total.add(seed, result);
    }
}

/// INV-78: what is done twice comes out the same.
fn twice(seed: u64, steps: u64) -> Result<Outcome, Broken> {
    let first = Chaos::traced(seed).run(steps)?;
    let second = Chaos::traced(seed).run(steps)?;
    if first.trace == second.trace { Ok(first) } else { Err(Broken::unequal()) }
}

/// One of so many seeds runs twice.
const TWICE: u64 = 250;
