//! What is missing fails loudly, and is never skipped.

use std::process::Command;

/// What the crate's program says on standard error when it fails with this variable.
fn refusal(variable: &str, value: &str) -> String {
    let program = env!("CARGO_BIN_EXE_zk-harness");
    let output = Command::new(program).env(variable, value).output().expect("cargo has built it");
    assert!(!output.status.success());
    String::from_utf8(output.stderr).expect("messages are UTF-8")
}

#[test]
fn a_zookeeper_home_without_zookeeper_fails_and_says_how_to_get_one() {
    let message = refusal("ZOOKEEPER_HOME", "/nowhere");
    for part in
        ["/nowhere", "apt-get install libzookeeper-java", "zookeeper.apache.org", "set ZOOKEEPER_HOME"]
    {
        assert!(message.contains(part), "{part} in {message}");
    }
}

#[test]
fn a_missing_java_fails_and_says_how_to_get_one() {
    let message = refusal("JAVA_HOME", "/nowhere");
    for part in ["/nowhere/bin/java", "apt-get install default-jre-headless", "set JAVA_HOME"] {
        assert!(message.contains(part), "{part} in {message}");
    }
}
