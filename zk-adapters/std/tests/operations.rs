//! Operations beyond reading and writing one znode, against a real server of whatever version there is.

#![expect(clippy::unwrap_used, reason = "a story that goes wrong fails its test")]

mod story;

use core::time::Duration;
use std::time::Instant;

use story::{Patient, builder, changed, connect, server_has, standalone, told};
use zk_harness::{Direction, Options, Relay};
use zk_proto::{
    Acl, AddWatchMode, CheckVersionRequest, CreateRequest, DeleteRequest, EventType, GetChildrenRequest,
    GetDataRequest, Id, Op, OpResult, Perms, SetDataRequest, Vector, WatcherType, Zxid,
};
use zk_session::{DigestMd5, Sasl};
use zk_std::{
    Client, ConnectError, CreateMode, Error, ErrorCode, Failure, OPEN_ACL_UNSAFE, SessionEvent,
    StandingEvent, WatchEnded,
};

fn create(path: &str) -> Op {
    Op::Create(CreateRequest { path: path.into(), data: None, acl: OPEN_ACL_UNSAFE, flags: 0 })
}

fn persistent(client: &Client, path: &'static str) {
    client.create(path, "", CreateMode::Persistent).patient().unwrap();
}

#[test]
fn a_multi_is_applied_whole_or_not_at_all() {
    let server = standalone();
    let (client, _) = connect(&server.connect_string());
    let set = SetDataRequest { path: "/m".into(), data: Some("x".into()), version: 0 };
    let check = CheckVersionRequest { path: "/m".into(), version: 1 };
    let delete = DeleteRequest { path: "/m/gone".into(), version: -1 };
    let ops = vec![create("/m"), Op::SetData(set), Op::Check(check), create("/m/gone"), Op::Delete(delete)];
    let results = client.multi(ops).patient().unwrap();
    assert!(matches!(&results[0], OpResult::Create(created) if created.path == "/m"), "{results:?}");
    assert!(matches!(&results[1], OpResult::SetData(set) if set.stat.version == 1), "{results:?}");
    assert!(matches!(results[2..], [OpResult::Check, OpResult::Create(_), OpResult::Delete]), "{results:?}");

    let stale = CheckVersionRequest { path: "/m".into(), version: 7 };
    let ops = vec![create("/m/never"), Op::Check(stale), create("/m/neither")];
    let error = client.multi(ops).patient().unwrap_err();
    let Error::Refused { code, results } = error else { panic!("{error:?}") };
    assert_eq!(code, ErrorCode::BAD_VERSION);
    let codes = [ErrorCode::OK, ErrorCode::BAD_VERSION, ErrorCode::RUNTIME_INCONSISTENCY];
    assert_eq!(results, codes.map(OpResult::Error));
    assert_eq!(client.exists("/m/never").patient().unwrap(), None);
    assert_eq!(client.multi(Vec::new()).patient().unwrap(), []);
}

#[test]
fn a_multi_read_tells_each_result_for_itself() {
    if !server_has(3, 6) {
        return;
    }
    let server = standalone();
    let (client, _) = connect(&server.connect_string());
    persistent(&client, "/a");
    persistent(&client, "/a/b");
    let data = |path: &str| Op::GetData(GetDataRequest { path: path.into(), watch: false });
    let children = Op::GetChildren(GetChildrenRequest { path: "/a".into(), watch: false });
    let results = client.multi_read(vec![data("/a/b"), data("/missing"), children]).patient().unwrap();
    assert!(matches!(&results[0], OpResult::GetData(found) if found.data.as_deref() == Some(b"")));
    assert_eq!(results[1], OpResult::Error(ErrorCode::NO_NODE));
    assert!(matches!(&results[2], OpResult::GetChildren(found) if found.children.iter().eq(["b"])));
}

