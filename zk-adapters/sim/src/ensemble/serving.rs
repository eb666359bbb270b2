//! What a server does with a client's bytes: ZooKeeper's `NIOServerCnxn` and `ZooKeeperServer`.

use core::time::Duration;

use zk_session::zk_proto::{
    AuthPacket, Bytes, ConnectRequest, ConnectResponse, DecodeError, DecodeErrorKind, ErrorCode, Frame,
    Jute as _, OpCode, Reader, ReplyHeader, Request, RequestHeader, SessionId, Zxid, encode_reply_frame,
};

use crate::ensemble::{
    SimEnsemble,
    peer::{Owed, Peer, PeerId, Ready, Stage},
    server::{Asked, Proposal, Role},
    sessions::password,
    words,
};

impl SimEnsemble {
    /// Reads on, as far as the server reads.
    pub(super) fn pump(&mut self, id: PeerId) {
        while let Some(payload) = self.next_frame(id) {
            let Some(peer) = self.peers.get_mut(&id) else { return };
            match peer.stage {
                Stage::Fresh => self.handle_connect(id, &payload),
                Stage::Open(session, timeout_ms) => {
                    peer.idle_until = self.now + millis(timeout_ms);
                    self.touch(id, session);
                    self.handle_request(id, &payload);
                }
                Stage::Asking | Stage::Deaf => return,
            }
        }
    }

    /// The next frame, if there is one and the server wants it. A four-letter word is answered here.
    fn next_frame(&mut self, id: PeerId) -> Option<Bytes> {
        let peer = self.peers.get_mut(&id)?;
        let server = &self.servers[peer.server];
        if server.is_paused || matches!(peer.stage, Stage::Asking | Stage::Deaf) {
            return None;
        }
        if peer.stage == Stage::Fresh && peer.decoder.is_empty() {
            let word = peer.unread.first_chunk::<4>()?;
            let is_leader = self.leader == Some(peer.server);
            if let Some(answer) = words::answer(*word, server, &self.options, is_leader) {
                peer.out.extend_from_slice(answer.as_bytes());
                self.close(id);
                return None;
            }
        }
        if !peer.unread.is_empty() {
            peer.decoder.push(&peer.unread);
            peer.unread.clear();
        }
        match peer.decoder.next() {
            Ok(Some(Frame::Whole(payload))) => Some(payload),
            Ok(None) => None,
            Ok(Some(Frame::Oversize { .. })) | Err(_) => {
                self.close(id);
                None
            }
        }
    }

    /// What a follower hears keeps the session, if the leader hears of it.
    fn touch(&mut self, id: PeerId, session: SessionId) {
        let server = &self.servers[self.peers[&id].server];
        if self.leader.is_some() && server.role == Role::Serving && !server.is_isolated {
            self.sessions.touch(session, self.now);
        }
    }

    /// `ZooKeeperServer.processConnectRequest`.
    fn handle_connect(&mut self, id: PeerId, payload: &Bytes) {
        let Ok(request) = ConnectRequest::decode(&mut Reader::new(payload)) else { return self.close(id) };
        let peer = self.peers.get_mut(&id).expect("it has just sent this");
        peer.read_only_byte = request.read_only;
        let (number, server) = (peer.server, &self.servers[peer.server]);
        let is_read_only = server.role == Role::ReadOnly;
        if request.last_zxid_seen > server.tree.last_zxid()
            || (is_read_only && request.read_only != Some(true))
        {
            return self.close(id);
        }
        peer.stage = Stage::Asking;
        let timeout = self.clamp(request.time_out);
        let session = request.session_id;
        if session == SessionId(0) {
            return self.open_session(id, number, timeout);
        }
        self.close_others(id, number, session);
        if request.passwd.as_ref() != Some(&password(session)) {
            return self.reject_session(id);
        }
        if !is_read_only {
            return self.ask_leader(id, session, 0, Asked::RenewSession { timeout });
        }
        if self.options.version.read_only_refuses_sessions() {
            return self.close(id);
        }
        match self.sessions.get(session) {
            Some(_) => self.finish_session(id, session, timeout),
            None => self.reject_session(id),
        }
    }

    fn clamp(&self, asked_ms: i32) -> Duration {
        let asked = Duration::from_millis(u64::try_from(asked_ms).unwrap_or(0));
        asked.clamp(self.options.tick * 2, self.options.longest_session_timeout())
    }

