use bytes::{BufMut, Bytes, BytesMut};

use crate::jute::{Fixed as _, put_length, wire_length};
use crate::{
    Acl, AddWatchRequest, AuthPacket, CheckVersionRequest, CheckWatchesRequest, Create2Response, CreateMode,
    CreateRequest, CreateResponse, CreateTtlRequest, DecodeError, DecodeErrorKind, DeleteRequest, ErrorCode,
    ErrorResponse, ExistsRequest, ExistsResponse, GetAclRequest, GetAclResponse, GetAllChildrenNumberRequest,
    GetAllChildrenNumberResponse, GetChildren2Request, GetChildren2Response, GetChildrenRequest,
    GetChildrenResponse, GetDataRequest, GetDataResponse, GetEphemeralsRequest, GetEphemeralsResponse,
    GetSaslRequest, Jute, Multi, MultiResponse, OpCode, Reader, ReconfigRequest, Record,
    RemoveWatchesRequest, ReplyHeader, RequestHeader, SetAclRequest, SetAclResponse, SetDataRequest,
    SetDataResponse, SetSaslResponse, SetWatches, SetWatches2, SyncRequest, SyncResponse, Ustring, Vector,
    WatcherEvent, WhoAmIResponse, Zxid,
};

bodies! {
    /// A request without its header: the operation and its record.
    #[expect(clippy::exhaustive_enums, reason = "a server has to handle each operation")]
    Request {
        records {
            /// Creates a znode; answered with its path.
            Create(CreateRequest),
            /// Creates a znode; answered with its path and stat. Since 3.5.0.
            Create2(CreateRequest),
            /// Creates a container. Since 3.5.1.
            CreateContainer(CreateRequest),
            /// Creates a znode with a time to live. Since 3.5.3.
            CreateTtl(CreateTtlRequest),
            /// Deletes a znode.
            Delete(DeleteRequest),
            /// For servers among themselves: a client must not send it. Since 3.5.1.
            DeleteContainer(DeleteRequest),
            /// Asks for a znode's stat.
            Exists(ExistsRequest),
            /// Asks for a znode's data and stat.
            GetData(GetDataRequest),
            /// Replaces a znode's data.
            SetData(SetDataRequest),
            /// Asks for a znode's ACL.
            GetAcl(GetAclRequest),
            /// Replaces a znode's ACL.
            SetAcl(SetAclRequest),
            /// Lists a znode's children.
            GetChildren(GetChildrenRequest),
            /// Lists a znode's children and asks for its stat. Since 3.3.
            GetChildren2(GetChildren2Request),
            /// Waits until the server has caught up with the leader.
            Sync(SyncRequest),
            /// Checks a version. Outside a multi, servers refuse it or worse: a client must not send it so.
            Check(CheckVersionRequest),
            /// Does several writes, all or none. Since 3.4.
            Multi(Multi),
            /// Does several reads, each for itself. Since 3.6.0.
            MultiRead(Multi),
            /// Changes the ensemble's membership. Since 3.5.0.
            Reconfig(ReconfigRequest),
            /// Asks whether this connection has a watch. Since 3.5.0.
            CheckWatches(CheckWatchesRequest),
            /// Removes watches. Since 3.5.0.
            RemoveWatches(RemoveWatchesRequest),
            /// Adds a persistent watch. Since 3.6.0.
            AddWatch(AddWatchRequest),
            /// Lists the session's ephemerals. Since 3.6.0.
            GetEphemerals(GetEphemeralsRequest),
            /// Counts a znode's descendants. Since 3.6.0.
            GetAllChildrenNumber(GetAllChildrenNumberRequest),
            /// Adds an identity to the connection.
            Auth(AuthPacket),
            /// One step of a SASL exchange. Since 3.4.
            Sasl(GetSaslRequest),
            /// Sets one-time watches again.
            SetWatches(SetWatches),
            /// Sets watches again, persistent ones too. Since 3.6.0.
            SetWatches2(SetWatches2),
        }
        empty {
            /// Keeps the session alive.
            Ping,
            /// Asks for the connection's identities. Since 3.7.0.
            WhoAmI,
            /// Ends the session.
            CloseSession,
        }
    }
}

