//! Mirrors keep up: when a sync was answered, all that the session had seen before is in the mirror.

use std::collections::BTreeMap;

use super::{Index, violation};
use crate::drawing::MIRRORED;
use crate::ledger::{Books, Checkpoint, Violation};
use crate::txn_log::{Applied, Body};

pub(super) fn check(books: &Books, index: &Index<'_>) -> Vec<Violation> {
    let changes = changes(index);
    books.checkpoints.iter().filter_map(|checkpoint| behind(checkpoint, &changes)).collect()
}

/// What became of a znode: at which transaction, and with which mzxid; none if it was deleted.
struct Become {
    zxid: i64,
    mzxid: Option<i64>,
}

/// All that became of each znode of the mirrored tree, in order.
fn changes<'a>(index: &Index<'a>) -> BTreeMap<&'a str, Vec<Become>> {
    let mut changes: BTreeMap<&str, Vec<Become>> = BTreeMap::new();
    for txn in index.by_zxid.values() {
        let Body::Changes { changes: applied, .. } = &txn.body else { continue };
        for change in applied {
            let (path, mzxid) = match change {
                Applied::Create { path, .. } | Applied::Set { path, .. } => (path, Some(txn.zxid)),
                Applied::Delete { path } => (path, None),
                Applied::Check => continue,
            };
            if path.starts_with(MIRRORED) {
                changes.entry(path).or_default().push(Become { zxid: txn.zxid, mzxid });
            }
        }
    }
    changes
}

fn behind(checkpoint: &Checkpoint, changes: &BTreeMap<&str, Vec<Become>>) -> Option<Violation> {
    let Checkpoint { client, at, from, to, znodes } = checkpoint;
    let unknown = znodes.keys().find(|path| !changes.contains_key(path.as_str())).map(String::as_str);
    let wrong = changes.iter().find(|(path, changes)| {
        let has = znodes.get(**path).copied();
        let later = changes.partition_point(|change| change.zxid <= *from);
        let before = later.checked_sub(1).and_then(|last| changes[last].mzxid);
        let mut meanwhile = changes[later..].iter().take_while(|change| change.zxid <= *to);
        before != has && !meanwhile.any(|change| change.mzxid == has)
    });
    let path = unknown.or(wrong.map(|(path, _)| *path))?;
    let has = znodes.get(path).map_or("nothing".to_owned(), |mzxid| format!("{mzxid:#x}"));
    let what = format!("mirror {client} has {has} of {path}, between {from:#x} and {to:#x}");
    Some(violation(KEEPS_UP, *at, what))
}

const KEEPS_UP: &str = "mirrors keep up";
