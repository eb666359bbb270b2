use core::fmt;

wire_number! {
    /// Which operation a request asks for: the constants of `ZooDefs.OpCode`.
    OpCode {
        /// Not sent as a request: the server's news of a watch.
        NOTIFICATION = 0 "notification" "notification",
        /// Creates a znode; answers its path.
        CREATE = 1 "create" "create",
        /// Deletes a znode.
        DELETE = 2 "delete" "delete",
        /// Asks for a znode's stat, and can leave a watch on a znode that isn't there.
        EXISTS = 3 "exists" "exists",
        /// Asks for a znode's data and stat.
        GET_DATA = 4 "getData" "get_data",
        /// Replaces a znode's data.
        SET_DATA = 5 "setData" "set_data",
        /// Asks for a znode's ACL.
        GET_ACL = 6 "getACL" "get_acl",
        /// Replaces a znode's ACL.
        SET_ACL = 7 "setACL" "set_acl",
        /// Lists a znode's children.
        GET_CHILDREN = 8 "getChildren" "get_children",
        /// Waits until the server has caught up with the leader.
        SYNC = 9 "sync" "sync",
        /// Keeps the session alive.
        PING = 11 "ping" "ping",
        /// Lists a znode's children and asks for its stat. Since 3.3.
        GET_CHILDREN2 = 12 "getChildren2" "get_children2",
        /// Checks a znode's version; only inside a multi. Since 3.4.
        CHECK = 13 "check" "check",
        /// Does several writes, all or none. Since 3.4.
        MULTI = 14 "multi" "multi",
        /// Creates a znode; answers its path and stat. Since 3.5.0.
        CREATE2 = 15 "create2" "create2",
        /// Changes the ensemble's membership. Since 3.5.0.
        RECONFIG = 16 "reconfig" "reconfig",
        /// Asks whether this connection has a watch. Since 3.5.0.
        CHECK_WATCHES = 17 "checkWatches" "check_watches",
        /// Removes watches. Since 3.5.0.
        REMOVE_WATCHES = 18 "removeWatches" "remove_watches",
        /// Creates a container znode. Since 3.5.1.
        CREATE_CONTAINER = 19 "createContainer" "create_container",
        /// For servers among themselves; a client must not send it. Since 3.5.1.
        DELETE_CONTAINER = 20 "deleteContainer" "delete_container",
        /// Creates a znode with a time to live. Since 3.5.3.
        CREATE_TTL = 21 "createTTL" "create_ttl",
        /// Does several reads, each for itself. Since 3.6.0.
        MULTI_READ = 22 "multiRead" "multi_read",
        /// Adds an identity to the connection.
        AUTH = 100 "auth" "auth",
        /// Sets one-time watches again after a reconnect.
        SET_WATCHES = 101 "setWatches" "set_watches",
        /// One step of a SASL exchange. Since 3.4.
        SASL = 102 "sasl" "sasl",
        /// Lists the session's ephemerals. Since 3.6.0.
        GET_EPHEMERALS = 103 "getEphemerals" "get_ephemerals",
        /// Counts a znode's descendants. Since 3.6.0.
        GET_ALL_CHILDREN_NUMBER = 104 "getAllChildrenNumber" "get_all_children_number",
        /// Sets watches again after a reconnect, persistent ones too. Since 3.6.0.
        SET_WATCHES2 = 105 "setWatches2" "set_watches2",
        /// Adds a persistent watch. Since 3.6.0.
        ADD_WATCH = 106 "addWatch" "add_watch",
        /// Asks for the connection's identities. Since 3.7.0.
        WHO_AM_I = 107 "whoAmI" "who_am_i",
        /// For servers among themselves; a client must not send it.
        CREATE_SESSION = -10 "createSession" "create_session",
        /// Ends the session.
        CLOSE_SESSION = -11 "closeSession" "close_session",
        /// Marks a failed part of a multi, and its end; never a request.
        ERROR = -1 "error" "error",
    }
}

