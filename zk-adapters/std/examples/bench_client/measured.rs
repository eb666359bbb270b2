//! What is to be measured, and what it has cost, told as one line of JSON.

use core::{error::Error, str::FromStr, time::Duration};
use std::{env, fs, process, time::Instant};

use nix::sys::resource::{Usage, UsageWho, getrusage};
use nix::sys::time::TimeVal;

/// What was asked for on the command line.
pub(crate) struct Arguments {
    pub(crate) client: &'static str,
    pub(crate) workload: String,
    pub(crate) address: String,
    pub(crate) n: usize,
    pub(crate) warm_up: usize,
    pub(crate) window: usize,
    pub(crate) tag: String,
}

impl Arguments {
    /// Reads them for a client of this name.
    pub(crate) fn read(client: &'static str) -> Result<Self, Box<dyn Error>> {
        let words: Vec<String> = env::args().skip(1).collect();
        let [workload, address, n, rest @ ..] = &words[..] else {
            return Err("usage: WORKLOAD HOST:PORT N [WARM-UP]".into());
        };
        let window = match workload.as_str() {
            "w1" => 1,
            "w4" => 64,
            _ => 256,
        };
        Ok(Self {
            client,
            workload: workload.clone(),
            address: address.clone(),
            n: n.parse()?,
            warm_up: rest.first().map_or(Ok(0), |warm_up| warm_up.parse())?,
            window: variable("ZKB_WINDOW").unwrap_or(window),
            tag: variable("ZKB_TAG").unwrap_or_else(|| process::id().to_string()),
        })
    }

    /// Does something as often as was asked for, one time after the other, and times each.
    pub(crate) fn time_each(
        &self,
        mut once: impl FnMut() -> Result<(), Box<dyn Error>>,
    ) -> Result<(), Box<dyn Error>> {
        for _ in 0..self.warm_up {
            once()?;
        }
        let mut latencies = Vec::with_capacity(self.n);
        let span = Span::begin();
        for _ in 0..self.n {
            let begun = Instant::now();
            once()?;
            latencies.push(begun.elapsed());
        }
        span.end(self, &mut latencies);
        Ok(())
    }
}

/// What a stretch of the program takes.
pub(crate) struct Span {
    pub(crate) begun: Instant,
    usage: Usage,
}

impl Span {
    pub(crate) fn begin() -> Self {
        let usage = getrusage(UsageWho::RUSAGE_SELF).expect("a process can ask for its own usage");
        Self { begun: Instant::now(), usage }
    }

    /// Seconds of user and of system time.
    pub(crate) fn cpu(&self) -> (f64, f64) {
        let now = Self::begin().usage;
        let seconds = |now: TimeVal, then: TimeVal| {
            let passed = now - then;
            passed.tv_sec() as f64 + passed.tv_usec() as f64 * 1e-6
        };
        (
            seconds(now.user_time(), self.usage.user_time()),
            seconds(now.system_time(), self.usage.system_time()),
        )
    }

    pub(crate) fn end(self, arguments: &Arguments, latencies: &mut [Duration]) {
        let wall = self.begun.elapsed().as_secs_f64();
        let (user, system) = self.cpu();
        let usage = Self::begin().usage;
        let voluntary = usage.voluntary_context_switches() - self.usage.voluntary_context_switches();
        let involuntary = usage.involuntary_context_switches() - self.usage.involuntary_context_switches();
        let n = arguments.n;
        println!(
            "{{\"client\":\"{}\",\"workload\":\"{}\",\"n\":{n},\"window\":{},\"wall_s\":{wall:.6},\"ops_s\":{:.0},\
             \"user_s\":{user:.6},\"sys_s\":{system:.6},\"cpu_us_op\":{:.4},\"vcsw\":{voluntary},\"icsw\":{involuntary},\
             \"peak_rss_kb\":{},\"threads\":{}{}}}",
            arguments.client,
            arguments.workload,
            arguments.window,
            n as f64 / wall,
            (user + system) * 1e6 / n as f64,
            status("VmHWM"),
            status("Threads"),
            quantiles(latencies),
        );
    }
}

fn quantiles(latencies: &mut [Duration]) -> String {
    latencies.sort_unstable();
    let quantile = |part: f64| {
        let index = (latencies.len() - 1) as f64 * part;
        latencies[index as usize].as_secs_f64() * 1e6
    };
    if latencies.is_empty() {
        return String::new();
    }
    let (p50, p99, p999) = (quantile(0.5), quantile(0.99), quantile(0.999));
    format!(",\"p50_us\":{p50:.2},\"p99_us\":{p99:.2},\"p999_us\":{p999:.2}")
}

/// A number of `/proc/self/status`, in KiB where it is a size; 0 where there is none.
pub(crate) fn status(key: &str) -> u64 {
    let text = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    line.and_then(|value| value.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// What the environment says of something.
pub(crate) fn variable<T: FromStr>(name: &str) -> Option<T> {
    env::var(name).ok()?.parse().ok()
}
