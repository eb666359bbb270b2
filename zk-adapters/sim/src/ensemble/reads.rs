//! What a server answers from its own tree: ZooKeeper's `FinalRequestProcessor`.

use zk_session::zk_proto::{
    AddWatchMode, AddWatchRequest, ClientInfo, ErrorCode, ErrorResponse, ExistsResponse, GetAclResponse,
    GetAllChildrenNumberResponse, GetChildren2Response, GetChildrenResponse, GetDataResponse,
    GetEphemeralsResponse, Id, Multi, MultiResponse, Op, OpResult, Perms, Request, Response, SessionId,
    SetSaslResponse, Stat, SyncResponse, Ustring, Vector, WhoAmIResponse,
};

use crate::ensemble::{
    access::{Identities, mask, user_name},
    options::Version,
    peer::PeerId,
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

type Answer = Result<Response, ErrorCode>;

impl Reader<'_> {
    pub(crate) fn answer(&mut self, request: &Request) -> Answer {
        match request {
            Request::Exists(read) => self.exists(&text(&read.path)?, read.watch),
            Request::GetData(read) => {
                let path = text(&read.path)?;
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
            Request::GetAcl(read) => self.acl(&text(&read.path)?),
            Request::GetAllChildrenNumber(read) => {
                let path = text(&read.path)?;
                self.read(&path, Perms::READ, |_| ())?;
                let total = self.tree.descendants(&path);
                let total_number = i32::try_from(total).unwrap_or(i32::MAX);
                Ok(Response::GetAllChildrenNumber(GetAllChildrenNumberResponse { total_number }))
            }
            Request::GetEphemerals(read) => Ok(self.ephemerals(&read.prefix_path.to_str())),
            Request::MultiRead(multi) => self.multi(multi),
            Request::Sync(sync) => Ok(Response::Sync(SyncResponse { path: sync.path.clone() })),
            Request::WhoAmI => Ok(self.who_am_i()),
            Request::AddWatch(add) => self.add_watch(add),
            Request::CheckWatches(check) => {
                self.found(self.watches.contains(&check.path.to_str(), self.peer, check.watcher_type))
            }
            Request::RemoveWatches(remove) => {
                let found = self.watches.remove(&remove.path.to_str(), self.peer, remove.watcher_type);
                self.found(found)
            }
            Request::Sasl(_) => Ok(Response::Sasl(SetSaslResponse { token: None })),
            _ => Ok(Response::Empty),
        }
    }

    fn exists(&mut self, path: &str, watch: bool) -> Answer {
        if path.contains('\0') {
            return Err(ErrorCode::BAD_ARGUMENTS);
        }
        let znode = self.tree.get(path);
        if let Some(znode) = znode.filter(|_| self.version.exists_needs_read()) {
            self.identities.check(Perms::READ, &znode.acl)?;
        }
        self.watch(Table::Data, path, watch);
        znode.map(|znode| Response::Exists(ExistsResponse { stat: znode.stat() })).ok_or(ErrorCode::NO_NODE)
    }

    fn children(&mut self, path: &Ustring, watch: bool) -> Result<(Vector<Ustring>, Stat), ErrorCode> {
        let path = text(path)?;
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
        let mut results = Vec::with_capacity(multi.ops.len());
        for op in &multi.ops {
            let result = match op {
                Op::GetData(read) => {
                    let read = self.read(&text(&read.path)?, Perms::READ, |znode| znode.data.clone());
                    read.map(|(data, stat)| OpResult::GetData(GetDataResponse { data, stat }))
                }
                Op::GetChildren(read) => {
                    let children = |znode: &Znode| Vector::from_strs(&znode.children);
                    let read = self.read(&text(&read.path)?, Perms::READ, children);
                    read.map(|(children, _)| OpResult::GetChildren(GetChildrenResponse { children }))
                }
                _ => return Err(ErrorCode::MARSHALLING_ERROR),
            };
            results.push(result.unwrap_or_else(OpResult::Error));
        }
        Ok(Response::MultiRead(MultiResponse { results }))
    }

    fn who_am_i(&self) -> Response {
        let info = |id: &Id| ClientInfo { auth_scheme: id.scheme.clone(), user: user_name(id).into() };
        Response::WhoAmI(WhoAmIResponse { client_info: self.identities.iter().map(info).collect() })
    }

    fn add_watch(&mut self, add: &AddWatchRequest) -> Answer {
        let mode = match add.mode {
            AddWatchMode::PERSISTENT => Modes::PERSISTENT,
            AddWatchMode::PERSISTENT_RECURSIVE => Modes::RECURSIVE,
            _ => return Err(ErrorCode::MARSHALLING_ERROR),
        };
        self.watches.persist(&text(&add.path)?, self.peer, mode);
        Ok(Response::AddWatch(ErrorResponse { err: ErrorCode::OK }))
    }

    fn found(&self, found: Option<bool>) -> Answer {
        match found {
            Some(true) => Ok(Response::Empty),
            Some(false) => Err(ErrorCode::NO_WATCHER),
            None => Err(ErrorCode::MARSHALLING_ERROR),
        }
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

fn text(path: &Ustring) -> Result<String, ErrorCode> {
    if path.is_null() { Err(ErrorCode::MARSHALLING_ERROR) } else { Ok(path.to_str().into_owned()) }
}
