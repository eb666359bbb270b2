use core::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::io;
use std::net::TcpListener;
use std::os::fd::OwnedFd;

use rustix::net::{AddressFamily, SocketType, bind, getsockname, socket};

/// A loopback port that refuses connections, and that nobody else can take as long as this value lives.
#[derive(Debug)]
pub struct DeadPort {
    address: SocketAddr,
    _socket: OwnedFd,
}

impl DeadPort {
    /// Takes a port, and does not listen on it.
    ///
    /// # Errors
    ///
    /// Those of the operating system.
    pub fn take() -> io::Result<Self> {
        let socket = socket(AddressFamily::INET, SocketType::STREAM, None)?;
        bind(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0))?;
        let address = SocketAddr::try_from(getsockname(&socket)?)?;
        Ok(Self { address, _socket: socket })
    }

    /// Where connections are refused.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// A loopback port that accepts connections and never answers, nor ends them, as long as this value lives.
#[derive(Debug)]
pub struct BlackHole {
    listener: TcpListener,
    address: SocketAddr,
}

impl BlackHole {
    /// Listens on a port. The operating system alone accepts: no more than some hundred connections, and no more
    /// bytes than its buffers hold.
    ///
    /// # Errors
    ///
    /// Those of the operating system.
    pub fn open() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    /// Where connections are accepted.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The listening socket, for tests that want to answer after all.
    pub fn listener(&self) -> &TcpListener {
        &self.listener
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;
    use std::io::{ErrorKind, Read, Write};
    use std::net::TcpStream;

    use super::*;

    #[test]
    fn a_dead_port_refuses() {
        let port = DeadPort::take().unwrap();
        let error = TcpStream::connect(port.address()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    }

    #[test]
    fn a_dead_port_is_held() {
        let port = DeadPort::take().unwrap();
        let error = TcpListener::bind(port.address()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
    }

    #[test]
    fn a_black_hole_takes_bytes_and_stays_silent() {
        let hole = BlackHole::open().unwrap();
        let mut stream = TcpStream::connect(hole.address()).unwrap();
        stream.write_all(b"ruok").unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let error = stream.read(&mut [0; 4]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
    }
}
