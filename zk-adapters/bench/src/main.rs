//! What the codec and the session cost, in figures that are exact: `cargo run --profile bench -p zk-bench`.
//!
//! Instructions are counted by valgrind's callgrind, which has to be installed: the program runs itself with one count of turns and
//! with twice as many, and the difference is the operation. They are the same on a busy machine, other than time, which
//! `cargo bench -p zk-proto --bench time` tells. Copies of more than some KiB are counted as the loop that they are without the
//! processor's own string instructions, of which valgrind would count each byte.
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
    let measured: Vec<Measured> =
        codec::all().into_iter().chain(load::all()).chain(watching::all()).collect();
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["--turns", name, turns] => {
            let found = measured.iter().find(|measured| measured.name == name).expect("a name of the table");
            (found.run)(turns.parse().expect("a number"));
            ExitCode::SUCCESS
        }
        [] => {
            baseline::print(&figures(&measured));
            ExitCode::SUCCESS
        }
        ["--check"] => baseline::check(&figures(&measured)),
        ["--accept"] => {
            baseline::accept(&figures(&measured));
            ExitCode::SUCCESS
        }
        _ => {
            eprintln!("usage: zk-bench [--check | --accept]");
            ExitCode::from(2)
        }
    }
}

fn figures(measured: &[Measured]) -> Vec<Figure> {
    let mut figures = Vec::new();
    for measured in measured {
        figures.push(instructions(measured));
        figures.push(counting::allocations(measured));
    }
    figures.push(Figure { name: "idle session".into(), unit: Unit::Bytes, value: idle::bytes_each() });
    figures
}
