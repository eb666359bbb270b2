//! What came on two connections, decoded and compared.

use std::collections::BTreeMap;

use zk_proto::{
    ConnectResponse, ErrorCode, Jute, OpCode, OpResult, Reader, ReplyHeader, Response, Stat, Ustring, Vector,
    WatcherEvent, Zxid,
};

use crate::{mapping::Mapping, sides::Came};

/// What a client awaits: the operations by xid.
pub(crate) type Awaited = BTreeMap<i32, OpCode>;

/// Something that came over a connection, decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Message {
    Opened(ConnectResponse),
    Reply(ReplyHeader, Body),
    Event(ReplyHeader, WatcherEvent),
    Closed,
    Silence,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    Decoded(Response),
    /// As it came: of a refused request, or what can't be decoded.
    Raw(Vec<u8>),
}

impl Message {
    pub(crate) fn decode(came: &Came, awaited: &Awaited) -> Self {
        let payload = match came {
            Came::Frame(payload) => payload,
            Came::Closed => return Self::Closed,
            Came::Silence => return Self::Silence,
        };
        let mut input = Reader::new(payload);
        let header = ReplyHeader::decode(&mut input).expect("a server sends replies");
        if header.xid == ReplyHeader::EVENT_XID {
            return Self::Event(header, WatcherEvent::decode(&mut input).expect("an event"));
        }
        let raw = Body::Raw(input.rest().to_vec());
        let op = awaited.get(&header.xid).filter(|_| header.err == ErrorCode::OK || input.remaining() > 0);
        let decoded = op.and_then(|op| Response::decode(*op, &mut input).ok());
        let body = decoded.filter(|_| input.remaining() == 0).map_or(raw, Body::Decoded);
        Self::Reply(header, body)
    }

    /// The first message on a connection.
    pub(crate) fn decode_first(came: &Came) -> Self {
        match came {
            Came::Frame(payload) => {
                let response = ConnectResponse::decode(&mut Reader::new(payload));
                response.map_or_else(|_| Self::decode(came, &Awaited::new()), Self::Opened)
            }
            Came::Closed => Self::Closed,
            Came::Silence => Self::Silence,
        }
    }

    /// What has no order of its own is sorted.
    fn normalise(&mut self) {
        let Self::Reply(_, Body::Decoded(response)) = self else { return };
        match response {
            Response::GetChildren(response) => sort(&mut response.children),
            Response::GetChildren2(response) => sort(&mut response.children),
            Response::GetEphemerals(response) => sort(&mut response.ephemerals),
            Response::GetAcl(response) => {
                let mut acl = response.acl.to_vec();
                acl.sort_by_key(|entry| (entry.id.scheme.clone(), entry.id.id.clone(), entry.perms));
                response.acl = acl.into();
            }
            Response::WhoAmI(response) => {
                let mut info = response.client_info.to_vec();
                info.sort_by_key(|info| (info.auth_scheme.clone(), info.user.clone()));
                response.client_info = info.into();
            }
            Response::MultiRead(multi) => {
                for result in &mut multi.results {
                    if let OpResult::GetChildren(response) = result {
                        sort(&mut response.children);
                    }
                }
            }
            _ => {}
        }
    }

    fn stats(&mut self) -> Vec<&mut Stat> {
        let Self::Reply(_, Body::Decoded(response)) = self else { return Vec::new() };
        match response {
            Response::Create2(response) => vec![&mut response.stat],
            Response::Exists(response) => vec![&mut response.stat],
            Response::GetData(response) => vec![&mut response.stat],
            Response::SetData(response) => vec![&mut response.stat],
            Response::GetAcl(response) => vec![&mut response.stat],
            Response::SetAcl(response) => vec![&mut response.stat],
            Response::GetChildren2(response) => vec![&mut response.stat],
            Response::Multi(multi) | Response::MultiRead(multi) => {
                multi.results.iter_mut().filter_map(stat_of).collect()
            }
            _ => Vec::new(),
        }
    }
}

fn stat_of(result: &mut OpResult) -> Option<&mut Stat> {
    match result {
        OpResult::Create2(response) => Some(&mut response.stat),
        OpResult::SetData(response) => Some(&mut response.stat),
        OpResult::GetData(response) => Some(&mut response.stat),
        _ => None,
    }
}

fn sort(names: &mut Vector<Ustring>) {
    let mut sorted = names.to_vec();
    sorted.sort();
    *names = sorted.into();
}

/// Compares one message of each side.
pub(crate) fn compare(mapping: &mut Mapping, sim: &Message, real: &Message) -> Result<(), String> {
    let (mut sim, mut real) = (sim.clone(), real.clone());
    sim.normalise();
    real.normalise();
    let shown = format!("\n  simulated: {sim:?}\n  real:      {real:?}");
    compare_mapped(mapping, &mut sim, &mut real).map_err(|what| format!("{what}{shown}"))?;
    if sim == real { Ok(()) } else { Err(format!("they differ{shown}")) }
}

/// Compares what is mapped, and takes it out.
fn compare_mapped(mapping: &mut Mapping, sim: &mut Message, real: &mut Message) -> Result<(), String> {
    let (sim_stats, real_stats) = (sim.stats(), real.stats());
    if sim_stats.len() == real_stats.len() {
        for (sim, real) in sim_stats.into_iter().zip(real_stats) {
            mapping.stat(sim, real)?;
        }
    }
    match (sim, real) {
        (Message::Opened(sim), Message::Opened(real)) => {
            mapping.session(sim.session_id, real.session_id)?;
            let is_zero = |response: &ConnectResponse| {
                response.passwd.as_ref().is_some_and(|passwd| passwd.iter().all(|byte| *byte == 0))
            };
            if is_zero(sim) != is_zero(real) {
                return Err("the passwords differ".to_owned());
            }
            (sim.session_id, sim.passwd) = (real.session_id, real.passwd.clone());
            Ok(())
        }
        (Message::Reply(sim, _), Message::Reply(real, _))
        | (Message::Event(sim, _), Message::Event(real, _)) => {
            mapping.zxid("the header's zxid", sim.zxid, real.zxid)?;
            (sim.zxid, real.zxid) = (Zxid(0), Zxid(0));
            Ok(())
        }
        _ => Ok(()),
    }
}
