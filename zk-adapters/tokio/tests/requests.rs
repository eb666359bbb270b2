//! Requests against a real server: their answers, their refusals, their order, and their end without an answer.

#![expect(clippy::unwrap_used, reason = "a story that goes wrong fails its test")]

mod story;

use story::{Patient, connect, server_has, standalone};
use zk_tokio::{Client, CreateMode, Delivery, ErrorCode, SubmitError};

#[tokio::test]
async fn a_znode_is_created_read_changed_listed_and_deleted() {
    let server = standalone();
    let (client, _) = connect(&server.connect_string()).await;

    let created = client.create("/a", "one", CreateMode::Persistent).patient().await.unwrap();
    assert_eq!(created.path.as_str(), Some("/a"));

    let znode = client.get_data("/a").patient().await.unwrap();
    assert_eq!(znode.data.as_deref(), Some(&b"one"[..]));
    // A server without create2 tells only the path.
    assert_eq!(created.stat, server_has(3, 5).then_some(znode.stat));

    let changed = client.set_data("/a", "two", 0).patient().await.unwrap();
    assert_eq!(changed.version, 1);
    assert_eq!(client.exists("/a").patient().await.unwrap(), Some(changed));

    client.create("/a/b", "", CreateMode::Ephemeral).patient().await.unwrap();
    let children = client.get_children("/a").patient().await.unwrap();
    assert_eq!(children.children.iter_str().collect::<Vec<_>>(), ["b"]);
    assert_eq!(children.stat.num_children, 1);
    let names = client.get_child_names("/a").patient().await.unwrap();
    assert_eq!(names.iter_str().collect::<Vec<_>>(), ["b"]);

    client.sync("/a").patient().await.unwrap();
    client.delete("/a/b", -1).patient().await.unwrap();
    client.delete("/a", 1).patient().await.unwrap();
    assert_eq!(client.exists("/a").patient().await.unwrap(), None);
}

#[tokio::test]
async fn each_mode_creates_its_kind_of_znode() {
    let server = standalone();
    let (client, _) = connect(&server.connect_string()).await;
    let session_id = client.session_id().unwrap();
    let create = |path: &'static str, mode| client.create(path, "", mode).patient();

    create("/e", CreateMode::Ephemeral).await.unwrap();
    let ephemeral = client.exists("/e").patient().await.unwrap().unwrap();
    assert_eq!(ephemeral.ephemeral_owner, session_id);
    let first = create("/s-", CreateMode::PersistentSequential).await.unwrap();
    let second = create("/s-", CreateMode::EphemeralSequential).await.unwrap();
    assert_eq!(first.path.as_str(), Some("/s-0000000001"));
    assert_eq!(second.path.as_str(), Some("/s-0000000002"));
    if !server_has(3, 5) {
        return;
    }
    let container = create("/c", CreateMode::Container).await.unwrap();
    assert_eq!(container.path.as_str(), Some("/c"));
    let passing = create("/t", CreateMode::PersistentWithTtl(60_000)).await.unwrap();
    assert_eq!(passing.path.as_str(), Some("/t"));
}

#[tokio::test]
async fn a_refusal_tells_the_servers_code() {
    let server = standalone();
    let (client, _) = connect(&server.connect_string()).await;

    let missing = client.get_data("/missing").patient().await.unwrap_err();
    assert_eq!(missing.code(), Some(ErrorCode::NO_NODE));
    assert_eq!(missing.delivery(), None);
    client.create("/a", "", CreateMode::Persistent).patient().await.unwrap();
    let twice = client.create("/a", "", CreateMode::Persistent).patient().await;
    assert_eq!(twice.unwrap_err().code(), Some(ErrorCode::NODE_EXISTS));
    let stale = client.set_data("/a", "", 7).patient().await.unwrap_err();
    assert_eq!(stale.code(), Some(ErrorCode::BAD_VERSION));
}

