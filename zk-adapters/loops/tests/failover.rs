//! Each program's session goes on when its server is killed.

use core::time::Duration;
use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    thread,
};

use zk_harness::Ensemble;

/// Runs a program on three servers, and kills the one that it is on once it has a znode there.
fn survives(program: &str) {
    let ensemble = Ensemble::start(3).expect("three ZooKeeper servers");
    let mut child = Command::new(program)
        .arg(ensemble.connect_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("cargo has built it");
    let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    let (mut server, mut survived, mut told) = (None, false, String::new());
    for line in lines.map(|line| line.expect("text")) {
        if let Some((_, address)) = line.split_once("tries ") {
            let is_it = |&index: &usize| ensemble.address(index).to_string() == address;
            server = (0..ensemble.len()).find(is_it);
        }
        if line.contains("created /loops-") {
            // Its timers tick meanwhile: that must not cost it its connection.
            thread::sleep(TICKS);
            ensemble.kill(server.expect("it is on one of the servers"));
        }
        survived |= line.contains("survived, and owns its znode: true");
        told += &format!("{line}\n");
    }
    let output = child.wait_with_output().expect("it ends");
    let complaint = String::from_utf8_lossy(&output.stderr);
    if complaint.contains(NO_IO_URING) {
        return eprintln!("{program}: {complaint}");
    }
    assert!(output.status.success(), "{told}{complaint}");
    assert!(survived && told.contains("Closed { confirmed: true }"), "{told}");
    assert!(told.contains("ConnectionLost"), "it didn't see that its server was gone: {told}");
}

#[test]
fn a_session_over_mio_outlives_its_server() {
    survives(env!("CARGO_BIN_EXE_mio"));
}

#[test]
fn a_session_over_smol_outlives_its_server() {
    survives(env!("CARGO_BIN_EXE_smol"));
}

/// Where the kernel has no io_uring, the program says so, and that is all there is to see.
#[test]
fn a_session_over_io_uring_outlives_its_server() {
    survives(env!("CARGO_BIN_EXE_compio"));
}

#[test]
fn each_program_is_short_enough_to_be_read() {
    let programs = [
        include_str!("../src/bin/mio.rs"),
        include_str!("../src/bin/smol.rs"),
        include_str!("../src/bin/compio.rs"),
        include_str!("../../no-std/src/main.rs"),
    ];
    for program in programs {
        assert!(program.lines().count() <= 200, "{} lines", program.lines().count());
    }
}

/// Some of the application's periods.
const TICKS: Duration = Duration::from_millis(500);
const NO_IO_URING: &str = "this kernel has no io_uring";
