//! Strategies for every record and number, for property tests of what is built on this crate: `any::<Stat>()`,
//! `any::<Request>()`. Needs the feature `proptest`.
//!
//! ```
//! use proptest::prelude::*;
//! use zk_proto::{BytesMut, GetDataResponse, Jute, Reader};
//!
//! proptest!(|(reply: GetDataResponse)| {
//!     let mut out = BytesMut::new();
//!     reply.encode(&mut out);
//!     prop_assert_eq!(GetDataResponse::decode(&mut Reader::new(&out.freeze())), Ok(reply));
//! });
//! ```

use alloc::vec::Vec;

use bytes::Bytes;
use proptest::arbitrary::{Arbitrary, any};
use proptest::collection::vec;
use proptest::prelude::prop_oneof;
use proptest::strategy::{BoxedStrategy, Just, Strategy, Union};

use crate::{
    Acl, AddWatchMode, AddWatchRequest, AuthPacket, CheckVersionRequest, CheckWatchesRequest, ClientInfo,
    ConnectRequest, ConnectResponse, Create2Response, CreateMode, CreateRequest, CreateResponse,
    CreateTtlRequest, DeleteRequest, ErrorCode, ErrorResponse, EventType, ExistsRequest, ExistsResponse,
    GetAclRequest, GetAclResponse, GetAllChildrenNumberRequest, GetAllChildrenNumberResponse,
    GetChildren2Request, GetChildren2Response, GetChildrenRequest, GetChildrenResponse, GetDataRequest,
    GetDataResponse, GetEphemeralsRequest, GetEphemeralsResponse, GetSaslRequest, Id, Jute, KeeperState,
    Multi, MultiHeader, MultiResponse, Op, OpCode, OpResult, Perms, ReconfigRequest, RemoveWatchesRequest,
    ReplyHeader, Request, RequestHeader, Response, SessionId, SetAclRequest, SetAclResponse, SetDataRequest,
    SetDataResponse, SetSaslResponse, SetWatches, SetWatches2, Stat, SyncRequest, SyncResponse, Ustring,
    Vector, WatcherEvent, WatcherType, WhoAmIResponse, Zxid,
};

/// A type of which any value can be made up. What is `Generate` and of this crate is `Arbitrary` too.
pub trait Generate: Sized {
    /// Makes up every value that the wire can carry, odd and null ones often.
    fn strategy() -> BoxedStrategy<Self>;
}

macro_rules! any_primitive {
    ($($primitive:ty)+) => {$(
        impl Generate for $primitive {
            fn strategy() -> BoxedStrategy<Self> {
                any::<$primitive>().boxed()
            }
        }
    )+};
}

any_primitive!(i32 i64 bool);

macro_rules! arbitrary {
    ($($type:ty)+) => {$(
        impl Arbitrary for $type {
            type Parameters = ();
            type Strategy = BoxedStrategy<Self>;

            fn arbitrary_with((): ()) -> Self::Strategy {
                Self::strategy()
            }
        }
    )+};
}

arbitrary!(
    Ustring OpCode ErrorCode EventType KeeperState WatcherType AddWatchMode Perms Zxid SessionId CreateMode Id Acl Stat
    ClientInfo RequestHeader ReplyHeader MultiHeader ConnectRequest ConnectResponse CreateRequest CreateTtlRequest
    DeleteRequest ExistsRequest GetDataRequest SetDataRequest GetAclRequest SetAclRequest GetChildrenRequest
    GetChildren2Request SyncRequest CheckVersionRequest ReconfigRequest CheckWatchesRequest RemoveWatchesRequest
    AuthPacket SetWatches SetWatches2 GetSaslRequest GetEphemeralsRequest GetAllChildrenNumberRequest AddWatchRequest
    CreateResponse Create2Response ExistsResponse GetDataResponse SetDataResponse GetAclResponse SetAclResponse
    GetChildrenResponse GetChildren2Response SyncResponse SetSaslResponse GetEphemeralsResponse
    GetAllChildrenNumberResponse WhoAmIResponse ErrorResponse WatcherEvent Multi MultiResponse Op OpResult Request
    Response
);

impl<T: Jute + Generate + core::fmt::Debug + 'static> Arbitrary for Vector<T> {
    type Parameters = ();
    type Strategy = BoxedStrategy<Self>;

    fn arbitrary_with((): ()) -> Self::Strategy {
        Self::strategy()
    }
}

impl Generate for Option<Bytes> {
    fn strategy() -> BoxedStrategy<Self> {
        prop_oneof![
            Just(None),
            Just(Some(Bytes::new())),
            vec(any::<u8>(), 0..64).prop_map(|bytes| Some(Bytes::from(bytes))),
        ]
        .boxed()
    }
}

