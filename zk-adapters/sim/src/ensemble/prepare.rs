//! What the leader makes of a write: a transaction, or a refusal. ZooKeeper's `PrepRequestProcessor`, check for check.

use std::collections::BTreeMap;

use zk_session::zk_proto::{
    Acl, CreateMode, CreateRequest, CreateTtlRequest, ErrorCode, Multi, Op, OpCode, Perms, Request,
    SessionId, Ustring, validate_path,
};

use crate::ensemble::{
    access::{self, Identities, not_null},
    options::{Options, Version},
    text,
    tree::{Tree, Znode, split},
    txn::{Owner, Txn},
};

/// A request's way to its transaction: the tree, and what the request itself has changed so far.
pub(crate) struct Preparation<'a> {
    tree: &'a Tree,
    identities: &'a Identities,
    session: SessionId,
    options: &'a Options,
    changed: BTreeMap<String, Option<Record>>,
}

/// What becomes of a write.
pub(crate) enum Prepared {
    /// A transaction; a refusal is one, too.
    Txn(Txn),
    /// The request fails, and leaves no transaction.
    Failed {
        /// A number was drawn for it.
        takes_zxid: bool,
        /// The reply has the beginning of a body.
        has_body: bool,
    },
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
        options: &'a Options,
    ) -> Self {
        Self { tree, identities, session, options, changed: BTreeMap::new() }
    }

    /// What a write becomes.
    pub(crate) fn request(mut self, request: &Request) -> Prepared {
        if let Request::Multi(multi) = request {
            return self.blunder(multi).unwrap_or_else(|| Prepared::Txn(self.multi(multi)));
        }
        Prepared::Txn(self.single(request).unwrap_or_else(Txn::Error))
    }

    /// What Java stumbles over while it reads a multi, before anything is checked.
    fn blunder(&self, multi: &Multi) -> Option<Prepared> {
        if self.options.version >= Version::V3_9 {
            return multi.ops.iter().find_map(unreadable);
        }
        let is_known = |op: &Op| matches!(op, Op::Create(_) | Op::Delete(_) | Op::SetData(_) | Op::Check(_));
        if self.options.version == Version::V3_4 && !multi.ops.iter().all(is_known) {
            return Some(Prepared::Txn(Txn::Error(ErrorCode::MARSHALLING_ERROR)));
        }
        let has_path = |op: &Op| !op.clone().path_mut().is_null();
        (!multi.ops.iter().all(has_path)).then_some(Prepared::Failed { takes_zxid: true, has_body: true })
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
                let path = self.valid(&set.path)?;
                let acl = self.identities.fix(&set.acl, self.options.version)?;
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
        if !multi.ops.iter().all(|op| !op.clone().path_mut().is_null()) {
            return Txn::Error(ErrorCode::MARSHALLING_ERROR);
        }
        let mut txns = Vec::with_capacity(multi.ops.len());
        for op in &multi.ops {
            match self.op(op) {
                Ok(txn) => txns.push(as_written(txn)),
                // Not a verdict on this operation, but the end of the attempt.
                Err(ErrorCode::MARSHALLING_ERROR) => return Txn::Error(ErrorCode::MARSHALLING_ERROR),
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
            Op::Create(create) | Op::Create2(create) | Op::CreateContainer(create) => {
                let kind = self.options.version.kind_of_create(op).unwrap_or(OpCode::CREATE);
                // A record for a time to live is expected then, and not found.
                if kind == OpCode::CREATE_TTL {
                    return Err(ErrorCode::MARSHALLING_ERROR);
                }
                self.create(kind, create, None)
            }
            Op::CreateTtl(create) => match self.options.version.kind_of_create(op) {
                Some(OpCode::CREATE_TTL) => self.create_ttl(create),
                kind => self.create(kind.unwrap_or(OpCode::CREATE), &without_ttl(create), None),
            },
            Op::Delete(delete) => self.delete(&delete.path, delete.version),
            Op::SetData(set) => {
                let (path, version) = self.set_data(&set.path, set.version)?;
                Ok(Txn::SetData { path, data: set.data.clone(), version })
            }
            Op::Check(check) => {
                let path = self.valid(&check.path)?;
                let record = self.record(&path)?;
                self.identities.check(Perms::READ, &record.acl)?;
                next_version(record.version, check.version)?;
                Ok(Txn::Check { path })
            }
            Op::GetData(_) | Op::GetChildren(_) => Err(ErrorCode::MARSHALLING_ERROR),
        }
    }

    fn create_ttl(&mut self, create: &CreateTtlRequest) -> Result<Txn, ErrorCode> {
        self.create(OpCode::CREATE_TTL, &without_ttl(create), Some(create.ttl))
    }

    fn create(&mut self, op: OpCode, create: &CreateRequest, ttl: Option<i64>) -> Result<Txn, ErrorCode> {
        let is_old = self.options.version == Version::V3_4;
        let checked = if is_old { None } else { Some(self.mode(create.flags, ttl)?) };
        let given = path_of(&create.path)?;
        let (parent_path, _) =
            split(&given).filter(|_| !given.contains('\0')).ok_or(ErrorCode::BAD_ARGUMENTS)?;
        let parent_path = parent_path.to_owned();
        let acl = self.identities.fix(&create.acl, self.options.version)?;
        let mut parent = self.record(&parent_path)?;
        self.identities.check(Perms::CREATE, &parent.acl)?;
        let mode = checked.map_or_else(|| self.mode(create.flags, ttl), Ok)?;
        let path = if mode.is_sequential() { format!("{given}{:010}", parent.creates) } else { given };
        self.validate(&path)?;
        if self.record(&path).is_ok() {
            return Err(ErrorCode::NODE_EXISTS);
        }
        if matches!(parent.owner, Owner::Session(_)) {
            return Err(ErrorCode::NO_CHILDREN_FOR_EPHEMERALS);
        }
        let by_mode = self.owner(mode);
        // The operation decides what is stored, the mode what the rest of a multi sees.
        let owner = match op {
            OpCode::CREATE_CONTAINER => Owner::Container,
            OpCode::CREATE_TTL => Owner::Ttl(ttl.unwrap_or_default()),
            _ if mode.is_ephemeral() => by_mode,
            _ => Owner::Nobody,
        };
        parent.creates = parent.creates.wrapping_add(1);
        parent.children += 1;
        let parent_creates = parent.creates;
        self.changed.insert(parent_path, Some(parent));
        let record =
            Record { acl: acl.clone(), owner: by_mode, children: 0, creates: 0, version: 0, aversion: 0 };
        self.changed.insert(path.clone(), Some(record));
        Ok(Txn::Create { path, data: create.data.clone(), acl, owner, parent_creates })
    }

    fn owner(&self, mode: CreateMode) -> Owner {
        match mode {
            CreateMode::Ephemeral | CreateMode::EphemeralSequential => Owner::Session(self.session),
            CreateMode::Container => Owner::Container,
            CreateMode::PersistentWithTtl(ttl) | CreateMode::PersistentSequentialWithTtl(ttl) => {
                Owner::Ttl(ttl)
            }
            CreateMode::Persistent | CreateMode::PersistentSequential => Owner::Nobody,
        }
    }

    /// The mode of a create, and whether its time to live fits.
    fn mode(&self, flags: i32, ttl: Option<i64>) -> Result<CreateMode, ErrorCode> {
        let mode = CreateMode::from_flags(flags, ttl.unwrap_or(-1)).ok_or(ErrorCode::BAD_ARGUMENTS)?;
        if self.options.version == Version::V3_4 && flags > CreateMode::EphemeralSequential.flags() {
            return Err(ErrorCode::BAD_ARGUMENTS);
        }
        match mode.ttl() {
            Some(_) if !self.options.extended_types => Err(ErrorCode::UNIMPLEMENTED),
            Some(ttl) if !CreateMode::TTL_MS.contains(&ttl) => Err(ErrorCode::BAD_ARGUMENTS),
            None if ttl.is_some_and(|ttl| ttl >= 0) => Err(ErrorCode::BAD_ARGUMENTS),
            _ => Ok(mode),
        }
    }

    fn delete(&mut self, path: &Ustring, version: i32) -> Result<Txn, ErrorCode> {
        let path = path_of(path)?;
        let is_old = self.options.version == Version::V3_4;
        let special = ["/", "/zookeeper", "/zookeeper/quota"].contains(&path.as_str())
            || (path == "/zookeeper/config" && !is_old);
        let parts = split(&path).filter(|_| !path.contains('\0') && !special);
        let parent_path = parts.ok_or(ErrorCode::BAD_ARGUMENTS)?.0.to_owned();
        let mut parent = self.record(&parent_path)?;
        if is_old {
            self.record(&path)?;
        }
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
        let path = self.valid(path)?;
        let mut record = self.record(&path)?;
        self.identities.check(Perms::WRITE, &record.acl)?;
        record.version = next_version(record.version, version)?;
        let version = record.version;
        self.changed.insert(path.clone(), Some(record));
        Ok((path, version))
    }

    fn valid(&self, path: &Ustring) -> Result<String, ErrorCode> {
        let path = path_of(path).map_err(|_| ErrorCode::BAD_ARGUMENTS)?;
        self.validate(&path)?;
        Ok(path)
    }

    /// 3.4 took the ends of the ranges of characters that it refuses.
    fn validate(&self, path: &str) -> Result<(), ErrorCode> {
        let outcome = if self.options.version == Version::V3_4 {
            validate_path(&path.replace(ENDS_OF_RANGES, "x"))
        } else {
            validate_path(path)
        };
        outcome.map_err(|_| ErrorCode::BAD_ARGUMENTS)
    }

    fn record(&self, path: &str) -> Result<Record, ErrorCode> {
        match self.changed.get(path) {
            Some(changed) => changed.clone().ok_or(ErrorCode::NO_NODE),
            None => self.tree.get(path).map(Record::from).ok_or(ErrorCode::NO_NODE),
        }
    }
}

