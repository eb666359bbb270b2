//! Operations beyond reading and writing one znode, against a real server of whatever version there is.

#![expect(clippy::unwrap_used, reason = "a story that goes wrong fails its test")]

mod story;

use story::{Patient, connect, server_has, standalone};
use zk_proto::{
    AddWatchMode, CheckVersionRequest, CreateRequest, DeleteRequest, EventType, GetChildrenRequest,
    GetDataRequest, Op, OpResult, SetDataRequest, WatcherType, Zxid,
};
use zk_tokio::{Client, CreateMode, Error, ErrorCode, OPEN_ACL_UNSAFE, StandingEvent, WatchEnded};

fn create(path: &str) -> Op {
    Op::Create(CreateRequest { path: path.into(), data: None, acl: OPEN_ACL_UNSAFE, flags: 0 })
}

async fn persistent(client: &Client, path: &'static str) {
    client.create(path, "", CreateMode::Persistent).patient().await.unwrap();
}

#[tokio::test]
async fn a_multi_is_applied_whole_or_not_at_all() {
    let server = standalone();
    let (client, _) = connect(&server.connect_string()).await;
    let set = SetDataRequest { path: "/m".into(), data: Some("x".into()), version: 0 };
    let check = CheckVersionRequest { path: "/m".into(), version: 1 };
    let delete = DeleteRequest { path: "/m/gone".into(), version: -1 };
    let ops = vec![create("/m"), Op::SetData(set), Op::Check(check), create("/m/gone"), Op::Delete(delete)];
    let results = client.multi(ops).patient().await.unwrap();
    assert!(matches!(&results[0], OpResult::Create(created) if created.path == "/m"), "{results:?}");
    assert!(matches!(&results[1], OpResult::SetData(set) if set.stat.version == 1), "{results:?}");
    assert!(matches!(results[2..], [OpResult::Check, OpResult::Create(_), OpResult::Delete]), "{results:?}");

    let stale = CheckVersionRequest { path: "/m".into(), version: 7 };
    let ops = vec![create("/m/never"), Op::Check(stale), create("/m/neither")];
    let error = client.multi(ops).patient().await.unwrap_err();
    let Error::Refused { code, results } = error else { panic!("{error:?}") };
    assert_eq!(code, ErrorCode::BAD_VERSION);
    let codes = [ErrorCode::OK, ErrorCode::BAD_VERSION, ErrorCode::RUNTIME_INCONSISTENCY];
    assert_eq!(results, codes.map(OpResult::Error));
    assert_eq!(client.exists("/m/never").patient().await.unwrap(), None);
    assert_eq!(client.multi(Vec::new()).patient().await.unwrap(), []);
}

#[tokio::test]
async fn a_multi_read_tells_each_result_for_itself() {
    if !server_has(3, 6) {
        return;
    }
    let server = standalone();
    let (client, _) = connect(&server.connect_string()).await;
    persistent(&client, "/a").await;
    persistent(&client, "/a/b").await;
    let data = |path: &str| Op::GetData(GetDataRequest { path: path.into(), watch: false });
    let children = Op::GetChildren(GetChildrenRequest { path: "/a".into(), watch: false });
    let results = client.multi_read(vec![data("/a/b"), data("/missing"), children]).patient().await.unwrap();
    assert!(matches!(&results[0], OpResult::GetData(found) if found.data.as_deref() == Some(b"")));
    assert_eq!(results[1], OpResult::Error(ErrorCode::NO_NODE));
    assert!(matches!(&results[2], OpResult::GetChildren(found) if found.children.iter().eq(["b"])));
}

#[tokio::test]
async fn a_session_knows_its_ephemerals_descendants_and_identities() {
    if !server_has(3, 6) {
        return;
    }
    let server = standalone();
    let (root, _) = connect(&server.connect_string()).await;
    persistent(&root, "/app").await;
    let (client, _) = connect(&format!("{}/app", server.connect_string())).await;
    persistent(&client, "/a").await;
    client.create("/a/e", "", CreateMode::Ephemeral).patient().await.unwrap();
    let ephemerals = client.get_ephemerals("/").patient().await.unwrap();
    assert_eq!(ephemerals.iter_str().collect::<Vec<_>>(), ["/a/e"], "the chroot is invisible");
    assert_eq!(client.get_all_children_number("/a").patient().await.unwrap(), 1);
    if server_has(3, 7) {
        let who = client.who_am_i().patient().await.unwrap();
        assert!(who.iter().any(|info| info.auth_scheme == "ip"), "{who:?}");
    }
}

