//! What clients ask: every operation, on few paths, so that they get into each other's way.

use proptest::{collection::vec, prelude::*, sample::select};
use zk_proto::{
    Acl, AddWatchMode, AddWatchRequest, Bytes, CREATOR_ALL_ACL, CheckVersionRequest, CheckWatchesRequest,
    CreateRequest, CreateTtlRequest, DeleteRequest, ExistsRequest, GetAclRequest,
    GetAllChildrenNumberRequest, GetChildren2Request, GetChildrenRequest, GetDataRequest,
    GetEphemeralsRequest, Id, Multi, OPEN_ACL_UNSAFE, Op, OpCode, Perms, ReconfigRequest,
    RemoveWatchesRequest, Request, SetAclRequest, SetDataRequest, SetWatches, SetWatches2, SyncRequest,
    Ustring, Vector, WatcherType, Zxid,
};

/// A request that is answered in its turn.
#[derive(Clone, Debug)]
pub(crate) enum Call {
    Request(Request),
    /// Watches set again, against a zxid that is so many transactions old.
    SetWatches {
        age: usize,
        paths: SetWatches2,
        op: OpCode,
    },
    /// A body that needn't be one.
    Raw(OpCode, Bytes),
}

impl Call {
    pub(crate) fn op(&self) -> OpCode {
        match self {
            Self::Request(request) => request.op_code(),
            Self::SetWatches { op, .. } | Self::Raw(op, _) => *op,
        }
    }

    /// Whether what follows at once is answered alike each time. What follows a setACL can be checked against the old ACL
    /// or the new one; and a multi that fails for no foreseen reason leaves traces for a moment.
    pub(crate) fn lets_others_follow(&self) -> bool {
        match self {
            Self::Request(Request::Multi(multi)) => multi.ops.iter().all(is_foreseen),
            call => call.op() != OpCode::SET_ACL,
        }
    }

    /// The body, as one side understands it.
    pub(crate) fn body(&self, aged: impl Fn(usize) -> Zxid) -> Bytes {
        let mut out = zk_proto::BytesMut::new();
        match self {
            Self::Request(request) => request.encode(&mut out),
            Self::SetWatches { age, paths, op } => {
                let paths = SetWatches2 { relative_zxid: aged(*age), ..paths.clone() };
                if *op == OpCode::SET_WATCHES {
                    Request::SetWatches(one_time(paths)).encode(&mut out);
                } else {
                    Request::SetWatches2(paths).encode(&mut out);
                }
            }
            Self::Raw(_, body) => return body.clone(),
        }
        out.freeze()
    }
}

/// Whether a server comes to a verdict on it.
fn is_foreseen(op: &Op) -> bool {
    let (acl, has_kind) = match op {
        Op::Create(create) | Op::Create2(create) | Op::CreateContainer(create) => {
            (&create.acl, ![5, 6].contains(&create.flags))
        }
        Op::CreateTtl(create) => (&create.acl, true),
        _ => (&OPEN_ACL_UNSAFE, true),
    };
    let has_null = acl.iter().any(|entry| entry.id.scheme.is_null() || entry.id.id.is_null());
    has_kind && !has_null && !acl.is_null() && !op.clone().path_mut().is_null()
}

fn one_time(paths: SetWatches2) -> SetWatches {
    SetWatches {
        relative_zxid: paths.relative_zxid,
        data_watches: paths.data_watches,
        exist_watches: paths.exist_watches,
        child_watches: paths.child_watches,
    }
}

pub(crate) fn call() -> impl Strategy<Value = Call> {
    prop_oneof![
        24 => write().prop_map(Call::Request),
        20 => read().prop_map(Call::Request),
        7 => watch().prop_map(Call::Request),
        5 => vec(op(), 0..5).prop_map(|ops| Call::Request(Request::Multi(Multi { ops }))),
        2 => vec(read_op(), 0..5).prop_map(|ops| Call::Request(Request::MultiRead(Multi { ops }))),
        3 => set_watches(),
        1 => raw(),
    ]
}

