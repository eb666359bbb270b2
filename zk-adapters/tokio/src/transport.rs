use core::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};
use std::io;

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
#[cfg(feature = "tls")]
use tokio_rustls::{TlsConnector, client::TlsStream};
#[cfg(feature = "tls")]
use zk_client::{Tls, TlsError};
use zk_proto::ServerAddr;

use crate::DialError;

/// How servers are spoken to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Security {
    #[cfg(feature = "tls")]
    pub(crate) tls: Option<Tls>,
    #[cfg(test)]
    pub(crate) network: Option<crate::model::Network>,
}

impl Security {
    /// Makes a transport of a TCP connection to a server: one at once, or a future of one.
    pub(crate) fn secure(&self, server: &ServerAddr, stream: TcpStream) -> Result<Transport, Securing> {
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            return Err(Box::pin(handshake(tls.clone(), server.clone(), stream)));
        }
        let _ = server;
        Ok(Transport::Plain(stream))
    }
}

/// A handshake under way.
pub(crate) type Securing = Pin<Box<dyn Future<Output = Result<Transport, DialError>> + Send>>;

#[cfg(feature = "tls")]
async fn handshake(tls: Tls, server: ServerAddr, stream: TcpStream) -> Result<Transport, DialError> {
    let loaded = tokio::task::spawn_blocking(move || tls.load(&server)).await;
    let (config, name) = loaded.map_err(|error| TlsError::Io(io::Error::other(error)))??;
    let connected = TlsConnector::from(config).connect(name, stream).await;
    let stream = Box::new(connected.map_err(TlsError::of_handshake)?);
    Ok(Transport::Secured { stream, has_rest: false, broken: None })
}

/// What bytes are written to and read from.
#[derive(Debug)]
pub(crate) enum Transport {
    Plain(TcpStream),
    #[cfg(feature = "tls")]
    Secured {
        stream: Box<TlsStream<TcpStream>>,
        /// It took something that hasn't left yet.
        has_rest: bool,
        /// Why nothing more can leave.
        broken: Option<io::Error>,
    },
    #[cfg(test)]
    Model(crate::model::Stream),
}

impl Transport {
    /// Writes what the transport takes at once; what it took before leaves first.
    pub(crate) fn poll_write(&mut self, bytes: &[u8], context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        match self {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            #[cfg(feature = "tls")]
            Self::Secured { stream, has_rest, broken } => {
                *has_rest = true;
                write_records(stream, broken, bytes, context)
            }
            #[cfg(test)]
            Self::Model(stream) => stream.poll_write(bytes, context),
        }
    }

    /// Goes on with what was taken and hasn't left.
    pub(crate) fn write_rest(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        let _ = &context;
        match self {
            Self::Plain(_) => Ok(()),
            #[cfg(feature = "tls")]
            Self::Secured { broken, .. } if broken.is_some() => broken.take().map_or(Ok(()), Err),
            #[cfg(feature = "tls")]
            Self::Secured { has_rest: false, .. } => Ok(()),
            #[cfg(feature = "tls")]
            Self::Secured { stream, has_rest, .. } => match Pin::new(&mut **stream).poll_flush(context) {
                Poll::Pending => Ok(()),
                Poll::Ready(outcome) => {
                    *has_rest = false;
                    outcome
                }
            },
            #[cfg(test)]
            Self::Model(_) => Ok(()),
        }
    }

    pub(crate) fn poll_read(
        &mut self,
        buffer: &mut ReadBuf<'_>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            #[cfg(feature = "tls")]
            Self::Secured { stream, .. } => {
                let read = Pin::new(&mut **stream).poll_read(context, buffer);
                // Servers that are killed don't say goodbye; frames tell what is missing.
                read.map(|read| match read {
                    Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(()),
                    read => read,
                })
            }
            #[cfg(test)]
            Self::Model(stream) => stream.poll_read(buffer, context),
        }
    }

    /// Whether nothing is left to read for now, and the task is woken when there is; false if that isn't known.
    pub(crate) fn is_drained(&self, context: &mut Context<'_>) -> bool {
        match self {
            Self::Plain(stream) => stream.poll_read_ready(context).is_pending(),
            #[cfg(feature = "tls")]
            Self::Secured { .. } => false,
            #[cfg(test)]
            Self::Model(_) => false,
        }
    }
}

/// Writes record by record, so that it is known of which some may have left where the rest can't: it counts as taken.
#[cfg(feature = "tls")]
fn write_records(
    stream: &mut TlsStream<TcpStream>,
    broken: &mut Option<io::Error>,
    bytes: &[u8],
    context: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    let mut taken = 0;
    for record in bytes.chunks(RECORD) {
        let count = match Pin::new(&mut *stream).poll_write(context, record) {
            Poll::Pending => 0,
            Poll::Ready(Ok(count)) => count,
            Poll::Ready(Err(error)) => {
                *broken = Some(error);
                return Poll::Ready(Ok(taken + record.len()));
            }
        };
        taken += count;
        if count < record.len() {
            break;
        }
    }
    if taken > 0 { Poll::Ready(Ok(taken)) } else { Poll::Pending }
}

/// The most that a record holds.
#[cfg(feature = "tls")]
const RECORD: usize = 16 << 10;
