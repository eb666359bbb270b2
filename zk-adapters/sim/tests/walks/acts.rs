//! What a driver, a server and an application may do, drawn at random.

use core::time::Duration;

use proptest::prelude::*;
use zk_session::{
    AuthInfo, Config, ConnectionId, Expiry, OnLoss, ProbeId, RequestId, RequestOptions, Retry, State,
    zk_proto::{AddWatchMode, Bytes, CreateMode, ErrorCode, EventType, Request, Response, WatcherType},
};

use zk_sim::Input;

use crate::{
    requests::{
        add_watch, children_watching, create_as, data, delete, exists_watching, get, get_watching,
        remove_watches, set,
    },
    world::{Transport, World},
};

/// One thing that happens.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    Submit {
        what: u8,
        path: u8,
        retry: bool,
        deadline: Option<u16>,
    },
    Cancel(u8),
    RemoveWatch(u8),
    AddAuth(u8),
    UpdateServers(u8),
    Close,
    /// The next step to a session: the transport comes up, then the server accepts.
    Connect,
    Cut,
    /// An input that names some connection, which may be long gone.
    Stale {
        back: u8,
        what: u8,
    },
    Probed(bool),
    Accept,
    AcceptOther,
    RefuseSession,
    Answer,
    Refuse(u8),
    /// A later request is answered ahead of its turn.
    Early {
        position: u8,
        code: u8,
    },
    AnswerBadly,
    AnswerAtLength,
    Notify {
        event: u8,
        path: u8,
    },
    Say {
        xid: i8,
        err: i8,
    },
    Bytes(Vec<u8>),
    Stall,
    Flow,
    /// A stalled transport takes so many bytes.
    Take(u8),
    /// It takes so many bytes, and then it is cut.
    CutShort(u8),
    Tick,
    Advance(u16),
    Oversleep(u32),
    /// An input with a reading that lies so far back.
    Backwards(u16),
    /// From now on what the server says arrives in pieces of so many bytes.
    Pieces(u8),
    /// What comes next is done without polling.
    Undrained(Box<Self>),
    DrainOne,
}

/// Mostly what keeps a session going, and a little of all that doesn't.
pub(crate) fn act() -> impl Strategy<Value = Act> {
    let plain = prop_oneof![
        22 => submit(),
        3 => any::<u8>().prop_map(Act::Cancel),
        3 => any::<u8>().prop_map(Act::RemoveWatch),
        2 => (0_u8..4).prop_map(Act::AddAuth),
        1 => any::<u8>().prop_map(Act::UpdateServers),
        20 => prop_oneof![30 => Just(Act::Connect), 1 => Just(Act::Accept)],
        3 => Just(Act::Cut),
        24 => Just(Act::Answer),
        14 => server_act(),
        6 => transport_act(),
        8 => prop_oneof![4 => Just(Act::Tick), 3 => any::<u16>().prop_map(Act::Advance)],
        2 => prop_oneof![
            any::<u32>().prop_map(|millis| Act::Oversleep(millis % 100_000)),
            any::<u16>().prop_map(Act::Backwards),
            (any::<u8>(), any::<u8>()).prop_map(|(back, what)| Act::Stale { back, what }),
            any::<bool>().prop_map(Act::Probed),
        ],
        1 => prop_oneof![
            9 => Just(Act::DrainOne),
            3 => (1_u8..80).prop_map(Act::Pieces),
            1 => Just(Act::Close),
            1 => Just(Act::AcceptOther),
            1 => Just(Act::RefuseSession),
        ],
    ];
    let undrained = plain.clone().prop_map(|act| Act::Undrained(Box::new(act)));
    prop_oneof![5 => plain, 1 => undrained]
}

fn submit() -> impl Strategy<Value = Act> + Clone {
    (any::<u8>(), 0_u8..4, any::<bool>(), proptest::option::weighted(0.2, any::<u16>()))
        .prop_map(|(what, path, retry, deadline)| Act::Submit { what, path, retry, deadline })
}

fn transport_act() -> impl Strategy<Value = Act> + Clone {
    let count = || prop_oneof![1 => Just(0_u8), 4 => 0_u8..100];
    prop_oneof![
        3 => Just(Act::Stall),
        3 => Just(Act::Flow),
        3 => count().prop_map(Act::Take),
        3 => count().prop_map(Act::CutShort),
    ]
}

fn server_act() -> impl Strategy<Value = Act> + Clone {
    prop_oneof![
        8 => any::<u8>().prop_map(Act::Refuse),
        1 => (any::<u8>(), any::<u8>()).prop_map(|(position, code)| Act::Early { position, code }),
        1 => Just(Act::AnswerBadly),
        1 => Just(Act::AnswerAtLength),
        14 => (prop_oneof![9 => 1_u8..5, 1 => Just(0_u8), 1 => Just(99_u8)], 0_u8..4).prop_map(|(event, path)| Act::Notify { event, path }),
        1 => (-5_i8..30, -5_i8..2).prop_map(|(xid, err)| Act::Say { xid, err }),
        1 => proptest::collection::vec(any::<u8>(), 1..40).prop_map(Act::Bytes),
    ]
}

