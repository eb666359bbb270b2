//! A ZooKeeper session as a pure state machine.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

mod action;
mod admission;
mod chroot;
mod config;
mod connection;
mod ensemble;
mod error;
mod receiving;
mod requests;
mod session;
mod stats;
mod time;
mod timers;
mod watches;

pub use zk_proto;

pub use action::{
    Action, ConnectionId, Credentials, Event, ExpiredBy, ExpiredReason, Reply, RequestId, WatchEndReason,
    WatchEvent,
};
pub use config::{Config, Expiry, RequestOptions, Retry};
pub use error::{Delivery, DisconnectReason, Failure, RequestError, SubmitError};
pub use session::{Session, State};
pub use stats::Stats;
#[cfg(feature = "std")]
pub use time::Epoch;
pub use time::Instant;
pub use timers::Timer;
