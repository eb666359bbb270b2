//! Every operation that an application may ask for: it leaves as it is, and its answer comes back as it is.

mod support;

use support::{World, config, data, get_data, stat, sync};
use zk_session::{
    Event, RequestError, SubmitError, WatchEndReason,
    zk_proto::{
        Acl, AddWatchMode, AddWatchRequest, Bytes, CheckVersionRequest, CheckWatchesRequest, ClientInfo,
        Create2Response, CreateMode, CreateRequest, CreateResponse, DeleteRequest, ErrorCode, ErrorResponse,
        EventType, GetAclRequest, GetAclResponse, GetAllChildrenNumberRequest, GetAllChildrenNumberResponse,
        GetChildren2Request, GetChildren2Response, GetChildrenRequest, GetChildrenResponse, GetDataRequest,
        GetEphemeralsRequest, GetEphemeralsResponse, Id, Multi, MultiResponse, OPEN_ACL_UNSAFE, Op, OpResult,
        Perms, ReconfigRequest, RemoveWatchesRequest, Request, Response, SetAclRequest, SetAclResponse,
        SetDataRequest, SetDataResponse, Stat, SyncResponse, Ustring, Vector, WatcherType, WhoAmIResponse,
    },
};

fn some_stat() -> Stat {
    Stat { version: 7, num_children: 2, ..Stat::default() }
}

fn create(mode: CreateMode) -> (Request, Response) {
    let created = Create2Response { path: "/a-0000000001".into(), stat: some_stat() };
    (Request::create("/a-", Some(vec![1].into()), OPEN_ACL_UNSAFE, mode), Response::Create2(created))
}

fn writes() -> Vec<(Request, Response)> {
    let path = || Ustring::from("/a");
    let old = CreateRequest { path: path(), data: None, acl: OPEN_ACL_UNSAFE, flags: 0 };
    let set = SetDataRequest { path: path(), data: Some(vec![0; 3].into()), version: 6 };
    let me = Acl { perms: Perms::ALL, id: Id { scheme: "auth".into(), id: "".into() } };
    let set_acl = SetAclRequest { path: path(), acl: vec![me].into(), version: -1 };
    let (joining, null) = ("server.4=d:1:2;3".into(), Ustring::NULL);
    let reconfig = ReconfigRequest {
        joining_servers: joining,
        leaving_servers: null.clone(),
        new_members: null,
        cur_config_id: -1,
    };
    let Response::GetData(configured) = data(b"server.4=...") else { unreachable!() };
    vec![
        create(CreateMode::Persistent),
        create(CreateMode::Ephemeral),
        create(CreateMode::PersistentSequential),
        create(CreateMode::EphemeralSequential),
        create(CreateMode::Container),
        create(CreateMode::PersistentWithTtl(5)),
        create(CreateMode::PersistentSequentialWithTtl(5)),
        (Request::Create(old), Response::Create(CreateResponse { path: path() })),
        (Request::Delete(DeleteRequest { path: path(), version: 3 }), Response::Empty),
        (Request::SetData(set), Response::SetData(SetDataResponse { stat: some_stat() })),
        (Request::SetAcl(set_acl), Response::SetAcl(SetAclResponse { stat: some_stat() })),
        (Request::Reconfig(reconfig), Response::Reconfig(configured)),
    ]
}

