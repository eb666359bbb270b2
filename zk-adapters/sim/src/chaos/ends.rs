//! What must hold in the end, when everything has healed.

use core::time::Duration;
use std::collections::BTreeSet;

use zk_session::zk_proto::WatcherType;

use crate::{
    books::LiveWatch,
    chaos::{Chaos, is_open},
    input::Input,
    world::{ClientId, World},
};

impl Chaos {
    /// Everything heals; then every session is ready or over, every request has its outcome, and what the servers watch
    /// is what the sessions watch.
    pub(super) fn end(&mut self) {
        for client in self.world.clients() {
            self.world.drain(client);
        }
        self.look();
        self.heal();
        self.quiet();
        let sessions: Vec<_> = self.world.clients().filter(|client| is_open(&self.world, *client)).collect();
        for client in &sessions {
            self.world.speaks(*client);
            let session = self.world.session(*client);
            let stats = session.stats();
            // Who was told of transactions that never were is served by nobody.
            if !self.plan.is_honest() && !session.is_ready() {
                continue;
            }
            assert!(session.is_ready(), "INV-57: {client:?} isn't ready: {:?}, {stats:?}", session.state());
            assert_eq!((stats.queued, stats.in_flight), (0, 0), "INV-57: {client:?}: {stats:?}");
            if self.plan.is_honest() {
                check_watches(&self.world, *client);
            }
        }
        for client in sessions {
            self.world.input(client, Input::Close).expect("a session can be closed");
        }
        self.quiet();
        for client in self.world.clients() {
            self.world.speaks(client);
            let session = self.world.session(client);
            assert!(session.state().is_terminal(), "INV-75: {client:?} isn't closed: {:?}", session.state());
        }
        if self.plan.is_honest() {
            self.ledger.settle(&self.world);
        }
    }

    /// Long enough for every session to find a server.
    fn quiet(&mut self) {
        let options = self.world.ensemble().options();
        let longest = options.longest_session_timeout() + options.sync_limit + options.election;
        let end = self.world.now() + longest * 3 + Duration::from_secs(60);
        while self.world.next_due().is_some_and(|due| due <= end) {
            self.steps += 1;
            self.world.step();
            self.look();
        }
        self.look();
    }
}

/// INV-33, INV-40: what a session watches, its server watches; and what has changed since, it has been told.
fn check_watches(world: &World, client: ClientId) {
    let peer = world.peer(client).expect("INV-57: ready, and no connection");
    let server = world.server(client).expect("INV-57: ready, and no connection");
    let on_server: BTreeSet<(String, i32)> =
        world.ensemble().watches(peer).map(|(path, kind)| (path.to_owned(), kind.0)).collect();
    for watch in world.books(client).live_watches() {
        let has = |kind: WatcherType| on_server.contains(&(watch.path.to_string(), kind.0));
        let is_armed = watch.armed_by().iter().any(|kind| has(*kind));
        assert!(is_armed, "INV-33, INV-38: {client:?}: {watch:?} isn't armed: {on_server:?}");
        check_seen(world, client, server, &watch);
    }
}

fn check_seen(world: &World, client: ClientId, server: usize, watch: &LiveWatch) {
    let znode = world.ensemble().tree(server).get(&watch.path.to_str());
    let stat = znode.map(crate::ensemble::Znode::stat);
    assert!(!watch.must_have_fired(stat), "INV-40: {client:?}: {watch:?} should have fired: {stat:?}");
}
