//! The two that are compared, behind one interface: bytes to clients' connections, and frames from them.

use core::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};
use std::{
    collections::{BTreeMap, VecDeque},
    io::{Read, Write},
    net::{Shutdown, TcpStream},
};

use zk_harness::Ensemble;
use zk_proto::{Bytes, Frame, FrameDecoder};
use zk_session::Instant;
use zk_sim::{Options, Output, PeerId, SimEnsemble};

/// What comes over a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Came {
    Frame(Bytes),
    /// The server has closed it.
    Closed,
    /// Nothing, although something should.
    Silence,
}

/// A server, with connections by the number of the client.
pub(crate) trait Side {
    fn connect(&mut self, client: usize);
    fn send(&mut self, client: usize, bytes: &[u8]);
    fn receive(&mut self, client: usize) -> Came;
    /// What comes by itself, some time.
    fn wait(&mut self, client: usize) -> Came;
    /// The client goes without a word.
    fn cut(&mut self, client: usize);
}

pub(crate) struct Real {
    pub(crate) ensemble: Ensemble,
    streams: BTreeMap<usize, TcpStream>,
}

impl Real {
    pub(crate) fn new(ensemble: Ensemble) -> Self {
        Self { ensemble, streams: BTreeMap::new() }
    }

    fn address(&self) -> SocketAddr {
        self.ensemble.address(0)
    }
}

impl Side for Real {
    fn connect(&mut self, client: usize) {
        let stream = TcpStream::connect(self.address()).expect("the server listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("not zero");
        stream.set_nodelay(true).expect("a socket");
        self.streams.insert(client, stream);
    }

    fn send(&mut self, client: usize, bytes: &[u8]) {
        if let Some(stream) = self.streams.get_mut(&client) {
            // A server that has closed the connection is noticed when reading.
            let _ = stream.write_all(bytes);
        }
    }

    fn receive(&mut self, client: usize) -> Came {
        let Some(stream) = self.streams.get_mut(&client) else { return Came::Closed };
        let mut read = || -> std::io::Result<Bytes> {
            let mut len = [0; 4];
            stream.read_exact(&mut len)?;
            let len = usize::try_from(i32::from_be_bytes(len)).map_err(std::io::Error::other)?;
            let mut payload = vec![0; len];
            stream.read_exact(&mut payload)?;
            Ok(payload.into())
        };
        match read() {
            Ok(payload) => Came::Frame(payload),
            Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock) => Came::Silence,
            Err(_) => {
                self.streams.remove(&client);
                Came::Closed
            }
        }
    }

    fn wait(&mut self, client: usize) -> Came {
        self.receive(client)
    }

    fn cut(&mut self, client: usize) {
        if let Some(mut stream) = self.streams.remove(&client) {
            // The server may have been quicker. It closes its side once it has forgotten the connection.
            let _ = stream.shutdown(Shutdown::Write);
            let _ = std::io::copy(&mut stream, &mut std::io::sink());
        }
    }
}

pub(crate) struct Sim {
    ensemble: SimEnsemble,
    now: Instant,
    peers: BTreeMap<usize, PeerId>,
    came: BTreeMap<usize, Connection>,
}

struct Connection {
    decoder: FrameDecoder,
    came: VecDeque<Came>,
}

impl Sim {
    pub(crate) fn new(options: Options) -> Self {
        let ensemble = SimEnsemble::new(options, Instant::ZERO);
        Self { ensemble, now: Instant::ZERO, peers: BTreeMap::new(), came: BTreeMap::new() }
    }

    pub(crate) fn paths(&self) -> Vec<String> {
        self.ensemble.tree(0).iter().map(|(path, _)| path.to_owned()).collect()
    }

    fn take_outputs(&mut self) {
        while let Some(output) = self.ensemble.poll_output() {
            let (Output::Send { peer, .. } | Output::Close { peer }) = &output;
            let Some(client) = self.peers.iter().find(|(_, id)| *id == peer).map(|(client, _)| *client)
            else {
                continue;
            };
            let connection = self.came.get_mut(&client).expect("it has a peer");
            match output {
                Output::Send { bytes, .. } => {
                    connection.decoder.push(&bytes);
                    while let Ok(Some(Frame::Whole(payload))) = connection.decoder.next() {
                        connection.came.push_back(Came::Frame(payload));
                    }
                }
                Output::Close { .. } => connection.came.push_back(Came::Closed),
            }
        }
    }

    fn tick(&mut self) {
        self.now = self.now + Duration::from_millis(1);
    }
}

impl Side for Sim {
    fn connect(&mut self, client: usize) {
        self.tick();
        let address = Ipv4Addr::LOCALHOST.into();
        let peer = self.ensemble.connect(0, address, self.now).expect("the server runs");
        self.peers.insert(client, peer);
        let decoder = FrameDecoder::new(i32::MAX as usize);
        self.came.insert(client, Connection { decoder, came: VecDeque::new() });
        self.take_outputs();
    }

    fn send(&mut self, client: usize, bytes: &[u8]) {
        self.tick();
        if let Some(peer) = self.peers.get(&client) {
            self.ensemble.receive(*peer, bytes, self.now);
        }
        self.take_outputs();
    }

    fn receive(&mut self, client: usize) -> Came {
        let Some(connection) = self.came.get_mut(&client) else { return Came::Closed };
        let came = connection.came.pop_front().unwrap_or(Came::Silence);
        if came == Came::Closed {
            self.peers.remove(&client);
            self.came.remove(&client);
        }
        came
    }

    fn wait(&mut self, client: usize) -> Came {
        let end = self.now + PATIENCE;
        loop {
            match (self.receive(client), self.ensemble.poll_timeout()) {
                (Came::Silence, Some(due)) if due <= end => self.now = self.now.max(due),
                (came, _) => return came,
            }
            self.ensemble.handle_timeout(self.now);
            self.take_outputs();
        }
    }

    fn cut(&mut self, client: usize) {
        self.tick();
        if let Some(peer) = self.peers.remove(&client) {
            self.ensemble.disconnect(peer, self.now);
        }
        self.came.remove(&client);
        self.take_outputs();
    }
}

const PATIENCE: Duration = Duration::from_secs(15);
