use core::{
    future::Future,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
};
use std::{io, sync::Arc};

use bytes::{Buf, Bytes};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use zk_client::{Hub, Lost, Wakeups};
use zk_proto::ServerAddr;
use zk_session::{ConnectionId, Instant};

use crate::{DialError, dial::dial};

/// One connection of the session, from the first dial on: what belongs to it dies with it.
pub(crate) struct Link {
    pub(crate) connection: ConnectionId,
    stage: Stage,
}

enum Stage {
    Dialling(Pin<Box<dyn Future<Output = Result<TcpStream, DialError>> + Send>>),
    Open {
        stream: TcpStream,
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
    pub(crate) fn dial(connection: ConnectionId, server: ServerAddr) -> Self {
        Self { connection, stage: Stage::Dialling(Box::pin(dial(server))) }
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
    pub(crate) fn poll(&mut self, context: &mut Context<'_>, buffer: &mut ReadBuffer) -> Seen {
        match &mut self.stage {
            Stage::Dialling(dialling) => {
                let Poll::Ready(dialled) = dialling.as_mut().poll(context) else { return Seen::Nothing };
                let opened = dialled.and_then(|stream| match stream.peer_addr() {
                    Ok(address) => Ok((stream, address)),
                    // It was reset at once.
                    Err(error) => Err(DialError::Lost(error)),
                });
                match opened {
                    Ok((stream, address)) => {
                        self.stage = Stage::Open { stream, outbox: Bytes::new(), broken: None };
                        Seen::Opened(address)
                    }
                    Err(error) => {
                        self.stage = Stage::Over;
                        Seen::Failed(error)
                    }
                }
            }
            Stage::Open { stream, outbox, broken } => {
                let mut sent = write(stream, outbox, broken, context);
                let (received, lost) = read(stream, buffer, broken, context);
                if lost.is_some() && !outbox.is_empty() {
                    // Without a report, all of the chunk would count as sent.
                    sent.get_or_insert(0);
                }
                if sent.is_none() && received == 0 && lost.is_none() {
                    return Seen::Nothing;
                }
                let is_settled = lost.is_none()
                    && outbox.is_empty()
                    && (received == 0 || stream.poll_read_ready(context).is_pending());
                if lost.is_some() {
                    self.stage = Stage::Over;
                }
                Seen::Moved { sent, received, lost, is_settled }
            }
            Stage::Over => Seen::Nothing,
        }
    }
}

/// Writes what the transport takes at once.
fn write(
    stream: &mut TcpStream,
    outbox: &mut Bytes,
    broken: &mut Option<io::Error>,
    context: &mut Context<'_>,
) -> Option<usize> {
    if outbox.is_empty() || broken.is_some() {
        return None;
    }
    match Pin::new(stream).poll_write(context, outbox) {
        Poll::Pending => None,
        Poll::Ready(Ok(count)) => {
            outbox.advance(count);
            Some(count)
        }
        Poll::Ready(Err(error)) => {
            *broken = Some(error);
            None
        }
    }
}

fn read(
    stream: &mut TcpStream,
    buffer: &mut ReadBuffer,
    broken: &mut Option<io::Error>,
    context: &mut Context<'_>,
) -> (usize, Option<Lost>) {
    match buffer.poll_fill(stream, context) {
        Poll::Pending => (0, broken.take().map(|error| Lost::Io(Arc::new(error)))),
        Poll::Ready(Ok(0)) => (0, Some(Lost::EndOfStream)),
        Poll::Ready(Ok(received)) => (received, None),
        Poll::Ready(Err(error)) => (0, Some(Lost::Io(Arc::new(error)))),
    }
}

impl Seen {
    /// Tells the session.
    pub(crate) fn report(
        self,
        connection: ConnectionId,
        hub: &mut Hub,
        buffer: &ReadBuffer,
        now: Instant,
        wakeups: &mut Wakeups,
    ) {
        match self {
            Self::Nothing => {}
            Self::Opened(address) => hub.opened(connection, address, now),
            Self::Failed(error) => hub.dial_failed(connection, error, now, wakeups),
            Self::Moved { sent, received, lost, .. } => {
                if let Some(sent) = sent {
                    hub.session.handle_sent(connection, sent, now);
                }
                if received > 0 {
                    hub.session.handle_received(connection, buffer.filled(received), now);
                }
                if let Some(lost) = lost {
                    hub.lost(connection, lost, now, wakeups);
                }
            }
        }
    }
}

/// The buffer of every read: it grows when a read fills it, and is given back when little comes.
#[derive(Debug)]
pub(crate) struct ReadBuffer {
    bytes: Vec<u8>,
    /// The longest read since the buffer was last looked at.
    longest: usize,
}

impl ReadBuffer {
    pub(crate) fn new() -> Self {
        Self { bytes: vec![0; SMALLEST], longest: 0 }
    }

    fn poll_fill(&mut self, stream: &mut TcpStream, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.longest == self.bytes.len() && self.bytes.len() < LARGEST {
            self.bytes = vec![0; self.bytes.len() * GROWTH];
        }
        let mut unfilled = ReadBuf::new(&mut self.bytes);
        let outcome = Pin::new(stream).poll_read(context, &mut unfilled);
        let received = unfilled.filled().len();
        self.longest = self.longest.max(received);
        outcome.map_ok(|()| received)
    }

    pub(crate) fn filled(&self, count: usize) -> &[u8] {
        &self.bytes[..count]
    }

    /// Gives the memory back, if no read since the last call needed it.
    pub(crate) fn give_back(&mut self) {
        if self.longest < SMALLEST && self.bytes.len() > SMALLEST {
            self.bytes = vec![0; SMALLEST];
        }
        self.longest = 0;
    }
}

const SMALLEST: usize = 512;
const GROWTH: usize = 4;
const LARGEST: usize = 128 << 10;

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    async fn read_once(buffer: &mut ReadBuffer, stream: &mut TcpStream) -> usize {
        core::future::poll_fn(|context| buffer.poll_fill(stream, context)).await.unwrap()
    }

    #[tokio::test]
    async fn the_buffer_grows_when_filled_and_is_given_back_when_idle() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let mut server = listener.accept().await.unwrap().0.into_std().unwrap();
        server.set_nonblocking(false).unwrap();

        let mut buffer = ReadBuffer::new();
        server.write_all(&vec![7; 1 << 20]).unwrap();
        let mut received = 0;
        while received < 1 << 20 {
            let count = read_once(&mut buffer, &mut stream).await;
            assert!(buffer.filled(count).iter().all(|&byte| byte == 7));
            received += count;
        }
        assert_eq!(buffer.bytes.len(), LARGEST);

        buffer.give_back();
        assert_eq!(buffer.bytes.len(), LARGEST, "it has just been used");
        server.write_all(b"ping").unwrap();
        assert_eq!(read_once(&mut buffer, &mut stream).await, 4);
        buffer.give_back();
        assert_eq!(buffer.bytes.capacity(), SMALLEST);
    }
}
