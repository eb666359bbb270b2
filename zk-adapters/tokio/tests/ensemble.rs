//! A real ensemble whose servers come and go.

#![expect(clippy::unwrap_used, reason = "a story that goes wrong fails its test")]

mod story;

use core::time::Duration;

use story::{PATIENCE, Patient, builder, connect, ensemble, event, make_familiar, server_has};
use zk_harness::{Ensemble, Options};
use zk_proto::{Acl, Id, Perms, Vector};
use zk_tokio::{Client, CreateMode, ErrorCode, EventType, Retry, SessionEvent, SessionEvents};

/// Sessions that are ready, each with a seed of its own.
async fn sessions(connect_string: &str, count: u64) -> Vec<(Client, SessionEvents)> {
    let mut sessions = Vec::new();
    for seed in 0..count {
        let builder = builder(connect_string).session_timeout(Duration::from_secs(30)).seed(seed);
        sessions.push(builder.connect_limit(PATIENCE).connect().patient().await.unwrap());
    }
    sessions
}

/// Gives all the sessions this list, and waits until those that move have arrived. Tells how many have.
async fn update(sessions: &mut [(Client, SessionEvents)], servers: &str) -> usize {
    for (client, events) in &mut *sessions {
        while events.try_next().is_some() {}
        client.update_servers(servers).unwrap();
    }
    let mut moved = 0;
    for (client, events) in &mut *sessions {
        // Answered, or lost with the connection that the session leaves.
        if client.sync("/").patient().await.is_ok() && events.try_next().is_none() {
            continue;
        }
        event(events, |event| matches!(event, SessionEvent::Ready)).await;
        moved += 1;
    }
    moved
}

/// How many sessions are on each server.
fn spread(ensemble: &Ensemble, sessions: &[(Client, SessionEvents)]) -> Vec<usize> {
    let on = |server: usize| {
        let port = ensemble.address(server).port();
        sessions.iter().filter(|(client, _)| client.server().is_some_and(|at| at.port == port)).count()
    };
    (0..ensemble.len()).map(on).collect()
}

/// ZOOKEEPER-1355: no more sessions move than must, and the load is even afterwards.
#[tokio::test]
async fn sessions_spread_evenly_when_the_list_grows_and_when_it_shrinks() {
    const COUNT: usize = 90;
    let ensemble = ensemble();
    let list = |servers: &[usize]| {
        let addresses: Vec<_> = servers.iter().map(|&server| ensemble.address(server).to_string()).collect();
        addresses.join(",")
    };
    let mut sessions = sessions(&list(&[0, 1]), COUNT as u64).await;
    let ids: Vec<_> = sessions.iter().map(|(client, _)| client.session_id()).collect();
    let two = spread(&ensemble, &sessions);
    assert!((30..=60).contains(&two[0]) && two[2] == 0, "{two:?}");

    // A third of them move, all to the new server.
    let moved = update(&mut sessions, &list(&[0, 1, 2])).await;
    let three = spread(&ensemble, &sessions);
    assert!((18..=42).contains(&moved), "{moved}");
    assert_eq!(three[2], moved);
    assert!(three[0] <= two[0] && three[1] <= two[1], "{two:?}, {three:?}");

    // Those of the server that leaves move, and no others.
    let moved = update(&mut sessions, &list(&[1, 2])).await;
    let rest = spread(&ensemble, &sessions);
    assert_eq!((moved, rest[0]), (three[0], 0));
    assert_eq!(rest[1] + rest[2], COUNT);
    assert!((30..=60).contains(&rest[1]), "{rest:?}");

    // The same list again moves nobody.
    assert_eq!(update(&mut sessions, &list(&[2, 1])).await, 0);
    assert_eq!(sessions.iter().map(|(client, _)| client.session_id()).collect::<Vec<_>>(), ids);
}

