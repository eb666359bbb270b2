//! No server outlives its test, however that ends.

use core::net::SocketAddr;
use core::time::Duration;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::panic;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Instant;

use zk_harness::Ensemble;

/// The processes whose command lines name the folder: its servers and their guards.
fn processes_of(folder: &Path) -> Vec<u32> {
    let folder = folder.to_str().expect("the harness names its folders in ASCII");
    let processes = fs::read_dir("/proc").expect("Linux").flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid: &u32| {
        let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&command).contains(folder)
    })
    .collect()
}

fn eventually(condition: impl Fn() -> bool) -> bool {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !condition() {
        if Instant::now() >= deadline {
            return false;
        }
        thread::sleep(Duration::from_millis(20));
    }
    true
}

/// The crate's program, with an ensemble of two.
fn program() -> (Child, SocketAddr, PathBuf) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_zk-harness"))
        .arg("2")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("cargo has built it");
    let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    let mut line = || lines.next().expect("it prints two lines").expect("in UTF-8");
    let connect_string = line();
    let (address, _) = connect_string.split_once(',').expect("two addresses");
    (child, address.parse().expect("an address"), line().into())
}

#[test]
fn a_dropped_ensemble_leaves_nothing_behind() {
    let ensemble = Ensemble::start(2).unwrap();
    let (address, folder) = (ensemble.address(0), ensemble.folder().to_owned());
    assert_eq!(processes_of(&folder).len(), 4, "two servers with a guard each");
    ensemble.pause(1);
    drop(ensemble);
    assert!(eventually(|| processes_of(&folder).is_empty()));
    assert!(TcpStream::connect(address).is_err());
    assert!(!folder.exists());
}

#[test]
fn a_panic_leaves_nothing_behind() {
    let ensemble = Ensemble::standalone().unwrap();
    let folder = ensemble.folder().to_owned();
    let outcome = panic::catch_unwind(panic::AssertUnwindSafe(move || {
        assert_eq!(ensemble.len(), 2, "a test that fails");
    }));
    outcome.unwrap_err();
    assert!(eventually(|| processes_of(&folder).is_empty()));
    assert!(!folder.exists());
}

#[test]
fn a_killed_test_leaves_nothing_behind() {
    let (mut test, address, folder) = program();
    assert_eq!(processes_of(&folder).len(), 4, "two servers with a guard each");
    assert!(TcpStream::connect(address).is_ok());
    test.kill().unwrap();
    test.wait().unwrap();
    assert!(eventually(|| processes_of(&folder).is_empty()));
    assert!(TcpStream::connect(address).is_err());
    assert!(eventually(|| !folder.exists()));
}

#[test]
fn the_program_ends_with_its_standard_input() {
    let (mut program, _, folder) = program();
    drop(program.stdin.take());
    assert!(program.wait().unwrap().success());
    assert!(eventually(|| processes_of(&folder).is_empty()));
    assert!(!folder.exists());
}
