//! The znodes of one server: ZooKeeper's `DataTree`.

use std::collections::{BTreeMap, BTreeSet};

use zk_session::zk_proto::{Acl, Bytes, ErrorCode, EventType, SessionId, Stat, Zxid};

use crate::ensemble::txn::{Owner, Transaction, Txn};

/// All znodes, as they are after some transaction.
#[derive(Clone, Debug)]
pub struct Tree {
    znodes: BTreeMap<String, Znode>,
    ephemerals: BTreeMap<SessionId, BTreeSet<String>>,
    last_zxid: Zxid,
    /// How many containers and znodes with a time to live there are.
    mortals: usize,
}

/// One znode.
#[derive(Clone, Debug)]
pub struct Znode {
    pub(crate) data: Option<Bytes>,
    pub(crate) acl: Vec<Acl>,
    pub(crate) owner: Owner,
    pub(crate) children: BTreeSet<String>,
    /// How often a child was created. Its stat's cversion counts deletions too.
    pub(crate) creates: i32,
    pub(crate) version: i32,
    pub(crate) aversion: i32,
    czxid: Zxid,
    mzxid: Zxid,
    pub(crate) pzxid: Zxid,
    ctime: i64,
    mtime: i64,
}

/// What a transaction did, as far as its reply tells of it.
#[derive(Clone, Debug)]
pub(crate) enum Applied {
    Nothing,
    Created { path: String, stat: Stat },
    Stat(Stat),
    Multi(Vec<Self>),
    Refused(ErrorCode),
    MultiRefused(Vec<ErrorCode>),
}

/// What watches are to be told, with the ACL that says to whom.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) event: EventType,
    pub(crate) path: String,
    pub(crate) acl: Vec<Acl>,
}

impl Znode {
    fn new(data: Option<Bytes>, acl: Vec<Acl>, owner: Owner, zxid: Zxid, time_ms: i64) -> Self {
        Self {
            data,
            acl,
            owner,
            children: BTreeSet::new(),
            creates: 0,
            version: 0,
            aversion: 0,
            czxid: zxid,
            mzxid: zxid,
            pzxid: zxid,
            ctime: time_ms,
            mtime: time_ms,
        }
    }

    /// Its data; `None` is null.
    pub fn data(&self) -> Option<&Bytes> {
        self.data.as_ref()
    }

    /// The names of its children.
    pub fn children(&self) -> impl ExactSizeIterator<Item = &str> {
        self.children.iter().map(String::as_str)
    }

    /// Whether the leader removes it some time by itself.
    fn is_mortal(&self) -> bool {
        matches!(self.owner, Owner::Container | Owner::Ttl(_))
    }

    /// What the protocol tells of it.
    pub fn stat(&self) -> Stat {
        let children = i32::try_from(self.children.len()).unwrap_or(i32::MAX);
        Stat {
            czxid: self.czxid,
            mzxid: self.mzxid,
            ctime: self.ctime,
            mtime: self.mtime,
            version: self.version,
            cversion: self.creates.wrapping_mul(2).wrapping_sub(children),
            aversion: self.aversion,
            ephemeral_owner: if let Owner::Session(id) = self.owner { id } else { SessionId(0) },
            data_length: self.data.as_ref().map_or(0, |data| i32::try_from(data.len()).unwrap_or(i32::MAX)),
            num_children: children,
            pzxid: self.pzxid,
        }
    }
}

impl Tree {
    /// The tree of a fresh server. `config` is the text of `/zookeeper/config`, empty where a server is alone; none where the
    /// version has no such znode.
    pub(crate) fn new(config: Option<&str>) -> Self {
        let mut tree =
            Self { znodes: BTreeMap::new(), ephemerals: BTreeMap::new(), last_zxid: Zxid(0), mortals: 0 };
        let config_path = config.map(|_| "/zookeeper/config");
        for path in ["/", "/zookeeper", "/zookeeper/quota"].into_iter().chain(config_path) {
            let mut znode = Znode::new(Some(Bytes::new()), vec![Acl::open()], Owner::Nobody, Zxid(0), 0);
            if path == "/zookeeper/config" {
                znode.acl = vec![Acl::read_only()];
                znode.aversion = -1;
                if let Some(config) = config.filter(|config| !config.is_empty()) {
                    znode.data = Some(Bytes::copy_from_slice(config.as_bytes()));
                    znode.version = -1;
                }
            }
            tree.znodes.insert(path.to_owned(), znode);
            if let Some((parent, name)) = split(path).filter(|(_, name)| !name.is_empty()) {
                tree.znodes.get_mut(parent).expect("made before").children.insert(name.to_owned());
            }
        }
        tree
    }

    /// The znode at a path. The empty path is the root's, as in ZooKeeper.
    pub fn get(&self, path: &str) -> Option<&Znode> {
        self.znodes.get(if path.is_empty() { "/" } else { path })
    }

