//! What a session may live through. Each is a test of an adapter: it panics where the adapter falls short.

use core::time::Duration;
use std::{thread, time::Instant};

use zk_client::{ConnectError, Error, SessionEnd, SessionEvent, WatchEnded};
use zk_harness::{BlackHole, DeadPort, Direction, Ensemble, Relay};
use zk_session::{
    Config, Delivery, SubmitError,
    zk_proto::{
        CreateMode, DeleteRequest, ErrorCode, EventType, ExistsRequest, GetChildren2Request, GetDataRequest,
        GetDataResponse, OPEN_ACL_UNSAFE, Request, Response, SetDataRequest, Stat,
    },
};
use zk_sim::{
    Version,
    reconnect::{Check, Outcome},
};

use crate::{Adapter, Client, PATIENCE, hostile};

/// Connects past servers that refuse, are silent, have no address, or answer nonsense.
pub fn a_server_is_found_among_dead_silent_and_hostile_ones(adapter: &dyn Adapter) {
    let server = standalone();
    let (dead, silent) = (dead_port(), BlackHole::open().expect("a port"));
    let servers = [
        dead.address().to_string(),
        silent.address().to_string(),
        UNKNOWN.to_owned(),
        hostile::start(hostile::NEGATIVE).to_string(),
        hostile::start(hostile::NONSENSE).to_string(),
        hostile::start(hostile::HALF).to_string(),
        server.connect_string(),
    ];
    for seed in 0..3 {
        let mut config = config(&servers.join(","));
        (config.seed, config.session_timeout) = (seed, Duration::from_secs(3));
        let client = adapter.connect(config, PATIENCE).expect("a session");
        assert!(exists(&*client, "/").is_some());
    }
}

/// Gives up in time, with a reason for each server.
pub fn a_failure_comes_in_time_and_names_each_server(adapter: &dyn Adapter) {
    let dead = dead_port();
    let hostile = hostile::start(hostile::NONSENSE);
    let limit = Duration::from_secs(3);
    let begun = Instant::now();
    let error = adapter.connect(config(&format!("{},{hostile},{UNKNOWN}", dead.address())), limit).err();
    assert!(begun.elapsed() < limit + Duration::from_secs(2), "{:?}", begun.elapsed());
    let Some(ConnectError::TimedOut { failures, .. }) = error else { panic!("{error:?}") };
    let mut servers: Vec<_> = failures.iter().map(|failure| failure.server.to_string()).collect();
    servers.sort();
    let mut expected = vec![dead.address().to_string(), hostile.to_string(), UNKNOWN.to_owned()];
    expected.sort();
    assert_eq!(servers, expected);
}

/// The life of a znode, and what servers refuse.
pub fn a_znode_is_created_read_changed_listed_and_deleted(adapter: &dyn Adapter) {
    let server = standalone();
    let client = connect(adapter, &server.connect_string());
    create(&*client, "/a", "one", CreateMode::Persistent).expect("it is created");
    assert_eq!(get(&*client, "/a").data.as_deref(), Some(&b"one"[..]));
    assert_eq!(set(&*client, "/a", "two", 0).expect("it is changed").version, 1);
    assert_eq!(code(set(&*client, "/a", "three", 0)), ErrorCode::BAD_VERSION);
    assert_eq!(code(create(&*client, "/a", "", CreateMode::Persistent)), ErrorCode::NODE_EXISTS);
    assert_eq!(code(create(&*client, "/b/c", "", CreateMode::Persistent)), ErrorCode::NO_NODE);
    create(&*client, "/a/b", "", CreateMode::Ephemeral).expect("it is created");
    let list = Request::GetChildren2(GetChildren2Request { path: "/a".into(), watch: false });
    let Ok(Response::GetChildren2(list)) = client.submit(list)() else { panic!("no list") };
    assert_eq!(list.children.iter_str().collect::<Vec<_>>(), ["b"]);
    for path in ["/a/b", "/a"] {
        client.submit(Request::Delete(DeleteRequest { path: path.into(), version: -1 }))().expect("it goes");
    }
    assert_eq!(exists(&*client, "/a"), None);
}

