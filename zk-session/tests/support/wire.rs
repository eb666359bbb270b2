//! One connection as the server sees it.

use std::collections::VecDeque;

use zk_session::zk_proto::{ConnectRequest, Frame, FrameDecoder, Jute as _, Reader, Request, RequestHeader};

/// A request as it came over the wire.
#[derive(Clone, Debug, PartialEq)]
pub struct Sent {
    pub xid: i32,
    pub request: Request,
    /// The frame's length, its prefix counted.
    pub len: usize,
}

pub struct Wire {
    pub connect: Option<ConnectRequest>,
    decoder: FrameDecoder,
    sent: Vec<Sent>,
    unanswered: VecDeque<i32>,
    /// Bytes of the outstanding chunk that the transport hasn't taken.
    outstanding: usize,
}

impl Default for Wire {
    fn default() -> Self {
        Self {
            connect: None,
            decoder: FrameDecoder::new(1 << 24),
            sent: Vec::new(),
            unanswered: VecDeque::new(),
            outstanding: 0,
        }
    }
}

impl Wire {
    /// Takes a chunk apart: whole frames, in order, the last one perhaps cut (INV-70).
    pub fn send(&mut self, bytes: &[u8]) {
        assert_eq!(self.outstanding, 0, "a chunk while another one is outstanding");
        assert!(!bytes.is_empty(), "an empty chunk");
        self.outstanding = bytes.len();
        self.decoder.push(bytes);
        while let Some(frame) = self.decoder.next().expect("whole frames") {
            let Frame::Whole(payload) = frame else { panic!("a frame of more than 16 MiB") };
            let mut reader = Reader::new(&payload);
            if self.connect.is_none() {
                // INV-18: the first frame is a ConnectRequest.
                self.connect = Some(ConnectRequest::decode(&mut reader).expect("a ConnectRequest"));
                continue;
            }
            let header = RequestHeader::decode(&mut reader).expect("a request header");
            let request = Request::decode(header.op, &mut reader).expect("a request");
            assert_eq!(reader.remaining(), 0, "bytes behind {request:?}");
            // INV-14: ordinary xids, but for pings and auth packets.
            match request {
                Request::Ping => assert_eq!(header.xid, -2),
                Request::Auth(_) => assert_eq!(header.xid, -4),
                _ => {
                    assert!((1..i32::MAX).contains(&header.xid), "xid {}", header.xid);
                    assert!(!self.unanswered.contains(&header.xid), "xid {} twice in flight", header.xid);
                    self.unanswered.push_back(header.xid);
                }
            }
            self.sent.push(Sent { xid: header.xid, request, len: payload.len() + 4 });
        }
    }

    pub fn take(&mut self, count: usize) {
        self.outstanding = self.outstanding.saturating_sub(count);
    }

    pub fn outstanding(&self) -> usize {
        self.outstanding
    }

    pub fn take_sent(&mut self) -> Vec<Sent> {
        core::mem::take(&mut self.sent)
    }

    pub fn oldest_unanswered(&self) -> Option<i32> {
        self.unanswered.front().copied()
    }

    pub fn answered(&mut self, xid: i32) {
        self.unanswered.retain(|unanswered| *unanswered != xid);
    }
}