#[tokio::test]
async fn an_invalid_path_is_refused_before_anything_is_sent() {
    let server = standalone();
    let (client, _) = connect(&server.connect_string()).await;
    let error = client.get_data("no/slash").patient().await.unwrap_err();
    assert!(matches!(error, zk_tokio::Error::NotSubmitted(SubmitError::InvalidPath(_))), "{error:?}");
    assert_eq!(error.delivery(), Some(Delivery::NotSent));
    assert_eq!(client.stats().accepted, 0);
}

#[tokio::test]
async fn requests_run_in_the_order_of_the_calls_whatever_the_order_of_the_awaits() {
    let server = standalone();
    let (client, _) = connect(&server.connect_string()).await;
    // An operation that a server doesn't know costs the connection, and what is behind it: it is found out first.
    client.create("/first", "", CreateMode::Persistent).patient().await.unwrap();
    let create = client.create("/a", "0", CreateMode::Persistent);
    let changes: Vec<_> = (1..=20).map(|n: i32| client.set_data("/a", n.to_string(), n - 1)).collect();
    let read = client.get_data("/a");
    assert_eq!(read.patient().await.unwrap().data.as_deref(), Some(&b"20"[..]));
    for (change, version) in changes.into_iter().rev().zip((1..=20).rev()) {
        assert_eq!(change.patient().await.unwrap().version, version);
    }
    create.patient().await.unwrap();
}

#[tokio::test]
async fn a_chrooted_client_lives_below_its_chroot() {
    let server = standalone();
    let (outside, _) = connect(&server.connect_string()).await;
    outside.create("/app", "", CreateMode::Persistent).patient().await.unwrap();
    let (inside, _) = connect(&format!("{}/app", server.connect_string())).await;

    let (missing, mut watch) = inside.exists_and_watch("/a").patient().await.unwrap();
    assert_eq!(missing, None);
    let created = inside.create("/a", "", CreateMode::Persistent).patient().await.unwrap();
    assert_eq!(created.path.as_str(), Some("/a"));
    assert_eq!(watch.changed().patient().await.unwrap().path.as_str(), Some("/a"));
    assert!(outside.exists("/app/a").patient().await.unwrap().is_some());
    let root = inside.get_children("/").patient().await.unwrap();
    assert_eq!(root.children.iter_str().collect::<Vec<_>>(), ["a"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_tasks_share_a_client() {
    let server = standalone();
    let (client, _) = connect(&server.connect_string()).await;
    client.create("/n", "", CreateMode::Persistent).patient().await.unwrap();
    let tasks: Vec<_> = (0..256)
        .map(|task: usize| {
            let client = client.clone();
            tokio::spawn(async move { work(&client, task).await })
        })
        .collect();
    for task in tasks {
        task.patient().await.unwrap();
    }
    let stats = client.stats();
    assert_eq!((stats.accepted, stats.ended), (1 + 256 * 40, 1 + 256 * 40));
    assert_eq!((stats.queued, stats.in_flight), (0, 0));
}

async fn work(client: &Client, task: usize) {
    let path = format!("/n/{task}");
    client.create(&path, "", CreateMode::Ephemeral).patient().await.unwrap();
    for round in 0..19 {
        let text = format!("{task} {round}");
        client.set_data(&path, text.clone(), round).patient().await.unwrap();
        let znode = client.get_data(&path).patient().await.unwrap();
        assert_eq!(znode.data.as_deref(), Some(text.as_bytes()));
    }
    client.delete(&path, 19).patient().await.unwrap();
}

#[tokio::test]
async fn a_megabyte_is_written_and_read() {
    let server = standalone();
    let (client, _) = connect(&server.connect_string()).await;
    let data: Vec<u8> = (0..1_000_000_u32).map(|n| (n % 251) as u8).collect();
    client.create("/big", data.clone(), CreateMode::Persistent).patient().await.unwrap();
    let calls: Vec<_> = (0..8).map(|_| client.get_data("/big")).collect();
    for call in calls {
        assert!(call.patient().await.unwrap().data.as_deref() == Some(&data[..]));
    }
}
