//! Instructions of an operation, counted by valgrind's callgrind: `cargo bench -p zk-proto --bench instructions`.
//!
//! It runs itself under valgrind with one count of turns and with twice as many; the difference is the operation. Unlike time, it is
//! the same on a busy machine.

mod cases;

use core::hint::black_box;
use std::env;
use std::process::Command;

use cases::*;

const TURNS: u64 = 64;

fn main() {
    let arguments: Vec<String> = env::args().collect();
    match arguments.get(1..) {
        Some([run, name, turns]) if run == "--turn" => turn(name, turns.parse().expect("a number")),
        _ => report(),
    }
}

macro_rules! with_cases {
    ($($case:ty),+) => {
        fn turn(name: &str, turns: u64) {
            $(
                if name == concat!("codec ", stringify!($case)) {
                    let mut case = <$case>::new();
                    return (0..turns).for_each(|_| _ = black_box(case.run(case.payload())));
                }
                if name == concat!("memcpy ", stringify!($case)) {
                    let case = <$case>::new();
                    let mut to = vec![0; case.frame().len()];
                    return (0..turns).for_each(|_| black_box(&mut to).copy_from_slice(black_box(case.frame())));
                }
            )+
            panic!("no case {name}");
        }

        fn report() {
            println!("{:<26} {:>9} {:>12} {:>12}", "", "bytes", "codec", "memcpy");
            $(
                let bytes = <$case>::new().frame().len();
                let codec = instructions(concat!("codec ", stringify!($case)));
                let memcpy = instructions(concat!("memcpy ", stringify!($case)));
                println!("{:<26} {bytes:>9} {codec:>12} {memcpy:>12}", stringify!($case));
            )+
        }
    };
}

for_each_case!(with_cases);

fn instructions(name: &str) -> u64 {
    (total(name, 2 * TURNS) - total(name, TURNS)) / TURNS
}

/// All instructions of a run of so many turns.
fn total(name: &str, turns: u64) -> u64 {
    let this = env::current_exe().expect("this program");
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(this)
        .args(["--turn", name, &turns.to_string()])
        .output()
        .expect("valgrind has to be installed");
    let report = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{report}");
    let collected =
        report.lines().find_map(|line| line.split_once("Collected : ")).expect("callgrind counts");
    collected.1.trim().parse().expect("a count")
}
