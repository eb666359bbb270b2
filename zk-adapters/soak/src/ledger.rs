//! What the clients were told: every operation with its outcome, and every session's story.

use core::{fmt, time::Duration};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use zk_session::zk_proto::SessionId;

use crate::history::Tree;

/// A moment: milliseconds since the Unix epoch, by the clock that the servers' logs have, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Moment(pub(crate) i64);

impl Moment {
    pub(crate) fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    pub(crate) fn minus(self, duration: Duration) -> Self {
        Self(self.0 - millis(duration))
    }

    /// How long ago an earlier moment was; nothing if it was later.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0 - earlier.0).unwrap_or(0))
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 4)
}

/// One request of a client's.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    /// Which client.
    pub(crate) client: usize,
    pub(crate) session: SessionId,
    /// Operations of one batch are all submitted before the first of them is waited for.
    pub(crate) batch: u64,
    pub(crate) begun: Moment,
    pub(crate) ended: Moment,
    pub(crate) deadline: Option<Duration>,
    /// It was submitted with a policy that may send it again.
    pub(crate) retried: bool,
    pub(crate) intent: Intent,
    pub(crate) outcome: Outcome,
    /// The session's latest zxid when the outcome was there.
    pub(crate) last_zxid: i64,
}

/// What an operation is to do.
#[derive(Clone, Debug)]
pub(crate) enum Intent {
    /// Changes, all or none.
    Write(Vec<Change>),
    /// A znode's data.
    Read { path: String },
    /// The server catches up.
    Sync,
}

/// A change of the tree. Tokens are unique among all changes of a run, but those of one multi share theirs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Create {
        /// Of a sequential znode, what its number follows.
        path: String,
        token: String,
        is_ephemeral: bool,
        is_sequential: bool,
    },
    Set {
        path: String,
        token: String,
        /// The version that it must have; none for any.
        expected: Option<i32>,
    },
    Delete {
        path: String,
    },
    /// Nothing is changed, but the version must be this one.
    Check {
        path: String,
        version: i32,
    },
}

impl Intent {
    /// What the operation is found by in the logs.
    pub(crate) fn key(&self) -> Option<Key> {
        let Self::Write(changes) = self else { return None };
        let tokens = changes.iter().find_map(|change| match change {
            Change::Create { token, .. } | Change::Set { token, .. } => Some(Key::Token(token.clone())),
            Change::Delete { .. } | Change::Check { .. } => None,
        });
        tokens.or_else(|| match changes.as_slice() {
            [Change::Delete { path }] => Some(Key::Deleted(path.clone())),
            _ => None,
        })
    }
}

/// What a write is found by in the logs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Key {
    Token(String),
    /// A znode that only one operation ever deletes without a token.
    Deleted(String),
}

/// What the client was told of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Ok(Answer),
    Refused(i32),
    NotSent(Why),
    MaybeApplied(Why),
    /// Nothing, in all that time.
    Nothing,
}

/// Why there was no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    ConnectionLoss,
    Other(String),
}

/// What an answer told.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct Answer {
    /// The transaction that did it, where the answer names one.
    pub(crate) zxid: Option<i64>,
    /// The first path that was created.
    pub(crate) created: Option<String>,
    /// The version that was set last.
    pub(crate) version: Option<i32>,
    /// What was read: who wrote it, when, and which version it is.
    pub(crate) read: Option<Read>,
}

/// A znode as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Read {
    pub(crate) token: String,
    pub(crate) mzxid: i64,
    pub(crate) version: i32,
}

impl Outcome {
    /// The answer, if there was one.
    pub(crate) fn answer(&self) -> Option<&Answer> {
        match self {
            Self::Ok(answer) => Some(answer),
            Self::Refused(_) | Self::NotSent(_) | Self::MaybeApplied(_) | Self::Nothing => None,
        }
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Ok(_) => "Ok",
            Self::Refused(_) => "Refused",
            Self::NotSent(_) => "NotSent",
            Self::MaybeApplied(_) => "MaybeApplied",
            Self::Nothing => "nothing",
        }
    }
}

/// A session as its client knows it.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) client: usize,
    pub(crate) id: SessionId,
    pub(crate) timeout: Duration,
    pub(crate) opened: Moment,
    /// When its requests flowed, from and to, and through which server's relay.
    pub(crate) ready: Vec<Ready>,
    /// When the client was held up itself.
    pub(crate) late: Vec<Span>,
    /// When the client asked for its end.
    pub(crate) closing: Option<Moment>,
    pub(crate) end: Option<(Moment, End)>,
    pub(crate) may_be_expired: usize,
    pub(crate) connections: u64,
}

