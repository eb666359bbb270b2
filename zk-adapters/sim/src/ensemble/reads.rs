//! What a server answers from its own tree: ZooKeeper's `FinalRequestProcessor`.

use zk_session::zk_proto::{
    AddWatchMode, AddWatchRequest, ClientInfo, ErrorCode, ErrorResponse, ExistsResponse, GetAclResponse,
    GetAllChildrenNumberResponse, GetChildren2Response, GetChildrenResponse, GetDataResponse,
    GetEphemeralsResponse, Id, Multi, MultiResponse, Op, OpResult, Perms, Request, Response, SessionId,
    SetSaslResponse, Stat, SyncResponse, Ustring, Vector, WhoAmIResponse,
};

use crate::ensemble::{
    access::{Identities, mask, not_null, user_name},
    options::Version,
    peer::PeerId,
    text,
    tree::{Tree, Znode},
    watches::{Modes, Table, Watches},
};

/// A client that reads from a server.
pub(crate) struct Reader<'a> {
    pub(crate) tree: &'a Tree,
    pub(crate) watches: &'a mut Watches,
    pub(crate) identities: &'a Identities,
    pub(crate) session: SessionId,
    pub(crate) peer: PeerId,
    pub(crate) version: Version,
}

/// A reply's body, or why there is none.
pub(crate) type Answer = Result<Response, Failure>;

/// Why a request failed, and what was there of its reply when it did: parts of a multi.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) code: ErrorCode,
    pub(crate) parts: Option<MultiResponse>,
}

impl From<ErrorCode> for Failure {
    fn from(code: ErrorCode) -> Self {
        Self { code, parts: None }
    }
}

