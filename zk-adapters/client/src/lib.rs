//! What ZooKeeper clients over the [`zk_session`] state machine have in common, whatever does their I/O.
//!
//! Applications use an adapter, such as zk-tokio or zk-std, which tells all they need of this crate again. For one
//! who writes an adapter there are the typed requests ([`requests`]), the errors and events, and the [`Hub`]: the
//! session together with the books that lead each outcome to who waits for it.

mod attempts;
mod errands;
mod error;
mod events;
mod hub;
mod machine;
mod read_buffer;
pub mod recipes;
pub mod requests;
mod slots;
mod standing;
#[cfg(feature = "tls")]
mod tls;
mod watches;

pub use attempts::Attempts;
pub use errands::{Errand, ErrandId};
pub use error::{
    AddressError, AttemptCause, AttemptFailure, ConnectError, DialError, Error, Lost, WatchEnded,
};
pub use events::{EventQueue, SessionEnd, SessionEvent};
pub use hub::{Hub, NO_LATER, Wakeups, Work};
#[cfg(feature = "record")]
pub use machine::Recorder;
pub use machine::{Machine, Recording};
pub use read_buffer::ReadBuffer;
pub use requests::{Created, Typed};
pub use slots::Slots;
pub use standing::{Standing, StandingEvent};
#[cfg(feature = "tls")]
pub use tls::{Tls, TlsError};
pub use watches::Watches;
