//! Searches through all that can happen to a session: `cargo run --profile checked -p zk-model -- --help`.

use std::{process::ExitCode, time::Instant};

use stateright::{Checker as _, Expectation, HasDiscoveries, Model as _};
use zk_model::{SessionModel, Setup, hush};

fn main() -> ExitCode {
    match read(std::env::args().skip(1)) {
        Ok((setup, size)) => search(setup, size),
        Err(what) => {
            eprint!("{what}{HELP}");
            ExitCode::from(2)
        }
    }
}

/// How a search is made, and how much it must find.
struct Size {
    threads: usize,
    least_states: usize,
}

fn read(mut args: impl Iterator<Item = String>) -> Result<(Setup, Size), String> {
    let mut setup = Setup::default();
    let threads = std::thread::available_parallelism().map_or(1, core::num::NonZero::get);
    let mut size = Size { threads, least_states: 0 };
    while let Some(name) = args.next() {
        match &*name {
            "--auth" => setup.auth = true,
            "--read-only" => setup.read_only = true,
            "--batches" => setup.batches = true,
            "--depth" => setup.depth = value(&name, args.next())?,
            "--requests" => setup.requests = value(&name, args.next())?,
            "--faults" => setup.faults = value(&name, args.next())?,
            "--changes" => setup.changes = value(&name, args.next())?,
            "--heal-one-in" => setup.heal_one_in = value(&name, args.next())?,
            "--threads" => size.threads = value(&name, args.next())?,
            "--least-states" => size.least_states = value(&name, args.next())?,
            "--help" => return Err(String::new()),
            other => return Err(format!("unknown option {other}\n\n")),
        }
    }
    if setup.requests > 3 {
        return Err(format!("--requests {}: at most 3\n\n", setup.requests));
    }
    Ok((setup, size))
}

fn value<T: core::str::FromStr>(name: &str, text: Option<String>) -> Result<T, String> {
    let text = text.unwrap_or_default();
    text.parse().map_err(|_| format!("{name} {text:?}: not a number that it takes\n\n"))
}

fn search(setup: Setup, size: Size) -> ExitCode {
    hush();
    println!("{setup:?}");
    let depth = setup.depth;
    let model = SessionModel::new(setup);
    let (counts, begin) = (model.clone(), Instant::now());
    let checker =
        model.checker().threads(size.threads).finish_when(HasDiscoveries::AnyFailures).spawn_dfs().join();
    println!(
        "{} unique states to depth {} ({} visits) in {:.1} s",
        counts.states(),
        checker.max_depth() - 1,
        checker.state_count(),
        begin.elapsed().as_secs_f64()
    );
    let mut found = checker.discoveries();
    let mut status = ExitCode::SUCCESS;
    if counts.states() < size.least_states {
        println!("TOO FEW STATES: at least {} are wanted", size.least_states);
        status = ExitCode::FAILURE;
    }
    for property in counts.properties() {
        match (property.expectation, found.remove(property.name)) {
            (Expectation::Always, Some(path)) => {
                println!("BROKEN: {}: {:?}", property.name, path.into_actions());
                status = ExitCode::FAILURE;
            }
            (Expectation::Sometimes, None) => {
                println!(
                    "NEVER REACHED in {depth} steps: {}: search on with a greater --depth",
                    property.name
                );
                status = ExitCode::FAILURE;
            }
            (Expectation::Always | Expectation::Eventually, None) => println!("holds: {}", property.name),
            (Expectation::Sometimes | Expectation::Eventually, Some(_)) => {}
        }
    }
    status
}

const HELP: &str = "\
Searches through all that can happen to a session in so many steps.

  --depth N         the longest sequence of steps (16)
  --requests N      requests, at most 3 (2)
  --faults N        faults in one sequence (2)
  --changes N       changes of the watched znode by somebody else (0)
  --auth            with an identity that goes before everything on each connection
  --read-only       with a session that accepts read-only servers
  --batches         each watch is armed again in a batch of its own
  --heal-one-in N   from one in so many states all faults end and the session must recover; 0: never (32)
  --threads N       as many as the machine has
  --least-states N  fail if there are fewer (0)
";
