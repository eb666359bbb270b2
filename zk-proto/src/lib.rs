#![no_std]
#![forbid(unsafe_code)]
//! ZooKeeper's wire protocol: bytes to records and back, for clients and servers alike.
//!
//! It knows no session and no time, no socket and no thread: it is data. jute, ZooKeeper's encoding, is plain: numbers are
//! big-endian; a `boolean` is a byte; a `ustring` and a `buffer` are a length of 4 bytes (-1: null), then so many bytes; a
//! `vector` is a count of 4 bytes (-1: null), then so many elements; a record is its fields, one after the other.
//! A [frame](FrameDecoder) is a length of 4 bytes and a payload; a payload is a header and a record.
extern crate alloc;

#[macro_use]
mod macros;

mod acl;
mod connect;
mod connect_string;
mod create_mode;
mod data;
mod error;
mod frame;
mod jute;
mod multi;
mod numbers;
mod op;
mod path;
mod proto;
#[cfg(feature = "proptest")]
pub mod strategy;
mod ustring;
mod value;
mod vector;

pub use bytes::{Bytes, BytesMut};

pub use acl::{CREATOR_ALL_ACL, IdError, OPEN_ACL_UNSAFE, READ_ACL_UNSAFE};
pub use connect::{ConnectRequest, ConnectResponse};
pub use connect_string::{ConnectString, ConnectStringError, DEFAULT_PORT, ServerAddr};
pub use create_mode::{CreateMode, TtlError};
pub use data::{Acl, ClientInfo, Id, Stat};
pub use error::{DecodeError, DecodeErrorKind};
pub use frame::{Frame, FrameDecoder, FrameError};
pub use jute::{Field, Jute, Reader, Record};
pub use multi::{Multi, MultiResponse, Op, OpResult};
pub use numbers::{
    AddWatchMode, ErrorCode, EventType, KeeperState, OpCode, Perms, SessionId, WatcherType, Zxid,
};
pub use op::{Request, Response, encode_event_frame, encode_reply_frame};
pub use path::{PathError, PathErrorKind, validate_create_path, validate_path};
pub use proto::{
    AddWatchRequest, AuthPacket, CheckVersionRequest, CheckWatchesRequest, Create2Response, CreateRequest,
    CreateResponse, CreateTtlRequest, DeleteRequest, ErrorResponse, ExistsRequest, ExistsResponse,
    GetAclRequest, GetAclResponse, GetAllChildrenNumberRequest, GetAllChildrenNumberResponse,
    GetChildren2Request, GetChildren2Response, GetChildrenRequest, GetChildrenResponse, GetDataRequest,
    GetDataResponse, GetEphemeralsRequest, GetEphemeralsResponse, GetSaslRequest, MultiHeader,
    ReconfigRequest, RemoveWatchesRequest, ReplyHeader, RequestHeader, SetAclRequest, SetAclResponse,
    SetDataRequest, SetDataResponse, SetSaslResponse, SetWatches, SetWatches2, SyncRequest, SyncResponse,
    WatcherEvent, WhoAmIResponse,
};
pub use ustring::Ustring;
pub use value::Value;
pub use vector::{Iter, Vector};
