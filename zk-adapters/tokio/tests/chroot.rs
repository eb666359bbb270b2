//! A client below a chroot sees nothing of it, whatever it asks for.

#![expect(clippy::unwrap_used, reason = "a story that goes wrong fails its test")]

mod story;

use story::{Patient, builder, connect, event, make_familiar, server_has, standalone};
use zk_harness::Relay;
use zk_proto::{
    Acl, AddWatchMode, CreateRequest, DeleteRequest, EventType, Op, OpResult, READ_ACL_UNSAFE, Request,
    Response, SyncRequest, WatcherType,
};
use zk_tokio::{Client, CreateMode, ErrorCode, OPEN_ACL_UNSAFE, SessionEvent, StandingEvent};

async fn create(client: &Client, path: &str, mode: CreateMode) -> String {
    let created = client.create(path, "", mode).patient().await.unwrap();
    created.path.as_str().unwrap().to_owned()
}

#[tokio::test]
async fn no_answer_names_the_chroot() {
    let server = standalone();
    let (outside, _) = connect(&server.connect_string()).await;
    create(&outside, "/app", CreateMode::Persistent).await;
    create(&outside, "/apple", CreateMode::Ephemeral).await;
    let (inside, _) = connect(&format!("{}/app", server.connect_string())).await;

    assert_eq!(create(&inside, "/s-", CreateMode::EphemeralSequential).await, "/s-0000000000");
    let sync = Request::Sync(SyncRequest { path: "/s-0000000000".into() });
    let Response::Sync(synced) = inside.submit(sync).patient().await.unwrap() else {
        panic!("another answer")
    };
    assert_eq!(synced.path, "/s-0000000000");
    let ops = vec![
        Op::Create(CreateRequest { path: "/m-".into(), data: None, acl: OPEN_ACL_UNSAFE, flags: 2 }),
        Op::Delete(DeleteRequest { path: "/s-0000000000".into(), version: -1 }),
    ];
    let results = inside.multi(ops).patient().await.unwrap();
    assert!(
        matches!(&results[0], OpResult::Create(created) if created.path == "/m-0000000001"),
        "{results:?}"
    );
    assert!(outside.exists("/app/m-0000000001").patient().await.unwrap().is_some());

    // The chroot itself can't be taken away from inside, and ZooKeeper's own znodes are where they are.
    inside.delete("/m-0000000001", -1).patient().await.unwrap();
    assert_eq!(inside.delete("/", -1).patient().await.unwrap_err().code(), Some(ErrorCode::BAD_ARGUMENTS));
    assert!(inside.exists("/zookeeper/quota").patient().await.unwrap().is_some());
    assert_eq!(inside.exists("/zookeeper2").patient().await.unwrap(), None);
    if server_has(3, 6) {
        create(&inside, "/e", CreateMode::Ephemeral).await;
        let mine = inside.get_ephemerals("/").patient().await.unwrap();
        assert_eq!(mine.iter_str().collect::<Vec<_>>(), ["/e"]);
        let theirs = outside.get_ephemerals("/").patient().await.unwrap();
        assert_eq!(theirs.iter_str().collect::<Vec<_>>(), ["/apple"]);
        assert_eq!(inside.get_all_children_number("/").patient().await.unwrap(), 1);
    }
}

#[tokio::test]
async fn watches_below_a_chroot_are_armed_again_and_tell_no_chroot() {
    let server = standalone();
    let (outside, _) = connect(&server.connect_string()).await;
    create(&outside, "/app", CreateMode::Persistent).await;
    create(&outside, "/app/a", CreateMode::Persistent).await;
    let relay = Relay::start(server.address(0)).unwrap();
    let (inside, mut events) =
        builder(&format!("{}/app", relay.address())).connect().patient().await.unwrap();
    make_familiar(&inside, &mut events).await;
    let (_, mut data) = inside.get_data_and_watch("/a").patient().await.unwrap();
    let (_, mut children) = inside.get_children_and_watch("/").patient().await.unwrap();
    let (_, mut missing) = inside.exists_and_watch("/b").patient().await.unwrap();
    relay.refuse();
    relay.cut();
    event(&mut events, |event| matches!(event, SessionEvent::Disconnected { .. })).await;
    outside.set_data("/app/a", "x", -1).patient().await.unwrap();
    relay.accept();
    let changed = data.changed().patient().await.unwrap();
    assert_eq!((changed.event_type, changed.path.as_str()), (EventType::NODE_DATA_CHANGED, Some("/a")));
    event(&mut events, |event| matches!(event, SessionEvent::Ready)).await;
    create(&outside, "/app/b", CreateMode::Persistent).await;
    let created = missing.changed().patient().await.unwrap();
    assert_eq!((created.event_type, created.path.as_str()), (EventType::NODE_CREATED, Some("/b")));
    let listed = children.changed().patient().await.unwrap();
    assert_eq!((listed.event_type, listed.path.as_str()), (EventType::NODE_CHILDREN_CHANGED, Some("/")));
}

