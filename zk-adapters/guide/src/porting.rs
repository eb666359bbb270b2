//! A client for another runtime.
//!
//! A client is a loop (see [`embedding`](crate::embedding)) and the bookkeeping that brings each outcome to who waits for it. The
//! second part is written already: the crate `zk-client` has typed requests, errors, events, and the hub that routes
//! outcomes and watch events to wakers. `zk-tokio` and `zk-std` are what is left: a driver of about 150 lines, a dialler, and methods of
//! one line each.
//!
//! | to do | where to look |
//! | --- | --- |
//! | dial: every address of a name, anew each time | `zk-adapters/tokio/src/dial.rs` |
//! | TLS: a stream around the same socket, by `Tls::load` | `zk-adapters/tokio/src/transport.rs` |
//! | one task or thread that owns socket and timer | `zk-adapters/tokio/src/driver.rs` |
//! | a lock around the hub, held for no I/O | `zk-adapters/tokio/src/shared.rs` |
//! | calls as futures, or as blocking waits | `zk-adapters/tokio/src/call.rs`, `zk-adapters/std/src/call.rs` |
//! | probes for read-only mode: send `isro`, read until the end | `zk-adapters/tokio/src/probe.rs` |
//!
//! # What has to hold
//!
//! - One write and one read for each turn, however many requests: callers only append, the driver takes the whole chunk.
//! - Never keep the lock over a system call, and wake nobody under it.
//! - When the runtime goes away, every waiting call ends with `DriverGone`, and says whether it may have been applied.
//! - A blocked runtime isn't a silent server: read first, then tell the time.
//!
//! # How to know that it works
//!
//! Implement `Adapter` and `Client` of `zk-adapters/conformance` for it (two small traits; mio's is 300 lines with its whole
//! client), and write:
//!
//! ```text
//! use zk_conformance::{adapters::Mine, scenarios};
//!
//! scenarios!(Mine);
//! ```
//!
//! That makes a test of each scenario, from dead, silent and hostile servers to expiry, on real servers, and has it keep
//! [the rules for reconnecting](zk_sim::reconnect::Rule). A client that isn't in Rust can be held to those too:
//! `cargo run -p zk-sim --bin reconnect-check` waits for any client on a port. And a port of the machine itself to another language can
//! be compared with it, line by line, by [`drive`](zk_sim::drive): JSON in, JSON out.
