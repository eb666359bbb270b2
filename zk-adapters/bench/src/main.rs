//! What the codec and the session cost, in figures that are exact: `cargo run --profile bench -p zk-bench`.
//!
//! Instructions are counted by valgrind's callgrind, which has to be installed: the program runs itself with one count of turns and
//! with twice as many, and the difference is the operation. They are the same on a busy machine, other than time, which
//! `cargo bench -p zk-proto --bench time` tells. Copies of more than some KiB are counted as the loop that they are without the
//! processor's own string instructions, of which valgrind would count each byte.
//!
//! `-- --large` is for what takes minutes: a million watches, and 100,000 sessions.
//!
//! `-- --check` compares with `baseline.txt` and fails where a figure is more than 5 % above it; `-- --accept` writes it anew. Another
//! compiler, or another C library, makes other figures: accept them together with it.

mod baseline;
#[path = "../../../zk-proto/benches/cases.rs"]
mod cases;
mod codec;
mod counting;
mod idle;
mod load;
mod watching;

use std::{env, process::ExitCode};

use counting::{Figure, Unit, instructions};

/// A name, and what a run of so many turns does.
pub(crate) struct Measured {
    pub(crate) name: String,
    /// How many turns are long enough to be told apart from the rest.
    pub(crate) turns: u64,
    /// How many operations a turn has.
    pub(crate) operations: u64,
    pub(crate) run: Box<dyn Fn(u64)>,
}

fn main() -> ExitCode {
    let mut measured: Vec<Measured> =
        codec::all().into_iter().chain(load::all()).chain(watching::all()).collect();
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["--turns", name, turns] => {
            measured.extend(watching::large());
            let found = measured.iter().find(|measured| measured.name == name).expect("a name of the table");
            (found.run)(turns.parse().expect("a number"));
            ExitCode::SUCCESS
        }
        [] => {
            baseline::print(&figures(&measured));
            ExitCode::SUCCESS
        }
        ["--large"] => {
            let mut figures = counts(&watching::large());
            let idle = idle::bytes_each(100_000, true);
            figures.push(Figure { name: "idle session of 100000".into(), unit: Unit::Bytes, value: idle });
            baseline::print(&figures);
            ExitCode::SUCCESS
        }
        ["--check"] => baseline::check(&figures(&measured)),
        ["--accept"] => {
            baseline::accept(&figures(&measured));
            ExitCode::SUCCESS
        }
        _ => {
            eprintln!("usage: zk-bench [--large | --check | --accept]");
            ExitCode::from(2)
        }
    }
}

fn figures(measured: &[Measured]) -> Vec<Figure> {
    let mut figures = counts(measured);
    let bytes = |name: &str, value| Figure { name: name.into(), unit: Unit::Bytes, value };
    figures.push(bytes("session that has asked once", idle::bytes_each(1000, false)));
    figures.push(bytes("idle session", idle::bytes_each(1000, true)));
    figures.push(bytes("watch", watching::bytes_each()));
    figures
}

fn counts(measured: &[Measured]) -> Vec<Figure> {
    measured.iter().flat_map(|measured| [instructions(measured), counting::allocations(measured)]).collect()
}