impl Session {
    /// One of which nothing was told yet.
    pub(crate) fn new(client: usize, id: SessionId, timeout: Duration, opened: Moment) -> Self {
        Self {
            client,
            id,
            timeout,
            opened,
            ready: Vec::new(),
            late: Vec::new(),
            closing: None,
            end: None,
            may_be_expired: 0,
            connections: 0,
        }
    }
}

/// A stretch of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) from: Moment,
    pub(crate) to: Moment,
}

/// A stretch of time in which requests flowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ready {
    pub(crate) span: Span,
    pub(crate) server: usize,
}

/// How a session ended, as the client was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Expired,
    Closed { confirmed: bool },
    Other,
}

/// What a mirror had when it had caught up with a moment.
#[derive(Clone, Debug)]
pub(crate) struct Checkpoint {
    pub(crate) client: usize,
    pub(crate) at: Moment,
    /// What its session had seen before a sync that was answered; it has all changes up to there.
    pub(crate) from: i64,
    /// What its session has seen by the end; it may have changes up to there.
    pub(crate) to: i64,
    /// The mzxid of each znode.
    pub(crate) znodes: BTreeMap<String, i64>,
}

/// One fault.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    pub(crate) name: &'static str,
    /// Until all was as before.
    pub(crate) span: Span,
    pub(crate) whom: Whom,
}

/// Whose sessions a fault can disturb.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whom {
    /// Those on this server.
    Server(usize),
    All,
}

/// All that was told, filled by many threads.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    books: Mutex<Books>,
}

/// What a [`Ledger`] holds.
#[derive(Debug, Default)]
pub(crate) struct Books {
    pub(crate) operations: Vec<Operation>,
    pub(crate) sessions: BTreeMap<SessionId, Session>,
    pub(crate) checkpoints: Vec<Checkpoint>,
    pub(crate) faults: Vec<Fault>,
    /// When the ensemble didn't come back by itself after a fault, and was restarted.
    pub(crate) stuck: Vec<String>,
    /// What happened, for those who want to know why.
    pub(crate) story: Vec<Line>,
    /// What was wrong already while it ran.
    pub(crate) wrong: Vec<Violation>,
}

/// A line of the story.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) at: Moment,
    pub(crate) text: String,
}

impl Books {
    /// Ephemeral znodes whose session was told as over, or of which nobody was told.
    pub(crate) fn left_behind(&self, tree: &Tree) -> Vec<String> {
        let lives = |owner| self.sessions.get(&owner).is_some_and(|session| session.end.is_none());
        let ephemeral = tree.znodes.iter().filter(|(_, znode)| znode.owner != SessionId(0));
        let left = ephemeral.filter(|(_, znode)| !lives(znode.owner));
        left.map(|(path, znode)| format!("{path}: {znode}")).collect()
    }
}

impl Ledger {
    pub(crate) fn write<R>(&self, change: impl FnOnce(&mut Books) -> R) -> R {
        change(&mut self.books.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn tell(&self, text: impl Into<String>) {
        let line = Line { at: Moment::now(), text: text.into() };
        self.write(|books| books.story.push(line));
    }

    pub(crate) fn violated(&self, rule: &'static str, what: impl Into<String>) {
        let violation = Violation { rule, at: Moment::now(), what: what.into() };
        self.write(|books| books.wrong.push(violation));
    }

    pub(crate) fn into_books(self) -> Books {
        self.books.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A rule that was broken.
#[derive(Clone, Debug)]
pub(crate) struct Violation {
    pub(crate) rule: &'static str,
    pub(crate) at: Moment,
    pub(crate) what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VIOLATED: {}: {}", self.rule, self.what)
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { client, session, batch, begun, ended, intent, outcome, .. } = self;
        let (begun, ended) = (begun.0, ended.0);
        write!(
            f,
            "client {client}, session {session}, batch {batch}, {begun} to {ended}: {intent:?}: {outcome:?}"
        )
    }
}

impl fmt::Display for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "client {}, session {} of {:?}", self.client, self.id, self.timeout)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Znode;

    #[test]
    fn ephemeral_znodes_are_left_behind_unless_their_session_lives() {
        let mut books = Books::default();
        for (id, end) in [(5, None), (6, Some((Moment(1), End::Expired)))] {
            let session = Session::new(0, SessionId(id), Duration::from_secs(3), Moment(0));
            books.sessions.insert(SessionId(id), Session { end, ..session });
        }
        let mut tree = Tree::default();
        for owner in [0, 5, 6, 7] {
            let owner = SessionId(owner);
            let znode = Znode { data: "x".into(), czxid: 1, mzxid: 1, version: 0, owner };
            tree.znodes.insert(format!("/{owner}"), znode);
        }
        let left = books.left_behind(&tree);
        assert_eq!(left.len(), 2, "{left:?}");
        assert!(left[0].starts_with("/0x6: ") && left[1].starts_with("/0x7: "), "{left:?}");
    }
}
