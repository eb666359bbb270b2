//! A ZooKeeper made of memory, and tools around a [`zk_session::Session`] that need no ZooKeeper, no socket and no clock.
//!
//! [`World`] has sessions, an ensemble and the network between them in virtual time and one thread: a test in ten lines.
//! [`SimEnsemble`] is its server side alone; [`serve`] puts it on loopback ports, for any client in any language.
//! [`drive`] runs one session over a pipe: JSON inputs in, JSON actions out. It is how a session is explored by
//! hand, tested from other languages, recorded and replayed.
//!
//! ```
//! use zk_session::{RequestOptions, zk_proto::{CreateMode, OPEN_ACL_UNSAFE, Request}};
//! use zk_sim::{Options, World};
//!
//! let mut world = World::new(Options { servers: 3, ..Options::default() });
//! let app = world.open(world.config());
//! let request = Request::create("/app", None, OPEN_ACL_UNSAFE, CreateMode::Ephemeral);
//! world.submit(app, request, RequestOptions::default())?;
//! world.run_for(core::time::Duration::from_secs(1));
//! world.ensemble_mut(|ensemble, now| ensemble.crash(0, now));
//! world.run_for(core::time::Duration::from_secs(10));
//! assert!(world.session(app).is_ready());
//! assert!(world.ensemble().tree(1).get("/app").is_some());
//! # Ok::<(), zk_session::SubmitError>(())
//! ```

mod books;
mod chaos;
pub mod drive;
mod ensemble;
mod input;
pub mod reconnect;
pub mod serve;
mod world;

pub use books::Books;
pub use chaos::{Broken, Chaos, Coverage, Fault, Outcome, Phase, Shrunk, replay};
pub use ensemble::{
    Options, Output, Owner, PeerId, SimEnsemble, Transaction, Tree, Txn, UnknownVersion, Version, Znode,
};
pub use input::Input;
pub use world::{ClientId, Dialling, Flow, Network, World};
