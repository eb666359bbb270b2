//! A client that keeps a copy of a subtree, told of changes by watches.

use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use std::collections::BTreeSet;
use std::thread;

use zk_client::{Error, StandingEvent, WatchEnded};
use zk_session::zk_proto::{ErrorCode, GetChildren2Response, GetDataResponse, Request, SyncRequest};

use crate::client::{Kind, Standing, Watch};
use crate::connection::{Connection, Place, RECOVERY};
use crate::drawing::MIRRORED;
use crate::history::{Tree, Znode, compare};
use crate::ledger::Moment;

/// By what it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// One-time watches on the data and the children of each znode, set anew with each read.
    OneTime,
    /// One persistent recursive watch; after a gap all is read anew.
    Persistent,
}

/// What is to be read anew.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Task {
    All,
    Children(String),
    Data(String),
}

/// One mirror, and its sessions one after the other.
pub(crate) struct Mirror {
    place: Place,
    number: usize,
    kind: Kind,
    way: Way,
    timeout: Duration,
    tree: Tree,
    tasks: BTreeSet<Task>,
    watches: Vec<(Task, Watch)>,
    standing: Option<Standing>,
    connection: Option<Connection>,
    resyncs: usize,
}

impl Mirror {
    pub(crate) fn new(place: Place, number: usize, kind: Kind, way: Way, timeout: Duration) -> Self {
        Self {
            place,
            number,
            kind,
            way,
            timeout,
            tree: Tree::default(),
            tasks: BTreeSet::new(),
            watches: Vec::new(),
            standing: None,
            connection: None,
            resyncs: 0,
        }
    }

    /// Follows the changes until it is told to stop.
    pub(crate) fn follow(&mut self, stop: &AtomicBool) {
        while !stop.load(Ordering::Relaxed) {
            self.step();
        }
    }

    /// Follows the changes until it has caught up with a tree that doesn't change any more.
    pub(crate) fn catch_up(&mut self, wanted: &Tree) {
        let begun = Moment::now();
        while self.tree != *wanted || !self.tasks.is_empty() {
            if Moment::now().since(begun) > RECOVERY {
                let differs = compare("mirrors equal the tree", &self.name(), &self.tree, wanted);
                self.place.ledger.write(|books| books.wrong.extend(differs));
                return;
            }
            self.step();
        }
        self.sync();
        self.step();
        let differs = compare("mirrors equal the tree", &self.name(), &self.tree, wanted);
        self.place.ledger.write(|books| books.wrong.extend(differs));
    }

    pub(crate) fn end(&mut self) {
        self.watches.clear();
        self.standing = None;
        if let Some(connection) = self.connection.take() {
            connection.close();
        }
    }

    fn name(&self) -> String {
        format!("mirror {} ({:?}, {:?}, {} times begun anew)", self.number, self.kind, self.way, self.resyncs)
    }

    fn step(&mut self) {
        if self.connection.as_ref().is_some_and(Connection::is_over) {
            self.end();
        }
        if self.connection.is_none() {
            self.connection = Connection::open(&self.place, self.number, self.kind, self.timeout);
            self.begin_anew();
        }
        self.listen();
        while let Some(task) = self.tasks.pop_first() {
            let is_done = match &task {
                Task::All => self.read_all(),
                Task::Children(path) => self.read_children(path),
                Task::Data(path) => self.read_data(path),
            };
            if is_done != Some(true) {
                self.tasks.insert(task);
                break;
            }
        }
        thread::sleep(POLL);
    }

    fn begin_anew(&mut self) {
        self.resyncs += 1;
        self.watches.clear();
        self.tasks = [Task::All].into();
    }

    /// Takes up what the watches tell.
    fn listen(&mut self) {
        let mut is_over = false;
        let tasks = &mut self.tasks;
        self.watches.retain_mut(|(task, watch)| match watch.poll() {
            None => true,
            Some(Err(WatchEnded::SessionEnded | WatchEnded::DriverGone)) => false,
            Some(_) => {
                tasks.insert(task.clone());
                false
            }
        });
        while let Some(told) = self.standing.as_mut().and_then(Standing::poll) {
            match told {
                Ok(StandingEvent::Event(event)) => drop(tasks.insert(Task::Data(event.path.to_string()))),
                Ok(_) => drop(tasks.insert(Task::All)),
                Err(_) => {
                    is_over = true;
                    break;
                }
            }
        }
        if is_over {
            self.standing = None;
            self.begin_anew();
        }
    }