    /// All paths with their znodes, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Znode)> {
        self.znodes.iter().map(|(path, znode)| (path.as_str(), znode))
    }

    /// The last transaction that was applied.
    pub fn last_zxid(&self) -> Zxid {
        self.last_zxid
    }

    /// The paths of a session's ephemerals, in order.
    pub fn ephemerals(&self, session: SessionId) -> impl Iterator<Item = &str> {
        self.ephemerals.get(&session).into_iter().flatten().map(String::as_str)
    }

    /// Whether there is a znode that the leader may have to remove by itself.
    pub(crate) fn has_mortals(&self) -> bool {
        self.mortals > 0
    }

    /// How many znodes lie below a path.
    pub(crate) fn descendants(&self, path: &str) -> usize {
        if path == "/" {
            return self.znodes.len() - 1;
        }
        let below = format!("{path}/");
        self.znodes.range(below.clone()..).take_while(|(path, _)| path.starts_with(&below)).count()
    }

    /// Childless containers that have had a child, and childless znodes whose time to live has passed.
    pub(crate) fn candidates(&self, now_ms: i64) -> Vec<String> {
        let can_go = |znode: &Znode| match znode.owner {
            Owner::Container => znode.creates > 0,
            Owner::Ttl(ttl) => now_ms - znode.mtime > ttl,
            Owner::Nobody | Owner::Session(_) => false,
        };
        let childless = self.znodes.iter().filter(|(_, znode)| znode.children.is_empty() && can_go(znode));
        childless.map(|(path, _)| path.clone()).collect()
    }

    /// Does what the leader decided, and notes what watches are to be told.
    pub(crate) fn apply(&mut self, transaction: &Transaction, changes: &mut Vec<Change>) -> Applied {
        self.last_zxid = transaction.zxid;
        self.apply_txn(&transaction.txn, transaction, changes)
    }

    fn apply_txn(&mut self, txn: &Txn, at: &Transaction, changes: &mut Vec<Change>) -> Applied {
        match txn {
            Txn::Create { .. } => self.create(txn, at, changes),
            Txn::Delete { path } => {
                self.delete(path, at.zxid, changes);
                Applied::Nothing
            }
            Txn::SetData { path, data, version } => {
                let Some(znode) = self.znodes.get_mut(path) else {
                    return Applied::Refused(ErrorCode::NO_NODE);
                };
                (znode.data, znode.version) = (data.clone(), *version);
                (znode.mzxid, znode.mtime) = (at.zxid, at.time_ms);
                let acl = znode.acl.clone();
                changes.push(Change { event: EventType::NODE_DATA_CHANGED, path: path.clone(), acl });
                Applied::Stat(znode.stat())
            }
            Txn::SetAcl { path, acl, version } => {
                let Some(znode) = self.znodes.get_mut(path) else {
                    return Applied::Refused(ErrorCode::NO_NODE);
                };
                (znode.acl, znode.aversion) = (acl.clone(), *version);
                Applied::Stat(znode.stat())
            }
            Txn::Multi(txns) => {
                Applied::Multi(txns.iter().map(|txn| self.apply_txn(txn, at, changes)).collect())
            }
            Txn::CloseSession { session, paths } => {
                paths.iter().for_each(|path| self.delete(path, at.zxid, changes));
                self.ephemerals.remove(session);
                Applied::Nothing
            }
            Txn::CreateSession { .. } | Txn::Check { .. } => Applied::Nothing,
            Txn::FailedMulti(codes) => Applied::MultiRefused(codes.clone()),
            Txn::Error(code) => Applied::Refused(*code),
        }
    }

    fn create(&mut self, txn: &Txn, at: &Transaction, changes: &mut Vec<Change>) -> Applied {
        let Txn::Create { path, data, acl, owner, parent_creates } = txn else { return Applied::Nothing };
        let Some((parent_path, name)) = split(path) else { return Applied::Nothing };
        let Some(parent) = self.znodes.get_mut(parent_path) else {
            return Applied::Refused(ErrorCode::NO_NODE);
        };
        parent.children.insert(name.to_owned());
        (parent.creates, parent.pzxid) = (*parent_creates, at.zxid);
        let parent_acl = parent.acl.clone();
        let znode = Znode::new(data.clone(), acl.clone(), *owner, at.zxid, at.time_ms);
        let stat = znode.stat();
        self.mortals += usize::from(znode.is_mortal());
        self.znodes.insert(path.clone(), znode);
        if let Owner::Session(session) = owner {
            self.ephemerals.entry(*session).or_default().insert(path.clone());
        }
        changes.push(Change { event: EventType::NODE_CREATED, path: path.clone(), acl: acl.clone() });
        changes.push(Change {
            event: EventType::NODE_CHILDREN_CHANGED,
            path: parent_path.to_owned(),
            acl: parent_acl,
        });
        Applied::Created { path: path.clone(), stat }
    }

    fn delete(&mut self, path: &str, zxid: Zxid, changes: &mut Vec<Change>) {
        let (Some(znode), Some((parent_path, name))) = (self.znodes.remove(path), split(path)) else {
            return;
        };
        if let Owner::Session(session) = znode.owner
            && let Some(paths) = self.ephemerals.get_mut(&session)
        {
            paths.remove(path);
        }
        self.mortals -= usize::from(znode.is_mortal());
        changes.push(Change { event: EventType::NODE_DELETED, path: path.to_owned(), acl: znode.acl });
        if let Some(parent) = self.znodes.get_mut(parent_path) {
            parent.children.remove(name);
            parent.pzxid = parent.pzxid.max(zxid);
            let acl = parent.acl.clone();
            changes.push(Change {
                event: EventType::NODE_CHILDREN_CHANGED,
                path: parent_path.to_owned(),
                acl,
            });
        }
    }
}

/// The parent's path and the name below it; the root is its own parent, without a name.
pub(crate) fn split(path: &str) -> Option<(&str, &str)> {
    let (parent, name) = path.rsplit_once('/')?;
    Some((if parent.is_empty() { "/" } else { parent }, name))
}
