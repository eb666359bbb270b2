//! What servers do by themselves, in time.

use zk_proto::{
    CreateMode, DeleteRequest, EventType, ExistsRequest, OPEN_ACL_UNSAFE, Request, Ustring, WatcherEvent,
};

use crate::{
    calls::Call,
    messages::Message,
    pair::{Pace, Pair},
    steps::{Hello, Step, Whose},
};

const TELLER: usize = 0;
const OTHER: usize = 1;

#[test]
fn containers_ttl_znodes_and_sessions_end_alike() {
    let mut pair = Pair::start(Pace::Quick);
    if !pair.has_containers() {
        ephemerals_end_with_their_session(&mut pair);
        return;
    }
    container_ends_with_its_last_child(&mut pair);
    ttl_znode_ends_when_childless(&mut pair);
    ephemerals_end_with_their_session(&mut pair);
}

fn container_ends_with_its_last_child(pair: &mut Pair) {
    perform(pair, create(TELLER, "/container", CreateMode::Container));
    perform(pair, create(TELLER, "/container/child", CreateMode::Persistent));
    perform(pair, ask(TELLER, delete("/container/child")));
    ends(pair, "/container");
}

fn ttl_znode_ends_when_childless(pair: &mut Pair) {
    perform(pair, create(TELLER, "/ttl", CreateMode::PersistentWithTtl(100)));
    perform(pair, create(TELLER, "/ttl/child", CreateMode::PersistentWithTtl(100)));
    ends(pair, "/ttl/child");
    ends(pair, "/ttl");
}

fn ephemerals_end_with_their_session(pair: &mut Pair) {
    let hello = Hello { timeout_ms: 0, ..Hello::new(Whose::New) };
    perform(pair, Step::Open(OTHER, hello));
    perform(pair, create(OTHER, "/ephemeral", CreateMode::Ephemeral));
    perform(pair, ask(TELLER, exists("/ephemeral")));
    perform(pair, Step::Cut(OTHER));
    hears_of_the_end(pair, "/ephemeral");
    perform(pair, Step::Open(OTHER, Hello::new(Whose::Of(OTHER))));
}

fn ends(pair: &mut Pair, path: &str) {
    perform(pair, ask(TELLER, exists(path)));
    hears_of_the_end(pair, path);
}

fn hears_of_the_end(pair: &mut Pair, of: &str) {
    let told = pair.wait(TELLER).unwrap_or_else(|what| panic!("{of}: {what}"));
    let Message::Event(_, WatcherEvent { event_type: EventType::NODE_DELETED, path, .. }) = &told else {
        panic!("{of}: {told:?}");
    };
    assert_eq!(*path, of);
}

fn perform(pair: &mut Pair, step: Step) {
    if let Err(what) = pair.perform(&step) {
        panic!("{step:?}: {what}");
    }
}

fn ask(client: usize, request: Request) -> Step {
    Step::Ask(client, vec![Call::Request(request)])
}

fn create(client: usize, path: &str, mode: CreateMode) -> Step {
    let request = match Request::create(path, None, OPEN_ACL_UNSAFE, mode) {
        // The one that every version has.
        Request::Create2(create) => Request::Create(create),
        request => request,
    };
    ask(client, request)
}

fn delete(path: impl Into<Ustring>) -> Request {
    Request::Delete(DeleteRequest { path: path.into(), version: -1 })
}

fn exists(path: impl Into<Ustring>) -> Request {
    Request::Exists(ExistsRequest { path: path.into(), watch: true })
}
