//! What the leader makes of a write: a transaction, or a refusal. ZooKeeper's `PrepRequestProcessor`, check for check.

use std::collections::BTreeMap;

use zk_session::zk_proto::{
    Acl, CreateMode, CreateRequest, CreateTtlRequest, ErrorCode, Multi, Op, OpCode, Perms, Request,
    SessionId, Ustring, validate_path,
};

use crate::ensemble::{
    access::Identities,
    tree::{Tree, Znode, split},
    txn::{Owner, Txn},
};

/// A request's way to its transaction: the tree, and what the request itself has changed so far.
pub(crate) struct Preparation<'a> {
    tree: &'a Tree,
    identities: &'a Identities,
    session: SessionId,
    extended_types: bool,
    changed: BTreeMap<String, Option<Record>>,
}

/// What later operations of the same multi see of a znode: ZooKeeper's `ChangeRecord`.
#[derive(Clone)]
struct Record {
    acl: Vec<Acl>,
    owner: Owner,
    children: usize,
    creates: i32,
    version: i32,
    aversion: i32,
}

impl From<&Znode> for Record {
    fn from(znode: &Znode) -> Self {
        Self {
            acl: znode.acl.clone(),
            owner: znode.owner,
            children: znode.children.len(),
            creates: znode.creates,
            version: znode.version,
            aversion: znode.aversion,
        }
    }
}

impl<'a> Preparation<'a> {
    pub(crate) fn new(
        tree: &'a Tree,
        identities: &'a Identities,
        session: SessionId,
        extended_types: bool,
    ) -> Self {
        Self { tree, identities, session, extended_types, changed: BTreeMap::new() }
    }

    /// The transaction that a write becomes; a refusal is one too.
    pub(crate) fn request(mut self, request: &Request) -> Txn {
        if let Request::Multi(multi) = request {
            return self.multi(multi);
        }
        self.single(request).unwrap_or_else(Txn::Error)
    }

    fn single(&mut self, request: &Request) -> Result<Txn, ErrorCode> {
        match request {
            Request::Create(create) | Request::Create2(create) => self.create(OpCode::CREATE, create, None),
            Request::CreateContainer(create) => self.create(OpCode::CREATE_CONTAINER, create, None),
            Request::CreateTtl(create) => self.create_ttl(create),
            Request::Delete(delete) => self.delete(&delete.path, delete.version),
            Request::SetData(set) => {
                let txn = self.set_data(&set.path, set.version)?;
                Ok(Txn::SetData { path: txn.0, data: set.data.clone(), version: txn.1 })
            }
            Request::SetAcl(set) => {
                let path = valid(&set.path)?;
                let acl = self.identities.fix(&set.acl)?;
                let record = self.record(&path)?;
                self.identities.check(Perms::ADMIN, &record.acl)?;
                let version = next_version(record.aversion, set.version)?;
                Ok(Txn::SetAcl { path, acl, version })
            }
            Request::Reconfig(_) => Err(ErrorCode::RECONFIG_DISABLED),
            _ => Err(ErrorCode::MARSHALLING_ERROR),
        }
    }

    fn multi(&mut self, multi: &Multi) -> Txn {
        let reads = |op: &Op| matches!(op, Op::GetData(_) | Op::GetChildren(_));
        if multi.ops.iter().any(reads) {
            return Txn::Error(ErrorCode::MARSHALLING_ERROR);
        }
        let mut txns = Vec::with_capacity(multi.ops.len());
        for op in &multi.ops {
            match self.op(op) {
                Ok(txn) => txns.push(txn),
                Err(code) => {
                    let mut codes = vec![ErrorCode::OK; txns.len()];
                    codes.push(code);
                    codes.resize(multi.ops.len(), ErrorCode::RUNTIME_INCONSISTENCY);
                    return Txn::FailedMulti(codes);
                }
            }
        }
        Txn::Multi(txns)
    }

    fn op(&mut self, op: &Op) -> Result<Txn, ErrorCode> {
        match op {
            Op::Create(create) | Op::Create2(create) => self.create(OpCode::CREATE, create, None),
            Op::CreateContainer(create) => self.create(OpCode::CREATE_CONTAINER, create, None),
            Op::CreateTtl(create) => self.create_ttl(create),
            Op::Delete(delete) => self.delete(&delete.path, delete.version),
            Op::SetData(set) => {
                let (path, version) = self.set_data(&set.path, set.version)?;
                Ok(Txn::SetData { path, data: set.data.clone(), version })
            }
            Op::Check(check) => {
                let path = valid(&check.path)?;
                let record = self.record(&path)?;
                self.identities.check(Perms::READ, &record.acl)?;
                next_version(record.version, check.version)?;
                Ok(Txn::Check { path })
            }
            Op::GetData(_) | Op::GetChildren(_) => Err(ErrorCode::MARSHALLING_ERROR),
        }
    }

