use core::{
    future::Future,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
};
use std::{io, sync::Arc};

use bytes::Bytes;
use tokio::{io::ReadBuf, net::TcpStream};
use zk_client::{Hub, Lost, ReadBuffer, Wakeups};
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
    /// Tells the session. What was read lies in the buffer, or in what it was lent.
    pub(crate) fn report(
        self,
        connection: ConnectionId,
        hub: &mut Hub,
        (buffer, lent): (&mut ReadBuffer, &[u8; ReadBuffer::LENT]),
        now: Instant,
        wakeups: &mut Wakeups,
    ) {
        match self {
            Self::Nothing => {}
            Self::Securing => hub.attempts.securing(),
            Self::Opened(address) => hub.opened(connection, address, now),
            Self::Failed(error) => hub.dial_failed(connection, error, now, wakeups),
            Self::Moved { sent, received, lost, .. } => {
                if let Some(sent) = sent {
                    hub.session.handle_sent(connection, sent, now);
                }
                if received > 0 {
                    buffer.feed(&mut hub.session, connection, lent, received, now);
                }
                if let Some(lost) = lost {
                    hub.lost(connection, lost, now, wakeups);
                }
            }
        }
    }
}
