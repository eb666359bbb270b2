//! Auth packets and SASL: before everything else, on every connection.

#![expect(clippy::wildcard_enum_match_arm, reason = "it looks for one thing among many")]

mod support;

use support::{World, config, data, get_data, millis, sync, watch_data};
use zk_session::{
    Action, AuthInfo, Config, Delivery, Event, Failure, RequestError, Sasl, SaslError, SaslExchange,
    SaslMechanism, SaslStep, State, SubmitError,
    zk_proto::{Bytes, ErrorCode, Request, Response, SetSaslResponse},
};

fn info(auth: &str) -> AuthInfo {
    AuthInfo { scheme: "digest".into(), auth: Bytes::copy_from_slice(auth.as_bytes()) }
}

fn with_auth() -> Config {
    let mut with_auth = config("a:1,b:2");
    with_auth.auth = vec![info("bob:secret")];
    with_auth
}

fn add(world: &mut World, auth: &str) -> zk_session::RequestId {
    let id = world.session.add_auth(info(auth), world.now).expect("accepted");
    world.note_accepted(id);
    world.command(|_, _| ());
    id
}

fn auths(world: &mut World) -> Vec<Option<Bytes>> {
    let sent = world.sent_requests().into_iter();
    sent.filter_map(|request| if let Request::Auth(packet) = request { Some(packet.auth) } else { None })
        .collect()
}

fn answer_auth(world: &mut World, err: ErrorCode) {
    let result = if err == ErrorCode::OK { Ok(Response::Empty) } else { Err(err) };
    world.reply(-4, 0, result);
}

/// INV-19, INV-77: in order, once each, before watches and requests, on each connection.
#[test]
fn every_identity_is_told_to_every_server_before_watches_and_requests() {
    let mut world = World::associating(with_auth());
    add(&mut world, "eve:early");
    add(&mut world, "bob:secret");
    let watch = world.submit(watch_data("/a"));
    world.accept();
    assert!(!world.session.is_ready(), "ready when the identities are answered");
    let bob = || Some(Bytes::from_static(b"bob:secret"));
    let eve = || Some(Bytes::from_static(b"eve:early"));
    let requests = world.sent_requests();
    assert!(
        matches!(requests[..], [Request::Auth(_), Request::Auth(_), Request::GetData(_)]),
        "{requests:?}"
    );
    answer_auth(&mut world, ErrorCode::OK);
    answer_auth(&mut world, ErrorCode::OK);
    assert!(world.session.is_ready());
    world.reply_to(watch, 3, Ok(data(b"x")));
    assert_eq!(world.replies().len(), 3, "both calls, and the request");
    add(&mut world, "late:x");
    world.cut();
    world.establish();
    world.accept();
    assert_eq!(auths(&mut world), [bob(), eve(), Some(Bytes::from_static(b"late:x"))]);
}

#[test]
fn a_call_at_run_time_has_its_own_outcome_and_outlives_a_lost_connection() {
    let mut world = World::ready(config("a:1,b:2"));
    let id = add(&mut world, "bob:secret");
    assert_eq!(auths(&mut world).len(), 1);
    world.cut();
    assert!(world.replies().is_empty(), "INV-77: loss isn't failure");
    world.establish();
    world.accept();
    answer_auth(&mut world, ErrorCode::OK);
    let [reply] = <[_; 1]>::try_from(world.replies()).unwrap();
    assert_eq!((reply.request, reply.result), (id, Ok(Response::Empty)));
    assert!(world.session.is_ready());
}

#[test]
fn a_refused_identity_ends_the_session() {
    let mut world = World::ready(config("a:1"));
    let id = add(&mut world, "bob:secret");
    let request = world.submit(get_data("/a"));
    answer_auth(&mut world, ErrorCode::AUTH_FAILED);
    let events = world.events();
    assert!(matches!(&events[0], Event::Reply(reply) if reply.request == id
        && reply.result.as_ref().unwrap_err().code() == Some(ErrorCode::AUTH_FAILED)));
    let failed = RequestError::Failed { failure: Failure::AuthFailed, delivery: Delivery::MaybeApplied };
    assert!(
        matches!(&events[1], Event::Reply(reply) if reply.request == request && reply.result == Err(failed))
    );
    assert_eq!(events[2], Event::AuthFailed { scheme: "digest".into() });
    assert_eq!(world.state(), State::AuthFailed);
    assert_eq!(world.session.add_auth(info("x"), world.now), Err(SubmitError::AuthFailed));
}

