//! What the tests' stories share.
#![allow(dead_code, reason = "each test uses some of it")]

use core::{future::IntoFuture, time::Duration};

use tokio::time::timeout;
use zk_harness::Ensemble;
use zk_tokio::{Builder, Client, CreateMode, SessionEvent, SessionEvents};

/// A future that fails the test if it takes too long: so a hang is a failure, and no test sleeps.
pub(crate) trait Patient: IntoFuture + Sized + Send {
    fn patient(self) -> impl Future<Output = Self::Output> + Send
    where
        Self::IntoFuture: Send,
    {
        async move { timeout(PATIENCE, self).await.expect("it takes no longer than a minute") }
    }
}

impl<F: IntoFuture + Send> Patient for F {}

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
    Client::builder(connect_string).unwrap().session_timeout(Duration::from_secs(6)).seed(1)
}

pub(crate) async fn connect(connect_string: &str) -> (Client, SessionEvents) {
    builder(connect_string).connect_limit(PATIENCE).connect().patient().await.expect("a session")
}

/// Lets a client find out what its server has. One before 3.5 has no create2, and closes the connection on which it is
/// asked for it, with what is behind it: a test that counts connections, or that sends more at once, begins after that.
pub(crate) async fn make_familiar(client: &Client, events: &mut SessionEvents) {
    event(events, |event| matches!(event, SessionEvent::Ready)).await;
    if server_has(3, 5) {
        return;
    }
    client.create("/familiar", "", CreateMode::Ephemeral).patient().await.expect("a fallback");
    client.delete("/familiar", -1).patient().await.expect("a znode to delete");
    event(events, |event| matches!(event, SessionEvent::Ready)).await;
}

/// Reads events up to the first that `is_it` wants.
pub(crate) async fn event(
    events: &mut SessionEvents,
    mut is_it: impl FnMut(&SessionEvent) -> bool,
) -> SessionEvent {
    loop {
        let event = events.next().patient().await.expect("the session goes on");
        if is_it(&event) {
            return event;
        }
    }
}