impl Reader<'_> {
    pub(crate) fn answer(&mut self, request: &Request) -> Answer {
        match request {
            Request::Exists(read) => self.exists(&path_of(&read.path)?, read.watch),
            Request::GetData(read) => {
                let path = path_of(&read.path)?;
                let (data, stat) = self.read(&path, Perms::READ, |znode| znode.data.clone())?;
                self.watch(Table::Data, &path, read.watch);
                Ok(Response::GetData(GetDataResponse { data, stat }))
            }
            Request::GetChildren(read) => {
                let (children, _) = self.children(&read.path, read.watch)?;
                Ok(Response::GetChildren(GetChildrenResponse { children }))
            }
            Request::GetChildren2(read) => {
                let (children, stat) = self.children(&read.path, read.watch)?;
                Ok(Response::GetChildren2(GetChildren2Response { children, stat }))
            }
            Request::GetAcl(read) => self.acl(&path_of(&read.path)?),
            Request::GetAllChildrenNumber(read) => {
                let path = path_of(&read.path)?;
                self.read(&path, Perms::READ, |_| ())?;
                let total = self.tree.descendants(&path);
                let total_number = i32::try_from(total).unwrap_or(i32::MAX);
                Ok(Response::GetAllChildrenNumber(GetAllChildrenNumberResponse { total_number }))
            }
            Request::GetEphemerals(read) => Ok(self.ephemerals(&text::read(&read.prefix_path))),
            Request::MultiRead(multi) => self.multi(multi),
            Request::Sync(sync) => Ok(Response::Sync(SyncResponse { path: text::echo(&sync.path) })),
            Request::WhoAmI => Ok(self.who_am_i()),
            Request::AddWatch(add) => self.add_watch(add),
            Request::CheckWatches(check) => {
                let path = path_or_null(&check.path);
                let found = self.watches.contains(path.as_deref(), self.peer, check.watcher_type)?;
                answer_found(found)
            }
            Request::RemoveWatches(remove) => {
                let path = path_or_null(&remove.path);
                answer_found(self.watches.remove(path.as_deref(), self.peer, remove.watcher_type)?)
            }
            Request::Sasl(_) => Ok(Response::Sasl(SetSaslResponse { token: None })),
            _ => Ok(Response::Empty),
        }
    }

    fn exists(&mut self, path: &str, watch: bool) -> Answer {
        if path.contains('\0') {
            return Err(ErrorCode::BAD_ARGUMENTS.into());
        }
        let znode = self.tree.get(path);
        if let Some(znode) = znode.filter(|_| self.version.exists_needs_read()) {
            self.identities.check(Perms::READ, &znode.acl)?;
        }
        self.watch(Table::Data, path, watch);
        znode
            .map(|znode| Response::Exists(ExistsResponse { stat: znode.stat() }))
            .ok_or(ErrorCode::NO_NODE.into())
    }

    fn children(&mut self, path: &Ustring, watch: bool) -> Result<(Vector<Ustring>, Stat), ErrorCode> {
        let path = path_of(path)?;
        let read = self.read(&path, Perms::READ, |znode| Vector::from_strs(&znode.children))?;
        self.watch(Table::Child, &path, watch);
        Ok(read)
    }

    fn acl(&self, path: &str) -> Answer {
        let (acl, stat) = self.read(path, Perms::READ | Perms::ADMIN, |znode| znode.acl.clone())?;
        let shown = if self.identities.may(Perms::ADMIN, &acl) { acl } else { mask(&acl) };
        Ok(Response::GetAcl(GetAclResponse { acl: shown.into(), stat }))
    }

    fn ephemerals(&self, prefix: &str) -> Response {
        let all = ["", "/"].contains(&prefix.trim());
        let paths = self.tree.ephemerals(self.session).filter(|path| all || path.starts_with(prefix));
        Response::GetEphemerals(GetEphemeralsResponse { ephemerals: Vector::from_strs(paths) })
    }

    fn multi(&self, multi: &Multi) -> Answer {
        let reads = multi.ops.iter().filter(|op| matches!(op, Op::GetData(_) | Op::GetChildren(_)));
        if ![0, multi.ops.len()].contains(&reads.count()) {
            return Err(ErrorCode::MARSHALLING_ERROR.into());
        }
        let mut results = Vec::with_capacity(multi.ops.len());
        for op in &multi.ops {
            match self.part(op) {
                Err(code @ ErrorCode::MARSHALLING_ERROR) => {
                    return Err(Failure { code, parts: Some(MultiResponse { results }) });
                }
                result => results.push(result.unwrap_or_else(OpResult::Error)),
            }
        }
        Ok(Response::MultiRead(MultiResponse { results }))
    }

    fn part(&self, op: &Op) -> Result<OpResult, ErrorCode> {
        match op {
            Op::GetData(read) => {
                let read = self.read(&path_of(&read.path)?, Perms::READ, |znode| znode.data.clone());
                read.map(|(data, stat)| OpResult::GetData(GetDataResponse { data, stat }))
            }
            Op::GetChildren(read) => {
                let children = |znode: &Znode| Vector::from_strs(&znode.children);
                let read = self.read(&path_of(&read.path)?, Perms::READ, children);
                read.map(|(children, _)| OpResult::GetChildren(GetChildrenResponse { children }))
            }
            _ => Err(ErrorCode::MARSHALLING_ERROR),
        }
    }

    fn who_am_i(&self) -> Response {
        let info = |id: &Id| ClientInfo { auth_scheme: id.scheme.clone(), user: text::write(&user_name(id)) };
        Response::WhoAmI(WhoAmIResponse { client_info: self.identities.iter().map(info).collect() })
    }

    fn add_watch(&mut self, add: &AddWatchRequest) -> Answer {
        let mode = match add.mode {
            AddWatchMode::PERSISTENT => Modes::PERSISTENT,
            AddWatchMode::PERSISTENT_RECURSIVE => Modes::RECURSIVE,
            _ => return Err(ErrorCode::MARSHALLING_ERROR.into()),
        };
        self.watches.persist(&path_of(&add.path)?, self.peer, mode);
        Ok(Response::AddWatch(ErrorResponse { err: ErrorCode::OK }))
    }

    /// What the ACL lets it read of a znode.
    fn read<T>(&self, path: &str, perms: Perms, what: impl Fn(&Znode) -> T) -> Result<(T, Stat), ErrorCode> {
        let znode = self.tree.get(path).ok_or(ErrorCode::NO_NODE)?;
        self.identities.check(perms, &znode.acl)?;
        Ok((what(znode), znode.stat()))
    }

    fn watch(&mut self, table: Table, path: &str, asked: bool) {
        if asked {
            self.watches.watch(table, path, self.peer);
        }
    }
}

fn path_of(path: &Ustring) -> Result<String, ErrorCode> {
    not_null(path)?;
    Ok(text::read(path).into_owned())
}

fn path_or_null(path: &Ustring) -> Option<String> {
    path_of(path).ok()
}

fn answer_found(found: bool) -> Answer {
    if found { Ok(Response::Empty) } else { Err(ErrorCode::NO_WATCHER.into()) }
}
