//! Who one is to the servers: identities, and SASL.

#![expect(clippy::unwrap_used, reason = "a story that goes wrong fails its test")]

mod story;

use core::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};
use std::{fs, path::PathBuf};

use story::{Patient, builder, connect, event, server_has, standalone};
use zk_harness::{DeadPort, Ensemble, Options};
use zk_proto::{Acl, Id, Perms, Vector};
use zk_session::{AuthInfo, DigestMd5, Sasl};
use zk_tokio::{
    ConnectError, CreateMode, Error, ErrorCode, Failure, OPEN_ACL_UNSAFE, Retry, SessionEvent, State,
};

#[tokio::test]
async fn identities_open_what_their_acl_closes_and_are_told_to_every_server() {
    let server = standalone();
    let (client, _) = connect(&server.connect_string()).await;
    client.add_auth("digest", "bob:secret").patient().await.unwrap();
    let bob = Acl { perms: Perms::ALL, id: Id { scheme: "auth".into(), id: "".into() } };
    let acl = Vector::from(vec![bob]);
    client.with_acl(acl.clone()).create("/bobs", "x", CreateMode::Persistent).patient().await.unwrap();
    let stored = client.get_acl("/bobs").patient().await.unwrap();
    let entry = stored.acl.iter().next().unwrap();
    assert_eq!(entry.id.id, "bob:fyVmFCwVbTJYrznoSu1koqYEYF0=");

    let (stranger, _) = connect(&server.connect_string()).await;
    let refused = stranger.get_data("/bobs").patient().await.unwrap_err();
    assert_eq!(refused.code(), Some(ErrorCode::NO_AUTH));
    stranger.with_acl(acl).create("/s", "", CreateMode::Ephemeral).patient().await.unwrap_err();

    // The server forgets who a connection was.
    server.kill(0);
    server.restart(0).unwrap();
    let retried = client.with_retry(zk_tokio::Retry::WhenSafe);
    assert_eq!(retried.get_data("/bobs").patient().await.unwrap().data.as_deref(), Some(&b"x"[..]));
    let stat = retried.set_acl("/bobs", OPEN_ACL_UNSAFE, 0).patient().await.unwrap();
    assert_eq!(stat.aversion, 1);
}

#[tokio::test]
async fn an_identity_that_no_server_knows_ends_the_session() {
    let server = standalone();
    let (client, mut events) = connect(&server.connect_string()).await;
    let error = client.add_auth("nonsense", "x").patient().await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::AUTH_FAILED));
    event(&mut events, |event| matches!(event, SessionEvent::AuthFailed { scheme } if scheme == "nonsense"))
        .await;
}

/// A server that offers SASL to alice, and the file that has her password.
struct SaslServer {
    server: Ensemble,
    jaas: PathBuf,
}

impl SaslServer {
    fn start(options: Options) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let jaas = std::env::temp_dir().join(format!("zk-jaas-{}-{number}.conf", std::process::id()));
        fs::write(&jaas, Self::accounts("alice-secret")).unwrap();
        let provider = "org.apache.zookeeper.server.auth.SASLAuthenticationProvider";
        let options = options
            .jvm_flag(format!("-Djava.security.auth.login.config={}", jaas.display()))
            .jvm_flag(format!("-Dzookeeper.authProvider.1={provider}"));
        Self { server: options.standalone().expect("a ZooKeeper server with SASL"), jaas }
    }

    fn accounts(password: &str) -> String {
        let module = "org.apache.zookeeper.server.auth.DigestLoginModule";
        format!("Server {{ {module} required user_alice=\"{password}\"; }};")
    }

    /// The server comes back with another password for alice.
    fn change_password(&self) {
        self.server.kill(0);
        fs::write(&self.jaas, Self::accounts("another")).unwrap();
        self.server.restart(0).unwrap();
    }
}

impl Drop for SaslServer {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.jaas);
    }
}

/// Servers before 3.6 don't know the flag, and let everybody in.
fn required() -> Options {
    Options::new().jvm_flag("-Dzookeeper.sessionRequireClientSASLAuth=true")
}

fn alice(password: &str) -> Sasl {
    Sasl::new(DigestMd5::new("alice", password, b"a key of the test's own"))
}

