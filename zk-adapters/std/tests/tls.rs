//! TLS to real servers, and to what is none.
#![cfg(feature = "tls")]

mod story;

use core::time::Duration;
use std::{fs, thread, time::Instant};

use story::{PATIENCE, Patient, builder, changed, event, server_has, until};
use zk_harness::{BlackHole, Certificates, ClientCertificates, Direction, Ensemble, Options, Relay};
use zk_proto::{GetDataRequest, Request, Response};
use zk_session::{Event, Reply, RequestOptions};
use zk_std::{
    AttemptCause, Builder, Client, Config, ConnectError, CreateMode, DialError, Driver, EventType,
    OPEN_ACL_UNSAFE, Retry, SessionEvent, Tls, TlsError,
};

fn standalone(clients: ClientCertificates) -> Ensemble {
    Options::new().tls(clients).standalone().expect("a ZooKeeper server with TLS")
}

/// Trusts the servers, and is trusted.
fn mutual(certificates: &Certificates) -> Tls {
    let client = certificates.client();
    Tls::new(certificates.authority()).identity(client.certificate, client.key)
}

fn secure(server: &Ensemble, tls: Tls) -> Builder {
    builder(&server.secure_connect_string()).tls(tls)
}

/// Why the one server can't be connected to.
fn cause(builder: Builder) -> AttemptCause {
    let error = builder.connect_limit(Duration::from_secs(4)).connect().expect_err("it isn't trusted");
    let ConnectError::TimedOut { failures, .. } = error else { panic!("{error:?}") };
    failures.into_iter().next().expect("the attempts failed").cause
}

fn tls_error(cause: &AttemptCause) -> &TlsError {
    let AttemptCause::Dial(error) = cause else { panic!("{cause:?}") };
    let DialError::Tls(error) = &**error else { panic!("{error:?}") };
    error
}

#[test]
fn a_session_lives_on_mutual_tls() {
    if !server_has(3, 6) {
        return;
    }
    let server = standalone(ClientCertificates::Needed);
    let (client, _) = secure(&server, mutual(server.certificates())).connect().expect("a session");
    let data: Vec<u8> = (0..1_000_000_u32).map(|n| (n % 251) as u8).collect();
    client.create("/a", data.clone(), CreateMode::Persistent).patient().expect("it is created");
    let (znode, mut watch) = client.get_data_and_watch("/a").patient().expect("it is there");
    assert!(znode.data.as_deref() == Some(&data[..]));
    let calls: Vec<_> = (0..1000).map(|_| client.exists("/a")).collect();
    for call in calls {
        assert!(call.patient().expect("an answer").is_some());
    }
    client.set_data("/a", "short", -1).patient().expect("an answer");
    assert_eq!(changed(&mut watch).expect("an event").event_type, EventType::NODE_DATA_CHANGED);
    assert_eq!(client.stats().connections, 1);
    client.close();
}

/// In a loop that pumps and waits by turns: long records either way, and pings in time.
#[test]
fn a_driver_waits_on_tls() {
    if !server_has(3, 6) {
        return;
    }
    let server = standalone(ClientCertificates::Ignored);
    let mut config = Config::new(server.secure_connect_string().parse().expect("a connect string"));
    config.session_timeout = Duration::from_secs(4);
    let tls = Tls::new(server.certificates().authority());
    let mut driver = Driver::new(config, || ()).tls(tls);
    let data = vec![7; 900_000];
    let create = Request::create("/d", Some(data.clone().into()), OPEN_ACL_UNSAFE, CreateMode::Persistent);
    let get = Request::GetData(GetDataRequest { path: "/d".into(), watch: false });
    driver.submit(create, RequestOptions::default()).expect("it is accepted");
    driver.submit(get, RequestOptions::default()).expect("it is accepted");
    let (begun, mut answers) = (Instant::now(), Vec::new());
    while begun.elapsed() < PATIENCE && (answers.len() < 2 || driver.session().stats().pongs < 3) {
        driver.wait(PATIENCE);
        driver.pump();
        while let Some(event) = driver.poll_event() {
            assert!(!matches!(event, Event::Disconnected { .. }), "{event:?}");
            if let Event::Reply(Reply { result, .. }) = event {
                answers.push(result.expect("an answer"));
            }
        }
    }
    let [_, Response::GetData(found)] = &answers[..] else { panic!("{} answers", answers.len()) };
    assert!(found.data.as_deref() == Some(&data[..]));
    assert!(driver.session().stats().pongs >= 3, "{:?}", driver.session().stats());
}

