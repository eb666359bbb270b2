//! The thread that has the ensemble: it carries bytes between sockets and servers, and tells the time.

use core::{net::SocketAddr, time::Duration};
use std::{
    collections::BTreeMap,
    io::{self, Read, Write},
    sync::mpsc::Receiver,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use bytes::{Buf, BytesMut};
use mio::{
    Events, Interest, Poll, Token, Waker,
    net::{TcpListener, TcpStream},
};

use crate::{
    ensemble::{Options, Output, PeerId, SimEnsemble},
    serve::ServedSession,
};

/// Something to be done by the thread.
pub(super) type Task = Box<dyn FnOnce(&mut Engine) + Send>;

/// The ensemble and its sockets.
pub(super) struct Engine {
    ensemble: SimEnsemble,
    begin: Instant,
    poll: Poll,
    addresses: Vec<SocketAddr>,
    /// None where the server is down. Its token is the server's number.
    listeners: Vec<Option<TcpListener>>,
    connections: BTreeMap<Token, Connection>,
    tokens: BTreeMap<PeerId, Token>,
    last_token: usize,
    tasks: Receiver<Task>,
    is_stopping: bool,
}

struct Connection {
    stream: TcpStream,
    peer: PeerId,
    server: usize,
    out: BytesMut,
    /// The server has closed it; what there is to send is still sent.
    is_closing: bool,
    /// The socket may have more to read: it tells only once.
    is_readable: bool,
}

impl Engine {
    /// Listens.
    pub(super) fn new(
        options: Options,
        wanted: &[SocketAddr],
        tasks: Receiver<Task>,
    ) -> io::Result<(Self, Waker)> {
        let epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let epoch_ms = i64::try_from(epoch.as_millis()).unwrap_or(i64::MAX);
        let ensemble = SimEnsemble::new(Options { epoch_ms, ..options }, zk_session::Instant::ZERO);
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), WAKE)?;
        let mut engine = Self {
            ensemble,
            begin: Instant::now(),
            poll,
            addresses: Vec::new(),
            listeners: Vec::new(),
            connections: BTreeMap::new(),
            tokens: BTreeMap::new(),
            last_token: wanted.len(),
            tasks,
            is_stopping: false,
        };
        for (server, address) in wanted.iter().enumerate() {
            let listener = engine.listen(server, *address)?;
            engine.addresses.push(listener.local_addr()?);
            engine.listeners.push(Some(listener));
        }
        Ok((engine, waker))
    }

    /// Serves until it is told to stop.
    pub(super) fn run(mut self) {
        let mut events = Events::with_capacity(256);
        while !self.is_stopping {
            match self.poll.poll(&mut events, self.patience()) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                    panic!("polling sockets: {error}")
                }
                _ => {}
            }
            for event in &events {
                match event.token() {
                    WAKE => self.perform_tasks(),
                    Token(server) if server < self.listeners.len() => self.accept(server),
                    token => self.serve(token, event.is_readable()),
                }
            }
            let now = self.now();
            self.ensemble.handle_timeout(now);
            self.take_outputs();
        }
    }

    pub(super) fn stop(&mut self) {
        self.is_stopping = true;
    }

    pub(super) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    pub(super) fn ensemble(&self) -> &SimEnsemble {
        &self.ensemble
    }

    pub(super) fn sessions(&self) -> Vec<ServedSession> {
        let now = self.now();
        let connected = |id| {
            let mut connections = self.connections.values();
            connections.find(|connection| self.ensemble.session_of(connection.peer) == Some(id))
        };
        let ids = self.ensemble.sessions();
        ids.filter_map(|id| {
            let (timeout, expires) = self.ensemble.session(id)?;
            let server = connected(id).map(|connection| connection.server);
            Some(ServedSession { id, timeout, left: expires.since(now), server })
        })
        .collect()
    }

    fn now(&self) -> zk_session::Instant {
        zk_session::Instant::ZERO + self.begin.elapsed()
    }

    /// How long nothing is due.
    fn patience(&self) -> Option<Duration> {
        let due = self.ensemble.poll_timeout()?;
        Some(due.since(self.now()))
    }
}

/// Faults.
impl Engine {
    pub(super) fn fault(&mut self, fault: impl FnOnce(&mut SimEnsemble, zk_session::Instant)) {
        let now = self.now();
        fault(&mut self.ensemble, now);
        self.take_outputs();
    }

    pub(super) fn crash(&mut self, server: usize) {
        self.fault(|ensemble, now| ensemble.crash(server, now));
        if let Some(listener) = self.listeners.get_mut(server) {
            *listener = None;
        }
        // What a dead server hasn't sent isn't sent.
        let lost = |connection: &Connection| connection.server == server;
        let tokens: Vec<_> =
            self.connections.iter().filter(|(_, it)| lost(it)).map(|(token, _)| *token).collect();
        tokens.into_iter().for_each(|token| self.forget(token));
    }

