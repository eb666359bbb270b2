//! Serves a simulated ensemble on ports of 127.0.0.1 until it is killed; faults are lines on standard input.
//!
//! `zk-sim serve [--servers N] [--port P] [--version V] [--tick MILLISECONDS] [--read-only]`

use core::time::Duration;
use std::{io, process::ExitCode, thread};

use zk_sim::{
    Options,
    serve::{Command, Served},
};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words.iter().any(|word| word == "--help") {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    let (options, port) = match arguments(words.into_iter()) {
        Ok(wanted) => wanted,
        Err(what) => {
            eprintln!("{what}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match Served::start_at(options, port) {
        Ok(served) => serve(&served),
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn serve(served: &Served) {
    println!("{}", served.connect_string());
    eprintln!("faults can be typed here: `help` lists them");
    for line in io::stdin().lines().map_while(Result::ok) {
        let command = Command::parse(&line, served.len());
        match command.and_then(|command| command.map_or(Ok(String::new()), |command| command.perform(served)))
        {
            Ok(said) if said.is_empty() => {}
            Ok(said) => println!("{said}"),
            Err(error) => eprintln!("{error}"),
        }
    }
    // Without a terminal, it serves all the same.
    loop {
        thread::park();
    }
}

fn arguments(mut words: impl Iterator<Item = String>) -> Result<(Options, u16), String> {
    let (mut options, mut port) = (Options { servers: 3, ..Options::default() }, 2181);
    match words.next() {
        Some(word) if word == "serve" => {}
        Some(word) => return Err(format!("{word}: not a command")),
        None => return Err("a command is missing".to_owned()),
    }
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word}: a value is missing"));
        match word.as_str() {
            "--servers" => options.servers = number(&word, &value()?, 1, 255)?,
            "--port" => port = number(&word, &value()?, 0, 65_535)?,
            "--tick" => options.tick = Duration::from_millis(number(&word, &value()?, 1, 3_600_000)?),
            "--version" => options.version = value()?.parse().map_err(|what| format!("--version {what}"))?,
            "--read-only" => options.read_only = true,
            _ => return Err(format!("{word}: not known")),
        }
    }
    Ok((options, port))
}

fn number<T: TryFrom<u64>>(name: &str, word: &str, least: u64, most: u64) -> Result<T, String> {
    let number = word.parse().ok().filter(|number| (least..=most).contains(number));
    let number = number.and_then(|number| T::try_from(number).ok());
    number.ok_or_else(|| format!("{name} {word:?}: not a number from {least} to {most}"))
}

const USAGE: &str =
    "usage: zk-sim serve [--servers N] [--port P] [--version V] [--tick MILLISECONDS] [--read-only]
  --servers    how many servers there are; 3 unless told
  --port       the port of the first server, the others follow; 0: any free ports; 2181 unless told
  --version    whose behaviour is played where versions differ: 3.4, 3.6, 3.8, 3.9; 3.9 unless told
  --tick       tickTime: session timeouts are within 2 and 20 of it; 2000 unless told
  --read-only  a server without a quorum serves reads";