    fn create_ttl(&mut self, create: &CreateTtlRequest) -> Result<Txn, ErrorCode> {
        let plain = CreateRequest {
            path: create.path.clone(),
            data: create.data.clone(),
            acl: create.acl.clone(),
            flags: create.flags,
        };
        self.create(OpCode::CREATE_TTL, &plain, Some(create.ttl))
    }

    fn create(&mut self, op: OpCode, create: &CreateRequest, ttl: Option<i64>) -> Result<Txn, ErrorCode> {
        let mode = self.mode(create.flags, ttl)?;
        let given = text(&create.path)?;
        let (parent_path, _) =
            split(&given).filter(|_| !given.contains('\0')).ok_or(ErrorCode::BAD_ARGUMENTS)?;
        let parent_path = parent_path.to_owned();
        let acl = self.identities.fix(&create.acl)?;
        let mut parent = self.record(&parent_path)?;
        self.identities.check(Perms::CREATE, &parent.acl)?;
        let path = if mode.is_sequential() { format!("{given}{:010}", parent.creates) } else { given };
        validate_path(&path).map_err(|_| ErrorCode::BAD_ARGUMENTS)?;
        if self.record(&path).is_ok() {
            return Err(ErrorCode::NODE_EXISTS);
        }
        if matches!(parent.owner, Owner::Session(_)) {
            return Err(ErrorCode::NO_CHILDREN_FOR_EPHEMERALS);
        }
        let owner = match op {
            OpCode::CREATE_CONTAINER => Owner::Container,
            OpCode::CREATE_TTL => Owner::Ttl(ttl.unwrap_or_default()),
            _ if mode.is_ephemeral() => Owner::Session(self.session),
            _ => Owner::Nobody,
        };
        parent.creates = parent.creates.wrapping_add(1);
        parent.children += 1;
        let parent_creates = parent.creates;
        self.changed.insert(parent_path, Some(parent));
        let record = Record { acl: acl.clone(), owner, children: 0, creates: 0, version: 0, aversion: 0 };
        self.changed.insert(path.clone(), Some(record));
        Ok(Txn::Create { path, data: create.data.clone(), acl, owner, parent_creates })
    }

    /// The mode of a create, and whether its time to live fits.
    fn mode(&self, flags: i32, ttl: Option<i64>) -> Result<CreateMode, ErrorCode> {
        let mode = CreateMode::from_flags(flags, ttl.unwrap_or(-1)).ok_or(ErrorCode::BAD_ARGUMENTS)?;
        match mode.ttl() {
            Some(_) if !self.extended_types => Err(ErrorCode::UNIMPLEMENTED),
            Some(ttl) if !CreateMode::TTL_MS.contains(&ttl) => Err(ErrorCode::BAD_ARGUMENTS),
            None if ttl.is_some() => Err(ErrorCode::BAD_ARGUMENTS),
            _ => Ok(mode),
        }
    }

    fn delete(&mut self, path: &Ustring, version: i32) -> Result<Txn, ErrorCode> {
        let path = text(path)?;
        let special = ["/", "/zookeeper", "/zookeeper/quota", "/zookeeper/config"];
        let parts = split(&path).filter(|_| !path.contains('\0') && !special.contains(&path.as_str()));
        let parent_path = parts.ok_or(ErrorCode::BAD_ARGUMENTS)?.0.to_owned();
        let mut parent = self.record(&parent_path)?;
        self.identities.check(Perms::DELETE, &parent.acl)?;
        let record = self.record(&path)?;
        next_version(record.version, version)?;
        if record.children > 0 {
            return Err(ErrorCode::NOT_EMPTY);
        }
        parent.children -= 1;
        self.changed.insert(parent_path, Some(parent));
        self.changed.insert(path.clone(), None);
        Ok(Txn::Delete { path })
    }

    fn set_data(&mut self, path: &Ustring, version: i32) -> Result<(String, i32), ErrorCode> {
        let path = valid(path)?;
        let mut record = self.record(&path)?;
        self.identities.check(Perms::WRITE, &record.acl)?;
        record.version = next_version(record.version, version)?;
        let version = record.version;
        self.changed.insert(path.clone(), Some(record));
        Ok((path, version))
    }

    fn record(&self, path: &str) -> Result<Record, ErrorCode> {
        match self.changed.get(path) {
            Some(changed) => changed.clone().ok_or(ErrorCode::NO_NODE),
            None => self.tree.get(path).map(Record::from).ok_or(ErrorCode::NO_NODE),
        }
    }
}

fn text(path: &Ustring) -> Result<String, ErrorCode> {
    if path.is_null() { Err(ErrorCode::MARSHALLING_ERROR) } else { Ok(path.to_str().into_owned()) }
}

fn valid(path: &Ustring) -> Result<String, ErrorCode> {
    let path = text(path)?;
    validate_path(&path).map_err(|_| ErrorCode::BAD_ARGUMENTS)?;
    Ok(path)
}

fn next_version(current: i32, expected: i32) -> Result<i32, ErrorCode> {
    if expected != -1 && expected != current {
        return Err(ErrorCode::BAD_VERSION);
    }
    Ok(current.wrapping_add(1))
}