#[test]
fn identities_open_what_their_acl_closes_and_are_told_to_every_server() {
    let server = standalone();
    let (client, _) = connect(&server.connect_string());
    client.add_auth("digest", "bob:secret").patient().unwrap();
    let bob = Acl { perms: Perms::ALL, id: Id { scheme: "auth".into(), id: "".into() } };
    let acl = Vector::from(vec![bob]);
    client.with_acl(acl.clone()).create("/bobs", "x", CreateMode::Persistent).patient().unwrap();
    let stored = client.get_acl("/bobs").patient().unwrap();
    let entry = stored.acl.iter().next().unwrap();
    assert_eq!(entry.id.id, "bob:fyVmFCwVbTJYrznoSu1koqYEYF0=");

    let (stranger, _) = connect(&server.connect_string());
    let refused = stranger.get_data("/bobs").patient().unwrap_err();
    assert_eq!(refused.code(), Some(ErrorCode::NO_AUTH));
    stranger.with_acl(acl).create("/s", "", CreateMode::Ephemeral).patient().unwrap_err();

    // The server forgets who a connection was.
    server.kill(0);
    server.restart(0).unwrap();
    let retried = client.with_retry(zk_std::Retry::WhenSafe);
    assert_eq!(retried.get_data("/bobs").patient().unwrap().data.as_deref(), Some(&b"x"[..]));
    let stat = retried.set_acl("/bobs", OPEN_ACL_UNSAFE, 0).patient().unwrap();
    assert_eq!(stat.aversion, 1);
}

#[test]
fn an_identity_that_no_server_knows_ends_the_session() {
    let server = standalone();
    let (client, mut events) = connect(&server.connect_string());
    let error = client.add_auth("nonsense", "x").patient().unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::AUTH_FAILED));
    story::event(
        &mut events,
        |event| matches!(event, SessionEvent::AuthFailed { scheme } if scheme == "nonsense"),
    );
}

#[test]
fn a_session_knows_its_ephemerals_descendants_and_identities() {
    if !server_has(3, 6) {
        return;
    }
    let server = standalone();
    let (root, _) = connect(&server.connect_string());
    persistent(&root, "/app");
    let (client, _) = connect(&format!("{}/app", server.connect_string()));
    persistent(&client, "/a");
    client.create("/a/e", "", CreateMode::Ephemeral).patient().unwrap();
    let ephemerals = client.get_ephemerals("/").patient().unwrap();
    assert_eq!(ephemerals.iter_str().collect::<Vec<_>>(), ["/a/e"], "the chroot is invisible");
    assert_eq!(client.get_all_children_number("/a").patient().unwrap(), 1);
    if server_has(3, 7) {
        let who = client.who_am_i().patient().unwrap();
        assert!(who.iter().any(|info| info.auth_scheme == "ip"), "{who:?}");
    }
}

#[test]
fn a_standing_watch_tells_everything_and_the_gap_after_a_reconnect() {
    if !server_has(3, 6) {
        return;
    }
    let server = standalone();
    let (client, _) = connect(&server.connect_string());
    persistent(&client, "/a");
    let mut all = client.add_watch("/a", AddWatchMode::PERSISTENT_RECURSIVE).patient().unwrap();
    persistent(&client, "/a/b");
    client.set_data("/a/b", "x", -1).patient().unwrap();
    for expected in [EventType::NODE_CREATED, EventType::NODE_DATA_CHANGED] {
        let StandingEvent::Event(event) = told(&mut all).unwrap() else { panic!("a gap") };
        assert_eq!((event.event_type, event.path.as_str()), (expected, Some("/a/b")));
    }
    server.kill(0);
    server.restart(0).unwrap();
    let StandingEvent::Gap { from, to } = told(&mut all).unwrap() else { panic!("no gap") };
    assert!(Zxid(0) < from && from <= to, "{from} {to}");
    let retried = client.with_retry(zk_std::Retry::WhenSafe);
    retried.sync("/").patient().unwrap();
    client.delete("/a/b", -1).patient().unwrap();
    let StandingEvent::Event(event) = told(&mut all).unwrap() else { panic!("a gap") };
    assert_eq!(event.event_type, EventType::NODE_DELETED);
}

#[test]
fn watches_can_be_looked_for_and_removed_by_path_and_by_dropping_them() {
    if !server_has(3, 6) {
        return;
    }
    let server = standalone();
    let (client, _) = connect(&server.connect_string());
    persistent(&client, "/a");
    let any = WatcherType::ANY;
    assert!(!client.check_watches("/a", any).patient().unwrap());
    let mut standing = client.add_watch("/a", AddWatchMode::PERSISTENT).patient().unwrap();
    assert!(client.check_watches("/a", any).patient().unwrap());
    assert!(client.remove_watches("/a", any).patient().unwrap());
    assert_eq!(told(&mut standing), Err(WatchEnded::Removed));
    assert!(!client.remove_watches("/a", any).patient().unwrap());

    let (_, watch) = client.get_data_and_watch("/a").patient().unwrap();
    assert!(client.check_watches("/a", WatcherType::DATA).patient().unwrap());
    drop(watch);
    assert!(!client.check_watches("/a", any).patient().unwrap(), "the server was told");
}

