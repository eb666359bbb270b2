//! What is told at the end.

use core::fmt::Display;
use core::time::Duration;
use std::collections::BTreeMap;

use crate::history::History;
use crate::ledger::{Books, End, Intent, Line, Moment, Outcome, Violation, Why};
use crate::txn_log::Body;

/// What happened, in numbers.
pub(crate) fn print(books: &Books, history: &History) {
    println!("operations: {}", books.operations.len());
    print_counts(books.operations.iter().map(|operation| match &operation.outcome {
        Outcome::Refused(code) => format!("Refused: {code}"),
        Outcome::NotSent(why) | Outcome::MaybeApplied(why) => {
            let why = match why {
                Why::ConnectionLoss => "the connection was lost",
                Why::Other(why) => why,
            };
            format!("{}: {why}", operation.outcome.name())
        }
        Outcome::Ok(_) | Outcome::Nothing => operation.outcome.name().to_owned(),
    }));
    println!("of these:");
    print_counts(books.operations.iter().map(|operation| match &operation.intent {
        Intent::Write(changes) if changes.len() > 1 => "multi",
        Intent::Write(_) => "single write",
        Intent::Read { .. } => "read",
        Intent::Sync => "sync",
    }));
    println!("mirrors compared with the history: {} times", books.checkpoints.len());
    println!("faults: {}", books.faults.len());
    print_counts(books.faults.iter().map(|fault| fault.name));
    println!("the ensemble didn't come back by itself, and was restarted: {} times", books.stuck.len());
    books.stuck.iter().for_each(|stuck| println!("{stuck}"));
    print_sessions(books, history);
    let unbounded = books.operations.iter().filter(|operation| operation.deadline.is_none());
    let longest = unbounded.map(|operation| operation.ended.since(operation.begun)).max();
    println!("the longest wait for an outcome without a deadline: {:?}", longest.unwrap_or_default());
    println!("transactions: {}, and {} leftovers of fallen leaders", history.txns.len(), history.leftovers);
}

fn print_sessions(books: &Books, history: &History) {
    println!("sessions: {}", books.sessions.len());
    print_counts(books.sessions.values().map(|session| match session.end {
        Some((_, End::Expired)) => "expired",
        Some((_, End::Closed { confirmed: true })) => "closed",
        Some((_, End::Closed { confirmed: false })) => "closed, unconfirmed",
        Some((_, End::Other)) | None => "other",
    }));
    let connections: u64 = books.sessions.values().map(|session| session.connections).sum();
    let may_be_expired: usize = books.sessions.values().map(|session| session.may_be_expired).sum();
    let late: usize = books.sessions.values().map(|session| session.late.len()).sum();
    println!("expired for a server that had fallen behind: {}", expired_by_one(books, history));
    println!("reconnects: {}", connections.saturating_sub(books.sessions.len() as u64));
    println!("MayBeExpired: {may_be_expired}; Late: {late}");
}

/// How many sessions a server refused before the ensemble had closed them.
fn expired_by_one(books: &Books, history: &History) -> usize {
    let closed: BTreeMap<_, _> = history
        .txns
        .iter()
        .filter(|txn| txn.body == Body::CloseSession)
        .map(|txn| (txn.session, txn.at))
        .collect();
    let expired = books.sessions.values().filter_map(|session| match session.end {
        Some((at, End::Expired)) => Some((session.id, at)),
        _ => None,
    });
    expired.filter(|(session, at)| closed.get(session).is_none_or(|closed| closed > at)).count()
}

fn print_counts(names: impl Iterator<Item = impl Display>) {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    names.for_each(|name| *counts.entry(name.to_string()).or_default() += 1);
    counts.iter().for_each(|(name, count)| println!("{count:>9} {name}"));
}

/// Each rule that was broken, and what came before.
pub(crate) fn print_violations(books: &Books, violations: &[Violation], seed: u64) {
    for violation in violations.iter().take(MOST_TOLD) {
        println!("\n{violation}\nbefore that:");
        story(&books.story, violation.at).for_each(|line| println!("{:>15} {}", line.at.0, line.text));
    }
    match violations.len() {
        0 => println!("no rule was broken"),
        count => println!("\nseed {seed}: rules were broken {count} times"),
    }
}

/// What came last, and what is wrong already.
pub(crate) fn print_end(books: &Books) {
    let begin = books.story.len().saturating_sub(LAST_LINES);
    books.story[begin..].iter().for_each(|line| println!("{:>15} {}", line.at.0, line.text));
    books.wrong.iter().for_each(|violation| println!("{violation}"));
}

/// The last seconds before a moment.
fn story(lines: &[Line], end: Moment) -> impl Iterator<Item = &Line> {
    let begin = end.minus(STORY);
    lines.iter().filter(move |line| begin <= line.at && line.at <= end)
}

const STORY: Duration = Duration::from_secs(20);
const LAST_LINES: usize = 200;
const MOST_TOLD: usize = 10;
