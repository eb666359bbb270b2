//! The fuzz targets' corpora, and whatever once broke their bodies.

use std::{fs, path::Path};

use crate::{acts, promises};

#[path = "../../../../fuzz/src/choices.rs"]
mod choices;
#[path = "../../../../fuzz/src/ensemble.rs"]
#[expect(unreachable_pub, reason = "it is in a crate of its own, where it can be reached")]
mod ensemble;
#[path = "../../../../fuzz/src/hostile.rs"]
#[expect(unreachable_pub, reason = "it is in a crate of its own, where it can be reached")]
mod hostile;
#[path = "../../../../fuzz/src/session.rs"]
#[expect(unreachable_pub, reason = "it is in a crate of its own, where it can be reached")]
mod session;

#[track_caller]
fn replay(target: &str, body: fn(&[u8])) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let mut files = 0;
    for entry in fs::read_dir(&corpus).expect("a corpus") {
        let path = entry.expect("an entry").path();
        println!("{}", path.display());
        body(&fs::read(path).expect("a file"));
        files += 1;
    }
    assert!(files > 10, "{files} files in the corpus of {target}");
}

#[test]
fn sessions_hold_what_must_hold() {
    replay("session", session::session);
}

#[test]
fn splits_make_no_difference() {
    replay("splits", session::splits);
}

#[test]
fn a_hostile_server_costs_no_more_memory_than_is_allowed() {
    #[cfg(feature = "planted")]
    crate::planted::plant();
    replay("hostile", hostile::hostile);
}

#[test]
fn simulated_servers_hold_what_must_hold() {
    replay("ensemble", ensemble::ensemble);
}

/// INV-73: what one connection needed is given back when the next one begins.
#[test]
fn a_session_holds_no_more_after_a_million_connections() {
    use zk_session::{Action, Config, Instant, Session};

    let mut now = Instant::ZERO;
    let mut session = Session::new(Config::new("a:1,b:1".parse().expect("two servers")), now);
    let mut reconnect = |times: u32| {
        for _ in 0..times {
            while let Some(action) = session.poll_action() {
                if let Action::Connect { connection, .. } = action {
                    session.handle_connected(connection, now);
                    session.handle_received(connection, &[0; 3], now);
                    session.handle_disconnected(connection, now);
                }
            }
            now = session.poll_timeout().expect("the next attempt").max(now);
            session.handle_timeout(now);
        }
    };
    reconnect(100);
    let counted = allocation_counter::measure(|| reconnect(1_000_000));
    assert!(counted.count_total > 1_000, "{counted:?}");
    assert!(counted.bytes_current.abs() < 256, "{counted:?}");
}
