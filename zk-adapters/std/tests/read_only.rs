//! A session on an ensemble that loses its quorum and gets it back.

mod story;

use core::time::Duration;

use story::{PATIENCE, Patient, builder, changed, connect, event, server_has, until};
use zk_harness::{Ensemble, Mode, Options};
use zk_std::{AttemptCause, CreateMode, DisconnectReason, ErrorCode, EventType, Retry, SessionEvent, State};

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
    writer.create("/a", "x", CreateMode::Persistent).patient().unwrap();
    writer.sync("/").patient().unwrap();
    writer.close();
    ensemble.kill(0);
    ensemble.kill(1);
    wait_for(&ensemble, 2, Mode::ReadOnly);

    let builder = builder(&ensemble.connect_string()).connect_limit(PATIENCE);
    let (client, mut events) = builder.configure(|config| config.read_only = true).connect().unwrap();
    let is_read_only =
        |event: &SessionEvent| matches!(event, SessionEvent::Connected { read_only: true, .. });
    event(&mut events, is_read_only);
    assert_eq!(client.state(), State::ConnectedReadOnly);
    assert_eq!(client.credentials(), None, "no other server knows this session");
    assert_eq!(client.get_data("/a").patient().unwrap().data.as_deref(), Some(&b"x"[..]));
    let refused = client.create("/b", "", CreateMode::Persistent).patient().unwrap_err();
    assert_eq!(refused.code(), Some(ErrorCode::NOT_READ_ONLY));
    // Such refusals overtake the answers to earlier reads: each request gets its own all the same.
    for _ in 0..50 {
        let reads: Vec<_> = (0..10).map(|_| client.get_data("/a")).collect();
        let write = client.set_data("/a", "y", -1);
        let last = client.exists("/a");
        assert_eq!(write.patient().unwrap_err().code(), Some(ErrorCode::NOT_READ_ONLY));
        for read in reads {
            assert_eq!(read.patient().unwrap().data.as_deref(), Some(&b"x"[..]));
        }
        assert!(last.patient().unwrap().is_some());
    }
    let (_, mut watch) = client.get_data_and_watch("/a").patient().unwrap();

    ensemble.restart(0).unwrap();
    let is_read_write =
        |event: &SessionEvent| matches!(event, SessionEvent::Connected { read_only: false, .. });
    event(&mut events, is_read_write);
    let client = client.with_retry(Retry::WhenSafe);
    client.sync("/").patient().unwrap();
    client.create("/b", "", CreateMode::Persistent).patient().unwrap();
    assert!(client.credentials().is_some());
    client.set_data("/a", "z", -1).patient().unwrap();
    let change = changed(&mut watch).unwrap();
    assert_eq!(
        change.event_type,
        EventType::NODE_DATA_CHANGED,
        "it was armed again on the read-write server"
    );
}

#[test]
fn a_session_that_is_not_meant_for_read_only_servers_waits_for_a_read_write_one() {
    let ensemble = ensemble();
    ensemble.kill(0);
    ensemble.kill(1);
    wait_for(&ensemble, 2, Mode::ReadOnly);
    let builder = builder(&ensemble.connect_string()).connect_limit(PATIENCE);
    let (client, mut events) = builder.start().unwrap();
    event(&mut events, |event| matches!(event, SessionEvent::AllServersFailed { .. }));
    ensemble.restart(0).unwrap();
    event(&mut events, |event| matches!(event, SessionEvent::Ready));
    assert_eq!(client.state(), State::Connected);
}

/// Sessions that all servers know: from 3.7 on, a server without a quorum neither makes nor resumes one. It says so in a
/// reply's header where a ConnectResponse is due.
#[test]
fn a_session_of_the_whole_ensemble_outlives_the_loss_of_the_quorum() {
    let ensemble = Options::new().jvm_flag("-Dreadonlymode.enabled=true").start(3).unwrap();
    let builder = builder(&ensemble.address(2).to_string())
        .connect_limit(PATIENCE)
        .session_timeout(Duration::from_secs(30));
    let lenient = builder.configure(|config| config.read_only = true);
    let (client, mut events) = lenient.clone().connect().unwrap();
    client.create("/mine", "", CreateMode::Ephemeral).patient().unwrap();
    let session_id = client.session_id();
    while events.try_next().is_some() {}
    ensemble.kill(0);
    ensemble.kill(1);
    wait_for(&ensemble, 2, Mode::ReadOnly);

    let (newcomer, mut theirs) = lenient.start().unwrap();
    if server_has(3, 7) {
        let is_refusal = |event: &SessionEvent| {
            let SessionEvent::AttemptFailed { cause: AttemptCause::Session(reason), .. } = event else {
                return false;
            };
            matches!(reason, DisconnectReason::BadConnectResponse(_))
        };
        event(&mut theirs, is_refusal);
        event(&mut events, |event| matches!(event, SessionEvent::AllServersFailed { .. }));
    } else {
        let is_read_only = |resumed: bool| {
            move |event: &SessionEvent| {
                let SessionEvent::Connected { read_only, resumed: was, .. } = event else { return false };
                *read_only && *was == resumed
            }
        };
        event(&mut theirs, is_read_only(false));
        event(&mut events, is_read_only(true));
        assert!(client.exists("/mine").patient().unwrap().is_some());
    }
    assert_eq!(client.session_id(), session_id);
    assert_eq!(newcomer.session_id(), None, "no other server would know it");

    ensemble.restart(0).unwrap();
    let is_read_write =
        |event: &SessionEvent| matches!(event, SessionEvent::Connected { read_only: false, .. });
    event(&mut theirs, is_read_write);
    event(&mut events, is_read_write);
    let client = client.with_retry(Retry::WhenSafe);
    let mine = client.exists("/mine").patient().unwrap().unwrap();
    assert_eq!((Some(mine.ephemeral_owner), client.session_id()), (session_id, session_id));
    let theirs = newcomer.session_id();
    assert!(theirs.is_some() && theirs != session_id);
}
