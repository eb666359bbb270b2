//! A session pumped by hand, on real servers.

mod story;

use core::time::Duration;
use std::{thread, time::Instant};

use story::{PATIENCE, ensemble, standalone};
use zk_harness::Relay;
use zk_proto::{CreateMode, GetDataRequest, Request, Response};
use zk_session::{Event, Reply, RequestOptions, Retry};
use zk_std::{Config, Driver, OPEN_ACL_UNSAFE};

fn driver(connect_string: &str) -> Driver {
    let mut config = Config::new(connect_string.parse().expect("a connect string"));
    config.session_timeout = Duration::from_secs(6);
    let this = thread::current();
    Driver::new(config, move || this.unpark())
}

fn submit(driver: &mut Driver, request: Request, retry: Retry) {
    let now = driver.now();
    let options = RequestOptions::default().with_retry(retry);
    driver.session_mut().submit(request, options, now).expect("it is accepted");
}

/// Pumps until the event that is wanted comes.
fn pump_until(driver: &mut Driver, mut is_it: impl FnMut(&Event) -> bool) -> Event {
    let begun = Instant::now();
    loop {
        driver.pump();
        while let Some(event) = driver.poll_event() {
            if is_it(&event) {
                return event;
            }
        }
        assert!(begun.elapsed() < PATIENCE, "{driver:?}");
        let wait = driver.timeout().unwrap_or(PATIENCE);
        thread::park_timeout(if driver.socket().is_some() { wait.min(TURN) } else { wait });
    }
}

fn answer(driver: &mut Driver) -> Response {
    let reply = pump_until(driver, |event| matches!(event, Event::Reply(_)));
    let Event::Reply(Reply { result, .. }) = reply else { unreachable!("it was asked for") };
    result.expect("an answer")
}

#[test]
fn a_pumped_session_outlives_its_server() {
    let ensemble = ensemble();
    let mut driver = driver(&ensemble.connect_string());
    pump_until(&mut driver, |event| matches!(event, Event::Ready));
    let data = vec![7; 500_000];
    let create = Request::create("/e", Some(data.clone().into()), OPEN_ACL_UNSAFE, CreateMode::Ephemeral);
    submit(&mut driver, create, Retry::Never);
    answer(&mut driver);

    let (first, socket) = driver.socket().expect("it is connected");
    let port = socket.peer_addr().expect("a peer").port();
    let server = (0..3).find(|&server| ensemble.address(server).port() == port).expect("one of them");
    ensemble.kill(server);
    let get = GetDataRequest { path: "/e".into(), watch: false };
    submit(&mut driver, Request::GetData(get), Retry::WhenSafe);
    let Response::GetData(found) = answer(&mut driver) else { panic!("an answer to another request") };
    assert!(found.data.as_deref() == Some(&data[..]));
    assert_eq!(Some(found.stat.ephemeral_owner), driver.session().credentials().map(|own| own.session_id));
    assert!(driver.socket().expect("it is connected").0 > first);

    let now = driver.now();
    driver.session_mut().close(now);
    pump_until(&mut driver, |event| matches!(event, Event::Closed { confirmed: true }));
}

#[test]
fn a_pump_never_waits_for_a_socket_that_takes_nothing() {
    let server = standalone();
    let relay = Relay::start(server.address(0)).expect("a relay");
    let mut driver = driver(&relay.address().to_string());
    pump_until(&mut driver, |event| matches!(event, Event::Ready));
    relay.stall_reads();
    for number in 0..16 {
        let create = Request::create(
            format!("/{number}"),
            Some(vec![0; 900_000].into()),
            OPEN_ACL_UNSAFE,
            CreateMode::Persistent,
        );
        submit(&mut driver, create, Retry::Never);
    }
    let begun = Instant::now();
    while !driver.wants_to_write() {
        driver.pump();
        assert!(begun.elapsed() < PATIENCE, "{driver:?}");
    }
    let begun = Instant::now();
    driver.pump();
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    // The servers' silence is noticed in time, although there is something to write.
    pump_until(&mut driver, |event| matches!(event, Event::Disconnected { .. }));
    assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
}

/// A loop of no readiness looks so often.
const TURN: Duration = Duration::from_millis(2);
