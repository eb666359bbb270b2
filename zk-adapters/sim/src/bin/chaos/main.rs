//! Runs many random schedules of faults, each from its own seed, and tells what they came upon.
//!
//! `chaos [--seeds N] [--from N] [--steps N] [--threads N] [--least N]`; `chaos --seed N` runs that one alone, and tells its
//! story.

use core::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};
use std::{process::ExitCode, sync::Mutex, time::Instant};

use zk_sim::{Chaos, Coverage, Fault, Phase};

fn main() -> ExitCode {
    let Some(wanted) = Wanted::parse(std::env::args().skip(1)) else {
        eprintln!(
            "usage: chaos [--seed N | --from N --seeds N] [--steps N] [--threads N] [--least N]\n\
             --least: the run fails if a fault met a state less often than this"
        );
        return ExitCode::from(2);
    };
    let begin = Instant::now();
    let total = Mutex::new(Total::default());
    let next = AtomicU64::new(wanted.from);
    std::thread::scope(|scope| {
        for _ in 0..wanted.threads {
            scope.spawn(|| work(&wanted, &next, &total));
        }
    });
    let total = total.into_inner().expect("no thread holds it");
    total.print(begin.elapsed());
    let missing = if wanted.least == 0 { Vec::new() } else { total.coverage.missing(wanted.least) };
    missing.iter().for_each(|missing| println!("met less than {} times: {missing}", wanted.least));
    if total.failed.is_empty() && missing.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

struct Wanted {
    from: u64,
    seeds: u64,
    steps: u64,
    threads: usize,
    least: u64,
}

impl Wanted {
    fn parse(mut args: impl Iterator<Item = String>) -> Option<Self> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let mut wanted = Self { from: 0, seeds: 1_000, steps: 2_000, threads, least: 0 };
        while let Some(name) = args.next() {
            let value: u64 = args.next()?.parse().ok()?;
            match name.as_str() {
                "--seed" => (wanted.from, wanted.seeds) = (value, 1),
                "--from" => wanted.from = value,
                "--seeds" => wanted.seeds = value,
                "--steps" => wanted.steps = value,
                "--threads" => wanted.threads = usize::try_from(value).ok()?.max(1),
                "--least" => wanted.least = value,
                _ => return None,
            }
        }
        Some(wanted)
    }
}

/// Runs seeds until there are no more.
fn work(wanted: &Wanted, next: &AtomicU64, total: &Mutex<Total>) {
    loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= wanted.from + wanted.seeds {
            return;
        }
        let chaos = || if wanted.seeds == 1 { Chaos::told(seed) } else { Chaos::seeded(seed) };
        let outcome = std::panic::catch_unwind(|| chaos().run(wanted.steps));
        let mut total = total.lock().expect("no thread panics with it");
        total.seeds += 1;
        match outcome {
            Ok(outcome) => {
                total.steps += outcome.steps;
                total.simulated += outcome.simulated;
                total.coverage.add(&outcome.coverage);
            }
            Err(_) => {
                eprintln!("FAILED: chaos --seed {seed} --steps {}", wanted.steps);
                total.failed.push(seed);
            }
        }
    }
}

#[derive(Default)]
struct Total {
    seeds: u64,
    steps: u64,
    simulated: Duration,
    coverage: Coverage,
    failed: Vec<u64>,
}

impl Total {
    fn print(&self, took: Duration) {
        print!("{:18}", "fault");
        Phase::ALL.iter().for_each(|phase| print!("{:>12}", format!("{phase:?}")));
        println!();
        for fault in Fault::ALL {
            print!("{:18}", format!("{fault:?}"));
            Phase::ALL.iter().for_each(|phase| print!("{:>12}", self.coverage.met(*fault, *phase)));
            println!();
        }
        for (told, count) in self.coverage.told() {
            println!("{count:>12} {told}");
        }
        let rate = self.steps as f64 / took.as_secs_f64();
        println!(
            "{} seeds, {} steps, {:.0} simulated hours, {:.0} s, {rate:.0} steps a second, {} failed: {:?}",
            self.seeds,
            self.steps,
            self.simulated.as_secs_f64() / 3600.0,
            took.as_secs_f64(),
            self.failed.len(),
            &self.failed[..self.failed.len().min(20)],
        );
    }
}