/// Whatever the order in which they are waited for.
pub fn requests_run_in_the_order_in_which_they_are_submitted(adapter: &dyn Adapter) {
    let server = standalone();
    let client = connect(adapter, &server.connect_string());
    create(&*client, "/a", "0", CreateMode::Persistent).expect("it is created");
    let sets: Vec<_> =
        (1..=300).map(|n: i32| client.submit(set_request("/a", n.to_string(), n - 1))).collect();
    let read = client.submit(get_request("/a"));
    let Ok(Response::GetData(found)) = read() else { panic!("no data") };
    assert_eq!(found.data.as_deref(), Some(&b"300"[..]));
    for (set, version) in sets.into_iter().rev().zip((1..=300).rev()) {
        let Ok(Response::SetData(set)) = set() else { panic!("it isn't changed") };
        assert_eq!(set.stat.version, version);
    }
}

/// Frames longer than any buffer, in both directions.
pub fn a_megabyte_is_written_and_read(adapter: &dyn Adapter) {
    let server = standalone();
    let client = connect(adapter, &server.connect_string());
    let data: Vec<u8> = (0..1_000_000_u32).map(|n| (n % 251) as u8).collect();
    create(&*client, "/big", data.clone(), CreateMode::Persistent).expect("it is created");
    let reads: Vec<_> = (0..8).map(|_| client.submit(get_request("/big"))).collect();
    for read in reads {
        let Ok(Response::GetData(found)) = read() else { panic!("no data") };
        assert!(found.data.as_deref() == Some(&data[..]));
    }
}

/// A one-time watch, with and without a lost connection in between.
pub fn a_watch_fires_once_and_tells_what_happened_while_away(adapter: &dyn Adapter) {
    let server = standalone();
    let relay = Relay::start(server.address(0)).expect("a relay");
    let client = connect(adapter, &relay.address().to_string());
    let other = connect(adapter, &server.connect_string());
    create(&*other, "/a", "", CreateMode::Persistent).expect("it is created");
    let watch = client.watch_data("/a").expect("it is watched");
    set(&*other, "/a", "1", -1).expect("it is changed");
    assert_eq!(watch().expect("an event").event_type, EventType::NODE_DATA_CHANGED);

    let watch = client.watch_data("/a").expect("it is watched");
    relay.refuse();
    relay.cut();
    until(&*client, |event| matches!(event, SessionEvent::Disconnected { .. }));
    set(&*other, "/a", "2", -1).expect("it is changed");
    relay.accept();
    let event = watch().expect("an event");
    assert_eq!((event.event_type, event.path.as_str()), (EventType::NODE_DATA_CHANGED, Some("/a")));
}

/// Failover when the server's process dies.
pub fn a_session_outlives_a_killed_server(adapter: &dyn Adapter) {
    survives(adapter, |ensemble, server| ensemble.kill(server));
}

/// Failover when the server's process is stopped, and its sockets stay open.
pub fn a_session_outlives_a_paused_server(adapter: &dyn Adapter) {
    survives(adapter, |ensemble, server| ensemble.pause(server));
}

/// The session goes on elsewhere, with its ephemeral znode and its watch.
fn survives(adapter: &dyn Adapter, fault: impl Fn(&Ensemble, usize)) {
    let ensemble = Ensemble::start(3).expect("three ZooKeeper servers");
    let client = connect(adapter, &ensemble.connect_string());
    let first = connected_to(&*client);
    create(&*client, "/e", "", CreateMode::Ephemeral).expect("it is created");
    let watch = client.watch_data("/e").expect("it is watched");
    let session_id = client.credentials().map(|own| own.session_id);

    let server = (0..3).find(|&server| ensemble.address(server).port() == first);
    fault(&ensemble, server.expect("it is one of them"));
    until(&*client, |event| matches!(event, SessionEvent::Disconnected { .. }));
    assert_ne!(connected_to(&*client), first);
    until(&*client, |event| matches!(event, SessionEvent::Ready));
    assert_eq!(client.credentials().map(|own| own.session_id), session_id);
    assert_eq!(Some(get(&*client, "/e").stat.ephemeral_owner), session_id);
    // A leader's death can take the first write with it.
    while set(&*client, "/e", "changed", -1).is_err() {}
    assert_eq!(watch().expect("an event").event_type, EventType::NODE_DATA_CHANGED);
}

