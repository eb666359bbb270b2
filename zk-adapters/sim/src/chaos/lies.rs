//! What no server says.

use zk_session::zk_proto::{
    Bytes, BytesMut, ConnectResponse, ErrorCode, EventType, KeeperState, MultiResponse, ReplyHeader, Request,
    Response, SessionId, Ustring, WatcherEvent, Zxid, encode_event_frame, encode_reply_frame,
};

use crate::{books::EARLY, chaos::Chaos, input::Input, world::ClientId};

impl Chaos {
    /// The server says something that it has no reason to say. Tells whether anybody heard it.
    pub(super) fn lie(&mut self, client: ClientId) -> bool {
        let Some(connection) = self.world.connection(client) else { return false };
        let mut out = BytesMut::new();
        if self.rng.bool() && (self.answer_falsely(client, &mut out) || self.refuse_early(client, &mut out)) {
            let _ = self.world.input(client, Input::Received(connection, out.freeze()));
            return true;
        }
        let rng = &mut self.rng;
        let books = self.world.books(client);
        let oldest = books.oldest_xid().filter(|_| rng.bool());
        let anywhere = ["/app/a", "/a", "/", "nowhere"].map(Ustring::from);
        let paths: Vec<_> = books.live_watches().map(|watch| watch.path).chain(anywhere).collect();
        let (xid, zxid) = (oldest.unwrap_or_else(|| rng.i32(-10..40)), Zxid(rng.i64(-2..200)));
        let known = self.world.session(client).credentials().map_or(SessionId(7), |known| known.session_id);
        match rng.u32(0..7) {
            0 => {
                let event = WatcherEvent {
                    event_type: EventType(rng.i32(-2..9)),
                    state: KeeperState::SYNC_CONNECTED,
                    path: rng.choice(&paths).expect("a choice").clone(),
                };
                encode_event_frame(zxid, &event, &mut out);
            }
            1 => {
                let err = ErrorCode(*rng.choice(&[-112, -115, -119, -6, -9_999]).expect("a choice"));
                encode_reply_frame(&ReplyHeader { xid, zxid, err }, None, &mut out);
            }
            2 => encode_reply_frame(&ReplyHeader { xid, zxid, err: ErrorCode::OK }, None, &mut out),
            3 => out.extend_from_slice(&[0xff, 0xff, 0xff, 0xff]),
            4 => {
                let time_out = *rng.choice(&[-1, 0, 0, 1, 2, 900, 40_000, i32::MAX]).expect("a choice");
                let session_id = SessionId(*rng.choice(&[0, 1, known.0, known.0]).expect("a choice"));
                let read_only = Some(rng.u32(0..4) == 0);
                let passwd = Some(Bytes::from_static(&[1; 16]));
                let response =
                    ConnectResponse { time_out, session_id, passwd, read_only, ..ConnectResponse::default() };
                response.encode_frame(&mut out);
            }
            _ => out.extend((0..rng.usize(1..60)).map(|_| rng.u8(..)).collect::<Vec<_>>()),
        }
        let _ = self.world.input(client, Input::Received(connection, out.freeze()));
        true
    }

    /// An answer to the oldest that waits for one, and none that it can have: batches of watches are never refused, and a
    /// multi has as many results as operations. Tells whether it is one of these.
    fn answer_falsely(&mut self, client: ClientId, out: &mut BytesMut) -> bool {
        let books = self.world.books(client);
        let Some(xid) = books.oldest_xid() else { return false };
        let (zxid, no_results) =
            (self.world.session(client).last_zxid(), MultiResponse { results: Vec::new() });
        let (err, body) = match books.oldest_request() {
            Some((_, Request::Multi(_))) => (ErrorCode::OK, Some(Response::Multi(no_results))),
            Some(_) => return false,
            None => (ErrorCode::MARSHALLING_ERROR, None),
        };
        encode_reply_frame(&ReplyHeader { xid, zxid, err }, body.as_ref(), out);
        true
    }

    /// One that waits behind others is refused ahead of its turn, as servers do that look at ACLs eagerly or insist on
    /// SASL. Tells whether it is one of these.
    fn refuse_early(&mut self, client: ClientId, out: &mut BytesMut) -> bool {
        let behind: Vec<i32> = self.world.books(client).waiting_xids().skip(1).collect();
        let Some(&xid) = self.rng.choice(&behind) else { return false };
        let err = *self.rng.choice(&EARLY).expect("a choice");
        encode_reply_frame(&ReplyHeader { xid, zxid: Zxid(0), err }, None, out);
        true
    }
}