wire_number! {
    /// The server's verdict on a request: `KeeperException.Code`, and what only the C client has.
    ErrorCode {
        /// Success.
        OK = 0 "OK" "ok",
        /// A range's marker; in the C client also a local failure of the system.
        SYSTEM_ERROR = -1 "SYSTEMERROR" "system_error",
        /// In a failed multi: this operation was not tried, because another one failed.
        RUNTIME_INCONSISTENCY = -2 "RUNTIMEINCONSISTENCY" "runtime_inconsistency",
        /// Not sent by any server.
        DATA_INCONSISTENCY = -3 "DATAINCONSISTENCY" "data_inconsistency",
        /// Made up by clients: the connection was lost before the reply.
        CONNECTION_LOSS = -4 "CONNECTIONLOSS" "connection_loss",
        /// The server could not decode the request, or failed in an unforeseen way.
        MARSHALLING_ERROR = -5 "MARSHALLINGERROR" "marshalling_error",
        /// The server doesn't know the operation, or has it switched off.
        UNIMPLEMENTED = -6 "UNIMPLEMENTED" "unimplemented",
        /// Made up by the C client: no answer in time.
        OPERATION_TIMEOUT = -7 "OPERATIONTIMEOUT" "operation_timeout",
        /// A path, flag, time to live or configuration that the server doesn't accept.
        BAD_ARGUMENTS = -8 "BADARGUMENTS" "bad_arguments",
        /// Made up by the C client: the handle can't be used.
        INVALID_STATE = -9 "INVALIDSTATE" "invalid_state",
        /// The session vanished from a standalone server just now.
        UNKNOWN_SESSION = -12 "UNKNOWNSESSION" "unknown_session",
        /// A reconfig would leave no quorum that is connected and synced.
        NEW_CONFIG_NO_QUORUM = -13 "NEWCONFIGNOQUORUM" "new_config_no_quorum",
        /// Another reconfig is running.
        RECONFIG_IN_PROGRESS = -14 "RECONFIGINPROGRESS" "reconfig_in_progress",
        /// Made up by the C client: TLS failed.
        SSL_CONNECTION_ERROR = -15 "SSLCONNECTIONERROR" "ssl_connection_error",
        /// A range's marker.
        API_ERROR = -100 "APIERROR" "api_error",
        /// The znode, or the parent of one to be created, isn't there.
        NO_NODE = -101 "NONODE" "no_node",
        /// The ACL doesn't allow it.
        NO_AUTH = -102 "NOAUTH" "no_auth",
        /// The znode has another version.
        BAD_VERSION = -103 "BADVERSION" "bad_version",
        /// The parent is ephemeral.
        NO_CHILDREN_FOR_EPHEMERALS = -108 "NOCHILDRENFOREPHEMERALS" "no_children_for_ephemerals",
        /// The znode is there already.
        NODE_EXISTS = -110 "NODEEXISTS" "node_exists",
        /// The znode has children.
        NOT_EMPTY = -111 "NOTEMPTY" "not_empty",
        /// The session is expired or being closed.
        SESSION_EXPIRED = -112 "SESSIONEXPIRED" "session_expired",
        /// Not sent by any server.
        INVALID_CALLBACK = -113 "INVALIDCALLBACK" "invalid_callback",
        /// The ACL is empty or malformed, or is `auth` on a connection without identity.
        INVALID_ACL = -114 "INVALIDACL" "invalid_acl",
        /// The authentication was refused.
        AUTH_FAILED = -115 "AUTHFAILED" "auth_failed",
        /// Made up by the C client: the handle is being closed.
        CLOSING = -116 "CLOSING" "closing",
        /// Made up by the C client: there is nothing to process.
        NOTHING = -117 "NOTHING" "nothing",
        /// The session lives on another server; servers close the connection instead.
        SESSION_MOVED = -118 "SESSIONMOVED" "session_moved",
        /// A read-only server refuses writes. Since 3.4.0.
        NOT_READ_ONLY = -119 "NOTREADONLY" "not_read_only",
        /// A local session can't own ephemerals. Since 3.5.0.
        EPHEMERAL_ON_LOCAL_SESSION = -120 "EPHEMERALONLOCALSESSION" "ephemeral_on_local_session",
        /// There is no such watch. Since 3.5.0.
        NO_WATCHER = -121 "NOWATCHER" "no_watcher",
        /// Made up by the Java client: the request took too long.
        REQUEST_TIMEOUT = -122 "REQUESTTIMEOUT" "request_timeout",
        /// The ensemble has reconfig switched off. Since 3.5.3.
        RECONFIG_DISABLED = -123 "RECONFIGDISABLED" "reconfig_disabled",
        /// The server requires authentication and closes the connection. Since 3.6.0.
        SESSION_CLOSED_REQUIRE_SASL_AUTH = -124 "SESSIONCLOSEDREQUIRESASLAUTH" "session_closed_require_sasl_auth",
        /// A hard quota doesn't allow it. Since 3.7.0.
        QUOTA_EXCEEDED = -125 "QUOTAEXCEEDED" "quota_exceeded",
        /// The server is overloaded and didn't do it. Since 3.7.0.
        THROTTLED_OP = -127 "THROTTLEDOP" "throttled_op",
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.zookeeper_name() {
            Some(name) => write!(f, "{name} ({})", self.0),
            None => write!(f, "{}", self.0),
        }
    }
}

wire_number! {
    /// What happened to a watched znode: `Watcher.Event.EventType`.
    EventType {
        /// Not sent by servers: the session's state changed.
        NONE = -1 "None" "none",
        /// The znode was created.
        NODE_CREATED = 1 "NodeCreated" "node_created",
        /// The znode was deleted.
        NODE_DELETED = 2 "NodeDeleted" "node_deleted",
        /// The znode's data were set.
        NODE_DATA_CHANGED = 3 "NodeDataChanged" "node_data_changed",
        /// A child of the znode was created or deleted.
        NODE_CHILDREN_CHANGED = 4 "NodeChildrenChanged" "node_children_changed",
        /// Not sent by servers: a data watch was removed.
        DATA_WATCH_REMOVED = 5 "DataWatchRemoved" "data_watch_removed",
        /// Not sent by servers: a child watch was removed.
        CHILD_WATCH_REMOVED = 6 "ChildWatchRemoved" "child_watch_removed",
        /// Not sent by servers: a persistent watch was removed.
        PERSISTENT_WATCH_REMOVED = 7 "PersistentWatchRemoved" "persistent_watch_removed",
    }
}

