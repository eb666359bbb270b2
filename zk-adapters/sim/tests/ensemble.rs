//! The simulated ensemble among faults, told by what a session hears.

use core::time::Duration;

use zk_session::{
    Event, RequestId, RequestOptions, ServerOrder,
    zk_proto::{CreateMode, DeleteRequest, ErrorCode, OPEN_ACL_UNSAFE, Request},
};
use zk_sim::{ClientId, Flow, Options, World};

/// A session at the first server, which follows another.
fn at_a_follower() -> (World, ClientId) {
    let mut world = World::new(Options { servers: 3, ..Options::default() });
    let mut config = world.config();
    config.server_order = ServerOrder::AsListed;
    let client = world.open(config);
    world.run_for(Duration::from_secs(1));
    assert_eq!(world.ensemble().leader(), Some(2));
    (world, client)
}

fn delete(path: &str) -> Request {
    Request::Delete(DeleteRequest { path: path.into(), version: -1 })
}

fn submit(world: &mut World, client: ClientId, request: Request) -> RequestId {
    let submitted = world.submit(client, request, RequestOptions::default()).expect("there is room");
    world.run_for(Duration::from_millis(5));
    submitted
}

#[test]
fn what_a_follower_could_not_pass_on_goes_first_when_it_can() {
    let (mut world, client) = at_a_follower();
    for server in [0, 2] {
        world.ensemble_mut(|ensemble, now| ensemble.isolate(server, now));
    }
    let delete = submit(&mut world, client, delete("/a"));
    world.ensemble_mut(|ensemble, now| ensemble.rejoin(0, now));
    let create = Request::create("/a", None, OPEN_ACL_UNSAFE, CreateMode::Persistent);
    let create = submit(&mut world, client, create);
    world.ensemble_mut(|ensemble, now| ensemble.rejoin(2, now));
    world.run_for(Duration::from_secs(1));
    assert_eq!(told(&mut world, client), [(delete, Some(ErrorCode::NO_NODE)), (create, None)]);
}

#[test]
fn a_stream_that_a_black_hole_has_interrupted_goes_on_without_a_gap() {
    let (mut world, client) = at_a_follower();
    world.network(client).to_server = Flow::BlackHole;
    let delete = submit(&mut world, client, delete("/a"));
    assert_eq!(told(&mut world, client), []);
    world.network(client).to_server = Flow::Open;
    let create = Request::create("/a", None, OPEN_ACL_UNSAFE, CreateMode::Persistent);
    let create = submit(&mut world, client, create);
    assert_eq!(told(&mut world, client), [(delete, Some(ErrorCode::NO_NODE)), (create, None)]);
}

/// The outcomes so far: what servers refused, and how.
fn told(world: &mut World, client: ClientId) -> Vec<(RequestId, Option<ErrorCode>)> {
    let mut told = Vec::new();
    for event in world.events(client) {
        if let Event::Reply(reply) = event {
            told.push((reply.request, reply.result.err().and_then(|error| error.code())));
        }
    }
    told
}
