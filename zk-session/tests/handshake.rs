//! From the transport to a session.

mod support;

use core::time::Duration;

use support::{PASSWORD, SESSION, World, config, data, get_data, millis, reply_frame, sync};
use zk_session::{
    Action, Credentials, DisconnectReason, Event, ExpiredBy, ExpiredReason, State, Timer,
    zk_proto::{Bytes, BytesMut, ConnectResponse, SessionId, Zxid},
};

/// INV-18, INV-20.
#[test]
fn a_new_session_is_asked_for_with_the_requested_timeout_and_a_password_of_zeros() {
    let world = World::associating(config("a:1"));
    let request = world.connect_request();
    assert_eq!((request.protocol_version, request.time_out), (0, 9000));
    assert_eq!((request.session_id, request.last_zxid_seen), (SessionId(0), Zxid(0)));
    assert_eq!(request.passwd.as_deref(), Some(&[0; 16][..]));
    assert_eq!(request.read_only, Some(false));
    assert_eq!(world.state(), State::Associating);
}

#[test]
fn requests_wait_until_the_connect_response_is_accepted() {
    let mut world = World::associating(config("a:1"));
    world.submit(get_data("/a"));
    assert!(world.sent().is_empty());
    world.accept();
    assert_eq!(world.sent_requests(), [get_data("/a")]);
    let events = world.events();
    let connected = Event::Connected {
        session_id: SESSION,
        negotiated_timeout: Duration::from_secs(9),
        read_only: false,
        resumed: false,
        epoch: 0,
    };
    assert_eq!(events, [connected, Event::Ready]);
}

/// INV-21: with and without the last byte, with more frames glued on, cut anywhere.
#[test]
fn both_forms_of_the_response_are_read_in_any_split() {
    for read_only in [None, Some(false)] {
        let mut stream = BytesMut::new();
        let passwd = Some(Bytes::from_static(&PASSWORD));
        let response =
            ConnectResponse { protocol_version: 0, time_out: 9000, session_id: SESSION, passwd, read_only };
        response.encode_frame(&mut stream);
        stream.extend_from_slice(&reply_frame(1, 7, Ok(data(b"x"))));
        for at in 0..=stream.len() {
            let mut world = World::associating(config("a:1"));
            let request = world.submit(get_data("/a"));
            world.receive(&stream[..at.min(40)]);
            world.receive(&stream[at.min(40)..at.max(40).min(stream.len())]);
            world.receive(&stream[at.max(40).min(stream.len())..]);
            assert_eq!(world.replies().first().map(|reply| reply.request), Some(request), "cut at {at}");
        }
    }
}

/// INV-22.
#[test]
fn a_refused_birth_is_a_failed_attempt_and_no_expiry() {
    let mut world = World::associating(config("a:1,b:2"));
    world.refuse();
    assert_eq!(world.state(), State::Connecting);
    assert_eq!(world.events(), []);
    let refused = world
        .trace
        .iter()
        .any(|action| matches!(action, Action::Disconnect { reason: DisconnectReason::SessionRefused, .. }));
    assert!(refused);
    assert_eq!(world.connection().get(), 2);
}

#[test]
fn a_refused_resume_is_expiry_by_the_server() {
    let mut config = config("a:1,b:2");
    config.resume = Some(Credentials {
        session_id: SESSION,
        password: Bytes::from_static(&PASSWORD),
        last_zxid: Zxid(0x77),
    });
    let mut world = World::associating(config);
    assert_eq!(world.connect_request().session_id, SESSION);
    assert_eq!(world.connect_request().passwd.as_deref(), Some(&PASSWORD[..]));
    assert_eq!(world.connect_request().last_zxid_seen, Zxid(0x77));
    world.submit(sync("/"));
    world.refuse();
    let events = world.events();
    assert!(matches!(events[0], Event::Reply(_)));
    assert_eq!(events[1], Event::Expired { by: ExpiredBy::Server, reason: ExpiredReason::Refused });
    assert_eq!(world.session.credentials(), None);
}

/// INV-23.
#[test]
fn a_resume_answered_with_another_session_is_expiry() {
    let mut world = World::ready(config("a:1"));
    world.cut();
    world.await_attempt();
    world.establish();
    world.submit(sync("/"));
    world.accept_as(SessionId(99), 9000, false);
    let events = world.events();
    let last = events.last();
    assert_eq!(last, Some(&Event::Expired { by: ExpiredBy::Server, reason: ExpiredReason::Replaced }));
    assert!(world.sent().is_empty(), "nothing runs under the other session");
}

/// INV-24: any timeout that a server may grant is safe.
#[test]
fn any_negotiated_timeout_is_lived_with() {
    for time_out in [1, 2, 3, 10, 4000, i32::MAX - 1, i32::MAX] {
        let mut world = World::associating(config("a:1,b:2,c:3"));
        world.accept_as(SESSION, time_out, false);
        assert_eq!(world.session.negotiated_timeout(), millis(time_out.unsigned_abs().into()));
        assert!(world.session.poll_timeout().is_some_and(|due| due > world.now));
        world.advance(millis(u64::from(time_out.unsigned_abs()) * 3).min(Duration::from_secs(100)));
    }
    for time_out in [0, -1, i32::MIN] {
        let mut world = World::associating(config("a:1,b:2"));
        world.accept_as(SESSION, time_out, false);
        assert_eq!(world.state(), State::Connecting);
    }
}

/// INV-25.
#[test]
fn an_attempt_has_one_deadline_whatever_trickles_in() {
    let mut world = World::new(config("a:1,b:2"));
    let due = world.session.next_timer();
    assert_eq!(due, Some((Timer::Connect, world.now + millis(3000))));
    world.advance(millis(1000));
    world.establish();
    assert_eq!(world.session.next_timer(), due.map(|(_, due)| (Timer::Read, due)));
    world.advance(millis(1500));
    world.receive(&[0, 0]);
    assert_eq!(world.session.next_timer(), due.map(|(_, due)| (Timer::Read, due)));
    world.advance(millis(500));
    let gave_up = world
        .trace
        .iter()
        .any(|action| matches!(action, Action::Disconnect { reason: DisconnectReason::ConnectTimeout, .. }));
    assert!(gave_up);
    assert_eq!(world.connection().get(), 2);
}

/// INV-26.
#[test]
fn a_read_only_server_is_left_unless_it_was_asked_for() {
    let mut world = World::associating(config("a:1,b:2"));
    world.accept_as(SESSION, 9000, true);
    assert_eq!(world.state(), State::Connecting);
    assert_eq!(world.session.credentials(), None);
    assert_eq!(world.events(), []);
}

/// INV-63.
#[test]
fn a_cycle_of_servers_that_close_without_a_word_is_told_and_not_taken_for_a_verdict() {
    let mut world = World::ready(config("a:1,b:2,c:3"));
    world.cut();
    world.events();
    for _ in 0..3 {
        world.await_attempt();
        world.establish();
        assert_eq!(world.connect_request().session_id, SESSION);
        world.cut();
    }
    let last_reason = DisconnectReason::ClosedBeforeResponse;
    assert_eq!(world.events(), [Event::AllServersFailed { attempts: 3, last_reason }]);
    assert_eq!(world.session.credentials().map(|credentials| credentials.session_id), Some(SESSION));
}