bodies! {
    /// A reply without its header: the record of an operation that succeeded.
    #[expect(clippy::exhaustive_enums, reason = "a client has to handle the reply to each operation")]
    #[repr(u64)] // A tag as wide as what comes after it: responses are moved in whole words.
    Response {
        records {
            /// To create.
            Create(CreateResponse),
            /// To create2, createContainer and createTTL.
            Create2(Create2Response),
            /// To exists.
            Exists(ExistsResponse),
            /// To getData.
            GetData(GetDataResponse),
            /// To setData.
            SetData(SetDataResponse),
            /// To getACL.
            GetAcl(GetAclResponse),
            /// To setACL.
            SetAcl(SetAclResponse),
            /// To getChildren.
            GetChildren(GetChildrenResponse),
            /// To getChildren2.
            GetChildren2(GetChildren2Response),
            /// To sync.
            Sync(SyncResponse),
            /// To multi; it can tell of a failure although the header's verdict is `OK`.
            Multi(MultiResponse),
            /// To multiRead.
            MultiRead(MultiResponse),
            /// To reconfig: the new configuration.
            Reconfig(GetDataResponse),
            /// To addWatch.
            AddWatch(ErrorResponse),
            /// To getEphemerals.
            GetEphemerals(GetEphemeralsResponse),
            /// To getAllChildrenNumber.
            GetAllChildrenNumber(GetAllChildrenNumberResponse),
            /// To whoAmI.
            WhoAmI(WhoAmIResponse),
            /// To sasl.
            Sasl(SetSaslResponse),
        }
        empty {
            /// To what is answered by the header alone: delete, check, ping, auth, setWatches, setWatches2,
            /// checkWatches, removeWatches, closeSession.
            Empty,
        }
    }
}

impl Request {
    /// Asks for a new znode, by the operation that answers path and stat for its kind: create2,
    /// createContainer or createTTL.
    pub fn create(path: impl Into<Ustring>, data: Option<Bytes>, acl: Vector<Acl>, mode: CreateMode) -> Self {
        let path = path.into();
        let flags = mode.flags();
        match mode {
            CreateMode::PersistentWithTtl(ttl) | CreateMode::PersistentSequentialWithTtl(ttl) => {
                Self::CreateTtl(CreateTtlRequest { path, data, acl, flags, ttl })
            }
            CreateMode::Container => Self::CreateContainer(CreateRequest { path, data, acl, flags }),
            CreateMode::Persistent
            | CreateMode::Ephemeral
            | CreateMode::PersistentSequential
            | CreateMode::EphemeralSequential => Self::Create2(CreateRequest { path, data, acl, flags }),
        }
    }

    /// The operation's number.
    pub fn op_code(&self) -> OpCode {
        match self {
            Self::Create(_) => OpCode::CREATE,
            Self::Create2(_) => OpCode::CREATE2,
            Self::CreateContainer(_) => OpCode::CREATE_CONTAINER,
            Self::CreateTtl(_) => OpCode::CREATE_TTL,
            Self::Delete(_) => OpCode::DELETE,
            Self::DeleteContainer(_) => OpCode::DELETE_CONTAINER,
            Self::Exists(_) => OpCode::EXISTS,
            Self::GetData(_) => OpCode::GET_DATA,
            Self::SetData(_) => OpCode::SET_DATA,
            Self::GetAcl(_) => OpCode::GET_ACL,
            Self::SetAcl(_) => OpCode::SET_ACL,
            Self::GetChildren(_) => OpCode::GET_CHILDREN,
            Self::GetChildren2(_) => OpCode::GET_CHILDREN2,
            Self::Sync(_) => OpCode::SYNC,
            Self::Ping => OpCode::PING,
            Self::Check(_) => OpCode::CHECK,
            Self::Multi(_) => OpCode::MULTI,
            Self::MultiRead(_) => OpCode::MULTI_READ,
            Self::Reconfig(_) => OpCode::RECONFIG,
            Self::CheckWatches(_) => OpCode::CHECK_WATCHES,
            Self::RemoveWatches(_) => OpCode::REMOVE_WATCHES,
            Self::AddWatch(_) => OpCode::ADD_WATCH,
            Self::GetEphemerals(_) => OpCode::GET_EPHEMERALS,
            Self::GetAllChildrenNumber(_) => OpCode::GET_ALL_CHILDREN_NUMBER,
            Self::WhoAmI => OpCode::WHO_AM_I,
            Self::Auth(_) => OpCode::AUTH,
            Self::Sasl(_) => OpCode::SASL,
            Self::SetWatches(_) => OpCode::SET_WATCHES,
            Self::SetWatches2(_) => OpCode::SET_WATCHES2,
            Self::CloseSession => OpCode::CLOSE_SESSION,
        }
    }

