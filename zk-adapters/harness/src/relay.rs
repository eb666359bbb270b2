//! See [`Relay`].

mod link;

use core::net::SocketAddr;
use core::time::Duration;
use std::collections::BTreeMap;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use self::link::{Ending, Link};
use crate::ReservedPort;
use crate::error::StartError;

/// A TCP relay in front of a server, which treats the connections through it as a test wants: the network's part in a
/// story. Unless told otherwise it passes on all bytes, and each end of a connection's side, at once.
///
/// What is ordered holds for all connections, those to come included, until [`heal`](Self::heal) or the opposite is
/// ordered. Bytes are never lost: what a black hole swallows arrives when it is healed, as TCP would repeat it.
#[derive(Debug)]
pub struct Relay {
    shared: Arc<Shared>,
    acceptor: Mutex<Option<JoinHandle<()>>>,
}

/// Which way bytes go through a [`Relay`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a connection has two directions")]
pub enum Direction {
    /// From the client to the server.
    ToServer,
    /// From the server to the client.
    ToClient,
}

impl Relay {
    /// Listens on a loopback port, and relays each connection to `target`. A connection that the target refuses is
    /// reset.
    ///
    /// # Errors
    ///
    /// [`StartError`] if there is no port to listen on.
    pub fn start(target: SocketAddr) -> Result<Self, StartError> {
        let port = ReservedPort::take()?;
        let shared = Shared { target, port, state: Mutex::default(), changed: Condvar::new() };
        let relay = Self { shared: Arc::new(shared), acceptor: Mutex::new(None) };
        relay
            .listen()
            .map_err(|source| StartError::Io { what: format!("listen on {}", relay.address()), source })?;
        Ok(relay)
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.shared.port.address()
    }

    /// Resets all connections, on both sides (RST), and forgets what is under way. New ones are accepted.
    pub fn cut(&self) {
        self.shared.end_all(Ending::Reset);
    }

    /// Ends all connections in good order, on both sides (FIN), and forgets what is under way. New ones are accepted.
    pub fn hang_up(&self) {
        self.shared.end_all(Ending::Close);
    }

    /// Ends the connection that passes on the `count`th byte from now in this direction, right after that byte: the
    /// receiver gets the byte and then the end of the stream, the sender a reset. With a count of 0, the connection of
    /// the next byte ends before it. Happens once.
    pub fn cut_after(&self, direction: Direction, count: u64) {
        self.shared.change(|state| state.rules[direction as usize].cut_after = Some(count));
    }

    /// Refuses new connections (ECONNREFUSED). Those that exist stay.
    pub fn refuse(&self) {
        let Some(acceptor) = self.acceptor().take() else { return };
        self.shared.change(|state| state.refusing = true);
        // One more connection wakes the thread, which drops its listener.
        let _ = TcpStream::connect(self.address());
        let _ = acceptor.join();
    }

    /// Accepts new connections again.
    ///
    /// # Panics
    ///
    /// If another program has taken the port meanwhile.
    pub fn accept(&self) {
        if self.acceptor().is_none() {
            self.listen().expect("the port is reserved");
        }
    }

    /// Passes on nothing in this direction, without a word to either side: neither bytes nor ends. About a megabyte
    /// for each connection is taken from the sender and kept until [`heal`](Self::heal).
    pub fn black_hole(&self, direction: Direction) {
        self.shared.change(|state| state.rules[direction as usize].is_black_hole = true);
    }

    /// Stops reading what clients send, so that their sockets fill.
    pub fn stall_reads(&self) {
        self.shared.change(|state| state.stalled = true);
    }

    /// Passes on each byte of both directions so much later. The rate isn't changed, up to a megabyte in each delay.
    pub fn delay(&self, delay: Duration) {
        self.shared.change(|state| state.delay = delay);
    }

    /// Passes on no more than so many bytes per second in each direction of each connection, a few at a time.
    ///
    /// # Panics
    ///
    /// If the rate is 0.
    pub fn slow(&self, bytes_per_second: usize) {
        assert!(bytes_per_second > 0, "a rate of 0 is a black hole");
        self.shared.change(|state| state.rate = Some(bytes_per_second));
    }

    /// Ends black holes, stalled reads, delays and slowness; what was kept is passed on.
    pub fn heal(&self) {
        self.shared.change(|state| {
            state.stalled = false;
            state.delay = Duration::ZERO;
            state.rate = None;
            for rules in &mut state.rules {
                rules.is_black_hole = false;
            }
        });
    }

    /// How many connections were relayed so far.
    pub fn accepted(&self) -> usize {
        self.shared.state().accepted
    }

    /// How many connections exist.
    pub fn open(&self) -> usize {
        self.shared.state().links.len()
    }

    /// How many bytes were passed on so far in this direction.
    pub fn forwarded(&self, direction: Direction) -> u64 {
        self.shared.state().rules[direction as usize].forwarded
    }

    fn listen(&self) -> io::Result<()> {
        let listener = TcpListener::bind(self.address())?;
        self.shared.change(|state| state.refusing = false);
        let shared = Arc::clone(&self.shared);
        *self.acceptor() = Some(thread::spawn(move || shared.accept_from(&listener)));
        Ok(())
    }

    fn acceptor(&self) -> MutexGuard<'_, Option<JoinHandle<()>>> {
        self.acceptor.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.refuse();
        self.cut();
    }
}

#[derive(Debug)]
struct Shared {
    target: SocketAddr,
    port: ReservedPort,
    state: Mutex<State>,
    /// Told whenever the state changes.
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    refusing: bool,
    stalled: bool,
    delay: Duration,
    rate: Option<usize>,
    rules: [Rules; 2],
    accepted: usize,
    links: BTreeMap<usize, Link>,
}

/// What holds in one direction.
#[derive(Debug, Default)]
struct Rules {
    is_black_hole: bool,
    cut_after: Option<u64>,
    forwarded: u64,
}

impl Shared {
    fn accept_from(self: Arc<Self>, listener: &TcpListener) {
        for client in listener.incoming() {
            if self.state().refusing {
                return;
            }
            if let Ok(client) = client {
                let shared = Arc::clone(&self);
                thread::spawn(move || link::open(&shared, client));
            }
        }
    }

    fn end_all(&self, ending: Ending) {
        let mut links = BTreeMap::new();
        self.change(|state| links = core::mem::take(&mut state.links));
        for (_, link) in links {
            link.end(ending);
        }
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.changed.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
