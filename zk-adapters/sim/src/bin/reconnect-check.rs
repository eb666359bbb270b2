//! Tries out how a client reconnects, whatever it is written in, and says which rules it keeps.
//!
//! `reconnect-check [--port P] [--version V] [--wait SECONDS]`

use core::time::Duration;
use std::process::ExitCode;

use zk_sim::{
    Version,
    reconnect::{Check, Outcome},
};

struct Arguments {
    port: u16,
    version: Version,
    wait: Duration,
}

fn main() -> ExitCode {
    let arguments = match arguments(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(what) => {
            eprintln!("{what}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let check = match Check::start(arguments.version, arguments.port) {
        Ok(check) => check,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    println!("{}", check.connect_string());
    eprintln!("connect one client to these servers, have it read /check with a watch, and leave it alone");
    match check.run(arguments.wait, |what| eprintln!("- {what}")) {
        Ok(verdicts) => {
            verdicts.iter().for_each(|verdict| println!("{verdict}"));
            let is_failed = verdicts.iter().any(|verdict| verdict.outcome == Outcome::Failed);
            if is_failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

fn arguments(mut words: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let mut arguments = Arguments { port: 2181, version: Version::V3_9, wait: Duration::from_secs(120) };
    while let Some(word) = words.next() {
        let value = words.next().ok_or_else(|| format!("{word}: a value is missing"))?;
        let wrong = || format!("{word} {value:?}: not a number");
        match word.as_str() {
            "--port" => arguments.port = value.parse().map_err(|_| wrong())?,
            "--wait" => arguments.wait = Duration::from_secs(value.parse().map_err(|_| wrong())?),
            "--version" => arguments.version = value.parse().map_err(|what| format!("--version {what}"))?,
            _ => return Err(format!("{word}: not known")),
        }
    }
    Ok(arguments)
}

const USAGE: &str = "usage: reconnect-check [--port P] [--version V] [--wait SECONDS]
  --port     the port of the first of three servers, the others follow; 0: any free ports; 2181 unless told
  --version  whose behaviour is played where versions differ: 3.4, 3.6, 3.8, 3.9; 3.9 unless told
  --wait     how long a client is waited for; 120 unless told
The exit status is 0 if no rule is broken, 1 if one is, 2 if there is nothing to judge.";