/// The connection is cut, and the next one to the same server goes on.
pub fn a_session_outlives_a_cut_connection(adapter: &dyn Adapter) {
    let server = standalone();
    let relay = Relay::start(server.address(0)).expect("a relay");
    let client = connect(adapter, &relay.address().to_string());
    create(&*client, "/e", "", CreateMode::Ephemeral).expect("it is created");
    for _ in 0..3 {
        until(&*client, |event| matches!(event, SessionEvent::Ready));
        relay.cut();
        until(&*client, |event| matches!(event, SessionEvent::Disconnected { .. }));
    }
    until(&*client, |event| matches!(event, SessionEvent::Ready));
    let owner = client.credentials().map(|own| own.session_id);
    assert_eq!(Some(get(&*client, "/e").stat.ephemeral_owner), owner);
}

/// What is told of requests without an answer is true.
pub fn a_lost_request_may_have_been_applied_and_an_unsent_one_was_not(adapter: &dyn Adapter) {
    let server = standalone();
    let relay = Relay::start(server.address(0)).expect("a relay");
    let mut config = config(&relay.address().to_string());
    config.session_timeout = Duration::from_secs(30);
    let client = adapter.connect(config, PATIENCE).expect("a session");
    relay.cut_after(Direction::ToClient, 0);
    let lost = create(&*client, "/lost", "", CreateMode::Persistent).expect_err("its answer is lost");
    assert_eq!(lost.delivery(), Some(Delivery::MaybeApplied));
    until_answered(&*client);
    assert!(exists(&*client, "/lost").is_some(), "here it was");

    relay.stall_reads();
    let path = |number: usize| format!("/{number}");
    let large = |number| create_request(&path(number), vec![0; 900_000], CreateMode::Persistent);
    let creates: Vec<_> = (0..16).map(|number| client.submit(large(number))).collect();
    // The sockets' buffers on the way are full.
    thread::sleep(Duration::from_secs(2));
    relay.cut();
    relay.heal();
    let outcomes = creates.into_iter().map(|create| create().expect_err("nothing gets through"));
    let deliveries: Vec<_> = outcomes.map(|error| error.delivery()).collect();
    assert_eq!(deliveries.last(), Some(&Some(Delivery::NotSent)), "{deliveries:?}");
    until_answered(&*client);
    for (number, delivery) in deliveries.into_iter().enumerate() {
        let is_there = exists(&*client, &path(number)).is_some();
        assert!(!is_there || delivery == Some(Delivery::MaybeApplied), "{number} was created");
    }
}

/// However it does so, nothing hangs and nothing is taken for an answer.
pub fn a_server_that_answers_nonsense_answers_nothing(adapter: &dyn Adapter) {
    for nonsense in [hostile::NEGATIVE, hostile::FOREIGN, hostile::SHORT] {
        let mut config = config(&hostile::accept(nonsense).to_string());
        config.session_timeout = Duration::from_secs(3);
        config.close_timeout = Duration::from_millis(500);
        let client = adapter.connect(config, PATIENCE).expect("it says that there is a session");
        let begun = Instant::now();
        for _ in 0..2 {
            let error = client.submit(get_request("/"))().expect_err("there is no answer");
            assert!(matches!(error, Error::Failed { delivery: Delivery::MaybeApplied, .. }), "{error:?}");
        }
        let _ = client.close();
        assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    }
}

