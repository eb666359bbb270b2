//! A guide to [`zk_session`], a ZooKeeper session as a state machine, and to what is built on it: the clients
//! [`zk_tokio`] and [`zk_std`], and [`zk_sim`], the ensemble to test with.
//!
//! There is no code here: it is a crate, so that its examples are compiled and its links are checked against all the
//! others, and so that none of the others has to depend on the rest for that.
//!
//! | you want to | read |
//! | --- | --- |
//! | know what a session's states mean, and what to do in each | [`session`] |
//! | know what to do with an error | [`errors`] |
//! | watch znodes, and not miss anything | [`watches`] |
//! | repeat what failed, safely | [`outcomes`] |
//! | have a session in an event loop of your own | [`embedding`] |
//! | write a client for another runtime | [`porting`] |
//! | test what you build, without ZooKeeper | [`testing`] |
//! | run it: timeouts, limits, TLS, SASL, versions | [`operating`] |
//! | come from the Java, C, Python or another Rust client | [`migrating`] |

pub mod embedding;
pub mod errors;
pub mod migrating;
pub mod operating;
pub mod outcomes;
pub mod porting;
pub mod session;
pub mod testing;
pub mod watches;

/// The examples of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExamples;
