//! What may be submitted: a request that a server would hang up on, or that belongs to the session itself,
//! is refused before it is queued.

use zk_proto::{
    CreateMode, CreateRequest, CreateTtlRequest, ErrorCode, ExistsRequest, GetChildren2Request,
    GetChildrenRequest, GetDataRequest, Op, OpCode, Request, Ustring, is_ordinary_path, validate_create_path,
    validate_path,
};

use crate::{SubmitError, watch::WatchKind};

/// What the session has to know of a request that may be submitted.
pub(crate) struct Admissible {
    pub(crate) op: OpCode,
    pub(crate) asks_for_watch: bool,
    /// It creates a single ephemeral znode.
    pub(crate) creates_ephemeral: bool,
    /// How many results the reply must have: one for each operation of a multi or multiRead; otherwise 0.
    pub(crate) ops: u32,
}

impl Admissible {
    const fn plain(op: OpCode) -> Self {
        Self { op, asks_for_watch: false, creates_ephemeral: false, ops: 0 }
    }
}

/// Checks a request's paths and the fields that its operation fixes.
#[inline(always)]
pub(crate) fn check(request: &Request) -> Result<Admissible, SubmitError> {
    let (op, path, asks_for_watch) = match request {
        Request::Exists(request) => (OpCode::EXISTS, &request.path, request.watch),
        Request::GetData(request) => (OpCode::GET_DATA, &request.path, request.watch),
        Request::GetChildren(request) => (OpCode::GET_CHILDREN, &request.path, request.watch),
        Request::GetChildren2(request) => (OpCode::GET_CHILDREN2, &request.path, request.watch),
        Request::AddWatch(request) => (OpCode::ADD_WATCH, &request.path, true),
        Request::Delete(request) => (OpCode::DELETE, &request.path, false),
        Request::SetData(request) => (OpCode::SET_DATA, &request.path, false),
        Request::GetAcl(request) => (OpCode::GET_ACL, &request.path, false),
        Request::SetAcl(request) => (OpCode::SET_ACL, &request.path, false),
        Request::Sync(request) => (OpCode::SYNC, &request.path, false),
        Request::CheckWatches(request) => (OpCode::CHECK_WATCHES, &request.path, false),
        Request::RemoveWatches(request) => (OpCode::REMOVE_WATCHES, &request.path, false),
        Request::GetAllChildrenNumber(request) => (OpCode::GET_ALL_CHILDREN_NUMBER, &request.path, false),
        Request::Create(_)
        | Request::Create2(_)
        | Request::CreateContainer(_)
        | Request::CreateTtl(_)
        | Request::Multi(_)
        | Request::MultiRead(_)
        | Request::GetEphemerals(_)
        | Request::Reconfig(_)
        | Request::WhoAmI
        | Request::DeleteContainer(_)
        | Request::Check(_)
        | Request::Ping
        | Request::Auth(_)
        | Request::Sasl(_)
        | Request::SetWatches(_)
        | Request::SetWatches2(_)
        | Request::CloseSession => return check_special(request),
    };
    check_path(path)?;
    Ok(Admissible { op, asks_for_watch, creates_ephemeral: false, ops: 0 })
}

/// The same for what has more than a path, or isn't a client's to submit.
fn check_special(request: &Request) -> Result<Admissible, SubmitError> {
    let mut admissible = Admissible::plain(request.op_code());
    match request {
        Request::Create(create) | Request::Create2(create) => {
            check_create(create, 0..=3)?;
            admissible.creates_ephemeral = matches!(create.flags, 1 | 3);
        }
        Request::CreateContainer(create) => check_create(create, 4..=4)?,
        Request::CreateTtl(create) => check_create_ttl(create)?,
        Request::Multi(multi) => {
            multi.ops.iter().try_for_each(check_op)?;
            admissible.ops = u32::try_from(multi.ops.len()).unwrap_or(u32::MAX);
        }
        Request::MultiRead(multi) => {
            multi.ops.iter().try_for_each(check_read_op)?;
            admissible.ops = u32::try_from(multi.ops.len()).unwrap_or(u32::MAX);
        }
        Request::GetEphemerals(get) if !get.prefix_path.is_empty() => check_path(&get.prefix_path)?,
        Request::GetEphemerals(_) | Request::Reconfig(_) | Request::WhoAmI => {}
        Request::DeleteContainer(_) => {
            return Err(invalid("request: deleteContainer is for servers among themselves"));
        }
        Request::Check(_) => return Err(invalid("request: check is allowed only inside a multi")),
        Request::Exists(_)
        | Request::GetData(_)
        | Request::GetChildren(_)
        | Request::GetChildren2(_)
        | Request::AddWatch(_)
        | Request::Delete(_)
        | Request::SetData(_)
        | Request::GetAcl(_)
        | Request::SetAcl(_)
        | Request::Sync(_)
        | Request::CheckWatches(_)
        | Request::RemoveWatches(_)
        | Request::GetAllChildrenNumber(_)
        | Request::Ping
        | Request::Auth(_)
        | Request::Sasl(_)
        | Request::SetWatches(_)
        | Request::SetWatches2(_)
        | Request::CloseSession => {
            return Err(invalid("request: only the session itself sends this operation"));
        }
    }
    Ok(admissible)
}

