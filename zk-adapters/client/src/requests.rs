//! The requests that clients have methods for, each with how its answer is read.

use bytes::Bytes;
use zk_proto::{
    Acl, AddWatchMode, AddWatchRequest, CheckWatchesRequest, ClientInfo, Create2Response, CreateMode,
    CreateResponse, DeleteRequest, ErrorCode, ErrorResponse, ExistsRequest, GetAclRequest, GetAclResponse,
    GetAllChildrenNumberRequest, GetChildren2Request, GetChildren2Response, GetChildrenRequest,
    GetDataRequest, GetDataResponse, GetEphemeralsRequest, Multi, Op, OpResult, ReconfigRequest,
    RemoveWatchesRequest, Request, Response, SetAclRequest, SetDataRequest, Stat, SyncRequest, Ustring,
    Vector, WatcherType,
};

use crate::Error;

/// A request, and how its answer is read.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "there is nothing to add")]
pub struct Typed<T> {
    /// The request.
    pub request: Request,
    /// Turns its outcome into what the application asked for.
    pub read: Read<T>,
}

/// Turns the outcome of a request into what the application asked for.
pub type Read<T> = fn(Result<Response, Error>) -> Result<T, Error>;

/// A znode that was created.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Created {
    /// Its path, with the sequence number if it is sequential.
    pub path: Ustring,
    /// Its `Stat`; none if the server is older than 3.5, and doesn't tell it.
    pub stat: Option<Stat>,
}

/// Whether a read sets a watch, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "it does or it doesn't")]
pub enum Watching {
    /// It sets one.
    Yes,
    /// It only reads.
    No,
}

macro_rules! answer {
    ($outcome:expr, $kind:ident) => {
        match $outcome {
            Ok(Response::$kind(response)) => Ok(response),
            Ok(_) => unreachable!("the session decodes an answer by its request's opcode"),
            Err(error) => Err(error),
        }
    };
}

/// `create2`, or what the mode asks for.
pub fn create(
    path: impl Into<Ustring>,
    data: impl Into<Bytes>,
    mode: CreateMode,
    acl: Vector<Acl>,
) -> Typed<Created> {
    Typed::new(Request::create(path, Some(data.into()), acl, mode), read_created)
}

pub(crate) fn read_created(outcome: Result<Response, Error>) -> Result<Created, Error> {
    if let Ok(Response::Create(CreateResponse { path })) = outcome {
        return Ok(Created { path, stat: None });
    }
    let Create2Response { path, stat } = answer!(outcome, Create2)?;
    Ok(Created { path, stat: Some(stat) })
}

/// `delete`.
pub fn delete(path: impl Into<Ustring>, version: i32) -> Typed<()> {
    Typed::new(Request::Delete(DeleteRequest { path: path.into(), version }), |outcome| outcome.map(drop))
}

/// `exists`; a missing znode is an answer.
pub fn exists(path: impl Into<Ustring>, watching: Watching) -> Typed<Option<Stat>> {
    let request = ExistsRequest { path: path.into(), watch: watching == Watching::Yes };
    Typed::new(Request::Exists(request), |outcome| match outcome {
        Err(error) if error.code() == Some(ErrorCode::NO_NODE) => Ok(None),
        outcome => Ok(Some(answer!(outcome, Exists)?.stat)),
    })
}

/// `getData`.
pub fn get_data(path: impl Into<Ustring>, watching: Watching) -> Typed<GetDataResponse> {
    let request = GetDataRequest { path: path.into(), watch: watching == Watching::Yes };
    Typed::new(Request::GetData(request), |outcome| answer!(outcome, GetData))
}

/// `setData`.
pub fn set_data(path: impl Into<Ustring>, data: impl Into<Bytes>, version: i32) -> Typed<Stat> {
    let request = SetDataRequest { path: path.into(), data: Some(data.into()), version };
    Typed::new(Request::SetData(request), |outcome| Ok(answer!(outcome, SetData)?.stat))
}

/// `getChildren2`.
pub fn get_children(path: impl Into<Ustring>, watching: Watching) -> Typed<GetChildren2Response> {
    let request = GetChildren2Request { path: path.into(), watch: watching == Watching::Yes };
    Typed::new(Request::GetChildren2(request), |outcome| answer!(outcome, GetChildren2))
}

/// `getChildren`.
pub fn get_child_names(path: impl Into<Ustring>) -> Typed<Vector<Ustring>> {
    let request = GetChildrenRequest { path: path.into(), watch: false };
    Typed::new(Request::GetChildren(request), |outcome| Ok(answer!(outcome, GetChildren)?.children))
}

/// `sync`.
pub fn sync(path: impl Into<Ustring>) -> Typed<()> {
    Typed::new(Request::Sync(SyncRequest { path: path.into() }), |outcome| outcome.map(drop))
}

