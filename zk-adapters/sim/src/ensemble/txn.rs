//! What the leader decides: the transactions that every server applies in the same order.

use zk_session::zk_proto::{Acl, Bytes, ErrorCode, SessionId, Zxid};

/// One entry of the log.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Transaction {
    /// Its number.
    pub zxid: Zxid,
    /// The wall clock at the leader, in milliseconds since the Unix epoch.
    pub time_ms: i64,
    /// Whose request it was; 0 where it was the leader's own.
    pub session: SessionId,
    /// The xid of that request; 0 where there was none.
    pub cxid: i32,
    /// What it does.
    pub txn: Txn,
}

/// What a transaction does.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Txn {
    /// Opens a session.
    CreateSession {
        /// The session.
        session: SessionId,
        /// Its timeout in milliseconds.
        timeout_ms: i32,
    },
    /// Ends a session, and these ephemerals with it.
    CloseSession {
        /// The session.
        session: SessionId,
        /// The paths of its ephemerals.
        paths: Vec<String>,
    },
    /// Creates a znode.
    Create {
        /// Its path, with its number where it is sequential.
        path: String,
        /// Its data.
        data: Option<Bytes>,
        /// Who may do what.
        acl: Vec<Acl>,
        /// What it lives on.
        owner: Owner,
        /// How many znodes the parent has created with this one.
        parent_creates: i32,
    },
    /// Deletes a znode.
    Delete {
        /// Its path.
        path: String,
    },
    /// Replaces a znode's data.
    SetData {
        /// Its path.
        path: String,
        /// The new data.
        data: Option<Bytes>,
        /// The new version.
        version: i32,
    },
    /// Replaces a znode's ACL.
    SetAcl {
        /// Its path.
        path: String,
        /// The new ACL.
        acl: Vec<Acl>,
        /// The new version of the ACL.
        version: i32,
    },
    /// Nothing: a version was checked.
    Check {
        /// The path of the znode.
        path: String,
    },
    /// Several, all at one zxid.
    Multi(Vec<Self>),
    /// Nothing: a multi failed, with a code for each of its operations.
    FailedMulti(Vec<ErrorCode>),
    /// Nothing: the request was refused.
    Error(ErrorCode),
}

/// What a znode lives on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Owner {
    /// Nothing: it is persistent.
    Nobody,
    /// A session: it is ephemeral.
    Session(SessionId),
    /// Its children: it is a container.
    Container,
    /// Being touched, every so many milliseconds, or having children.
    Ttl(i64),
}
