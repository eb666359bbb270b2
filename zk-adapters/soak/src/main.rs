//! Soaks the clients: `zk-soak [--seconds N] [--seed N] [--client tokio|std|both]`.
//!
//! Eight clients write to a real ensemble of three servers, four keep mirrors of a subtree, each through a relay, while servers
//! are killed, frozen and restarted and the network cuts, delays, slows and swallows. At the end each outcome that a client was
//! told is compared with the transactions in the servers' logs. It fails if one rule is broken, and tells what came before.

mod check;
mod client;
mod connection;
mod drawing;
mod faults;
mod history;
mod ledger;
mod mirror;
mod options;
mod report;
mod soak;
mod truth;
mod txn_log;
mod worker;

use core::time::Duration;
use std::process::{self, ExitCode};
use std::sync::{Arc, Weak};
use std::thread;

use ledger::Ledger;
use options::Options;
use truth::LOST_ITSELF;

fn main() -> ExitCode {
    let Some(mut options) = Options::parse(std::env::args().skip(1)) else {
        eprintln!("usage: zk-soak [--seconds N] [--seed N] [--client tokio|std|both]");
        return ExitCode::from(2);
    };
    for _ in 0..ATTEMPTS {
        println!("{options:?}");
        match run(options) {
            Some(code) => return code,
            None => {
                eprintln!("seed {}: the servers can't be held to their logs: {LOST_ITSELF}", options.seed)
            }
        }
        options.seed = options.seed.wrapping_add(1_000_000);
    }
    ExitCode::FAILURE
}

/// None if it proves nothing, since the ensemble has broken its own promises.
fn run(options: Options) -> Option<ExitCode> {
    let ledger = Arc::default();
    watch_over(options, Arc::downgrade(&ledger));
    let history = match soak::soak(options, &ledger) {
        Ok(history) => history?,
        Err(error) => {
            ledger.write(|books| report::print_end(books));
            eprintln!("seed {}: the run could not be finished: {error}", options.seed);
            return Some(ExitCode::FAILURE);
        }
    };
    let books = Arc::into_inner(ledger).expect("all who wrote into it have ended").into_books();
    let violations = check::check(&books, &history);
    report::print(&books, &history);
    report::print_violations(&books, &violations, options.seed);
    Some(if violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Ends the program when a run has taken far too long: then something hangs.
fn watch_over(options: Options, ledger: Weak<Ledger>) {
    thread::spawn(move || {
        thread::sleep(options.length + FAR_TOO_LONG);
        // Without it, the run is over.
        let Some(ledger) = ledger.upgrade() else { return };
        ledger.write(|books| report::print_end(books));
        eprintln!("seed {}: it hangs", options.seed);
        process::exit(1);
    });
}

/// So often it is tried whether the ensemble keeps its promises.
const ATTEMPTS: usize = 3;
/// What it may take beyond the time of faults, however busy the machine is.
const FAR_TOO_LONG: Duration = Duration::from_secs(600);