    fn open_session(&mut self, id: PeerId, number: usize, timeout: Duration) {
        let session = self.sessions.next_id(number);
        let server = &self.servers[number];
        if server.role == Role::Serving {
            return self.ask_leader(id, session, 0, Asked::OpenSession { timeout });
        }
        if self.options.version.read_only_refuses_sessions() && !self.options.local_sessions {
            // A reply where a ConnectResponse should be: the request was refused on its way.
            let zxid = server.tree.last_zxid();
            self.reply(id, ReplyHeader { xid: 0, zxid, err: ErrorCode::NOT_READ_ONLY }, None);
            self.peers.get_mut(&id).expect("it has just asked").stage = Stage::Deaf;
            return;
        }
        self.finish_session(id, session, timeout);
    }

    /// A session has one connection to a server.
    fn close_others(&mut self, id: PeerId, server: usize, session: SessionId) {
        let is_other = |(other, peer): &(&PeerId, &Peer)| {
            **other != id && peer.server == server && peer.session() == Some(session)
        };
        let others: Vec<_> = self.peers.iter().filter(is_other).map(|(other, _)| *other).collect();
        others.into_iter().for_each(|other| self.close(other));
    }

    /// The session is this connection's from now on.
    pub(super) fn finish_session(&mut self, id: PeerId, session: SessionId, timeout: Duration) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let timeout_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
        peer.stage = Stage::Open(session, timeout_ms);
        peer.idle_until = self.now + timeout;
        let is_read_only = self.servers[peer.server].role == Role::ReadOnly;
        let response = ConnectResponse {
            protocol_version: 0,
            time_out: timeout_ms,
            session_id: session,
            passwd: Some(password(session)),
            read_only: peer.read_only_byte.map(|_| is_read_only),
        };
        response.encode_frame(&mut peer.out);
        self.talking.push(id);
        self.pump(id);
    }

    /// The session is gone, or never was.
    pub(super) fn reject_session(&mut self, id: PeerId) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let response = ConnectResponse {
            passwd: Some(Bytes::from_static(&[0; 16])),
            read_only: peer.read_only_byte.map(|_| false),
            ..ConnectResponse::default()
        };
        response.encode_frame(&mut peer.out);
        self.close(id);
    }

    fn handle_request(&mut self, id: PeerId, payload: &Bytes) {
        let mut input = Reader::new(payload);
        let Ok(header) = RequestHeader::decode(&mut input) else { return self.close(id) };
        if header.op == OpCode::AUTH {
            return match AuthPacket::decode(&mut input) {
                Ok(packet) => self.handle_auth(id, header.xid, &packet),
                Err(_) => self.close(id),
            };
        }
        if !self.options.version.knows(header.op) {
            self.reply(
                id,
                ReplyHeader { xid: header.xid, zxid: Zxid(-1), err: ErrorCode::UNIMPLEMENTED },
                None,
            );
            return self.close(id);
        }
        match read_request(header.op, input.rest()) {
            Ok(request) => self.take_request(id, header, request),
            Err(_) => self.take_malformed(id, header),
        }
    }

    /// An auth packet is answered at once, ahead of what else is due.
    fn handle_auth(&mut self, id: PeerId, xid: i32, packet: &AuthPacket) {
        let super_digest = self.options.super_digest.as_deref();
        let peer = self.peers.get_mut(&id).expect("it has just sent this");
        let scheme = packet.scheme.to_str();
        let verdict = peer.identities.authenticate(&scheme, packet.auth.as_ref(), super_digest);
        let err = verdict.err().unwrap_or(ErrorCode::OK);
        self.reply(id, ReplyHeader { xid, zxid: Zxid(0), err }, None);
        if err != ErrorCode::OK {
            self.close(id);
        }
    }

    fn take_request(&mut self, id: PeerId, header: RequestHeader, request: Request) {
        let peer = self.peers.get_mut(&id).expect("it has just sent this");
        let session = peer.session().expect("its session is open");
        let kind = Kind::of(&request);
        if self.servers[peer.server].role == Role::ReadOnly && kind != Kind::Read {
            let zxid = self.servers[peer.server].tree.last_zxid();
            let refusal = ReplyHeader { xid: header.xid, zxid, err: ErrorCode::NOT_READ_ONLY };
            return self.reply(id, refusal, None);
        }
        let asked = match kind {
            Kind::Read => None,
            Kind::Sync => Some(Asked::Sync),
            Kind::Close => Some(Asked::CloseSession),
            Kind::Write => Some(Asked::Write(Box::new((request.clone(), peer.identities.clone())))),
        };
        let ready = if kind == Kind::Read { Ready::Now } else { Ready::Leader };
        peer.owed.push_back(Owed { xid: header.xid, request: Ok(request), ready });
        match asked {
            None => self.answer_ready(id),
            Some(asked) => self.ask_leader(id, session, header.xid, asked),
        }
    }

    /// A body that can't be decoded is refused in its turn; a write's refusal can be a transaction.
    fn take_malformed(&mut self, id: PeerId, header: RequestHeader) {
        let peer = self.peers.get_mut(&id).expect("it has just sent this");
        let session = peer.session().expect("its session is open");
        let is_numbered = self.options.version.numbers_malformed(header.op);
        let ready = if is_numbered { Ready::Leader } else { Ready::Now };
        let request = Err(ErrorCode::MARSHALLING_ERROR);
        peer.owed.push_back(Owed { xid: header.xid, request, ready });
        if is_numbered {
            self.ask_leader(id, session, header.xid, Asked::Malformed);
        } else {
            self.answer_ready(id);
        }
    }

    /// Sends a request on its way to the leader, behind those that couldn't be sent.
    fn ask_leader(&mut self, peer: PeerId, session: SessionId, xid: i32, what: Asked) {
        let number = self.peers[&peer].server;
        let proposal = Proposal { peer, server: number, session, xid, what };
        let server = &mut self.servers[number];
        if server.is_isolated || !server.outbox.is_empty() {
            server.outbox.push(proposal);
        } else {
            self.propose(proposal);
        }
    }

    pub(super) fn reply(
        &mut self,
        id: PeerId,
        header: ReplyHeader,
        body: Option<&zk_session::zk_proto::Response>,
    ) {
        if let Some(peer) = self.peers.get_mut(&id) {
            encode_reply_frame(&header, body, &mut peer.out);
            self.talking.push(id);
        }
    }
}

