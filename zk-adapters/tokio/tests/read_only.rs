//! A session on an ensemble that loses its quorum and gets it back.

#![expect(clippy::unwrap_used, reason = "a story that goes wrong fails its test")]

mod story;

use core::time::Duration;

use story::{PATIENCE, Patient, connect, connector, event};
use zk_harness::{Ensemble, Mode, Options};
use zk_tokio::{CreateMode, ErrorCode, OPEN_ACL_UNSAFE, Retry, SessionEvent, State};

/// Servers that serve reads when they have lost their quorum, to sessions that are theirs alone.
fn ensemble() -> Ensemble {
    Options::new()
        .jvm_flag("-Dreadonlymode.enabled=true")
        .config_line("localSessionsEnabled=true")
        .config_line("localSessionsUpgradingEnabled=true")
        .start(3)
        .expect("three ZooKeeper servers")
}

async fn wait_for(ensemble: &Ensemble, server: usize, mode: Mode) {
    let seen = async {
        while ensemble.mode(server) != Some(mode) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    seen.patient().await;
}

#[tokio::test]
async fn a_session_lives_on_a_read_only_server_and_moves_to_a_read_write_one() {
    let ensemble = ensemble();
    let (writer, _) = connect(&ensemble.connect_string()).await;
    writer.create("/a", "x", CreateMode::Persistent, OPEN_ACL_UNSAFE).patient().await.unwrap();
    writer.sync("/").patient().await.unwrap();
    writer.close().patient().await;
    ensemble.kill(0);
    ensemble.kill(1);
    wait_for(&ensemble, 2, Mode::ReadOnly).await;

    let connector = connector(&ensemble.connect_string()).connect_limit(PATIENCE);
    let (client, mut events) =
        connector.configure(|config| config.read_only = true).connect().patient().await.unwrap();
    let is_read_only =
        |event: &SessionEvent| matches!(event, SessionEvent::Connected { read_only: true, .. });
    event(&mut events, is_read_only).await;
    assert_eq!(client.state(), State::ConnectedReadOnly);
    assert_eq!(client.credentials(), None, "no other server knows this session");
    assert_eq!(client.get_data("/a").patient().await.unwrap().data.as_deref(), Some(&b"x"[..]));
    let refused =
        client.create("/b", "", CreateMode::Persistent, OPEN_ACL_UNSAFE).patient().await.unwrap_err();
    assert_eq!(refused.code(), Some(ErrorCode::NOT_READ_ONLY));

    ensemble.restart(0).unwrap();
    let is_read_write =
        |event: &SessionEvent| matches!(event, SessionEvent::Connected { read_only: false, .. });
    event(&mut events, is_read_write).await;
    let client = client.with_retry(Retry::WhenSafe);
    client.sync("/").patient().await.unwrap();
    client.create("/b", "", CreateMode::Persistent, OPEN_ACL_UNSAFE).patient().await.unwrap();
    assert!(client.credentials().is_some());
}

#[tokio::test]
async fn a_session_that_is_not_meant_for_read_only_servers_waits_for_a_read_write_one() {
    let ensemble = ensemble();
    ensemble.kill(0);
    ensemble.kill(1);
    wait_for(&ensemble, 2, Mode::ReadOnly).await;
    let connector = connector(&ensemble.connect_string()).connect_limit(PATIENCE);
    let (client, mut events) = connector.start();
    event(&mut events, |event| matches!(event, SessionEvent::AllServersFailed { .. })).await;
    ensemble.restart(0).unwrap();
    event(&mut events, |event| matches!(event, SessionEvent::Ready)).await;
    assert_eq!(client.state(), State::Connected);
}
