//! What real clients and servers said to each other, said again to a session: the application asks for the same, the
//! server answers with the same bytes, under the xids that this session gives.

use core::time::Duration;
use std::{collections::BTreeMap, fs::File, io::Read as _, path::Path};

use flate2::read::GzDecoder;
use serde_json::Value as Json;
use zk_session::{
    AuthInfo, Config, Credentials, RequestOptions,
    zk_proto::{
        Bytes, BytesMut, ConnectRequest, ConnectResponse, Jute as _, Reader, Request, RequestHeader,
        SessionId,
    },
};
use zk_sim::Input;

use crate::world::World;

/// One captured connection.
pub(crate) struct Capture {
    pub(crate) name: String,
    frames: Vec<Frame>,
}

struct Frame {
    kind: String,
    bytes: Bytes,
}

impl Frame {
    fn payload(&self) -> Bytes {
        self.bytes.slice(4..)
    }
}

/// All captured connections on which a server answered to a ConnectRequest.
pub(crate) fn captures() -> Vec<Capture> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../zk-proto/tests/vectors");
    let mut captures: Vec<Capture> = Vec::new();
    for version in ["3.4.14", "3.6.3", "3.8.0", "3.9.5"] {
        let file = File::open(folder.join(format!("{version}.jsonl.gz"))).expect("a file of captures");
        let mut text = String::new();
        GzDecoder::new(file).read_to_string(&mut text).expect("gzip of text");
        for line in text.lines() {
            let line: Json = serde_json::from_str(line).expect("JSON");
            let field = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
            let (name, frame) =
                (field("conn"), Frame { kind: field("kind"), bytes: from_hex(&field("hex")) });
            match captures.last_mut().filter(|capture| capture.name == name) {
                Some(capture) => capture.frames.push(frame),
                None => captures.push(Capture { name, frames: vec![frame] }),
            }
        }
    }
    captures.retain(|capture| capture.connect().is_some());
    captures
}

impl Capture {
    /// What was asked for, and the answer.
    fn connect(&self) -> Option<(ConnectRequest, ConnectResponse)> {
        let find = |kind| self.frames.iter().find(|frame| frame.kind == kind);
        let request = ConnectRequest::decode(&mut Reader::new(&find("ConnectRequest")?.payload())).ok()?;
        let response = ConnectResponse::decode(&mut Reader::new(&find("ConnectResponse")?.payload())).ok()?;
        Some((request, response))
    }

    /// The session after the conversation, with all that was done.
    pub(crate) fn performed(&self) -> World {
        let (request, response) = self.connect().expect("a handshake");
        let mut world = World::new(config(&request));
        world.server.answers_pings = false;
        world.server.answers_session = false;
        // For what comes after the conversation.
        world.server.zxid = 1 << 50;
        world.server.time_out = response.time_out.max(1);
        if response.session_id != SessionId(0) {
            world.server.session_id = response.session_id.0;
            let password = response.passwd.map(|password| Bytes::copy_from_slice(&password));
            world.server.password = password.unwrap_or_default();
        }
        world.connect();
        let mut xids = BTreeMap::new();
        for frame in &self.frames {
            if world.state().is_terminal() {
                break;
            }
            match &*frame.kind {
                "Request" => ask(&mut world, &frame.payload(), &mut xids),
                "Response" => answer(&mut world, &frame.bytes, &mut xids),
                "ConnectResponse" | "ConnectRefusal" | "Event" => say(&mut world, &frame.bytes),
                _ => {}
            }
        }
        world
    }
}

fn config(request: &ConnectRequest) -> Config {
    let mut config = Config::new("a:2181,b:2181,c:2181".parse().expect("a connect string"));
    config.session_timeout = Duration::from_millis(request.time_out.unsigned_abs().max(1).into());
    config.read_only = request.read_only == Some(true);
    config.resume = (request.session_id != SessionId(0)).then(|| Credentials {
        session_id: request.session_id,
        password: request.passwd.clone().unwrap_or_default(),
        last_zxid: request.last_zxid_seen,
    });
    config
}

/// The application asks for what the client asked for; what belongs to the session itself it can't ask for.
fn ask(world: &mut World, payload: &Bytes, xids: &mut BTreeMap<i32, i32>) {
    let mut reader = Reader::new(payload);
    let Ok(header) = RequestHeader::decode(&mut reader) else { return };
    let Ok(request) = Request::decode(header.op, &mut reader) else { return };
    let waiting = world.server.unanswered.len();
    let input = match request {
        Request::Auth(packet) => {
            let scheme = packet.scheme.as_str().unwrap_or_default().to_owned();
            Input::AddAuth(AuthInfo { scheme, auth: packet.auth.unwrap_or_default() })
        }
        Request::CloseSession => Input::Close,
        other => Input::Submit(Box::new(other), RequestOptions::default()),
    };
    let _ = world.input(input);
    if world.server.unanswered.len() > waiting
        && let Some((xid, _)) = world.server.unanswered.back()
    {
        xids.insert(header.xid, *xid);
    }
}

fn answer(world: &mut World, frame: &Bytes, xids: &mut BTreeMap<i32, i32>) {
    let Some(xid) = frame.get(4..8).and_then(|xid| xid.first_chunk()).map(|xid| i32::from_be_bytes(*xid))
    else {
        return say(world, frame);
    };
    if matches!(xid, -2 | -4) {
        return say(world, frame);
    }
    if let Some(own) = xids.remove(&xid) {
        world.server.unanswered.retain(|(waiting, _)| *waiting != own);
        let mut bytes = BytesMut::from(&frame[..]);
        bytes[4..8].copy_from_slice(&own.to_be_bytes());
        say(world, &bytes);
    }
}

fn say(world: &mut World, bytes: &[u8]) {
    if world.link.as_ref().is_some_and(|link| link.is_up) {
        world.server.out.extend_from_slice(bytes);
    }
    world.settle();
}

fn from_hex(text: &str) -> Bytes {
    let digits: Vec<_> = text.chars().map(|digit| digit.to_digit(16).expect("hex") as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}
