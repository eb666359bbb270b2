//! Sockets in front of the simulated servers: what passes is written into the journal, and can be kept from passing.

use core::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};
use std::{
    collections::BTreeMap,
    io::{self, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
};

use zk_session::zk_proto::{
    Bytes, ConnectRequest, ConnectResponse, ErrorCode, Frame, FrameDecoder, Jute, Reader, ReplyHeader,
    Request, RequestHeader, WatcherEvent,
};

use crate::reconnect::journal::{Journal, Seen};

/// A port for each server.
#[derive(Debug)]
pub(super) struct Taps {
    addresses: Vec<SocketAddr>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    journal: Arc<Journal>,
    state: Mutex<State>,
    /// Held while something passes to the client, and while connections are cut.
    passing: Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    last_connection: u64,
    /// The client's ends of all connections.
    streams: BTreeMap<u64, TcpStream>,
    /// Connections are accepted and closed at once.
    is_refusing: bool,
    /// Nothing passes, either way, and nobody is told.
    silent: Option<usize>,
    /// On connections that are made now, nothing but the ConnectResponse passes to the client.
    keeps_answers: bool,
    is_over: bool,
}

/// One connection of a client.
struct Link {
    shared: Arc<Shared>,
    id: u64,
    server: usize,
    keeps_answers: bool,
}

impl Taps {
    /// Listens on this port and those that follow, in front of these servers; with port 0, on any free ports.
    pub(super) fn start(targets: &[SocketAddr], port: u16, journal: Arc<Journal>) -> io::Result<Self> {
        let shared = Arc::new(Shared { journal, state: Mutex::default(), passing: Mutex::default() });
        let mut taps = Self { addresses: Vec::new(), shared };
        for (server, &target) in targets.iter().enumerate() {
            let number =
                if port == 0 { 0 } else { port.saturating_add(u16::try_from(server).unwrap_or(u16::MAX)) };
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, number))
                .map_err(|error| io::Error::new(error.kind(), format!("listen on port {number}: {error}")))?;
            taps.addresses.push(listener.local_addr()?);
            let shared = Arc::clone(&taps.shared);
            thread::Builder::new()
                .name("tap".to_owned())
                .spawn(move || listen(&listener, server, target, &shared))?;
        }
        Ok(taps)
    }

    pub(super) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Ends all connections.
    pub(super) fn cut(&self) {
        let _passing = self.shared.passing.lock().unwrap_or_else(PoisonError::into_inner);
        self.shared.lock().streams.values().for_each(hang_up);
    }

    pub(super) fn refuse(&self, is_refusing: bool) {
        self.shared.lock().is_refusing = is_refusing;
    }

    pub(super) fn silence(&self, server: Option<usize>) {
        self.shared.lock().silent = server;
    }

    pub(super) fn keep_answers(&self, keeps_answers: bool) {
        self.shared.lock().keeps_answers = keeps_answers;
    }
}

