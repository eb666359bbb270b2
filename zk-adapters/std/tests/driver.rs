//! A session pumped by hand, on real servers, and on simulated ones where it matters what comes when.

mod story;

use core::{
    ops::{Deref, DerefMut},
    time::Duration,
};
use std::{
    io::{Read, Write},
    os::{fd::AsFd, unix::net::UnixStream},
    sync::mpsc,
    thread,
    time::Instant,
};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use story::{PATIENCE, ensemble, standalone};
use zk_harness::Relay;
use zk_proto::{AddWatchMode, AddWatchRequest, CreateMode, GetDataRequest, Request, Response};
use zk_session::{Event, Reply, RequestOptions, Retry};
use zk_sim::{Options, serve::Served};
use zk_std::{Client, Config, Driver, OPEN_ACL_UNSAFE};

/// In a loop that waits for what the driver names, and for nothing else.
struct Pumped {
    driver: Driver,
    /// Readable when the driver wants to be pumped from another thread.
    woken: UnixStream,
    /// The driver waits itself.
    is_left_to_wait: bool,
}

type Wake = Box<dyn Fn() + Send + Sync>;

fn driver(connect_string: &str) -> Pumped {
    pumped(connect_string, Driver::new)
}

fn pumped(connect_string: &str, open: impl FnOnce(Config, Wake) -> Driver) -> Pumped {
    let mut config = Config::new(connect_string.parse().expect("a connect string"));
    config.session_timeout = Duration::from_secs(6);
    let (waking, woken) = UnixStream::pair().expect("a pair of sockets");
    waking.set_nonblocking(true).expect("a socket");
    woken.set_nonblocking(true).expect("a socket");
    let wake = move || {
        // If it is full, the loop wakes all the same.
        let _ = (&waking).write(&[0]);
    };
    Pumped { driver: open(config, Box::new(wake)), woken, is_left_to_wait: false }
}

impl Pumped {
    fn turn(&mut self) {
        if self.is_left_to_wait {
            self.driver.wait(PATIENCE);
        } else {
            self.sleep();
            self.driver.pump();
        }
    }

    fn sleep(&mut self) {
        let limit = self.driver.timeout().unwrap_or(PATIENCE).min(PATIENCE);
        let socket = self.driver.socket().map(|(_, socket)| {
            let writable = if self.driver.wants_to_write() { PollFlags::POLLOUT } else { PollFlags::empty() };
            PollFd::new(socket.as_fd(), PollFlags::POLLIN | writable)
        });
        let mut watched = vec![PollFd::new(self.woken.as_fd(), PollFlags::POLLIN)];
        watched.extend(socket);
        let limit = limit.as_micros().div_ceil(1000);
        poll(&mut watched, PollTimeout::try_from(limit).expect("a minute at most"))
            .expect("they can be polled");
        let _ = self.woken.read(&mut [0; 64]);
    }
}

impl Deref for Pumped {
    type Target = Driver;

    fn deref(&self) -> &Driver {
        &self.driver
    }
}

impl DerefMut for Pumped {
    fn deref_mut(&mut self) -> &mut Driver {
        &mut self.driver
    }
}

fn submit(driver: &mut Driver, request: Request, retry: Retry) {
    let options = RequestOptions::default().with_retry(retry);
    driver.submit(request, options).expect("it is accepted");
}

/// Goes on until the event that is wanted comes.
fn pump_until(driver: &mut Pumped, mut is_it: impl FnMut(&Event) -> bool) -> Event {
    let begun = Instant::now();
    loop {
        while let Some(event) = driver.poll_event() {
            if is_it(&event) {
                return event;
            }
        }
        assert!(begun.elapsed() < PATIENCE, "{:?}", **driver);
        driver.turn();
    }
}

fn answer(driver: &mut Pumped) -> Response {
    let reply = pump_until(driver, |event| matches!(event, Event::Reply(_)));
    let Event::Reply(Reply { result, .. }) = reply else { unreachable!("it was asked for") };
    result.expect("an answer")
}

