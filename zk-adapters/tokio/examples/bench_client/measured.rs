//! What a run has cost, told as one line of JSON.

use std::{fs, time::Instant};

use nix::sys::resource::{Usage, UsageWho, getrusage};

/// What was asked for on the command line.
pub(crate) struct Task {
    pub(crate) workload: String,
    pub(crate) address: String,
    pub(crate) count: usize,
    pub(crate) warm_up: usize,
    /// How many requests are outstanding.
    pub(crate) window: usize,
}

/// The part of a run that is measured.
pub(crate) struct Span {
    usage: Usage,
    begun: Instant,
}

impl Span {
    pub(crate) fn begin() -> Self {
        Self { usage: usage(), begun: Instant::now() }
    }

    /// Ends it; `latencies` are those of single operations, in nanoseconds, if any were taken.
    pub(crate) fn finish(self, task: &Task, mut latencies: Vec<u64>) {
        let wall = self.begun.elapsed().as_secs_f64();
        let usage = usage();
        let (user, system) = (
            seconds(usage.user_time()) - seconds(self.usage.user_time()),
            seconds(usage.system_time()) - seconds(self.usage.system_time()),
        );
        latencies.sort_unstable();
        let percentile = |part: f64| {
            let index = (latencies.len().saturating_sub(1)) as f64 * part;
            latencies.get(index as usize).map_or(0.0, |&nanos| nanos as f64 / 1e3)
        };
        let told = [
            ("n", task.count as f64),
            ("window", task.window as f64),
            ("wall_s", wall),
            ("ops_s", task.count as f64 / wall),
            ("user_s", user),
            ("sys_s", system),
            ("cpu_us_op", (user + system) * 1e6 / task.count as f64),
            ("vcsw", (usage.voluntary_context_switches() - self.usage.voluntary_context_switches()) as f64),
            (
                "icsw",
                (usage.involuntary_context_switches() - self.usage.involuntary_context_switches()) as f64,
            ),
            ("peak_rss_kb", status("VmHWM")),
            ("threads", status("Threads")),
            ("p50_us", percentile(0.5)),
            ("p99_us", percentile(0.99)),
            ("p999_us", percentile(0.999)),
        ];
        let last = if latencies.is_empty() { told.len() - 3 } else { told.len() };
        tell(task, &told[..last]);
    }

    /// Ends a span in which sessions were idle; `resident` is the memory before the first of them, in KiB.
    pub(crate) fn finish_idle(self, task: &Task, resident: f64, connecting: f64) {
        let usage = usage();
        let cpu = |usage: &Usage| seconds(usage.user_time()) + seconds(usage.system_time());
        let now = resident_kib();
        tell(
            task,
            &[
                ("n", task.count as f64),
                ("wall_s", self.begun.elapsed().as_secs_f64()),
                ("connect_s", connecting),
                ("cpu_s", cpu(&usage) - cpu(&self.usage)),
                ("base_kb", resident),
                ("rss_kb", now),
                ("kb_per_session", (now - resident).max(0.0) / task.count as f64),
                ("threads", status("Threads")),
            ],
        );
    }
}

fn tell(task: &Task, told: &[(&str, f64)]) {
    let told: Vec<_> = told.iter().map(|(name, value)| format!("\"{name}\":{}", number(*value))).collect();
    println!("{{\"client\":\"ours-tokio\",\"workload\":\"{}\",{}}}", task.workload, told.join(","));
}

fn number(value: f64) -> String {
    if value.fract() == 0.0 { format!("{value:.0}") } else { format!("{value:.6}") }
}

/// The memory that is resident, in KiB.
pub(crate) fn resident_kib() -> f64 {
    status("VmRSS")
}

fn usage() -> Usage {
    getrusage(UsageWho::RUSAGE_SELF).expect("a process may always ask for its own usage")
}

fn seconds(time: nix::sys::time::TimeVal) -> f64 {
    time.tv_sec() as f64 + time.tv_usec() as f64 * 1e-6
}

/// A number of `/proc/self/status`.
fn status(name: &str) -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mut values = status.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    values.find_map(|value| value.split_whitespace().next()?.parse().ok()).unwrap_or(0.0)
}
