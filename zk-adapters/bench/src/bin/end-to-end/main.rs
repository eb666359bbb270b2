//! What the clients cost over loopback: `cargo run --profile bench -p zk-bench --bin end-to-end`.
//!
//! It builds the programs `bench_client` of each adapter, and `bench_driver` of zk-std, which pumps its session itself; runs each of
//! their workloads against a stand-in for a server that answers at once, and prints a table. Times are told as they come; put `taskset -c 0` before the command, so that client and stand-in share a
//! processor, and a wake-up across processors isn't what is measured. Instructions and allocations are counted by valgrind, system
//! calls by `perf`, each as the difference of two runs, of which one is longer; what isn't installed is left out. The watches of w5
//! are armed within what is counted, and not within the time.
//!
//! `-- --stub PORT` only serves the stand-in, for a client of one's own.

mod client;
mod count;
mod stub;

use std::{env, process::ExitCode, thread};

use client::{Client, Run};
use stub::Stub;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        [] => {
            print_table();
            ExitCode::SUCCESS
        }
        ["--stub", port] => {
            let stub = Stub::bind(port.parse().expect("a port")).expect("a port that is free");
            stub.serve();
            ExitCode::SUCCESS
        }
        _ => {
            eprintln!("usage: end-to-end [--stub PORT]");
            ExitCode::from(2)
        }
    }
}

fn print_table() {
    let stub = Stub::bind(0).expect("a port");
    let address = stub.address();
    thread::spawn(|| stub.serve());
    println!("| workload | client | per second | CPU, µs each | instructions | allocations | system calls |");
    println!("| --- | --- | ---: | ---: | ---: | ---: | ---: |");
    let clients = [
        Client::build("zk-tokio", "zk-tokio", "bench_client"),
        Client::build("zk-std", "zk-std", "bench_client"),
        Client::build("zk-std's Driver", "zk-std", "bench_driver"),
    ];
    for workload in &WORKLOADS {
        for client in &clients {
            let run = client.run(workload.name, &address, workload.timed);
            println!(
                "| {} | {} | {} |",
                workload.title,
                client.name(),
                row(workload, client, &run, &address)
            );
        }
    }
    for client in clients.iter().filter(|client| client.name() == "zk-tokio") {
        let idle = client.run("w6", &address, SESSIONS);
        println!(
            "\n{}: {SESSIONS} idle sessions hold {:.1} KiB each, on {:.0} threads, and take {:.1} ms of CPU a second.",
            client.name(),
            idle.number("kb_per_session"),
            idle.number("threads"),
            1e3 * idle.number("cpu_s") / idle.number("wall_s"),
        );
    }
}

fn row(workload: &Workload, client: &Client, run: &Run, address: &str) -> String {
    let counted = count::all(client, workload, address);
    let counted = counted.map(|count| {
        count.map_or("–".into(), |count| format!("{count:.digits$}", digits = count_digits(count)))
    });
    format!("{:.0} | {:.3} | {}", run.number("ops_s"), run.number("cpu_us_op"), counted.join(" | "))
}

fn count_digits(count: f64) -> usize {
    if count >= 100.0 { 0 } else { 2 }
}

/// What one of the clients' workloads is run with.
pub(crate) struct Workload {
    title: &'static str,
    pub(crate) name: &'static str,
    /// So many operations are timed.
    timed: u64,
    /// The difference of two runs with so many operations is counted.
    pub(crate) counted: [u64; 2],
}

const fn workload(title: &'static str, name: &'static str, timed: u64, counted: [u64; 2]) -> Workload {
    Workload { title, name, timed, counted }
}

const WORKLOADS: [Workload; 7] = [
    workload("one getData at a time", "w1", 20_000, [500, 2_500]),
    workload("256 getData outstanding", "w2", 400_000, [4_000, 24_000]),
    workload("256 setData outstanding", "w3", 200_000, [4_000, 24_000]),
    workload("256 create outstanding", "w3c", 200_000, [4_000, 24_000]),
    workload("64 getChildren2 of 1,000 outstanding", "w4", 10_000, [200, 1_000]),
    workload("one-time watches", "w5", 100_000, [4_000, 24_000]),
    workload("one persistent watch", "w5p", 100_000, [4_000, 24_000]),
];
const SESSIONS: u64 = 1_000;