/// Only the servers' word counts, and it ends everything.
pub fn a_session_that_was_cut_off_too_long_expires(adapter: &dyn Adapter) {
    let server = standalone();
    let relay = Relay::start(server.address(0)).expect("a relay");
    let observer = connect(adapter, &server.connect_string());
    let mut config = config(&relay.address().to_string());
    config.session_timeout = Duration::from_secs(1);
    let client = adapter.connect(config, PATIENCE).expect("a session");
    create(&*client, "/e", "", CreateMode::Ephemeral).expect("it is created");
    let own = client.watch_data("/e").expect("it is watched");
    let gone = observer.watch_data("/e").expect("it is watched");
    relay.refuse();
    relay.cut();
    until(&*client, |event| matches!(event, SessionEvent::MayBeExpired));
    assert_eq!(gone().expect("an event").event_type, EventType::NODE_DELETED);
    relay.accept();
    until(&*client, |event| matches!(event, SessionEvent::Expired { .. }));
    assert!(client.event().is_none(), "it is the last");
    assert_eq!(own(), Err(WatchEnded::SessionEnded));
    let late = client.submit(get_request("/"))();
    assert_eq!(late.err(), Some(Error::NotSubmitted(SubmitError::Expired)));
}

/// By another client, while the first is cut off.
pub fn a_session_is_resumed_with_its_password_and_not_without(adapter: &dyn Adapter) {
    let server = standalone();
    let relay = Relay::start(server.address(0)).expect("a relay");
    let first = connect(adapter, &relay.address().to_string());
    create(&*first, "/e", "", CreateMode::Ephemeral).expect("it is created");
    let credentials = first.credentials().expect("there is a session");
    relay.refuse();
    relay.cut();
    let mut wrong = config(&server.connect_string());
    let mut other = credentials.clone();
    other.password = vec![7; 16].into();
    wrong.resume = Some(other);
    let refused = adapter.connect(wrong, PATIENCE).err();
    assert!(matches!(refused, Some(ConnectError::Expired { .. })), "{refused:?}");

    let mut right = config(&server.connect_string());
    right.resume = Some(credentials.clone());
    let resumed = adapter.connect(right, PATIENCE).expect("a session");
    until(&*resumed, |event| matches!(event, SessionEvent::Connected { resumed: true, .. }));
    assert_eq!(get(&*resumed, "/e").stat.ephemeral_owner, credentials.session_id);
}

/// And what is submitted before it is done first.
pub fn a_close_is_confirmed_and_takes_ephemeral_znodes_with_it(adapter: &dyn Adapter) {
    let server = standalone();
    let observer = connect(adapter, &server.connect_string());
    let client = connect(adapter, &server.connect_string());
    create(&*client, "/e", "", CreateMode::Ephemeral).expect("it is created");
    let watch = client.watch_data("/").expect("it is watched");
    let create = client.submit(create_request("/p", "", CreateMode::Persistent));
    assert_eq!(client.close(), SessionEnd::Closed { confirmed: true });
    create().expect("it is created");
    assert_eq!(watch(), Err(WatchEnded::SessionEnded));
    assert_eq!(exists(&*observer, "/e"), None);
    assert!(exists(&*observer, "/p").is_some());
    let late = client.submit(get_request("/"))();
    assert_eq!(late.err(), Some(Error::NotSubmitted(SubmitError::Closed)));
    until(&*client, |event| matches!(event, SessionEvent::Closed { confirmed: true }));
    assert!(client.event().is_none(), "it is the last");
}

pub(crate) fn standalone() -> Ensemble {
    Ensemble::standalone().expect("a ZooKeeper server")
}

