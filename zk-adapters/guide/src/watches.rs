//! Watches, and the gaps in what they tell.
//!
//! A watch belongs to the request that set it. Its handle is what that request's call gives: a one-time
//! [`Watch`](zk_tokio::Watch) with [`get_data_and_watch`](zk_tokio::Client::get_data_and_watch) and its like, a
//! [`StandingWatch`](zk_tokio::StandingWatch) with [`add_watch`](zk_tokio::Client::add_watch) (servers from 3.6). Dropping the
//! handle removes the watch.
//!
//! | set by | hears of | ends |
//! | --- | --- | --- |
//! | `get_data_and_watch` | changed data, deletion | with the first event |
//! | `exists_and_watch` | creation if it is missing; else changed data, deletion | with the first event |
//! | `get_children_and_watch` | a child created or deleted, the znode's own deletion | with the first event |
//! | `add_watch(path, PERSISTENT)` | all of the above | when it is removed |
//! | `add_watch(path, PERSISTENT_RECURSIVE)` | creation, deletion, changed data of the znode and all below it | when it is removed |
//!
//! # Read and watch in one
//!
//! The watch is set by the read itself, so nothing fits in between. The loop that follows a value is: read and watch,
//! use, wait, again. Changes that come faster than the loop are seen as one: a watch says *that*, not *what*.
//!
//! ```no_run
//! # fn apply(_: Option<&[u8]>) {}
//! async fn follow(client: &zk_tokio::Client) -> Result<(), Box<dyn std::error::Error>> {
//!     loop {
//!         let (znode, mut watch) = client.get_data_and_watch("/config").await?;
//!         apply(znode.data.as_deref());
//!         watch.changed().await?;
//!     }
//! }
//! ```
//!
//! # What happens at a reconnect
//!
//! Servers keep watches with a connection, so all are lost with it. The machine arms them again before any request leaves, in
//! batches of 128 KiB (`Config::max_set_watches_len`), and names the zxid that each batch was checked against, so that a server tells at
//! once what a one-time watch has missed. That zxid is not simply the last one seen: an answer on the new connection can be newer
//! than what a watch in a batch that still waits was checked against, and the change in between would never be told
//! (ZOOKEEPER-1412 is this defect in the Java client of 2012).
//!
//! # The gaps that remain
//!
//! - **Persistent watches miss what happens while no connection is up**: servers don't replay it (ZOOKEEPER-4698). The machine
//!   tells the gap: [`StandingEvent::Gap`](zk_tokio::StandingEvent::Gap) with the zxids between which events are missing, before any
//!   later event. Whoever mirrors a subtree reads it again then.
//! - A znode that is **created and deleted** while no connection is up isn't told to an `exists` watch for its creation; one that
//!   is deleted and created again is told as changed.
//! - **Servers before 3.9** keep one mode for each path, table and connection (ZOOKEEPER-4466): a one-time watch can displace a
//!   persistent one. The machine arms it again, and tells a gap.
//! - From 3.8.4 and 3.9.2 on, servers **keep events from those who may not read** the znode (ZOOKEEPER-4799), without a word.
//! - An application that doesn't take its events: a standing watch keeps 4,096 unread, then leaves some out, and says so (`Skipped`).
//!
//! # How a watch ends without an event
//!
//! [`WatchEnded`](zk_tokio::WatchEnded): the session has ended; you removed it; or a server refused to arm it again, which leaves
//! the value unwatched: read and watch again.
//!
//! # A mirror that is right
//!
//! ```no_run
//! use zk_tokio::{Client, StandingEvent, zk_proto::AddWatchMode};
//!
//! # async fn read_all(_: &Client) {}
//! # async fn read_one(_: &Client, _: &str) {}
//! async fn mirror(client: &Client) -> Result<(), Box<dyn std::error::Error>> {
//!     let mut changes = client.add_watch("/services", AddWatchMode::PERSISTENT_RECURSIVE).await?;
//!     read_all(client).await; // after the watch is set, or a change in between is missed
//!     loop {
//!         match changes.next().await? {
//!             StandingEvent::Event(event) => read_one(client, event.path.as_str().unwrap_or("/")).await,
//!             _ => read_all(client).await, // a gap, whatever its reason
//!         }
//!     }
//! }
//! ```