#[tokio::test]
async fn sasl_authenticates_on_every_connection() {
    let sasl = SaslServer::start(required());
    let builder = builder(&sasl.server.connect_string());
    let good = builder.clone().configure(|config| config.sasl = Some(alice("alice-secret")));
    let (client, _) = good.connect().patient().await.unwrap();
    let alices = Acl { perms: Perms::ALL, id: Id { scheme: "sasl".into(), id: "alice".into() } };
    let acl = Vector::from(vec![alices]);
    client.with_acl(acl).create("/alices", "x", CreateMode::Persistent).patient().await.unwrap();
    sasl.server.kill(0);
    sasl.server.restart(0).unwrap();
    let retried = client.with_retry(Retry::WhenSafe);
    assert_eq!(retried.get_data("/alices").patient().await.unwrap().data.as_deref(), Some(&b"x"[..]));

    let impatient = builder.connect_limit(Duration::from_secs(3));
    let wrong = impatient.configure(|config| config.sasl = Some(alice("wrong")));
    let refused = wrong.connect().patient().await;
    if server_has(3, 6) {
        assert!(matches!(refused, Err(ConnectError::AuthFailed)), "{refused:?}");
    } else {
        // The server hangs up without a word.
        assert!(matches!(refused, Err(ConnectError::TimedOut { .. })), "{refused:?}");
    }
}

#[tokio::test]
async fn a_password_that_is_good_no_more_ends_the_session_at_the_next_connection() {
    if !server_has(3, 6) {
        return;
    }
    let sasl = SaslServer::start(required());
    let builder = builder(&sasl.server.connect_string()).session_timeout(Duration::from_secs(30));
    let good = builder.configure(|config| config.sasl = Some(alice("alice-secret")));
    let (client, mut events) = good.connect().patient().await.unwrap();
    let client = client.with_retry(Retry::WhenSafe);
    client.sync("/").patient().await.unwrap();
    sasl.change_password();
    let error = client.get_data("/").patient().await.unwrap_err();
    assert!(matches!(error, Error::Failed { failure: Failure::AuthFailed, .. }), "{error:?}");
    let is_it =
        |event: &SessionEvent| matches!(event, SessionEvent::AuthFailed { scheme } if scheme == "sasl");
    event(&mut events, is_it).await;
    assert!(events.next().patient().await.is_none());
    assert_eq!(client.state(), State::AuthFailed);
}

#[tokio::test]
async fn a_server_that_requires_sasl_refuses_whoever_does_without() {
    if !server_has(3, 6) {
        return;
    }
    let sasl = SaslServer::start(required());
    let (client, mut events) = connect(&sasl.server.connect_string()).await;
    for _ in 0..2 {
        let refused = client.get_data("/").patient().await.unwrap_err();
        assert_eq!(refused.code(), Some(ErrorCode::SESSION_CLOSED_REQUIRE_SASL_AUTH));
        event(&mut events, |event| matches!(event, SessionEvent::Disconnected { .. })).await;
    }
    assert!(!client.state().is_terminal(), "it isn't the client's word that nothing will change");
}

#[tokio::test]
async fn sasl_with_a_server_that_has_none_is_a_failure_to_authenticate() {
    let server = standalone();
    let builder = builder(&server.connect_string()).connect_limit(Duration::from_secs(5));
    let refused =
        builder.configure(|config| config.sasl = Some(alice("alice-secret"))).connect().patient().await;
    assert!(matches!(refused, Err(ConnectError::AuthFailed)), "{refused:?}");
}

#[tokio::test]
async fn configured_identities_are_told_first_and_bad_ones_end_the_session() {
    let server = standalone();
    let info = |scheme: &str, auth: &str| AuthInfo { scheme: scheme.into(), auth: auth.to_owned().into() };
    let with = |infos: Vec<AuthInfo>| {
        builder(&server.connect_string()).configure(|config| config.auth = infos).connect().patient()
    };
    let (client, _) = with(vec![info("digest", "bob:secret"), info("digest", "eve:other")]).await.unwrap();
    let own = Acl { perms: Perms::ALL, id: Id { scheme: "auth".into(), id: "".into() } };
    client.with_acl(vec![own]).create("/own", "", CreateMode::Persistent).patient().await.unwrap();
    assert_eq!(client.get_acl("/own").patient().await.unwrap().acl.iter().count(), 2);

    let unknown = with(vec![info("digest", "bob:secret"), info("nonsense", "x")]).await;
    assert!(matches!(unknown, Err(ConnectError::AuthFailed)), "{unknown:?}");

    // What no server would take is found out without one.
    let nowhere = DeadPort::take().unwrap().address();
    let long = info("digest", &"x".repeat(2 << 20));
    let too_long = builder(&nowhere.to_string()).configure(|config| config.auth = vec![long]);
    let (client, mut events) = too_long.start();
    assert!(matches!(events.next().patient().await, Some(SessionEvent::AuthFailed { .. })));
    assert!(events.next().patient().await.is_none());
    assert_eq!(client.state(), State::AuthFailed);
}
