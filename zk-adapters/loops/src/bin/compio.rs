//! A session in a completion loop: `compio` over io_uring. Each operation owns its buffer until it completes, and those
//! under way outlive a turn. Where the kernel has no io_uring, it says so.
//!
//! `cargo run -p zk-loops --bin compio -- 127.0.0.1:2181,127.0.0.1:2182`

use core::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::{Context, Poll},
    time::Duration,
};
use std::{io, time::Instant as Clock};

use bytes::Bytes;
use compio::{
    BufResult,
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    runtime::Runtime,
    time::sleep,
};
use zk_loops::{Application, Failure};
use zk_session::{Action, ConnectionId, Epoch, Instant, Session, zk_proto::ServerAddr};

fn main() -> Result<(), Failure> {
    let (session, epoch, application) = zk_loops::begin()?;
    let runtime = Runtime::new().map_err(|error| format!("this kernel has no io_uring: {error}"))?;
    runtime.block_on(Driver { session, epoch, application, link: None }.run());
    Ok(())
}

struct Driver {
    session: Session,
    epoch: Epoch,
    application: Application,
    link: Option<Link>,
}

/// An operation under way.
type Operation<T> = Pin<Box<dyn Future<Output = T>>>;

/// One connection: what belongs to it dies with it.
struct Link {
    connection: ConnectionId,
    stage: Stage,
}

enum Stage {
    Dialling(Operation<io::Result<TcpStream>>),
    Open {
        stream: TcpStream,
        reading: Operation<BufResult<usize, Vec<u8>>>,
        /// The one chunk that the session has handed out, or what is left of it.
        writing: Option<Operation<BufResult<usize, Bytes>>>,
        /// How long what is being written is.
        len: usize,
    },
}

/// What happened first.
enum Seen {
    Dialled(io::Result<TcpStream>),
    Sent(BufResult<usize, Bytes>),
    Received(BufResult<usize, Vec<u8>>),
}

impl Driver {
    async fn run(mut self) {
        loop {
            self.act();
            if self.session.state().is_terminal() {
                return;
            }
            let timeout = self.application.timeout(&self.session, self.now());
            let seen = next(self.link.as_mut(), timeout).await;
            if let Some(seen) = seen
                && let Some(link) = self.link.take()
            {
                self.link = self.take_up(link, seen);
            }
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
                    self.link = Some(Link { connection, stage: Stage::Dialling(Box::pin(dial(server))) });
                }
                Action::Send { connection, bytes } => {
                    if let Some(link) = self.link.as_mut().filter(|link| link.connection == connection) {
                        link.stage.write(bytes);
                    }
                }
                // What is under way is cancelled, and keeps its buffer until that is done.
                Action::Disconnect { connection, .. } => {
                    self.link.take_if(|link| link.connection == connection);
                }
                // Only sessions that may be read-only ask.
                Action::Probe { probe, .. } => self.session.handle_probed(probe, false, now),
            }
        }
    }

    /// Tells the session what was seen of its connection; returns that if it goes on.
    fn take_up(&mut self, mut link: Link, seen: Seen) -> Option<Link> {
        let (now, connection) = (self.now(), link.connection);
        match (&mut link.stage, seen) {
            (_, Seen::Dialled(Ok(stream))) => {
                let reading = Box::pin(read(stream.clone(), vec![0; 64 << 10]));
                link.stage = Stage::Open { stream, reading, writing: None, len: 0 };
                self.session.handle_connected(connection, now);
            }
            (stage, Seen::Sent(BufResult(Ok(sent), mut rest))) => {
                drop(rest.split_to(sent));
                stage.write(rest);
                self.session.handle_sent(connection, sent, now);
            }
            (Stage::Open { stream, reading, .. }, Seen::Received(BufResult(Ok(received), buffer)))
                if received > 0 =>
            {
                self.session.handle_received(connection, &buffer[..received], now);
                *reading = Box::pin(read(stream.clone(), buffer));
            }
            (Stage::Open { writing, len, .. }, Seen::Received(_)) => {
                // A write that is still under way counts as done.
                let sent = if writing.is_some() { *len } else { 0 };
                self.session.handle_sent(connection, sent, now);
                self.session.handle_disconnected(connection, now);
                return None;
            }
            (_, Seen::Sent(_) | Seen::Dialled(_) | Seen::Received(_)) => {
                self.session.handle_sent(connection, 0, now);
                self.session.handle_disconnected(connection, now);
                return None;
            }
        }
        Some(link)
    }
}

impl Stage {
    fn write(&mut self, bytes: Bytes) {
        if let Self::Open { stream, writing, len, .. } = self {
            *len = bytes.len();
            let mut stream = stream.clone();
            let write = async move { stream.write(bytes).await };
            *writing = (*len > 0).then(|| Box::pin(write) as _);
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Seen> {
        match self {
            Self::Dialling(dialling) => dialling.as_mut().poll(context).map(Seen::Dialled),
            Self::Open { reading, writing, .. } => {
                // What was received goes first: it may be the last that comes.
                if let Poll::Ready(received) = reading.as_mut().poll(context) {
                    return Poll::Ready(Seen::Received(received));
                }
                let Some(write) = writing else { return Poll::Pending };
                let Poll::Ready(sent) = write.as_mut().poll(context) else { return Poll::Pending };
                *writing = None;
                Poll::Ready(Seen::Sent(sent))
            }
        }
    }
}

/// Waits until something happens, or the time is over.
async fn next(mut link: Option<&mut Link>, timeout: Duration) -> Option<Seen> {
    let mut time = pin!(sleep(timeout));
    poll_fn(|context| match link.as_mut().map(|link| link.stage.poll(context)) {
        Some(Poll::Ready(seen)) => Poll::Ready(Some(seen)),
        Some(Poll::Pending) | None => time.as_mut().poll(context).map(|()| None),
    })
    .await
}

async fn read(mut stream: TcpStream, buffer: Vec<u8>) -> BufResult<usize, Vec<u8>> {
    stream.read(buffer).await
}

/// Resolves the server's name anew, and tries each of its addresses.
async fn dial(server: ServerAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((&*server.host, server.port)).await?;
    // Requests are coalesced before they are written: nothing is gained by holding them back.
    stream.set_nodelay(true)?;
    Ok(stream)
}
