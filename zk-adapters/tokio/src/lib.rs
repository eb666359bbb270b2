//! A ZooKeeper client for tokio: a thin driver of the [`zk_session`] state machine.
//!
//! What a session does, and when, is decided there; this crate moves its bytes, and turns its events into futures.
//!
//! ```no_run
//! use zk_tokio::{Client, CreateMode};
//!
//! # async fn f() -> Result<(), Box<dyn std::error::Error>> {
//! let (client, mut events) = Client::connect("zk1:2181,zk2:2181,zk3:2181/app").await?;
//!
//! client.create("/config", "v1", CreateMode::Persistent).await?;
//! let (znode, mut watch) = client.get_data_and_watch("/config").await?;
//! println!("{:?} since {}", znode.data, znode.stat.mzxid);
//!
//! tokio::select! {
//!     change = watch.changed() => println!("changed: {change:?}"),
//!     event = events.next() => println!("the session: {event:?}"),
//! }
//! # Ok(())
//! # }
//! ```
//!
//! A request ends exactly once: with its answer, with a server's refusal ([`Error::code`]), or without an answer;
//! then [`Error::delivery`] tells whether a server can have applied it. Lost connections are mended in the
//! background; requests that were under way are not repeated, unless [`Client::with_retry`] says so.
//!
//! # Size
//!
//! What drives a session here has 184 lines of code: one task, and its timer. The crate depends on 22 others: three of
//! its own family, five that are there only to build it, and fourteen that are `tokio`, `bytes`, `thiserror`, and `md-5`
//! for SASL with what these need. The features `tls`, `tracing`, `stream` and `record` add what their names say.

mod alarm;
#[cfg(test)]
mod budget;
mod builder;
mod call;
mod client;
mod dial;
mod driver;
mod events;
mod link;
#[cfg(test)]
mod model;
mod operations;
mod pending;
mod probe;
mod recipes;
mod shared;
mod standing;
#[cfg(feature = "stream")]
mod stream;
mod trace;
mod transport;
mod watch;

pub use builder::Builder;
pub use call::Call;
pub use client::Client;
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