    /// Reads the record that a request for this operation has.
    ///
    /// # Errors
    /// If the record is malformed, or the operation is none that a client can ask for.
    pub fn decode(op: OpCode, input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match op {
            OpCode::CREATE => Self::Create(Jute::decode(input)?),
            OpCode::CREATE2 => Self::Create2(Jute::decode(input)?),
            OpCode::CREATE_CONTAINER => Self::CreateContainer(Jute::decode(input)?),
            OpCode::CREATE_TTL => Self::CreateTtl(Jute::decode(input)?),
            OpCode::DELETE => Self::Delete(Jute::decode(input)?),
            OpCode::DELETE_CONTAINER => Self::DeleteContainer(Jute::decode(input)?),
            OpCode::EXISTS => Self::Exists(Jute::decode(input)?),
            OpCode::GET_DATA => Self::GetData(Jute::decode(input)?),
            OpCode::SET_DATA => Self::SetData(Jute::decode(input)?),
            OpCode::GET_ACL => Self::GetAcl(Jute::decode(input)?),
            OpCode::SET_ACL => Self::SetAcl(Jute::decode(input)?),
            OpCode::GET_CHILDREN => Self::GetChildren(Jute::decode(input)?),
            OpCode::GET_CHILDREN2 => Self::GetChildren2(Jute::decode(input)?),
            OpCode::SYNC => Self::Sync(Jute::decode(input)?),
            OpCode::PING => Self::Ping,
            OpCode::CHECK => Self::Check(Jute::decode(input)?),
            OpCode::MULTI => Self::Multi(Jute::decode(input)?),
            OpCode::MULTI_READ => Self::MultiRead(Jute::decode(input)?),
            OpCode::RECONFIG => Self::Reconfig(Jute::decode(input)?),
            OpCode::CHECK_WATCHES => Self::CheckWatches(Jute::decode(input)?),
            OpCode::REMOVE_WATCHES => Self::RemoveWatches(Jute::decode(input)?),
            OpCode::ADD_WATCH => Self::AddWatch(Jute::decode(input)?),
            OpCode::GET_EPHEMERALS => Self::GetEphemerals(Jute::decode(input)?),
            OpCode::GET_ALL_CHILDREN_NUMBER => Self::GetAllChildrenNumber(Jute::decode(input)?),
            OpCode::WHO_AM_I => Self::WhoAmI,
            OpCode::AUTH => Self::Auth(Jute::decode(input)?),
            OpCode::SASL => Self::Sasl(Jute::decode(input)?),
            OpCode::SET_WATCHES => Self::SetWatches(Jute::decode(input)?),
            OpCode::SET_WATCHES2 => Self::SetWatches2(Jute::decode(input)?),
            OpCode::CLOSE_SESSION => Self::CloseSession,
            _ => return Err(unknown(op, input.position(), RequestHeader::NAME)),
        })
    }

    /// Appends the frame: length, header and record.
    ///
    /// # Panics
    /// If it is longer than a frame's 2,147,483,647 bytes.
    pub fn encode_frame(&self, xid: i32, out: &mut BytesMut) {
        let len = RequestHeader::MIN_LEN + self.encoded_len();
        out.reserve(4 + len);
        let mut head = [0; 4 + RequestHeader::MIN_LEN];
        let rest = wire_length(len).write(&mut head);
        self.op_code().write(xid.write(rest));
        out.put_slice(&head);
        self.encode(out);
    }

    /// The path that the request is about, if it is about one.
    pub fn path(&self) -> Option<&Ustring> {
        match self {
            Self::Create(record) | Self::Create2(record) | Self::CreateContainer(record) => {
                Some(&record.path)
            }
            Self::CreateTtl(record) => Some(&record.path),
            Self::Delete(record) | Self::DeleteContainer(record) => Some(&record.path),
            Self::Exists(record) => Some(&record.path),
            Self::GetData(record) => Some(&record.path),
            Self::SetData(record) => Some(&record.path),
            Self::GetAcl(record) => Some(&record.path),
            Self::SetAcl(record) => Some(&record.path),
            Self::GetChildren(record) => Some(&record.path),
            Self::GetChildren2(record) => Some(&record.path),
            Self::Sync(record) => Some(&record.path),
            Self::Check(record) => Some(&record.path),
            Self::CheckWatches(record) => Some(&record.path),
            Self::RemoveWatches(record) => Some(&record.path),
            Self::AddWatch(record) => Some(&record.path),
            Self::GetEphemerals(record) => Some(&record.prefix_path),
            Self::GetAllChildrenNumber(record) => Some(&record.path),
            Self::Ping
            | Self::Multi(_)
            | Self::MultiRead(_)
            | Self::Reconfig(_)
            | Self::WhoAmI
            | Self::Auth(_)
            | Self::Sasl(_)
            | Self::SetWatches(_)
            | Self::SetWatches2(_)
            | Self::CloseSession => None,
        }
    }

    /// The same path, to be changed.
    pub fn path_mut(&mut self) -> Option<&mut Ustring> {
        match self {
            Self::Create(record) | Self::Create2(record) | Self::CreateContainer(record) => {
                Some(&mut record.path)
            }
            Self::CreateTtl(record) => Some(&mut record.path),
            Self::Delete(record) | Self::DeleteContainer(record) => Some(&mut record.path),
            Self::Exists(record) => Some(&mut record.path),
            Self::GetData(record) => Some(&mut record.path),
            Self::SetData(record) => Some(&mut record.path),
            Self::GetAcl(record) => Some(&mut record.path),
            Self::SetAcl(record) => Some(&mut record.path),
            Self::GetChildren(record) => Some(&mut record.path),
            Self::GetChildren2(record) => Some(&mut record.path),
            Self::Sync(record) => Some(&mut record.path),
            Self::Check(record) => Some(&mut record.path),
            Self::CheckWatches(record) => Some(&mut record.path),
            Self::RemoveWatches(record) => Some(&mut record.path),
            Self::AddWatch(record) => Some(&mut record.path),
            Self::GetEphemerals(record) => Some(&mut record.prefix_path),
            Self::GetAllChildrenNumber(record) => Some(&mut record.path),
            Self::Ping
            | Self::Multi(_)
            | Self::MultiRead(_)
            | Self::Reconfig(_)
            | Self::WhoAmI
            | Self::Auth(_)
            | Self::Sasl(_)
            | Self::SetWatches(_)
            | Self::SetWatches2(_)
            | Self::CloseSession => None,
        }
    }
}

