//! A stand-in for a server that answers at once: one thread, one poll, answers that are made beforehand. It knows no znodes and keeps
//! no sessions. All requests that one read brings are answered by one write.
//!
//! A getData of `/fire/each/<n>` has it send n events, of `/w/0000000` and those that follow; of `/fire/same/<n>`, n events of `/w`.

mod answers;
mod connection;

use core::net::SocketAddr;
use std::io;

use answers::Answers;
use connection::Connection;
use mio::{Events, Interest, Poll, Token, net::TcpListener};

/// A stand-in that listens, and doesn't serve yet.
pub(crate) struct Stub {
    poll: Poll,
    listener: TcpListener,
    connections: Vec<Option<Connection>>,
    answers: Answers,
}

impl Stub {
    pub(crate) fn bind(port: u16) -> io::Result<Self> {
        let mut listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], port)))?;
        let poll = Poll::new()?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        Ok(Self { poll, listener, connections: Vec::new(), answers: Answers::new() })
    }

    pub(crate) fn address(&self) -> String {
        self.listener.local_addr().expect("it is bound").to_string()
    }

    /// Serves until the process ends.
    pub(crate) fn serve(mut self) {
        let mut events = Events::with_capacity(1024);
        let mut scratch = vec![0; READ];
        loop {
            if let Err(error) = self.poll.poll(&mut events, None) {
                assert_eq!(error.kind(), io::ErrorKind::Interrupted, "{error}");
            }
            for event in &events {
                if event.token() == LISTENER {
                    self.accept();
                    continue;
                }
                let place = &mut self.connections[event.token().0];
                if let Some(connection) = place
                    && connection.attend(&mut scratch, &mut self.answers).is_err()
                {
                    *place = None;
                }
            }
        }
    }

    fn accept(&mut self) {
        while let Ok((mut stream, _)) = self.listener.accept() {
            let free = self.connections.iter().position(Option::is_none);
            let place = free.unwrap_or(self.connections.len());
            let interest = Interest::READABLE | Interest::WRITABLE;
            let is_ready = stream.set_nodelay(true).is_ok()
                && self.poll.registry().register(&mut stream, Token(place), interest).is_ok();
            if free.is_none() {
                self.connections.push(None);
            }
            self.connections[place] = is_ready.then(|| Connection::new(stream));
        }
    }
}

const LISTENER: Token = Token(usize::MAX);
const READ: usize = 256 << 10;
