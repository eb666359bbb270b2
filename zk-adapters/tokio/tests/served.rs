//! Sessions on simulated servers, over real sockets and in real time.

#![expect(clippy::unwrap_used, reason = "a story that goes wrong fails its test")]

mod story;

use core::time::Duration;

use story::{Patient, connect, event};
use zk_sim::{Options, serve::Served};
use zk_tokio::{Client, CreateMode, ErrorCode, EventType, SessionEvent};

fn three() -> Served {
    let tick = Duration::from_millis(500);
    Served::start(Options { servers: 3, tick, ..Options::default() }).unwrap()
}

/// The server that the client is connected to.
fn current(client: &Client, served: &Served) -> usize {
    let port = client.server().unwrap().port;
    (0..served.len()).find(|&server| served.address(server).port() == port).unwrap()
}

#[tokio::test]
async fn a_client_reads_writes_and_watches() {
    let served = three();
    let (client, _events) = connect(&served.connect_string()).await;
    let (other, _) = connect(&served.connect_string()).await;
    client.create("/a", "one", CreateMode::Persistent).patient().await.unwrap();
    let (_, mut watch) = client.get_data_and_watch("/a").patient().await.unwrap();
    other.set_data("/a", "two", 0).patient().await.unwrap();
    let change = watch.changed().patient().await.unwrap();
    assert_eq!(change.event_type, EventType::NODE_DATA_CHANGED);
    assert_eq!(client.get_data("/a").patient().await.unwrap().data.as_deref(), Some(&b"two"[..]));

    let refused = other.set_data("/a", "three", 0).patient().await.unwrap_err();
    assert_eq!(refused.code(), Some(ErrorCode::BAD_VERSION));
    let numbered = client.create("/a/n-", "", CreateMode::PersistentSequential).patient().await.unwrap();
    assert_eq!(numbered.path.as_str(), Some("/a/n-0000000000"));
    client.close().patient().await;
    other.close().patient().await;
    assert_eq!(served.sessions(), []);
}

#[tokio::test]
async fn a_session_outlives_its_server_and_a_new_leader() {
    let served = three();
    let (client, mut events) = connect(&served.connect_string()).await;
    event(&mut events, |event| matches!(event, SessionEvent::Ready)).await;
    let session_id = client.session_id();
    client.create("/e", "", CreateMode::Ephemeral).patient().await.unwrap();
    let (_, mut watch) = client.get_data_and_watch("/e").patient().await.unwrap();

    let first = current(&client, &served);
    served.crash(first);
    event(&mut events, |event| matches!(event, SessionEvent::Ready)).await;
    assert_ne!(current(&client, &served), first);
    served.restart(first).unwrap();
    let leader = served.leader();
    served.lead((0..3).find(|server| Some(*server) != leader).unwrap());
    event(&mut events, |event| matches!(event, SessionEvent::Ready)).await;

    assert_eq!(client.session_id(), session_id);
    assert_eq!(Some(client.get_data("/e").patient().await.unwrap().stat.ephemeral_owner), session_id);
    client.set_data("/e", "changed", -1).patient().await.unwrap();
    assert_eq!(watch.changed().patient().await.unwrap().event_type, EventType::NODE_DATA_CHANGED);
}

#[tokio::test]
async fn an_expired_session_is_told_so() {
    let served = three();
    let (client, mut events) = connect(&served.connect_string()).await;
    served.expire(client.session_id().unwrap());
    event(&mut events, |event| matches!(event, SessionEvent::Expired { .. })).await;
    assert_eq!(served.sessions(), []);
}

/// What it was told and what it said is on record, and it does the same again.
#[cfg(feature = "record")]
#[tokio::test]
async fn a_recorded_session_is_replayed_to_the_byte() {
    use std::fs::{File, read_to_string};
    use zk_sim::drive::{outputs_path, replay};

    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("tokio.drive");
    let served = three();
    let builder = Client::builder(&served.connect_string()).unwrap();
    let builder = builder.record(zk_tokio::Recorder::create(&path).unwrap());
    let (client, mut events) = builder.connect().await.unwrap();
    client.add_auth("digest", "me:correct horse").patient().await.unwrap();
    client.create("/e", "", CreateMode::Ephemeral).patient().await.unwrap();
    let (_, mut watch) = client.get_data_and_watch("/e").patient().await.unwrap();
    served.crash(current(&client, &served));
    event(&mut events, |event| matches!(event, SessionEvent::Disconnected { .. })).await;
    event(&mut events, |event| matches!(event, SessionEvent::Ready)).await;
    let _ = client.with_deadline(Duration::from_micros(1)).get_data("/e").patient().await;
    client.set_data("/e", "changed", -1).patient().await.unwrap();
    watch.changed().patient().await.unwrap();
    let calls: Vec<_> = (0..20).map(|_| client.set_data("/e", vec![7; 1000], -1)).collect();
    for call in calls {
        call.patient().await.unwrap();
    }
    let password = client.credentials().unwrap().password;
    client.close().patient().await;
    drop((client, events, watch));

    let outputs = outputs_path(&path);
    let replayed = replay(File::open(&path).unwrap(), File::open(&outputs).unwrap()).unwrap();
    let replayed = replayed.unwrap_or_else(|difference| panic!("{difference}"));
    assert!(replayed.inputs > 40, "{replayed:?}");
    let texts = read_to_string(&path).unwrap() + &read_to_string(&outputs).unwrap();
    let hex = |secret: &[u8]| secret.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    for secret in [hex(&password), hex(b"correct horse"), "correct horse".to_owned()] {
        assert!(!texts.contains(&secret), "{secret}");
    }
}
