//! Servers that break the protocol, and how a client gets away from them to a good one of the same list.

#![expect(clippy::unwrap_used, reason = "a story that goes wrong fails its test")]

#[path = "../examples/hostile/cases.rs"]
mod cases;
#[path = "../examples/hostile/meddler.rs"]
mod meddler;
mod story;

use core::{net::SocketAddr, time::Duration};

use cases::{CASES, live_through};
use meddler::{Meddler, Seen, Then, frame, reply, xid};
use story::{PATIENCE, Patient, builder, event, standalone};
use tokio::{io::AsyncWriteExt, net::TcpListener};
use zk_session::ServerOrder;
use zk_tokio::{
    AttemptCause, Client, Delivery, DisconnectReason, Error, ErrorCode, EventType, Failure, SessionEvent,
    SessionEvents, WatchEnded,
};

/// A session on the meddler's side of a server, whose list has the server itself too.
async fn meddled(server: &zk_harness::Ensemble, answer: fn(&Seen) -> Then) -> (Client, SessionEvents) {
    let meddler = Meddler::start(server.address(0), 0, answer).await;
    let servers = format!("{},{}", meddler.address, server.address(0));
    let builder = builder(&servers).session_timeout(Duration::from_secs(2)).connect_limit(PATIENCE);
    let in_order = builder.configure(|config| config.server_order = ServerOrder::AsListed);
    in_order.connect().patient().await.unwrap()
}

/// What a read comes to whose answer is tampered with, and why the connection ended; then the session goes on at the
/// good server.
async fn escaped_from(answer: fn(&Seen) -> Then) -> (Error, DisconnectReason) {
    let server = standalone();
    let (client, mut events) = meddled(&server, answer).await;
    let session_id = client.session_id();
    let error = client.get_data("/").patient().await.unwrap_err();
    let lost = event(&mut events, |event| matches!(event, SessionEvent::Disconnected { .. })).await;
    let SessionEvent::Disconnected { reason, .. } = lost else { unreachable!() };
    assert_eq!(client.get_data("/").patient().await.unwrap().data.as_deref(), Some(&b""[..]));
    assert_eq!(client.server().unwrap().port, server.address(0).port());
    assert_eq!(client.session_id(), session_id);
    (error, reason)
}

const LOST: Error = Error::Failed { failure: Failure::ConnectionLoss, delivery: Delivery::MaybeApplied };

#[tokio::test]
async fn an_answer_to_nothing_costs_the_connection() {
    let (error, reason) = escaped_from(|seen| Then::Say(reply(xid(&seen.request) + 7, 0, b""))).await;
    assert_eq!(error, LOST);
    assert!(matches!(reason, DisconnectReason::UnexpectedReply { .. }), "{reason:?}");
}

#[tokio::test]
async fn a_second_connect_response_costs_the_connection() {
    let (error, reason) = escaped_from(|seen| Then::Say(seen.connect_response.clone())).await;
    assert_eq!(error, LOST);
    assert_eq!(reason, DisconnectReason::UnexpectedReply { xid: 0 });
}

#[tokio::test]
async fn a_negative_length_costs_the_connection() {
    let (error, reason) = escaped_from(|_| Then::Say(vec![0xff, 0xff, 0xff, 0xfe])).await;
    assert_eq!(error, LOST);
    assert!(matches!(reason, DisconnectReason::BadFrame(_)), "{reason:?}");
}

#[tokio::test]
async fn another_protocols_words_cost_the_connection() {
    let (error, reason) = escaped_from(|_| Then::Say(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec())).await;
    assert_eq!(error, LOST);
    let len = usize::try_from(u32::from_be_bytes(*b"HTTP")).unwrap();
    assert_eq!(reason, DisconnectReason::OversizeFrame { len, limit: 4 << 20 });
}

#[tokio::test]
async fn a_frame_too_short_for_a_header_costs_the_connection() {
    let (error, reason) = escaped_from(|seen| Then::Say([&[0, 0, 0, 4], &seen.request[4..8]].concat())).await;
    assert_eq!(error, LOST);
    assert!(matches!(reason, DisconnectReason::MalformedFrame(_)), "{reason:?}");
}

