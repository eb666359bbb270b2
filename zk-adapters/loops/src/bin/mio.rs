//! A session in a loop over `mio`: readiness, so writes may be partial, and reads go on until nothing is left.
//!
//! `cargo run -p zk-loops --bin mio -- 127.0.0.1:2181,127.0.0.1:2182`

use core::net::SocketAddr;
use std::{
    io::{self, ErrorKind, Read, Write},
    net::ToSocketAddrs,
    time::Instant as Clock,
    vec,
};

use bytes::Bytes;
use mio::{Events, Interest, Poll, Token, event::Event as Readiness, net::TcpStream};
use zk_loops::{Application, Failure};
use zk_session::{Action, ConnectionId, Epoch, Instant, Session, zk_proto::ServerAddr};

fn main() -> Result<(), Failure> {
    let (session, epoch, application) = zk_loops::begin()?;
    let driver = Driver { session, epoch, application, poll: Poll::new()?, link: None };
    driver.run()
}

struct Driver {
    session: Session,
    epoch: Epoch,
    application: Application,
    poll: Poll,
    link: Option<Link>,
}

/// One connection: what belongs to it dies with it.
struct Link {
    connection: ConnectionId,
    stream: TcpStream,
    /// Those addresses of the server that are left to try.
    addresses: vec::IntoIter<SocketAddr>,
    is_open: bool,
    /// What is left of the one chunk that the session has handed out.
    outbox: Bytes,
}

impl Driver {
    fn run(mut self) -> Result<(), Failure> {
        let mut readiness = Events::with_capacity(16);
        let mut buffer = vec![0; 64 << 10];
        while !self.session.state().is_terminal() {
            self.act();
            let timeout = self.application.timeout(&self.session, self.now());
            match self.poll.poll(&mut readiness, Some(timeout)) {
                Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error.into()),
                _ => {}
            }
            for event in &readiness {
                self.see(event, &mut buffer);
            }
            let now = self.now();
            self.session.handle_timeout(now);
            self.application.tick(&mut self.session, now);
        }
        self.act();
        Ok(())
    }

    fn now(&self) -> Instant {
        self.epoch.instant(Clock::now())
    }

    /// Does what the session says.
    fn act(&mut self) {
        while let Some(action) = self.session.poll_action() {
            let now = self.now();
            match action {
                Action::Emit(event) => self.application.take(event, &mut self.session, now),
                Action::Connect { connection, server } => {
                    self.application.say(format!("tries {server}"));
                    self.dial(connection, &server);
                }
                Action::Send { connection, bytes } => {
                    if let Some(link) = self.link.as_mut().filter(|link| link.connection == connection) {
                        link.outbox = bytes;
                        self.write();
                    }
                }
                Action::Disconnect { connection, .. } => {
                    self.link.take_if(|link| link.connection == connection);
                }
                // Only sessions that may be read-only ask.
                Action::Probe { probe, .. } => self.session.handle_probed(probe, false, now),
            }
        }
    }

    /// Begins to connect. A loop whose servers have names would resolve them on another thread.
    fn dial(&mut self, connection: ConnectionId, server: &ServerAddr) {
        let addresses = (&*server.host, server.port).to_socket_addrs();
        self.link = addresses.ok().and_then(|addresses| self.dial_next(connection, addresses));
        if self.link.is_none() {
            self.session.handle_disconnected(connection, self.now());
        }
    }

    /// Begins to connect to the first address that doesn't refuse at once.
    fn dial_next(&self, connection: ConnectionId, mut addresses: vec::IntoIter<SocketAddr>) -> Option<Link> {
        loop {
            let Ok(mut stream) = TcpStream::connect(addresses.next()?) else { continue };
            let interests = Interest::READABLE | Interest::WRITABLE;
            if self.poll.registry().register(&mut stream, Token(0), interests).is_ok() {
                return Some(Link { connection, stream, addresses, is_open: false, outbox: Bytes::new() });
            }
        }
    }

    /// Takes up what mio has seen. It tells only what is new, so each read and write goes on until nothing moves.
    fn see(&mut self, event: &Readiness, buffer: &mut [u8]) {
        if self.link.as_ref().is_some_and(|link| !link.is_open) {
            self.see_whether_open();
        }
        if event.is_writable() {
            self.write();
        }
        // Whatever else there is to see, reading tells.
        while self.read(buffer) {
            self.act();
        }
    }

    fn see_whether_open(&mut self) {
        let now = self.now();
        let Some(mut link) = self.link.take() else { return };
        let failed = !matches!(link.stream.take_error(), Ok(None));
        match link.stream.peer_addr() {
            Err(error) if error.kind() == ErrorKind::NotConnected && !failed => self.link = Some(link),
            Ok(_) if !failed => {
                // Requests are coalesced before they are written: nothing is gained by holding them back.
                let _ = link.stream.set_nodelay(true);
                link.is_open = true;
                self.session.handle_connected(link.connection, now);
                self.link = Some(link);
                self.act();
            }
            _ => {
                self.link = self.dial_next(link.connection, link.addresses);
                if self.link.is_none() {
                    self.session.handle_disconnected(link.connection, now);
                }
            }
        }
    }

    /// Writes until nothing is left, or the socket takes no more.
    fn write(&mut self) {
        let now = self.now();
        let Some(link) = self.link.as_mut().filter(|link| link.is_open) else { return };
        while !link.outbox.is_empty() {
            match link.stream.write(&link.outbox) {
                Ok(sent) => {
                    drop(link.outbox.split_to(sent));
                    self.session.handle_sent(link.connection, sent, now);
                }
                Err(error) if is_pause(&error) => return,
                // What the server had sent before is still to be read; the end of it is seen there.
                Err(_) => return,
            }
        }
    }

    /// Reads once; tells whether there may be more.
    fn read(&mut self, buffer: &mut [u8]) -> bool {
        let now = self.now();
        let Some(link) = self.link.as_mut().filter(|link| link.is_open) else { return false };
        let connection = link.connection;
        match link.stream.read(buffer) {
            Err(error) if is_pause(&error) => false,
            Ok(0) | Err(_) => {
                // What is left of the chunk has stayed here.
                self.session.handle_sent(connection, 0, now);
                self.session.handle_disconnected(connection, now);
                self.link = None;
                false
            }
            Ok(received) => {
                self.session.handle_received(connection, &buffer[..received], now);
                true
            }
        }
    }
}

fn is_pause(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}
