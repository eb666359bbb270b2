//! What an ensemble is made of, and which version of ZooKeeper it plays.

use core::{str::FromStr, time::Duration};

use zk_session::zk_proto::{CreateMode, Op, OpCode};

/// How an ensemble is set up; the defaults are those of a fresh ZooKeeper 3.9 with `tickTime=2000`.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "configuration, made by struct update")]
pub struct Options {
    /// How many servers; one is standalone. At least 1.
    pub servers: usize,
    /// Whose behaviour is played where versions differ.
    pub version: Version,
    /// `tickTime`: sessions expire at its multiples, and session timeouts are bounded by 2 and 20 of it. At
    /// least a millisecond.
    pub tick: Duration,
    /// What a request takes from a follower to the leader, and a transaction back.
    pub hop: Duration,
    /// How long a server goes on before it notices that the leader, or the others, are silent: `syncLimit`.
    pub sync_limit: Duration,
    /// How long the election of a leader takes.
    pub election: Duration,
    /// `readonlymode.enabled`: a server without a quorum serves reads to clients that accept it, one tick after it
    /// has lost the quorum.
    pub read_only: bool,
    /// `localSessionsEnabled`, as far as it lets read-only servers from 3.7 on open sessions.
    pub local_sessions: bool,
    /// `zookeeper.extendedTypesEnabled`: znodes with a time to live. Off in a fresh ZooKeeper, on here.
    pub extended_types: bool,
    /// How often the leader looks for containers and znodes with a time to live that can go:
    /// `znode.container.checkIntervalMs`.
    pub container_check: Duration,
    /// `jute.maxbuffer`: longer frames end the connection; in bytes.
    pub max_frame_len: usize,
    /// `maxClientCnxns`: so many connections from one address to one server; 0 is no limit.
    pub max_client_cnxns: usize,
    /// `zookeeper.DigestAuthenticationProvider.superDigest`, as `super:hash`.
    pub super_digest: Option<String>,
    /// The wall clock at [`Instant::ZERO`](zk_session::Instant::ZERO), in milliseconds since the Unix epoch: what
    /// ctime and mtime count from.
    pub epoch_ms: i64,
    /// Makes session ids differ between ensembles.
    pub seed: u64,
}

impl Options {
    /// The longest session timeout that servers grant: `maxSessionTimeout`.
    pub fn longest_session_timeout(&self) -> Duration {
        self.tick * 20
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            servers: 1,
            version: Version::V3_9,
            tick: Duration::from_secs(2),
            hop: Duration::ZERO,
            sync_limit: Duration::from_secs(10),
            election: Duration::from_millis(200),
            read_only: false,
            local_sessions: false,
            extended_types: true,
            container_check: Duration::from_secs(60),
            max_frame_len: 0xF_FFFF,
            max_client_cnxns: 60,
            super_digest: None,
            epoch_ms: 1_700_000_000_000,
            seed: 0,
        }
    }
}

/// A version of ZooKeeper, by what a client can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Version {
    /// 3.4.14: no create2, no removal of watches, no containers.
    V3_4,
    /// 3.6.3: persistent watches, of which a path has one mode for each connection.
    V3_6,
    /// 3.8.0 as Debian has it: whoAmI; events are kept from those who may not read.
    V3_8,
    /// 3.9.5: watch modes live side by side, and events carry their zxid.
    V3_9,
}

/// No version that can be played.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{word:?}: known are 3.4, 3.6, 3.8 and 3.9")]
pub struct UnknownVersion {
    /// What was given.
    pub word: String,
}

impl FromStr for Version {
    type Err = UnknownVersion;

    fn from_str(word: &str) -> Result<Self, UnknownVersion> {
        Ok(match word {
            "3.4" => Self::V3_4,
            "3.6" => Self::V3_6,
            "3.8" => Self::V3_8,
            "3.9" => Self::V3_9,
            _ => return Err(UnknownVersion { word: word.to_owned() }),
        })
    }
}

