//! The driver stays small, and the documentation says how small.

use std::process::Command;

/// Lines that are neither blank nor comments, nor tests.
fn lines_of_code(source: &str) -> usize {
    let source = source.split("\n#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let is_code = |line: &&str| !line.trim().is_empty() && !line.trim().starts_with("//");
    source.lines().filter(is_code).count()
}

#[test]
fn the_drivers_are_within_their_budget_and_as_long_as_documented() {
    let driver = [include_str!("driver.rs"), include_str!("pumped.rs"), include_str!("waiting.rs")];
    let driver: usize = driver.into_iter().map(lines_of_code).sum();
    let threads = [include_str!("ticker.rs"), include_str!("reader.rs"), include_str!("writer.rs")];
    let threads: usize = threads.into_iter().map(lines_of_code).sum();
    assert!(driver <= 340 && threads <= 200, "{driver} {threads}");
    let documented = DOCUMENTATION.replace("\n//! ", " ");
    assert!(documented.contains(&format!("its threads ({threads} lines of code)")), "{threads}");
    assert!(documented.contains(&format!("a loop of one's own ({driver} lines)")), "{driver}");
}

#[test]
fn the_crate_depends_on_as_few_others_as_documented() {
    let arguments = ["tree", "-p", "zk-std", "-e", "normal", "--prefix", "none", "--offline", "--locked"];
    let output = Command::new(env!("CARGO")).args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output();
    let output = output.expect("cargo can be run");
    let text = String::from_utf8(output.stdout).expect("text");
    let mut crates: Vec<_> = text.lines().filter_map(|line| line.split_whitespace().next()).collect();
    crates.sort_unstable();
    crates.dedup();
    assert!(!crates.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!crates.contains(&"tokio"), "no runtime");
    let others = crates.len() - 1;
    assert!(DOCUMENTATION.contains(&format!("depends on {others} others")), "{others}: {crates:?}");
}

const DOCUMENTATION: &str = include_str!("lib.rs");
