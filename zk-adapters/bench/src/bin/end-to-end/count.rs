//! What is the same on a busy machine: instructions, allocations, system calls.

use std::process::{Command, Output};

use crate::{Workload, client::Client};

/// Of one operation each; none where the tool is missing.
pub(crate) fn all(client: &Client, workload: &Workload, address: &str) -> [Option<f64>; 3] {
    [INSTRUCTIONS, ALLOCATIONS, SYSTEM_CALLS].map(|(tool, read)| {
        let [few, many] = workload.counted;
        let count = |count: u64| read(&report(tool, client, workload.name, address, count)?);
        Some((count(many)? - count(few)?) / (many - few) as f64)
    })
}

type Tool = (&'static [&'static str], fn(&str) -> Option<f64>);

const INSTRUCTIONS: Tool = (&["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"], |report| {
    after(report, "Collected : ")
});
const ALLOCATIONS: Tool = (&["valgrind", "--tool=memcheck"], |report| after(report, "total heap usage: "));
const SYSTEM_CALLS: Tool = (&["perf", "stat", "-x,", "-e", "raw_syscalls:sys_enter"], |report| {
    report.lines().find(|line| line.contains("raw_syscalls:sys_enter"))?.split(',').next()?.parse().ok()
});

fn report(tool: &[&str], client: &Client, workload: &str, address: &str, count: u64) -> Option<String> {
    let [program, arguments @ ..] = tool else { return None };
    let outcome = Command::new(program)
        .args(arguments)
        .arg(client.program())
        .args([workload, address, &count.to_string()])
        .output();
    let Output { stderr, .. } = outcome.ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&stderr).into_owned())
}

/// The number behind these words.
fn after(report: &str, words: &str) -> Option<f64> {
    let (_, rest) = report.split_once(words)?;
    rest.split_whitespace().next()?.replace(',', "").parse().ok()
}
