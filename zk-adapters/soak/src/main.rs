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
mod txn_log;
mod worker;

use core::time::Duration;
use std::process::{self, ExitCode};
use std::sync::{Arc, Weak};
use std::thread;

use ledger::Ledger;
use options::Options;

fn main() -> ExitCode {
    let Some(options) = Options::parse(std::env::args().skip(1)) else {
        eprintln!("usage: zk-soak [--seconds N] [--seed N] [--client tokio|std|both]");
        return ExitCode::from(2);
    };
    println!("{options:?}");
    let ledger = Arc::default();
    watch_over(options, Arc::downgrade(&ledger));
    let history = match soak::soak(options, &ledger) {
        Ok(history) => history,
        Err(error) => {
            ledger.write(|books| report::print_end(books));
            eprintln!("seed {}: the run could not be finished: {error}", options.seed);
            return ExitCode::FAILURE;
        }
    };
    let books = Arc::into_inner(ledger).expect("all who wrote into it have ended").into_books();
    let violations = check::check(&books, &history);
    report::print(&books, &history);
    report::print_violations(&books, &violations, options.seed);
    if violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Ends the program when it has taken far too long: then something hangs.
fn watch_over(options: Options, ledger: Weak<Ledger>) {
    thread::spawn(move || {
        thread::sleep(options.length + FAR_TOO_LONG);
        if let Some(ledger) = ledger.upgrade() {
            ledger.write(|books| report::print_end(books));
        }
        eprintln!("seed {}: it hangs", options.seed);
        process::exit(1);
    });
}

/// What it may take beyond the time of faults, however busy the machine is.
const FAR_TOO_LONG: Duration = Duration::from_secs(600);
