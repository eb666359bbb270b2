//! What was seen on the wire, in order.

use core::time::Duration;
use std::{
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use zk_session::zk_proto::{ConnectRequest, ConnectResponse, Request, WatcherEvent, Zxid};

/// One thing that was seen, and when, since the check began.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) at: Duration,
    pub(super) connection: u64,
    pub(super) server: usize,
    pub(super) what: Seen,
}

#[derive(Clone, Debug)]
pub(super) enum Seen {
    /// The client has connected.
    Dialled,
    /// The client's first frame.
    Hello(ConnectRequest),
    /// The server's first frame, when it was passed on to the client.
    Welcome(ConnectResponse),
    /// A later frame of the client, with its xid.
    Request(i32, Request),
    /// A later frame of the server, when it was passed on to the client: xid, zxid, and whether there was no error.
    Reply(i32, Zxid, bool),
    /// An event of a watch, when it was passed on to the client, and its header's zxid.
    Event(Zxid, WatcherEvent),
    /// Bytes of the client that nobody understands.
    Nonsense(String),
    /// Nothing passes over the connection any more.
    Ended,
}

impl Entry {
    /// The session that the client is granted here.
    pub(super) fn granted(&self) -> Option<&ConnectResponse> {
        if let Seen::Welcome(welcome) = &self.what {
            Some(welcome).filter(|it| it.time_out > 0)
        } else {
            None
        }
    }

    /// Whether the client is told here that its session is gone.
    pub(super) fn is_refusal(&self) -> bool {
        matches!(&self.what, Seen::Welcome(welcome) if welcome.time_out <= 0)
    }

    pub(super) fn hello(&self) -> Option<&ConnectRequest> {
        if let Seen::Hello(hello) = &self.what { Some(hello) } else { None }
    }

    /// The zxid that the client is told here.
    pub(super) fn zxid(&self) -> Option<Zxid> {
        if let Seen::Reply(_, zxid, _) | Seen::Event(zxid, _) = self.what { Some(zxid) } else { None }
    }
}

/// All that was seen.
#[derive(Debug)]
pub(super) struct Journal {
    begin: Instant,
    entries: Mutex<Vec<Entry>>,
    grown: Condvar,
}

impl Journal {
    pub(super) fn new() -> Self {
        Self { begin: Instant::now(), entries: Mutex::default(), grown: Condvar::new() }
    }

    pub(super) fn now(&self) -> Duration {
        self.begin.elapsed()
    }

    pub(super) fn add(&self, connection: u64, server: usize, what: Seen) {
        let mut entries = self.lock();
        entries.push(Entry { at: self.now(), connection, server, what });
        self.grown.notify_all();
    }

    pub(super) fn entries(&self) -> Vec<Entry> {
        self.lock().clone()
    }

    /// Waits until something is found in the journal, no longer than this.
    pub(super) fn find<T>(&self, patience: Duration, look: impl Fn(&[Entry]) -> Option<T>) -> Option<T> {
        let deadline = self.now() + patience;
        let mut entries = self.lock();
        loop {
            if let Some(found) = look(&entries) {
                return Some(found);
            }
            let left = deadline.checked_sub(self.now()).filter(|left| !left.is_zero())?;
            entries = self.grown.wait_timeout(entries, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
