use core::fmt;

use bytes::Bytes;

use crate::{
    Acl, AddWatchMode, ClientInfo, ErrorCode, EventType, KeeperState, OpCode, Stat, Ustring, Vector,
    WatcherType, Zxid,
};

records! {
    fixed:

    /// What every request begins with. 8 bytes on the wire.
    #[derive(Copy, Debug)]
    RequestHeader = "RequestHeader" {
        /// The number by which the reply names its request; -2 for pings, -4 for auth.
        xid: i32 = "int" "xid",
        /// The operation; jute calls it `type`.
        op: OpCode = "int" "type",
    }

    /// What every reply and event begins with. 16 bytes on the wire.
    #[derive(Copy, Debug)]
    ReplyHeader = "ReplyHeader" {
        /// The request's number; -1 for events, -2 for pings, -4 for auth.
        xid: i32 = "int" "xid",
        /// The server's last transaction when it replied; see the operation for exceptions.
        zxid: Zxid = "long" "zxid",
        /// The verdict. If it isn't `OK`, there is normally no body.
        err: ErrorCode = "int" "err",
    }

    /// What precedes each part of a multi, and ends it. 9 bytes on the wire.
    #[derive(Copy, Debug)]
    MultiHeader = "MultiHeader" {
        /// The part's operation, or `ERROR`; jute calls it `type`.
        op: OpCode = "int" "type",
        /// Whether this is the end.
        done: bool = "boolean" "done",
        /// The part's verdict; -1 in requests and at the end.
        err: ErrorCode = "int" "err",
    }

}