#[test]
fn calls_that_were_never_sent_end_as_not_sent() {
    let mut world = World::new(config("a:1"));
    add(&mut world, "bob:secret");
    world.command(|session, now| session.close(now));
    assert_eq!(world.error().delivery(), Some(Delivery::NotSent));
}

#[test]
fn a_cancelled_call_ends_at_once() {
    let mut world = World::ready(config("a:1"));
    let id = add(&mut world, "bob:secret");
    world.command(|session, now| session.cancel(id, now));
    assert_eq!(world.error().delivery(), Some(Delivery::MaybeApplied));
    answer_auth(&mut world, ErrorCode::OK);
    assert!(world.replies().is_empty());
}

/// Says its two words, and wants to hear `proof`.
#[derive(Clone)]
struct TwoWords {
    said: usize,
}

impl SaslMechanism for TwoWords {
    fn begin(&self) -> Box<dyn SaslExchange> {
        Box::new(self.clone())
    }
}

impl SaslExchange for TwoWords {
    fn initial_response(&mut self) -> Result<Bytes, SaslError> {
        Ok(Bytes::from_static(b"one"))
    }

    fn respond(&mut self, challenge: &[u8]) -> Result<SaslStep, SaslError> {
        self.said += 1;
        match (self.said, challenge) {
            (1, b"go on") => Ok(SaslStep::Respond(Bytes::from_static(b"two"))),
            (1, b"last") => Ok(SaslStep::Last(Bytes::from_static(b"two"))),
            (2, b"proof") => Ok(SaslStep::Complete),
            _ => Err(SaslError { what: "not what was expected" }),
        }
    }

    fn clone_box(&self) -> Box<dyn SaslExchange> {
        Box::new(self.clone())
    }
}

fn with_sasl() -> World {
    let mut sasl = with_auth();
    sasl.sasl = Some(Sasl::new(TwoWords { said: 0 }));
    let mut world = World::associating(sasl);
    world.submit(sync("/"));
    world.accept();
    world
}

fn tokens(world: &mut World) -> Vec<Bytes> {
    let sent = world.sent_requests();
    sent.into_iter()
        .map(|request| match request {
            Request::Sasl(sasl) => sasl.token.expect("a token"),
            other => panic!("{other:?} while SASL is under way"),
        })
        .collect()
}

fn challenge(world: &mut World, token: Option<&'static [u8]>) {
    let xid = world.wire().oldest_unanswered().expect("a token was sent");
    let token = token.map(Bytes::from_static);
    world.reply(xid, 0, Ok(Response::Sasl(SetSaslResponse { token })));
}

#[test]
fn sasl_goes_before_everything_else_on_every_connection() {
    let mut world = with_sasl();
    for _ in 0..2 {
        assert_eq!(tokens(&mut world), [&b"one"[..]]);
        world.advance(millis(3500));
        challenge(&mut world, Some(b"go on"));
        assert_eq!(tokens(&mut world), [&b"two"[..]]);
        assert!(!world.session.is_ready());
        challenge(&mut world, Some(b"proof"));
        assert_eq!(auths(&mut world).len(), 1, "then the identities");
        answer_auth(&mut world, ErrorCode::OK);
        assert!(world.session.is_ready());
        world.cut();
        world.await_attempt();
        world.establish();
        world.accept();
    }
}

#[test]
fn a_last_token_is_answered_by_null() {
    let mut world = with_sasl();
    tokens(&mut world);
    challenge(&mut world, Some(b"last"));
    tokens(&mut world);
    challenge(&mut world, None);
    assert_eq!(auths(&mut world).len(), 1);
}

#[test]
fn a_failed_exchange_ends_the_session() {
    let refusals: [fn(&mut World); 4] = [
        |world| challenge(world, None),
        |world| challenge(world, Some(b"something else")),
        |world| world.reply(1, 0, Err(ErrorCode::AUTH_FAILED)),
        |world| world.reply(1, 0, Err(ErrorCode::SESSION_CLOSED_REQUIRE_SASL_AUTH)),
    ];
    for refuse in refusals {
        let mut world = with_sasl();
        refuse(&mut world);
        assert_eq!(world.events().last(), Some(&Event::AuthFailed { scheme: "sasl".into() }));
    }
}

#[test]
fn a_connection_lost_during_the_exchange_is_only_lost() {
    let mut world = with_sasl();
    world.cut();
    assert_eq!(world.state(), State::Connecting);
}

