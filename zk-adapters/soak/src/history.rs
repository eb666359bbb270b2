//! What the ensemble did: the committed transactions, and the tree that they make.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use zk_session::zk_proto::SessionId;

use crate::ledger::{Moment, Violation};
use crate::txn_log::{Applied, Body, Txn};

/// The committed transactions, by zxid.
#[derive(Debug, Default)]
pub(crate) struct History {
    pub(crate) txns: Vec<Txn>,
    /// Entries that no majority of the servers has: leftovers of leaders that fell.
    pub(crate) leftovers: usize,
    /// The sessions that a server refused to resume. A leader that was frozen and has lost its followers does so, before it
    /// finds out, where the ensemble hasn't expired the session, or not yet.
    pub(crate) refused: BTreeSet<SessionId>,
}

impl History {
    /// What a majority of the servers' logs has.
    pub(crate) fn merged(logs: &[Vec<Txn>]) -> Self {
        let mut holders: BTreeMap<i64, Vec<(&Txn, usize)>> = BTreeMap::new();
        for txn in logs.iter().flatten() {
            let variants = holders.entry(txn.zxid).or_default();
            match variants.iter_mut().find(|(variant, _)| *variant == txn) {
                Some((_, count)) => *count += 1,
                None => variants.push((txn, 1)),
            }
        }
        let mut history = Self::default();
        for variants in holders.values() {
            let committed = variants.iter().find(|(_, count)| *count * 2 > logs.len());
            history.txns.extend(committed.map(|(txn, _)| (*txn).clone()));
            history.leftovers += variants.len() - usize::from(committed.is_some());
        }
        history
    }

    /// Adds the sessions that a server says in its log that it refused.
    pub(crate) fn add_refused(&mut self, log: &str) {
        let ids = log.split(REFUSED).skip(1).filter_map(|rest| {
            let digits = rest.split(|c: char| !c.is_ascii_hexdigit()).next()?;
            u64::from_str_radix(digits, 16).ok()
        });
        self.refused.extend(ids.map(|id| SessionId(id.cast_signed())));
    }

    /// Within an epoch each transaction has the next number, from 1 on: what isn't so is missing in the logs.
    pub(crate) fn gaps(&self) -> Vec<Violation> {
        let mut before = 0;
        let mut gaps = Vec::new();
        for txn in &self.txns {
            let is_next = txn.zxid == before + 1;
            let is_first = txn.zxid >> 32 > before >> 32 && txn.zxid & 0xffff_ffff == 1;
            if !is_next && !is_first {
                let what = format!("{:#x} follows {before:#x} in the servers' logs", txn.zxid);
                gaps.push(Violation { rule: "the logs are complete", at: txn.at, what });
            }
            before = txn.zxid;
        }
        gaps
    }

    /// The tree that the transactions make, below a path.
    pub(crate) fn tree(&self, root: &str) -> Tree {
        let mut tree = Tree::default();
        for txn in &self.txns {
            tree.apply(txn);
        }
        tree.below(root)
    }
}

/// Znodes by path.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct Tree {
    pub(crate) znodes: BTreeMap<String, Znode>,
}

/// A znode, as far as clients are told of it and the logs have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Znode {
    pub(crate) data: Bytes,
    pub(crate) czxid: i64,
    pub(crate) mzxid: i64,
    pub(crate) version: i32,
    /// 0 if it isn't ephemeral.
    pub(crate) owner: SessionId,
}

impl Tree {
    fn apply(&mut self, txn: &Txn) {
        match &txn.body {
            Body::CloseSession => self.znodes.retain(|_, znode| znode.owner != txn.session),
            Body::Changes { changes, .. } => {
                changes.iter().for_each(|change| self.change(txn, change));
            }
            Body::CreateSession | Body::Error | Body::Other(_) => {}
        }
    }

    fn change(&mut self, txn: &Txn, change: &Applied) {
        match change {
            Applied::Create { path, data, is_ephemeral } => {
                let owner = if *is_ephemeral { txn.session } else { SessionId(0) };
                let znode = Znode { data: data.clone(), czxid: txn.zxid, mzxid: txn.zxid, version: 0, owner };
                self.znodes.insert(path.clone(), znode);
            }
            Applied::Set { path, data, version } => {
                if let Some(znode) = self.znodes.get_mut(path) {
                    (znode.data, znode.mzxid, znode.version) = (data.clone(), txn.zxid, *version);
                }
            }
            Applied::Delete { path } => drop(self.znodes.remove(path)),
            Applied::Check => {}
        }
    }

    /// The part of it below a path, that path included.
    pub(crate) fn below(&self, root: &str) -> Self {
        let is_below =
            |path: &str| path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        let znodes = self.znodes.iter().filter(|(path, _)| is_below(path));
        Self { znodes: znodes.map(|(path, znode)| (path.clone(), znode.clone())).collect() }
    }

