//! Every state of the table with every input.

mod support;

use support::{PASSWORD, SESSION, World, config, data, reply_frame, sync};
use zk_session::{
    AuthInfo, ConnectionId, Credentials, ProbeId, RequestOptions, Sasl, SaslError, SaslExchange,
    SaslMechanism, SaslStep, State,
    zk_proto::{Bytes, BytesMut, ConnectResponse, ErrorCode, ReplyHeader, SessionId, Zxid},
};

/// A state by name, and the way there.
type Before = (&'static str, fn() -> World);

const BEFORE: [Before; 15] = [
    ("dialling", || World::new(config("a:1,b:2"))),
    ("waiting to dial", || {
        let mut world = World::new(config("a:1"));
        world.cut();
        world
    }),
    ("dialling with a session", || {
        let mut world = World::ready(config("a:1,b:2"));
        world.cut();
        world
    }),
    ("associating", || World::associating(config("a:1,b:2"))),
    ("associating, perhaps read-only", || {
        let mut read_only = config("a:1,b:2");
        read_only.read_only = true;
        World::associating(read_only)
    }),
    ("resuming", || {
        let mut resume = config("a:1,b:2");
        let password = Bytes::from_static(&PASSWORD);
        resume.resume = Some(Credentials { session_id: SESSION, password, last_zxid: Zxid(1) });
        World::associating(resume)
    }),
    ("connected", || World::ready(config("a:1,b:2"))),
    ("connected read-only", || {
        let mut read_only = config("a:1,b:2");
        read_only.read_only = true;
        let mut world = World::associating(read_only);
        world.accept_as(SessionId(5), 9000, true);
        world
    }),
    ("connected, with an identity that isn't answered", || {
        let mut authenticating = config("a:1,b:2");
        authenticating.auth = vec![identity()];
        let mut world = World::associating(authenticating);
        world.accept();
        world
    }),
    ("connected, in a SASL exchange", || {
        let mut authenticating = config("a:1,b:2");
        authenticating.sasl = Some(Sasl::new(OneWord));
        let mut world = World::associating(authenticating);
        world.accept();
        world
    }),
    ("connected, being closed", || {
        let mut world = World::ready(config("a:1,b:2"));
        world.command(|session, now| session.close(now));
        world
    }),
    ("dialling to close a session", || {
        let mut world = World::ready(config("a:1,b:2"));
        world.cut();
        world.command(|session, now| session.close(now));
        world
    }),
    ("not authenticated", || {
        let mut authenticating = config("a:1,b:2");
        authenticating.auth = vec![identity()];
        let mut world = World::associating(authenticating);
        world.accept();
        world.receive(&reply_frame(ReplyHeader::AUTH_XID, 0, Err(ErrorCode::AUTH_FAILED)));
        world
    }),
    ("expired", || {
        let mut world = World::ready(config("a:1"));
        world.cut();
        world.await_attempt();
        world.establish();
        world.refuse();
        world
    }),
    ("closed", || {
        let mut world = World::new(config("a:1"));
        world.command(|session, now| session.close(now));
        world
    }),
];

fn connect_response(time_out: i32, session_id: SessionId, read_only: bool) -> BytesMut {
    let mut frame = BytesMut::new();
    let (passwd, read_only) = (Some(Bytes::from_static(&PASSWORD)), Some(read_only));
    ConnectResponse { protocol_version: 0, time_out, session_id, passwd, read_only }.encode_frame(&mut frame);
    frame
}

/// A mechanism that says one word, and believes any answer.
struct OneWord;

impl SaslMechanism for OneWord {
    fn begin(&self) -> Box<dyn SaslExchange> {
        Box::new(Self)
    }
}

impl SaslExchange for OneWord {
    fn initial_response(&mut self) -> Result<Bytes, SaslError> {
        Ok(Bytes::from_static(b"word"))
    }

    fn respond(&mut self, _: &[u8]) -> Result<SaslStep, SaslError> {
        Ok(SaslStep::Complete)
    }

    fn clone_box(&self) -> Box<dyn SaslExchange> {
        Box::new(Self)
    }
}

fn identity() -> AuthInfo {
    AuthInfo { scheme: "digest".into(), auth: Bytes::from_static(b"a:b") }
}

/// What goes in, by name, and the states that it may lead to: from which state to which.
type Input = (&'static str, fn(&mut World), &'static [(State, State)]);

use State::{Associating, AuthFailed, Closed, Connected, ConnectedReadOnly, Connecting, Expired};

const INPUTS: &[Input] = &[
    ("connected", |world| world.establish(), &[(Connecting, Associating)]),
    (
        "a ConnectResponse",
        |world| world.receive(&connect_response(9000, SESSION, false)),
        &[(Associating, Connected), (Connected, Connecting), (ConnectedReadOnly, Connecting)],
    ),
    (
        "a refusal",
        |world| world.receive(&connect_response(0, SessionId(0), false)),
        &[
            (Associating, Connecting),
            (Associating, Expired),
            (Connected, Connecting),
            (ConnectedReadOnly, Connecting),
        ],
    ),
    (
        "a read-only server's ConnectResponse",
        |world| world.receive(&connect_response(9000, SESSION, true)),
        &[
            (Associating, Connecting),
            (Associating, ConnectedReadOnly),
            (Connected, Connecting),
            (ConnectedReadOnly, Connecting),
        ],
    ),
    (
        "a refused identity",
        |world| world.receive(&reply_frame(ReplyHeader::AUTH_XID, 0, Err(ErrorCode::AUTH_FAILED))),
        &[(Associating, Connecting), (Connected, AuthFailed)],
    ),
    (
        "a refusal of the oldest request",
        |world| {
            let oldest = world.wire().oldest_unanswered().unwrap_or(77);
            world.answered(oldest);
            world.receive(&reply_frame(oldest, 0, Err(ErrorCode::AUTH_FAILED)));
        },
        &[
            (Associating, Connecting),
            // In a SASL exchange.
            (Connected, AuthFailed),
            // Being closed: the connection may be lost, but the session is closed.
            (Connected, Closed),
            (Connected, Connecting),
            (ConnectedReadOnly, Connecting),
        ],
    ),
    ("half a frame", |world| world.receive(&[0, 0, 0]), &[]),
    ("a pong", |world| world.receive(&reply_frame(-2, 0, Ok(data(b"")))), &[(Associating, Connecting)]),
    (
        "a reply to nothing",
        |world| world.receive(&reply_frame(77, 3, Ok(data(b"x")))),
        &[(Associating, Connecting), (Connected, Connecting), (ConnectedReadOnly, Connecting)],
    ),
    (
        "a negative length",
        |world| world.receive(&[0xff; 4]),
        &[(Associating, Connecting), (Connected, Connecting), (ConnectedReadOnly, Connecting)],
    ),
    ("taken bytes", |world| world.take(10), &[]),
    (
        "the transport's end",
        World::cut,
        &[(Associating, Connecting), (Connected, Connecting), (ConnectedReadOnly, Connecting)],
    ),
    ("an early tick", World::tick, &[]),
    (
        "silence",
        |world| world.advance(support::millis(6000)),
        &[
            (Associating, Connecting),
            (Connected, Connecting),
            (ConnectedReadOnly, Connecting),
            // Being closed, in bounded time.
            (Connected, Closed),
            (Connecting, Closed),
        ],
    ),
    (
        "a probe's answer",
        |world| world.command(|session, now| session.handle_probed(ProbeId::from_number(1), true, now)),
        &[],
    ),
    (
        "a request",
        |world| {
            if let Ok(id) = world.session.submit(sync("/"), RequestOptions::default(), world.now) {
                world.note_accepted(id);
                world.command(|session, now| session.cancel(id, now));
            }
        },
        &[],
    ),
    (
        "an identity",
        |world| {
            if let Ok(id) = world.session.add_auth(identity(), world.now) {
                world.note_accepted(id);
                world.command(|_, _| ());
            }
        },
        &[],
    ),
    (
        "the same servers",
        |world| {
            drop(
                world
                    .command(|session, now| session.update_servers("a:1,b:2".parse().expect("servers"), now)),
            )
        },
        &[],
    ),
    (
        "a tick that is minutes late",
        |world| {
            world.now = world.now + support::millis(600_000);
            world.tick();
        },
        // It isn't taken for the server's silence, but a close is over by then.
        &[(Connected, Closed), (Connecting, Closed)],
    ),
    ("close", |world| world.command(|session, now| session.close(now)), &[(Connecting, Closed)]),
];

/// INV-27, INV-31.
#[test]
fn each_input_leads_only_where_the_table_says() {
    let mut seen = std::collections::BTreeSet::new();
    for (before, walk) in BEFORE {
        for (input, give, to) in INPUTS {
            let mut world = walk();
            let (from, trace) = (world.state(), world.trace.len());
            give(&mut world);
            let led_to = world.state();
            assert!(
                led_to == from || to.contains(&(from, led_to)),
                "{before}, {input}: {from:?} to {led_to:?}"
            );
            if from.is_terminal() {
                assert_eq!(world.trace.len(), trace, "{before}, {input}");
            }
            seen.insert((input, format!("{from:?} {led_to:?}")));
        }
    }
    // The table has no transition that doesn't happen.
    for (input, _, to) in INPUTS {
        for (from, to) in *to {
            assert!(
                seen.contains(&(input, format!("{from:?} {to:?}"))),
                "{input}: {from:?} to {to:?} never happens"
            );
        }
    }
}

/// INV-62: input of any connection but the current one does nothing in any state.
#[test]
fn the_past_and_the_future_cannot_speak() {
    for (before, walk) in BEFORE {
        let mut world = walk();
        let (told, trace) = (format!("{:?}", world.session), world.trace.len());
        let current = world.connection().get();
        for other in [0, current.wrapping_sub(1), current + 1, u64::MAX] {
            let other = ConnectionId::from_number(other);
            let now = world.now;
            world.command(|session, _| {
                session.handle_connected(other, now);
                session.handle_received(other, &reply_frame(1, 99, Ok(data(b"x"))), now);
                session.handle_sent(other, 50, now);
                session.handle_disconnected(other, now);
            });
        }
        assert_eq!((format!("{:?}", world.session), world.trace.len()), (told, trace), "{before}");
    }
}
