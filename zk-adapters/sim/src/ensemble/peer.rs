//! One client's connection, as its server sees it.

use core::net::IpAddr;
use std::collections::VecDeque;

use zk_session::{
    Instant,
    zk_proto::{BytesMut, ErrorCode, FrameDecoder, Request, SessionId},
};

use crate::ensemble::access::Identities;

/// A connection of a client to a server of the ensemble; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId(pub(crate) u64);

/// A connection, and what its server still owes it.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) server: usize,
    pub(crate) address: IpAddr,
    pub(crate) stage: Stage,
    /// The last byte of its ConnectRequest, if there was one: the answer has one then too.
    pub(crate) read_only_byte: Option<bool>,
    /// What came before it was known to be a stream of frames, and what a paused server hasn't read.
    pub(crate) unread: BytesMut,
    pub(crate) decoder: FrameDecoder,
    pub(crate) identities: Identities,
    /// Requests that aren't answered yet, in order.
    pub(crate) owed: VecDeque<Owed>,
    pub(crate) out: BytesMut,
    /// When the server gives up on a connection that says nothing.
    pub(crate) idle_until: Instant,
}

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Nothing of it is understood yet.
    Fresh,
    /// It has asked for a session.
    Asking,
    /// It speaks for a session, with its timeout in milliseconds.
    Open(SessionId, i32),
    /// The server has read all that it will read.
    Deaf,
}

/// An answer that is due.
#[derive(Clone, Debug)]
pub(crate) struct Owed {
    pub(crate) xid: i32,
    pub(crate) request: Result<Request, ErrorCode>,
    pub(crate) ready: Ready,
}

/// What an answer waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ready {
    /// For its turn only: it is a read.
    Now,
    /// For the leader's word.
    Leader,
}

impl Peer {
    pub(crate) fn new(server: usize, address: IpAddr, max_frame_len: usize, idle_until: Instant) -> Self {
        Self {
            server,
            address,
            stage: Stage::Fresh,
            read_only_byte: None,
            unread: BytesMut::new(),
            decoder: FrameDecoder::new(max_frame_len),
            identities: Identities::new(address),
            owed: VecDeque::new(),
            out: BytesMut::new(),
            idle_until,
        }
    }

    pub(crate) fn session(&self) -> Option<SessionId> {
        if let Stage::Open(session, _) = self.stage { Some(session) } else { None }
    }
}