    pub(super) fn restart(&mut self, server: usize) -> io::Result<()> {
        if self.listeners.get(server).is_none_or(Option::is_some) {
            return Ok(());
        }
        self.listeners[server] = Some(self.listen(server, self.addresses[server])?);
        self.fault(|ensemble, now| ensemble.restart(server, now));
        Ok(())
    }

    pub(super) fn wipe(&mut self) -> io::Result<()> {
        self.restart_all()?;
        self.fault(SimEnsemble::wipe);
        Ok(())
    }

    pub(super) fn heal(&mut self) -> io::Result<()> {
        self.restart_all()?;
        self.fault(SimEnsemble::heal);
        Ok(())
    }

    fn restart_all(&mut self) -> io::Result<()> {
        (0..self.listeners.len()).try_for_each(|server| self.restart(server))
    }

    fn perform_tasks(&mut self) {
        while let Ok(task) = self.tasks.try_recv() {
            task(self);
        }
    }
}

/// Sockets.
impl Engine {
    fn listen(&self, server: usize, address: SocketAddr) -> io::Result<TcpListener> {
        let named = |error: io::Error| io::Error::new(error.kind(), format!("listen on {address}: {error}"));
        let mut listener = TcpListener::bind(address).map_err(named)?;
        self.poll.registry().register(&mut listener, Token(server), Interest::READABLE)?;
        Ok(listener)
    }

    fn accept(&mut self, server: usize) {
        while let Some(Some(listener)) = self.listeners.get(server)
            && let Ok((mut stream, address)) = listener.accept()
        {
            let now = self.now();
            let Some(peer) = self.ensemble.connect(server, address.ip(), now) else { continue };
            self.last_token += 1;
            let token = Token(self.last_token);
            // A connection that can't be watched is dropped, and seen as one that the server closed.
            let interests = Interest::READABLE | Interest::WRITABLE;
            let is_watched = self.poll.registry().register(&mut stream, token, interests).is_ok();
            if !is_watched || stream.set_nodelay(true).is_err() {
                self.ensemble.disconnect(peer, now);
                continue;
            }
            let connection = Connection {
                stream,
                peer,
                server,
                out: BytesMut::new(),
                is_closing: false,
                is_readable: false,
            };
            self.connections.insert(token, connection);
            self.tokens.insert(peer, token);
            self.take_outputs();
        }
    }

    /// Moves what can be moved over a connection, both ways.
    fn serve(&mut self, token: Token, is_readable: bool) {
        if let Some(connection) = self.connections.get_mut(&token) {
            connection.is_readable |= is_readable;
        }
        self.write(token);
        while self.wants_more(token) {
            self.read(token);
            self.take_outputs();
        }
    }

    /// A client that doesn't take its answers isn't read from.
    fn wants_more(&self, token: Token) -> bool {
        let connection = self.connections.get(&token);
        connection.is_some_and(|connection| {
            connection.is_readable && !connection.is_closing && connection.out.len() < MOST_UNSENT
        })
    }

    fn read(&mut self, token: Token) {
        let now = self.now();
        let Some(connection) = self.connections.get_mut(&token) else { return };
        let mut bytes = [0; 16 * 1024];
        match connection.stream.read(&mut bytes) {
            Ok(count) if count > 0 => self.ensemble.receive(connection.peer, &bytes[..count], now),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => connection.is_readable = false,
            Ok(_) | Err(_) => {
                self.ensemble.disconnect(connection.peer, now);
                self.forget(token);
            }
        }
    }

    fn take_outputs(&mut self) {
        while let Some(output) = self.ensemble.poll_output() {
            let (Output::Send { peer, .. } | Output::Close { peer }) = &output;
            let Some(token) = self.tokens.get(peer).copied() else { continue };
            let Some(connection) = self.connections.get_mut(&token) else { continue };
            match output {
                Output::Send { bytes, .. } => connection.out.extend_from_slice(&bytes),
                Output::Close { .. } => connection.is_closing = true,
            }
            self.write(token);
        }
    }

    fn write(&mut self, token: Token) {
        let Some(connection) = self.connections.get_mut(&token) else { return };
        while !connection.out.is_empty() {
            match connection.stream.write(&connection.out) {
                Ok(count) => connection.out.advance(count),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => {
                    let now = self.now();
                    self.ensemble.disconnect(self.connections[&token].peer, now);
                    return self.forget(token);
                }
            }
        }
        if connection.is_closing {
            self.forget(token);
        }
    }

    fn forget(&mut self, token: Token) {
        if let Some(connection) = self.connections.remove(&token) {
            self.tokens.remove(&connection.peer);
        }
    }
}

const WAKE: Token = Token(usize::MAX);
/// So many bytes may wait for a client to take them until nothing more is read from it.
const MOST_UNSENT: usize = 1 << 20;
