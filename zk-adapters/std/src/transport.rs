use core::time::Duration;
use std::{
    io::{self, Read, Write},
    net::{Shutdown, TcpStream},
};

use zk_client::DialError;
#[cfg(feature = "tls")]
use zk_client::Tls;
use zk_proto::ServerAddr;

#[cfg(feature = "tls")]
use crate::secured::Secured;

/// How servers are spoken to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Security {
    #[cfg(feature = "tls")]
    pub(crate) tls: Option<Tls>,
    #[cfg(test)]
    pub(crate) network: Option<crate::model::Network>,
}

impl Security {
    /// Whether a TCP connection isn't all.
    pub(crate) fn needs_handshake(&self) -> bool {
        #[cfg(feature = "tls")]
        return self.tls.is_some();
        #[cfg(not(feature = "tls"))]
        false
    }

    /// Makes a transport of a TCP connection, in the time that is given for each message that takes.
    #[cfg_attr(not(feature = "tls"), expect(clippy::unnecessary_wraps, reason = "it is only with TLS"))]
    pub(crate) fn secure(
        &self,
        server: &ServerAddr,
        stream: TcpStream,
        limit: Duration,
    ) -> Result<Transport, DialError> {
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            return Ok(Transport::Secured(Box::new(Secured::handshake(tls, server, stream, limit)?)));
        }
        let _ = (server, limit);
        Ok(Transport::Plain(stream))
    }
}

/// What bytes are written to and read from, by one thread each.
#[derive(Debug)]
pub(crate) enum Transport {
    Plain(TcpStream),
    #[cfg(feature = "tls")]
    Secured(Box<Secured>),
    #[cfg(test)]
    Model(crate::model::Stream),
}

impl Transport {
    /// Writes what the transport takes; of what it took a part may not have left yet: see [`has_rest`].
    ///
    /// [`has_rest`]: Self::has_rest
    pub(crate) fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => match (&*stream).write(bytes) {
                Ok(0) if !bytes.is_empty() => Err(io::ErrorKind::WriteZero.into()),
                outcome => outcome,
            },
            #[cfg(feature = "tls")]
            Self::Secured(secured) => secured.write(bytes),
            #[cfg(test)]
            Self::Model(stream) => stream.write(bytes),
        }
    }

    /// Whether the transport took something that hasn't left: the next write, be it of nothing, goes on with it.
    pub(crate) fn has_rest(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            #[cfg(feature = "tls")]
            Self::Secured(secured) => secured.has_rest(),
            #[cfg(test)]
            Self::Model(_) => false,
        }
    }

    /// Reads what there is. If its waits are limited it waits only once, though what has come may tell nothing yet.
    #[cfg_attr(
        not(feature = "tls"),
        expect(unused_variables, reason = "a read without TLS is one of the socket")
    )]
    pub(crate) fn read(&self, buffer: &mut [u8], is_limited: bool) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => (&*stream).read(buffer),
            #[cfg(feature = "tls")]
            Self::Secured(secured) => secured.read(buffer, is_limited),
            #[cfg(test)]
            Self::Model(stream) => stream.read(buffer),
        }
    }

    pub(crate) fn set_read_timeout(&self, limit: Option<Duration>) -> io::Result<()> {
        #[cfg(test)]
        if let Self::Model(stream) = self {
            return stream.set_read_limit(limit);
        }
        self.socket().set_read_timeout(limit)
    }

    pub(crate) fn set_write_timeout(&self, limit: Option<Duration>) -> io::Result<()> {
        #[cfg(test)]
        if let Self::Model(stream) = self {
            return stream.set_write_limit(limit);
        }
        self.socket().set_write_timeout(limit)
    }

    /// Ends all reads and writes, those under way too.
    pub(crate) fn shut_down(&self) {
        #[cfg(test)]
        if let Self::Model(stream) = self {
            return stream.shut_down();
        }
        // It fails only if the connection is gone already.
        let _ = self.socket().shutdown(Shutdown::Both);
    }

    pub(crate) fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            #[cfg(feature = "tls")]
            Self::Secured(secured) => secured.socket(),
            #[cfg(test)]
            Self::Model(_) => unreachable!("it has none, and nobody asks"),
        }
    }
}
