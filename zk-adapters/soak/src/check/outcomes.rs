//! Each outcome is true: `Ok` means exactly once, `Refused` and `NotSent` never, `MaybeApplied` at most once.

use std::collections::BTreeSet;

use zk_session::zk_proto::SessionId;

use super::{Index, key_of, violation};
use crate::history::token_of;
use crate::ledger::{Answer, Books, Change, Intent, Key, Operation, Outcome, Violation};
use crate::txn_log::{Applied, Body, Txn};

pub(super) fn check(books: &Books, index: &Index<'_>) -> Vec<Violation> {
    let mut violations: Vec<_> =
        books.operations.iter().filter_map(|operation| told_wrong(operation, index)).collect();
    violations.extend(unasked(books, index));
    violations
}

fn told_wrong(operation: &Operation, index: &Index<'_>) -> Option<Violation> {
    let broken = match (&operation.outcome, index.of(operation)) {
        (Outcome::Nothing, _) => Some((HANGS, "there was no outcome".to_owned())),
        (Outcome::Ok(answer), _) if operation.intent.key().is_none() => read_wrong(operation, answer, index),
        (Outcome::Ok(answer), [txn]) => done_wrong(operation, Some(answer), txn),
        (Outcome::Ok(_), txns) => Some((ONCE, format!("it was done {} times", txns.len()))),
        (Outcome::Refused(_) | Outcome::NotSent(_) | Outcome::MaybeApplied(_), []) => None,
        (Outcome::Refused(_), [txn, ..]) => Some((REFUSED, format!("it was done by {:#x}", txn.zxid))),
        (Outcome::NotSent(_), [txn, ..]) => Some((NOT_SENT, format!("it was done by {:#x}", txn.zxid))),
        (Outcome::MaybeApplied(_), [txn]) => done_wrong(operation, None, txn),
        (Outcome::MaybeApplied(_), txns) => Some((MAYBE, format!("it was done {} times", txns.len()))),
    };
    let broken = broken.or_else(|| late(operation));
    broken.map(|(rule, what)| violation(rule, operation.ended, format!("{operation}: {what}")))
}

/// It was done, but not so.
fn done_wrong(operation: &Operation, answer: Option<&Answer>, txn: &Txn) -> Option<(&'static str, String)> {
    if txn.session != operation.session {
        return Some((ONCE, format!("it was done for session {}", txn.session)));
    }
    if let Some(zxid) = answer.and_then(|answer| answer.zxid)
        && zxid != txn.zxid
    {
        return Some((AT_ZXID, format!("it was done by {:#x}", txn.zxid)));
    }
    let (Intent::Write(wanted), Body::Changes { changes, .. }) = (&operation.intent, &txn.body) else {
        return None;
    };
    let is_as_wanted = wanted.len() == changes.len()
        && wanted.iter().zip(changes).all(|(wanted, change)| is_as_wanted(wanted, change));
    if !is_as_wanted {
        return Some((AS_WANTED, format!("{:#x} did {changes:?}", txn.zxid)));
    }
    told_otherwise(answer?, changes, txn)
}

/// The answer names another path or version than the log.
fn told_otherwise(answer: &Answer, changes: &[Applied], txn: &Txn) -> Option<(&'static str, String)> {
    let created = changes.iter().find_map(|change| match change {
        Applied::Create { path, .. } => Some(path),
        Applied::Set { .. } | Applied::Delete { .. } | Applied::Check => None,
    });
    let version = changes.iter().rev().find_map(|change| match change {
        Applied::Set { version, .. } => Some(*version),
        Applied::Create { .. } | Applied::Delete { .. } | Applied::Check => None,
    });
    let is_told = answer.created.as_ref() == created && answer.version == version;
    (!is_told).then(|| (AS_WANTED, format!("{:#x} did {changes:?}", txn.zxid)))
}

fn is_as_wanted(wanted: &Change, change: &Applied) -> bool {
    match (wanted, change) {
        (
            Change::Create { path, token, is_ephemeral, is_sequential },
            Applied::Create { path: created, data, is_ephemeral: is_owned },
        ) => {
            let number = created.strip_prefix(path.as_str());
            let is_named = number
                .is_some_and(|number| if *is_sequential { number.len() == 10 } else { number.is_empty() });
            is_named && *token == token_of(data) && is_ephemeral == is_owned
        }
        (Change::Set { path, token, expected }, Applied::Set { path: set, data, version }) => {
            path == set
                && *token == token_of(data)
                && expected.is_none_or(|expected| expected + 1 == *version)
        }
        (Change::Delete { path }, Applied::Delete { path: deleted }) => path == deleted,
        (Change::Check { .. }, Applied::Check) => true,
        _ => false,
    }
}

/// What was read is what that transaction wrote.
fn read_wrong(operation: &Operation, answer: &Answer, index: &Index<'_>) -> Option<(&'static str, String)> {
    let (Intent::Read { path }, Some(read)) = (&operation.intent, &answer.read) else { return None };
    let wrote = |change: &Applied| match change {
        Applied::Create { path: written, data, .. } => {
            written == path && token_of(data) == read.token && read.version == 0
        }
        Applied::Set { path: written, data, version } => {
            written == path && token_of(data) == read.token && read.version == *version
        }
        Applied::Delete { .. } | Applied::Check => false,
    };
    let is_true = index.by_zxid.get(&read.mzxid).is_some_and(|txn| match &txn.body {
        Body::Changes { changes, .. } => changes.iter().any(wrote),
        Body::CreateSession | Body::CloseSession | Body::Error | Body::Other(_) => false,
    });
    (!is_true).then(|| (READ, format!("no transaction wrote {read:?}")))
}

fn late(operation: &Operation) -> Option<(&'static str, String)> {
    let took = operation.ended.since(operation.begun);
    let deadline = operation.deadline?;
    (took > deadline + PATIENCE)
        .then(|| (DEADLINE, format!("it took {took:?}, with a deadline of {deadline:?}")))
}

/// Changes for a session that no operation of it asked for.
fn unasked(books: &Books, index: &Index<'_>) -> Vec<Violation> {
    let asked: BTreeSet<(SessionId, Key)> = books
        .operations
        .iter()
        .filter_map(|operation| Some((operation.session, operation.intent.key()?)))
        .collect();
    let changes = index.by_zxid.values().filter(|txn| books.sessions.contains_key(&txn.session));
    let unasked = changes.filter(|txn| match (&txn.body, key_of(txn)) {
        (Body::Changes { .. }, Some(key)) => !asked.contains(&(txn.session, key)),
        (Body::Changes { .. }, None) => true,
        _ => false,
    });
    unasked
        .map(|txn| {
            violation(UNASKED, txn.at, format!("{:#x} did {:?} for {}", txn.zxid, txn.body, txn.session))
        })
        .collect()
}

const ONCE: &str = "Ok means exactly once";
const AT_ZXID: &str = "Ok names the transaction";
const AS_WANTED: &str = "what is done is what was asked for, and told";
const REFUSED: &str = "refused means never";
const NOT_SENT: &str = "NotSent means never";
const MAYBE: &str = "MaybeApplied means at most once";
const READ: &str = "what is read was written";
const UNASKED: &str = "nothing is done that nobody asked for";
const HANGS: &str = "every call has an outcome";
const DEADLINE: &str = "no call outlasts its deadline";
/// How long after its deadline a call may return on a busy machine.
const PATIENCE: core::time::Duration = core::time::Duration::from_secs(5);