fn reads() -> Vec<(Request, Response)> {
    let path = || Ustring::from("/a");
    let names = || Vector::from_strs(["x", "y"]);
    let numbered = GetAllChildrenNumberResponse { total_number: 9 };
    let acl = GetAclResponse { acl: OPEN_ACL_UNSAFE, stat: some_stat() };
    let who = ClientInfo { auth_scheme: "ip".into(), user: "127.0.0.1".into() };
    let ephemerals = GetEphemeralsRequest { prefix_path: path() };
    vec![
        (get_data("/a"), data(b"x")),
        (
            Request::GetData(GetDataRequest { path: "/zookeeper/config".into(), watch: false }),
            data(b"version=1"),
        ),
        (Request::Exists(zk_session::zk_proto::ExistsRequest { path: path(), watch: false }), stat()),
        (
            Request::GetChildren(GetChildrenRequest { path: path(), watch: false }),
            Response::GetChildren(GetChildrenResponse { children: names() }),
        ),
        (
            Request::GetChildren2(GetChildren2Request { path: path(), watch: false }),
            Response::GetChildren2(GetChildren2Response { children: names(), stat: some_stat() }),
        ),
        (Request::GetAcl(GetAclRequest { path: path() }), Response::GetAcl(acl)),
        (sync("/a"), Response::Sync(SyncResponse { path: path() })),
        (Request::WhoAmI, Response::WhoAmI(WhoAmIResponse { client_info: vec![who].into() })),
        (
            Request::GetEphemerals(ephemerals),
            Response::GetEphemerals(GetEphemeralsResponse { ephemerals: Vector::from_strs(["/a/e"]) }),
        ),
        (
            Request::GetAllChildrenNumber(GetAllChildrenNumberRequest { path: path() }),
            Response::GetAllChildrenNumber(numbered),
        ),
        (
            Request::CheckWatches(CheckWatchesRequest { path: path(), watcher_type: WatcherType::DATA }),
            Response::Empty,
        ),
        (
            Request::RemoveWatches(RemoveWatchesRequest { path: path(), watcher_type: WatcherType::ANY }),
            Response::Empty,
        ),
        (
            Request::AddWatch(AddWatchRequest { path: path(), mode: AddWatchMode::PERSISTENT }),
            Response::AddWatch(ErrorResponse { err: ErrorCode::OK }),
        ),
    ]
}

fn several() -> Vec<(Request, Response)> {
    let path = || Ustring::from("/a");
    let ops = vec![
        Op::Create(CreateRequest { path: path(), data: None, acl: OPEN_ACL_UNSAFE, flags: 1 }),
        Op::Check(CheckVersionRequest { path: path(), version: 0 }),
        Op::SetData(SetDataRequest { path: path(), data: None, version: 0 }),
        Op::Delete(DeleteRequest { path: path(), version: 1 }),
    ];
    let results = vec![
        OpResult::Create(CreateResponse { path: path() }),
        OpResult::Check,
        OpResult::SetData(SetDataResponse { stat: some_stat() }),
        OpResult::Delete,
    ];
    let reads = vec![
        Op::GetData(GetDataRequest { path: "/none".into(), watch: false }),
        Op::GetChildren(GetChildrenRequest { path: path(), watch: false }),
    ];
    let found = vec![
        OpResult::Error(ErrorCode::NO_NODE),
        OpResult::GetChildren(GetChildrenResponse { children: Vector::from_strs(["x"]) }),
    ];
    let none = || (Multi { ops: Vec::new() }, MultiResponse { results: Vec::new() });
    vec![
        (Request::Multi(Multi { ops }), Response::Multi(MultiResponse { results })),
        (Request::Multi(none().0), Response::Multi(none().1)),
        // Each read stands for itself: an error is a result, not a refusal.
        (Request::MultiRead(Multi { ops: reads }), Response::MultiRead(MultiResponse { results: found })),
    ]
}

#[test]
fn each_operation_leaves_as_it_is_and_is_answered_as_the_server_says() {
    let mut world = World::ready(config("a:1"));
    for (zxid, (request, response)) in (1..).zip([writes(), reads(), several()].concat()) {
        let id = world.submit(request.clone());
        assert_eq!(world.sent_requests(), core::slice::from_ref(&request));
        world.reply_to(id, zxid, Ok(response.clone()));
        let [reply] = <[_; 1]>::try_from(world.replies()).expect("one outcome");
        assert_eq!((reply.request, reply.zxid.0, reply.result), (id, zxid, Ok(response)), "{request:?}");
    }
    assert_eq!(world.session.stats().failed, 0);
}

#[test]
fn each_operation_can_be_refused() {
    let mut world = World::ready(config("a:1"));
    for (request, _) in [writes(), reads(), several()].concat() {
        let id = world.submit(request.clone());
        world.reply_to(id, 3, Err(ErrorCode::NO_AUTH));
        let results = Vec::new();
        assert_eq!(world.error(), RequestError::Refused { code: ErrorCode::NO_AUTH, results }, "{request:?}");
    }
    assert!(world.session.is_ready());
}

