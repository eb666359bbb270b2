//! A session on an ensemble that loses its quorum and gets it back.

#![expect(clippy::unwrap_used, reason = "a story that goes wrong fails its test")]

mod story;

use core::time::Duration;

use story::{PATIENCE, Patient, builder, connect, event, server_has};
use zk_harness::{Ensemble, Mode, Options};
use zk_tokio::{
    AttemptCause, CreateMode, DisconnectReason, ErrorCode, EventType, Retry, SessionEvent, State,
};

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
    writer.create("/a", "x", CreateMode::Persistent).patient().await.unwrap();
    writer.sync("/").patient().await.unwrap();
    writer.close().patient().await;
    ensemble.kill(0);
    ensemble.kill(1);
    wait_for(&ensemble, 2, Mode::ReadOnly).await;

    let builder = builder(&ensemble.connect_string()).connect_limit(PATIENCE);
    let (client, mut events) =
        builder.configure(|config| config.read_only = true).connect().patient().await.unwrap();
    let is_read_only =
        |event: &SessionEvent| matches!(event, SessionEvent::Connected { read_only: true, .. });
    event(&mut events, is_read_only).await;
    assert_eq!(client.state(), State::ConnectedReadOnly);
    assert_eq!(client.credentials(), None, "no other server knows this session");
    assert_eq!(client.get_data("/a").patient().await.unwrap().data.as_deref(), Some(&b"x"[..]));
    let refused = client.create("/b", "", CreateMode::Persistent).patient().await.unwrap_err();
    assert_eq!(refused.code(), Some(ErrorCode::NOT_READ_ONLY));
    // Such refusals overtake the answers to earlier reads: each request gets its own all the same.
    for _ in 0..50 {
        let reads: Vec<_> = (0..10).map(|_| client.get_data("/a")).collect();
        let write = client.set_data("/a", "y", -1);
        let last = client.exists("/a");
        assert_eq!(write.patient().await.unwrap_err().code(), Some(ErrorCode::NOT_READ_ONLY));
        for read in reads {
            assert_eq!(read.patient().await.unwrap().data.as_deref(), Some(&b"x"[..]));
        }
        assert!(last.patient().await.unwrap().is_some());
    }
    let (_, mut watch) = client.get_data_and_watch("/a").patient().await.unwrap();

    ensemble.restart(0).unwrap();
    let is_read_write =
        |event: &SessionEvent| matches!(event, SessionEvent::Connected { read_only: false, .. });
    event(&mut events, is_read_write).await;
    let client = client.with_retry(Retry::WhenSafe);
    client.sync("/").patient().await.unwrap();
    client.create("/b", "", CreateMode::Persistent).patient().await.unwrap();
    assert!(client.credentials().is_some());
    client.set_data("/a", "z", -1).patient().await.unwrap();
    let change = watch.changed().patient().await.unwrap();
    assert_eq!(
        change.event_type,
        EventType::NODE_DATA_CHANGED,
        "it was armed again on the read-write server"
    );
}

#[tokio::test]
async fn a_session_that_is_not_meant_for_read_only_servers_waits_for_a_read_write_one() {
    let ensemble = ensemble();
    ensemble.kill(0);
    ensemble.kill(1);
    wait_for(&ensemble, 2, Mode::ReadOnly).await;
    let builder = builder(&ensemble.connect_string()).connect_limit(PATIENCE);
    let (client, mut events) = builder.start();
    event(&mut events, |event| matches!(event, SessionEvent::AllServersFailed { .. })).await;
    ensemble.restart(0).unwrap();
    event(&mut events, |event| matches!(event, SessionEvent::Ready)).await;
    assert_eq!(client.state(), State::Connected);
}

/// Sessions that all servers know: from 3.7 on, a server without a quorum neither makes nor resumes one. It says so in a
/// reply's header where a ConnectResponse is due.
#[tokio::test]
async fn a_session_of_the_whole_ensemble_outlives_the_loss_of_the_quorum() {
    let ensemble = Options::new().jvm_flag("-Dreadonlymode.enabled=true").start(3).unwrap();
    let builder = builder(&ensemble.address(2).to_string())
        .connect_limit(PATIENCE)
        .session_timeout(Duration::from_secs(30));
    let lenient = builder.configure(|config| config.read_only = true);
    let (client, mut events) = lenient.clone().connect().patient().await.unwrap();
    client.create("/mine", "", CreateMode::Ephemeral).patient().await.unwrap();
    let session_id = client.session_id();
    while events.try_next().is_some() {}
    ensemble.kill(0);
    ensemble.kill(1);
    wait_for(&ensemble, 2, Mode::ReadOnly).await;

    let (newcomer, mut theirs) = lenient.start();
    if server_has(3, 7) {
        let is_refusal = |event: &SessionEvent| {
            let SessionEvent::AttemptFailed { cause: AttemptCause::Session(reason), .. } = event else {
                return false;
            };
            matches!(reason, DisconnectReason::BadConnectResponse(_))
        };
        event(&mut theirs, is_refusal).await;
        event(&mut events, |event| matches!(event, SessionEvent::AllServersFailed { .. })).await;
    } else {
        let is_read_only = |resumed: bool| {
            move |event: &SessionEvent| {
                let SessionEvent::Connected { read_only, resumed: was, .. } = event else { return false };
                *read_only && *was == resumed
            }
        };
        event(&mut theirs, is_read_only(false)).await;
        event(&mut events, is_read_only(true)).await;
        assert!(client.exists("/mine").patient().await.unwrap().is_some());
    }
    assert_eq!(client.session_id(), session_id);
    assert_eq!(newcomer.session_id(), None, "no other server would know it");

    ensemble.restart(0).unwrap();
    let is_read_write =
        |event: &SessionEvent| matches!(event, SessionEvent::Connected { read_only: false, .. });
    event(&mut theirs, is_read_write).await;
    event(&mut events, is_read_write).await;
    let client = client.with_retry(Retry::WhenSafe);
    let mine = client.exists("/mine").patient().await.unwrap().unwrap();
    assert_eq!((Some(mine.ephemeral_owner), client.session_id()), (session_id, session_id));
    let theirs = newcomer.session_id();
    assert!(theirs.is_some() && theirs != session_id);
}
