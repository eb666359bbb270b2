use std::{
    io::{self, Write},
    net::TcpStream,
    sync::Arc,
    thread,
};

use zk_session::ConnectionId;

use crate::{dial::WRITE_PATIENCE, shared::Shared};

/// Waits, on a thread of its own, until a server takes what it doesn't take at once, so that nobody else waits for it.
pub(crate) fn spawn(
    shared: &Arc<Shared>,
    connection: ConnectionId,
    stream: Arc<TcpStream>,
) -> io::Result<()> {
    let shared = Arc::clone(shared);
    let writer = thread::Builder::new().name("zk-writer".to_owned());
    writer.spawn(move || write(&shared, connection, &stream)).map(drop)
}

fn write(shared: &Arc<Shared>, connection: ConnectionId, mut stream: &TcpStream) {
    // Both calls fail only for a socket that is gone, and then so does the write.
    let _ = stream.set_write_timeout(None);
    let mut inner = shared.lock();
    while let Some(bytes) = inner.rest_to_write(connection) {
        drop(inner);
        let outcome = stream.write(&bytes);
        let now = shared.now();
        inner = shared.lock();
        inner.took(connection, outcome, now);
        inner = shared.settle(inner);
    }
    drop(inner);
    let _ = stream.set_write_timeout(Some(WRITE_PATIENCE));
}