#[test]
fn a_pumped_session_outlives_its_server() {
    outlives_its_server(false);
}

#[test]
fn a_session_that_waits_itself_outlives_its_server() {
    outlives_its_server(true);
}

fn outlives_its_server(is_left_to_wait: bool) {
    let ensemble = ensemble();
    let mut driver = Pumped { is_left_to_wait, ..driver(&ensemble.connect_string()) };
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

    if is_left_to_wait {
        driver = sleeps(driver);
    }
    driver.close();
    pump_until(&mut driver, |event| matches!(event, Event::Closed { confirmed: true }));
}

/// A wait on a new socket has a limit of its own.
fn sleeps(mut driver: Pumped) -> Pumped {
    let (report, reported) = mpsc::channel();
    thread::spawn(move || {
        while driver.poll_event().is_some() {}
        driver.driver.wait(Duration::MAX);
        report.send(Box::new(driver))
    });
    *reported.recv_timeout(PATIENCE / 4).expect("it doesn't sleep for ever")
}

/// Has the server take nothing, and the driver more to write than the socket takes; tells when that began.
fn stall(driver: &mut Pumped, relay: &Relay, turn: fn(&mut Pumped)) -> Instant {
    relay.stall_reads();
    for number in 0..16 {
        let data = Some(vec![0; 900_000].into());
        let create = Request::create(format!("/{number}"), data, OPEN_ACL_UNSAFE, CreateMode::Persistent);
        submit(driver, create, Retry::Never);
    }
    let begun = Instant::now();
    while !driver.wants_to_write() {
        turn(driver);
        assert!(begun.elapsed() < PATIENCE, "{:?}", **driver);
    }
    begun
}

#[test]
fn a_pump_never_waits_for_a_socket_that_takes_nothing() {
    let server = standalone();
    let relay = Relay::start(server.address(0)).expect("a relay");
    let mut driver = driver(&relay.address().to_string());
    pump_until(&mut driver, |event| matches!(event, Event::Ready));
    stall(&mut driver, &relay, |driver| driver.pump());
    let begun = Instant::now();
    driver.pump();
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    // The servers' silence is noticed in time, although there is something to write.
    pump_until(&mut driver, |event| matches!(event, Event::Disconnected { .. }));
    assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
}

#[test]
fn a_wait_ends_in_time_for_silence_although_there_is_something_to_write() {
    let server = standalone();
    let relay = Relay::start(server.address(0)).expect("a relay");
    let mut driver = Pumped { is_left_to_wait: true, ..driver(&relay.address().to_string()) };
    pump_until(&mut driver, |event| matches!(event, Event::Ready));
    let begun = stall(&mut driver, &relay, Pumped::turn);
    pump_until(&mut driver, |event| matches!(event, Event::Disconnected { .. }));
    assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
}

/// It sleeps, but not for longer than it was told, nor while there is something to take.
#[test]
fn a_wait_sleeps_as_long_as_nothing_happens() {
    let server = standalone();
    let mut driver = Pumped { is_left_to_wait: true, ..driver(&server.connect_string()) };
    pump_until(&mut driver, |event| matches!(event, Event::Ready));

    let begun = Instant::now();
    driver.driver.wait(Duration::from_millis(200));
    let slept = begun.elapsed();
    assert!(Duration::from_millis(100) < slept && slept < Duration::from_secs(1), "{slept:?}");

    // Pings are sent in time, and nothing else wakes it.
    let (begun, pings) = (Instant::now(), driver.session().stats().pings);
    let mut turns = 0;
    while begun.elapsed() < Duration::from_secs(7) {
        driver.turn();
        turns += 1;
    }
    let pings = driver.session().stats().pings - pings;
    assert!(pings >= 3 && turns <= 4 * pings + 4, "{pings} pings in {turns} turns");

    driver.close();
    let begun = Instant::now();
    while !driver.session().state().is_terminal() {
        driver.turn();
    }
    driver.turn();
    assert!(begun.elapsed() < PATIENCE / 2, "the end is an event that nobody has taken");
    pump_until(&mut driver, |event| matches!(event, Event::Closed { confirmed: true }));
    driver.turn();
    assert!(begun.elapsed() < PATIENCE / 2, "nothing can happen any more");
}