impl Version {
    /// Whether clients may send this operation at all; others are answered with `UNIMPLEMENTED` and hung up on.
    pub(crate) fn knows(self, op: OpCode) -> bool {
        let since = match op {
            OpCode::CREATE
            | OpCode::DELETE
            | OpCode::EXISTS
            | OpCode::GET_DATA
            | OpCode::SET_DATA
            | OpCode::GET_ACL
            | OpCode::SET_ACL
            | OpCode::GET_CHILDREN
            | OpCode::SYNC
            | OpCode::PING
            | OpCode::GET_CHILDREN2
            | OpCode::MULTI
            | OpCode::AUTH
            | OpCode::SET_WATCHES
            | OpCode::SASL
            | OpCode::CLOSE_SESSION => Self::V3_4,
            OpCode::WHO_AM_I => Self::V3_8,
            OpCode::CREATE2
            | OpCode::RECONFIG
            | OpCode::CHECK_WATCHES
            | OpCode::REMOVE_WATCHES
            | OpCode::CREATE_CONTAINER
            | OpCode::CREATE_TTL
            | OpCode::MULTI_READ
            | OpCode::GET_EPHEMERALS
            | OpCode::GET_ALL_CHILDREN_NUMBER
            | OpCode::SET_WATCHES2
            | OpCode::ADD_WATCH => Self::V3_6,
            _ => return false,
        };
        self >= since
    }

    /// One watch mode for each path, table and connection, the last one: before ZOOKEEPER-4466.
    pub(crate) fn one_mode_per_path(self) -> bool {
        self < Self::V3_9
    }

    /// A write that can't be decoded takes a zxid: it was drawn first, until ZOOKEEPER-4615.
    pub(crate) fn numbers_malformed(self, op: OpCode) -> bool {
        let writes = [
            OpCode::CREATE,
            OpCode::CREATE2,
            OpCode::CREATE_CONTAINER,
            OpCode::CREATE_TTL,
            OpCode::DELETE,
            OpCode::SET_DATA,
            OpCode::SET_ACL,
        ];
        op == OpCode::MULTI || (self < Self::V3_9 && writes.contains(&op))
    }

    /// exists needs READ: ZOOKEEPER-2590.
    pub(crate) fn exists_needs_read(self) -> bool {
        self >= Self::V3_9
    }

    /// Events are kept from those who may not read: ZOOKEEPER-4799.
    pub(crate) fn filters_events(self) -> bool {
        self >= Self::V3_8
    }

    /// As what a create is done that is part of a multi: its flags decide, and what they leave open the operation since
    /// ZOOKEEPER-4026. It answers with a stat, too, unless it is a plain create.
    pub(crate) fn kind_of_create(self, op: &Op) -> Option<OpCode> {
        let flags = match op {
            Op::Create(create) | Op::Create2(create) | Op::CreateContainer(create) => create.flags,
            Op::CreateTtl(create) => create.flags,
            _ => return None,
        };
        Some(match CreateMode::from_flags(flags, 1) {
            _ if self == Self::V3_4 => OpCode::CREATE,
            Some(CreateMode::Container) => OpCode::CREATE_CONTAINER,
            Some(mode) if mode.ttl().is_some() => OpCode::CREATE_TTL,
            _ if self >= Self::V3_9 && !matches!(op, Op::CreateTtl(_)) => op.op_code(),
            _ => OpCode::CREATE,
        })
    }

    /// Read-only servers neither open sessions nor resume the ensemble's.
    pub(crate) fn read_only_refuses_sessions(self) -> bool {
        self >= Self::V3_8
    }

    /// What `srvr` says.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::V3_4 => "3.4.14",
            Self::V3_6 => "3.6.3",
            Self::V3_8 => "3.8.0",
            Self::V3_9 => "3.9.5",
        }
    }
}
