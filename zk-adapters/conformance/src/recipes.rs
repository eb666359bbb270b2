//! What becomes of several requests that serve one purpose. Each is a test of an adapter, as the
//! [`scenarios`](mod@crate::scenarios) are.

use core::time::Duration;
use std::{thread, time::Instant};

use zk_client::Error;
use zk_harness::{Direction, Ensemble, Relay};
use zk_session::{
    Delivery, Failure,
    zk_proto::{CreateMode, ErrorCode, GetChildrenRequest, Request, Response},
};

use crate::{
    Adapter, Client, PATIENCE, Recipe,
    scenarios::{code, connect, connected_to, create, exists, get, set, standalone},
};

/// Each finds what another has made, or makes it anew.
pub fn paths_are_made_although_others_make_and_remove_them(adapter: &dyn Adapter) {
    let server = standalone();
    let clients: Vec<_> = (0..3).map(|_| connect(adapter, &server.connect_string())).collect();
    for round in 0..20 {
        let path = format!("/a/{}/b/c", round % 2);
        let made: Vec<_> = clients.iter().map(|client| client.run(Recipe::EnsurePath, &path, None)).collect();
        let removed = clients[0].run(Recipe::DeleteRecursive, "/a", None);
        let made = made.into_iter().chain([clients[1].run(Recipe::EnsurePath, &path, None)]);
        made.for_each(|made| assert_eq!(made().expect("it is there"), None));
        removed().expect("it went");
    }
    clients[0].run(Recipe::EnsurePath, "/a/1/b/c", None)().expect("it is there");
    assert!(exists(&*clients[1], "/a/1/b/c").is_some());
    clients[0].run(Recipe::EnsurePath, "/", None)().expect("it is there");

    let parents = Recipe::CreateWithParents(CreateMode::EphemeralSequential);
    let path = clients[0].run(parents, "/p/q/r-", None)().expect("it is created");
    assert_eq!(path.as_deref(), Some("/p/q/r-0000000000"));
    assert_ne!(exists(&*clients[1], "/p/q/r-0000000000").expect("it is there").ephemeral_owner.0, 0);
    let again = clients[1].run(Recipe::CreateWithParents(CreateMode::Persistent), "/p/q", None)();
    assert_eq!(code(again), ErrorCode::NODE_EXISTS);

    for (version, data) in (0..).zip(["one", "two"]) {
        clients[0].run(Recipe::SetOrCreate(data), "/s", None)().expect("it is set");
        let found = get(&*clients[1], "/s");
        assert_eq!((found.stat.version, found.data.as_deref()), (version, Some(data.as_bytes())));
    }
    assert_eq!(code(clients[0].run(Recipe::SetOrCreate(""), "/none/s", None)()), ErrorCode::NO_NODE);
    let invalid = clients[0].run(Recipe::EnsurePath, "a", None)();
    assert!(matches!(invalid, Err(Error::NotSubmitted(_))), "{invalid:?}");
}

/// Wide and deep ones.
pub fn a_tree_is_removed_although_others_add_to_it(adapter: &dyn Adapter) {
    let server = standalone();
    let (client, other) =
        (connect(adapter, &server.connect_string()), connect(adapter, &server.connect_string()));
    let deep = format!("/d{}", "/x".repeat(60));
    client.run(Recipe::EnsurePath, &deep, None)().expect("it is there");
    let wide = (0..700).map(|n| {
        let path = format!("/d/{}/{n}", n % 7);
        client.run(Recipe::CreateWithParents(CreateMode::Persistent), &path, None)
    });
    wide.collect::<Vec<_>>().into_iter().for_each(|made| drop(made().expect("it is created")));

    let mut removed = client.run(Recipe::DeleteRecursive, "/d", None);
    for round in 0..5 {
        let add = |n| {
            other.run(Recipe::CreateWithParents(CreateMode::Persistent), &format!("/d/n{n}/{round}"), None)
        };
        let added: Vec<_> = (0..20).map(add).collect();
        removed().expect("it went");
        added.into_iter().for_each(|added| drop(added().expect("it is created")));
        removed = client.run(Recipe::DeleteRecursive, "/d", None);
    }
    removed().expect("it went");
    assert_eq!(exists(&*client, "/d"), None);
    client.run(Recipe::DeleteRecursive, "/d", None)().expect("it isn't there");
    let root = client.run(Recipe::DeleteRecursive, "/", None)();
    assert!(matches!(root, Err(Error::NotSubmitted(_))), "{root:?}");
}