/// Limits that are reached, and every choice that there is.
pub(crate) fn any_config() -> impl Strategy<Value = Config> {
    let choices = (any::<bool>(), any::<bool>(), any::<bool>(), 0_u8..3, any::<u64>());
    let limits = (
        prop_oneof![1 => Just(2_usize), 3 => Just(1_000)],
        prop_oneof![Just(1_usize), Just(3), Just(1_000)],
        prop_oneof![Just(64_usize), Just(100), Just(64 << 10)],
        prop_oneof![Just(60_usize), Just(1 << 17)],
        prop_oneof![1 => Just(200_usize), 2 => Just(1 << 22)],
        prop_oneof![1 => Just(120_usize), 4 => Just(1 << 20)],
    );
    (choices, limits, prop_oneof![1 => Just(1_u64), 1 => Just(50), 8 => 2_000_u64..60_000]).prop_map(
        |((anew, client, read_only, auths, seed), (queued, in_flight, send, batch, frame, bytes), millis)| {
            let mut config = Config::new("a:2181,b:2181,c:2181".parse().expect("a connect string"));
            config.on_loss = if anew && seed % 4 == 0 { OnLoss::NewSession } else { OnLoss::Resume };
            config.expiry = if client && seed % 3 == 0 { Expiry::Client } else { Expiry::Server };
            config.read_only = read_only;
            config.auth = (0..auths).map(identity).collect();
            config.seed = seed;
            config.max_queued_requests = queued;
            config.max_queued_bytes = bytes;
            config.max_in_flight = in_flight;
            config.max_send_len = send;
            config.max_set_watches_len = batch;
            config.max_frame_len = frame;
            config.max_watches = 6;
            config.session_timeout = Duration::from_millis(millis);
            if seed % 2 == 0 {
                config.connect_string.chroot = Some("/app".into());
            }
            config
        },
    )
}

impl Act {
    /// Does it, if it can be done now.
    pub(crate) fn perform(&self, world: &mut World) {
        match self {
            Self::Undrained(act) => act.perform_undrained(world),
            Self::DrainOne => {
                world.drain_one();
            }
            other => {
                other.begin(world);
                world.settle();
            }
        }
    }

    /// Calls only what needs no polling before, and polls nothing after.
    fn perform_undrained(&self, world: &mut World) {
        if let Some(input) = self.input(world) {
            let _ = world.input_undrained(input);
        } else {
            self.perform(world);
        }
    }

    fn begin(&self, world: &mut World) {
        if let Some(input) = self.input(world) {
            let _ = world.input(input);
            return;
        }
        world.settle();
        match self {
            Self::Stall => world.transport = Transport::Stalls,
            Self::Flow => world.transport = Transport::Flows,
            Self::Pieces(len) => world.piece = (*len).into(),
            Self::Take(count) | Self::CutShort(count) => {
                let waiting = world.link.as_ref().map_or(0, |link| link.outbox.len());
                if waiting > 0 && world.transport == Transport::Stalls {
                    world.take(usize::from(*count).min(waiting));
                }
                if matches!(self, Self::CutShort(_)) && world.link.is_some() {
                    world.cut();
                    world.transport = Transport::Flows;
                }
            }
            Self::Connect => {
                if world.link.as_ref().is_some_and(|link| !link.is_up) {
                    world.connect();
                } else if world.state() == State::Associating {
                    world.accept_session();
                } else if world.link.is_none() && !world.state().is_terminal() {
                    world.tick();
                }
            }
            Self::Cut => {
                if world.link.is_some() {
                    world.cut();
                }
            }
            Self::Tick | Self::Advance(_) | Self::Oversleep(_) | Self::Backwards(_) => self.pass(world),
            _ => self.say(world),
        }
    }

    /// What time does.
    fn pass(&self, world: &mut World) {
        match self {
            Self::Tick if world.session.poll_timeout().is_some() => world.tick(),
            Self::Advance(millis) => {
                let most = world.session.negotiated_timeout() * 5;
                world.advance(Duration::from_millis((*millis).into()).min(most));
            }
            Self::Oversleep(millis) => world.oversleep(Duration::from_millis((*millis).into())),
            Self::Backwards(millis) => {
                let now = world.now;
                world.now = zk_session::Instant::from_nanos(now.as_nanos() - u64::from(*millis) * 1_000_000);
                world.do_input(Input::Timeout);
                world.now = now;
            }
            _ => {}
        }
    }