#[test]
fn many_threads_share_a_client_with_tls() {
    if !server_has(3, 6) {
        return;
    }
    let server = standalone(ClientCertificates::Ignored);
    let (client, _) =
        secure(&server, Tls::new(server.certificates().authority())).connect().expect("a session");
    client.create("/n", "", CreateMode::Persistent).patient().expect("it is created");
    thread::scope(|scope| {
        for number in 0..32 {
            let client = &client;
            scope.spawn(move || {
                for _ in 0..50 {
                    client.set_data("/n", vec![number; 3000], -1).patient().expect("an answer");
                    let znode = client.get_data("/n").patient().expect("an answer");
                    let data = znode.data.expect("it has data");
                    assert!(data.len() == 3000 && data.iter().all(|&byte| byte == data[0]));
                }
            });
        }
    });
    assert_eq!(client.stats().connections, 1);
}

#[test]
fn a_session_outlives_its_server_on_tls() {
    if !server_has(3, 6) {
        return;
    }
    let ensemble = Options::new().tls(ClientCertificates::Needed).start(3).expect("three ZooKeeper servers");
    let (client, mut events) =
        secure(&ensemble, mutual(ensemble.certificates())).connect().expect("a session");
    client.create("/e", "x", CreateMode::Ephemeral).patient().expect("it is created");
    let port = client.server().expect("it is connected").port;
    let server = (0..3).find(|&server| ensemble.secure_address(server).port() == port);
    ensemble.kill(server.expect("it is one of them"));
    event(&mut events, |event| matches!(event, SessionEvent::Disconnected { .. }));
    let found = client.with_retry(Retry::WhenSafe).get_data("/e").patient().expect("it is still there");
    assert_eq!(Some(found.stat.ephemeral_owner), client.session_id());
}

#[test]
fn a_server_that_nobody_trusts_is_refused() {
    if !server_has(3, 6) {
        return;
    }
    let server = standalone(ClientCertificates::Ignored);
    let strange = Tls::new(server.certificates().strange_authority());
    let is_refused = |cause: &AttemptCause| {
        assert!(matches!(tls_error(cause), TlsError::Refused(_)), "{cause:?}");
        assert!(cause.to_string().contains("UnknownIssuer"), "{cause}");
    };
    is_refused(&cause(secure(&server, strange.clone())));

    let config = Config::new(server.secure_connect_string().parse().expect("a connect string"));
    let mut driver = Driver::new(config, || ()).tls(strange);
    let begun = Instant::now();
    while driver.failures().is_empty() && begun.elapsed() < PATIENCE {
        driver.wait(PATIENCE);
    }
    is_refused(&driver.failures().first().expect("a reason").cause);
}

#[test]
fn a_server_of_another_name_is_refused_unless_names_do_not_matter() {
    if !server_has(3, 6) {
        return;
    }
    let server = standalone(ClientCertificates::Ignored);
    let tls = Tls::new(server.certificates().authority());
    let cause = cause(secure(&server, tls.clone().server_name("elsewhere.example")));
    assert!(matches!(tls_error(&cause), TlsError::Refused(_)), "{cause:?}");
    assert!(cause.to_string().contains("elsewhere.example"), "{cause}");
    secure(&server, tls.clone().server_name("localhost")).connect().expect("a session");

    // By another name that leads to it, it isn't known either.
    let loopback = format!("127.0.0.2:{}", server.secure_address(0).port());
    if std::net::TcpStream::connect(loopback.as_str()).is_ok() {
        builder(&loopback).tls(tls.any_server_name()).connect().expect("a session");
    }
    let any = Tls::new(server.certificates().strange_authority()).any_server_name();
    let cause = self::cause(secure(&server, any));
    assert!(cause.to_string().contains("UnknownIssuer"), "{cause}");
}

#[test]
fn a_client_that_the_server_does_not_trust_is_told_so() {
    if !server_has(3, 6) {
        return;
    }
    let server = standalone(ClientCertificates::Needed);
    let certificates = server.certificates();
    let stranger = certificates.stranger();
    let nobody = Tls::new(certificates.authority());
    for tls in [nobody.clone(), nobody.identity(stranger.certificate, stranger.key)] {
        // With TLS 1.3 the client is done before the server has looked at its certificate.
        let cause = cause(secure(&server, tls));
        let message = cause.to_string();
        let is_told = ["alert", "closed by the server", "closed the connection", "connection failed"];
        assert!(is_told.iter().any(|word| message.contains(word)), "{message}");
    }
}

