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
        shared.lock().hub.is_securing = true;
    }
    Ok((shared.security.secure(server, stream, limit)?, address))
}

/// Reads to the connection's end, while nobody else does.
///
/// Those who wait for something read for themselves, which spares them a change of threads, and takes in no more than
/// they can take up. As long as requests are submitted and outcomes taken up, this thread only looks on, once every
/// [`LINGER`]; when that stops it reads, and there is nothing to look for any more.
fn attend(shared: &Arc<Shared>, connection: ConnectionId) {
    let mut activity = 0;
    let mut inner = shared.lock();
    loop {
        inner = shared.settle(inner);
        let current = inner.activity;
        let Some(link) = inner.link_of(connection) else { return };
        if current != activity {
            activity = current;
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

/// Leaves it to others to read for a while.
fn linger<'a>(shared: &'a Arc<Shared>, mut inner: Guard<'a>) -> Guard<'a> {
    inner.hand_over(shared);
    inner = shared.settle(inner);
    shared.wait_on(&shared.reader, inner, LINGER)
}

const LINGER: Duration = Duration::from_millis(1);
