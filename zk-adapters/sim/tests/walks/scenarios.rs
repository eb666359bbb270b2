//! Recorded conversations, to be repeated with something else happening at each of their steps.

use proptest::{
    strategy::{Strategy as _, ValueTree as _},
    test_runner::TestRunner,
};
use zk_session::{
    AuthInfo, Config, RequestId, RequestOptions, Retry,
    zk_proto::{AddWatchMode, Bytes, CreateMode, ErrorCode, EventType},
};
use zk_sim::Input;

use crate::{
    captures::captures,
    input_of,
    promises::{walk, walks},
    requests::{
        add_watch, children_watching, create_as, data, delete, exists_watching, get, get_watching, set,
    },
    world::{Step, Transport, World},
};

/// What happened to a session.
#[derive(Clone)]
pub(crate) struct Scenario {
    pub(crate) name: String,
    pub(crate) steps: Vec<Step>,
    /// The world before the first step.
    pub(crate) begin: World,
}

impl Scenario {
    fn of(name: impl Into<String>, config: Config, world: &World) -> Self {
        let mut begin = World::new(config.clone());
        begin.server = world.server.clone();
        begin.server.begin_connection();
        // Making the world has drained it: those steps aren't repeated.
        let made = begin.log.len();
        begin.log.clear();
        begin.trace.clear();
        Self { name: name.into(), steps: world.log[made..].to_vec(), begin }
    }
}

/// All captures.
pub(crate) fn captured() -> Vec<Scenario> {
    captures()
        .iter()
        .map(|capture| {
            let world = capture.performed();
            Scenario::of(&capture.name, world.session.config().clone(), &world)
        })
        .collect()
}

/// Fifty: written ones, captures that have something to tell, and random walks.
pub(crate) fn fifty() -> Vec<Scenario> {
    let mut scenarios = written();
    let mut captured = captured();
    captured.sort_by_key(|scenario| core::cmp::Reverse(scenario.steps.len()));
    // Of each server version and kind of conversation, the longest.
    let kind = |scenario: &Scenario| scenario.name.rsplit_once('.').map(|(kind, _)| kind.to_owned());
    let mut kinds = std::collections::BTreeSet::new();
    captured.retain(|scenario| kinds.insert(kind(scenario)));
    scenarios.extend(captured.into_iter().take(22));
    let mut runner = TestRunner::deterministic();
    while scenarios.len() < 50 {
        let (config, acts) = walks().new_tree(&mut runner).expect("a walk").current();
        let world = walk(config.clone(), &acts[..acts.len().min(60)]);
        if world.log.len() > 60 {
            scenarios.push(Scenario::of(format!("walk {}", scenarios.len()), config, &world));
        }
    }
    scenarios
}

fn config() -> Config {
    Config::new("a:2181,b:2181,c:2181".parse().expect("a connect string"))
}

fn connected(config: Config) -> World {
    let mut world = World::new(config);
    world.connect();
    world.accept_session();
    world
}

fn again(world: &mut World) {
    world.cut();
    world.connect();
    world.accept_session();
}

/// The server answers whatever waits.
fn answer_all(world: &mut World) {
    world.settle();
    while !world.server.unanswered.is_empty() {
        world.answer();
    }
}

fn safe(request: zk_session::zk_proto::Request) -> Input {
    Input::Submit(Box::new(request), RequestOptions::default().with_retry(Retry::WhenSafe))
}

type Story = fn(&mut World);

fn written() -> Vec<Scenario> {
    let (mut batches, mut slices, mut small, mut auth, mut read_only) =
        (config(), config(), config(), config(), config());
    batches.max_set_watches_len = 60;
    slices.max_send_len = 64;
    small.max_frame_len = 200;
    auth.auth = vec![AuthInfo { scheme: "digest".into(), auth: Bytes::from_static(b"me:secret") }];
    read_only.read_only = true;
    let stories: [(&str, Config, Story); 12] = [
        ("a watch fires while nobody is connected", config(), watch_fires_after_reconnect),
        ("watches in batches, cut between", batches, batches_are_cut),
        ("persistent watches and their gap", config(), persistent_watches),
        ("a read is sent again", config(), read_is_sent_again),
        ("create2 falls back to create", config(), create2_falls_back),
        ("a stalled transport", slices, transport_stalls),
        ("the session expires", config(), session_expires),
        ("another session answers", config(), session_is_replaced),
        ("oversize and malformed replies", small, odd_replies),
        ("auth before and after", auth, auths),
        ("a read-only server", read_only, read_only_server),
        ("cancelled, removed, closed", config(), gives_up),
    ];
    let scenario = |(name, config, story): (&str, Config, Story)| {
        let mut world = connected(config.clone());
        story(&mut world);
        Scenario::of(name, config, &world)
    };
    stories.into_iter().map(scenario).collect()
}

fn watch_fires_after_reconnect(world: &mut World) {
    world.do_input(input_of(get_watching("/a")));
    world.do_input(input_of(exists_watching("/b")));
    world.answer();
    world.server.refuse(ErrorCode::NO_NODE);
    world.settle();
    world.do_input(input_of(set("/a", Bytes::from_static(b"1"))));
    world.server.answers_session = false;
    again(world);
    world.server.notify(EventType::NODE_DATA_CHANGED, "/a");
    answer_all(world);
    world.do_input(input_of(get("/a")));
    answer_all(world);
}

