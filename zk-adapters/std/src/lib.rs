//! A blocking ZooKeeper client on the standard library alone: a thin driver of the [`zk_session`] state machine.
//!
//! What a session does, and when, is decided there; this crate moves its bytes, and brings its answers to the threads
//! that wait for them.
//!
//! ```no_run
//! use zk_std::{Client, CreateMode};
//!
//! # fn f() -> Result<(), Box<dyn std::error::Error>> {
//! let (client, events) = Client::connect("zk1:2181,zk2:2181,zk3:2181/app")?;
//! std::thread::spawn(|| events.for_each(|event| println!("the session: {event:?}")));
//!
//! client.create("/config", "v1", CreateMode::Persistent).wait()?;
//! let (znode, mut watch) = client.get_data_and_watch("/config").wait()?;
//! println!("{:?} since {}", znode.data, znode.stat.mzxid);
//! println!("changed: {:?}", watch.changed());
//!
//! // Both are under way before the first is waited for: they share a write and a read.
//! let (one, other) = (client.exists("/one"), client.exists("/other"));
//! println!("{:?} {:?}", one.wait()?, other.wait()?);
//! # Ok(())
//! # }
//! ```
//!
//! A request ends exactly once: with its answer, with a server's refusal ([`Error::code`]), or without an answer;
//! then [`Error::delivery`] tells whether a server can have applied it. Lost connections are mended in the
//! background; requests that were under way are not repeated, unless [`Client::with_retry`] says so. Every request has
//! a deadline: 30 s, unless [`Builder::deadline`] or [`Client::with_deadline`] says otherwise.
//!
//! # Threads
//!
//! A client has two threads of its own: one acts upon time, and sleeps otherwise; one belongs to the connection,
//! and dials and reads. A thread that waits for an answer writes and reads itself where it can, so an answer costs
//! one write and one read, and no change of threads. Where a server doesn't take what is written, a third thread
//! waits for that, so that nobody is held up by more than a few milliseconds.
//!
//! # Size
//!
//! What drives a session here are its threads (193 lines of code), or the [`Driver`] for a loop of one's own (334
//! lines). The crate depends on 17 others: three of its own family, five that are there only to build it, and nine that
//! are `bytes`, `thiserror`, and `md-5` for SASL with what that needs. The feature `tls` adds rustls.

#[cfg(test)]
mod budget;
mod buffer;
mod builder;
mod call;
mod client;
mod commands;
mod dial;
mod driver;
mod events;
mod link;
#[cfg(test)]
mod model;
mod news;
mod operations;
mod parking;
mod pending;
mod probe;
mod pumped;
mod reader;
mod recipes;
#[cfg(feature = "tls")]
mod secured;
mod shared;
mod standing;
mod sync;
mod ticker;
mod transport;
mod waiting;
mod watch;
mod writer;

pub use builder::Builder;
pub use call::Call;
pub use client::Client;
pub use driver::Driver;
pub use events::SessionEvents;
pub use standing::{StandingCall, StandingWatch};
pub use watch::{Watch, WatchCall};
#[cfg(feature = "record")]
pub use zk_client::Recorder;
pub use zk_client::{
    AddressError, AttemptCause, AttemptFailure, ConnectError, Created, DialError, Error, SessionEnd,
    SessionEvent, StandingEvent, WatchEnded,
};
#[cfg(feature = "tls")]
pub use zk_client::{Tls, TlsError};
pub use zk_proto::{
    self, Acl, ConnectString, CreateMode, ErrorCode, EventType, GetChildren2Response, GetDataResponse,
    OPEN_ACL_UNSAFE, ServerAddr, SessionId, Stat, Ustring, Vector, Zxid,
};
pub use zk_session::{
    self, Config, Credentials, Delivery, DisconnectReason, Failure, Retry, State, Stats, SubmitError,
    WatchEvent,
};

/// The examples of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExamples;
