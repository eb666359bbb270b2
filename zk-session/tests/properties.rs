//! Any sequence of inputs and commands: nothing panics, everything ends, the same comes out twice.

mod support;

use proptest::prelude::*;
use support::{
    PASSWORD, World, config, data, event_frame, get_data, millis, reply_frame, sync, watch_data, watch_exists,
};
use zk_session::{
    Action, Config, Expiry, Instant, OnLoss, RequestId, RequestOptions, Retry,
    zk_proto::{
        AddWatchMode, AddWatchRequest, Bytes, BytesMut, ConnectResponse, CreateMode, ErrorCode, EventType,
        OPEN_ACL_UNSAFE, Request, Response, SessionId,
    },
};

#[derive(Clone, Debug)]
enum Step {
    Establish,
    Accept { session_id: i64, time_out: i32, read_only: bool },
    Answer { err: i32, zxid: i64, cut_at: usize },
    Pong,
    AuthReply { err: i32 },
    Notify { event: i32, path: usize, zxid: i64 },
    Garbage { bytes: Vec<u8> },
    Take { count: usize },
    Cut,
    Wait { millis: u64 },
    Tick,
    Submit { op: usize, path: usize, deadline: Option<u64>, retry: bool },
    Cancel { which: usize },
    RemoveWatch { which: usize },
    Close,
}

const PATHS: [&str; 5] = ["/a", "/a/b", "/", "/zookeeper/config", "/c"];

fn request(op: usize, path: &str) -> Request {
    match op % 7 {
        0 => get_data(path),
        1 => watch_data(path),
        2 => watch_exists(path),
        3 => sync(path),
        4 => Request::create(path, None, OPEN_ACL_UNSAFE, CreateMode::Ephemeral),
        5 => Request::AddWatch(AddWatchRequest { path: path.into(), mode: AddWatchMode::PERSISTENT }),
        _ => {
            Request::AddWatch(AddWatchRequest { path: path.into(), mode: AddWatchMode::PERSISTENT_RECURSIVE })
        }
    }
}

fn step() -> impl Strategy<Value = Step> {
    let err = prop_oneof![6 => Just(0), 1 => Just(-101), 1 => Just(-6), 1 => any::<i32>()];
    let zxid = prop_oneof![4 => 0..50_i64, 1 => Just(-1), 1 => any::<i64>()];
    prop_oneof![
        4 => Just(Step::Establish),
        4 => (1..4_i64, prop_oneof![6 => Just(9000), 1 => any::<i32>()], prop::bool::weighted(0.1))
            .prop_map(|(session_id, time_out, read_only)| Step::Accept { session_id, time_out, read_only }),
        8 => (err.clone(), zxid.clone(), 0..200_usize)
            .prop_map(|(err, zxid, cut_at)| Step::Answer { err, zxid, cut_at }),
        2 => Just(Step::Pong),
        1 => err.prop_map(|err| Step::AuthReply { err }),
        3 => (0..8_i32, 0..5_usize, zxid).prop_map(|(event, path, zxid)| Step::Notify { event, path, zxid }),
        1 => prop::collection::vec(any::<u8>(), 0..60).prop_map(|bytes| Step::Garbage { bytes }),
        3 => (0..200_usize).prop_map(|count| Step::Take { count }),
        2 => Just(Step::Cut),
        3 => prop_oneof![0..5_u64, 0..5000_u64, Just(100_000)].prop_map(|millis| Step::Wait { millis }),
        2 => Just(Step::Tick),
        8 => (0..7_usize, 0..5_usize, prop::option::of(0..10_000_u64), any::<bool>())
            .prop_map(|(op, path, deadline, retry)| Step::Submit { op, path, deadline, retry }),
        1 => (0..20_usize).prop_map(|which| Step::Cancel { which }),
        1 => (0..20_usize).prop_map(|which| Step::RemoveWatch { which }),
        1 => prop::bool::weighted(0.1).prop_map(|close| if close { Step::Close } else { Step::Tick }),
    ]
}

fn any_config() -> impl Strategy<Value = Config> {
    let servers = prop_oneof![Just("a:1"), Just("a:1,b:2"), Just("a:1,b:2,c:3/a")];
    let limits = (1..4_usize, prop_oneof![Just(64), Just(65_536)], prop_oneof![Just(50), Just(131_072)]);
    (servers, any::<u64>(), limits, any::<bool>(), prop::bool::weighted(0.2), prop::bool::weighted(0.2))
        .prop_map(|(servers, seed, (in_flight, send_len, batch_len), read_only, own_expiry, new_session)| {
            let mut any = config(servers);
            any.seed = seed;
            any.max_in_flight = in_flight;
            any.max_send_len = send_len;
            any.max_set_watches_len = batch_len;
            any.max_frame_len = 200;
            any.read_only = read_only;
            any.expiry = if own_expiry { Expiry::Client } else { Expiry::Server };
            any.on_loss = if new_session { OnLoss::NewSession } else { OnLoss::Resume };
            any
        })
}

