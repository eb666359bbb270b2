//! A ZooKeeper session as a pure state machine: bytes and clock readings go in, actions come out.
//!
//! ```text
//!      the driver saw                                        the driver does
//!      handle_connected     ┌─────────────────────────┐      Connect      to the first server, or the next
//!      handle_received  ───▶│         Session         │───▶  Send         bytes
//!      handle_sent          │                         │      Disconnect
//!      handle_disconnected  │  no socket, no clock,   │      Emit         replies, watch events,
//!      handle_timeout       │  no thread, no entropy  │                   states of the session
//!                           └─────────────────────────┘
//!      the application wants          ▲                      and asks poll_timeout how long it may wait
//!      submit, cancel, close  ────────┘
//! ```
//!
//! A driver is a loop around [`Session`]: it does what [`Session::poll_action`] says, waits for the transport or
//! for [`Session::poll_timeout`], and tells what it saw. This one blocks, on the standard library alone:
//!
//! ```no_run
//! # #[cfg(feature = "std")] {
//! use std::io::{ErrorKind, Read, Write};
//! use std::net::TcpStream;
//! use zk_session::{Action, Config, Epoch, Event, RequestOptions, Session, State};
//! use zk_session::zk_proto::{GetDataRequest, Request};
//!
//! let epoch = Epoch::new(std::time::Instant::now());
//! let now = || epoch.instant(std::time::Instant::now());
//! let config = Config::new("127.0.0.1:2181,127.0.0.1:2182/app".parse().expect("a connect string"));
//! let mut session = Session::new(config, now());
//! let get = GetDataRequest { path: "/greeting".into(), watch: false };
//! session.submit(Request::GetData(get), RequestOptions::default(), now()).expect("a valid request");
//!
//! let mut transport = None;
//! let mut buffer = [0; 16 * 1024];
//! while !session.state().is_terminal() {
//!     while let Some(action) = session.poll_action() {
//!         match action {
//!             Action::Connect { connection, server } => match TcpStream::connect((&*server.host, server.port)) {
//!                 Ok(socket) => {
//!                     transport = Some((connection, socket));
//!                     session.handle_connected(connection, now());
//!                 }
//!                 Err(_) => session.handle_disconnected(connection, now()),
//!             },
//!             Action::Send { connection, bytes } => {
//!                 let Some((_, socket)) = &mut transport else { continue };
//!                 match socket.write_all(&bytes) {
//!                     Ok(()) => session.handle_sent(connection, bytes.len(), now()),
//!                     Err(_) => session.handle_disconnected(connection, now()),
//!                 }
//!             }
//!             Action::Disconnect { .. } => transport = None,
//!             Action::Probe { probe, .. } => session.handle_probed(probe, false, now()), // only if read-only
//!             Action::Emit(Event::Reply(reply)) => {
//!                 println!("{reply:?}");
//!                 session.close(now());
//!             }
//!             Action::Emit(event) => println!("{event:?}"),
//!         }
//!     }
//!     let Some(due) = session.poll_timeout() else { continue };
//!     let wait = (due - now()).max(std::time::Duration::from_millis(1));
//!     match &mut transport {
//!         None => std::thread::sleep(wait),
//!         Some((connection, socket)) => {
//!             let _ = socket.set_read_timeout(Some(wait));
//!             match socket.read(&mut buffer) {
//!                 Ok(0) => session.handle_disconnected(*connection, now()),
//!                 Ok(len) => session.handle_received(*connection, &buffer[..len], now()),
//!                 Err(error) if [ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&error.kind()) => {}
//!                 Err(_) => session.handle_disconnected(*connection, now()),
//!             }
//!         }
//!     }
//!     if session.state() == State::Connecting {
//!         transport = None; // it has ended: the session goes on elsewhere
//!     }
//!     session.handle_timeout(now());
//! }
//! # }
//! ```
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

#[macro_use]
mod planted;

mod accepted;
mod action;
mod admission;
mod auth;
mod by_path;
mod chroot;
mod clock;
mod config;
mod connection;
mod dialects;
#[cfg(feature = "digest-md5")]
mod digest_md5;
mod ensemble;
mod error;
#[cfg(feature = "model")]
mod model;
mod outbox;
mod outcomes;
mod random;
mod read_only;
mod rearm;
mod rebalance;
mod receiving;
mod requests;
mod roster;
mod sasl;
mod sending;
mod session;
mod stats;
mod time;
mod timers;
mod transitions;
mod unwatch;
mod watch;
mod watches;

pub use zk_proto;

pub use action::{
    Action, ConnectionId, Credentials, Event, ExpiredBy, ExpiredReason, ProbeId, Reply, RequestId,
    WatchEndReason, WatchEvent,
};
pub use auth::AuthInfo;
pub use chroot::Chroot;
pub use config::{Config, Expiry, OnLoss, RequestOptions, Retry};
#[cfg(feature = "digest-md5")]
pub use digest_md5::DigestMd5;
pub use ensemble::ServerOrder;
pub use error::{Delivery, DisconnectReason, Failure, RequestError, SubmitError};
#[cfg(feature = "planted")]
#[doc(hidden)]
pub use planted::Planted;
pub use sasl::{Sasl, SaslError, SaslExchange, SaslMechanism, SaslStep};
pub use session::{Session, State};
pub use stats::Stats;
#[cfg(feature = "std")]
pub use time::Epoch;
pub use time::Instant;
pub use timers::Timer;

/// The examples of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExamples;
