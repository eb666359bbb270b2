use core::{net::SocketAddr, time::Duration};
use std::{
    io::{self, ErrorKind},
    sync::Arc,
};

use bytes::Bytes;
use zk_client::Lost;
use zk_session::{ConnectionId, Instant};

use crate::{
    buffer::ReadBuffer,
    shared::{Inner, Shared},
    transport::Transport,
    writer,
};

/// One connection of the session, from the first dial on: what belongs to it dies with it.
///
/// At most one thread reads from it, and one writes to it, each without the lock.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) connection: ConnectionId,
    transport: Option<Arc<Transport>>,
    /// What is left of the one chunk that the session has handed out.
    outbox: Bytes,
    is_writing: bool,
    /// Why nothing can be written any more. What the server had sent before is still read.
    broken: Option<io::Error>,
    /// There unless somebody reads.
    buffer: Option<ReadBuffer>,
    /// The connection's own thread looks again by itself before long.
    pub(crate) reader_lingers: bool,
    /// The connection's own thread sleeps until it is told to look.
    pub(crate) reader_sleeps: bool,
}

/// A write that is under way.
#[derive(Debug)]
pub(crate) struct Writing {
    pub(crate) connection: ConnectionId,
    pub(crate) transport: Arc<Transport>,
    bytes: Bytes,
}

/// A read that is under way.
#[derive(Debug)]
pub(crate) struct Reading {
    connection: ConnectionId,
    transport: Arc<Transport>,
    buffer: ReadBuffer,
}

impl Link {
    pub(crate) fn new(connection: ConnectionId) -> Self {
        Self {
            connection,
            transport: None,
            outbox: Bytes::new(),
            is_writing: false,
            broken: None,
            buffer: None,
            reader_lingers: false,
            reader_sleeps: false,
        }
    }

    fn open(&mut self, transport: Transport) {
        self.transport = Some(Arc::new(transport));
        self.buffer = Some(ReadBuffer::new());
    }

    /// Hands over the one chunk; all of the former one was sent.
    pub(crate) fn send(&mut self, bytes: Bytes) {
        self.outbox = bytes;
    }

    /// Whether it is open, and nobody reads.
    pub(crate) fn is_free(&self) -> bool {
        self.buffer.is_some()
    }

    /// Whether it is open, and nobody is going to write what waits.
    pub(crate) fn is_unattended(&self) -> bool {
        self.transport.is_some() && !self.is_writing && !self.reader_lingers
    }

    pub(crate) fn begin_write(&mut self) -> Option<Writing> {
        if self.is_writing || self.outbox.is_empty() || self.broken.is_some() {
            return None;
        }
        let transport = Arc::clone(self.transport.as_ref()?);
        self.is_writing = true;
        Some(Writing { connection: self.connection, transport, bytes: self.outbox.clone() })
    }

    pub(crate) fn begin_read(&mut self) -> Option<Reading> {
        let transport = Arc::clone(self.transport.as_ref()?);
        Some(Reading { connection: self.connection, transport, buffer: self.buffer.take()? })
    }

    /// Gives memory back that wasn't needed of late.
    pub(crate) fn give_back(&mut self) {
        if let Some(buffer) = &mut self.buffer {
            buffer.give_back();
        }
    }

    /// Wakes who reads or writes.
    pub(crate) fn shut_down(&self) {
        if let Some(transport) = &self.transport {
            transport.shut_down();
        }
    }
}

impl Writing {
    pub(crate) fn write(&self) -> io::Result<usize> {
        self.transport.write(&self.bytes)
    }
}

impl Reading {
    /// Reads once, and waits for bytes no longer than this, or only a little longer; none is for ever.
    pub(crate) fn read(&mut self, limit: Option<Duration>) -> io::Result<usize> {
        self.buffer.fill_from(&self.transport, limit)
    }
}

/// What was seen of the connection.
impl Inner {
    /// The transport is there; tells whether it is still wanted.
    pub(crate) fn opened(
        &mut self,
        connection: ConnectionId,
        transport: Transport,
        address: SocketAddr,
        now: Instant,
    ) -> bool {
        let Some(link) = self.link_of(connection) else { return false };
        link.open(transport);
        self.hub.opened(connection, address, now);
        true
    }

    pub(crate) fn end_write(
        &mut self,
        shared: &Arc<Shared>,
        writing: Writing,
        outcome: io::Result<usize>,
        now: Instant,
    ) {
        self.took(writing.connection, outcome, now);
        let Some(link) = self.link_of(writing.connection).filter(|link| link.is_writing) else { return };
        if !link.has_to_write() {
            link.is_writing = false;
        } else if let Err(error) = writer::spawn(shared, writing.connection, writing.transport) {
            link.break_off(error);
        }
    }

    /// How much of the outbox the transport took.
    pub(crate) fn took(&mut self, connection: ConnectionId, outcome: io::Result<usize>, now: Instant) {
        let Some(link) = self.link_of(connection) else { return };
        let sent = match outcome {
            Ok(sent) => sent,
            Err(error) if is_pause(error.kind()) => 0,
            Err(error) => return link.break_off(error),
        };
        // What is sent lets go of its memory, which the session uses again.
        drop(link.outbox.split_to(sent));
        self.hub.session.handle_sent(connection, sent, now);
    }

    /// What the thread writes that waits until the server takes more; none if it need not wait any more.
    pub(crate) fn rest_to_write(&mut self, connection: ConnectionId) -> Option<Bytes> {
        let link = self.link_of(connection).filter(|link| link.is_writing)?;
        link.is_writing = link.has_to_write();
        link.is_writing.then(|| link.outbox.clone())
    }

    pub(crate) fn end_read(
        &mut self,
        shared: &Shared,
        mut reading: Reading,
        outcome: io::Result<usize>,
        now: Instant,
    ) {
        let Some(link) = self.link_of(reading.connection) else { return };
        let lost = match outcome {
            Ok(0) => Lost::EndOfStream,
            Ok(received) => {
                reading.buffer.feed(&mut self.hub.session, reading.connection, received, now);
                // The session may have done with the connection, but can't have got another one yet.
                if let Some(link) = &mut self.link {
                    link.buffer = Some(reading.buffer);
                }
                return;
            }
            Err(error) if is_pause(error.kind()) => {
                link.buffer = Some(reading.buffer);
                return;
            }
            Err(error) => Lost::Io(Arc::new(error)),
        };
        self.lost(shared, reading.connection, lost, now);
    }

    fn lost(&mut self, shared: &Shared, connection: ConnectionId, lost: Lost, now: Instant) {
        let Some(link) = self.link_of(connection) else { return };
        let lost = link.broken.take().map_or(lost, |error| Lost::Io(Arc::new(error)));
        if !link.outbox.is_empty() {
            // What is being written may be taken. Without a report, all of the chunk would count as sent.
            let sent = if link.is_writing { link.outbox.len() } else { 0 };
            self.hub.session.handle_sent(connection, sent, now);
        }
        self.drop_link(shared);
        let (hub, wakeups) = self.hub_and_wakeups();
        hub.lost(connection, lost, now, wakeups);
    }
}

impl Link {
    fn has_to_write(&self) -> bool {
        !self.outbox.is_empty() || self.transport.as_ref().is_some_and(|transport| transport.has_rest())
    }

    /// Nothing can be written any more. Whoever reads sees the end, behind what the server had sent.
    fn break_off(&mut self, error: io::Error) {
        self.is_writing = false;
        self.broken = Some(error);
        self.shut_down();
    }
}

/// Whether an error only says that nothing moved for now.
pub(crate) fn is_pause(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}
