//! What a connection's server says.

use core::time::Duration;

use zk_session::{
    Instant,
    zk_proto::{
        ConnectResponse, ErrorCode, Frame, Jute as _, Reader, ReplyHeader, SessionId, WatcherEvent, Zxid,
    },
};

use super::{
    Line,
    handshake::{granted, verdict},
    outcomes::EARLY,
};

/// A server has answered something.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heard {
    /// When that was handed out.
    pub(super) sent_at: Instant,
    pub(super) timeout: Duration,
    /// The session was accepted.
    pub(super) is_new: bool,
}

impl Line {
    /// Takes bytes from the server; tells what they answer. What must end the connection is noted, and nothing behind
    /// it is read.
    pub(super) fn hear(&mut self, bytes: &[u8], takes_read_only: bool, highest: &mut Zxid) -> Vec<Heard> {
        let mut heard = Vec::new();
        self.reader.push(bytes);
        self.chunk.clear();
        while self.misfit.is_none() {
            let result = match self.reader.next() {
                Ok(Some(frame)) if self.response.is_none() => self.hear_response(&frame, takes_read_only),
                Ok(Some(frame)) => self.hear_reply(&frame, highest),
                Ok(None) => break,
                Err(_) => Err("INV-65: a frame of bad length"),
            };
            match result {
                Ok(answered) => heard.extend(answered.filter(|_| self.keeps_alive())),
                Err(misfit) => self.misfit = Some(misfit),
            }
        }
        heard
    }

    fn hear_response(&mut self, frame: &Frame, takes_read_only: bool) -> Result<Option<Heard>, &'static str> {
        let Frame::Whole(payload) = frame else { return Err("INV-69: an oversize ConnectResponse") };
        let response = ConnectResponse::decode(&mut Reader::new(payload));
        let Ok(response) = response else { return Err("INV-69: no ConnectResponse") };
        let is_accepted = response.time_out > 0
            && response.session_id != SessionId(0)
            && verdict(self.asked, &response).is_none()
            && (takes_read_only || response.read_only != Some(true));
        let heard = Heard { sent_at: self.asked_at, timeout: granted(&response), is_new: true };
        self.response = Some(response);
        if is_accepted { Ok(Some(heard)) } else { Err("INV-22, INV-26: a refusal") }
    }

    fn hear_reply(&mut self, frame: &Frame, highest: &mut Zxid) -> Result<Option<Heard>, &'static str> {
        let (Frame::Whole(payload) | Frame::Oversize { header: payload, .. }) = frame;
        let mut reader = Reader::new(payload);
        let header = ReplyHeader::decode(&mut reader).map_err(|_| "INV-67: a frame shorter than a header")?;
        if header.xid < 0 && matches!(frame, Frame::Oversize { .. }) {
            return Err("INV-66: an oversize frame that answers nothing");
        }
        let sent_at = match header.xid {
            ReplyHeader::EVENT_XID => {
                let event = WatcherEvent::decode(&mut reader);
                let event = event.map_err(|_| "INV-69: an event that can't be decoded")?;
                self.chunk.events.push(event.path);
                None
            }
            ReplyHeader::PING_XID => self.pings.pop_front(),
            ReplyHeader::AUTH_XID => {
                let sent_at = self.auths_waiting.pop_front();
                self.has_refused_auth |= sent_at.is_some() && header.err == ErrorCode::AUTH_FAILED;
                sent_at
            }
            _ => Some(self.answered(header).ok_or("INV-09, INV-16: a reply that fits nothing")?),
        };
        if header.xid > 0 {
            *highest = (*highest).max(header.zxid);
            self.headers.entry(header.xid).or_insert(header);
            self.chunk.answered.push(header.xid);
        }
        let timeout = self.response.as_ref().map_or(Duration::ZERO, granted);
        Ok(sent_at.map(|sent_at| Heard { sent_at, timeout, is_new: false }))
    }

    /// When what this answers was handed out; none if it is out of its turn.
    fn answered(&mut self, header: ReplyHeader) -> Option<Instant> {
        let place = self.waiting.iter().position(|(xid, _)| *xid == header.xid)?;
        if place > 0 {
            if !EARLY.contains(&header.err) {
                return None;
            }
            self.chunk.overtaking.push(header.err);
        }
        self.waiting.remove(place).map(|(_, sent_at)| sent_at)
    }

    /// A read-only server keeps no session alive.
    fn keeps_alive(&self) -> bool {
        self.response.as_ref().is_some_and(|response| response.read_only != Some(true))
    }
}
