//! What all runs came to.

use core::time::Duration;

use zk_sim::{Broken, Coverage, Fault, Outcome, Phase};

#[derive(Default)]
pub(crate) struct Total {
    seeds: u64,
    steps: u64,
    simulated: Duration,
    pub(crate) coverage: Coverage,
    pub(crate) failed: Vec<u64>,
}

impl Total {
    pub(crate) fn add(&mut self, seed: u64, result: Result<Outcome, Broken>) {
        self.seeds += 1;
        match result {
            Ok(outcome) => {
                self.steps += outcome.steps;
                self.simulated += outcome.simulated;
                self.coverage.add(&outcome.coverage);
            }
            Err(_) => self.failed.push(seed),
        }
    }

    pub(crate) fn print(&self, took: Duration) {
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
