//! Limits: those of servers, met by a client, and the client's own, met by servers.

#![expect(clippy::unwrap_used, reason = "a story that goes wrong fails its test")]

mod story;

use core::time::Duration;

use story::{PATIENCE, Patient, builder, connect, event, make_familiar, server_has, standalone};
use zk_harness::{Ensemble, Options};
use zk_tokio::{Client, CreateMode, Delivery, Error, ErrorCode, Failure, Retry, SessionEvent, SubmitError};

async fn create(client: &Client, path: &str, len: usize) {
    client.create(path, vec![7; len], CreateMode::Persistent).patient().await.unwrap();
}

/// A server that takes frames of up to 8 MiB.
fn generous() -> Ensemble {
    Options::new().jvm_flag("-Djute.maxbuffer=8388608").standalone().expect("a ZooKeeper server")
}

#[tokio::test]
async fn a_server_that_takes_no_more_connections_is_told_of_and_tried_until_it_does() {
    let options = Options::new().config_line("maxClientCnxns=1");
    let server = options.standalone().expect("a ZooKeeper server");
    let (first, _) = connect(&server.connect_string()).await;
    let (second, mut events) = builder(&server.connect_string()).start();
    let waiting = second.sync("/");
    let is_cycle = |event: &SessionEvent| matches!(event, SessionEvent::AllServersFailed { attempts: 1, .. });
    event(&mut events, is_cycle).await;
    event(&mut events, is_cycle).await;
    first.sync("/").patient().await.unwrap();
    first.close().patient().await;
    waiting.patient().await.unwrap();
    event(&mut events, |event| matches!(event, SessionEvent::Ready)).await;
}

#[tokio::test]
async fn a_server_that_reads_no_further_than_its_limit_answers_all_requests_in_their_order() {
    let options = Options::new().jvm_flag("-Dzookeeper.globalOutstandingLimit=1");
    let server = options.standalone().expect("a ZooKeeper server");
    let (client, mut events) = connect(&server.connect_string()).await;
    make_familiar(&client, &mut events).await;
    let before = client.stats().connections;
    create(&client, "/n", 0).await;
    let calls: Vec<_> = (0..3000).map(|version| client.set_data("/n", vec![1; 500], version)).collect();
    for (call, version) in calls.into_iter().zip(1..) {
        assert_eq!(call.patient().await.unwrap().version, version);
    }
    assert_eq!(client.stats().connections, before);
}

/// Since 3.7 a server can be told to refuse what has waited for too long.
#[tokio::test]
async fn requests_that_a_busy_server_turns_away_are_refused_and_the_others_are_answered() {
    if !server_has(3, 7) {
        return;
    }
    let options = Options::new()
        .jvm_flag("-Dzookeeper.request_throttle_max_requests=1")
        .jvm_flag("-Dzookeeper.throttled_op_wait_time=1");
    let server = options.standalone().expect("a ZooKeeper server");
    let (client, _) = connect(&server.connect_string()).await;
    let (mut done, mut turned_away) = (0, 0);
    for _ in 0..10 {
        let calls: Vec<_> = (0..500).map(|_| client.set_data("/", vec![1; 500], -1)).collect();
        for call in calls {
            match call.patient().await {
                Ok(stat) => {
                    assert_eq!(stat.version, done + 1, "what is refused isn't applied");
                    done = stat.version;
                }
                Err(error) => {
                    assert_eq!(error.code(), Some(ErrorCode::THROTTLED_OP));
                    turned_away += 1;
                }
            }
        }
    }
    assert_eq!(client.stats().connections, 1);
    assert!(done > 0 && turned_away > 0, "{done}, {turned_away}");
}

