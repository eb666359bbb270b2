//! What clients do, besides asking: come, go, come back, and take each other's sessions.

use proptest::{collection::vec, prelude::*, sample::select};
use zk_proto::{Bytes, OpCode};

use crate::calls::{Call, call};

pub(crate) const CLIENTS: usize = 4;

#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Requests in one go. A client without a connection gets one first.
    Ask(usize, Vec<Call>),
    /// A request that ends the connection.
    Refused(usize, OpCode, Bytes),
    Authenticate(usize, &'static str, Option<&'static str>),
    /// The client's connection is gone, without a word.
    Cut(usize),
    /// A new connection.
    Open(usize, Hello),
    CloseSession(usize),
}

#[derive(Clone, Debug)]
pub(crate) struct Hello {
    pub(crate) whose: Whose,
    pub(crate) password: Password,
    pub(crate) seen: Seen,
    pub(crate) timeout_ms: i32,
    pub(crate) read_only: Option<bool>,
}

/// The session that is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Whose {
    New,
    /// The one that this client had last, living or not.
    Of(usize),
    Unknown,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Password {
    Right,
    Wrong,
    Short,
    Null,
}

/// The zxid that the client has seen.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Seen {
    Aged(usize),
    Future,
}

impl Hello {
    pub(crate) fn new(whose: Whose) -> Self {
        Self {
            whose,
            password: Password::Right,
            seen: Seen::Aged(0),
            timeout_ms: 30_000,
            read_only: Some(false),
        }
    }
}

impl Step {
    /// How many operations this is.
    pub(crate) fn len(&self) -> u64 {
        if let Self::Ask(_, calls) = self { calls.len() as u64 } else { 1 }
    }
}

pub(crate) fn steps() -> impl Strategy<Value = Vec<Step>> {
    vec(step(), 1..100)
}

fn step() -> impl Strategy<Value = Step> {
    let client = || 0..CLIENTS;
    let batch = prop_oneof![3 => vec(call(), 1..2), 2 => vec(call(), 2..6)];
    prop_oneof![
        60 => (client(), batch).prop_map(|(client, calls)| Step::Ask(client, calls)),
        1 => (client(), unknown_op(), vec(any::<u8>(), 0..6))
            .prop_map(|(client, op, body)| Step::Refused(client, op, body.into())),
        2 => (client(), credentials())
            .prop_map(|(client, (scheme, auth))| Step::Authenticate(client, scheme, auth)),
        2 => client().prop_map(Step::Cut),
        2 => (client(), hello()).prop_map(|(client, hello)| Step::Open(client, hello)),
        1 => client().prop_map(Step::CloseSession),
    ]
}

fn unknown_op() -> impl Strategy<Value = OpCode> {
    let odd = select(vec![-1, 0, 10, 13, 23, 99, 108, -10, -12, 1000, i32::MIN, i32::MAX]);
    odd.prop_map(OpCode)
}

fn credentials() -> impl Strategy<Value = (&'static str, Option<&'static str>)> {
    select(vec![
        ("digest", Some("bob:secret")),
        ("digest", Some("bob:secret")),
        ("digest", Some("eve:secret")),
        ("digest", Some("super:super-secret")),
        ("digest", Some("bob")),
        ("digest", Some("")),
        ("digest", Some("a:b:c")),
        ("ip", Some("10.1.2.3")),
        ("world", Some("anyone")),
        ("nobody", Some("x")),
        ("digest", None),
    ])
}

fn hello() -> impl Strategy<Value = Hello> {
    let whose = prop_oneof![
        3 => Just(Whose::New),
        6 => (0..CLIENTS).prop_map(Whose::Of),
        1 => Just(Whose::Unknown),
    ];
    let password = prop_oneof![
        7 => Just(Password::Right), 1 => Just(Password::Wrong), 1 => Just(Password::Short), 1 => Just(Password::Null),
    ];
    let seen = prop_oneof![7 => (0..40_usize).prop_map(Seen::Aged), 1 => Just(Seen::Future)];
    let timeout_ms = select(vec![30_000, 30_000, 0, -1, 1, 40_000, i32::MAX]);
    let read_only = select(vec![Some(false), Some(true), None]);
    (whose, password, seen, timeout_ms, read_only).prop_map(
        |(whose, password, seen, timeout_ms, read_only)| Hello {
            whose,
            password,
            seen,
            timeout_ms,
            read_only,
        },
    )
}
