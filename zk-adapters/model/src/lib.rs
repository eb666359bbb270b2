//! A model checker's view of a session: all that can happen to the real [`Session`](zk_session::Session), up to a
//! depth, with two servers, a few requests, and a few faults.
//!
//! A step is one thing that the network, a server, the clock or the application does; the session's answers are
//! carried out at once, and what must hold is checked after each step. States that differ only in when they are
//! reached count as one. The numbers (`INV-…`) name the project's invariants.

#![expect(clippy::wildcard_enum_match_arm, reason = "books and servers look for one thing among many")]

mod act;
mod books;
mod census;
mod ensemble;
mod heal;
mod model;
mod relative;
mod subject;
mod trials;
mod world;

/// Has the search's own threads tell nothing of panics: a panic is a broken rule there, and is told as one.
pub fn hush() {
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if std::thread::current().name().is_none_or(|name| !name.starts_with("checker-")) {
            tell(panic);
        }
    }));
}

pub use act::Act;
pub use ensemble::Forgery;
pub use model::{RULES, SessionModel, Setup};
pub use subject::Defect;
pub use world::World;
