use core::time::Duration;
use std::{sync::Arc, thread, time::Instant};

use zk_proto::ServerAddr;
use zk_session::ProbeId;

use crate::{dial::dial, link::is_pause, shared::Shared, transport::Security};

/// Asks a server, on a connection and a thread of its own: is it read-write?
pub(crate) fn spawn(shared: &Arc<Shared>, probe: ProbeId, server: ServerAddr) {
    let shared = Arc::clone(shared);
    let ask = move || {
        let read_write = ask(&server, &shared.security).unwrap_or_default();
        shared.command(|hub, now| hub.session.handle_probed(probe, read_write, now));
    };
    // Without an answer, the session asks again.
    let _ = thread::Builder::new().name("zk-probe".to_owned()).spawn(ask);
}

/// Says the four-letter word `isro`, and reads the answer: `rw`, `ro`, `null`, or a sentence why there is none.
pub(crate) fn ask(server: &ServerAddr, security: &Security) -> Option<bool> {
    let deadline = Instant::now() + LIMIT;
    let (stream, _) = dial(server, LIMIT).ok()?;
    let transport = security.secure(server, stream, LIMIT).ok()?;
    transport.write(b"isro").ok().filter(|&sent| sent == 4)?;
    let mut answer = [0; LONGEST];
    let mut len = 0;
    loop {
        let left = deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())?;
        transport.set_read_timeout(Some(left)).ok()?;
        match transport.read(&mut answer[len..], true) {
            Ok(0) => return Some(&answer[..len] == b"rw"),
            Ok(count) => len += count,
            Err(error) if is_pause(error.kind()) => {}
            Err(_) => return None,
        }
    }
}

const LIMIT: Duration = Duration::from_secs(1);
/// No answer that says `rw` is longer.
const LONGEST: usize = 16;