#[tokio::test]
async fn a_reply_over_the_limit_fails_alone_and_the_stream_stays_in_step() {
    let server = standalone();
    let narrow = builder(&server.connect_string()).configure(|config| config.max_frame_len = 64 << 10);
    let (client, mut events) = narrow.connect().patient().await.unwrap();
    make_familiar(&client, &mut events).await;
    let before = client.stats().connections;
    create(&client, "/big", 900_000).await;
    create(&client, "/small", 1000).await;
    for _ in 0..3 {
        let calls = ["/small", "/big", "/small", "/big", "/small"].map(|path| (path, client.get_data(path)));
        for (path, call) in calls {
            match (path, call.patient().await) {
                ("/small", znode) => assert_eq!(znode.unwrap().data.unwrap().len(), 1000),
                (_, answer) => {
                    let Err(Error::Failed { failure: Failure::ReplyTooLarge { len, limit }, .. }) = answer
                    else {
                        panic!("{answer:?}")
                    };
                    assert_eq!(limit, 64 << 10);
                    assert!((900_000..900_200).contains(&len), "{len}");
                }
            }
        }
    }
    assert_eq!(client.stats().connections, before);
}

#[tokio::test]
async fn what_a_generous_server_takes_and_gives_is_up_to_the_clients_limits() {
    const LEN: usize = 5 << 20;
    let server = generous();
    let (client, mut events) = connect(&server.connect_string()).await;
    make_familiar(&client, &mut events).await;
    let refused = client.create("/big", vec![7; LEN], CreateMode::Persistent).patient().await;
    let Err(Error::NotSubmitted(SubmitError::TooLarge { limit, .. })) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(limit, 0xf_ffff);

    let wide = builder(&server.connect_string()).configure(|config| {
        config.max_request_len = 8 << 20;
        config.max_frame_len = 8 << 20;
    });
    let (wide, _) = wide.connect().patient().await.unwrap();
    create(&wide, "/big", LEN).await;
    assert_eq!(wide.get_data("/big").patient().await.unwrap().data.unwrap().len(), LEN);

    let before = client.stats().connections;
    let too_large = client.get_data("/big").patient().await.unwrap_err();
    assert!(
        matches!(too_large, Error::Failed { failure: Failure::ReplyTooLarge { .. }, .. }),
        "{too_large:?}"
    );
    assert_eq!(client.exists("/big").patient().await.unwrap().unwrap().data_length, LEN as i32);
    assert_eq!(client.stats().connections, before);
}

/// Servers hang up on a frame that is longer than their limit, without a word.
#[tokio::test]
async fn a_request_over_the_servers_limit_ends_however_often_it_may_be_repeated() {
    let server = standalone();
    let wide = builder(&server.connect_string()).configure(|config| config.max_request_len = 8 << 20);
    let (client, _) = wide.connect().patient().await.unwrap();
    let lost = Error::Failed { failure: Failure::ConnectionLoss, delivery: Delivery::MaybeApplied };
    let write = client.create("/big", vec![7; 2 << 20], CreateMode::Persistent).patient().await;
    assert_eq!(write.unwrap_err(), lost);

    let before = client.stats().connections;
    let safe = client.with_retry(Retry::WhenSafe);
    let path = format!("/{}", "x".repeat(2 << 20));
    assert_eq!(safe.exists(path).patient().await.unwrap_err(), lost);
    assert_eq!(safe.exists("/big").patient().await.unwrap(), None);
    assert!(client.stats().connections - before <= 4, "{:?}", client.stats());
}

#[tokio::test]
async fn a_deadline_on_a_server_that_stands_still_leaves_the_connection_alone() {
    let server = standalone();
    let builder = builder(&server.connect_string()).session_timeout(Duration::from_secs(30));
    let (client, mut events) = builder.connect_limit(PATIENCE).connect().patient().await.unwrap();
    make_familiar(&client, &mut events).await;
    let before = client.stats().connections;
    server.pause(0);
    let hasty = client.with_deadline(Duration::from_millis(200));
    let expected = Error::Failed { failure: Failure::Deadline, delivery: Delivery::MaybeApplied };
    let calls: Vec<_> = (0..5).map(|n| hasty.create(format!("/{n}"), "", CreateMode::Persistent)).collect();
    for call in calls {
        assert_eq!(call.patient().await.unwrap_err(), expected);
    }
    server.resume(0);
    // Their answers still take their turn.
    let names = client.get_child_names("/").patient().await.unwrap();
    assert!(
        (0..5).all(|n| names.iter_str().any(|name| name == n.to_string())),
        "they were applied: {names:?}"
    );
    assert_eq!(client.stats().connections, before);
    assert!(events.try_next().is_none());
}