    /// Whether it was done; none if there is no session.
    fn read_all(&mut self) -> Option<bool> {
        if self.way == Way::Persistent && self.standing.is_none() {
            let standing = self.connection.as_ref()?.client.watch_recursively(MIRRORED);
            let Some(Ok(standing)) = standing else {
                return self.failed(standing.map(|standing| standing.err()));
            };
            self.standing = Some(standing);
        }
        self.tree = Tree::default();
        self.watches.clear();
        self.tasks = [MIRRORED].into_iter().flat_map(reading).collect();
        Some(true)
    }

    fn read_data(&mut self, path: &str) -> Option<bool> {
        match self.data(path)? {
            Some(Ok(response)) => {
                self.tree.znodes.insert(path.to_owned(), Znode::from(response));
                Some(true)
            }
            Some(Err(error)) if error.code() == Some(ErrorCode::NO_NODE) => {
                let gone = self.tree.below(path);
                self.tree.znodes.retain(|path, _| !gone.znodes.contains_key(path));
                Some(true)
            }
            other => self.failed(other.map(Result::err)),
        }
    }

    fn read_children(&mut self, path: &str) -> Option<bool> {
        let response = match self.children(path)? {
            Some(Ok(response)) => response,
            Some(Err(error)) if error.code() == Some(ErrorCode::NO_NODE) => return Some(true),
            other => return self.failed(other.map(Result::err)),
        };
        for name in response.children.iter_str() {
            let child = format!("{path}/{name}");
            if !self.tree.znodes.contains_key(&child) {
                self.tasks.extend(reading(&child));
            }
        }
        Some(true)
    }

    /// The answer, with a watch where that is the way; no answer within the time is a violation.
    fn data(&mut self, path: &str) -> Option<Option<Result<GetDataResponse, Error>>> {
        let client = &self.connection.as_ref()?.client;
        if self.way == Way::Persistent {
            return Some(client.data(path));
        }
        let Some(outcome) = client.data_and_watch(path) else { return Some(None) };
        Some(Some(outcome.map(|(response, watch)| {
            self.watches.push((Task::Data(path.to_owned()), watch));
            response
        })))
    }

    fn children(&mut self, path: &str) -> Option<Option<Result<GetChildren2Response, Error>>> {
        let client = &self.connection.as_ref()?.client;
        if self.way == Way::Persistent {
            return Some(client.children(path));
        }
        let Some(outcome) = client.children_and_watch(path) else { return Some(None) };
        Some(Some(outcome.map(|(response, watch)| {
            self.watches.push((Task::Children(path.to_owned()), watch));
            response
        })))
    }

    /// It is tried again; but no outcome at all is a violation.
    fn failed(&self, error: Option<Option<Error>>) -> Option<bool> {
        if error.is_none() {
            self.place.ledger.violated("every call has an outcome", self.name());
        }
        Some(false)
    }

    fn sync(&self) {
        let Some(connection) = &self.connection else { return };
        if connection.client.submit(Request::Sync(SyncRequest { path: "/".into() })).wait().is_none() {
            self.place.ledger.violated("every call has an outcome", self.name());
        }
    }
}

/// A znode that isn't known yet.
fn reading(path: &str) -> [Task; 2] {
    [Task::Data(path.to_owned()), Task::Children(path.to_owned())]
}

impl From<GetDataResponse> for Znode {
    fn from(response: GetDataResponse) -> Self {
        Self {
            data: response.data.unwrap_or_default(),
            czxid: response.stat.czxid.0,
            mzxid: response.stat.mzxid.0,
            version: response.stat.version,
            owner: response.stat.ephemeral_owner,
        }
    }
}

const POLL: Duration = Duration::from_millis(50);