fn batches_are_cut(world: &mut World) {
    for path in ["/a", "/bb", "/ccc"] {
        world.do_input(input_of(get_watching(path)));
        world.answer();
    }
    world.server.answers_session = false;
    again(world);
    if world.server.unanswered.len() > 1 {
        world.answer();
    }
    again(world);
    answer_all(world);
    world.server.notify(EventType::NODE_DELETED, "/bb");
    world.settle();
}

fn persistent_watches(world: &mut World) {
    world.do_input(input_of(add_watch("/a", AddWatchMode::PERSISTENT)));
    world.do_input(input_of(add_watch("/", AddWatchMode::PERSISTENT_RECURSIVE)));
    world.do_input(input_of(children_watching("/a")));
    answer_all(world);
    world.server.notify(EventType::NODE_DATA_CHANGED, "/a");
    world.settle();
    world.server.answers_session = false;
    again(world);
    world.server.notify(EventType::NODE_CREATED, "/a/b");
    answer_all(world);
    world.server.notify(EventType::NODE_CHILDREN_CHANGED, "/a");
    world.settle();
}

fn read_is_sent_again(world: &mut World) {
    world.do_input(safe(get("/a")));
    world.do_input(input_of(set("/a", Bytes::from_static(b"1"))));
    world.do_input(safe(get("/b")));
    again(world);
    again(world);
    answer_all(world);
}

fn create2_falls_back(world: &mut World) {
    world.do_input(safe(create_as("/a", CreateMode::Ephemeral)));
    let (xid, _) = world.server.take_oldest();
    world.server.say(xid, -1, ErrorCode::UNIMPLEMENTED, None);
    world.settle();
    while world.link.as_ref().is_none_or(|link| link.is_up) {
        world.tick();
    }
    world.connect();
    world.accept_session();
    answer_all(world);
}

fn transport_stalls(world: &mut World) {
    world.transport = Transport::Stalls;
    world.do_input(input_of(set("/a", Bytes::from(vec![7; 150]))));
    world.do_input(input_of(get("/b")));
    for _ in 0..3 {
        let waiting = world.link.as_ref().map_or(0, |link| link.outbox.len());
        world.take(waiting / 2);
        let waiting = world.link.as_ref().map_or(0, |link| link.outbox.len());
        world.take(waiting);
    }
    world.transport = Transport::Flows;
    world.settle();
    world.answer();
}

fn session_expires(world: &mut World) {
    world.do_input(input_of(get_watching("/a")));
    world.answer();
    world.do_input(safe(get("/a")));
    world.do_input(input_of(delete("/a")));
    world.cut();
    world.connect();
    world.server.refuse_session();
    world.settle();
}

fn session_is_replaced(world: &mut World) {
    world.do_input(safe(get_watching("/a")));
    world.cut();
    world.connect();
    world.server.session_id += 1;
    world.accept_session();
}

fn odd_replies(world: &mut World) {
    for path in ["/a", "/b", "/c"] {
        world.do_input(input_of(get(path)));
    }
    let long = data(&[9; 300]);
    world.server.answer_with(&long);
    world.settle();
    let (xid, _) = world.server.take_oldest();
    let zxid = world.server.zxid;
    world.server.say(xid, zxid, ErrorCode::OK, None);
    world.settle();
    world.server.say(77, 1, ErrorCode::OK, None);
    world.settle();
}

fn auths(world: &mut World) {
    let other = AuthInfo { scheme: "digest".into(), auth: Bytes::from_static(b"you:secret") };
    world.do_input(Input::AddAuth(other));
    world.do_input(input_of(get("/a")));
    world.answer();
    world.server.answers_session = false;
    again(world);
    world.do_input(input_of(get("/a")));
    for _ in 0..2 {
        world.server.say(-4, 0, ErrorCode::OK, None);
        world.settle();
    }
    world.answer();
}

fn read_only_server(world: &mut World) {
    world.do_input(input_of(get_watching("/a")));
    world.answer();
    world.server.read_only = Some(true);
    again(world);
    world.do_input(input_of(get("/a")));
    world.answer();
    world.tick();
    let probe = world.probe.expect("a probe");
    world.server.read_only = Some(false);
    world.do_input(Input::Probed(probe, true));
    world.connect();
    world.accept_session();
}

fn gives_up(world: &mut World) {
    for path in ["/a", "/b", "/c"] {
        world.do_input(input_of(get_watching(path)));
    }
    world.do_input(Input::Cancel(RequestId::from_number(1)));
    world.answer();
    world.do_input(Input::RemoveWatch(RequestId::from_number(2)));
    world.answer();
    world.do_input(input_of(create_as("/d", CreateMode::EphemeralSequential)));
    world.answer();
    world.do_input(Input::RemoveWatch(RequestId::from_number(3)));
    world.do_input(Input::Close);
    while !world.state().is_terminal() && !world.server.unanswered.is_empty() {
        world.answer();
    }
}
