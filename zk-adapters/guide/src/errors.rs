//! Which error asks for which action.
//!
//! An error is one of three things, and they are never the same value:
//!
//! 1. the server said no: [`Error::code`](zk_tokio::Error::code) is there; nothing was applied;
//! 2. nobody knows: [`Error::delivery`](zk_tokio::Error::delivery) is
//!    [`MaybeApplied`](zk_session::Delivery::MaybeApplied);
//! 3. nothing was sent: it is [`NotSent`](zk_session::Delivery::NotSent), and repeating is safe.
//!
//! ```
//! use zk_tokio::{Delivery, Error, ErrorCode};
//!
//! /// What to do with a failed write.
//! fn advice(error: &Error) -> &'static str {
//!     match (error.code(), error.delivery()) {
//!         (Some(ErrorCode::BAD_VERSION), _) => "read again, decide again",
//!         (Some(_), _) => "refused: see the code",
//!         (None, Some(Delivery::NotSent)) => "repeat it",
//!         (None, _) => "look whether it was done, then decide",
//!     }
//! }
//!
//! let error = Error::Refused { code: ErrorCode::BAD_VERSION, results: Vec::new() };
//! assert_eq!(advice(&error), "read again, decide again");
//! ```
//!
//! # What the server refused
//!
//! | code | it means | do |
//! | --- | --- | --- |
//! | `NO_NODE` | no such znode; of a create: no parent | create the parent (`ensure_path`), or take it for the answer |
//! | `NODE_EXISTS` | somebody was first; after a lost create perhaps you yourself | compare `ephemeral_owner` with the session's id, or use `create_protected` |
//! | `BAD_VERSION` | it was changed since you read it | read, decide again, write with the new version |
//! | `NOT_EMPTY` | it has children | delete them first (`delete_recursive`) |
//! | `NO_CHILDREN_FOR_EPHEMERALS` | the parent is ephemeral | use another path |
//! | `NO_AUTH` | the ACL doesn't allow it | `add_auth`, or another ACL; repeating won't help |
//! | `INVALID_ACL` | the ACL is empty, or names an unknown scheme, or `auth` without an identity | mend it |
//! | `SESSION_MOVED` | the session is on another server by now | repeat it there: it wasn't applied |
//! | `THROTTLED_OP` | the server has too much to do | wait, repeat |
//! | `NOT_READ_ONLY` | a write on a read-only server | wait for `Connected` with `read_only: false` |
//! | `QUOTA_EXCEEDED` | the subtree is full (3.7) | delete something, or raise the quota |
//! | `UNIMPLEMENTED`; failure `Unsupported` | the server is too old for the operation | see the versions in [`operating`](crate::operating) |
//! | anything else | its number is told as it came | treat it as refused |
//!
//! # What nobody answered
//!
//! | [`Failure`](zk_session::Failure) | it means | do |
//! | --- | --- | --- |
//! | `ConnectionLoss` | the connection was lost first | by `delivery`: see [`outcomes`](crate::outcomes) |
//! | `Deadline` | your deadline passed; the connection is fine, a late answer is swallowed | the same |
//! | `Cancelled` | you cancelled or dropped it | the same |
//! | `SessionExpired`, `Closed`, `AuthFailed` | the session has ended | begin a new session |
//! | `ReplyTooLarge` | the answer is over `Config::max_frame_len` | raise the limit, or ask for less |
//! | `MalformedReply`, `WrongResultCount` | success, but not readable | report the server; a write was applied |
//!
//! # What wasn't accepted
//!
//! | [`SubmitError`](zk_session::SubmitError) | it means | do |
//! | --- | --- | --- |
//! | `QueueFull` | `max_queued_requests` or `max_queued_bytes` is reached | slow down: wait for outcomes, submit again |
//! | `TooLarge` | over `max_request_len`: servers hang up on such frames | less data, or raise both it and the servers' `jute.maxbuffer` |
//! | `TooManyWatches` | `max_watches` is reached | drop watches; watch a subtree with one recursive watch |
//! | `InvalidPath`, `InvalidArgument` | servers would refuse it | a mistake of the program |
//! | `StaleEpoch` | meant for a session that is over | forget it |
//! | `Closed`, `Expired`, `AuthFailed` | the session has ended | begin a new session |
//!
//! # Why there is no session
//!
//! [`ConnectError`](zk_tokio::ConnectError) lists the reason for each server that was tried: its name doesn't resolve, it refused, TLS
//! failed, it closed before its ConnectResponse (not serving, or it has seen less than the session). The client has given up
//! then; [`Builder::start`](zk_tokio::Builder::start) doesn't wait, and never gives up.