/// Before 3.9 servers keep one mode for each path.
#[test]
fn one_time_and_standing_watches_of_one_path_live_side_by_side() {
    if !server_has(3, 6) {
        return;
    }
    let server = standalone();
    let (client, _) = connect(&server.connect_string());
    persistent(&client, "/a");
    let mut standing = client.add_watch("/a", AddWatchMode::PERSISTENT).patient().unwrap();
    for round in 0..3 {
        let (_, mut once) = client.get_data_and_watch("/a").patient().unwrap();
        client.set_data("/a", "x", -1).patient().unwrap();
        assert_eq!(changed(&mut once).unwrap().event_type, EventType::NODE_DATA_CHANGED);
        let told = told(&mut standing).unwrap();
        assert!(matches!(&told, StandingEvent::Event(_)), "round {round}: {told:?}");
    }
    drop(standing);
    let (_, mut children) = client.get_children_and_watch("/a").patient().unwrap();
    let mut below = client.add_watch("/a", AddWatchMode::PERSISTENT_RECURSIVE).patient().unwrap();
    persistent(&client, "/a/b");
    assert_eq!(changed(&mut children).unwrap().event_type, EventType::NODE_CHILDREN_CHANGED);
    assert!(matches!(told(&mut below).unwrap(), StandingEvent::Event(_)));
}

#[test]
fn the_configuration_of_an_ensemble_is_read_and_a_reconfig_is_refused_as_servers_do() {
    if !server_has(3, 5) {
        return;
    }
    let ensemble = story::ensemble();
    let (client, _) = connect(&ensemble.connect_string());
    let config = client.get_config().patient().unwrap();
    let text = String::from_utf8(config.data.unwrap().to_vec()).unwrap();
    assert!(text.contains("server."), "{text}");
    let refused = client.reconfig("", "9", -1).patient().unwrap_err();
    assert!(matches!(refused.code(), Some(ErrorCode::RECONFIG_DISABLED | ErrorCode::NO_AUTH)), "{refused:?}");
}

/// 3.4 has no create2: the client finds out, and falls back.
#[test]
fn what_a_server_does_not_have_is_made_up_for_or_told() {
    let server = standalone();
    let (client, _) = connect(&server.connect_string());
    let created = client.create("/a", "x", CreateMode::Persistent).patient();
    assert_eq!(created.unwrap().path, "/a");
    if server_has(3, 7) {
        return;
    }
    for _ in 0..3 {
        let error = client.who_am_i().patient().unwrap_err();
        let is_told = error.code() == Some(ErrorCode::UNIMPLEMENTED)
            || matches!(&error, Error::Failed { failure: zk_std::Failure::Unsupported { .. }, .. });
        assert!(is_told, "{error:?}");
    }
    let retried = client.with_retry(zk_std::Retry::WhenSafe);
    retried.sync("/").patient().unwrap();
}

/// A server that offers SASL to alice and bob.
fn sasl_server(is_required: bool) -> (zk_harness::Ensemble, std::path::PathBuf) {
    let jaas = std::env::temp_dir().join(format!("zk-jaas-{}-{is_required}.conf", std::process::id()));
    let module = "org.apache.zookeeper.server.auth.DigestLoginModule";
    let text =
        format!("Server {{ {module} required user_alice=\"alice-secret\" user_bob=\"bob-secret\"; }};");
    std::fs::write(&jaas, text).unwrap();
    let mut options = Options::new()
        .jvm_flag(format!("-Djava.security.auth.login.config={}", jaas.display()))
        .jvm_flag("-Dzookeeper.authProvider.1=org.apache.zookeeper.server.auth.SASLAuthenticationProvider");
    if is_required {
        options = options.jvm_flag("-Dzookeeper.sessionRequireClientSASLAuth=true");
    }
    (options.standalone().expect("a ZooKeeper server with SASL"), jaas)
}

