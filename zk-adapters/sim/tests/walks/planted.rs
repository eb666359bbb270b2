//! A planted defect is found, made short, and shown by what is left. In processes of their own: a defect is in all sessions
//! of a process.

use std::process::{Command, Output};

use zk_session::Planted;

fn chaos(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_chaos")).args(args).output().expect("the program of this crate")
}

/// The calls that are left of a run with this defect, and all there were: the transcript shows it, without it there is
/// nothing to show.
fn shrunk(defect: &str, rule: &str) -> (usize, usize) {
    let found = chaos(&["--plant", defect, "--seeds", "60", "--threads", "1", "--steps", "800"]);
    let told = String::from_utf8(found.stderr).expect("text");
    assert!(!found.status.success() && told.contains(rule), "{told}");
    // Only what shows the defect without the ensemble is wanted here.
    let numbers =
        told.lines().find(|line| line.starts_with("shrunk from") && !line.contains("don't show it"));
    let numbers: Vec<usize> = numbers
        .unwrap_or_else(|| panic!("{told}"))
        .split_whitespace()
        .filter_map(|word| word.trim_end_matches([',', ':']).parse().ok())
        .collect();
    let (all, left) = (numbers[2], numbers[3]);
    let path = std::env::temp_dir().join(format!("zk-sim-{}-{defect}.jsonl", std::process::id()));
    let lines: Vec<_> =
        found.stdout.split(|byte| *byte == b'\n').filter(|line| line.starts_with(b"{")).collect();
    std::fs::write(&path, lines[..=left].join(&b'\n')).expect("a file");
    let path_text = path.to_str().expect("a path");
    let shown = chaos(&["--replay", path_text, "--plant", defect]);
    let sound = chaos(&["--replay", path_text]);
    std::fs::remove_file(&path).expect("a file");
    let shown_text = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(!shown.status.success() && shown_text.contains(rule), "{shown_text}");
    assert!(sound.status.success(), "{}", String::from_utf8_lossy(&sound.stdout));
    (left, all)
}

#[test]
fn a_planted_defect_is_shown_by_a_short_transcript() {
    for (defect, rule) in
        [("WatchesFireTwice", "INV-3"), ("LossReversesOrder", "INV-11"), ("GapsAreUntold", "INV-41")]
    {
        let (left, all) = shrunk(defect, rule);
        assert!(left <= 40 && left * 5 <= all, "{defect}: {left} of {all} calls are left");
    }
}

#[test]
fn defects_are_found() {
    let found = chaos(&["--planted", "5", "--from", "1"]);
    assert!(found.status.success(), "{}", String::from_utf8_lossy(&found.stdout));
}

/// INV-73.
#[test]
fn a_session_without_bounds_is_noticed() {
    let test = "corpora::a_hostile_server_costs_no_more_memory_than_is_allowed";
    let program = std::env::current_exe().expect("this program");
    let told = Command::new(program).args(["--exact", test]).env(PLANT, "").output();
    let told = String::from_utf8_lossy(&told.expect("it runs").stdout).into_owned();
    assert!(told.contains("0 passed; 1 failed"), "{told}");
}

/// Plants what this process is to be tried with.
pub(crate) fn plant() {
    if std::env::var(PLANT).is_ok() {
        Planted::plant(Some(Planted::FloodsAreTakenUp));
    }
}

const PLANT: &str = "ZK_SIM_PLANTED";