    /// What the server says, if there is somebody to say it to.
    fn say(&self, world: &mut World) {
        if !world.link.as_ref().is_some_and(|link| link.is_up) {
            return;
        }
        let server = &mut world.server;
        let waiting = server.unanswered.len();
        match self {
            Self::Accept => server.accept(),
            Self::AcceptOther => {
                server.session_id += 1;
                server.accept();
            }
            Self::RefuseSession => server.refuse_session(),
            Self::Answer if waiting > 0 => server.answer(),
            Self::Refuse(code) if waiting > 0 => server.refuse(error(*code)),
            Self::AnswerBadly if waiting > 0 => {
                let (xid, _) = server.take_oldest();
                server.say(xid, server.zxid, ErrorCode::OK, None);
            }
            Self::AnswerAtLength if waiting > 0 => {
                let long: Response = data(&[9; 300]);
                server.answer_with(&long);
            }
            Self::Early { position, code } if waiting > 0 => {
                let (xid, _) = server.unanswered.remove(usize::from(*position) % waiting).expect("in range");
                server.say(xid, 0, error(*code), None);
            }
            Self::Notify { event, path } => {
                let path = format!("/app{}", PATHS[usize::from(*path) % PATHS.len()]);
                let is_below = world.session.config().connect_string.chroot.is_some();
                server.notify(EventType((*event).into()), if is_below { &path } else { &path[4..] });
            }
            Self::Say { xid, err } => server.say((*xid).into(), 77, ErrorCode((*err).into()), None),
            Self::Bytes(bytes) => server.out.extend_from_slice(bytes),
            _ => {}
        }
    }

    /// The call that it is, if it is one.
    fn input(&self, world: &World) -> Option<Input> {
        let accepted = world.session.stats().accepted;
        let request = |number: u8| RequestId::from_number(accepted.saturating_sub(u64::from(number % 16)));
        Some(match self {
            Self::Submit { what, path, retry, deadline } => {
                let mut options = RequestOptions::default();
                if let Some(millis) = deadline {
                    options = options.with_deadline(world.now + Duration::from_millis((*millis).into()));
                }
                if *retry {
                    options = options.with_retry(Retry::WhenSafe);
                }
                Input::Submit(Box::new(some_request(*what, PATHS[usize::from(*path)])), options)
            }
            Self::Cancel(number) => Input::Cancel(request(*number)),
            Self::RemoveWatch(number) => Input::RemoveWatch(request(*number)),
            Self::AddAuth(number) => Input::AddAuth(identity(*number)),
            Self::UpdateServers(number) => {
                let lists =
                    ["a:2181,b:2181,c:2181", "a:2181", "d:2181,e:2181", "a:2181,b:2181,c:2181,d:2181"];
                Input::UpdateServers(lists[usize::from(*number) % lists.len()].parse().expect("a list"))
            }
            Self::Close => Input::Close,
            Self::Probed(read_write) => {
                let probe = world.probe.unwrap_or(ProbeId::from_number(1));
                Input::Probed(probe, *read_write)
            }
            Self::Stale { back, what } => {
                let last = world.link.as_ref().map_or(1, |link| link.connection.get());
                let connection = ConnectionId::from_number(last.saturating_sub(1 + u64::from(*back % 4)));
                match what % 4 {
                    0 => Input::Connected(connection),
                    1 => Input::Received(connection, Bytes::from_static(&[0, 0, 0, 1, 7])),
                    2 => Input::Sent(connection, 1_000),
                    _ => Input::Disconnected(connection),
                }
            }
            _ => return None,
        })
    }
}

fn some_request(what: u8, path: &str) -> Request {
    match what % 16 {
        0 | 1 => get(path),
        2 | 3 => set(path, Bytes::from_static(b"data")),
        4 => create_as(path, CreateMode::Persistent),
        5 => create_as(path, CreateMode::Ephemeral),
        6 => delete(path),
        7 | 8 => get_watching(path),
        9 | 10 => exists_watching(path),
        11 => children_watching(path),
        12 => add_watch(path, AddWatchMode::PERSISTENT),
        13 => add_watch(path, AddWatchMode::PERSISTENT_RECURSIVE),
        // Not all kinds at once: the session itself removes watches so, and it couldn't be told whose it is.
        14 => remove_watches(path, WatcherType([1, 2, 4, 5][usize::from(what / 16) % 4])),
        _ => set(path, Bytes::from(vec![1; usize::from(what)])),
    }
}

fn error(code: u8) -> ErrorCode {
    const CODES: [i32; 8] = [-101, -110, -112, -119, -102, -6, -9_999, 5];
    ErrorCode(CODES[usize::from(code) % CODES.len()])
}

fn identity(number: u8) -> AuthInfo {
    AuthInfo { scheme: "digest".into(), auth: Bytes::from(format!("user{number}:pw")) }
}

const PATHS: [&str; 4] = ["/a", "/a/b", "/c", "/"];