#[tokio::test]
async fn a_server_that_falls_silent_costs_the_connection() {
    let (error, reason) = escaped_from(|_| Then::SayAndStop(Vec::new())).await;
    assert_eq!(error, LOST);
    assert_eq!(reason, DisconnectReason::ReadTimeout);
}

#[tokio::test]
async fn a_frame_that_never_ends_costs_the_connection() {
    let (error, reason) = escaped_from(|seen| Then::Say(reply(xid(&seen.request), 1 << 20, b"x"))).await;
    assert_eq!(error, LOST);
    // What the good server says meanwhile goes into the frame: answers to pings, too few by far.
    assert!(matches!(reason, DisconnectReason::SlowFrame | DisconnectReason::ReadTimeout), "{reason:?}");
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_costs_its_request_alone() {
    let server = standalone();
    // A buffer of a hundred bytes, of which there are three.
    let (client, _) =
        meddled(&server, |seen| Then::Say(reply(xid(&seen.request), 7, &[0, 0, 0, 100, 1, 2, 3]))).await;
    let spoilt = client.get_data("/");
    let next = client.get_data("/");
    let error = spoilt.patient().await.unwrap_err();
    let Error::Failed { failure: Failure::MalformedReply { .. }, delivery } = error else {
        panic!("{error:?}")
    };
    assert_eq!(delivery, Delivery::MaybeApplied);
    next.patient().await.unwrap();
    assert_eq!(client.stats().connections, 1);
}

#[tokio::test]
async fn an_answer_longer_than_the_limit_costs_its_request_alone() {
    const LEN: usize = 5 << 20;
    let server = standalone();
    let (client, _) =
        meddled(&server, |seen| Then::Say(reply(xid(&seen.request), LEN - 16, &vec![7; LEN - 16]))).await;
    let spoilt = client.get_data("/");
    let next = client.get_data("/");
    let failure = Failure::ReplyTooLarge { len: LEN, limit: 4 << 20 };
    let delivery = Delivery::MaybeApplied;
    assert_eq!(spoilt.patient().await.unwrap_err(), Error::Failed { failure, delivery });
    next.patient().await.unwrap();
    assert_eq!(client.stats().connections, 1);
}

#[tokio::test]
async fn a_request_that_is_never_answered_ends_by_its_deadline_and_the_next_answer_is_not_taken_for_its() {
    let server = standalone();
    let (client, mut events) = meddled(&server, |_| Then::Say(Vec::new())).await;
    client.with_deadline(Duration::from_millis(300)).get_data("/").patient().await.unwrap_err();
    assert_eq!(client.stats().connections, 1);
    let out_of_turn = client.set_data("/", "x", 0).patient().await.unwrap_err();
    assert_eq!(out_of_turn, LOST);
    let lost = event(&mut events, |event| matches!(event, SessionEvent::Disconnected { .. })).await;
    let SessionEvent::Disconnected { reason, .. } = lost else { unreachable!() };
    assert!(matches!(reason, DisconnectReason::UnexpectedReply { .. }), "{reason:?}");
    let root = client.get_data("/").patient().await.unwrap();
    assert_eq!(root.data.as_deref(), Some(&b"x"[..]), "it was applied");
}

#[tokio::test]
async fn watches_that_a_server_refuses_to_arm_again_end_and_say_so() {
    const REFUSAL: i32 = -5;
    let server = standalone();
    let builder = builder(&server.connect_string()).connect_limit(PATIENCE);
    let (client, mut events) = builder.connect().patient().await.unwrap();
    event(&mut events, |event| matches!(event, SessionEvent::Ready)).await;
    let (_, mut watch) = client.exists_and_watch("/a").patient().await.unwrap();
    let meddler = Meddler::start(server.address(0), 0, |seen| {
        let mut refusal = reply(xid(&seen.request), 0, b"");
        refusal[16..20].copy_from_slice(&REFUSAL.to_be_bytes());
        Then::Say(refusal)
    });
    client.update_servers(&meddler.await.address.to_string()).unwrap();
    assert_eq!(watch.changed().patient().await, Err(WatchEnded::RearmFailed(ErrorCode(REFUSAL))));
    event(&mut events, |event| matches!(event, SessionEvent::Ready)).await;
    client.get_data("/").patient().await.unwrap();
    assert_eq!(client.stats().watches, 0);
}

/// The table of the example `hostile`.
#[tokio::test]
async fn each_of_ten_ways_to_break_the_protocol_costs_what_it_must_and_no_more() {
    for case in &CASES {
        let story = live_through(case).patient().await.unwrap();
        let seen = (story.request, story.lost.is_none(), story.watch);
        let spoilt =
            |error: &Error| matches!(error, Error::Failed { failure: Failure::MalformedReply { .. }, .. });
        let changed = Some(EventType::NODE_DATA_CHANGED);
        let is_as_expected = match (case.name, &seen) {
            ("truncated body" | "data length 2147483647", (Err(error), true, watch)) => {
                spoilt(error) && *watch == changed
            }
            ("event with bad UTF-8", (Ok(()), true, watch)) => *watch == changed,
            ("event of unknown type", (Ok(()), true, watch)) => *watch == Some(EventType(99)),
            (_, (Err(LOST), false, watch)) => *watch == changed,
            _ => false,
        };
        assert!(is_as_expected && story.goes_on, "{}: {seen:?}", case.name);
    }
}

#[tokio::test]
async fn a_flood_of_pongs_and_events_is_borne() {
    const COUNT: usize = 100_000;
    let server = standalone();
    let (client, _) = meddled(&server, |_| {
        let pong = reply(-2, 0, b"");
        let event = reply(-1, 14, &[0, 0, 0, 3, 0, 0, 0, 3, 0, 0, 0, 2, b'/', b'x']);
        Then::SayAndPass([pong, event].concat().repeat(COUNT))
    })
    .await;
    client.get_data("/").patient().await.unwrap();
    let stats = client.stats();
    assert_eq!((stats.pongs, stats.unwanted_notifications), (COUNT as u64, COUNT as u64));
    assert_eq!(stats.connections, 1);
}

/// Answers the ConnectRequest itself.
async fn answers_handshakes_with(bytes: Vec<u8>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let _ = frame(&mut client).await;
            let _ = client.write_all(&bytes).await;
            // A client that waits for more is let go.
            let _ = client.shutdown().await;
        }
    });
    address
}