/// The socket that was waited for isn't waited for by a pump.
#[test]
fn a_pump_after_a_wait_returns_at_once() {
    let server = standalone();
    let mut driver = Pumped { is_left_to_wait: true, ..driver(&server.connect_string()) };
    pump_until(&mut driver, |event| matches!(event, Event::Ready));
    driver.driver.wait(Duration::from_millis(100));
    let begun = Instant::now();
    (0..100).for_each(|_| driver.pump());
    assert!(begun.elapsed() < Duration::from_millis(100), "{:?}", begun.elapsed());
}

/// Its loop finds something to read each time: pings leave all the same.
#[test]
fn a_session_that_hears_without_end_is_kept_alive() {
    let tick = Duration::from_millis(500);
    let served = Served::start(Options { servers: 1, tick, ..Options::default() }).expect("free ports");
    let mut driver = pumped(&served.connect_string(), |mut config, wake| {
        config.session_timeout = tick * 6;
        Driver::new(config, wake)
    });
    let create = Request::create("/busy", None, OPEN_ACL_UNSAFE, CreateMode::Persistent);
    submit(&mut driver, create, Retry::Never);
    answer(&mut driver);
    let watch = AddWatchRequest { path: "/busy".into(), mode: AddWatchMode::PERSISTENT };
    submit(&mut driver, Request::AddWatch(watch), Retry::Never);
    answer(&mut driver);

    let (client, _events) = Client::connect(&served.connect_string()).expect("another session");
    let begun = Instant::now();
    // One in each third of the session timeout.
    let (mut events, enough) = (0, driver.session().stats().pings + 4);
    while driver.session().stats().pings < enough {
        assert!(begun.elapsed() < PATIENCE, "{:?}", driver.session().stats());
        // The event comes before the answer.
        client.set_data("/busy", "", -1).wait().expect("an answer");
        driver.pump();
        while let Some(event) = driver.poll_event() {
            // A machine may be busy.
            assert!(matches!(event, Event::Watch(_) | Event::Late { .. }), "{event:?}");
            events += 1;
        }
    }
    assert!(events > 100, "{events}");
}

/// It does the same again, and tells no secret.
#[cfg(feature = "record")]
#[test]
fn a_recorded_driver_is_replayed_to_the_byte() {
    use zk_session::AuthInfo;
    use zk_std::Recorder;

    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("driver.drive");
    let tick = Duration::from_millis(500);
    let served = Served::start(Options { servers: 3, tick, ..Options::default() }).expect("free ports");
    let recorder = Recorder::create(&path).expect("a file");
    let mut driver =
        pumped(&served.connect_string(), |config, wake| Driver::recorded(config, recorder, wake));
    let info = AuthInfo { scheme: "digest".into(), auth: "me:correct horse".into() };
    driver.add_auth(info).expect("it is accepted");
    let create = Request::create("/e", None, OPEN_ACL_UNSAFE, CreateMode::Ephemeral);
    submit(&mut driver, create, Retry::Never);
    pump_until(&mut driver, |event| {
        matches!(event, Event::Reply(Reply { result: Ok(Response::Create2(_)), .. }))
    });
    let address = driver.socket().expect("it is connected").1.peer_addr().expect("a peer");
    served.crash((0..3).find(|&server| served.address(server) == address).expect("one of them"));
    let get = GetDataRequest { path: "/e".into(), watch: true };
    submit(&mut driver, Request::GetData(get.clone()), Retry::WhenSafe);
    answer(&mut driver);
    let unwanted = driver.submit(Request::GetData(get), RequestOptions::default()).expect("it is accepted");
    driver.cancel(unwanted);
    let password = driver.session().credentials().expect("it has a session").password;
    driver.close();
    pump_until(&mut driver, |event| matches!(event, Event::Closed { confirmed: true }));
    drop(driver);
    story::does_the_same_again(&path, &password, b"correct horse");
}
