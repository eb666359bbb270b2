//! Four-letter words: `srvr` and `isro` as a fresh server has them enabled, and `ruok`, which costs nothing.

use crate::ensemble::{
    options::Options,
    server::{Role, Server},
};

/// The answer to a word, if it is one.
pub(super) fn answer(word: [u8; 4], server: &Server, options: &Options, is_leader: bool) -> Option<String> {
    if !KNOWN.contains(&&word) {
        return None;
    }
    let word = core::str::from_utf8(&word).ok()?;
    Some(match (word, server.role) {
        ("isro", Role::ReadOnly) => "ro".to_owned(),
        ("isro", Role::Serving) => "rw".to_owned(),
        ("isro", _) => "null".to_owned(),
        ("ruok", _) => "imok".to_owned(),
        ("srvr", Role::Serving | Role::ReadOnly) => srvr(server, options, is_leader),
        ("srvr", _) => "This ZooKeeper instance is not currently serving requests\n".to_owned(),
        _ => format!("{word} is not executed because it is not in the whitelist.\n"),
    })
}

fn srvr(server: &Server, options: &Options, is_leader: bool) -> String {
    let mode = match server.role {
        Role::ReadOnly => "read-only",
        _ if options.servers == 1 => "standalone",
        _ if is_leader => "leader",
        _ => "follower",
    };
    format!(
        "Zookeeper version: {}, in memory\nLatency min/avg/max: 0/0.0/0\nReceived: 0\nSent: 0\nConnections: 0\n\
         Outstanding: 0\nZxid: {}\nMode: {mode}\nNode count: {}\n",
        options.version.name(),
        server.tree.last_zxid(),
        server.tree.iter().count(),
    )
}

const KNOWN: [&[u8; 4]; 19] = [
    b"conf",
    b"cons",
    b"crst",
    b"dirs",
    b"dump",
    b"envi",
    b"gtmk",
    b"hash",
    b"isro",
    b"mntr",
    b"ruok",
    b"srst",
    b"srvr",
    b"stat",
    b"stmk",
    b"wchc",
    b"wchp",
    b"wchs",
    b"\xFF\xF4\xFF\xFD",
];