#[tokio::test]
async fn watches_by_path_below_a_chroot_are_found_and_removed_below_it() {
    if !server_has(3, 6) {
        return;
    }
    let server = standalone();
    let (outside, _) = connect(&server.connect_string()).await;
    create(&outside, "/app", CreateMode::Persistent).await;
    let (inside, _) = connect(&format!("{}/app", server.connect_string())).await;
    let recursive = AddWatchMode::PERSISTENT_RECURSIVE;
    let mut all = inside.add_watch("/", recursive).patient().await.unwrap();
    create(&outside, "/app/x", CreateMode::Persistent).await;
    let StandingEvent::Event(event) = all.next().patient().await.unwrap() else { panic!("a gap") };
    assert_eq!((event.event_type, event.path.as_str()), (EventType::NODE_CREATED, Some("/x")));
    assert!(inside.check_watches("/", WatcherType::ANY).patient().await.unwrap());
    // Before 3.9 a server tells of any session's watch.
    let tells_of_others = outside.check_watches("/app", WatcherType::ANY).patient().await.unwrap();
    assert_eq!(tells_of_others, !server_has(3, 9));
    assert!(inside.remove_watches("/", WatcherType::ANY).patient().await.unwrap());
    assert!(!inside.check_watches("/", WatcherType::ANY).patient().await.unwrap());
}

#[tokio::test]
async fn recipes_make_what_is_missing_of_a_root_and_stay_below_it() {
    let server = standalone();
    let (outside, mut events) = connect(&server.connect_string()).await;
    make_familiar(&outside, &mut events).await;
    let app = outside.chroot("/apps/mine").unwrap();
    app.ensure_path("/").patient().await.unwrap();
    assert!(outside.exists("/apps/mine").patient().await.unwrap().is_some());

    let other = outside.chroot("/apps/other").unwrap().with_acl(vec![Acl::open(), Acl::read_only()]);
    let created = other.create_with_parents("/a/b", "", CreateMode::Persistent).patient().await.unwrap();
    assert_eq!(created.path, "/a/b");
    let stored = outside.get_acl("/apps/other/a").patient().await.unwrap();
    assert_eq!(stored.acl.iter().count(), 2, "parents have the handle's ACL");
    let refused = app.create("/x/y", "", CreateMode::Persistent).patient().await.unwrap_err();
    assert_eq!(refused.code(), Some(ErrorCode::NO_NODE));

    let protected =
        app.create_protected("/q-", "", CreateMode::PersistentSequential).patient().await.unwrap();
    assert!(protected.path.as_str().unwrap().starts_with("/_c_"), "{}", protected.path);
    assert!(app.delete_recursive("/").patient().await.is_err());
    assert_eq!(app.set_or_create("/s", "1").patient().await.unwrap().version, 0);
    outside.chroot("/apps").unwrap().delete_recursive("/mine").patient().await.unwrap();
    assert_eq!(outside.exists("/apps/mine").patient().await.unwrap(), None);

    // One name of the connect string's own chroot can be made, and more can't.
    let missing = |chroot: &str| builder(&format!("{}{chroot}", server.connect_string())).connect();
    let (inside, _) = missing("/one").patient().await.unwrap();
    inside.create_with_parents("/a", "", CreateMode::Persistent).patient().await.unwrap();
    assert!(outside.exists("/one/a").patient().await.unwrap().is_some());
    let (inside, _) = missing("/two/names").patient().await.unwrap();
    let refused = inside.create_with_parents("/a", "", CreateMode::Persistent).patient().await.unwrap_err();
    assert_eq!(refused.code(), Some(ErrorCode::NO_NODE));
    while let Some(event) = events.try_next() {
        assert!(!matches!(event, SessionEvent::Disconnected { .. }), "{event:?}");
    }
}

#[tokio::test]
async fn the_acl_of_new_znodes_is_chosen_once() {
    let server = standalone();
    let builder = builder(&server.connect_string()).acl(READ_ACL_UNSAFE);
    let (client, _) = builder.connect().patient().await.unwrap();
    let open = client.with_acl(OPEN_ACL_UNSAFE);
    for (handle, path, acl) in [(&client, "/r", READ_ACL_UNSAFE), (&open, "/o", OPEN_ACL_UNSAFE)] {
        create(handle, path, CreateMode::Persistent).await;
        assert_eq!(client.get_acl(path).patient().await.unwrap().acl, acl);
    }
    let refused = client.create("/r/x", "", CreateMode::Persistent).patient().await.unwrap_err();
    assert_eq!(refused.code(), Some(ErrorCode::NO_AUTH));
}