#[test]
fn a_port_that_does_not_speak_tls_and_one_that_says_nothing_are_told_apart() {
    if !server_has(3, 6) {
        return;
    }
    let server = standalone(ClientCertificates::Ignored);
    let tls = Tls::new(server.certificates().authority());
    let plain = cause(builder(&server.connect_string()).tls(tls.clone()));
    assert!(matches!(tls_error(&plain), TlsError::Closed), "{plain:?}");

    let silent = Relay::start(server.secure_address(0)).expect("a relay");
    silent.black_hole(Direction::ToServer);
    let stalled = builder(&silent.address().to_string()).tls(tls).session_timeout(Duration::from_secs(3));
    let stalled = cause(stalled);
    assert!(matches!(tls_error(&stalled), TlsError::Stalled), "{stalled:?}");
}

#[test]
fn a_server_that_fails_by_tls_is_followed_by_the_next() {
    if !server_has(3, 6) {
        return;
    }
    let server = standalone(ClientCertificates::Ignored);
    let silent = BlackHole::open().expect("a port");
    let servers = [server.connect_string(), silent.address().to_string(), server.secure_connect_string()];
    for seed in 0..3 {
        let tls = Tls::new(server.certificates().authority());
        let builder = builder(&servers.join(",")).tls(tls).session_timeout(Duration::from_secs(3)).seed(seed);
        let (client, _) = builder.connect().expect("a session");
        assert_eq!(client.server().expect("it is connected").port, server.secure_address(0).port());
        client.sync("/").patient().expect("an answer");
    }
}

#[test]
fn certificates_are_read_anew_at_each_connection() {
    if !server_has(3, 6) {
        return;
    }
    let server = standalone(ClientCertificates::Needed);
    let certificates = server.certificates();
    let (own, client) = (server.folder().join("own.crt"), certificates.client());
    let key = server.folder().join("own.key");
    let tls = Tls::new(certificates.authority()).identity(&own, &key);
    let (session, mut events) = secure(&server, tls).start().expect("threads");
    let is_missing = |event: &SessionEvent| {
        let SessionEvent::AttemptFailed { cause, .. } = event else { return false };
        matches!(tls_error(cause), TlsError::File { path, .. } if path == &own || path == &key)
    };
    event(&mut events, is_missing);
    fs::copy(&client.key, &key).expect("it is copied");
    fs::copy(&client.certificate, &own).expect("it is copied");
    event(&mut events, |event| matches!(event, SessionEvent::Ready));
    session.sync("/").patient().expect("an answer");
}

#[test]
fn a_stalled_write_holds_nobody_up_and_goes_on_later() {
    if !server_has(3, 6) {
        return;
    }
    let server = standalone(ClientCertificates::Ignored);
    let relay = Relay::start(server.secure_address(0)).expect("a relay");
    let tls = Tls::new(server.certificates().authority());
    let builder = builder(&relay.address().to_string()).tls(tls).session_timeout(Duration::from_secs(30));
    let (client, _) = builder.connect().expect("a session");
    relay.stall_reads();
    let create = |client: &Client, number| {
        client.create(format!("/{number}"), vec![0; 900_000], CreateMode::Persistent)
    };
    let calls: Vec<_> = (0..16).map(|number| create(&client, number)).collect();
    until(|| client.stats().in_flight > 0);
    let begun = Instant::now();
    client.with_deadline(Duration::from_millis(200)).sync("/").wait().expect_err("nothing gets through");
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    relay.heal();
    for mut call in calls {
        call.wait_timeout(PATIENCE).expect("it arrives").expect("an answer");
    }
    assert_eq!(client.stats().connections, 1);
}

/// Each of these waits ends a read without bytes: what was read before must not be read again.
#[test]
fn waits_that_end_early_leave_the_stream_in_step() {
    if !server_has(3, 6) {
        return;
    }
    let server = standalone(ClientCertificates::Ignored);
    let (client, _) =
        secure(&server, Tls::new(server.certificates().authority())).connect().expect("a session");
    let (_, mut watch) = client.exists_and_watch("/never").patient().expect("it is watched");
    for round in 0..20 {
        assert!(watch.changed_timeout(Duration::from_millis(5)).is_none());
        client
            .create("/s-", vec![round; 1000], CreateMode::EphemeralSequential)
            .patient()
            .expect("an answer");
    }
    assert_eq!(client.stats().connections, 1);
}
