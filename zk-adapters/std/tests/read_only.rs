//! A session on an ensemble that loses its quorum and gets it back.

mod story;

use story::{PATIENCE, Patient, connect, connector, event, until};
use zk_harness::{Ensemble, Mode, Options};
use zk_std::{CreateMode, ErrorCode, OPEN_ACL_UNSAFE, Retry, SessionEvent, State};

/// Servers that serve reads when they have lost their quorum, to sessions that are theirs alone.
fn ensemble() -> Ensemble {
    Options::new()
        .jvm_flag("-Dreadonlymode.enabled=true")
        .config_line("localSessionsEnabled=true")
        .config_line("localSessionsUpgradingEnabled=true")
        .start(3)
        .expect("three ZooKeeper servers")
}

fn wait_for(ensemble: &Ensemble, server: usize, mode: Mode) {
    until(|| ensemble.mode(server) == Some(mode));
}

#[test]
fn a_session_lives_on_a_read_only_server_and_moves_to_a_read_write_one() {
    let ensemble = ensemble();
    let (writer, _) = connect(&ensemble.connect_string());
    writer.create("/a", "x", CreateMode::Persistent, OPEN_ACL_UNSAFE).patient().unwrap();
    writer.sync("/").patient().unwrap();
    writer.close();
    ensemble.kill(0);
    ensemble.kill(1);
    wait_for(&ensemble, 2, Mode::ReadOnly);

    let connector = connector(&ensemble.connect_string()).connect_limit(PATIENCE);
    let (client, mut events) = connector.configure(|config| config.read_only = true).connect().unwrap();
    let is_read_only =
        |event: &SessionEvent| matches!(event, SessionEvent::Connected { read_only: true, .. });
    event(&mut events, is_read_only);
    assert_eq!(client.state(), State::ConnectedReadOnly);
    assert_eq!(client.credentials(), None, "no other server knows this session");
    assert_eq!(client.get_data("/a").patient().unwrap().data.as_deref(), Some(&b"x"[..]));
    let refused = client.create("/b", "", CreateMode::Persistent, OPEN_ACL_UNSAFE).patient().unwrap_err();
    assert_eq!(refused.code(), Some(ErrorCode::NOT_READ_ONLY));

    ensemble.restart(0).unwrap();
    let is_read_write =
        |event: &SessionEvent| matches!(event, SessionEvent::Connected { read_only: false, .. });
    event(&mut events, is_read_write);
    let client = client.with_retry(Retry::WhenSafe);
    client.sync("/").patient().unwrap();
    client.create("/b", "", CreateMode::Persistent, OPEN_ACL_UNSAFE).patient().unwrap();
    assert!(client.credentials().is_some());
}

#[test]
fn a_session_that_is_not_meant_for_read_only_servers_waits_for_a_read_write_one() {
    let ensemble = ensemble();
    ensemble.kill(0);
    ensemble.kill(1);
    wait_for(&ensemble, 2, Mode::ReadOnly);
    let connector = connector(&ensemble.connect_string()).connect_limit(PATIENCE);
    let (client, mut events) = connector.start().unwrap();
    event(&mut events, |event| matches!(event, SessionEvent::AllServersFailed { .. }));
    ensemble.restart(0).unwrap();
    event(&mut events, |event| matches!(event, SessionEvent::Ready));
    assert_eq!(client.state(), State::Connected);
}