#[test]
fn what_would_make_servers_hang_up_is_refused_before_it_is_queued() {
    let mut world = World::ready(config("a:1"));
    let path = || Ustring::from("/a");
    let with_flags =
        |flags| Request::Create2(CreateRequest { path: path(), data: None, acl: OPEN_ACL_UNSAFE, flags });
    let watching = Op::GetData(GetDataRequest { path: path(), watch: true });
    let writing = Op::Delete(DeleteRequest { path: path(), version: -1 });
    let reading = Op::GetData(GetDataRequest { path: path(), watch: false });
    for request in [
        with_flags(4),
        with_flags(-1),
        Request::create("/a", None, OPEN_ACL_UNSAFE, CreateMode::PersistentWithTtl(0)),
        Request::create("/a", None, OPEN_ACL_UNSAFE, CreateMode::PersistentWithTtl(1 << 40)),
        Request::Check(CheckVersionRequest { path: path(), version: 0 }),
        Request::DeleteContainer(DeleteRequest { path: path(), version: -1 }),
        Request::MultiRead(Multi { ops: vec![watching] }),
        Request::MultiRead(Multi { ops: vec![writing] }),
        Request::Multi(Multi { ops: vec![reading] }),
        Request::MultiRead(Multi {
            ops: vec![Op::GetChildren(GetChildrenRequest { path: path(), watch: true })],
        }),
        Request::GetData(GetDataRequest { path: Ustring::NULL, watch: false }),
        Request::GetData(GetDataRequest {
            path: Ustring::from_bytes(Bytes::from_static(b"/\xFF")),
            watch: false,
        }),
    ] {
        let now = world.now;
        let refused = world.session.submit(request.clone(), Default::default(), now);
        assert!(matches!(refused, Err(SubmitError::InvalidArgument { .. })), "{request:?}: {refused:?}");
    }
    assert!(world.sent().is_empty());
    assert_eq!(world.session.stats().accepted, 0);
}

#[test]
fn paths_of_what_is_created_or_listed_are_looked_at_too() {
    let mut world = World::ready(config("a:1"));
    let ephemerals = |path: &str| Request::GetEphemerals(GetEphemeralsRequest { prefix_path: path.into() });
    let create = |path: &str, mode| Request::create(path, None, OPEN_ACL_UNSAFE, mode);
    for refused in [
        ephemerals("a"),
        ephemerals("/a/"),
        create("a", CreateMode::Persistent),
        create("/a/../b", CreateMode::Container),
        create("/a/", CreateMode::Ephemeral),
        create("/a//", CreateMode::EphemeralSequential),
        create("/\u{1}", CreateMode::PersistentWithTtl(1)),
    ] {
        let result = world.command(|session, now| session.submit(&refused, Default::default(), now));
        assert!(matches!(result, Err(SubmitError::InvalidPath(_))), "{refused:?}: {result:?}");
    }
    // The servers append a sequence number.
    for accepted in [
        ephemerals(""),
        ephemerals("/a"),
        create("/a/", CreateMode::PersistentSequential),
        create("/a", CreateMode::Container),
    ] {
        world.submit(accepted);
    }
}

/// A removal by path waits for a connection like anything else; until then the watches are armed again as ever.
#[test]
fn a_removal_by_path_while_disconnected_ends_its_watches_after_the_next_handshake() {
    let (mut world, watch) = World::with_watch(config("a:1,b:2"), "/a");
    world.cut();
    world.events();
    let remove = RemoveWatchesRequest { path: "/a".into(), watcher_type: WatcherType::DATA };
    let removal = world.submit(Request::RemoveWatches(remove.clone()));
    assert_eq!(world.session.stats().watches, 1);
    world.establish();
    world.accept();
    let sent = world.sent_requests();
    assert!(matches!(sent[0], Request::SetWatches(_)), "{sent:?}");
    assert_eq!(sent[1], Request::RemoveWatches(remove));
    let batch = world.wire().oldest_unanswered().expect("a batch");
    world.reply(batch, 6, Ok(Response::Empty));
    world.events();
    world.reply_to(removal, 6, Ok(Response::Empty));
    let ended = Event::WatchEnded { request: watch, path: "/a".into(), reason: WatchEndReason::Removed };
    assert!(world.events().contains(&ended));
    world.notify(EventType::NODE_DATA_CHANGED, "/a", 7);
    assert!(world.watch_events().is_empty());
    world.cut();
    world.await_attempt();
    world.establish();
    world.accept();
    assert!(world.sent().is_empty(), "nothing is left to arm");
}