impl Drop for Taps {
    fn drop(&mut self) {
        self.shared.lock().is_over = true;
        self.cut();
        // One more connection wakes each thread, which then ends.
        for address in &self.addresses {
            let _ = TcpStream::connect(address);
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn listen(listener: &TcpListener, server: usize, target: SocketAddr, shared: &Arc<Shared>) {
    for client in listener.incoming() {
        let mut state = shared.lock();
        if state.is_over {
            return;
        }
        let Ok(client) = client else { continue };
        state.last_connection += 1;
        let (id, keeps_answers) = (state.last_connection, state.keeps_answers);
        let link = Link { shared: Arc::clone(shared), id, server, keeps_answers };
        shared.journal.add(link.id, server, Seen::Dialled);
        if state.is_refusing {
            shared.journal.add(link.id, server, Seen::Ended);
            continue;
        }
        // A connection that can't be set up is one that has ended.
        if let Ok(copy) = client.try_clone() {
            state.streams.insert(link.id, copy);
        }
        drop(state);
        thread::spawn(move || {
            // A connection that can't be passed on is closed.
            if link.run(&client, target).is_err() {
                link.forget(&client);
            }
        });
    }
}

impl Link {
    /// Passes on what is to be passed on, until one of the sides ends.
    fn run(&self, client: &TcpStream, target: SocketAddr) -> io::Result<()> {
        let server = TcpStream::connect(target)?;
        client.set_nodelay(true)?;
        client.set_write_timeout(Some(PATIENCE))?;
        server.set_nodelay(true)?;
        thread::scope(|scope| {
            scope.spawn(|| self.to_server(client, &server));
            scope.spawn(|| self.to_client(&server, client));
        });
        Ok(())
    }

    fn to_server(&self, client: &TcpStream, server: &TcpStream) {
        let mut is_first = true;
        pump(client, |payload| {
            let seen = if is_first { hello(payload) } else { request(payload) };
            is_first = false;
            self.add(seen);
            if self.is_silent() { Ok(()) } else { pass(payload, server) }
        });
        self.end(client, server);
    }

    fn to_client(&self, server: &TcpStream, client: &TcpStream) {
        let mut is_first = true;
        pump(server, |payload| {
            let is_welcome = core::mem::replace(&mut is_first, false);
            if is_welcome {
                // What a client says too early is seen before its answer.
                thread::sleep(HOLD);
            }
            if self.is_silent() || (self.keeps_answers && !is_welcome) {
                return Ok(());
            }
            // What is in the journal isn't lost by a cut.
            let _passing = self.shared.passing.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(seen) = if is_welcome { welcome(payload) } else { reply(payload) } {
                self.add(seen);
            }
            pass(payload, client)
        });
        self.end(client, server);
    }

    fn is_silent(&self) -> bool {
        self.shared.lock().silent == Some(self.server)
    }

    fn end(&self, client: &TcpStream, server: &TcpStream) {
        hang_up(server);
        self.forget(client);
    }

    fn forget(&self, client: &TcpStream) {
        hang_up(client);
        if self.shared.lock().streams.remove(&self.id).is_some() {
            self.add(Seen::Ended);
        }
    }

    fn add(&self, seen: Seen) {
        self.shared.journal.add(self.id, self.server, seen);
    }
}

/// Reads frames until either side ends.
fn pump(mut from: &TcpStream, mut take: impl FnMut(&Bytes) -> io::Result<()>) {
    let mut decoder = FrameDecoder::new(MAX_FRAME_LEN);
    let mut bytes = [0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut bytes) {
        decoder.push(&bytes[..count]);
        loop {
            let taken = match decoder.next() {
                Ok(None) => break,
                Ok(Some(Frame::Whole(payload))) => take(&payload),
                Ok(Some(Frame::Oversize { .. })) | Err(_) => return,
            };
            if taken.is_err() {
                return;
            }
        }
    }
}

fn pass(payload: &Bytes, mut to: &TcpStream) -> io::Result<()> {
    let len = u32::try_from(payload.len()).expect("it is within the limit");
    to.write_all(&[&len.to_be_bytes(), &payload[..]].concat())
}

fn hello(payload: &Bytes) -> Seen {
    match ConnectRequest::decode(&mut Reader::new(payload)) {
        Ok(hello) => Seen::Hello(hello),
        Err(error) => Seen::Nonsense(error.to_string()),
    }
}

fn request(payload: &Bytes) -> Seen {
    let mut reader = Reader::new(payload);
    let header = RequestHeader::decode(&mut reader);
    let request = header.and_then(|header| Ok((header.xid, Request::decode(header.op, &mut reader)?)));
    match request {
        Ok((xid, request)) => Seen::Request(xid, request),
        Err(error) => Seen::Nonsense(error.to_string()),
    }
}

fn welcome(payload: &Bytes) -> Option<Seen> {
    ConnectResponse::decode(&mut Reader::new(payload)).ok().map(Seen::Welcome)
}

fn reply(payload: &Bytes) -> Option<Seen> {
    let mut reader = Reader::new(payload);
    let header = ReplyHeader::decode(&mut reader).ok()?;
    if header.xid == ReplyHeader::EVENT_XID {
        return WatcherEvent::decode(&mut reader).ok().map(|event| Seen::Event(header.zxid, event));
    }
    Some(Seen::Reply(header.xid, header.zxid, header.err == ErrorCode::OK))
}

fn hang_up(stream: &TcpStream) {
    // It fails only if the stream has ended.
    let _ = stream.shutdown(Shutdown::Both);
}

/// So long each ConnectResponse is held back.
const HOLD: Duration = Duration::from_millis(100);
/// A client that doesn't read for so long has ended.
const PATIENCE: Duration = Duration::from_secs(1);
const MAX_FRAME_LEN: usize = 4 << 20;