/// A ConnectResponse, as a frame.
fn connect_response(time_out: i32, session_id: u64) -> Vec<u8> {
    let mut frame = vec![0, 0, 0, 37, 0, 0, 0, 0];
    frame.extend(time_out.to_be_bytes());
    frame.extend(session_id.to_be_bytes());
    frame.extend([0, 0, 0, 16]);
    frame.resize(4 + 37, 0);
    frame
}

#[tokio::test]
async fn a_server_that_spoils_the_handshake_is_passed_over_and_told_of() {
    let good = standalone();
    let cases = [
        (b"".to_vec(), "closed by the server before its ConnectResponse"),
        (b"\x15\x03\x03\x00\x02\x02\x28".to_vec(), "closed by the server before its ConnectResponse"),
        (b"\xff\xff\xff\xff".to_vec(), "bad frame"),
        (reply(0, 0, b""), "not a ConnectResponse"),
        (connect_response(0, 0), "the server refused a new session"),
        (connect_response(-2, 7), "the server refused a new session"),
        (connect_response(4000, 0), "the server refused a new session"),
    ];
    for (bytes, expected) in cases {
        let bad = answers_handshakes_with(bytes).await;
        let builder = builder(&format!("{bad},{}", good.address(0))).connect_limit(PATIENCE);
        let in_order = builder.configure(|config| config.server_order = ServerOrder::AsListed);
        let (client, mut events) = in_order.connect().patient().await.unwrap();
        let failed = event(&mut events, |event| matches!(event, SessionEvent::AttemptFailed { .. })).await;
        let SessionEvent::AttemptFailed { server, cause } = failed else { unreachable!() };
        assert_eq!(server.port, bad.port());
        let AttemptCause::Session(reason) = cause else { panic!("{expected}: {cause:?}") };
        assert_eq!(reason.to_string(), expected);
        client.sync("/").patient().await.unwrap();
    }
}
