//! The order of a session's operations, told and done.

use std::collections::BTreeMap;

use zk_session::zk_proto::SessionId;

use super::{Index, violation};
use crate::ledger::{Books, Intent, Operation, Outcome, Violation, Why};

pub(super) fn check(books: &Books, index: &Index<'_>) -> Vec<Violation> {
    let mut sessions: BTreeMap<SessionId, Vec<&Operation>> = BTreeMap::new();
    for operation in &books.operations {
        sessions.entry(operation.session).or_default().push(operation);
    }
    let mut violations = Vec::new();
    for operations in sessions.values() {
        violations.extend(falling(operations));
        violations.extend(swapped(operations, index));
        violations.extend(overtaken(operations, index));
        violations.extend(reverted(operations));
    }
    violations
}

/// The zxids of a session's replies never fall.
fn falling(operations: &[&Operation]) -> Option<Violation> {
    let (mut seen, mut answered) = (0, 0);
    for operation in operations {
        let zxid = operation.outcome.answer().and_then(|answer| answer.zxid);
        if operation.last_zxid < seen
            || zxid.is_some_and(|zxid| zxid <= answered || zxid > operation.last_zxid)
        {
            let what = format!("{operation}: after {answered:#x}, and {seen:#x} had been seen");
            return Some(violation(FALLING, operation.ended, what));
        }
        seen = operation.last_zxid;
        answered = zxid.unwrap_or(answered);
    }
    None
}

/// Writes are done in the order in which they are submitted. One that was told as `MaybeApplied` may still be done later: a
/// server that was frozen does what is left in its sockets, although the session has moved on.
fn swapped(operations: &[&Operation], index: &Index<'_>) -> Option<Violation> {
    let (mut answered, mut before, mut batch) = (0, 0, 0);
    // What may be sent again is submitted again, in a sense.
    for operation in operations.iter().filter(|operation| !operation.retried) {
        if operation.batch != batch {
            (batch, before) = (operation.batch, answered);
        }
        let Some(txn) = index.of(operation).first() else { continue };
        if txn.zxid <= before {
            let what = format!("{operation}: done by {:#x}, after {before:#x}", txn.zxid);
            return Some(violation(SWAPPED, operation.ended, what));
        }
        before = txn.zxid;
        if operation.outcome.answer().is_some() {
            answered = txn.zxid;
        }
    }
    None
}

/// When a request ends unsent with its connection, nothing is done that was submitted behind it and before that was told.
/// Of one that was sent this can't be asked: a leader that was frozen can lose it, and do what came behind it on the same
/// connection.
fn overtaken(operations: &[&Operation], index: &Index<'_>) -> Vec<Violation> {
    let mut unsent: Option<&Operation> = None;
    let mut violations = Vec::new();
    for operation in operations.iter().filter(|operation| !operation.retried) {
        if let Some(unsent) = unsent.filter(|unsent| unsent.batch == operation.batch)
            && !index.of(operation).is_empty()
        {
            let what = format!("{operation} was done, although {unsent} was not sent");
            violations.push(violation(OVERTAKEN, operation.ended, what));
        }
        if operation.outcome == Outcome::NotSent(Why::ConnectionLoss) {
            unsent = Some(operation);
        }
    }
    violations
}

/// What a session has seen of a znode that is never deleted never goes back, on whatever server it is.
fn reverted(operations: &[&Operation]) -> Option<Violation> {
    let mut seen: BTreeMap<&str, i64> = BTreeMap::new();
    for operation in operations {
        let (Intent::Read { path }, Outcome::Ok(answer)) = (&operation.intent, &operation.outcome) else {
            continue;
        };
        let Some(read) = &answer.read else { continue };
        let before = seen.insert(path, read.mzxid).unwrap_or(0);
        if read.mzxid < before {
            let what = format!("{operation}: {before:#x} had been read");
            return Some(violation(REVERTED, operation.ended, what));
        }
    }
    None
}

const FALLING: &str = "the zxids of a session's replies never fall";
const SWAPPED: &str = "writes are done in the order of their submission";
const OVERTAKEN: &str = "nothing overtakes a request that ended unsent with its connection";
const REVERTED: &str = "what a session reads never goes back";