#[tokio::test]
async fn a_standing_watch_tells_everything_and_the_gap_after_a_reconnect() {
    if !server_has(3, 6) {
        return;
    }
    let server = standalone();
    let (client, _) = connect(&server.connect_string()).await;
    persistent(&client, "/a").await;
    let mut all = client.add_watch("/a", AddWatchMode::PERSISTENT_RECURSIVE).patient().await.unwrap();
    persistent(&client, "/a/b").await;
    client.set_data("/a/b", "x", -1).patient().await.unwrap();
    for expected in [EventType::NODE_CREATED, EventType::NODE_DATA_CHANGED] {
        let StandingEvent::Event(event) = all.next().patient().await.unwrap() else { panic!("a gap") };
        assert_eq!((event.event_type, event.path.as_str()), (expected, Some("/a/b")));
    }
    server.kill(0);
    server.restart(0).unwrap();
    let StandingEvent::Gap { from, to } = all.next().patient().await.unwrap() else { panic!("no gap") };
    assert!(Zxid(0) < from && from <= to, "{from} {to}");
    let retried = client.with_retry(zk_tokio::Retry::WhenSafe);
    retried.sync("/").patient().await.unwrap();
    client.delete("/a/b", -1).patient().await.unwrap();
    let StandingEvent::Event(event) = all.next().patient().await.unwrap() else { panic!("a gap") };
    assert_eq!(event.event_type, EventType::NODE_DELETED);
}

#[tokio::test]
async fn watches_can_be_looked_for_and_removed_by_path_and_by_dropping_them() {
    if !server_has(3, 6) {
        return;
    }
    let server = standalone();
    let (client, _) = connect(&server.connect_string()).await;
    persistent(&client, "/a").await;
    let any = WatcherType::ANY;
    assert!(!client.check_watches("/a", any).patient().await.unwrap());
    let mut standing = client.add_watch("/a", AddWatchMode::PERSISTENT).patient().await.unwrap();
    assert!(client.check_watches("/a", any).patient().await.unwrap());
    assert!(client.remove_watches("/a", any).patient().await.unwrap());
    assert_eq!(standing.next().patient().await, Err(WatchEnded::Removed));
    assert!(!client.remove_watches("/a", any).patient().await.unwrap());

    let (_, watch) = client.get_data_and_watch("/a").patient().await.unwrap();
    assert!(client.check_watches("/a", WatcherType::DATA).patient().await.unwrap());
    drop(watch);
    assert!(!client.check_watches("/a", any).patient().await.unwrap(), "the server was told");
}

/// Before 3.9 servers keep one mode for each path.
#[tokio::test]
async fn one_time_and_standing_watches_of_one_path_live_side_by_side() {
    if !server_has(3, 6) {
        return;
    }
    let server = standalone();
    let (client, _) = connect(&server.connect_string()).await;
    persistent(&client, "/a").await;
    let mut standing = client.add_watch("/a", AddWatchMode::PERSISTENT).patient().await.unwrap();
    for round in 0..3 {
        let (_, mut once) = client.get_data_and_watch("/a").patient().await.unwrap();
        client.set_data("/a", "x", -1).patient().await.unwrap();
        assert_eq!(once.changed().patient().await.unwrap().event_type, EventType::NODE_DATA_CHANGED);
        let told = standing.next().patient().await.unwrap();
        assert!(matches!(&told, StandingEvent::Event(_)), "round {round}: {told:?}");
    }
    drop(standing);
    let (_, mut children) = client.get_children_and_watch("/a").patient().await.unwrap();
    let mut below = client.add_watch("/a", AddWatchMode::PERSISTENT_RECURSIVE).patient().await.unwrap();
    persistent(&client, "/a/b").await;
    assert_eq!(children.changed().patient().await.unwrap().event_type, EventType::NODE_CHILDREN_CHANGED);
    assert!(matches!(below.next().patient().await.unwrap(), StandingEvent::Event(_)));
}

