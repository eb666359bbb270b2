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

#[cfg(test)]
mod tests {
    use zk_session::Instant;

    use crate::ensemble::{Options, Output, SimEnsemble};

    /// What a server answers to `srvr`: its mode.
    fn mode(ensemble: &mut SimEnsemble, server: usize) -> String {
        let now = Instant::ZERO;
        let peer = ensemble.connect(server, [127, 0, 0, 1].into(), now).expect("it runs");
        ensemble.receive(peer, b"srvr", now);
        let Some(Output::Send { bytes, .. }) = ensemble.poll_output() else { panic!("no answer") };
        assert_eq!(ensemble.poll_output(), Some(Output::Close { peer }));
        let answer = String::from_utf8(bytes.to_vec()).expect("text");
        let mode = answer.lines().find_map(|line| line.strip_prefix("Mode: "));
        mode.expect("it has a mode").to_owned()
    }

    #[test]
    fn srvr_tells_who_leads() {
        let mut ensemble = SimEnsemble::new(Options { servers: 3, ..Options::default() }, Instant::ZERO);
        assert_eq!(ensemble.leader(), Some(2));
        let modes = [0, 1, 2].map(|server| mode(&mut ensemble, server));
        assert_eq!(modes, ["follower", "follower", "leader"]);
        ensemble.lead(0, Instant::ZERO);
        let modes = [0, 1, 2].map(|server| mode(&mut ensemble, server));
        assert_eq!(modes, ["leader", "follower", "follower"]);
    }

    #[test]
    fn srvr_of_a_server_that_is_alone_tells_so() {
        let mut ensemble = SimEnsemble::new(Options { servers: 1, ..Options::default() }, Instant::ZERO);
        assert_eq!(mode(&mut ensemble, 0), "standalone");
    }
}