    /// Where two trees differ, at most so many places.
    pub(crate) fn differences(&self, other: &Self, most: usize) -> Vec<String> {
        let missing = other.znodes.keys().filter(|path| !self.znodes.contains_key(*path));
        let missing = missing.map(|path| format!("{path} is missing"));
        let own = self.znodes.iter().filter_map(|(path, znode)| match other.znodes.get(path) {
            None => Some(format!("{path} is there (created by {:#x})", znode.czxid)),
            Some(wanted) if wanted != znode => Some(format!("{path} is {znode} instead of {wanted}")),
            Some(_) => None,
        });
        missing.chain(own).take(most).collect()
    }
}

impl core::fmt::Display for Znode {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Self { data, czxid, mzxid, version, owner } = self;
        let token = token_of(data);
        write!(f, "{token:?} (czxid {czxid:#x}, mzxid {mzxid:#x}, version {version}, owner {owner})")
    }
}

/// Who wrote these data: what they begin with.
pub(crate) fn token_of(data: &[u8]) -> String {
    let token = data.split(|byte| *byte == FILLER).next().unwrap_or_default();
    String::from_utf8_lossy(token).into_owned()
}

/// What `ZooKeeperServer` logs before the id of a session that it doesn't resume.
const REFUSED: &str = "Invalid session 0x";
/// What follows a token in larger data.
pub(crate) const FILLER: u8 = b'|';

/// A violation of a rule on trees, if they differ.
pub(crate) fn compare(rule: &'static str, whose: &str, has: &Tree, wanted: &Tree) -> Option<Violation> {
    let differences = has.differences(wanted, 5);
    let what = format!("{whose}: {}", differences.join("; "));
    (!differences.is_empty()).then(|| Violation { rule, at: Moment::now(), what })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn txn(zxid: i64, session: i64, body: Body) -> Txn {
        Txn { session: SessionId(session), cxid: 0, zxid, at: Moment(0), body }
    }

    fn one(change: Applied) -> Body {
        Body::Changes { is_multi: false, changes: vec![change] }
    }

    fn create(path: &str, is_ephemeral: bool) -> Body {
        one(Applied::Create { path: path.to_owned(), data: "x".into(), is_ephemeral })
    }

    #[test]
    fn what_a_majority_has_is_committed() {
        let [a, b, other] = ["/a", "/b", "/other"].map(|path| create(path, false));
        let logs = [
            vec![txn(1, 5, a.clone()), txn(2, 5, other)],
            vec![txn(1, 5, a.clone()), txn(2, 5, b.clone())],
            vec![txn(2, 5, b.clone()), txn(3, 5, a.clone())],
        ];
        let history = History::merged(&logs);
        assert_eq!(history.txns, [txn(1, 5, a), txn(2, 5, b)]);
        assert_eq!(history.leftovers, 2);
    }

    #[test]
    fn refused_sessions_are_read_from_a_servers_log() {
        let mut history = History::default();
        history.add_refused(
            "20:06:03.415 [main] INFO ZooKeeperServer - Invalid session 0x30000223 for client /127.0.0.1:5, probably expired\n\
             20:06:03.416 [main] INFO ZooKeeperServer - Established session 0x7 with negotiated timeout 3000\n\
             20:06:03.417 [main] INFO ZooKeeperServer - Invalid session 0xff00022300000000 for client /127.0.0.1:6\n",
        );
        let wanted = [SessionId(0x3000_0223), SessionId(0xff00_0223_0000_0000_u64.cast_signed())];
        assert_eq!(history.refused, BTreeSet::from(wanted));
    }

    #[test]
    fn transactions_make_a_tree() {
        let set = one(Applied::Set { path: "/a".to_owned(), data: "y".into(), version: 1 });
        let delete = one(Applied::Delete { path: "/b".to_owned() });
        let history = History {
            txns: vec![
                txn(1, 5, create("/a", false)),
                txn(2, 5, create("/b", false)),
                txn(3, 5, create("/c", true)),
                txn(4, 6, create("/d", true)),
                txn(5, 6, set),
                txn(6, 6, delete),
                txn(7, 5, Body::CloseSession),
            ],
            ..History::default()
        };
        let znode = |data: &'static str, czxid, mzxid, version, owner| Znode {
            data: data.into(),
            czxid,
            mzxid,
            version,
            owner: SessionId(owner),
        };
        let wanted = [("/a".to_owned(), znode("y", 1, 5, 1, 0)), ("/d".to_owned(), znode("x", 4, 4, 0, 6))];
        assert_eq!(history.tree("").znodes, BTreeMap::from(wanted));
        assert_eq!(history.tree("/a").znodes.len(), 1);
    }

    #[test]
    fn trees_that_differ_are_told_apart() {
        let tree = |path: &str, zxid| {
            let history = History { txns: vec![txn(zxid, 5, create(path, false))], ..History::default() };
            history.tree("")
        };
        assert!(compare("rule", "it", &tree("/a", 1), &tree("/a", 1)).is_none());
        let violation = compare("rule", "it", &tree("/a", 1), &tree("/a", 2)).unwrap();
        assert!(violation.what.contains("/a is"), "{violation}");
        let violation = compare("rule", "it", &tree("/a", 1), &tree("/b", 1)).unwrap();
        assert!(violation.what.contains("/b is missing; /a is there"), "{violation}");
    }
}