impl Generate for Ustring {
    fn strategy() -> BoxedStrategy<Self> {
        prop_oneof![
            1 => Just(Self::NULL),
            1 => Just(Self::from("")),
            4 => "(/[a-z0-9]{1,8}){1,4}".prop_map(Self::from),
            2 => any::<alloc::string::String>().prop_map(Self::from),
            1 => vec(any::<u8>(), 0..16).prop_map(|bytes| Self::from_bytes(Bytes::from(bytes))),
        ]
        .boxed()
    }
}

impl<T: Jute + Generate + core::fmt::Debug + 'static> Generate for Vector<T> {
    fn strategy() -> BoxedStrategy<Self> {
        prop_oneof![1 => Just(Self::NULL), 7 => vec(T::strategy(), 0..6).prop_map(Self::from)].boxed()
    }
}

impl Generate for Perms {
    fn strategy() -> BoxedStrategy<Self> {
        prop_oneof![0..=Self::ALL.0, any::<i32>()].prop_map(Self).boxed()
    }
}

impl Generate for Zxid {
    fn strategy() -> BoxedStrategy<Self> {
        any::<i64>().prop_map(Self).boxed()
    }
}

impl Generate for SessionId {
    fn strategy() -> BoxedStrategy<Self> {
        any::<i64>().prop_map(Self).boxed()
    }
}

/// Modes that servers accept.
impl Generate for CreateMode {
    fn strategy() -> BoxedStrategy<Self> {
        (0..=6, Self::TTL_MS)
            .prop_map(|(flags, ttl)| Self::from_flags(flags, ttl).expect("0 to 6 are modes"))
            .boxed()
    }
}

impl Generate for ConnectRequest {
    fn strategy() -> BoxedStrategy<Self> {
        let fields = (
            any::<i32>(),
            Zxid::strategy(),
            any::<i32>(),
            SessionId::strategy(),
            Option::<Bytes>::strategy(),
        );
        (fields, any::<Option<bool>>())
            .prop_map(|((protocol_version, last_zxid_seen, time_out, session_id, passwd), read_only)| Self {
                protocol_version,
                last_zxid_seen,
                time_out,
                session_id,
                passwd,
                read_only,
            })
            .boxed()
    }
}

/// With passwords of at least 16 bytes: a shorter response is none that a server sends, and isn't accepted.
impl Generate for ConnectResponse {
    fn strategy() -> BoxedStrategy<Self> {
        let passwd = vec(any::<u8>(), 16..32).prop_map(|bytes| Some(Bytes::from(bytes)));
        (any::<i32>(), any::<i32>(), SessionId::strategy(), passwd, any::<Option<bool>>())
            .prop_map(|(protocol_version, time_out, session_id, passwd, read_only)| Self {
                protocol_version,
                time_out,
                session_id,
                passwd,
                read_only,
            })
            .boxed()
    }
}

impl Generate for Multi {
    fn strategy() -> BoxedStrategy<Self> {
        vec(Op::strategy(), 0..6).prop_map(|ops| Self { ops }).boxed()
    }
}

impl Generate for OpResult {
    fn strategy() -> BoxedStrategy<Self> {
        prop_oneof![
            CreateResponse::strategy().prop_map(Self::Create),
            Create2Response::strategy().prop_map(Self::Create2),
            Just(Self::Delete),
            SetDataResponse::strategy().prop_map(Self::SetData),
            Just(Self::Check),
            GetDataResponse::strategy().prop_map(Self::GetData),
            GetChildrenResponse::strategy().prop_map(Self::GetChildren),
            ErrorCode::strategy().prop_map(Self::Error),
        ]
        .boxed()
    }
}

impl Generate for MultiResponse {
    fn strategy() -> BoxedStrategy<Self> {
        vec(OpResult::strategy(), 0..6).prop_map(|results| Self { results }).boxed()
    }
}

pub(crate) fn known_or_any<T>(known: &'static [T], new: fn(i32) -> T) -> BoxedStrategy<T>
where
    T: Copy + core::fmt::Debug + 'static,
{
    prop_oneof![3 => proptest::sample::select(known), 1 => any::<i32>().prop_map(new)].boxed()
}

pub(crate) fn any_of<T: Clone + core::fmt::Debug + 'static>(
    records: Vec<BoxedStrategy<T>>,
    empty: Vec<T>,
) -> BoxedStrategy<T> {
    Union::new(records.into_iter().chain(empty.into_iter().map(|none| Just(none).boxed()))).boxed()
}
