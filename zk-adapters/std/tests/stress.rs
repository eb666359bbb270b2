//! Many threads, and a network that fails all the time: nobody waits for ever, and what is told is true.

mod story;

use core::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};
use std::{borrow::Cow, collections::HashSet, thread, time::Instant};

use story::{PATIENCE, Patient, builder, connect, standalone};
use zk_harness::{Direction, Relay};
use zk_std::{Client, CreateMode, Delivery, Retry};

/// Each thread creates znodes of its own. Those that are said to be created are there in the end, those that are said
/// not to have been sent aren't, and of the others any may be.
#[test]
fn threads_get_true_outcomes_while_connections_fail() {
    let server = standalone();
    let relay = Relay::start(server.address(0)).expect("a relay");
    let short = (Duration::from_millis(1), Duration::from_millis(20));
    let builder = builder(&relay.address().to_string()).configure(|config| config.backoff = short);
    let (client, _) = builder.deadline(Duration::from_secs(5)).connect().expect("a session");
    let is_over = AtomicBool::new(false);
    let outcomes: Vec<_> = thread::scope(|scope| {
        let work = |number| create_all_the_time(&client, &is_over, number);
        let threads: Vec<_> = (0..24).map(|number| scope.spawn(move || work(number))).collect();
        let begun = Instant::now();
        for round in (0_u64..).take_while(|_| begun.elapsed() < Duration::from_secs(12)) {
            thread::sleep(Duration::from_millis(50 + round * 37 % 200));
            fail(&relay, round);
        }
        is_over.store(true, Ordering::Relaxed);
        threads.into_iter().flat_map(|thread| thread.join().expect("it ends well")).collect()
    });
    relay.heal();
    let steady = client.without_deadline().with_retry(Retry::WhenSafe);
    steady.sync("/").patient().expect("it goes on");
    let found = steady.get_children("/").patient().expect("an answer");
    let found: HashSet<_> = found.children.iter_str().map(Cow::into_owned).collect();
    let mut counts = [0; 3];
    for (name, delivery) in outcomes {
        let is_there = found.contains(&name);
        match delivery {
            None => assert!(is_there, "{name} was created"),
            Some(Delivery::NotSent) => assert!(!is_there, "{name} was not sent"),
            Some(Delivery::MaybeApplied) => {}
        }
        counts[delivery.map_or(0, |delivery| 1 + usize::from(delivery == Delivery::NotSent))] += 1;
    }
    let stats = client.stats();
    assert!(stats.connections > 20 && counts[0] > 100 && counts[1] > 100, "{counts:?} {stats:?}");
    assert_eq!((stats.in_flight, stats.queued), (0, 0));
}

/// One failure of the network after the other.
fn fail(relay: &Relay, round: u64) {
    relay.heal();
    match round % 5 {
        0 | 3 => relay.cut(),
        1 => relay.cut_after(Direction::ToClient, round * 97 % 4000),
        2 => relay.cut_after(Direction::ToServer, round * 89 % 4000),
        _ => {
            relay.black_hole(Direction::ToClient);
            thread::sleep(Duration::from_millis(100));
            relay.heal();
            relay.cut();
        }
    }
}

/// Returns the name of each znode, and what was told of it: none if it was created.
fn create_all_the_time(
    client: &Client,
    is_over: &AtomicBool,
    number: u64,
) -> Vec<(String, Option<Delivery>)> {
    let mut outcomes = Vec::new();
    for sequence in (0_u64..).take_while(|_| !is_over.load(Ordering::Relaxed)) {
        let name = format!("{number}-{sequence}");
        let data = vec![7; 50 * number as usize];
        let mut create = client.create(format!("/{name}"), data, CreateMode::Persistent);
        // Some are waited for in pieces, some are given up.
        let outcome = match number % 4 {
            0 => create.wait_timeout(Duration::from_millis(3)).unwrap_or_else(|| create.wait()),
            1 if sequence.is_multiple_of(7) => continue,
            _ => create.wait_timeout(PATIENCE).expect("its deadline is shorter"),
        };
        match outcome {
            Ok(_) => outcomes.push((name, None)),
            Err(error) => outcomes.push((name, Some(error.delivery().expect("no server refuses it")))),
        }
        if number.is_multiple_of(3) {
            thread::sleep(Duration::from_millis(number));
        }
    }
    outcomes
}

/// The turns of waiting, reading and handing over, at full speed and with pauses.
#[test]
fn threads_that_come_and_go_all_get_their_answers() {
    let server = standalone();
    let (client, _) = connect(&server.connect_string());
    thread::scope(|scope| {
        for number in 0_u64..16 {
            let client = client.clone();
            scope.spawn(move || {
                for round in 0_u64..400 {
                    let calls: Vec<_> = (0..=(number + round) % 5).map(|_| client.exists("/")).collect();
                    if (number * 31 + round * 17) % 23 == 0 {
                        thread::sleep(Duration::from_millis(3));
                    }
                    for call in calls {
                        assert!(call.patient().expect("an answer").is_some());
                    }
                }
            });
        }
    });
    assert_eq!(client.stats().connections, 1);
}