/// What is asked of any client that reconnects: the handshake, identity, watches, pings, back-off.
pub fn it_keeps_the_rules_for_reconnecting(adapter: &dyn Adapter) {
    let check = Check::start(Version::V3_9, 0).expect("simulated servers");
    let mut config = config(&check.connect_string());
    config.session_timeout = Duration::from_secs(3);
    let verdicts = thread::spawn(move || check.run(PATIENCE, |_| {}));
    let client = adapter.connect(config, PATIENCE).expect("a session");
    let watch = client.watch_data("/check").expect("it is watched");
    while client.event().is_some() {}
    for verdict in verdicts.join().expect("no panic").expect("a session") {
        assert_eq!(verdict.outcome, Outcome::Passed, "{verdict}");
    }
    assert_eq!(watch().expect("an event").event_type, EventType::NODE_DATA_CHANGED);
}

fn dead_port() -> DeadPort {
    DeadPort::take().expect("a port")
}

/// With a session timeout of 6 s, so that a dead server is noticed after 4 s.
pub(crate) fn config(servers: &str) -> Config {
    let mut config = Config::new(servers.parse().expect("a connect string"));
    config.session_timeout = Duration::from_secs(6);
    config
}

pub(crate) fn connect(adapter: &dyn Adapter, servers: &str) -> Box<dyn Client> {
    adapter.connect(config(servers), PATIENCE).expect("a session")
}

/// Reads events up to the first that is wanted.
pub(crate) fn until(client: &dyn Client, mut is_it: impl FnMut(&SessionEvent) -> bool) -> SessionEvent {
    loop {
        let event = client.event().expect("the session goes on");
        if is_it(&event) {
            return event;
        }
    }
}

/// The port of the server that the session is on next.
pub(crate) fn connected_to(client: &dyn Client) -> u16 {
    let connected = until(client, |event| matches!(event, SessionEvent::Connected { .. }));
    let SessionEvent::Connected { address, .. } = connected else { unreachable!("it was asked for") };
    address.port()
}

/// Until requests get through again, after a lost connection.
pub(crate) fn until_answered(client: &dyn Client) {
    let begun = Instant::now();
    while client.submit(get_request("/"))().is_err() {
        assert!(begun.elapsed() < PATIENCE, "no request gets through");
    }
}

fn create_request(path: &str, data: impl Into<bytes::Bytes>, mode: CreateMode) -> Request {
    Request::create(path, Some(data.into()), OPEN_ACL_UNSAFE, mode)
}

pub(crate) fn create(
    client: &dyn Client,
    path: &str,
    data: impl Into<bytes::Bytes>,
    mode: CreateMode,
) -> Result<Response, Error> {
    client.submit(create_request(path, data, mode))()
}

fn get_request(path: &str) -> Request {
    Request::GetData(GetDataRequest { path: path.into(), watch: false })
}

pub(crate) fn get(client: &dyn Client, path: &str) -> GetDataResponse {
    match client.submit(get_request(path))() {
        Ok(Response::GetData(found)) => found,
        other => panic!("{path}: {other:?}"),
    }
}

fn set_request(path: &str, data: impl Into<bytes::Bytes>, version: i32) -> Request {
    Request::SetData(SetDataRequest { path: path.into(), data: Some(data.into()), version })
}

pub(crate) fn set(
    client: &dyn Client,
    path: &str,
    data: impl Into<bytes::Bytes>,
    version: i32,
) -> Result<Stat, Error> {
    let response = client.submit(set_request(path, data, version))()?;
    let Response::SetData(set) = response else { panic!("{path}: {response:?}") };
    Ok(set.stat)
}

pub(crate) fn exists(client: &dyn Client, path: &str) -> Option<Stat> {
    match client.submit(Request::Exists(ExistsRequest { path: path.into(), watch: false }))() {
        Ok(Response::Exists(found)) => Some(found.stat),
        Err(error) if error.code() == Some(ErrorCode::NO_NODE) => None,
        other => panic!("{path}: {other:?}"),
    }
}

pub(crate) fn code<T: core::fmt::Debug>(outcome: Result<T, Error>) -> ErrorCode {
    outcome.expect_err("it is refused").code().expect("a server refused it")
}

/// No resolver knows this top-level domain (RFC 6761).
const UNKNOWN: &str = "zookeeper.invalid:2181";
