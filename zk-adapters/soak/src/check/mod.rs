//! The rules: what the clients were told, against what the ensemble did.

mod mirrors;
mod order;
mod outcomes;
mod sessions;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use zk_session::zk_proto::SessionId;

use crate::history::{History, token_of};
use crate::ledger::{Books, Key, Moment, Operation, Violation};
use crate::txn_log::{Applied, Body, Txn};

/// Every rule that was broken, in order of time.
pub(crate) fn check(books: &Books, history: &History) -> Vec<Violation> {
    let index = Index::new(history);
    let mut violations = books.wrong.clone();
    violations.extend(history.gaps());
    violations.extend(outcomes::check(books, &index));
    violations.extend(order::check(books, &index));
    violations.extend(sessions::check(books, &index));
    violations.extend(mirrors::check(books, &index));
    violations.sort_by_key(|violation| violation.at);
    violations
}

/// The history, to look things up in.
struct Index<'a> {
    history: &'a History,
    writes: BTreeMap<Key, Vec<&'a Txn>>,
    by_zxid: BTreeMap<i64, &'a Txn>,
    /// When each session ended.
    closed: BTreeMap<SessionId, &'a Txn>,
}

impl<'a> Index<'a> {
    fn new(history: &'a History) -> Self {
        let mut index =
            Self { history, writes: BTreeMap::new(), by_zxid: BTreeMap::new(), closed: BTreeMap::new() };
        for txn in &history.txns {
            index.by_zxid.insert(txn.zxid, txn);
            if txn.body == Body::CloseSession {
                index.closed.entry(txn.session).or_insert(txn);
            }
            if let Some(key) = key_of(txn) {
                index.writes.entry(key).or_default().push(txn);
            }
        }
        index
    }

    /// The transactions of an operation.
    fn of(&self, operation: &Operation) -> &[&'a Txn] {
        operation.intent.key().and_then(|key| self.writes.get(&key)).map_or(&[], Vec::as_slice)
    }
}

/// What a transaction's operation is found by.
fn key_of(txn: &Txn) -> Option<Key> {
    let Body::Changes { changes, .. } = &txn.body else { return None };
    let token = changes.iter().find_map(|change| match change {
        Applied::Create { data, .. } | Applied::Set { data, .. } => Some(Key::Token(token_of(data))),
        Applied::Delete { .. } | Applied::Check => None,
    });
    token.or_else(|| match changes.as_slice() {
        [Applied::Delete { path }] => Some(Key::Deleted(path.clone())),
        _ => None,
    })
}

fn violation(rule: &'static str, at: Moment, what: String) -> Violation {
    Violation { rule, at, what }
}