fn write() -> BoxedStrategy<Request> {
    prop_oneof![
        8 => create().prop_map(Request::Create),
        8 => create().prop_map(Request::Create2),
        2 => create().prop_map(|create| Request::CreateContainer(CreateRequest { flags: 4, ..create })),
        1 => create().prop_map(Request::CreateContainer),
        2 => create_ttl().prop_map(Request::CreateTtl),
        9 => delete().prop_map(Request::Delete),
        7 => set_data().prop_map(Request::SetData),
        3 => (path(), acl(), version())
            .prop_map(|(path, acl, version)| Request::SetAcl(SetAclRequest { path, acl, version })),
        1 => reconfig(),
    ]
    .boxed()
}

fn read() -> BoxedStrategy<Request> {
    prop_oneof![
        4 => (path(), watches()).prop_map(|(path, watch)| Request::Exists(ExistsRequest { path, watch })),
        4 => (path(), watches()).prop_map(|(path, watch)| Request::GetData(GetDataRequest { path, watch })),
        3 => (path(), watches())
            .prop_map(|(path, watch)| Request::GetChildren(GetChildrenRequest { path, watch })),
        3 => (path(), watches())
            .prop_map(|(path, watch)| Request::GetChildren2(GetChildren2Request { path, watch })),
        2 => path().prop_map(|path| Request::GetAcl(GetAclRequest { path })),
        1 => path().prop_map(|path| Request::Sync(SyncRequest { path })),
        1 => path().prop_map(|path| {
            Request::GetAllChildrenNumber(GetAllChildrenNumberRequest { path })
        }),
        1 => path().prop_map(|prefix_path| Request::GetEphemerals(GetEphemeralsRequest { prefix_path })),
        1 => Just(Request::WhoAmI),
        1 => Just(Request::Ping),
    ]
    .boxed()
}

fn watch() -> impl Strategy<Value = Request> {
    let mode = prop_oneof![
        5 => Just(AddWatchMode::PERSISTENT),
        5 => Just(AddWatchMode::PERSISTENT_RECURSIVE),
        1 => any::<i32>().prop_map(AddWatchMode),
    ];
    let watcher_type =
        || prop_oneof![9 => select(WatcherType::KNOWN), 1 => any::<i32>().prop_map(WatcherType)];
    prop_oneof![
        // A watch on null keeps servers from ever closing the connection.
        (path().prop_filter("null", |path| !path.is_null()), mode)
            .prop_map(|(path, mode)| Request::AddWatch(AddWatchRequest { path, mode })),
        (path(), watcher_type()).prop_map(|(path, watcher_type)| {
            Request::RemoveWatches(RemoveWatchesRequest { path, watcher_type })
        }),
        (path(), watcher_type()).prop_map(|(path, watcher_type)| {
            Request::CheckWatches(CheckWatchesRequest { path, watcher_type })
        }),
    ]
}

fn watches() -> impl Strategy<Value = bool> {
    prop::bool::weighted(0.8)
}

fn set_watches() -> impl Strategy<Value = Call> {
    let paths = || vec(ordinary_path(), 0..3).prop_map(Vector::from);
    let lists = (paths(), paths(), paths(), paths(), paths());
    let op = select(&[OpCode::SET_WATCHES, OpCode::SET_WATCHES2][..]);
    (0..30_usize, lists, op).prop_map(|(age, lists, op)| Call::SetWatches {
        age,
        paths: SetWatches2 {
            relative_zxid: Zxid(0),
            data_watches: lists.0,
            exist_watches: lists.1,
            child_watches: lists.2,
            persistent_watches: lists.3,
            persistent_recursive_watches: lists.4,
        },
        op,
    })
}