impl Response {
    /// Reads the record that the reply to a successful operation has.
    ///
    /// # Errors
    /// If the record is malformed, or the operation is none that a client can ask for.
    #[inline(always)]
    pub fn decode(op: OpCode, input: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Self::decode_then(op, input, |response| response)
    }

    /// The same, handed on: responses are large, and what is made of this one is made where it goes.
    #[inline(always)]
    pub fn decode_then<T>(
        op: OpCode,
        input: &mut Reader<'_>,
        then: impl FnOnce(Result<Self, DecodeError>) -> T,
    ) -> T {
        match op {
            OpCode::CREATE => then(Jute::decode(input).map(Self::Create)),
            OpCode::CREATE2 | OpCode::CREATE_CONTAINER | OpCode::CREATE_TTL => {
                then(Jute::decode(input).map(Self::Create2))
            }
            OpCode::EXISTS => then(Jute::decode(input).map(Self::Exists)),
            OpCode::GET_DATA => then(Jute::decode(input).map(Self::GetData)),
            OpCode::SET_DATA => then(Jute::decode(input).map(Self::SetData)),
            OpCode::GET_ACL => then(Jute::decode(input).map(Self::GetAcl)),
            OpCode::SET_ACL => then(Jute::decode(input).map(Self::SetAcl)),
            OpCode::GET_CHILDREN => then(Jute::decode(input).map(Self::GetChildren)),
            OpCode::GET_CHILDREN2 => then(Jute::decode(input).map(Self::GetChildren2)),
            OpCode::SYNC => then(Jute::decode(input).map(Self::Sync)),
            OpCode::MULTI => then(Jute::decode(input).map(Self::Multi)),
            OpCode::MULTI_READ => then(Jute::decode(input).map(Self::MultiRead)),
            OpCode::RECONFIG => then(Jute::decode(input).map(Self::Reconfig)),
            OpCode::ADD_WATCH => then(Jute::decode(input).map(Self::AddWatch)),
            OpCode::GET_EPHEMERALS => then(Jute::decode(input).map(Self::GetEphemerals)),
            OpCode::GET_ALL_CHILDREN_NUMBER => then(Jute::decode(input).map(Self::GetAllChildrenNumber)),
            OpCode::WHO_AM_I => then(Jute::decode(input).map(Self::WhoAmI)),
            OpCode::SASL => then(Jute::decode(input).map(Self::Sasl)),
            OpCode::DELETE
            | OpCode::DELETE_CONTAINER
            | OpCode::PING
            | OpCode::CHECK
            | OpCode::CHECK_WATCHES
            | OpCode::REMOVE_WATCHES
            | OpCode::AUTH
            | OpCode::SET_WATCHES
            | OpCode::SET_WATCHES2
            | OpCode::CLOSE_SESSION => then(Ok(Self::Empty)),
            _ => then(Err(unknown(op, input.position(), ReplyHeader::NAME))),
        }
    }
}