/// `multi`.
pub fn multi(ops: impl Into<Vec<Op>>) -> Typed<Vec<OpResult>> {
    Typed::new(Request::Multi(Multi { ops: ops.into() }), |outcome| Ok(answer!(outcome, Multi)?.results))
}

/// `multiRead`.
pub fn multi_read(ops: impl Into<Vec<Op>>) -> Typed<Vec<OpResult>> {
    let request = Request::MultiRead(Multi { ops: ops.into() });
    Typed::new(request, |outcome| Ok(answer!(outcome, MultiRead)?.results))
}

/// `getACL`.
pub fn get_acl(path: impl Into<Ustring>) -> Typed<GetAclResponse> {
    Typed::new(Request::GetAcl(GetAclRequest { path: path.into() }), |outcome| answer!(outcome, GetAcl))
}

/// `setACL`.
pub fn set_acl(path: impl Into<Ustring>, acl: Vector<Acl>, version: i32) -> Typed<Stat> {
    let request = Request::SetAcl(SetAclRequest { path: path.into(), acl, version });
    Typed::new(request, |outcome| Ok(answer!(outcome, SetAcl)?.stat))
}

/// `whoAmI`.
pub fn who_am_i() -> Typed<Vector<ClientInfo>> {
    Typed::new(Request::WhoAmI, |outcome| Ok(answer!(outcome, WhoAmI)?.client_info))
}

/// `getEphemerals`.
pub fn get_ephemerals(prefix: impl Into<Ustring>) -> Typed<Vector<Ustring>> {
    let request = Request::GetEphemerals(GetEphemeralsRequest { prefix_path: prefix.into() });
    Typed::new(request, |outcome| Ok(answer!(outcome, GetEphemerals)?.ephemerals))
}

/// `getAllChildrenNumber`.
pub fn get_all_children_number(path: impl Into<Ustring>) -> Typed<i32> {
    let request = Request::GetAllChildrenNumber(GetAllChildrenNumberRequest { path: path.into() });
    Typed::new(request, |outcome| Ok(answer!(outcome, GetAllChildrenNumber)?.total_number))
}

/// `addWatch`.
pub fn add_watch(path: impl Into<Ustring>, mode: AddWatchMode) -> Typed<ErrorResponse> {
    let request = Request::AddWatch(AddWatchRequest { path: path.into(), mode });
    Typed::new(request, |outcome| answer!(outcome, AddWatch))
}

/// `checkWatches`; that there is none is an answer.
pub fn check_watches(path: impl Into<Ustring>, watcher_type: WatcherType) -> Typed<bool> {
    Typed::new(Request::CheckWatches(CheckWatchesRequest { path: path.into(), watcher_type }), has_watcher)
}

/// `removeWatches`; that there is none is an answer.
pub fn remove_watches(path: impl Into<Ustring>, watcher_type: WatcherType) -> Typed<bool> {
    Typed::new(Request::RemoveWatches(RemoveWatchesRequest { path: path.into(), watcher_type }), has_watcher)
}

/// `getData` of the ensemble's configuration.
pub fn get_config() -> Typed<GetDataResponse> {
    get_data(Ustring::from_static(CONFIG), Watching::No)
}

/// `reconfig`, step by step; an empty text names no servers.
pub fn reconfig(joining: &str, leaving: &str, config_version: i64) -> Typed<GetDataResponse> {
    let text = |text: &str| if text.is_empty() { Ustring::NULL } else { text.into() };
    request_reconfig(text(joining), text(leaving), Ustring::NULL, config_version)
}

/// `reconfig`, to a list of members.
pub fn reconfig_to(members: &str, config_version: i64) -> Typed<GetDataResponse> {
    request_reconfig(Ustring::NULL, Ustring::NULL, members.into(), config_version)
}

/// Any request, its answer as it comes.
pub fn any(request: Request) -> Typed<Response> {
    Typed::new(request, |outcome| outcome)
}

impl<T> Typed<T> {
    fn new(request: Request, read: Read<T>) -> Self {
        Self { request, read }
    }
}

fn has_watcher(outcome: Result<Response, Error>) -> Result<bool, Error> {
    match outcome {
        Err(error) if error.code() == Some(ErrorCode::NO_WATCHER) => Ok(false),
        outcome => outcome.map(|_| true),
    }
}

fn request_reconfig(
    joining_servers: Ustring,
    leaving_servers: Ustring,
    new_members: Ustring,
    cur_config_id: i64,
) -> Typed<GetDataResponse> {
    let request = ReconfigRequest { joining_servers, leaving_servers, new_members, cur_config_id };
    Typed::new(Request::Reconfig(request), |outcome| answer!(outcome, Reconfig))
}

const CONFIG: &str = "/zookeeper/config";
