//! A client that keeps a copy of a subtree, told of changes by watches.

use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use std::collections::BTreeSet;
use std::thread;

use zk_client::{StandingEvent, WatchEnded};
use zk_session::zk_proto::{GetChildren2Response, GetDataResponse};

use crate::client::{Client, Failed, Kind, Standing, Watch};
use crate::connection::{Connection, Place, RECOVERY};
use crate::drawing::MIRRORED;
use crate::history::{Tree, Znode, compare};
use crate::ledger::{Checkpoint, Moment};

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
    /// When it last tried to check in.
    checked: Moment,
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
            checked: Moment::now(),
        }
    }

    /// Follows the changes until it is told to stop.
    pub(crate) fn follow(&mut self, stop: &AtomicBool) {
        while !stop.load(Ordering::Relaxed) {
            self.step();
            if Moment::now().since(self.checked) > CHECK_INTERVAL {
                self.checked = Moment::now();
                let outcome = self.check_in();
                self.note(outcome);
            }
        }
    }

    /// Catches up with all that its session has seen, and writes down what it has then.
    fn check_in(&mut self) -> Result<(), Failed> {
        let connection = self.connection.as_ref().ok_or(Failed::NoSession)?;
        let (from, session) = (connection.client.last_zxid().0, connection.session);
        connection.client.sync()?;
        self.listen();
        self.read()?;
        let connection = self.connection.as_ref().filter(|connection| connection.session == session);
        let checkpoint = Checkpoint {
            client: self.number,
            at: Moment::now(),
            from,
            to: connection.ok_or(Failed::NoSession)?.client.last_zxid().0,
            znodes: self.tree.znodes.iter().map(|(path, znode)| (path.clone(), znode.mzxid)).collect(),
        };
        self.place.ledger.write(|books| books.checkpoints.push(checkpoint));
        Ok(())
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
        let outcome = self.check_in();
        self.note(outcome);
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
        let outcome = self.read();
        self.note(outcome);
        thread::sleep(POLL);
    }

    /// What fails is tried again; but no outcome at all is a violation.
    fn note(&self, outcome: Result<(), Failed>) {
        if let Err(Failed::Hangs) = outcome {
            self.place.ledger.violated("every call has an outcome", self.name());
        }
    }

    /// Reads what is to be read.
    fn read(&mut self) -> Result<(), Failed> {
        while let Some(task) = self.tasks.pop_first() {
            let outcome = match &task {
                Task::All => self.read_all(),
                Task::Children(path) => self.read_children(path),
                Task::Data(path) => self.read_data(path),
            };
            if outcome.is_err() {
                self.tasks.insert(task);
                return outcome;
            }
        }
        Ok(())
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

    fn read_all(&mut self) -> Result<(), Failed> {
        if self.way == Way::Persistent && self.standing.is_none() {
            self.standing = Some(self.client()?.watch_recursively(MIRRORED)?);
        }
        self.tree = Tree::default();
        self.watches.clear();
        self.tasks = reading(MIRRORED).into();
        Ok(())
    }

    fn read_data(&mut self, path: &str) -> Result<(), Failed> {
        match self.data(path) {
            Err(failed) if failed.is_no_node() => {
                let gone = self.tree.below(path);
                self.tree.znodes.retain(|path, _| !gone.znodes.contains_key(path));
            }
            outcome => drop(self.tree.znodes.insert(path.to_owned(), Znode::from(outcome?))),
        }
        Ok(())
    }

    fn read_children(&mut self, path: &str) -> Result<(), Failed> {
        let response = match self.children(path) {
            Err(failed) if failed.is_no_node() => return Ok(()),
            outcome => outcome?,
        };
        for name in response.children.iter_str() {
            let child = format!("{path}/{name}");
            if !self.tree.znodes.contains_key(&child) {
                self.tasks.extend(reading(&child));
            }
        }
        Ok(())
    }

    /// The data, with a watch where that is the way.
    fn data(&mut self, path: &str) -> Result<GetDataResponse, Failed> {
        if self.way == Way::Persistent {
            return self.client()?.data(path);
        }
        let (response, watch) = self.client()?.data_and_watch(path)?;
        self.watches.push((Task::Data(path.to_owned()), watch));
        Ok(response)
    }

    fn children(&mut self, path: &str) -> Result<GetChildren2Response, Failed> {
        if self.way == Way::Persistent {
            return self.client()?.children(path);
        }
        let (response, watch) = self.client()?.children_and_watch(path)?;
        self.watches.push((Task::Children(path.to_owned()), watch));
        Ok(response)
    }

    fn client(&self) -> Result<&Client, Failed> {
        Ok(&self.connection.as_ref().ok_or(Failed::NoSession)?.client)
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

const CHECK_INTERVAL: Duration = Duration::from_secs(2);
const POLL: Duration = Duration::from_millis(50);
