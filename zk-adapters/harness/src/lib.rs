//! Real ZooKeeper servers for tests, and a network between them and a client that fails when told to.
//!
//! ```no_run
//! use zk_harness::Ensemble;
//!
//! # fn main() -> Result<(), zk_harness::StartError> {
//! let ensemble = Ensemble::start(3)?;
//! let leader = ensemble.leader().expect("all three serve");
//! println!("{}: kill {}", ensemble.connect_string(), ensemble.address(leader));
//! ensemble.kill(leader);
//! # Ok(())
//! # }
//! ```
//!
//! The servers need Java 11 or later, and a ZooKeeper [`Distribution`]. Where one is missing, starting is an error, so
//! that tests fail, rather than pass without having run. No server outlives the process that started it, however that
//! ends.

mod certificates;
mod dead_end;
mod distribution;
mod ensemble;
mod error;
mod four_letter_word;
mod options;
mod plan;
mod ports;
mod relay;
mod server;

pub use certificates::{Certificates, Identity};
pub use dead_end::{BlackHole, DeadPort};
pub use distribution::Distribution;
pub use ensemble::Ensemble;
pub use error::StartError;
pub use four_letter_word::{Mode, ask};
pub use options::{ClientCertificates, Options};
pub use ports::ReservedPort;
pub use relay::{Direction, Relay};