records! {
    /// Request of create, create2 and createContainer: a new znode.
    #[derive(Debug)]
    CreateRequest = "CreateRequest" {
        /// The znode's path, for a sequential one without its number.
        path: Ustring = "ustring" "path",
        /// Its data; null is kept apart from empty.
        data: Option<Bytes> = "buffer" "data",
        /// Its ACL; must not be empty.
        acl: Vector<Acl> = "vector<ACL>" "acl",
        /// The kind of znode: [`CreateMode::flags`](crate::CreateMode::flags).
        flags: i32 = "int" "flags",
    }

    /// Request of createTTL: a new znode with a time to live. Since 3.5.3.
    #[derive(Debug)]
    CreateTtlRequest = "CreateTTLRequest" {
        /// The znode's path, for a sequential one without its number.
        path: Ustring = "ustring" "path",
        /// Its data; null is kept apart from empty.
        data: Option<Bytes> = "buffer" "data",
        /// Its ACL; must not be empty.
        acl: Vector<Acl> = "vector<ACL>" "acl",
        /// The kind of znode: [`CreateMode::flags`](crate::CreateMode::flags).
        flags: i32 = "int" "flags",
        /// How long it may stay unmodified and childless, in milliseconds.
        ttl: i64 = "long" "ttl",
    }

    /// Request of delete.
    #[derive(Debug)]
    DeleteRequest = "DeleteRequest" {
        /// The znode's path.
        path: Ustring = "ustring" "path",
        /// The data version it must have; -1 for any.
        version: i32 = "int" "version",
    }

    /// Request of exists.
    #[derive(Debug)]
    ExistsRequest = "ExistsRequest" {
        /// The znode's path.
        path: Ustring = "ustring" "path",
        /// Whether to leave a watch, also if there is no such znode.
        watch: bool = "boolean" "watch",
    }

    /// Request of getData.
    #[derive(Debug)]
    GetDataRequest = "GetDataRequest" {
        /// The znode's path.
        path: Ustring = "ustring" "path",
        /// Whether to leave a watch.
        watch: bool = "boolean" "watch",
    }

    /// Request of setData.
    #[derive(Debug)]
    SetDataRequest = "SetDataRequest" {
        /// The znode's path.
        path: Ustring = "ustring" "path",
        /// The new data; null is kept apart from empty.
        data: Option<Bytes> = "buffer" "data",
        /// The data version it must have; -1 for any.
        version: i32 = "int" "version",
    }

    /// Request of getACL.
    #[derive(Debug)]
    GetAclRequest = "GetACLRequest" {
        /// The znode's path.
        path: Ustring = "ustring" "path",
    }

    /// Request of setACL.
    #[derive(Debug)]
    SetAclRequest = "SetACLRequest" {
        /// The znode's path.
        path: Ustring = "ustring" "path",
        /// The new ACL; must not be empty.
        acl: Vector<Acl> = "vector<ACL>" "acl",
        /// The ACL version (`aversion`) it must have; -1 for any.
        version: i32 = "int" "version",
    }

    /// Request of getChildren.
    #[derive(Debug)]
    GetChildrenRequest = "GetChildrenRequest" {
        /// The znode's path.
        path: Ustring = "ustring" "path",
        /// Whether to leave a watch.
        watch: bool = "boolean" "watch",
    }

    /// Request of getChildren2. Since 3.3.
    #[derive(Debug)]
    GetChildren2Request = "GetChildren2Request" {
        /// The znode's path.
        path: Ustring = "ustring" "path",
        /// Whether to leave a watch.
        watch: bool = "boolean" "watch",
    }

    /// Request of sync.
    #[derive(Debug)]
    SyncRequest = "SyncRequest" {
        /// A path that is only echoed.
        path: Ustring = "ustring" "path",
    }

    /// Request of check, inside a multi only. Since 3.4.
    #[derive(Debug)]
    CheckVersionRequest = "CheckVersionRequest" {
        /// The znode's path.
        path: Ustring = "ustring" "path",
        /// The data version it must have; -1 for any.
        version: i32 = "int" "version",
    }

    /// Request of reconfig. Since 3.5.0.
    #[derive(Debug)]
    ReconfigRequest = "ReconfigRequest" {
        /// Servers to add or change, `server.N=…` with commas between; null if there are none.
        joining_servers: Ustring = "ustring" "joiningServers",
        /// Ids of servers to remove, with commas between; null if there are none.
        leaving_servers: Ustring = "ustring" "leavingServers",
        /// The whole new membership, instead of the other two; else null.
        new_members: Ustring = "ustring" "newMembers",
        /// The version that the configuration must have; -1 for any.
        cur_config_id: i64 = "long" "curConfigId",
    }

    /// Request of checkWatches. Since 3.5.0.
    #[derive(Debug)]
    CheckWatchesRequest = "CheckWatchesRequest" {
        /// The watched path.
        path: Ustring = "ustring" "path",
        /// The kind of watch; jute calls it `type`.
        watcher_type: WatcherType = "int" "type",
    }

    /// Request of removeWatches. Since 3.5.0.
    #[derive(Debug)]
    RemoveWatchesRequest = "RemoveWatchesRequest" {
        /// The watched path.
        path: Ustring = "ustring" "path",
        /// The kind of watch; jute calls it `type`.
        watcher_type: WatcherType = "int" "type",
    }

    /// Request of auth: an identity for the connection. Its `Debug` hides the proof.
    AuthPacket = "AuthPacket" {
        /// Ignored by servers, 0; jute calls it `type`.
        auth_type: i32 = "int" "type",
        /// The scheme, `digest` for one.
        scheme: Ustring = "ustring" "scheme",
        /// The proof of identity, `user:password` for digest.
        auth: Option<Bytes> = "buffer" "auth",
    }

    /// Request of setWatches: the one-time watches of a connection that was lost.
    #[derive(Debug)]
    SetWatches = "SetWatches" {
        /// The transaction up to which the watches were checked.
        relative_zxid: Zxid = "long" "relativeZxid",
        /// Paths with watches by getData, or by exists on a znode that was there.
        data_watches: Vector<Ustring> = "vector<ustring>" "dataWatches",
        /// Paths with watches by exists on a znode that wasn't there.
        exist_watches: Vector<Ustring> = "vector<ustring>" "existWatches",
        /// Paths with watches by getChildren and getChildren2.
        child_watches: Vector<Ustring> = "vector<ustring>" "childWatches",
    }

    /// Request of setWatches2: all watches of a connection that was lost. Since 3.6.0.
    #[derive(Debug)]
    SetWatches2 = "SetWatches2" {
        /// The transaction up to which the watches were checked.
        relative_zxid: Zxid = "long" "relativeZxid",
        /// Paths with watches by getData, or by exists on a znode that was there.
        data_watches: Vector<Ustring> = "vector<ustring>" "dataWatches",
        /// Paths with watches by exists on a znode that wasn't there.
        exist_watches: Vector<Ustring> = "vector<ustring>" "existWatches",
        /// Paths with watches by getChildren and getChildren2.
        child_watches: Vector<Ustring> = "vector<ustring>" "childWatches",
        /// Paths with persistent watches.
        persistent_watches: Vector<Ustring> = "vector<ustring>" "persistentWatches",
        /// Paths with persistent recursive watches.
        persistent_recursive_watches: Vector<Ustring> = "vector<ustring>" "persistentRecursiveWatches",
    }

    /// Request of sasl: one step of the exchange. Since 3.4. Its `Debug` hides the token.
    GetSaslRequest = "GetSASLRequest" {
        /// The mechanism's token; may be empty.
        token: Option<Bytes> = "buffer" "token",
    }

    /// Request of getEphemerals. Since 3.6.0.
    #[derive(Debug)]
    GetEphemeralsRequest = "GetEphemeralsRequest" {
        /// What the paths must begin with, as text; empty or `/` for all.
        prefix_path: Ustring = "ustring" "prefixPath",
    }

    /// Request of getAllChildrenNumber. Since 3.6.0.
    #[derive(Debug)]
    GetAllChildrenNumberRequest = "GetAllChildrenNumberRequest" {
        /// The znode's path.
        path: Ustring = "ustring" "path",
    }

    /// Request of addWatch. Since 3.6.0.
    #[derive(Debug)]
    AddWatchRequest = "AddWatchRequest" {
        /// The path to watch; there needn't be such a znode.
        path: Ustring = "ustring" "path",
        /// The kind of watch.
        mode: AddWatchMode = "int" "mode",
    }

    /// Reply to create.
    #[derive(Debug)]
    CreateResponse = "CreateResponse" {
        /// The znode's path, with its number if it is sequential.
        path: Ustring = "ustring" "path",
    }

    /// Reply to create2 (since 3.5.0), createContainer (3.5.1) and createTTL (3.5.3).
    #[derive(Debug)]
    Create2Response = "Create2Response" {
        /// The znode's path, with its number if it is sequential.
        path: Ustring = "ustring" "path",
        /// The new znode's stat.
        stat: Stat = "Stat" "stat",
    }

    /// Reply to exists.
    #[derive(Copy, Debug)]
    ExistsResponse = "ExistsResponse" {
        /// The znode's stat.
        stat: Stat = "Stat" "stat",
    }

    /// Reply to getData and to reconfig.
    #[derive(Debug)]
    GetDataResponse = "GetDataResponse" {
        /// The znode's data; after reconfig the new configuration's text.
        data: Option<Bytes> = "buffer" "data",
        /// The znode's stat.
        stat: Stat = "Stat" "stat",
    }

    /// Reply to setData.
    #[derive(Copy, Debug)]
    SetDataResponse = "SetDataResponse" {
        /// The znode's new stat.
        stat: Stat = "Stat" "stat",
    }

    /// Reply to getACL.
    #[derive(Debug)]
    GetAclResponse = "GetACLResponse" {
        /// The znode's ACL; who lacks ADMIN sees digests as `x`.
        acl: Vector<Acl> = "vector<ACL>" "acl",
        /// The znode's stat.
        stat: Stat = "Stat" "stat",
    }

    /// Reply to setACL.
    #[derive(Copy, Debug)]
    SetAclResponse = "SetACLResponse" {
        /// The znode's new stat.
        stat: Stat = "Stat" "stat",
    }

    /// Reply to getChildren.
    #[derive(Debug)]
    GetChildrenResponse = "GetChildrenResponse" {
        /// The children's names, in no order.
        children: Vector<Ustring> = "vector<ustring>" "children",
    }

    /// Reply to getChildren2. Since 3.3.
    #[derive(Debug)]
    GetChildren2Response = "GetChildren2Response" {
        /// The children's names, in no order.
        children: Vector<Ustring> = "vector<ustring>" "children",
        /// The znode's stat.
        stat: Stat = "Stat" "stat",
    }

    /// Reply to sync.
    #[derive(Debug)]
    SyncResponse = "SyncResponse" {
        /// The request's path.
        path: Ustring = "ustring" "path",
    }

    /// Reply to sasl: the next step. Since 3.4. Its `Debug` hides the token.
    SetSaslResponse = "SetSASLResponse" {
        /// The mechanism's token; null where the exchange is over or has failed.
        token: Option<Bytes> = "buffer" "token",
    }

    /// Reply to getEphemerals. Since 3.6.0.
    #[derive(Debug)]
    GetEphemeralsResponse = "GetEphemeralsResponse" {
        /// The paths of the session's ephemerals.
        ephemerals: Vector<Ustring> = "vector<ustring>" "ephemerals",
    }

    /// Reply to getAllChildrenNumber. Since 3.6.0.
    #[derive(Copy, Debug)]
    GetAllChildrenNumberResponse = "GetAllChildrenNumberResponse" {
        /// The number of znodes below.
        total_number: i32 = "int" "totalNumber",
    }

    /// Reply to whoAmI. Since 3.7.0.
    #[derive(Debug)]
    WhoAmIResponse = "WhoAmIResponse" {
        /// The connection's identities.
        client_info: Vector<ClientInfo> = "vector<ClientInfo>" "clientInfo",
    }

    /// Reply to addWatch (since 3.6.0), and a failed part of a multi's.
    #[derive(Copy, Debug)]
    ErrorResponse = "ErrorResponse" {
        /// The verdict; always `OK` from addWatch.
        err: ErrorCode = "int" "err",
    }

    /// An event of a watch; follows a reply header with xid -1.
    #[derive(Debug)]
    WatcherEvent = "WatcherEvent" {
        /// What happened; jute calls it `type`.
        event_type: EventType = "int" "type",
        /// Servers always say `SYNC_CONNECTED`.
        state: KeeperState = "int" "state",
        /// The znode's path on the server.
        path: Ustring = "ustring" "path",
    }
}

impl fmt::Debug for AuthPacket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthPacket")
            .field("auth_type", &self.auth_type)
            .field("scheme", &self.scheme)
            .field("auth", &Hidden(&self.auth))
            .finish()
    }
}

impl fmt::Debug for GetSaslRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GetSaslRequest").field("token", &Hidden(&self.token)).finish()
    }
}

impl fmt::Debug for SetSaslResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SetSaslResponse").field("token", &Hidden(&self.token)).finish()
    }
}

/// Shows the length of a secret, not its bytes.
pub(crate) struct Hidden<'a>(pub(crate) &'a Option<Bytes>);

impl fmt::Debug for Hidden<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(secret) => write!(f, "<{} byte(s) hidden>", secret.len()),
            None => f.write_str("null"),
        }
    }
}