/// Who answers a request.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Read,
    Sync,
    Write,
    Close,
}

impl Kind {
    fn of(request: &Request) -> Self {
        match request {
            Request::Create(_)
            | Request::Create2(_)
            | Request::CreateContainer(_)
            | Request::CreateTtl(_)
            | Request::Delete(_)
            | Request::DeleteContainer(_)
            | Request::SetData(_)
            | Request::SetAcl(_)
            | Request::Check(_)
            | Request::Multi(_)
            | Request::Reconfig(_) => Self::Write,
            Request::Sync(_) => Self::Sync,
            Request::CloseSession => Self::Close,
            Request::Exists(_)
            | Request::GetData(_)
            | Request::GetAcl(_)
            | Request::GetChildren(_)
            | Request::GetChildren2(_)
            | Request::MultiRead(_)
            | Request::CheckWatches(_)
            | Request::RemoveWatches(_)
            | Request::AddWatch(_)
            | Request::GetEphemerals(_)
            | Request::GetAllChildrenNumber(_)
            | Request::Auth(_)
            | Request::Sasl(_)
            | Request::SetWatches(_)
            | Request::SetWatches2(_)
            | Request::Ping
            | Request::WhoAmI => Self::Read,
        }
    }
}

/// Java takes any negative count for that of an empty vector, but for null's.
fn read_request(op: OpCode, mut body: Bytes) -> Result<Request, DecodeError> {
    let mut decoded = Request::decode(op, &mut Reader::new(&body));
    for _ in 0..MOST_VECTORS {
        let Err(error) = &decoded else { break };
        let DecodeErrorKind::NegativeCount(_) = error.kind() else { break };
        let mut patched = body.to_vec();
        patched[error.at()..][..4].fill(0);
        body = patched.into();
        decoded = Request::decode(op, &mut Reader::new(&body));
    }
    decoded
}

fn millis(millis: i32) -> Duration {
    Duration::from_millis(u64::try_from(millis).unwrap_or(0))
}

/// Of so many vectors in one request the counts are put right.
const MOST_VECTORS: usize = 8;