/// INV-53.
#[test]
fn a_slow_exchange_does_not_stop_the_pings() {
    let mut slow = config("a:1,b:2");
    slow.sasl = Some(Sasl::new(TwoWords { said: 0 }));
    let mut world = World::associating(slow);
    world.accept();
    world.advance(millis(4000));
    challenge(&mut world, Some(b"last"));
    challenge(&mut world, None);
    assert!(world.session.is_ready());
    world.sent();
    world.advance(millis(3000));
    assert_eq!(world.sent_requests(), [Request::Ping]);
}

/// INV-53.
#[test]
fn a_ping_that_was_held_back_by_an_exchange_leaves_when_it_ends() {
    let mut silent = config("a:1");
    silent.sasl = Some(Sasl::new(TwoWords { said: 0 }));
    let mut world = World::associating(silent);
    world.accept();
    challenge(&mut world, Some(b"go on"));
    world.advance(millis(4000));
    assert_eq!(world.session.stats().pings, 0);
    challenge(&mut world, Some(b"proof"));
    assert!(world.session.is_ready());
    world.advance(millis(1));
    assert_eq!(
        world.session.stats().pings,
        1,
        "nothing was heard of the session for more than a third of its timeout"
    );
}

/// INV-47.
#[test]
fn the_zxid_of_a_sasl_reply_counts_for_nothing() {
    let mut world = with_sasl();
    let token = Some(Bytes::from_static(b"go on"));
    world.reply(1, 99, Ok(Response::Sasl(SetSaslResponse { token })));
    assert_eq!(world.session.last_zxid(), zk_session::zk_proto::Zxid(0));
}

#[test]
fn a_passing_error_in_the_exchange_costs_the_connection_alone() {
    let mut world = with_sasl();
    world.reply(1, 0, Err(ErrorCode::THROTTLED_OP));
    assert_eq!(world.state(), State::Connecting);
}

#[test]
fn an_identity_that_was_cancelled_before_it_was_sent_is_told_to_nobody() {
    let mut world = World::new(config("a:1"));
    let id = add(&mut world, "bob:secret");
    world.command(|session, now| session.cancel(id, now));
    assert_eq!(world.error().delivery(), Some(Delivery::NotSent));
    world.establish();
    world.accept();
    assert!(auths(&mut world).is_empty());
    add(&mut world, "bob:secret");
    assert_eq!(auths(&mut world).len(), 1);
}

#[test]
fn an_answer_to_what_was_not_handed_out_is_nobodys() {
    let mut world = World::ready(config("a:1"));
    world.takes_at_once = false;
    world.submit(sync("/"));
    let id = add(&mut world, "bob:secret");
    answer_auth(&mut world, ErrorCode::OK);
    assert!(world.replies().is_empty());
    let outstanding = world.wire().outstanding();
    world.take(outstanding);
    answer_auth(&mut world, ErrorCode::OK);
    assert_eq!(world.replies()[0].request, id);
}

#[test]
fn a_configured_identity_that_no_frame_can_hold_ends_the_session_before_it_begins() {
    let mut limited = with_auth();
    limited.max_request_len = 60;
    limited.auth.push(AuthInfo { scheme: "digest".into(), auth: vec![b'x'; 60].into() });
    let mut world = World::new(limited.clone());
    assert_eq!(world.events(), [Event::AuthFailed { scheme: "digest".into() }]);
    assert_eq!(world.state(), State::AuthFailed);
    assert!(!world.trace.iter().any(|action| matches!(action, Action::Connect { .. })));

    let long = limited.auth.pop().unwrap();
    let mut world = World::new(limited);
    assert_eq!(world.state(), State::Connecting);
    let refused = world.command(|session, now| session.add_auth(long, now));
    assert!(matches!(refused, Err(SubmitError::TooLarge { limit: 60, .. })), "{refused:?}");
}

/// INV-72.
#[test]
fn there_are_only_so_many_identities_and_a_known_one_is_no_other() {
    let mut world = World::ready(config("a:1"));
    for number in 0..64 {
        add(&mut world, &format!("user{number}:pw"));
    }
    let refused = world.session.add_auth(info("user64:pw"), world.now);
    let limit_name = "the number of identities";
    assert_eq!(refused, Err(SubmitError::QueueFull { limit_name, limit: 64 }));
    add(&mut world, "user63:pw");
}

/// INV-03: a packet that an earlier connection carried was sent.
#[test]
fn a_call_whose_connection_is_lost_is_not_called_unsent() {
    let mut world = World::ready(config("a:1"));
    let id = add(&mut world, "bob:secret");
    world.cut();
    world.command(|session, now| session.cancel(id, now));
    assert_eq!(world.error().delivery(), Some(Delivery::MaybeApplied));
}
