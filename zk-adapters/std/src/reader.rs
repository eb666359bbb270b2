use core::{net::SocketAddr, time::Duration};
use std::{
    io,
    sync::{Arc, PoisonError},
};

use zk_client::DialError;
use zk_proto::ServerAddr;
use zk_session::ConnectionId;

use crate::{
    dial::dial,
    shared::{Guard, Shared},
    sync::thread,
    transport::Transport,
};

/// Starts the thread of one connection: it dials, and reads while nobody else does.
pub(crate) fn spawn(shared: &Arc<Shared>, connection: ConnectionId, server: ServerAddr) -> io::Result<()> {
    let shared = Arc::clone(shared);
    let reader = thread::Builder::new().name("zk-reader".to_owned());
    reader.spawn(move || run(&shared, connection, &server)).map(drop)
}

fn run(shared: &Arc<Shared>, connection: ConnectionId, server: &ServerAddr) {
    let limit = shared.lock().hub.session.negotiated_timeout();
    let opened = open(shared, connection, server, limit);
    let now = shared.now();
    let mut inner = shared.lock();
    match opened {
        Ok((transport, address)) => {
            if inner.opened(connection, transport, address, now) {
                drop(inner);
                attend(shared, connection);
            }
        }
        Err(error) => {
            if inner.link_of(connection).is_some() {
                inner.drop_link(shared);
                let (hub, wakeups) = inner.hub_and_wakeups();
                hub.dial_failed(connection, error, now, wakeups);
                drop(shared.settle(inner));
            }
        }
    }
}

fn open(
    shared: &Arc<Shared>,
    connection: ConnectionId,
    server: &ServerAddr,
    limit: Duration,
) -> Result<(Transport, SocketAddr), DialError> {
    #[cfg(test)]
    if let Some(network) = &shared.security.network {
        return Ok(network.dial());
    }
    let (stream, address) = dial(server, limit)?;
    if shared.security.needs_handshake() && shared.lock().link_of(connection).is_some() {
        shared.lock().hub.attempts.securing();
    }
    Ok((shared.security.secure(server, stream, limit)?, address))
}

/// Reads to the connection's end, while nobody else does.
///
/// Those who wait for something read for themselves, which spares them a change of threads, and takes in no more than
/// they can take up. As long as requests are submitted and outcomes taken up, this thread only looks on, once every
/// [`LINGER`]; when that stops, and no standing watch has much to be taken, it reads, and there is nothing to look for any
/// more.
fn attend(shared: &Arc<Shared>, connection: ConnectionId) {
    let mut lookout = Lookout::new();
    let mut inner = shared.lock();
    loop {
        inner = shared.settle(inner);
        let (activity, takes) = (inner.activity, inner.hub.standing.takes());
        let are_crowded = inner.hub.standing.are_crowded();
        let Some(link) = inner.link_of(connection) else { return };
        if lookout.looks_on(activity, takes, are_crowded) {
            link.reader_lingers = true;
            inner = linger(shared, inner);
            if let Some(link) = inner.link_of(connection) {
                link.reader_lingers = false;
            }
        } else if let Some(mut reading) = link.begin_read() {
            drop(inner);
            let outcome = reading.read(None);
            let now = shared.now();
            inner = shared.lock();
            inner.end_read(shared, reading, outcome, now);
        } else {
            link.reader_sleeps = true;
            inner = shared.reader.wait(inner).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// What the thread goes by.
#[derive(Debug)]
struct Lookout {
    activity: u64,
    takes: u64,
    /// So often it still looks on although nothing moves.
    patience: u32,
}

impl Lookout {
    fn new() -> Self {
        Self { activity: 0, takes: 0, patience: PATIENCE }
    }

    /// Whether to leave it to others. Standing watches that are crowded get some time, for more would come than is kept of
    /// it; but what isn't taken at all keeps nobody from hearing the server.
    fn looks_on(&mut self, activity: u64, takes: u64, are_crowded: bool) -> bool {
        if takes != self.takes {
            (self.takes, self.patience) = (takes, PATIENCE);
        }
        if activity != self.activity {
            self.activity = activity;
            return true;
        }
        let looks_on = are_crowded && self.patience > 0;
        self.patience -= u32::from(looks_on);
        looks_on
    }
}

/// Leaves it to others to read for a while.
fn linger<'a>(shared: &'a Arc<Shared>, mut inner: Guard<'a>) -> Guard<'a> {
    inner.hand_over(shared);
    inner = shared.settle(inner);
    shared.wait_on(&shared.reader, inner, LINGER)
}

const LINGER: Duration = Duration::from_millis(1);
/// In times of [`LINGER`]. On a busy machine it takes some until a thread runs.
const PATIENCE: u32 = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_looks_on_while_something_moves_and_has_patience_with_those_who_take() {
        let mut lookout = Lookout::new();
        assert!(!lookout.looks_on(0, 0, false), "nothing moves");
        for activity in 1..100 {
            assert!(lookout.looks_on(activity, 0, activity % 2 == 0));
        }
        assert!(!lookout.looks_on(99, 0, false), "nothing moves any more");

        let patience = |lookout: &mut Lookout, takes| {
            (0..1000).take_while(|_| lookout.looks_on(99, takes, true)).count()
        };
        assert_eq!(patience(&mut lookout, 0), PATIENCE as usize);
        assert_eq!(patience(&mut lookout, 0), 0, "it has to hear the server");
        assert_eq!(patience(&mut lookout, 1), PATIENCE as usize, "something was taken");
    }

    #[test]
    fn it_reads_although_nobody_takes_what_a_watch_tells_while_others_submit() {
        let mut lookout = Lookout::new();
        let reads = (0..1000).filter(|look| !lookout.looks_on(look / 10, 0, true)).count();
        assert!(reads > 800, "{reads}");
    }
}
