//! A session in an asynchronous loop without tokio: `smol`. Whatever happens first makes a turn.
//!
//! `cargo run -p zk-loops --bin smol -- 127.0.0.1:2181,127.0.0.1:2182`

use core::{
    future::{Future, pending},
    pin::Pin,
    time::Duration,
};
use std::{io, time::Instant as Clock};

use bytes::Bytes;
use smol::{
    Timer,
    future::or,
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use zk_loops::{Application, Failure};
use zk_session::{Action, ConnectionId, Epoch, Instant, Session, zk_proto::ServerAddr};

fn main() -> Result<(), Failure> {
    let (session, epoch, application) = zk_loops::begin()?;
    smol::block_on(Driver { session, epoch, application, link: Link::None }.run());
    Ok(())
}

struct Driver {
    session: Session,
    epoch: Epoch,
    application: Application,
    link: Link,
}

/// One connection: what belongs to it dies with it.
enum Link {
    None,
    Dialling(ConnectionId, Pin<Box<dyn Future<Output = io::Result<TcpStream>>>>),
    Open {
        connection: ConnectionId,
        stream: TcpStream,
        /// What is left of the one chunk that the session has handed out.
        outbox: Bytes,
    },
}

/// What happened first.
enum Seen {
    Dialled(ConnectionId, io::Result<TcpStream>),
    Sent(ConnectionId, io::Result<usize>),
    Received(ConnectionId, io::Result<usize>),
    Nothing,
}

impl Driver {
    async fn run(mut self) {
        let mut buffer = vec![0; 64 << 10];
        loop {
            self.act();
            if self.session.state().is_terminal() {
                return;
            }
            let timeout = self.application.timeout(&self.session, self.now());
            let seen = self.link.wait(&mut buffer, timeout).await;
            self.take_up(seen, &buffer);
            let now = self.now();
            self.session.handle_timeout(now);
            self.application.tick(&mut self.session, now);
        }
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
                    self.link = Link::Dialling(connection, Box::pin(dial(server)));
                }
                Action::Send { bytes, .. } => {
                    if let Link::Open { outbox, .. } = &mut self.link {
                        *outbox = bytes;
                    }
                }
                Action::Disconnect { .. } => self.link = Link::None,
                // Only sessions that may be read-only ask.
                Action::Probe { probe, .. } => self.session.handle_probed(probe, false, now),
            }
        }
    }

    /// Tells the session what was seen of its connection.
    fn take_up(&mut self, seen: Seen, buffer: &[u8]) {
        let now = self.now();
        match seen {
            Seen::Nothing => {}
            Seen::Dialled(connection, Ok(stream)) => {
                self.link = Link::Open { connection, stream, outbox: Bytes::new() };
                self.session.handle_connected(connection, now);
            }
            Seen::Sent(connection, Ok(sent)) => {
                if let Link::Open { outbox, .. } = &mut self.link {
                    drop(outbox.split_to(sent));
                }
                self.session.handle_sent(connection, sent, now);
            }
            Seen::Received(connection, Ok(received)) if received > 0 => {
                self.session.handle_received(connection, &buffer[..received], now);
            }
            Seen::Dialled(connection, Err(_))
            | Seen::Sent(connection, Err(_))
            | Seen::Received(connection, _) => {
                // What is left of the chunk has stayed here.
                self.session.handle_sent(connection, 0, now);
                self.session.handle_disconnected(connection, now);
                self.link = Link::None;
            }
        }
    }
}

impl Link {
    /// Waits until something happens, or the time is over. Each of the futures can be dropped without loss: a socket
    /// that is ready stays so.
    async fn wait(&mut self, buffer: &mut [u8], timeout: Duration) -> Seen {
        let transport = async {
            match self {
                Self::None => pending().await,
                Self::Dialling(connection, dialling) => Seen::Dialled(*connection, dialling.await),
                Self::Open { connection, stream, outbox } => {
                    let (mut reader, mut writer) = (stream.clone(), stream.clone());
                    let read = async { Seen::Received(*connection, reader.read(buffer).await) };
                    let write = async {
                        if outbox.is_empty() {
                            return pending().await;
                        }
                        Seen::Sent(*connection, writer.write(outbox).await)
                    };
                    // What was received goes first: it may be the last that comes.
                    or(read, write).await
                }
            }
        };
        let time = async {
            Timer::after(timeout).await;
            Seen::Nothing
        };
        or(transport, time).await
    }
}

/// Resolves the server's name anew, and tries each of its addresses.
async fn dial(server: ServerAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((&*server.host, server.port)).await?;
    // Requests are coalesced before they are written: nothing is gained by holding them back.
    stream.set_nodelay(true)?;
    Ok(stream)
}
