//! Secrets are taken out of a session's streams: as many bytes remain, and none of them is the secret's.
//!
//! A password, from either side, and a SASL token become zeros. What proves an identity of an auth scheme becomes zeros
//! up to its last byte, which tells it from others of its length: so a session still knows which are the same.

use core::ops::Range;
use std::collections::BTreeSet;

use zk_session::{
    AuthInfo, ConnectionId,
    zk_proto::{Bytes, BytesMut, OpCode},
};

/// What a session must not tell, and how far its connection's streams are looked through.
#[derive(Default)]
pub(super) struct Secrets {
    auths: Vec<Bytes>,
    line: Option<Line>,
}

/// The two streams of a connection.
struct Line {
    connection: ConnectionId,
    to_server: Frames,
    to_client: Frames,
    /// The requests that are steps of a SASL exchange.
    sasl: BTreeSet<[u8; 4]>,
}

impl Secrets {
    /// What stands for an identity.
    pub(super) fn auth(&mut self, info: &AuthInfo) -> AuthInfo {
        if !self.auths.contains(&info.auth) {
            self.auths.push(info.auth.clone());
        }
        AuthInfo { scheme: info.scheme.clone(), auth: stand_in(&self.auths, &info.auth) }
    }

    /// A connection begins.
    pub(super) fn connect(&mut self, connection: ConnectionId) {
        let (to_server, to_client) = (Frames::new(), Frames::new());
        self.line = Some(Line { connection, to_server, to_client, sasl: BTreeSet::new() });
    }

    /// What the session hands out.
    pub(super) fn sent(&mut self, connection: ConnectionId, bytes: &Bytes) -> Bytes {
        self.of(connection, bytes, |auths, line, bytes| {
            let Line { to_server, sasl, .. } = line;
            to_server.each(bytes, |frame, is_first| {
                if is_first {
                    return Secret::zeros(buffer_at(frame, CONNECT_REQUEST_PASSWORD));
                }
                match OpCode(int_at(frame, 8)?) {
                    OpCode::AUTH => {
                        let scheme = buffer_at(frame, 16)?;
                        let range = buffer_at(frame, scheme.end)?;
                        let known = frame.get(range.start..range.end.min(frame.len())).unwrap_or_default();
                        Some(Secret { last: stand_in(auths, known).last().copied().unwrap_or(0), range })
                    }
                    OpCode::SASL => {
                        sasl.extend(frame.get(4..8).and_then(|xid| xid.first_chunk()));
                        Secret::zeros(buffer_at(frame, 12))
                    }
                    _ => None,
                }
            });
        })
    }

    /// What the session is given.
    pub(super) fn received(&mut self, connection: ConnectionId, bytes: &Bytes) -> Bytes {
        self.of(connection, bytes, |_, line, bytes| {
            let Line { to_client, sasl, .. } = line;
            to_client.each(bytes, |frame, is_first| {
                let is_sasl =
                    frame.get(4..8).and_then(|xid| xid.first_chunk()).is_some_and(|xid| sasl.contains(xid));
                if is_first || is_sasl { Secret::zeros(buffer_at(frame, ANSWER)) } else { None }
            });
        })
    }

    /// Nobody looks at the bytes of an earlier connection.
    fn of(
        &mut self,
        connection: ConnectionId,
        bytes: &Bytes,
        blank: impl FnOnce(&[Bytes], &mut Line, &mut [u8]),
    ) -> Bytes {
        let mut bytes = BytesMut::from(&bytes[..]);
        match self.line.as_mut().filter(|line| line.connection == connection) {
            Some(line) => blank(&self.auths, line, &mut bytes),
            None => bytes.fill(0),
        }
        bytes.freeze()
    }
}

/// Where a secret is in a frame, counted from its length prefix, and the last of the bytes that stand for it.
struct Secret {
    range: Range<usize>,
    last: u8,
}

impl Secret {
    fn zeros(range: Option<Range<usize>>) -> Option<Self> {
        range.map(|range| Self { range, last: 0 })
    }
}

/// A stream, frame by frame.
struct Frames {
    /// The beginning of the frame under way.
    head: Vec<u8>,
    /// How many bytes of it are here.
    seen: usize,
    is_first: bool,
}

impl Frames {
    fn new() -> Self {
        Self { head: Vec::new(), seen: 0, is_first: true }
    }

    /// Blanks what is secret in the bytes that come next.
    fn each(&mut self, bytes: &mut [u8], mut find: impl FnMut(&[u8], bool) -> Option<Secret>) {
        let mut rest = bytes;
        while let Some(end) = self.end() {
            let begin = self.seen;
            let Some((part, behind)) = rest.split_at_mut_checked((end - begin).min(rest.len())) else {
                return;
            };
            let kept = part.len().min(MOST_KEPT.saturating_sub(self.head.len()));
            self.head.extend_from_slice(&part[..kept]);
            self.seen += part.len();
            if self.seen >= PREFIX
                && let Some(secret) = find(&self.head, self.is_first)
            {
                for (at, byte) in (begin..).zip(part.iter_mut()) {
                    if secret.range.contains(&at) {
                        *byte = if at + 1 == secret.range.end { secret.last } else { 0 };
                    }
                }
            } else if self.seen > MOST_KEPT {
                // Too much to tell what it is.
                part[kept..].fill(0);
            }
            if self.end() == Some(self.seen) {
                *self = Self { is_first: false, ..Self::new() };
            }
            if behind.is_empty() {
                return;
            }
            rest = behind;
        }
        // No frame has a negative length: what follows is nothing to anybody.
        rest.fill(0);
    }

    /// How long the frame under way is, or its prefix as long as that isn't known.
    fn end(&self) -> Option<usize> {
        match int_at(&self.head, 0) {
            None => Some(PREFIX),
            Some(len) => Some(PREFIX + usize::try_from(len).ok()?),
        }
    }
}

/// As many bytes as the secret has, as far as it is known.
fn stand_in(known: &[Bytes], secret: &[u8]) -> Bytes {
    let index = known.iter().filter(|other| other.len() == secret.len()).position(|other| *other == secret);
    let mut bytes = vec![0; secret.len()];
    if let Some(last) = bytes.last_mut() {
        *last = index.unwrap_or(0) as u8; // a session has at most 64
    }
    bytes.into()
}

fn int_at(frame: &[u8], at: usize) -> Option<i32> {
    frame.get(at..)?.first_chunk().map(|int| i32::from_be_bytes(*int))
}

/// Where the contents of a buffer or a ustring are.
fn buffer_at(frame: &[u8], at: usize) -> Option<Range<usize>> {
    let begin = at + PREFIX;
    Some(begin..begin + usize::try_from(int_at(frame, at)?).unwrap_or(0))
}

const PREFIX: usize = 4;
/// Behind protocol version, zxid, timeout and session id.
const CONNECT_REQUEST_PASSWORD: usize = 28;
/// Behind protocol version, timeout and session id of a ConnectResponse, or behind a reply's header.
const ANSWER: usize = 20;
/// So much of a frame is kept to look at.
const MOST_KEPT: usize = 64 << 10;
