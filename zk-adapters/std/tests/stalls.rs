//! Servers that take or send nothing hold nobody up.

mod story;

use core::time::Duration;
use std::{thread, time::Instant};

use story::{PATIENCE, Patient, builder, event, make_familiar, standalone, until};
use zk_harness::{Direction, Relay};
use zk_std::{CreateMode, Delivery, Error, Failure, SessionEvent};

/// A peer that reads nothing: the socket takes no more, but deadlines act, and so does the read timeout.
#[test]
fn a_stalled_write_holds_up_neither_callers_nor_timers() {
    let server = standalone();
    let relay = Relay::start(server.address(0)).expect("a relay");
    let (client, mut events) = builder(&relay.address().to_string()).connect().expect("a session");
    make_familiar(&client, &mut events);
    relay.stall_reads();
    let calls: Vec<_> = (0..16)
        .map(|number| client.create(format!("/{number}"), vec![0; 900_000], CreateMode::Persistent))
        .collect();
    until(|| client.stats().in_flight > 0);
    let begun = Instant::now();
    let hasty = client.with_deadline(Duration::from_millis(200));
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let begun = Instant::now();
                let error = hasty.sync("/").wait().expect_err("nothing gets through");
                let delivery = Delivery::NotSent;
                assert_eq!(error, Error::Failed { failure: Failure::Deadline, delivery });
                let taken = begun.elapsed();
                assert!(taken >= Duration::from_millis(200) && taken < Duration::from_secs(1), "{taken:?}");
            });
        }
    });
    event(&mut events, |event| matches!(event, SessionEvent::Disconnected { .. }));
    assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
    relay.heal();
    event(&mut events, |event| matches!(event, SessionEvent::Ready));
    for call in calls {
        call.patient().expect_err("it was lost with its connection");
    }
    client.sync("/").patient().expect("the session goes on");
}

/// Behind a slow reader, everything arrives in the end, in order.
#[test]
fn a_write_goes_on_when_the_server_takes_more() {
    let server = standalone();
    let relay = Relay::start(server.address(0)).expect("a relay");
    let builder = builder(&relay.address().to_string()).session_timeout(Duration::from_secs(30));
    let (client, mut events) = builder.connect().expect("a session");
    make_familiar(&client, &mut events);
    let before = client.stats().connections;
    relay.stall_reads();
    let create = |number| client.create(format!("/{number}"), vec![0; 900_000], CreateMode::Persistent);
    let calls: Vec<_> = (0..16).map(create).collect();
    thread::sleep(Duration::from_millis(500));
    relay.heal();
    for call in calls {
        call.patient().expect("it arrives");
    }
    assert_eq!(client.stats().connections, before);
}

/// Pings go out, and are answered, while every thread of the application waits for something else.
#[test]
fn a_session_lives_on_while_its_application_sleeps_or_waits() {
    let server = standalone();
    let builder = builder(&server.connect_string()).session_timeout(Duration::from_secs(1));
    let (client, mut events) = builder.connect().expect("a session");
    make_familiar(&client, &mut events);
    let before = client.stats().connections;
    client.create("/e", "", CreateMode::Ephemeral).patient().expect("it is created");
    let (_, mut watch) = client.get_data_and_watch("/e").patient().expect("it is watched");
    thread::sleep(Duration::from_secs(2));
    assert!(watch.changed_timeout(Duration::from_secs(2)).is_none());
    assert!(client.exists("/e").patient().expect("an answer").is_some());
    let stats = client.stats();
    assert!(stats.pongs >= 6 && stats.connections == before, "{stats:?}");
}

/// What is submitted and not waited for leaves all the same, and soon.
#[test]
fn a_request_leaves_without_being_waited_for() {
    let server = standalone();
    let (client, mut events) = builder(&server.connect_string()).connect().expect("a session");
    make_familiar(&client, &mut events);
    let (observer, _) = builder(&server.connect_string()).connect().expect("a session");
    for number in 0..20 {
        let path = format!("/{number}");
        let (_, mut watch) = observer.exists_and_watch(path.as_str()).patient().expect("it is watched");
        // Once when its connection is idle, once when it is in use.
        if number % 2 == 0 {
            thread::sleep(Duration::from_millis(20));
        } else {
            client.sync("/").patient().expect("an answer");
        }
        let begun = Instant::now();
        let create = client.create(path, "", CreateMode::Persistent);
        watch.changed_timeout(PATIENCE).expect("it is created").expect("an event");
        assert!(begun.elapsed() < Duration::from_millis(500), "{:?}", begun.elapsed());
        create.patient().expect("an answer");
    }
}

/// One thread reads for the others; when it has what it wants, another goes on.
#[test]
fn the_threads_that_wait_hand_over_to_each_other() {
    let server = standalone();
    let relay = Relay::start(server.address(0)).expect("a relay");
    let (client, _) = builder(&relay.address().to_string()).connect().expect("a session");
    relay.delay(Duration::from_millis(5));
    let begun = Instant::now();
    thread::scope(|scope| {
        for number in 0_u64..16 {
            let client = &client;
            scope.spawn(move || {
                for round in 0..20 {
                    if (number + round) % 5 == 0 {
                        thread::sleep(Duration::from_millis(number));
                    }
                    client.sync("/").patient().expect("an answer");
                }
            });
        }
    });
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    relay.black_hole(Direction::ToServer);
}