/// Bodies that end too early, or are no bodies at all.
fn raw() -> impl Strategy<Value = Call> {
    let cut = (prop_oneof![write(), read(), watch().boxed()], any::<prop::sample::Index>());
    let cut = cut.prop_map(|(request, at)| {
        let mut body = zk_proto::BytesMut::new();
        request.encode(&mut body);
        body.truncate(at.index(body.len() + 1));
        Call::Raw(request.op_code(), body.freeze())
    });
    prop_oneof![3 => cut, 1 => noise()]
}

fn noise() -> impl Strategy<Value = Call> {
    let ops = [
        OpCode::CREATE,
        OpCode::DELETE,
        OpCode::EXISTS,
        OpCode::GET_DATA,
        OpCode::SET_DATA,
        OpCode::GET_CHILDREN,
        OpCode::MULTI,
        OpCode::MULTI_READ,
        OpCode::SYNC,
        OpCode::SET_WATCHES,
        OpCode::ADD_WATCH,
    ];
    (select(ops.to_vec()), vec(prop_oneof![Just(0), Just(0xFF), any::<u8>()], 0..24))
        .prop_map(|(op, body)| Call::Raw(op, body.into()))
}

fn op() -> BoxedStrategy<Op> {
    prop_oneof![
        4 => create().prop_map(Op::Create),
        3 => create().prop_map(Op::Create2),
        1 => create().prop_map(|create| Op::CreateContainer(CreateRequest { flags: 4, ..create })),
        1 => create_ttl().prop_map(Op::CreateTtl),
        4 => delete().prop_map(Op::Delete),
        4 => set_data().prop_map(Op::SetData),
        4 => (path(), version())
            .prop_map(|(path, version)| Op::Check(CheckVersionRequest { path, version })),
    ]
    .boxed()
}

fn read_op() -> BoxedStrategy<Op> {
    prop_oneof![
        10 => (path(), any::<bool>()).prop_map(|(path, watch)| Op::GetData(GetDataRequest { path, watch })),
        10 => (path(), any::<bool>())
            .prop_map(|(path, watch)| Op::GetChildren(GetChildrenRequest { path, watch })),
        1 => delete().prop_map(Op::Delete),
    ]
    .boxed()
}

fn create() -> impl Strategy<Value = CreateRequest> {
    let flags = prop_oneof![
        12 => Just(0), 4 => Just(1), 3 => Just(2), 3 => Just(3), 1 => Just(4), 1 => Just(5), 1 => Just(6),
        1 => any::<i32>(),
    ];
    (path(), data(), acl(), flags).prop_map(|(path, data, acl, flags)| CreateRequest {
        path,
        data,
        acl,
        flags,
    })
}

fn create_ttl() -> impl Strategy<Value = CreateTtlRequest> {
    let flags = prop_oneof![6 => Just(5), 6 => Just(6), 1 => 0..5, 1 => any::<i32>()];
    let ttl = select(vec![3_600_000, 3_600_000, 3_600_000, 1, 0, -1, 0xFF_FFFF_FFFF, 0x100_0000_0000]);
    (create(), flags, ttl).prop_map(|(create, flags, ttl)| CreateTtlRequest {
        path: create.path,
        data: create.data,
        acl: create.acl,
        flags,
        // Without the right flags, a negative one ends a real server.
        ttl: if [5, 6].contains(&flags) { ttl } else { ttl.max(0) },
    })
}

fn delete() -> impl Strategy<Value = DeleteRequest> {
    (path(), version()).prop_map(|(path, version)| DeleteRequest { path, version })
}

fn set_data() -> impl Strategy<Value = SetDataRequest> {
    (path(), data(), version()).prop_map(|(path, data, version)| SetDataRequest { path, data, version })
}

fn reconfig() -> BoxedStrategy<Request> {
    let request = ReconfigRequest {
        joining_servers: "server.9=127.0.0.1:1:2;3".into(),
        leaving_servers: Ustring::NULL,
        new_members: Ustring::NULL,
        cur_config_id: -1,
    };
    Just(Request::Reconfig(request)).boxed()
}

