//! The driver stays small, and the documentation says how small.

use std::process::Command;

/// Lines that are neither blank nor comments.
fn lines_of_code(source: &str) -> usize {
    let is_code = |line: &&str| !line.trim().is_empty() && !line.trim().starts_with("//");
    source.lines().filter(is_code).count()
}

#[test]
fn the_driver_is_within_its_budget_and_as_long_as_documented() {
    let driver =
        [include_str!("driver.rs"), include_str!("alarm.rs")].map(lines_of_code).iter().sum::<usize>();
    assert!(driver <= 200, "{driver}");
    let documented = DOCUMENTATION.replace("\n//! ", " ");
    assert!(documented.contains(&format!("drives a session here has {driver} lines of code")), "{driver}");
}

#[test]
fn the_crate_depends_on_as_few_others_as_documented() {
    let arguments = ["tree", "-p", "zk-tokio", "-e", "normal", "--prefix", "none", "--offline", "--locked"];
    let output = Command::new(env!("CARGO")).args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output();
    let output = output.expect("cargo can be run");
    let text = String::from_utf8(output.stdout).expect("text");
    let mut crates: Vec<_> = text.lines().filter_map(|line| line.split_whitespace().next()).collect();
    crates.sort_unstable();
    crates.dedup();
    assert!(!crates.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    let others = crates.len() - 1;
    assert!(DOCUMENTATION.contains(&format!("depends on {others} others")), "{others}: {crates:?}");
}

const DOCUMENTATION: &str = include_str!("lib.rs");
