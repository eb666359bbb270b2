//! INV-76: secrets are in nothing that can be printed.
#![cfg(feature = "digest-md5")]

mod support;

use support::{SESSION, World, config, sync};
use zk_session::{
    AuthInfo, Credentials, DigestMd5, Sasl, SubmitError,
    zk_proto::{Bytes, BytesMut, ConnectResponse, Zxid},
};

const PASSWORD: &[u8; 16] = b"Pa55w0rdPa55w0rd";
const AUTH: &[u8] = b"bob:Au7hDa7a";
const SASL_PASSWORD: &str = "5a51Pa55";

/// How a secret could be written.
fn spellings(secret: &[u8]) -> Vec<String> {
    let hex: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    let decimal = secret.iter().map(u8::to_string).collect::<Vec<_>>().join(", ");
    let list = format!("{secret:?}");
    vec![String::from_utf8_lossy(secret).into_owned(), hex.to_uppercase(), hex, decimal, list]
}

#[test]
fn nothing_that_prints_holds_a_secret() {
    let mut secret = config("a:1,b:2");
    let password = Bytes::from_static(PASSWORD);
    secret.resume = Some(Credentials { session_id: SESSION, password: password.clone(), last_zxid: Zxid(1) });
    secret.auth = vec![AuthInfo { scheme: "digest".into(), auth: Bytes::from_static(AUTH) }];
    secret.sasl = Some(Sasl::new(DigestMd5::new("bob", SASL_PASSWORD, b"key")));
    let mut printed = format!("{secret:?} {secret:#?}");
    let mut world = World::new(secret);
    let mut print =
        |world: &World| printed += &format!("{:?} {:#?} {:?}", world.session, world.session, world.trace);
    print(&world);
    world.establish();
    print(&world);
    let mut frame = BytesMut::new();
    let response = ConnectResponse {
        protocol_version: 0,
        time_out: 9000,
        session_id: SESSION,
        passwd: Some(password),
        read_only: Some(false),
    };
    response.encode_frame(&mut frame);
    print(&world);
    world.receive(&frame[..30]);
    print(&world);
    world.receive(&frame[30..]);
    print(&world);
    world.submit(sync("/"));
    world.cut();
    print(&world);
    let credentials = world.session.credentials();
    printed += &format!("{credentials:?} {response:?} {:?}", SubmitError::AuthFailed);
    for secret in [&PASSWORD[..], AUTH, SASL_PASSWORD.as_bytes()] {
        for spelling in spellings(secret) {
            assert!(!printed.contains(&spelling), "{spelling}");
        }
    }
    // Outside its accessor and the event of the state, the session's id is nobody's business either.
    let debug = format!("{:?} {credentials:?}", world.session);
    assert!(!debug.contains(&format!("{SESSION}")) && !debug.contains(&SESSION.0.to_string()), "{debug}");
}

#[test]
fn what_prints_says_what_it_is() {
    let identity = AuthInfo { scheme: "digest".into(), auth: Bytes::from_static(AUTH) };
    assert!(format!("{identity:?}").contains("digest"));
    let credentials =
        Credentials { session_id: SESSION, password: Bytes::from_static(PASSWORD), last_zxid: Zxid(0x17) };
    assert!(format!("{credentials:?}").contains("0x17"));
    let mut world = World::ready(config("a:1"));
    world.submit(sync("/a"));
    let session = format!("{:?}", world.session);
    for part in ["Connected", "negotiated_timeout: 9s", "next_timer", "in_flight: 1"] {
        assert!(session.contains(part), "{part}: {session}");
    }
    let trace = format!("{:?}", world.trace);
    for part in ["Connect {", "Send {", "len: 49", "Emit("] {
        assert!(trace.contains(part), "{part}: {trace}");
    }
}

#[cfg(feature = "planted")]
#[test]
fn a_session_that_prints_its_password_is_noticed() {
    support::defects::notices("nothing_that_prints_holds_a_secret", zk_session::Planted::PasswordsArePrinted);
}