/// Appends a reply's frame: length, header, and a record if there is one.
///
/// # Panics
/// If it is longer than a frame's 2,147,483,647 bytes.
pub fn encode_reply_frame(header: &ReplyHeader, body: Option<&Response>, out: &mut BytesMut) {
    let len = ReplyHeader::MIN_LEN + body.map_or(0, Response::encoded_len);
    out.reserve(4 + len);
    put_length(out, len);
    header.encode(out);
    if let Some(body) = body {
        body.encode(out);
    }
}

/// Appends an event's frame. Since 3.9 servers say which transaction it is about; before that, and where they make
/// up for what was missed, they say -1.
///
/// # Panics
/// If it is longer than a frame's 2,147,483,647 bytes.
pub fn encode_event_frame(zxid: Zxid, event: &WatcherEvent, out: &mut BytesMut) {
    let len = ReplyHeader::MIN_LEN + event.encoded_len();
    out.reserve(4 + len);
    put_length(out, len);
    ReplyHeader { xid: ReplyHeader::EVENT_XID, zxid, err: ErrorCode::OK }.encode(out);
    event.encode(out);
}

impl ReplyHeader {
    /// The xid of an event of a watch.
    pub const EVENT_XID: i32 = -1;
    /// The xid of a ping and of its reply.
    pub const PING_XID: i32 = -2;
    /// The xid of an auth packet and of its reply.
    pub const AUTH_XID: i32 = -4;
}

pub(crate) fn unknown(op: OpCode, at: usize, header: &'static str) -> DecodeError {
    DecodeError::new(at, DecodeErrorKind::UnknownOpCode(op)).within(header, "type")
}
