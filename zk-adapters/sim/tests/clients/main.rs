//! Other people's clients against the simulated ensemble on loopback: what they do with a real one, they do with it.

mod talk;

use core::time::Duration;
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{self, Command},
    sync::OnceLock,
};

use talk::Talk;
use zk_harness::Distribution;
use zk_proto::SessionId;
use zk_sim::{
    Options, Version,
    reconnect::{Check, Outcome, Rule},
    serve::{Served, ServedSession},
};

fn three() -> Served {
    let options = Options { servers: 3, tick: Duration::from_millis(500), ..Options::default() };
    Served::start(options).expect("free ports")
}

/// A session that was told of in its client's own words.
fn session(served: &Served, id: &str) -> ServedSession {
    let digits = id.trim_start_matches("0x");
    let id = SessionId(u64::from_str_radix(digits, 16).expect("a session's id").cast_signed());
    let sessions = served.sessions();
    *sessions.iter().find(|session| session.id == id).unwrap_or_else(|| panic!("{id} among {sessions:?}"))
}

/// kazoo asks for faults by itself, and checks what becomes of its session.
#[test]
fn kazoo_reads_writes_watches_and_survives_a_server() {
    let Some(packages) = kazoo() else { return };
    let served = three();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/kazoo_client.py");
    let mut command = Command::new("python3");
    command.arg(script).arg(served.connect_string()).env("PYTHONPATH", packages);
    let mut kazoo = Talk::start(&mut command);
    let mut crashed = None;
    loop {
        let fault = kazoo.hear("test, please: ");
        match fault.split_whitespace().collect::<Vec<_>>()[..] {
            ["crash", id] => {
                let server = session(&served, id).server.expect("it is connected");
                served.crash(server);
                crashed = Some(server);
            }
            ["restart"] => served.restart(crashed.expect("it asked for a crash")).expect("its old port"),
            ["expire", id] => served.expire(session(&served, id).id),
            ["done"] => break,
            _ => panic!("kazoo asks for {fault:?}"),
        }
    }
    assert!(kazoo.ends_well());
    assert_eq!(served.sessions(), []);
}

/// The Java client by its own command line.
#[test]
fn the_java_client_reads_writes_watches_and_survives_a_server() {
    let served = three();
    let distribution = Distribution::find().unwrap_or_else(|error| panic!("{error}"));
    let mut command = distribution.program("org.apache.zookeeper.ZooKeeperMain");
    let mut java = Talk::start(command.args(["-server", &served.connect_string(), "-timeout", "6000"]));
    let mut ask = |line: &str, answer: &str| {
        if !line.is_empty() {
            java.say(line);
        }
        java.hear(answer);
    };
    ask("", "WatchedEvent state:SyncConnected type:None");
    ask("create /java one", "Created /java");
    ask("get -w /java", "one");
    ask("set /java two", "WatchedEvent state:SyncConnected type:NodeDataChanged path:/java");
    ask("create -e /java/e x", "Created /java/e");
    ask("create -s /java/s- x", "Created /java/s-0000000001");
    ask("ls /java", "[e, s-0000000001]");
    ask("delete /java/s-0000000000", "Node does not exist: /java/s-0000000000");
    ask("stat /java", "dataVersion = 1");
    ask("get -w /java", "two");

    let before = served.sessions()[0];
    served.crash(before.server.expect("it is connected"));
    ask("", "WatchedEvent state:Disconnected");
    ask("", "WatchedEvent state:SyncConnected type:None");
    let after = served.sessions()[0];
    assert_eq!(after.id, before.id);
    assert_ne!(after.server, before.server);
    ask("ls /java", "[e, s-0000000001]");
    ask("set /java three", "WatchedEvent state:SyncConnected type:NodeDataChanged path:/java");
    java.say("quit");
    assert!(java.ends_well());
    let server = after.server.expect("it was connected");
    assert_eq!(served.data(server, "/java").as_deref(), Some(&b"three"[..]));
    assert_eq!(served.data(server, "/java/e"), None);
}

/// The rules for reconnecting that a client breaks.
fn broken_rules(client: impl FnOnce(&str) -> Talk) -> Vec<Rule> {
    let check = Check::start(Version::V3_9, 0).expect("free ports");
    let _client = client(&check.connect_string());
    let verdicts = check.run(Duration::from_secs(60), |_| {}).expect("a session");
    verdicts.iter().for_each(|verdict| println!("{verdict}"));
    let broken = verdicts.iter().filter(|verdict| verdict.outcome == Outcome::Failed);
    broken.map(|verdict| verdict.rule).collect()
}

/// It sets no watch again (python-zk/kazoo#151).
#[test]
fn kazoo_reconnects_without_its_watches() {
    let Some(packages) = kazoo() else { return };
    let broken = broken_rules(|servers| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/kazoo_watch.py");
        Talk::start(Command::new("python3").arg(script).arg(servers).env("PYTHONPATH", packages))
    });
    assert_eq!(broken, [Rule::SetsWatchesAgain, Rule::ChangeTold]);
}

#[test]
fn the_java_client_keeps_the_rules_for_reconnecting() {
    let distribution = Distribution::find().unwrap_or_else(|error| panic!("{error}"));
    let broken = broken_rules(|servers| {
        let mut command = distribution.program("org.apache.zookeeper.ZooKeeperMain");
        let mut java = Talk::start(command.args(["-server", servers, "-timeout", "4000"]));
        java.hear("WatchedEvent state:SyncConnected type:None");
        java.say("get -w /check");
        java
    });
    assert_eq!(broken, []);
}

/// Where kazoo is, once pip has fetched it. Without pip there is no test, but in CI.
fn kazoo() -> Option<PathBuf> {
    static PACKAGES: OnceLock<Option<PathBuf>> = OnceLock::new();
    PACKAGES.get_or_init(fetch_kazoo).clone()
}

fn fetch_kazoo() -> Option<PathBuf> {
    let packages = Path::new(env!("CARGO_TARGET_TMPDIR")).join(KAZOO);
    if packages.is_dir() {
        return Some(packages);
    }
    // It is there when all of it is, whichever process was the first to have it.
    let fetched = packages.with_file_name(format!("{KAZOO}.{}", process::id()));
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target"]);
    let outcome = pip.arg(&fetched).arg(KAZOO).output();
    let what = match &outcome {
        Ok(output) if output.status.success() => {
            let moved = fs::rename(&fetched, &packages);
            assert!(moved.is_ok() || packages.is_dir(), "{moved:?}");
            return Some(packages);
        }
        Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
        Err(error) => error.to_string(),
    };
    assert!(env::var_os("CI").is_none(), "no kazoo to test with: python3 -m pip install {KAZOO}: {what}");
    eprintln!("SKIPPED: no kazoo to test with: python3 -m pip install {KAZOO}: {what}");
    None
}

const KAZOO: &str = "kazoo==2.11.0";