/// Walks a world through the steps; its checks run after each.
fn walk(config: Config, steps: &[Step], takes_at_once: bool) -> World {
    let mut world = World::new(config);
    world.takes_at_once = takes_at_once;
    let mut ids: Vec<RequestId> = Vec::new();
    for step in steps {
        perform(&mut world, step, &mut ids);
    }
    world
}

fn perform(world: &mut World, step: &Step, ids: &mut Vec<RequestId>) {
    match step {
        Step::Establish => world.establish(),
        Step::Accept { session_id, time_out, read_only } => {
            let mut frame = BytesMut::new();
            let (passwd, read_only) = (Some(Bytes::from_static(&PASSWORD)), Some(*read_only));
            let session_id = SessionId(*session_id);
            ConnectResponse { protocol_version: 0, time_out: *time_out, session_id, passwd, read_only }
                .encode_frame(&mut frame);
            world.receive(&frame);
        }
        Step::Answer { err, zxid, cut_at } => {
            let Some(xid) = world.wire().oldest_unanswered() else { return };
            let result = if *err == 0 { Ok(data(b"some data")) } else { Err(ErrorCode(*err)) };
            let frame = reply_frame(xid, *zxid, result);
            let at = (*cut_at).min(frame.len());
            world.answered(xid);
            world.receive(&frame[..at]);
            world.receive(&frame[at..]);
        }
        Step::Pong => world.pong(),
        Step::AuthReply { err } => {
            world.reply(-4, 0, if *err == 0 { Ok(Response::Empty) } else { Err(ErrorCode(*err)) })
        }
        Step::Notify { event, path, zxid } => {
            let frame = event_frame(EventType(*event), PATHS[*path], *zxid);
            world.receive(&frame);
        }
        Step::Garbage { bytes } => world.receive(bytes),
        Step::Take { count } => world.take(*count),
        Step::Cut => world.cut(),
        Step::Wait { millis: wait } => world.now = world.now + millis(*wait),
        Step::Tick => world.tick(),
        Step::Submit { op, path, deadline, retry } => {
            let mut options = RequestOptions::default();
            options.deadline = deadline.map(|deadline| world.now + millis(deadline));
            options.retry = if *retry { Retry::WhenSafe } else { Retry::Never };
            if let Ok(id) = world.session.submit(request(*op, PATHS[*path]), options, world.now) {
                world.note_accepted(id);
                ids.push(id);
            }
            world.command(|_, _| ());
        }
        Step::Cancel { which } => {
            if let Some(&id) = ids.get(*which) {
                world.command(|session, now| session.cancel(id, now));
            }
        }
        Step::RemoveWatch { which } => {
            if let Some(&id) = ids.get(*which) {
                world.command(|session, now| session.remove_watch(id, now));
            }
        }
        Step::Close => world.command(|session, now| session.close(now)),
    }
}

/// What a world said, bytes included.
fn transcript(world: &World) -> Vec<Action> {
    world.trace.clone()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    /// INV-01, INV-02, INV-79 and whatever else is checked after every step; and everything ends.
    #[test]
    fn whatever_happens_each_request_has_one_outcome_and_the_session_can_be_closed(
        config in any_config(),
        steps in prop::collection::vec(step(), 0..120),
        takes_at_once in any::<bool>(),
    ) {
        let mut world = walk(config, &steps, takes_at_once);
        world.command(|session, now| session.close(now));
        for _ in 0..1000 {
            let Some(due) = world.session.poll_timeout() else { break };
            world.now = world.now.max(due);
            world.tick();
        }
        // The books in the checks say that nothing is left without an outcome.
        prop_assert!(world.state().is_terminal());
    }

    /// INV-78, and a clone goes on as its original does.
    #[test]
    fn the_same_inputs_give_the_same_outputs(
        config in any_config(),
        steps in prop::collection::vec(step(), 0..80),
    ) {
        let first = walk(config.clone(), &steps, true);
        let second = walk(config, &steps, true);
        prop_assert_eq!(transcript(&first), transcript(&second));
        let mut original = first.session;
        let mut clone = original.clone();
        let end = Instant::from_millis(10_000_000);
        for session in [&mut original, &mut clone] {
            session.handle_timeout(end);
            session.close(end);
        }
        let rest = |session: &mut zk_session::Session| core::iter::from_fn(|| session.poll_action()).collect::<Vec<_>>();
        prop_assert_eq!(rest(&mut original), rest(&mut clone));
        prop_assert_eq!(original.poll_timeout(), clone.poll_timeout());
    }
}
