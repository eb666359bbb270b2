//! What the tests' stories share.
#![allow(dead_code, reason = "each test uses some of it")]

use core::time::Duration;
use std::thread;

use zk_harness::Ensemble;
use zk_std::{
    Builder, Call, Client, CreateMode, Error, SessionEvent, SessionEvents, StandingCall, StandingEvent,
    StandingWatch, Watch, WatchCall, WatchEnded, WatchEvent,
};

/// Something to wait for that fails the test if it takes too long: so a hang is a failure, and no test sleeps.
pub(crate) trait Patient {
    type Output;

    fn patient(self) -> Self::Output;
}

impl<T> Patient for Call<T> {
    type Output = Result<T, Error>;

    fn patient(self) -> Self::Output {
        // Its deadline is a minute, too.
        self.wait()
    }
}

impl<T> Patient for WatchCall<T> {
    type Output = Result<(T, Watch), Error>;

    fn patient(mut self) -> Self::Output {
        self.wait_timeout(PATIENCE).expect("it takes no longer than a minute")
    }
}

impl Patient for StandingCall {
    type Output = Result<StandingWatch, Error>;

    fn patient(self) -> Self::Output {
        self.wait()
    }
}

pub(crate) fn changed(watch: &mut Watch) -> Result<WatchEvent, WatchEnded> {
    watch.changed_timeout(PATIENCE).expect("it takes no longer than a minute")
}

pub(crate) fn told(watch: &mut StandingWatch) -> Result<StandingEvent, WatchEnded> {
    watch.next_timeout(PATIENCE).expect("it takes no longer than a minute")
}

/// Until something is so.
pub(crate) fn until(mut is_so: impl FnMut() -> bool) {
    let begun = std::time::Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "it takes no longer than a minute");
        thread::yield_now();
    }
}

/// Lets a client find out what its server has. One before 3.5 has no create2, and closes the connection on which it is
/// asked for it, with what is behind it: a test that counts connections, or that sends more at once, begins after that.
pub(crate) fn make_familiar(client: &Client, events: &mut SessionEvents) {
    event(events, |event| matches!(event, SessionEvent::Ready));
    if server_has(3, 5) {
        return;
    }
    client.create("/familiar", "", CreateMode::Ephemeral).patient().expect("a fallback");
    client.delete("/familiar", -1).patient().expect("a znode to delete");
    event(events, |event| matches!(event, SessionEvent::Ready));
}

pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn standalone() -> Ensemble {
    Ensemble::standalone().expect("a ZooKeeper server")
}

/// Whether the servers that are tested against are of this version or a later one.
pub(crate) fn server_has(major: u32, minor: u32) -> bool {
    let distribution = zk_harness::Distribution::find().expect("a ZooKeeper distribution");
    let version = distribution.version().expect("a version");
    let mut numbers = version.split('.').map(|number| number.parse().unwrap_or(0));
    (numbers.next(), numbers.next()) >= (Some(major), Some(minor))
}

pub(crate) fn ensemble() -> Ensemble {
    Ensemble::start(3).expect("three ZooKeeper servers")
}

/// A builder with a session timeout of 6 s, so that a dead server is noticed after 4 s.
pub(crate) fn builder(connect_string: &str) -> Builder {
    let builder = Client::builder(connect_string).expect("a connect string");
    builder.session_timeout(Duration::from_secs(6)).seed(1).connect_limit(PATIENCE).deadline(PATIENCE)
}

pub(crate) fn connect(connect_string: &str) -> (Client, SessionEvents) {
    builder(connect_string).connect().expect("a session")
}

/// Reads events up to the first that `is_it` wants.
pub(crate) fn event(
    events: &mut SessionEvents,
    mut is_it: impl FnMut(&SessionEvent) -> bool,
) -> SessionEvent {
    loop {
        let event = events.next_timeout(PATIENCE).expect("the session goes on");
        if is_it(&event) {
            return event;
        }
    }
}

/// What a session was told, and what it said, is on record at this path: it does the same again, to the byte. The
/// secrets aren't in it.
#[cfg(feature = "record")]
pub(crate) fn does_the_same_again(path: &std::path::Path, password: &[u8], auth: &[u8]) {
    use std::fs::{File, read_to_string};
    use zk_sim::drive::{outputs_path, replay};

    let outputs = outputs_path(path);
    let replayed = replay(File::open(path).expect("inputs"), File::open(&outputs).expect("outputs"));
    let replayed = replayed.expect("a transcript").unwrap_or_else(|difference| panic!("{difference}"));
    assert!(replayed.inputs > 10, "{replayed:?}");
    let texts = read_to_string(path).expect("inputs") + &read_to_string(&outputs).expect("outputs");
    let hex = |secret: &[u8]| secret.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let plain = String::from_utf8_lossy(auth).into_owned();
    for secret in [hex(password), hex(auth), plain] {
        assert!(!texts.contains(&secret), "{secret}");
    }
}