#[test]
fn sasl_authenticates_on_every_connection() {
    let (server, jaas) = sasl_server(true);
    let builder = builder(&server.connect_string());
    let sasl = || Sasl::new(DigestMd5::new("alice", "alice-secret", b"a key of the test's own"));
    let (client, _) = builder.clone().configure(|config| config.sasl = Some(sasl())).connect().unwrap();
    let alices = Acl { perms: Perms::ALL, id: Id { scheme: "sasl".into(), id: "alice".into() } };
    let acl = Vector::from(vec![alices]);
    client.with_acl(acl).create("/alices", "x", CreateMode::Persistent).patient().unwrap();
    server.kill(0);
    server.restart(0).unwrap();
    let retried = client.with_retry(zk_std::Retry::WhenSafe);
    assert_eq!(retried.get_data("/alices").patient().unwrap().data.as_deref(), Some(&b"x"[..]));

    if server_has(3, 6) {
        let (nobody, _) = builder.clone().connect().unwrap();
        let refused = nobody.get_data("/").patient().unwrap_err();
        assert_eq!(refused.code(), Some(ErrorCode::SESSION_CLOSED_REQUIRE_SASL_AUTH));
    }

    let wrong = Sasl::new(DigestMd5::new("alice", "wrong", b"a key of the test's own"));
    let refused = builder.configure(|config| config.sasl = Some(wrong)).connect();
    if server_has(3, 6) {
        assert!(matches!(refused, Err(ConnectError::AuthFailed)), "{refused:?}");
    }
    std::fs::remove_file(jaas).unwrap();
}

#[test]
fn handles_with_roots_of_their_own_share_a_session() {
    let server = standalone();
    let (outer, _) = connect(&server.connect_string());
    persistent(&outer, "/app");
    persistent(&outer, "/app/inner");
    let app = outer.chroot("/app").unwrap();
    let inner = app.chroot("/inner").unwrap();
    assert_eq!(app.session_id(), outer.session_id());
    let created = inner.create("/x", "1", CreateMode::Persistent).patient().unwrap();
    assert_eq!(created.path, "/x");
    let (_, mut watch) = inner.get_data_and_watch("/x").patient().unwrap();
    outer.set_data("/app/inner/x", "2", -1).patient().unwrap();
    assert_eq!(changed(&mut watch).unwrap().path, "/x");
    assert_eq!(app.get_data("/inner/x").patient().unwrap().data.as_deref(), Some(&b"2"[..]));
    let results = app.multi(vec![create("/m")]).patient().unwrap();
    assert!(matches!(&results[0], OpResult::Create(created) if created.path == "/m"), "{results:?}");
    assert!(outer.exists("/app/m").patient().unwrap().is_some());
    let error = inner.get_data("x").patient().unwrap_err();
    assert!(matches!(error, Error::NotSubmitted(zk_std::SubmitError::InvalidPath(_))), "{error:?}");
    inner.delete("/", -1).patient().unwrap_err();
    assert!(outer.chroot("app").is_err());
}

#[test]
fn recipes_make_what_is_missing_of_a_root_and_have_one_deadline_each() {
    let server = standalone();
    let relay = Relay::start(server.address(0)).unwrap();
    let (outside, _) = connect(&relay.address().to_string());
    let app = outside.chroot("/apps/mine").unwrap();
    app.ensure_path("/").patient().unwrap();
    let created = app.create_with_parents("/a/b", "", CreateMode::Persistent).patient().unwrap();
    assert_eq!(created.path, "/a/b");
    assert!(outside.exists("/apps/mine/a/b").patient().unwrap().is_some());
    let protected = app.create_protected("/q-", "", CreateMode::PersistentSequential).patient().unwrap();
    assert!(protected.path.as_str().unwrap().starts_with("/_c_"), "{}", protected.path);
    assert_eq!(app.set_or_create("/s", "1").patient().unwrap().version, 0);

    relay.black_hole(Direction::ToClient);
    let limit = Duration::from_millis(200);
    let hasty = app.with_deadline(limit);
    let begun = Instant::now();
    let calls = [hasty.ensure_path("/c/d"), hasty.delete_recursive("/a")];
    for call in calls {
        let late = call.patient().unwrap_err();
        assert!(matches!(late, Error::Failed { failure: Failure::Deadline, .. }), "{late}");
    }
    assert!(begun.elapsed() < limit + Duration::from_secs(1), "{:?}", begun.elapsed());
    relay.heal();
    outside.chroot("/apps").unwrap().delete_recursive("/mine").patient().unwrap();
    assert_eq!(outside.exists("/apps/mine").patient().unwrap(), None);
}
