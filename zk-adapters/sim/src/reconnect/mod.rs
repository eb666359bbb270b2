//! Whether a client reconnects as it should, whatever it is written in: servers to point it at, faults, and a verdict
//! for each rule.
//!
//! [`Check`] serves a simulated ensemble, and looks at every byte between it and one client. The client has a session
//! on it, has read `/check` with a watch, and is left alone; the check does the rest, in about six session timeouts.
//! `cargo run -p zk-sim --bin reconnect-check` is the same as a program.

mod course;
mod journal;
mod rules;
mod tap;
mod writer;

use core::{fmt, net::SocketAddr, time::Duration};
use std::{io, sync::Arc};

use zk_session::zk_proto::{CreateMode, OPEN_ACL_UNSAFE, Request};

use crate::{
    ensemble::{Options, Version},
    reconnect::{course::Course, journal::Journal, tap::Taps},
    serve::Served,
};

pub use rules::Rule;

/// Simulated servers that try out how a client reconnects.
#[derive(Debug)]
pub struct Check {
    served: Served,
    taps: Taps,
    journal: Arc<Journal>,
}

/// What is to be said of one rule.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verdict {
    /// The rule.
    pub rule: Rule,
    /// Whether the client keeps it.
    pub outcome: Outcome,
    /// What was seen.
    pub seen: String,
}

/// Whether a client keeps a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// It does.
    Passed,
    /// It doesn't.
    Failed,
    /// It wasn't put to the test: what the rule is about didn't happen.
    NotSeen,
}

/// No client came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no client had a session within {patience:?}")]
pub struct NoClient {
    /// How long it was waited for.
    pub patience: Duration,
}

impl Check {
    /// Serves three servers that behave like this version, on this port of 127.0.0.1 and the two that follow it; with
    /// port 0, on any free ports. Session timeouts are granted up to 6 s.
    ///
    /// # Errors
    /// Those of listening, and of starting threads.
    pub fn start(version: Version, port: u16) -> io::Result<Self> {
        let options = Options {
            servers: 3,
            version,
            tick: LONGEST_TIMEOUT / 20,
            sync_limit: Duration::from_secs(2),
            ..Options::default()
        };
        let served = Served::start(options)?;
        let targets: Vec<_> = (0..served.len()).map(|server| served.address(server)).collect();
        let journal = Arc::new(Journal::new());
        let taps = Taps::start(&targets, port, Arc::clone(&journal))?;
        let create = Request::create(WATCHED, None, OPEN_ACL_UNSAFE, CreateMode::Persistent);
        writer::write(served.address(0), &create)?;
        Ok(Self { served, taps, journal })
    }

    /// Where the client is to connect to.
    pub fn connect_string(&self) -> String {
        self.taps.addresses().iter().map(SocketAddr::to_string).collect::<Vec<_>>().join(",")
    }

    /// Waits for a session and its watch on `/check`, lets the faults happen, and judges. What goes on meanwhile is
    /// told line by line.
    ///
    /// # Errors
    /// [`NoClient`] if none has a session in time. One that has no watch by then is judged without it.
    pub fn run(self, patience: Duration, tell: impl FnMut(&str)) -> Result<Vec<Verdict>, NoClient> {
        let Self { served, taps, journal } = &self;
        let mut course = Course::new(served, taps, journal, tell);
        let facts = course.run(patience).ok_or(NoClient { patience })?;
        Ok(rules::judge(&facts, &journal.entries()))
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let outcome = match self.outcome {
            Outcome::Passed => "passed",
            Outcome::Failed => "FAILED",
            Outcome::NotSeen => "not seen",
        };
        write!(f, "{outcome:<8}  {}: {}", self.rule, self.seen)
    }
}

/// The znode to be watched.
const WATCHED: &str = "/check";
const LONGEST_TIMEOUT: Duration = Duration::from_secs(6);
