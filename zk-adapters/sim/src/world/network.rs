//! What lies between a client and its server, and what can be wrong with it.

use core::time::Duration;
use std::collections::VecDeque;

use zk_session::{
    ConnectionId, Instant,
    zk_proto::{Bytes, BytesMut},
};

use crate::ensemble::PeerId;

/// The state of a client's network. It may change at any time.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "configuration, made by struct update")]
pub struct Network {
    /// What a byte takes, each way.
    pub latency: Duration,
    /// What becomes of new connections.
    pub dialling: Dialling,
    /// Whether bytes to the server arrive.
    pub to_server: Flow,
    /// Whether bytes from the server arrive.
    pub to_client: Flow,
    /// Bytes arrive in pieces of at most this length, each way. At least 1.
    pub piece: usize,
    /// The time between two pieces: a slow trickle, if it is long.
    pub pause: Duration,
    /// The transport takes at most so many bytes of what a client hands out at once; 0: none, it is stalled.
    pub window: usize,
}

/// What becomes of a new connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "configuration")]
pub enum Dialling {
    /// It reaches the server.
    Open,
    /// It is refused.
    Refused,
    /// Nothing ever comes back.
    Hangs,
}

/// What becomes of bytes that are on their way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "configuration")]
pub enum Flow {
    /// They arrive.
    Open,
    /// They don't. A stream has no gaps: they go before what is sent when it is open again. The news of the connection's
    /// end is lost.
    BlackHole,
}

impl Default for Network {
    fn default() -> Self {
        Self {
            latency: Duration::from_millis(1),
            dialling: Dialling::Open,
            to_server: Flow::Open,
            to_client: Flow::Open,
            piece: usize::MAX,
            pause: Duration::ZERO,
            window: usize::MAX,
        }
    }
}

/// One connection, from the client's dialling to the end.
#[derive(Clone, Debug)]
pub(super) struct Link {
    pub(super) connection: ConnectionId,
    pub(super) server: usize,
    pub(super) peer: Option<PeerId>,
    /// When the dialling comes to an end.
    pub(super) dialled_at: Option<Instant>,
    /// Handed out, and not taken yet.
    pub(super) outbox: Bytes,
    pub(super) is_reported: bool,
    pub(super) to_server: Pipe,
    pub(super) to_client: Pipe,
}

/// Bytes that are on their way.
#[derive(Clone, Debug, Default)]
pub(super) struct Pipe {
    pieces: VecDeque<(Instant, Piece)>,
    /// What a black hole has swallowed so far.
    swallowed: BytesMut,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    Bytes(Bytes),
    End,
}

impl Link {
    pub(super) fn new(connection: ConnectionId, server: usize, dialled_at: Option<Instant>) -> Self {
        Self {
            connection,
            server,
            peer: None,
            dialled_at,
            outbox: Bytes::new(),
            is_reported: false,
            to_server: Pipe::default(),
            to_client: Pipe::default(),
        }
    }
}

impl Pipe {
    /// Puts bytes on their way, as the network has it now.
    pub(super) fn push(&mut self, mut bytes: Bytes, flow: Flow, network: &Network, now: Instant) {
        if flow == Flow::BlackHole {
            self.swallowed.extend_from_slice(&bytes);
            return;
        }
        if !self.swallowed.is_empty() {
            self.swallowed.extend_from_slice(&bytes);
            bytes = core::mem::take(&mut self.swallowed).freeze();
        }
        let mut due = self.next_free(now + network.latency);
        while !bytes.is_empty() {
            let piece = bytes.split_to(bytes.len().min(network.piece.max(1)));
            self.pieces.push_back((due, Piece::Bytes(piece)));
            due = due + network.pause;
        }
    }

    /// The end of the stream, behind all that is on its way.
    pub(super) fn end(&mut self, flow: Flow, network: &Network, now: Instant) {
        if flow == Flow::Open {
            let due = self.next_free(now + network.latency);
            self.pieces.push_back((due, Piece::End));
        }
    }

    pub(super) fn due(&self) -> Option<Instant> {
        self.pieces.front().map(|(due, _)| *due)
    }

    pub(super) fn pop(&mut self) -> Option<Piece> {
        self.pieces.pop_front().map(|(_, piece)| piece)
    }

    /// The next thing that arrives, unless it is the end.
    pub(super) fn pop_bytes(&mut self) -> Option<Piece> {
        self.pieces.pop_front_if(|(_, piece)| *piece != Piece::End).map(|(_, piece)| piece)
    }

    /// The length of the longest piece.
    pub(super) fn longest(&self) -> usize {
        let len = |piece: &Piece| if let Piece::Bytes(bytes) = piece { bytes.len() } else { 0 };
        self.pieces.iter().map(|(_, piece)| len(piece)).max().unwrap_or(0)
    }

    /// Changes bytes that are on their way.
    pub(super) fn corrupt(&mut self, mut change: impl FnMut(usize, &mut u8)) {
        for (_, piece) in &mut self.pieces {
            if let Piece::Bytes(bytes) = piece {
                let mut changed = bytes.to_vec();
                changed.iter_mut().enumerate().for_each(|(at, byte)| change(at, byte));
                *bytes = changed.into();
            }
        }
    }

    /// What is on its way arrives now, in order.
    pub(super) fn hurry(&mut self, now: Instant) {
        self.pieces.iter_mut().for_each(|(due, _)| *due = now.min(*due));
    }

    /// Loses what is on its way.
    pub(super) fn clear(&mut self) {
        self.pieces.clear();
    }

    fn next_free(&self, due: Instant) -> Instant {
        self.pieces.back().map_or(due, |(last, _)| due.max(*last))
    }
}