wire_number! {
    /// The session's state as an event bears it: `Watcher.Event.KeeperState`. Servers always say `SYNC_CONNECTED`.
    KeeperState {
        /// Deprecated.
        UNKNOWN = -1 "Unknown" "unknown",
        /// There is no connection.
        DISCONNECTED = 0 "Disconnected" "disconnected",
        /// Deprecated.
        NO_SYNC_CONNECTED = 1 "NoSyncConnected" "no_sync_connected",
        /// Connected to a server that is part of a quorum.
        SYNC_CONNECTED = 3 "SyncConnected" "sync_connected",
        /// Authentication failed.
        AUTH_FAILED = 4 "AuthFailed" "auth_failed",
        /// Connected to a server without a quorum.
        CONNECTED_READ_ONLY = 5 "ConnectedReadOnly" "connected_read_only",
        /// The SASL exchange succeeded.
        SASL_AUTHENTICATED = 6 "SaslAuthenticated" "sasl_authenticated",
        /// The session was closed by the client.
        CLOSED = 7 "Closed" "closed",
        /// The session expired.
        EXPIRED = -112 "Expired" "expired",
    }
}

wire_number! {
    /// Which watches to check or remove: `Watcher.WatcherType`.
    WatcherType {
        /// Child watches.
        CHILDREN = 1 "Children" "children",
        /// Data and exists watches.
        DATA = 2 "Data" "data",
        /// All kinds.
        ANY = 3 "Any" "any",
        /// Persistent watches. Since 3.9.0.
        PERSISTENT = 4 "Persistent" "persistent",
        /// Persistent recursive watches. Since 3.9.0.
        PERSISTENT_RECURSIVE = 5 "PersistentRecursive" "persistent_recursive",
    }
}

wire_number! {
    /// Which watch to add: `AddWatchMode`.
    AddWatchMode {
        /// Stays until removed; tells of the znode itself and of its children's coming and going.
        PERSISTENT = 0 "PERSISTENT" "persistent",
        /// Stays until removed; tells of the znode and all below it.
        PERSISTENT_RECURSIVE = 1 "PERSISTENT_RECURSIVE" "persistent_recursive",
    }
}

/// Prints ZooKeeper's name, or the number if it has none.
macro_rules! display_name {
    ($($number:ident)+) => {$(
        impl fmt::Display for $number {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self.zookeeper_name() {
                    Some(name) => f.pad(name),
                    None => fmt::Display::fmt(&self.0, f),
                }
            }
        }
    )+};
}

display_name!(OpCode EventType KeeperState WatcherType AddWatchMode);

/// What an ACL entry allows: bits of `ZooDefs.Perms`. Prints as ZooKeeper's shell does: `cdrwa`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Perms(pub i32);

impl Perms {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// Read the data and list the children.
    pub const READ: Self = Self(1);
    /// Set the data.
    pub const WRITE: Self = Self(2);
    /// Create children.
    pub const CREATE: Self = Self(4);
    /// Delete children.
    pub const DELETE: Self = Self(8);
    /// Set the ACL.
    pub const ADMIN: Self = Self(16);
    /// All of these.
    pub const ALL: Self = Self(31);

    /// Whether all bits of the other are here.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether any bit of the other is here.
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

impl core::ops::BitOr for Perms {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl core::ops::BitOrAssign for Perms {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

impl core::ops::BitAnd for Perms {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl fmt::Display for Perms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const LETTERS: [(Perms, &str); 5] = [
            (Perms::CREATE, "c"),
            (Perms::DELETE, "d"),
            (Perms::READ, "r"),
            (Perms::WRITE, "w"),
            (Perms::ADMIN, "a"),
        ];
        if self.0 == 0 || !Self::ALL.contains(*self) {
            return fmt::Display::fmt(&self.0, f);
        }
        LETTERS.iter().filter(|(bit, _)| self.contains(*bit)).try_for_each(|(_, letter)| f.write_str(letter))
    }
}

impl fmt::Debug for Perms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

jute_newtype!(Perms: i32);

/// The number of a transaction of the service. 0 is none; servers send -1 where they have none to name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Zxid(pub i64);

jute_newtype!(Zxid: i64);

/// The identity of a session. 0 is none; often negative as a number, so it prints in hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct SessionId(pub i64);

jute_newtype!(SessionId: i64);

/// Prints the 64 bits in hexadecimal.
macro_rules! display_hex {
    ($($id:ident)+) => {$(
        impl fmt::Display for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:#x}", self.0 as u64)
            }
        }

        impl fmt::Debug for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    )+};
}

display_hex!(Zxid SessionId);
