//! Defects that can be planted into sessions: in processes of their own, for they are in all sessions of a process.

use std::{env, process::Command, sync::Once};

use zk_session::Planted;

/// Asserts that this test of the same file fails with the defect.
#[track_caller]
pub fn notices(test: &str, defect: Planted) {
    let program = env::current_exe().expect("this program");
    let told = Command::new(program).args(["--exact", test]).env(PLANT, format!("{defect:?}")).output();
    let told = String::from_utf8_lossy(&told.expect("it runs").stdout).into_owned();
    assert!(told.contains("0 passed; 1 failed"), "{test} doesn't notice {defect:?}: {told}");
}

/// Plants what this process is to be tried with.
pub fn plant() {
    static PLANTED: Once = Once::new();
    PLANTED.call_once(|| {
        if let Ok(name) = env::var(PLANT) {
            let defect = Planted::ALL.iter().copied().find(|defect| format!("{defect:?}") == name);
            Planted::plant(Some(defect.expect("a defect")));
        }
    });
}

const PLANT: &str = "ZK_SESSION_PLANTED";