/// Before the request arrived, in the middle of it, or after it was applied.
pub fn a_protected_create_whose_connection_is_cut_leaves_one_znode(adapter: &dyn Adapter) {
    let server = standalone();
    let relay = Relay::start(server.address(0)).expect("a relay");
    let client = connect(adapter, &relay.address().to_string());
    let (to_client, to_server) = (Direction::ToClient, Direction::ToServer);
    let cuts = [
        (CreateMode::Persistent, to_client, 0),
        (CreateMode::Persistent, to_server, 0),
        (CreateMode::Ephemeral, to_client, 9),
        (CreateMode::Ephemeral, to_server, 20),
        (CreateMode::PersistentSequential, to_client, 0),
        (CreateMode::PersistentSequential, to_server, 20),
        (CreateMode::EphemeralSequential, to_client, 0),
        (CreateMode::EphemeralSequential, to_server, 0),
    ];
    for (round, (mode, direction, count)) in cuts.into_iter().enumerate() {
        let parent = format!("/{round}");
        create(&*client, &parent, "", CreateMode::Persistent).expect("it is created");
        let connections = relay.accepted();
        relay.cut_after(direction, count);
        let path = client.run(Recipe::CreateProtected(mode), &format!("{parent}/lock-"), None)();
        let path = path.expect("it is created").expect("its path is told");
        assert!(relay.accepted() > connections, "the connection was cut");
        assert_eq!(children(&*client, &parent), [path.rsplit('/').next().expect("a name")], "{mode:?}");
        let owner = exists(&*client, &path).expect("it is there").ephemeral_owner;
        let is_ephemeral = matches!(mode, CreateMode::Ephemeral | CreateMode::EphemeralSequential);
        assert_eq!(
            is_ephemeral.then_some(owner),
            is_ephemeral.then(|| client.credentials().expect("own").session_id)
        );
        assert!(path.contains("/_c_") && path.contains("-lock-"), "{path}");
    }
}

/// Because its time is over, or nobody waits any more; also when the connection is lost then.
pub fn a_protected_create_that_is_given_up_leaves_none(adapter: &dyn Adapter) {
    let server = standalone();
    let relay = Relay::start(server.address(0)).expect("a relay");
    let client = connect(adapter, &relay.address().to_string());
    let observer = connect(adapter, &server.connect_string());
    let modes = [CreateMode::Persistent, CreateMode::EphemeralSequential];
    let ends = [(true, false), (true, true), (false, false), (false, true)];
    for (round, (mode, (in_time, cut))) in
        modes.into_iter().flat_map(|mode| ends.map(|end| (mode, end))).enumerate()
    {
        let parent = format!("/{round}");
        create(&*client, &parent, "", CreateMode::Persistent).expect("it is created");
        relay.black_hole(Direction::ToClient);
        let deadline = in_time.then_some(Duration::from_millis(300));
        let pending = client.run(Recipe::CreateProtected(mode), &format!("{parent}/lock-"), deadline);
        until_children(&*observer, &parent, 1);
        if in_time {
            let error = pending().expect_err("no answer comes");
            let expected = Error::Failed { failure: Failure::Deadline, delivery: Delivery::MaybeApplied };
            assert_eq!(error, expected);
        } else {
            drop(pending);
        }
        if cut {
            relay.cut();
        }
        relay.heal();
        until_children(&*observer, &parent, 0);
    }
    // One that was never sent is none.
    relay.refuse();
    relay.cut();
    drop(client.run(Recipe::CreateProtected(CreateMode::Persistent), "/unsent", None));
    relay.accept();
    set(&*client, "/0", "", -1).or_else(|_| set(&*client, "/0", "", -1)).expect("it goes on");
    assert!(children(&*observer, "/").iter().all(|name| !name.starts_with("_c_")));
}

/// Many at once, when a server dies under them.
pub fn protected_creates_outlive_a_killed_server_once_each(adapter: &dyn Adapter) {
    let ensemble = Ensemble::start(3).expect("three ZooKeeper servers");
    let client = connect(adapter, &ensemble.connect_string());
    let port = connected_to(&*client);
    create(&*client, "/locks", "", CreateMode::Persistent).expect("it is created");
    let lock = || client.run(Recipe::CreateProtected(CreateMode::EphemeralSequential), "/locks/l-", None);
    let mut pending: Vec<_> = (0..50).map(|_| lock()).collect();
    let server = (0..3).find(|&server| ensemble.address(server).port() == port).expect("it is one of them");
    ensemble.kill(server);
    pending.extend((0..50).map(|_| lock()));
    let mut told: Vec<_> = pending
        .into_iter()
        .map(|pending| pending().expect("it is created").expect("its path is told"))
        .map(|path| path.replace("/locks/", ""))
        .collect();
    told.sort();
    assert_eq!(children(&*client, "/locks"), told);
}

fn children(client: &dyn Client, path: &str) -> Vec<String> {
    let list = Request::GetChildren(GetChildrenRequest { path: path.into(), watch: false });
    let Ok(Response::GetChildren(found)) = client.submit(list)() else { panic!("no list") };
    let mut names: Vec<_> = found.children.iter_str().map(|name| name.into_owned()).collect();
    names.sort();
    names
}

fn until_children(client: &dyn Client, path: &str, count: usize) {
    let begun = Instant::now();
    while children(client, path).len() != count {
        assert!(begun.elapsed() < PATIENCE, "{:?}", children(client, path));
        thread::sleep(Duration::from_millis(5));
    }
}
