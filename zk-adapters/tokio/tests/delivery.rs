//! What is told of requests that get no answer.

#![expect(clippy::unwrap_used, reason = "a story that goes wrong fails its test")]

mod story;

use core::time::Duration;

use story::{Patient, builder, event, make_familiar, standalone};
use zk_harness::{Direction, Ensemble, Relay};
use zk_tokio::{Client, CreateMode, Delivery, Error, Failure, Retry, SessionEvent, SessionEvents};

/// A client behind a relay, whose session timeout is long enough to leave the faults to the test.
async fn relayed(server: &Ensemble) -> (Relay, Client, SessionEvents) {
    let relay = Relay::start(server.address(0)).unwrap();
    let builder = builder(&relay.address().to_string()).session_timeout(Duration::from_secs(30));
    let (client, mut events) = builder.connect().patient().await.unwrap();
    make_familiar(&client, &mut events).await;
    (relay, client, events)
}

#[tokio::test]
async fn a_request_whose_answer_is_lost_may_have_been_applied() {
    let server = standalone();
    let (relay, client, _events) = relayed(&server).await;
    relay.cut_after(Direction::ToClient, 0);
    let error = client.create("/a", "", CreateMode::Persistent).patient().await.unwrap_err();
    assert_eq!(error, Error::Failed { failure: Failure::ConnectionLoss, delivery: Delivery::MaybeApplied });
    assert!(client.exists("/a").patient().await.unwrap().is_some(), "here it was");
}

#[tokio::test]
async fn a_request_that_stayed_behind_a_stalled_socket_was_not_sent() {
    let server = standalone();
    let (relay, client, _events) = relayed(&server).await;
    relay.stall_reads();
    let create = |name: String| client.create(name, vec![0; 900_000], CreateMode::Persistent);
    let calls: Vec<_> = (0..16).map(|number| create(format!("/{number}"))).collect();
    until_stalled(&client).await;
    relay.cut();
    relay.heal();

    let mut deliveries = Vec::new();
    for call in calls {
        deliveries.push(call.patient().await.unwrap_err().delivery().unwrap());
    }
    assert_eq!(deliveries[0], Delivery::MaybeApplied);
    assert_eq!(deliveries[15], Delivery::NotSent);
    assert!(deliveries.is_sorted_by_key(|&delivery| delivery == Delivery::NotSent), "{deliveries:?}");
    for (number, &delivery) in deliveries.iter().enumerate() {
        let stat = client.exists(format!("/{number}")).patient().await.unwrap();
        assert!(stat.is_none() || delivery == Delivery::MaybeApplied, "/{number} was created");
    }
}

/// Until the sockets' buffers on the way are full: nothing was handed out for a while.
async fn until_stalled(client: &Client) {
    let mut before = 0;
    loop {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let sent = client.stats().bytes_sent;
        if sent == before && sent > 0 {
            return;
        }
        before = sent;
    }
}

#[tokio::test]
async fn a_request_that_is_dropped_before_it_was_sent_is_not_sent() {
    let server = standalone();
    let relay = Relay::start(server.address(0)).unwrap();
    relay.refuse();
    let (client, mut events) = builder(&relay.address().to_string()).start();
    let dropped = client.create("/dropped", "", CreateMode::Persistent);
    let kept = client.create("/kept", "", CreateMode::Persistent);
    drop(dropped);
    relay.accept();
    kept.patient().await.unwrap();
    event(&mut events, |event| matches!(event, SessionEvent::Ready)).await;
    assert_eq!(client.exists("/dropped").patient().await.unwrap(), None);
    assert!(client.exists("/kept").patient().await.unwrap().is_some());
    assert_eq!(client.stats().failed, 1);
}

#[tokio::test]
async fn requests_that_are_dropped_under_way_leave_the_others_alone() {
    let server = standalone();
    let (_relay, client, _events) = relayed(&server).await;
    let before = client.stats();
    client.create("/n", "0", CreateMode::Persistent).patient().await.unwrap();
    for round in 0..50 {
        let mut calls: Vec<_> = (0..10).map(|_| client.get_data("/n")).collect();
        if round % 2 == 0 {
            tokio::task::yield_now().await;
        }
        calls.retain(|call| call.request().unwrap().get() % 3 == 0);
        for call in calls {
            assert_eq!(call.patient().await.unwrap().data.as_deref(), Some(&b"0"[..]));
        }
    }
    client.sync("/").patient().await.unwrap();
    let stats = client.stats();
    let accepted = before.accepted + 502;
    assert_eq!((stats.accepted, stats.ended, stats.connections), (accepted, accepted, before.connections));
}

#[tokio::test]
async fn a_deadline_ends_a_request_and_not_its_connection() {
    let server = standalone();
    let (relay, client, _events) = relayed(&server).await;
    let before = client.stats().connections;
    relay.black_hole(Direction::ToClient);
    let hasty = client.with_deadline(Duration::from_millis(50));
    let error = hasty.sync("/").patient().await.unwrap_err();
    assert_eq!(error, Error::Failed { failure: Failure::Deadline, delivery: Delivery::MaybeApplied });
    relay.heal();
    client.sync("/").patient().await.unwrap();
    assert_eq!(client.stats().connections, before);
}

#[tokio::test]
async fn a_read_that_may_be_repeated_outlives_its_connection() {
    let server = standalone();
    let (relay, client, mut events) = relayed(&server).await;
    let before = client.stats().connections;
    let steady = client.with_retry(Retry::WhenSafe);
    relay.cut_after(Direction::ToClient, 0);
    assert!(steady.exists("/").patient().await.unwrap().is_some());
    event(&mut events, |event| matches!(event, SessionEvent::Disconnected { .. })).await;
    assert_eq!(client.stats().connections, before + 1);
}
