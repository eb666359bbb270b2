//! Uses the core crates without std. The C runtime starts `main` and ends the process; all else is here.

#![no_std]
#![no_main]

extern crate alloc;

mod bump;

use core::ffi::{c_char, c_int};
use core::panic::PanicInfo;

use bump::Bump;
use zk_proto::{Bytes, BytesMut, ConnectResponse, ErrorCode, GetDataRequest, GetDataResponse, ReplyHeader};
use zk_proto::{Request, Response, SessionId, Stat, Zxid, encode_reply_frame};
use zk_session::{Action, Config, ConnectionId, Event, Instant, RequestOptions, Session};

#[global_allocator]
static ALLOCATOR: Bump = Bump::new();

// SAFETY: the C runtime calls this, once, by this name and with these types.
#[unsafe(no_mangle)]
extern "C" fn main(_argc: c_int, _argv: *const *const c_char) -> c_int {
    if reads_a_znode() == Some(true) { 0 } else { 1 }
}

/// A session from its first connection to the data of a znode, against a server of three canned frames.
fn reads_a_znode() -> Option<bool> {
    let now = Instant::ZERO;
    let mut session = Session::new(Config::new("localhost:2181/app".parse().ok()?), now);
    let get = Request::GetData(GetDataRequest { path: "/a".into(), watch: false });
    let request = session.submit(get, RequestOptions::default(), now).ok()?;
    let Some(Action::Connect { connection, .. }) = session.poll_action() else { return None };
    session.handle_connected(connection, now);
    take_sends(&mut session, connection);
    session.handle_received(connection, &accepted(), now);
    take_sends(&mut session, connection);
    session.handle_received(connection, &data(b"hi"), now);
    while let Some(action) = session.poll_action() {
        if let Action::Emit(Event::Reply(reply)) = action {
            let Ok(Response::GetData(found)) = reply.result else { return None };
            return Some(reply.request == request && found.data.as_deref() == Some(b"hi"));
        }
    }
    None
}

fn take_sends(session: &mut Session, connection: ConnectionId) {
    while let Some(action) = session.poll_action() {
        if let Action::Send { bytes, .. } = action {
            session.handle_sent(connection, bytes.len(), Instant::ZERO);
        }
    }
}

fn accepted() -> BytesMut {
    let mut frame = BytesMut::new();
    let password = Some(Bytes::from_static(&[7; 16]));
    let (session_id, read_only) = (SessionId(1), Some(false));
    ConnectResponse { protocol_version: 0, time_out: 4000, session_id, passwd: password, read_only }
        .encode_frame(&mut frame);
    frame
}

fn data(bytes: &'static [u8]) -> BytesMut {
    let mut frame = BytesMut::new();
    let header = ReplyHeader { xid: 1, zxid: Zxid(2), err: ErrorCode::OK };
    let body = GetDataResponse { data: Some(Bytes::from_static(bytes)), stat: Stat::default() };
    encode_reply_frame(&header, Some(&Response::GetData(body)), &mut frame);
    frame
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
