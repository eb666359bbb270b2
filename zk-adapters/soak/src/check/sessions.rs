//! Sessions end where the servers end them, and nowhere else.

use core::time::Duration;

use super::{Index, violation};
use crate::ledger::{Books, End, Fault, Outcome, Session, Span, Violation, Whom};
use crate::txn_log::{Body, Txn};

pub(super) fn check(books: &Books, index: &Index<'_>) -> Vec<Violation> {
    let mut violations = Vec::new();
    for session in books.sessions.values() {
        let closed = index.closed.get(&session.id).copied();
        violations.extend(ended_wrong(session, closed, index.history.refused.contains(&session.id)));
        violations.extend(closed.and_then(|txn| expired_early(session, txn, &books.faults)));
    }
    violations.extend(outlived(books, index));
    violations
}

fn ended_wrong(session: &Session, closed: Option<&Txn>, is_refused: bool) -> Option<Violation> {
    let (at, end) = session.end.unwrap_or((session.opened, End::Other));
    let is_expired = |txn: &Txn| session.closing.is_none_or(|closing| txn.at < closing);
    let broken = match (end, closed) {
        (End::Expired, _) if !is_refused => {
            Some((EXPIRED, "told as expired, and no server refused to resume it".to_owned()))
        }
        (End::Closed { confirmed: true }, None) => {
            Some((CLOSED, "told as closed, and no server closed it".to_owned()))
        }
        (End::Closed { .. } | End::Other, Some(txn)) if is_expired(txn) => {
            Some((UNTOLD, format!("the servers closed it by {:#x}, and it was told as {end:?}", txn.zxid)))
        }
        (End::Other, _) => Some((UNTOLD, "its end wasn't told".to_owned())),
        (End::Expired | End::Closed { .. }, _) => None,
    };
    broken.map(|(rule, what)| violation(rule, at, format!("{session}: {what}")))
}

/// The servers expired it, although it was heard within its timeout.
fn expired_early(session: &Session, closed: &Txn, faults: &[Fault]) -> Option<Violation> {
    if session.closing.is_some_and(|closing| closed.at >= closing) {
        return None;
    }
    let window = Span { from: closed.at.minus(session.timeout), to: closed.at };
    let calm = longest_calm(session, window, faults);
    let most = session.timeout / 3 + MARGIN;
    let what = format!(
        "{session}: closed by {:#x} at {}, after {calm:?} of calm within its timeout",
        closed.zxid, closed.at.0
    );
    (calm > most).then(|| violation(EARLY, closed.at, what))
}

/// The longest stretch in which requests flowed, and nothing disturbed the server that they went to.
fn longest_calm(session: &Session, window: Span, faults: &[Fault]) -> Duration {
    let mut calm = Vec::new();
    for ready in &session.ready {
        let disturbs = |whom: Whom| whom == Whom::All || whom == Whom::Server(ready.server);
        let faults = faults.iter().filter(|fault| disturbs(fault.whom)).map(|fault| fault.span);
        let disturbed: Vec<Span> = faults.chain(session.late.iter().copied()).collect();
        calm.extend(without(intersection(ready.span, window), &disturbed));
    }
    calm.iter().map(|span| span.to.since(span.from)).max().unwrap_or_default()
}

fn intersection(one: Span, other: Span) -> Span {
    Span { from: one.from.max(other.from), to: one.to.min(other.to) }
}

/// What is left of a stretch of time without others.
fn without(whole: Span, others: &[Span]) -> Vec<Span> {
    let mut left = vec![whole];
    for other in others {
        let split = |span: Span| {
            let overlap = intersection(span, *other);
            if overlap.from >= overlap.to {
                return vec![span];
            }
            vec![Span { to: overlap.from, ..span }, Span { from: overlap.to, ..span }]
        };
        left = left.into_iter().flat_map(split).collect();
    }
    left
}

/// Nothing is done for a session that has ended.
fn outlived(books: &Books, index: &Index<'_>) -> Vec<Violation> {
    let changes = index.by_zxid.values().filter(|txn| matches!(txn.body, Body::Changes { .. }));
    let late =
        changes.filter(|txn| index.closed.get(&txn.session).is_some_and(|closed| closed.zxid < txn.zxid));
    let mut violations: Vec<_> = late
        .map(|txn| violation(OUTLIVED, txn.at, format!("{:#x} was done for {}", txn.zxid, txn.session)))
        .collect();
    for operation in &books.operations {
        let Outcome::Ok(answer) = &operation.outcome else { continue };
        let closed = index.closed.get(&operation.session).map(|txn| txn.zxid);
        if let (Some(zxid), Some(closed)) = (answer.zxid, closed)
            && zxid > closed
        {
            let what = format!("{operation}: the session was closed by {closed:#x}");
            violations.push(violation(OUTLIVED, operation.ended, what));
        }
    }
    violations
}

const EXPIRED: &str = "Expired is told only where a server says so";
const CLOSED: &str = "a confirmed close is one";
const UNTOLD: &str = "the end of every session is told";
const EARLY: &str = "a session that is heard within its timeout survives";
const OUTLIVED: &str = "nothing is done for a session that has ended";
/// How long what was heard of a session may take to its leader, beyond the interval of its pings.
const MARGIN: Duration = Duration::from_millis(1500);