#[tokio::test]
async fn the_configuration_of_an_ensemble_is_read_and_a_reconfig_is_refused_as_servers_do() {
    if !server_has(3, 5) {
        return;
    }
    let ensemble = story::ensemble();
    let (client, _) = connect(&ensemble.connect_string()).await;
    let config = client.get_config().patient().await.unwrap();
    let text = String::from_utf8(config.data.unwrap().to_vec()).unwrap();
    assert!(text.contains("server."), "{text}");
    let refused = client.reconfig("", "9", -1).patient().await.unwrap_err();
    assert!(matches!(refused.code(), Some(ErrorCode::RECONFIG_DISABLED | ErrorCode::NO_AUTH)), "{refused:?}");
}

/// 3.4 has no create2: the client finds out, and falls back.
#[tokio::test]
async fn what_a_server_does_not_have_is_made_up_for_or_told() {
    let server = standalone();
    let (client, _) = connect(&server.connect_string()).await;
    let created = client.create("/a", "x", CreateMode::Persistent).patient().await;
    assert_eq!(created.unwrap().path, "/a");
    if server_has(3, 7) {
        return;
    }
    for _ in 0..3 {
        let error = client.who_am_i().patient().await.unwrap_err();
        let is_told = error.code() == Some(ErrorCode::UNIMPLEMENTED)
            || matches!(&error, Error::Failed { failure: zk_tokio::Failure::Unsupported { .. }, .. });
        assert!(is_told, "{error:?}");
    }
    let retried = client.with_retry(zk_tokio::Retry::WhenSafe);
    retried.sync("/").patient().await.unwrap();
}

#[tokio::test]
async fn handles_with_roots_of_their_own_share_a_session() {
    let server = standalone();
    let (outer, _) = connect(&server.connect_string()).await;
    persistent(&outer, "/app").await;
    persistent(&outer, "/app/inner").await;
    let app = outer.chroot("/app").unwrap();
    let inner = app.chroot("/inner").unwrap();
    assert_eq!(app.session_id(), outer.session_id());
    let created = inner.create("/x", "1", CreateMode::Persistent).patient().await.unwrap();
    assert_eq!(created.path, "/x");
    let (_, mut watch) = inner.get_data_and_watch("/x").patient().await.unwrap();
    outer.set_data("/app/inner/x", "2", -1).patient().await.unwrap();
    assert_eq!(watch.changed().patient().await.unwrap().path, "/x");
    assert_eq!(app.get_data("/inner/x").patient().await.unwrap().data.as_deref(), Some(&b"2"[..]));
    let results = app.multi(vec![create("/m")]).patient().await.unwrap();
    assert!(matches!(&results[0], OpResult::Create(created) if created.path == "/m"), "{results:?}");
    assert!(outer.exists("/app/m").patient().await.unwrap().is_some());
    let error = inner.get_data("x").patient().await.unwrap_err();
    assert!(matches!(error, Error::NotSubmitted(zk_tokio::SubmitError::InvalidPath(_))), "{error:?}");
    inner.delete("/", -1).patient().await.unwrap_err();
    assert!(outer.chroot("app").is_err());
}

/// The server looks for both each second.
#[tokio::test]
async fn containers_go_when_they_are_empty_and_passing_znodes_when_they_are_old() {
    if !server_has(3, 5) {
        return;
    }
    let server = standalone();
    let (client, _) = connect(&server.connect_string()).await;
    let make = |path: &'static str, mode| client.create(path, "", mode).patient();
    make("/c", CreateMode::Container).await.unwrap();
    persistent(&client, "/c/child").await;
    make("/t", CreateMode::PersistentWithTtl(100)).await.unwrap();
    let passing = make("/t-", CreateMode::PersistentSequentialWithTtl(60_000)).await.unwrap();
    let (_, mut container) = client.exists_and_watch("/c").patient().await.unwrap();
    let (_, mut short_lived) = client.exists_and_watch("/t").patient().await.unwrap();
    assert_eq!(short_lived.changed().patient().await.unwrap().event_type, EventType::NODE_DELETED);
    assert!(client.exists("/c").patient().await.unwrap().is_some(), "it has a child");
    client.delete("/c/child", -1).patient().await.unwrap();
    assert_eq!(container.changed().patient().await.unwrap().event_type, EventType::NODE_DELETED);
    assert!(client.exists(passing.path).patient().await.unwrap().is_some());
    let never = make("/n", CreateMode::PersistentWithTtl(0)).await.unwrap_err();
    assert!(matches!(never, Error::NotSubmitted(_)), "{never:?}");
}
