use core::{
    future::Future,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
};
use std::{io, sync::Arc};

use bytes::Bytes;
use tokio::{io::ReadBuf, net::TcpStream};
use zk_client::{Hub, Lost, Wakeups};
use zk_proto::ServerAddr;
use zk_session::{ConnectionId, Instant};

use crate::{
    DialError,
    dial::dial,
    transport::{Securing, Security, Transport},
};

/// One connection of the session, from the first dial on: what belongs to it dies with it.
pub(crate) struct Link {
    pub(crate) connection: ConnectionId,
    stage: Stage,
}

enum Stage {
    Dialling {
        dialling: Pin<Box<dyn Future<Output = Result<TcpStream, DialError>> + Send>>,
        server: ServerAddr,
        security: Security,
    },
    Securing(Securing, SocketAddr),
    Open {
        transport: Transport,
        /// What is left of the one chunk that the session has handed out.
        outbox: Bytes,
        /// Why nothing can be written any more. What the server had sent before is still read.
        broken: Option<io::Error>,
    },
    Over,
}

/// What was seen of a link since it was last looked at.
#[derive(Debug)]
pub(crate) enum Seen {
    Nothing,
    /// There is a TCP connection, and a handshake is under way on it.
    Securing,
    Opened(SocketAddr),
    Failed(DialError),
    /// Bytes moved, or the transport ended.
    Moved {
        /// How many bytes of the outbox the transport took.
        sent: Option<usize>,
        /// How many bytes were read into the buffer.
        received: usize,
        lost: Option<Lost>,
        /// There is nothing more to write or to read, and the task is woken when there is.
        is_settled: bool,
    },
}

impl Link {
    pub(crate) fn dial(connection: ConnectionId, server: ServerAddr, security: Security) -> Self {
        #[cfg(test)]
        if let Some(network) = &security.network {
            let (transport, address) = network.dial();
            let stage = Stage::Securing(Box::pin(core::future::ready(Ok(transport))), address);
            return Self { connection, stage };
        }
        let dialling = Box::pin(dial(server.clone()));
        Self { connection, stage: Stage::Dialling { dialling, server, security } }
    }

    /// Hands over the one chunk; all of the former one was sent.
    pub(crate) fn send(&mut self, bytes: Bytes) {
        if let Stage::Open { outbox, .. } = &mut self.stage {
            *outbox = bytes;
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        matches!(self.stage, Stage::Open { .. })
    }

    /// Writes and reads once each, as far as the transport lets, or goes on dialling.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>, buffer: &mut [u8]) -> Seen {
        match &mut self.stage {
            Stage::Dialling { dialling, server, security } => {
                let Poll::Ready(dialled) = dialling.as_mut().poll(context) else { return Seen::Nothing };
                // Without an address, it was reset at once.
                let dialled = dialled
                    .and_then(|stream| Ok((stream.peer_addr().map_err(DialError::Lost)?, stream)))
                    .map(|(address, stream)| (address, security.secure(server, stream)));
                match dialled {
                    Ok((address, Ok(transport))) => self.open(transport, address),
                    Ok((address, Err(securing))) => {
                        self.stage = Stage::Securing(securing, address);
                        Seen::Securing
                    }
                    Err(error) => self.fail(error),
                }
            }
            Stage::Securing(securing, address) => {
                let address = *address;
                match securing.as_mut().poll(context) {
                    Poll::Pending => Seen::Nothing,
                    Poll::Ready(Ok(transport)) => self.open(transport, address),
                    Poll::Ready(Err(error)) => self.fail(error),
                }
            }
            Stage::Open { transport, outbox, broken } => {
                let mut sent = write(transport, outbox, broken, context);
                let (received, lost) = read(transport, buffer, broken, context);
                if lost.is_some() && !outbox.is_empty() {
                    // Without a report, all of the chunk would count as sent.
                    sent.get_or_insert(0);
                }
                if sent.is_none() && received == 0 && lost.is_none() {
                    return Seen::Nothing;
                }
                let is_settled =
                    lost.is_none() && outbox.is_empty() && (received == 0 || transport.is_drained(context));
                if lost.is_some() {
                    self.stage = Stage::Over;
                }
                Seen::Moved { sent, received, lost, is_settled }
            }
            Stage::Over => Seen::Nothing,
        }
    }

    fn open(&mut self, transport: Transport, address: SocketAddr) -> Seen {
        self.stage = Stage::Open { transport, outbox: Bytes::new(), broken: None };
        Seen::Opened(address)
    }

    fn fail(&mut self, error: DialError) -> Seen {
        self.stage = Stage::Over;
        Seen::Failed(error)
    }
}

