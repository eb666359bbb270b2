#![no_std]
#![forbid(unsafe_code)]
//! ZooKeeper's wire protocol: bytes to records and back, for clients and servers alike.
//!
//! It knows no session and no time, no socket and no thread: it is data. jute, ZooKeeper's encoding, is plain: numbers are
//! big-endian; a `boolean` is a byte; a `ustring` and a `buffer` are a length of 4 bytes (-1: null), then so many bytes; a
//! `vector` is a count of 4 bytes (-1: null), then so many elements; a record is its fields, one after the other.
//! A [frame](FrameDecoder) is a length of 4 bytes and a payload; a payload is a header and a record.
//!
//! # Reading and writing
//!
//! ```
//! use zk_proto::{
//!     BytesMut, Frame, FrameDecoder, GetDataRequest, Jute, OpCode, Reader, Request, RequestHeader,
//! };
//!
//! let request = Request::GetData(GetDataRequest { path: "/app".into(), watch: true });
//! let mut out = BytesMut::new();
//! request.encode_frame(1, &mut out);
//!
//! let mut decoder = FrameDecoder::new(1 << 20);
//! decoder.push(&out);
//! let Some(Frame::Whole(payload)) = decoder.next()? else { panic!("it came whole") };
//! let mut input = Reader::new(&payload);
//! let header = RequestHeader::decode(&mut input)?;
//! assert_eq!(header.op, OpCode::GET_DATA);
//! assert_eq!(Request::decode(header.op, &mut input)?, request);
//! assert_eq!(input.remaining(), 0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Strings, buffers and vectors that were decoded are slices of the payload: a record that is kept keeps the whole payload, and
//! with it the stream's buffer that it was cut from, in memory. Bytes that follow a record are left in the
//! [`Reader`]: a newer version can have appended something.
//!
//! # Operations
//!
//! | number | operation | request | reply | since |
//! |---|---|---|---|---|
//! | 1 | create | [`CreateRequest`] | [`CreateResponse`] | 3.0 |
//! | 2 | delete | [`DeleteRequest`] | | 3.0 |
//! | 3 | exists | [`ExistsRequest`] | [`ExistsResponse`] | 3.0 |
//! | 4 | getData | [`GetDataRequest`] | [`GetDataResponse`] | 3.0 |
//! | 5 | setData | [`SetDataRequest`] | [`SetDataResponse`] | 3.0 |
//! | 6 | getACL | [`GetAclRequest`] | [`GetAclResponse`] | 3.0 |
//! | 7 | setACL | [`SetAclRequest`] | [`SetAclResponse`] | 3.0 |
//! | 8 | getChildren | [`GetChildrenRequest`] | [`GetChildrenResponse`] | 3.0 |
//! | 9 | sync | [`SyncRequest`] | [`SyncResponse`] | 3.0 |
//! | 11 | ping | | | 3.0 |
//! | 12 | getChildren2 | [`GetChildren2Request`] | [`GetChildren2Response`] | 3.3 |
//! | 13 | check, in a multi only | [`CheckVersionRequest`] | | 3.4 |
//! | 14 | multi | [`Multi`] | [`MultiResponse`] | 3.4 |
//! | 15 | create2 | [`CreateRequest`] | [`Create2Response`] | 3.5.0 |
//! | 16 | reconfig | [`ReconfigRequest`] | [`GetDataResponse`] | 3.5.0 |
//! | 17 | checkWatches | [`CheckWatchesRequest`] | | 3.5.0 |
//! | 18 | removeWatches | [`RemoveWatchesRequest`] | | 3.5.0 |
//! | 19 | createContainer | [`CreateRequest`] | [`Create2Response`] | 3.5.1 |
//! | 20 | deleteContainer, for servers only | [`DeleteRequest`] | | 3.5.1 |
//! | 21 | createTTL | [`CreateTtlRequest`] | [`Create2Response`] | 3.5.3 |
//! | 22 | multiRead | [`Multi`] | [`MultiResponse`] | 3.6.0 |
//! | 100 | auth | [`AuthPacket`] | | 3.0 |
//! | 101 | setWatches | [`SetWatches`] | | 3.0 |
//! | 102 | sasl | [`GetSaslRequest`] | [`SetSaslResponse`] | 3.4 |
//! | 103 | getEphemerals | [`GetEphemeralsRequest`] | [`GetEphemeralsResponse`] | 3.6.0 |
//! | 104 | getAllChildrenNumber | [`GetAllChildrenNumberRequest`] | [`GetAllChildrenNumberResponse`] | 3.6.0 |
//! | 105 | setWatches2 | [`SetWatches2`] | | 3.6.0 |
//! | 106 | addWatch | [`AddWatchRequest`] | [`ErrorResponse`] | 3.6.0 |
//! | 107 | whoAmI | | [`WhoAmIResponse`] | 3.7.0 |
//! | -11 | closeSession | | | 3.0 |
//!
//! A connection begins with [`ConnectRequest`] and [`ConnectResponse`]; after that, each request has a [`RequestHeader`], and
//! each reply a [`ReplyHeader`]. A reply whose verdict isn't `OK` has no record (but a failed sasl step has its own). Events
//! of watches are a `ReplyHeader` with the xid -1 and a [`WatcherEvent`].
//!
//! # Features
//!
//! - `digest` (default): `Id::digest`, the ids of users with passwords.
//! - `proptest`: strategies for every record, for tests. Needs std.
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
pub use frame::{Frame, FrameDecoder, FrameError, Frames};
pub use jute::{Field, Jute, Reader, Record};
pub use multi::{Multi, MultiResponse, Op, OpResult};
pub use numbers::{
    AddWatchMode, ErrorCode, EventType, KeeperState, OpCode, Perms, SessionId, WatcherType, Zxid,
};
pub use op::{Request, Response, encode_event_frame, encode_reply_frame};
pub use path::{PathError, PathErrorKind, is_ordinary_path, validate_create_path, validate_path};
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

/// The examples of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExamples;
