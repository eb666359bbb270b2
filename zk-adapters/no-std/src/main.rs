//! A session in a loop without std: its own allocator, and a pipe for all that the world does. The C runtime starts
//! `main` and ends the process; all else is here.
//!
//! On its output it says what is to be done (a tag, a length, and so many bytes), then `W` with the milliseconds until
//! which nothing is; its input tells what happened, and when. Whoever is at the other end plays the network and the
//! servers. It keeps an ephemeral znode, reads it, and ends with 0 once it has done so at a second server.

#![no_std]
#![no_main]

extern crate alloc;

mod bump;
mod pipe;

use core::ffi::{c_char, c_int};
use core::panic::PanicInfo;
use core::time::Duration;

use bump::Bump;
use zk_proto::{CreateMode, GetDataRequest, OPEN_ACL_UNSAFE, Request, Response};
use zk_session::{Action, Config, ConnectionId, Event, Instant, RequestOptions, Retry, Session};

#[global_allocator]
static ALLOCATOR: Bump = Bump::new();

// SAFETY: the C runtime calls this, once, by this name and with these types.
#[unsafe(no_mangle)]
extern "C" fn main(_argc: c_int, _argv: *const *const c_char) -> c_int {
    if outlives_a_server() == Some(true) { 0 } else { 1 }
}

/// None if the other end breaks the rules, or goes away.
fn outlives_a_server() -> Option<bool> {
    let mut now = Instant::ZERO;
    let mut session = Session::new(Config::new("zk1,zk2,zk3".parse().ok()?), now);
    let mut application = Application::default();
    application.submit(create(), &mut session, now)?;
    let mut connection = None;
    loop {
        act(&mut session, &mut application, &mut connection, now)?;
        if session.state().is_terminal() {
            return Some(application.has_survived);
        }
        let due = session.poll_timeout().map_or(u64::MAX, milliseconds);
        pipe::say(b'W', &due.to_be_bytes())?;
        let input = pipe::hear()?;
        now = now.max(Instant::ZERO + Duration::from_millis(input.at));
        match (input.tag, connection) {
            (b'c', Some(connection)) => session.handle_connected(connection, now),
            (b'r', Some(connection)) => session.handle_received(connection, &input.bytes, now),
            (b'd', Some(connection)) => session.handle_disconnected(connection, now),
            (b't', _) => session.handle_timeout(now),
            _ => return None,
        }
    }
}

/// Does what the session says.
fn act(
    session: &mut Session,
    application: &mut Application,
    connection: &mut Option<ConnectionId>,
    now: Instant,
) -> Option<()> {
    while let Some(action) = session.poll_action() {
        match action {
            Action::Connect { connection: next, server } => {
                *connection = Some(next);
                pipe::say(b'C', server.host.as_bytes())?;
            }
            Action::Send { connection, bytes } => {
                pipe::say(b'S', &bytes)?;
                session.handle_sent(connection, bytes.len(), now);
            }
            Action::Disconnect { .. } => {
                *connection = None;
                pipe::say(b'D', b"")?;
            }
            // Only sessions that may be read-only ask.
            Action::Probe { probe, .. } => session.handle_probed(probe, false, now),
            Action::Emit(event) => application.take(event, session, now)?,
        }
    }
    Some(())
}

#[derive(Default)]
struct Application {
    connections: usize,
    has_survived: bool,
}

impl Application {
    fn take(&mut self, event: Event, session: &mut Session, now: Instant) -> Option<()> {
        match event {
            Event::Connected { .. } => self.connections += 1,
            Event::Reply(reply) => {
                let own = session.credentials().map(|own| own.session_id);
                let is_own = matches!(
                    &reply.result,
                    Ok(Response::GetData(found)) if Some(found.stat.ephemeral_owner) == own
                );
                if self.connections > 1 && is_own {
                    self.has_survived = true;
                    session.close(now);
                } else {
                    self.submit(get(), session, now)?;
                }
            }
            _ => {}
        }
        Some(())
    }

    fn submit(&self, request: Request, session: &mut Session, now: Instant) -> Option<()> {
        session.submit(request, RequestOptions::default().with_retry(Retry::WhenSafe), now).ok()?;
        Some(())
    }
}

fn create() -> Request {
    Request::create("/mine", Some("hi".into()), OPEN_ACL_UNSAFE, CreateMode::Ephemeral)
}

fn get() -> Request {
    Request::GetData(GetDataRequest { path: "/mine".into(), watch: false })
}

/// The first whole millisecond that isn't before it.
fn milliseconds(due: Instant) -> u64 {
    u64::try_from((due - Instant::ZERO).as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    // SAFETY: it takes nothing and never returns.
    unsafe { abort() }
}

/// The precompiled alloc names this, although nothing unwinds with `panic = "abort"`.
// SAFETY: no other function of this program has that name, and none calls it.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}

#[link(name = "c")]
unsafe extern "C" {
    fn abort() -> !;
}
