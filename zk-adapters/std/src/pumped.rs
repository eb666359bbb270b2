use core::time::Duration;
use std::{io, net::TcpStream, sync::Arc};

use bytes::Bytes;
use zk_client::{Attempts, Lost, Machine};
use zk_session::{ConnectionId, Instant};

use crate::{buffer::ReadBuffer, link::is_pause, transport::Transport};

/// One connection of a session that is pumped by hand, from the first dial on: what belongs to it dies with it.
pub(crate) struct PumpedLink {
    pub(crate) connection: ConnectionId,
    transport: Option<Transport>,
    /// What is left of the one chunk that the session has handed out.
    outbox: Bytes,
    buffer: ReadBuffer,
    /// The socket may be waited for.
    is_blocking: bool,
}

/// What has moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moved {
    Nothing,
    /// Something was written, nothing read.
    Written,
    /// Something was read, be it the end.
    Read,
}

impl PumpedLink {
    pub(crate) fn new(connection: ConnectionId) -> Self {
        let (outbox, buffer) = (Bytes::new(), ReadBuffer::new());
        Self { connection, transport: None, outbox, buffer, is_blocking: false }
    }

    /// There is a transport.
    pub(crate) fn open(&mut self, transport: Transport) -> io::Result<()> {
        transport.socket().set_nonblocking(true)?;
        self.transport = Some(transport);
        Ok(())
    }

    pub(crate) fn socket(&self) -> Option<&TcpStream> {
        Some(self.transport.as_ref()?.socket())
    }

    /// Lets reads wait, and writes a little; tells whether there is a socket that does.
    pub(crate) fn may_wait(&mut self) -> bool {
        self.set_blocking(true).is_ok_and(|()| self.transport.is_some())
    }

    fn set_blocking(&mut self, is_blocking: bool) -> io::Result<()> {
        let Some(socket) = self.socket().filter(|_| self.is_blocking != is_blocking) else { return Ok(()) };
        socket.set_nonblocking(!is_blocking)?;
        self.is_blocking = is_blocking;
        Ok(())
    }

    /// Hands over the one chunk; all of the former one was sent.
    pub(crate) fn send(&mut self, bytes: Bytes) {
        self.outbox = bytes;
    }

    pub(crate) fn has_to_write(&self) -> bool {
        self.transport.as_ref().is_some_and(|transport| !self.outbox.is_empty() || transport.has_rest())
    }

    /// Writes what the socket takes; 0 if that is nothing.
    pub(crate) fn write(&mut self) -> io::Result<usize> {
        let Some(transport) = self.transport.as_ref().filter(|_| self.has_to_write()) else { return Ok(0) };
        let sent = nothing_yet(transport.write(&self.outbox))?;
        // What is sent lets go of its memory, which the session uses again.
        drop(self.outbox.split_to(sent));
        Ok(sent)
    }

    /// Reads what the socket has, for which it may have to wait so long; 0 if that is nothing, and an error at the end of
    /// the stream.
    pub(crate) fn read(&mut self, limit: Option<Duration>) -> io::Result<usize> {
        let Some(transport) = &self.transport else { return Ok(0) };
        nothing_yet(self.buffer.fill_from(transport, limit).and_then(|received| match received {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            received => Ok(received),
        }))
    }

    /// Gives memory back that wasn't needed of late.
    pub(crate) fn give_back(&mut self) {
        self.buffer.give_back();
    }
}

/// Writes once, reads once if that is asked for, waiting for neither, and tells the session. A link whose transport has
/// ended is gone, after what had come was read.
pub(crate) fn transfer(
    current: &mut Option<PumpedLink>,
    session: &mut Machine,
    attempts: &mut Attempts,
    reads: bool,
    now: Instant,
) -> Moved {
    let Some(link) = current else { return Moved::Nothing };
    if let Err(error) = link.set_blocking(false) {
        return report(current, session, attempts, Err(error), now);
    }
    let written = link.write();
    if let Ok(sent) = written {
        session.handle_sent(link.connection, sent, now);
    }
    let read = if reads || written.is_err() { link.read(None) } else { Ok(0) };
    match (read, written) {
        (Ok(0), Ok(0)) => Moved::Nothing,
        (Ok(0), Ok(_)) => Moved::Written,
        (Ok(0), Err(error)) => report(current, session, attempts, Err(error), now),
        (read, _) => report(current, session, attempts, read, now),
    }
}

/// Tells the session what was read, or that the transport has ended.
pub(crate) fn report(
    current: &mut Option<PumpedLink>,
    session: &mut Machine,
    attempts: &mut Attempts,
    read: io::Result<usize>,
    now: Instant,
) -> Moved {
    let Some(PumpedLink { connection, buffer, .. }) = current else { return Moved::Nothing };
    let connection = *connection;
    match read {
        Ok(0) => return Moved::Nothing,
        Ok(received) => buffer.feed(session, connection, received, now),
        Err(error) => {
            let is_end = error.kind() == io::ErrorKind::UnexpectedEof;
            attempts.lost(if is_end { Lost::EndOfStream } else { Lost::Io(Arc::new(error)) });
            // Nothing more of the outstanding chunk can leave.
            session.handle_sent(connection, 0, now);
            session.handle_disconnected(connection, now);
            *current = None;
        }
    }
    Moved::Read
}

fn nothing_yet(outcome: io::Result<usize>) -> io::Result<usize> {
    match outcome {
        Err(error) if is_pause(error.kind()) => Ok(0),
        outcome => outcome,
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write,
        net::{Shutdown, TcpListener},
    };

    use zk_client::Recording;
    use zk_session::{Action, Config};

    use super::*;

    #[test]
    fn what_had_come_is_read_before_a_link_that_cant_be_written_to_is_gone() {
        let listener = TcpListener::bind("localhost:0").unwrap();
        let socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        let config = Config::new("server".parse().unwrap());
        let mut session = Recording::default().open(config, Instant::ZERO);
        let Some(Action::Connect { connection, .. }) = session.poll_action() else {
            panic!("a first server")
        };
        session.handle_connected(connection, Instant::ZERO);
        let Some(Action::Send { bytes, .. }) = session.poll_action() else { panic!("a ConnectRequest") };

        server.write_all(&[0; 3]).unwrap();
        socket.peek(&mut [0; 3]).unwrap();
        socket.shutdown(Shutdown::Write).unwrap();
        let mut link = PumpedLink::new(connection);
        link.open(Transport::Plain(socket)).unwrap();
        link.send(bytes);
        let moved = transfer(&mut Some(link), &mut session, &mut Attempts::default(), false, Instant::ZERO);
        assert_eq!((moved, session.stats().bytes_received), (Moved::Read, 3));
    }
}
