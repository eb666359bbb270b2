//! Counts what a run costs, without the cost of getting there: two runs, one twice as long.

use std::{env, process::Command};

use allocation_counter::measure;

use crate::Measured;

/// One figure of the table.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Figure {
    pub(crate) name: String,
    pub(crate) unit: Unit,
    pub(crate) value: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Instructions,
    Allocations,
    Bytes,
}

impl Unit {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Instructions => "instructions",
            Self::Allocations => "allocations",
            Self::Bytes => "bytes",
        }
    }
}

/// Instructions of one operation.
pub(crate) fn instructions(measured: &Measured) -> Figure {
    let count = |turns| collected(&measured.name, turns);
    figure(measured, Unit::Instructions, count(measured.turns), count(2 * measured.turns))
}

/// Calls of the allocator for one operation.
pub(crate) fn allocations(measured: &Measured) -> Figure {
    let count = |turns| measure(|| (measured.run)(turns)).count_total;
    figure(measured, Unit::Allocations, count(measured.turns), count(2 * measured.turns))
}

fn figure(measured: &Measured, unit: Unit, once: u64, twice: u64) -> Figure {
    let operations = measured.turns * measured.operations;
    let value = twice.saturating_sub(once) as f64 / operations as f64;
    Figure { name: measured.name.clone(), unit, value }
}

/// All instructions of a run of this program with so many turns.
fn collected(name: &str, turns: u64) -> u64 {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(env::current_exe().expect("this program"))
        .args(["--turns", name, &turns.to_string()])
        .env("GLIBC_TUNABLES", "glibc.cpu.x86_rep_movsb_threshold=1000000000")
        .output()
        .expect("valgrind has to be installed");
    let report = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{report}");
    let collected =
        report.lines().find_map(|line| line.split_once("Collected : ")).expect("callgrind counts");
    collected.1.trim().parse().expect("a count")
}
