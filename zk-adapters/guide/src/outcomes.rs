//! What became of a request whose answer is missing, and when it may be repeated.
//!
//! Each request that was accepted has exactly one outcome: an answer, a refusal, or a failure. A failure says what can have become
//! of it, in one of two words:
//!
//! - [`NotSent`](zk_session::Delivery::NotSent) is a proof: no byte of it was handed out that isn't known to have stayed. **Repeat it.**
//! - [`MaybeApplied`](zk_session::Delivery::MaybeApplied) is said only where it is really open: bytes of it left, and no answer came.
//!   It may even be applied later than now.
//!
//! Most clients tell a lost connection the same way in both cases, which leaves the caller with the second only.
//!
//! # What follows a lost request
//!
//! When a connection is lost, all that was in flight or queued behind it ends with it, in order: what is `NotSent` was not applied,
//! and nothing that was queued behind a lost request is sent later as if nothing had happened.
//!
//! Of several requests that are `MaybeApplied` nothing is certain, not even their order. Servers that freeze and come back have
//! been seen to drop a write and to apply one behind it, of the same session and connection; and a write of a lost connection can be
//! applied after a later one, sent to another server, was answered. What must not be overtaken carries a version, or a `check` in a
//! `multi`.
//!
//! # Who repeats
//!
//! | operation | may it be repeated after `MaybeApplied`? |
//! | --- | --- |
//! | reads, `sync` | yes: [`Retry::WhenSafe`](zk_session::Retry::WhenSafe) has the machine do it |
//! | `set_data`, `delete`, `set_acl`, `multi` **with a version** | yes, if `BAD_VERSION` or `NO_NODE` is read as "look whether it was I" |
//! | `set_data` without a version | if the same value twice does no harm |
//! | `create`, plain | yes: `NODE_EXISTS` then means "look who made it" |
//! | `create`, ephemeral | yes: compare `ephemeral_owner` with the session's id |
//! | `create`, sequential | **no**: there would be two; [`create_protected`](zk_tokio::Client::create_protected) finds its own |
//! | `multi` | like the strictest of its parts; put a `check` into it |
//!
//! Retries by the machine are off unless asked for: [`Client::with_retry`](zk_tokio::Client::with_retry) gives a handle to the
//! same session whose reads, and whatever was never sent, are sent again on the next connection, at most three times in a row.
//! A deadline holds over all of them.
//!
//! ```no_run
//! use std::time::Duration;
//! use zk_tokio::{Client, Delivery, Error, ErrorCode, Retry};
//!
//! /// Adds one to the number in a znode, unless nobody can know whether it was added.
//! async fn increment(client: &Client) -> Result<(), Error> {
//!     let reader = client.with_retry(Retry::WhenSafe).with_deadline(Duration::from_secs(10));
//!     loop {
//!         let znode = reader.get_data("/n").await?;
//!         let n = znode.data.as_deref().and_then(|data| str::from_utf8(data).ok()?.parse().ok()).unwrap_or(0_u64);
//!         match client.set_data("/n", (n + 1).to_string(), znode.stat.version).await {
//!             Ok(_) => return Ok(()),
//!             Err(error) if error.code() == Some(ErrorCode::BAD_VERSION) => {} // somebody else was first: again
//!             Err(error) if error.delivery() == Some(Delivery::NotSent) => {} // nothing was done: again
//!             // It may have been done. Only a value that names its writer would tell whether it was.
//!             Err(error) => return Err(error),
//!         }
//!     }
//! }
//! ```
//!
//! # Deadlines and cancellation
//!
//! A deadline ends its request, and never the connection: others go on, and the late answer is swallowed. Dropping a call of
//! [`zk_tokio`] is a cancellation; what was sent by then may be applied. If an ephemeral znode comes of it after all, nobody knows of
//! it, and the event `AbandonedCreate` says so.
//!
//! # Order
//!
//! Requests run at the servers in the order in which they were submitted, and their outcomes come in that order; deadlines and
//! cancellation alone come early. Calls that are made together leave in one write, so submit first and wait afterwards.
//!
//! # What a read is worth
//!
//! A read is answered by the connected server from what it knows, which may be older than what another client has written. A `sync`
//! before it catches up with the leader; it is no proof, since a leader can have been replaced unnoticed. What one session has
//! written or seen it never sees older again, on whatever server: `lastZxidSeen` sees to that.
