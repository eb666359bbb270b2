//! The figures that were accepted last, in `baseline.txt`: a line for each, its value, unit and name.

use std::{fs, path::Path, process::ExitCode};

use crate::counting::Figure;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/baseline.txt");

/// How much more than accepted is borne, in parts of it; and in absolute terms, for figures near 0.
const TOLERANCE: f64 = 0.05;
const LEAST: f64 = 0.01;

pub(crate) fn print(figures: &[Figure]) {
    let accepted = accepted();
    println!("{:>12} {:>12} {:<12}", "now", "accepted", "");
    for figure in figures {
        let before = accepted.iter().find(|before| is_same(before, figure));
        let before = before.map_or_else(String::new, |(value, _)| format!("{value:.2}"));
        println!("{:>12.2} {before:>12} {:<12} {}", figure.value, figure.unit.name(), figure.name);
    }
}

/// Prints the table, and fails if a figure is too high, new, or gone.
pub(crate) fn check(figures: &[Figure]) -> ExitCode {
    print(figures);
    let accepted = accepted();
    let mut is_good = accepted.len() == figures.len();
    if !is_good {
        eprintln!("{FILE} has {} figures, {} were counted", accepted.len(), figures.len());
    }
    for figure in figures {
        let (name, unit, now) = (&figure.name, figure.unit.name(), figure.value);
        match accepted.iter().find(|before| is_same(before, figure)) {
            Some(&(before, _)) if now <= before * (1.0 + TOLERANCE) + LEAST => {}
            Some((before, _)) => {
                is_good = false;
                eprintln!("{name}: {now:.2} {unit}, {before:.2} were accepted");
            }
            None => {
                is_good = false;
                eprintln!("{name}: {now:.2} {unit}, none were accepted");
            }
        }
    }
    if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Writes the figures as those to compare with from now on.
pub(crate) fn accept(figures: &[Figure]) {
    print(figures);
    let line = |figure: &Figure| format!("{:.2} {}\n", figure.value, key(figure));
    let lines: String = figures.iter().map(line).collect();
    fs::write(Path::new(FILE), lines).expect("the baseline can be written");
}

fn key(figure: &Figure) -> String {
    format!("{} {}", figure.unit.name(), figure.name)
}

fn is_same(accepted: &(f64, String), figure: &Figure) -> bool {
    accepted.1 == key(figure)
}

fn accepted() -> Vec<(f64, String)> {
    let text = fs::read_to_string(FILE).unwrap_or_default();
    let read = |line: &str| {
        let (value, key) = line.split_once(' ')?;
        Some((value.parse().ok()?, key.to_owned()))
    };
    text.lines().filter_map(read).collect()
}