#[tokio::test]
async fn members_leave_and_join_and_the_configuration_tells_of_it() {
    if !server_has(3, 5) {
        return;
    }
    let ensemble = ensemble();
    // The leader stays, so that no election costs the connection.
    let leader = ensemble.leader().unwrap();
    let leaving = (0..3).find(|&server| server != leader).unwrap() + 1;
    let (client, _) = connect(&ensemble.address(leader).to_string()).await;
    client.add_auth("digest", "super:super-secret").patient().await.unwrap();
    let text = |config: zk_tokio::GetDataResponse| String::from_utf8(config.data.unwrap().to_vec()).unwrap();
    let before = text(client.get_config().patient().await.unwrap());
    let name = format!("server.{leaving}=");
    let member = before.lines().find(|line| line.starts_with(&name)).unwrap().to_owned();
    let version = |config: &str| {
        let line = config.lines().find_map(|line| line.strip_prefix("version="));
        i64::from_str_radix(line.unwrap(), 16).unwrap()
    };

    let stale = client.reconfig("", &leaving.to_string(), version(&before) + 1).patient().await.unwrap_err();
    assert_eq!(stale.code(), Some(ErrorCode::BAD_VERSION));
    let left = text(client.reconfig("", &leaving.to_string(), version(&before)).patient().await.unwrap());
    assert!(
        !left.contains(&name) && left.lines().filter(|line| line.starts_with("server.")).count() == 2,
        "{left}"
    );
    assert_eq!(text(client.get_config().patient().await.unwrap()), left);
    let joined = text(client.reconfig(&member, "", -1).patient().await.unwrap());
    assert!(joined.lines().any(|line| line == member), "{joined}");
    assert!(version(&before) < version(&left) && version(&left) < version(&joined));

    // Other than step by step: the whole list at once.
    let two: Vec<_> =
        before.lines().filter(|line| line.starts_with("server.") && **line != *member).collect();
    let set = text(client.reconfig_to(&two.join(","), -1).patient().await.unwrap());
    assert!(!set.contains(&name), "{set}");
    let nobody = client.reconfig_to("nonsense", -1).patient().await.unwrap_err();
    assert_eq!(nobody.code(), Some(ErrorCode::BAD_ARGUMENTS));
}

/// Before 3.9.2 anybody's watches hear of a znode; from then on, of those alone that may read it.
#[tokio::test]
async fn identities_go_before_watches_when_a_session_moves() {
    let ensemble = Options::new().jvm_flag("-Dzookeeper.enableEagerACLCheck=true").start(3).unwrap();
    let (client, mut events) = connect(&ensemble.connect_string()).await;
    make_familiar(&client, &mut events).await;
    for identity in ["bob:secret", "eve:other", "bob:secret"] {
        client.add_auth("digest", identity).patient().await.unwrap();
    }
    let acl = |id: &str| Acl { perms: Perms::ALL, id: Id { scheme: "auth".into(), id: id.into() } };
    let own = Vector::from(vec![acl("")]);
    let client = client.with_retry(Retry::WhenSafe);
    client.with_acl(own).create("/own", "0", CreateMode::Persistent).patient().await.unwrap();
    let (_, mut watch) = client.get_data_and_watch("/own").patient().await.unwrap();
    let server = (0..3).find(|&server| ensemble.address(server).port() == client.server().unwrap().port);
    while events.try_next().is_some() {}
    ensemble.kill(server.unwrap());
    event(&mut events, |event| matches!(event, SessionEvent::Ready)).await;

    // A refusal may come ahead of the answers to what was sent before it: each gets its own.
    let stranger = builder(&ensemble.connect_string()).session_timeout(Duration::from_secs(30));
    let (stranger, mut theirs) = stranger.connect_limit(PATIENCE).connect().patient().await.unwrap();
    make_familiar(&stranger, &mut theirs).await;
    let before = stranger.stats().connections;
    for round in 0..20 {
        let create = stranger.create("/s-", "", CreateMode::EphemeralSequential);
        let refused = stranger.set_data("/own", "stolen", -1);
        let read = stranger.exists("/");
        assert_eq!(refused.patient().await.unwrap_err().code(), Some(ErrorCode::NO_AUTH), "round {round}");
        assert!(create.patient().await.unwrap().path.as_str().unwrap().starts_with("/s-"));
        assert!(read.patient().await.unwrap().is_some());
    }
    assert_eq!(stranger.stats().connections, before);

    while client.set_data("/own", "1", -1).patient().await.is_err() {}
    assert_eq!(watch.changed().patient().await.unwrap().event_type, EventType::NODE_DATA_CHANGED);
    let stored = client.get_acl("/own").patient().await.unwrap();
    assert_eq!(stored.acl.iter().count(), 2, "each identity once: {stored:?}");
}
