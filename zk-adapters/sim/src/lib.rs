//! Tools around a [`zk_session::Session`] that need no ZooKeeper, no socket and no clock.
//!
//! [`drive`] runs one session over a pipe: JSON inputs in, JSON actions out. It is how a session is explored by
//! hand, tested from other languages, recorded and replayed.

mod books;
mod chaos;
pub mod drive;
mod ensemble;
mod input;
pub mod reconnect;
pub mod serve;
mod world;

pub use books::Books;
pub use chaos::{Broken, Chaos, Coverage, Fault, Outcome, Phase};
pub use ensemble::{
    Options, Output, Owner, PeerId, SimEnsemble, Transaction, Tree, Txn, UnknownVersion, Version, Znode,
};
pub use input::Input;
pub use world::{ClientId, Dialling, Flow, Network, World};