fn data() -> impl Strategy<Value = Option<Bytes>> {
    select(vec![None, Some(Bytes::new()), Some(Bytes::from_static(b"x")), Some(Bytes::from_static(b"hello"))])
}

fn version() -> impl Strategy<Value = i32> {
    prop_oneof![10 => Just(-1), 4 => Just(0), 2 => Just(1), 1 => Just(2), 1 => any::<i32>()]
}

/// ACLs that everybody, somebody and nobody passes, and such that no server takes.
fn acl() -> impl Strategy<Value = Vector<Acl>> {
    let perms = prop_oneof![2 => Just(Perms::ALL), 2 => (0..32).prop_map(Perms), 1 => Just(Perms(-1))];
    let entry = (perms, select(ids())).prop_map(|(perms, id)| Acl::new(perms, id));
    prop_oneof![
        25 => Just(OPEN_ACL_UNSAFE),
        2 => Just(CREATOR_ALL_ACL),
        5 => vec(entry, 0..4).prop_map(Vector::from),
        1 => Just(Vector::NULL),
    ]
}

fn ids() -> Vec<Id> {
    let id = |scheme: &str, id: &str| Id { scheme: scheme.into(), id: id.into() };
    vec![
        Id::world(),
        Id::world(),
        Id::auth(),
        Id::digest("bob", "secret").expect("no colon"),
        Id::digest("eve", "secret").expect("no colon"),
        id("digest", "bob:"),
        id("digest", "bob"),
        id("digest", "a:b:c"),
        id("digest", ""),
        id("digest", "\u{1F600}:x"),
        id("ip", "127.0.0.1"),
        id("ip", "127.0.0.0/8"),
        id("ip", "10.0.0.0/8"),
        id("ip", "0.0.0.0/0"),
        id("ip", "127.0.0.1/33"),
        id("ip", "127.0.0"),
        id("ip", ""),
        id("world", "anybody"),
        id("world", ""),
        id("auth", "ignored"),
        id("super", "x"),
        id("nobody", "x"),
        id("", ""),
        Id { scheme: Ustring::NULL, id: "x".into() },
        Id { scheme: "digest".into(), id: Ustring::NULL },
    ]
}

/// Mostly paths that can be, and mostly those that often are.
pub(crate) fn path() -> impl Strategy<Value = Ustring> {
    prop_oneof![30 => ordinary_path(), 2 => odd_path()]
}

fn ordinary_path() -> impl Strategy<Value = Ustring> {
    prop_oneof![
        16 => select(vec!["/a", "/a", "/a", "/b", "/b", "/a/x", "/a/x", "/a/y", "/a/x/z"]),
        3 => select(vec!["/", "/a/", "/q-", "/a/q-", "/ab", "/a/x/z/w"]),
        1 => select(vec!["/zookeeper", "/zookeeper/config", "/zookeeper/quota", "/zookeeper/a"]),
    ]
    .prop_map(Ustring::from)
}

fn odd_path() -> impl Strategy<Value = Ustring> {
    let text = select(vec![
        "",
        "a",
        "a/x",
        "//",
        "/a//x",
        "/a/.",
        "/a/..",
        "/./a",
        "/a/x/",
        "/a\0",
        "/a\u{1}",
        "/a\u{7F}",
        "/\u{E000}",
        "/\u{FFF0}",
        "/\u{1F600}",
        "/\u{E9}",
        "/...",
        " /a",
        "/a ",
    ]);
    let bytes = select(vec![&b"/\xFF"[..], b"/a\xED\xA0\xBD\xED\xB8\x80", b"/\xC3"]);
    prop_oneof![
        8 => text.prop_map(Ustring::from),
        1 => bytes.prop_map(|bytes| Ustring::from_bytes(Bytes::from_static(bytes))),
        1 => Just(Ustring::NULL),
    ]
}