/// Writes what the transport takes at once.
fn write(
    transport: &mut Transport,
    outbox: &mut Bytes,
    broken: &mut Option<io::Error>,
    context: &mut Context<'_>,
) -> Option<usize> {
    if broken.is_some() {
        return None;
    }
    let written = if outbox.is_empty() { Poll::Pending } else { transport.poll_write(outbox, context) };
    let sent = match written {
        Poll::Pending => None,
        Poll::Ready(Ok(count)) => {
            // What is sent lets go of its memory, which the session uses again.
            drop(outbox.split_to(count));
            Some(count)
        }
        Poll::Ready(Err(error)) => {
            *broken = Some(error);
            return None;
        }
    };
    *broken = transport.write_rest(context).err();
    sent
}

fn read(
    transport: &mut Transport,
    buffer: &mut [u8],
    broken: &mut Option<io::Error>,
    context: &mut Context<'_>,
) -> (usize, Option<Lost>) {
    let mut unfilled = ReadBuf::new(buffer);
    match transport.poll_read(&mut unfilled, context) {
        Poll::Pending => (0, broken.take().map(|error| Lost::Io(Arc::new(error)))),
        Poll::Ready(Ok(())) if unfilled.filled().is_empty() => (0, Some(Lost::EndOfStream)),
        Poll::Ready(Ok(())) => (unfilled.filled().len(), None),
        Poll::Ready(Err(error)) => (0, Some(Lost::Io(Arc::new(error)))),
    }
}

impl Seen {
    /// Tells the session, and how much was read.
    pub(crate) fn report(
        self,
        connection: ConnectionId,
        hub: &mut Hub,
        buffer: &[u8],
        now: Instant,
        wakeups: &mut Wakeups,
    ) -> usize {
        match self {
            Self::Nothing => {}
            Self::Securing => hub.is_securing = true,
            Self::Opened(address) => hub.opened(connection, address, now),
            Self::Failed(error) => hub.dial_failed(connection, error, now, wakeups),
            Self::Moved { sent, received, lost, .. } => {
                if let Some(sent) = sent {
                    hub.session.handle_sent(connection, sent, now);
                }
                if received > 0 {
                    hub.session.handle_received(connection, &buffer[..received], now);
                }
                if let Some(lost) = lost {
                    hub.lost(connection, lost, now, wakeups);
                }
                return received;
            }
        }
        0
    }
}

/// Where reads go: most sessions are idle, and need none of their own. It grows when a read fills it, and is given back
/// when little comes.
#[derive(Debug, Default)]
pub(crate) struct ReadBuffer {
    bytes: Vec<u8>,
    /// The longest read since the buffer was last looked at.
    longest: usize,
}

impl ReadBuffer {
    /// Room for the next read, which is lent as long as little comes.
    pub(crate) fn room<'a>(&'a mut self, lent: &'a mut [u8; LENT]) -> &'a mut [u8] {
        let len = self.bytes.len().max(LENT);
        if self.longest == len && len < LARGEST {
            self.bytes = vec![0; len * GROWTH];
        }
        if self.bytes.is_empty() { lent } else { &mut self.bytes }
    }

    /// Notes that so much was read.
    pub(crate) fn note(&mut self, received: usize) {
        self.longest = self.longest.max(received);
    }

    /// Gives the memory back, if no read since the last call needed it.
    pub(crate) fn give_back(&mut self) {
        if self.longest < LENT {
            self.bytes = Vec::new();
        }
        self.longest = 0;
    }
}

/// More than a pong, or the data of most znodes.
pub(crate) const LENT: usize = 512;
const GROWTH: usize = 4;
const LARGEST: usize = 128 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads as much as there is room for, or as is left; tells how much.
    fn read(buffer: &mut ReadBuffer, left: usize) -> usize {
        let received = buffer.room(&mut [0; LENT]).len().min(left);
        buffer.note(received);
        received
    }

    #[test]
    fn the_buffer_grows_when_filled_and_is_given_back_when_idle() {
        let mut buffer = ReadBuffer::default();
        let mut left = 1 << 20;
        while left > 0 {
            left -= read(&mut buffer, left);
        }
        assert_eq!(buffer.bytes.len(), LARGEST);

        buffer.give_back();
        assert_eq!(buffer.bytes.len(), LARGEST, "it has just been used");
        assert_eq!(read(&mut buffer, 4), 4);
        buffer.give_back();
        assert_eq!(buffer.bytes.capacity(), 0);
        assert_eq!(read(&mut buffer, 4), 4);
        assert_eq!(buffer.bytes.capacity(), 0, "little is read where there is room");
    }
}