fn check_op(op: &Op) -> Result<(), SubmitError> {
    match op {
        Op::Create(create) | Op::Create2(create) => check_create(create, 0..=3),
        Op::CreateContainer(create) => check_create(create, 4..=4),
        Op::CreateTtl(create) => check_create_ttl(create),
        Op::Delete(delete) => check_path(&delete.path),
        Op::SetData(set) => check_path(&set.path),
        Op::Check(check) => check_path(&check.path),
        Op::GetData(_) | Op::GetChildren(_) => Err(invalid("ops: a multi can't read; a multiRead can")),
    }
}

fn check_read_op(op: &Op) -> Result<(), SubmitError> {
    match op {
        Op::GetData(get) if get.watch => Err(invalid("ops: a multiRead can't set watches")),
        Op::GetChildren(get) if get.watch => Err(invalid("ops: a multiRead can't set watches")),
        Op::GetData(get) => check_path(&get.path),
        Op::GetChildren(get) => check_path(&get.path),
        Op::Create(_)
        | Op::Create2(_)
        | Op::CreateContainer(_)
        | Op::CreateTtl(_)
        | Op::Delete(_)
        | Op::SetData(_)
        | Op::Check(_) => Err(invalid("ops: a multiRead only reads data and children")),
    }
}

fn check_create(create: &CreateRequest, flags: core::ops::RangeInclusive<i32>) -> Result<(), SubmitError> {
    if !flags.contains(&create.flags) {
        return Err(invalid("flags: not a create mode of this operation"));
    }
    check_create_path(&create.path, matches!(create.flags, 2 | 3))
}

fn check_create_ttl(create: &CreateTtlRequest) -> Result<(), SubmitError> {
    let mode = match create.flags {
        5 => CreateMode::PersistentWithTtl(create.ttl),
        6 => CreateMode::PersistentSequentialWithTtl(create.ttl),
        _ => return Err(invalid("flags: not a create mode of this operation")),
    };
    mode.validate().map_err(|_| invalid("ttl: not within 1 to 1,099,511,627,775 ms"))?;
    check_create_path(&create.path, mode.is_sequential())
}

#[inline]
fn check_path(path: &Ustring) -> Result<(), SubmitError> {
    if is_ordinary_path(path.as_bytes()) { Ok(()) } else { check_odd_path(path) }
}

fn check_odd_path(path: &Ustring) -> Result<(), SubmitError> {
    Ok(validate_path(text(path)?)?)
}

fn check_create_path(path: &Ustring, sequential: bool) -> Result<(), SubmitError> {
    if is_ordinary_path(path.as_bytes()) {
        Ok(())
    } else {
        Ok(validate_create_path(text(path)?, sequential)?)
    }
}

fn text(path: &Ustring) -> Result<&str, SubmitError> {
    path.as_str().ok_or(invalid("path: null, or not UTF-8"))
}

const fn invalid(what: &'static str) -> SubmitError {
    SubmitError::InvalidArgument { what }
}

/// Whether the request asks for a watch.
pub(crate) fn asks_for_watch(request: &Request) -> bool {
    matches!(
        request,
        Request::Exists(ExistsRequest { watch: true, .. })
            | Request::GetData(GetDataRequest { watch: true, .. })
            | Request::GetChildren(GetChildrenRequest { watch: true, .. })
            | Request::GetChildren2(GetChildren2Request { watch: true, .. })
            | Request::AddWatch(_)
    )
}

/// The watch that the server has left for a request that asked for one, by its answer.
pub(crate) fn watch_left(request: &Request, err: ErrorCode) -> Option<(Ustring, WatchKind)> {
    let kind = match (request, err) {
        (Request::Exists(_), ErrorCode::NO_NODE) => WatchKind::Exist,
        (Request::GetData(_), ErrorCode::NO_NODE) if planted!(RefusedReadsLeaveWatches) => WatchKind::Data,
        (Request::Exists(_) | Request::GetData(_), ErrorCode::OK) => WatchKind::Data,
        (Request::GetChildren(_) | Request::GetChildren2(_), ErrorCode::OK) => WatchKind::Child,
        (Request::AddWatch(add), ErrorCode::OK) if add.mode == zk_proto::AddWatchMode::PERSISTENT => {
            WatchKind::Persistent
        }
        (Request::AddWatch(_), ErrorCode::OK) => WatchKind::PersistentRecursive,
        _ => return None,
    };
    Some((request.path()?.clone(), kind))
}

/// The same request, asking for no watch.
pub(crate) fn without_watch(request: &Request) -> Request {
    let mut request = request.clone();
    if let Request::Exists(ExistsRequest { watch, .. })
    | Request::GetData(GetDataRequest { watch, .. })
    | Request::GetChildren(GetChildrenRequest { watch, .. })
    | Request::GetChildren2(GetChildren2Request { watch, .. }) = &mut request
    {
        *watch = false;
    }
    request
}

/// Whether sending the request twice changes nothing.
pub(crate) fn only_reads(op: OpCode) -> bool {
    const READS: [OpCode; 11] = [
        OpCode::EXISTS,
        OpCode::GET_DATA,
        OpCode::GET_ACL,
        OpCode::GET_CHILDREN,
        OpCode::GET_CHILDREN2,
        OpCode::SYNC,
        OpCode::MULTI_READ,
        OpCode::GET_EPHEMERALS,
        OpCode::GET_ALL_CHILDREN_NUMBER,
        OpCode::WHO_AM_I,
        OpCode::ADD_WATCH,
    ];
    READS.contains(&op)
}
