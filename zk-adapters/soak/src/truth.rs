//! The truth, as the servers tell it when all is over: their tree, and their logs.

use core::error::Error;
use core::time::Duration;
use std::fs;
use std::io;
use std::path::Path;
use std::thread;
use std::time::Instant;

use zk_harness::Ensemble;
use zk_session::zk_proto::ErrorCode;

use crate::drawing::ROOT;
use crate::history::{History, Tree, Znode, compare};
use crate::ledger::Ledger;
use crate::txn_log::read_folder;

/// The tree as all servers have it, each asked for itself, as soon as no session that is over has znodes there.
pub(crate) fn tree(ensemble: &Ensemble, ledger: &Ledger) -> Result<Tree, Box<dyn Error>> {
    outlive_the_ended(ensemble, ledger)?;
    let servers = 0..ensemble.len();
    let mut trees = servers.map(|server| tree_of(ensemble, server)).collect::<Result<Vec<_>, _>>()?;
    for (server, tree) in trees.iter().enumerate() {
        let differs = compare("all servers have one tree", &format!("server {server}"), tree, &trees[0]);
        ledger.write(|books| books.wrong.extend(differs));
    }
    Ok(trees.swap_remove(0))
}

/// Waits until the ephemeral znodes of all sessions are gone that were told as over. A leader that was frozen refuses sessions
/// before it finds out that it has lost its followers; the next one expires them when their timeout has passed once more.
fn outlive_the_ended(ensemble: &Ensemble, ledger: &Ledger) -> Result<(), Box<dyn Error>> {
    let begun = Instant::now();
    loop {
        let tree = tree_of(ensemble, 0)?;
        let left = ledger.write(|books| books.left_behind(&tree));
        if left.is_empty() {
            return Ok(());
        }
        if begun.elapsed() > EXPIRY {
            left.into_iter().for_each(|left| ledger.violated("ephemeral znodes go with their session", left));
            return Ok(());
        }
        thread::sleep(POLL);
    }
}

/// The tree as one server has it, with all that was done before.
fn tree_of(ensemble: &Ensemble, server: usize) -> Result<Tree, Box<dyn Error>> {
    let (client, _) = zk_std::Client::connect(&ensemble.address(server).to_string())?;
    client.sync("/").wait()?;
    let mut tree = Tree::default();
    read_below(&client, ROOT, &mut tree)?;
    client.close();
    Ok(tree)
}

/// Leaves out what goes meanwhile, with its session.
fn read_below(client: &zk_std::Client, path: &str, tree: &mut Tree) -> Result<(), zk_std::Error> {
    let (data, children) = (client.get_data(path), client.get_children(path));
    let is_gone = |error: &zk_std::Error| error.code() == Some(ErrorCode::NO_NODE);
    match (data.wait(), children.wait()) {
        (Err(error), _) | (_, Err(error)) if is_gone(&error) => Ok(()),
        (data, children) => {
            tree.znodes.insert(path.to_owned(), Znode::from(data?));
            let children = children?.children;
            children.iter_str().try_for_each(|name| read_below(client, &format!("{path}/{name}"), tree))
        }
    }
}

/// Stops the servers, and reads what they have logged.
pub(crate) fn logs(ensemble: &Ensemble) -> Result<History, Box<dyn Error>> {
    let mut logs = Vec::new();
    for server in 0..ensemble.len() {
        ensemble.stop(server);
        let folder = ensemble.folder().join(format!("server.{}", server + 1));
        logs.push(read_folder(&folder.join(Path::new("data/version-2")))?);
    }
    let mut history = History::merged(&logs);
    reports(ensemble)?.iter().for_each(|report| history.add_refused(report));
    Ok(history)
}

/// Whether a leader has taken the acknowledgement of a transaction for that of its own election. Its followers have logged then
/// what it sent them, but don't serve it; the next leader begins without it, and whoever is restarted has it again.
pub(crate) fn has_lost_itself(ensemble: &Ensemble) -> io::Result<bool> {
    Ok(reports(ensemble)?.iter().any(|report| report.contains(MISTAKEN)))
}

/// What each server says of itself.
fn reports(ensemble: &Ensemble) -> io::Result<Vec<String>> {
    let reports = (0..ensemble.len()).map(|server| fs::read(ensemble.log_path(server)));
    reports.map(|report| Ok(String::from_utf8_lossy(&report?).into_owned())).collect()
}

/// What is wrong with an ensemble that has lost itself.
pub(crate) const LOST_ITSELF: &str = "a follower acknowledged transactions before NEWLEADER (ZOOKEEPER-4685), and has logged what it doesn't serve";
/// What `Leader` logs then.
const MISTAKEN: &str = "is from a different epoch - current";
/// Twice the longest session timeout.
const EXPIRY: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(200);
