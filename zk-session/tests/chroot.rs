//! INV-44: the chroot, by component, both ways.

#![expect(clippy::wildcard_enum_match_arm, reason = "it looks for one thing among many")]

mod support;

use support::{World, config, data, watch_data};
use zk_session::{
    Chroot, SubmitError,
    zk_proto::{
        CreateMode, CreateResponse, DeleteRequest, EventType, GetDataRequest, GetEphemeralsRequest,
        GetEphemeralsResponse, Multi, MultiResponse, OPEN_ACL_UNSAFE, Op, OpResult, Request, Response,
        SyncResponse, Ustring, Vector,
    },
};

fn get(path: &str) -> Request {
    Request::GetData(GetDataRequest { path: path.into(), watch: false })
}

#[test]
fn paths_are_sent_below_the_chroot_and_zookeepers_own_as_they_are() {
    let mut world = World::ready(config("a:1/app/x"));
    for (client, server) in [
        ("/", "/app/x"),
        ("/a", "/app/x/a"),
        ("/app/x", "/app/x/app/x"),
        ("/zookeeper", "/zookeeper"),
        ("/zookeeper/config", "/zookeeper/config"),
        ("/zookeepers", "/app/x/zookeepers"),
    ] {
        world.submit(get(client));
        assert_eq!(world.sent_requests(), [get(server)]);
    }
    world.submit(Request::Delete(DeleteRequest { path: "/".into(), version: -1 }));
    let delete = Request::Delete(DeleteRequest { path: "/".into(), version: -1 });
    assert_eq!(world.sent_requests(), [delete], "the chroot's own znode can't be deleted by accident");
}

#[test]
fn paths_in_replies_lose_the_chroot_by_component() {
    for (server, client) in [
        ("/app/a", "/a"),
        ("/app", "/"),
        ("/apple", "/apple"),
        ("/apple/a", "/apple/a"),
        ("/other", "/other"),
        ("/zookeeper/config", "/zookeeper/config"),
    ] {
        let mut world = World::ready(config("a:1/app"));
        let request = world.submit(support::sync("/"));
        world.reply_to(request, 3, Ok(Response::Sync(SyncResponse { path: server.into() })));
        let path = client.into();
        assert_eq!(world.replies()[0].result, Ok(Response::Sync(SyncResponse { path })));
    }
}

#[test]
fn multis_and_ephemerals_are_converted_too() {
    let mut world = World::ready(config("a:1/app"));
    let op = |path: &str| match Request::create(path, None, OPEN_ACL_UNSAFE, CreateMode::Persistent) {
        Request::Create2(create) => Op::Create(create),
        _ => unreachable!(),
    };
    let multi = world.submit(Request::Multi(Multi { ops: vec![op("/a")] }));
    assert_eq!(world.sent_requests(), [Request::Multi(Multi { ops: vec![op("/app/a")] })]);
    let results = |path: &str| vec![OpResult::Create(CreateResponse { path: path.into() })];
    let answer = MultiResponse { results: results("/app/a") };
    world.reply_to(multi, 3, Ok(Response::Multi(answer)));
    let expected = MultiResponse { results: results("/a") };
    assert_eq!(world.replies()[0].result, Ok(Response::Multi(expected)));

    let ephemerals =
        |prefix: &str| Request::GetEphemerals(GetEphemeralsRequest { prefix_path: prefix.into() });
    let request = world.submit(ephemerals("/"));
    assert_eq!(world.sent_requests(), [ephemerals("/app")]);
    let found = |paths: &[&str]| {
        Response::GetEphemerals(GetEphemeralsResponse { ephemerals: Vector::from_strs(paths) })
    };
    world.reply_to(request, 4, Ok(found(&["/app/e", "/apple/e"])));
    assert_eq!(world.replies()[0].result, Ok(found(&["/e", "/apple/e"])));
}

#[test]
fn watches_are_armed_by_server_path_and_told_by_client_path() {
    let mut world = World::ready(config("a:1,b:2/app"));
    let owner = world.submit(watch_data("/a"));
    world.reply_to(owner, 3, Ok(data(b"x")));
    world.sent();
    world.cut();
    world.establish();
    world.accept();
    let [Request::SetWatches(batch)] = <[Request; 1]>::try_from(world.sent_requests()).unwrap() else {
        panic!()
    };
    assert_eq!(batch.data_watches.to_vec(), [Ustring::from("/app/a")]);
    world.events();
    world.notify(EventType::NODE_DELETED, "/app/a", 9);
    assert_eq!(world.watch_events()[0].path, "/a");
}

#[test]
fn requests_and_replies_can_be_converted_by_themselves() {
    let (below, root) = (Chroot::new(Some("/app")), Chroot::new(None));
    let mut request = get("/a");
    assert_eq!(root.apply(&mut request), Ok(()));
    assert_eq!(request, get("/a"));
    assert_eq!(below.apply(&mut request), Ok(()));
    assert_eq!(request, get("/app/a"));
    for bad in ["a", "/a/"] {
        let mut request = get(bad);
        assert!(matches!(below.apply(&mut request), Err(SubmitError::InvalidPath(_))));
        assert_eq!(request, get(bad), "it stays as it was");
    }
    let mut path = Ustring::from("/app/a");
    root.undo_path(&mut path);
    assert_eq!(path, "/app/a");
    below.undo_path(&mut path);
    assert_eq!(path, "/a");
}

#[test]
fn new_servers_may_leave_the_chroot_out_or_name_the_same() {
    let mut world = World::ready(config("a:1/app"));
    for servers in ["a:1", "a:1/app"] {
        let updated = world.command(|session, now| session.update_servers(servers.parse().unwrap(), now));
        assert_eq!(updated, Ok(()), "{servers}");
        let chroot = world.session.config().connect_string.chroot.clone();
        assert_eq!(chroot.as_deref(), Some("/app"), "{servers}");
    }
}
