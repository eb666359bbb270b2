use std::{io, sync::Arc};

use zk_session::ConnectionId;

use crate::{dial::WRITE_PATIENCE, shared::Shared, sync::thread, transport::Transport};

/// Waits, on a thread of its own, until a server takes what it doesn't take at once, so that nobody else waits for it.
pub(crate) fn spawn(
    shared: &Arc<Shared>,
    connection: ConnectionId,
    transport: Arc<Transport>,
) -> io::Result<()> {
    let shared = Arc::clone(shared);
    let writer = thread::Builder::new().name("zk-writer".to_owned());
    writer.spawn(move || write(&shared, connection, &transport)).map(drop)
}

fn write(shared: &Arc<Shared>, connection: ConnectionId, transport: &Transport) {
    // Both calls fail only for a socket that is gone, and then so does the write.
    let _ = transport.set_write_timeout(None);
    let mut inner = shared.lock();
    while let Some(bytes) = inner.rest_to_write(connection) {
        drop(inner);
        let outcome = transport.write(&bytes);
        let now = shared.now();
        inner = shared.lock();
        inner.took(connection, outcome, now);
        inner = shared.settle(inner);
    }
    drop(inner);
    let _ = transport.set_write_timeout(Some(WRITE_PATIENCE));
}