/// Parts of a multi are written and read once more than others: that tells with ids beyond U+FFFF.
fn as_written(mut txn: Txn) -> Txn {
    if let Txn::Create { acl, .. } = &mut txn {
        *acl = acl.iter().map(access::echo).collect();
    }
    txn
}

fn without_ttl(create: &CreateTtlRequest) -> CreateRequest {
    CreateRequest {
        path: create.path.clone(),
        data: create.data.clone(),
        acl: create.acl.clone(),
        flags: create.flags,
    }
}

/// From 3.9 on, a create in a multi is checked while it is read.
fn unreadable(op: &Op) -> Option<Prepared> {
    let refused = || Some(Prepared::Txn(Txn::Error(ErrorCode::MARSHALLING_ERROR)));
    match op {
        Op::Create(create) | Op::Create2(create) | Op::CreateContainer(create) => {
            let mode = CreateMode::from_flags(create.flags, 1);
            match mode {
                None => refused(),
                Some(_) if create.acl.is_null() => {
                    Some(Prepared::Failed { takes_zxid: false, has_body: false })
                }
                Some(mode) => mode.ttl().and_then(|_| refused()),
            }
        }
        _ => None,
    }
}

fn path_of(path: &Ustring) -> Result<String, ErrorCode> {
    not_null(path)?;
    Ok(text::read(path).into_owned())
}

fn next_version(current: i32, expected: i32) -> Result<i32, ErrorCode> {
    if expected != -1 && expected != current {
        return Err(ErrorCode::BAD_VERSION);
    }
    Ok(current.wrapping_add(1))
}

const ENDS_OF_RANGES: [char; 6] = ['\u{1F}', '\u{7F}', '\u{9F}', '\u{F8FF}', '\u{FFF0}', '\u{FFFF}'];
