//! What a session has done so far, in numbers.

use core::time::Duration;

/// Counts since the session was made, and what it holds at the moment.
///
/// At any moment `accepted` is `ended` + `queued` + `in_flight`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Stats {
    /// Bytes that `handle_received` brought on current connections.
    pub bytes_received: u64,
    /// Bytes handed out in `Send` actions.
    pub bytes_sent: u64,
    /// Attempts to connect.
    pub attempts: u64,
    /// Accepted handshakes.
    pub connections: u64,
    /// Requests that `submit` and `add_auth` accepted.
    pub accepted: u64,
    /// Requests that have had their outcome.
    pub ended: u64,
    /// Outcomes that were a server's refusal.
    pub refused: u64,
    /// Outcomes that were neither a reply nor a refusal.
    pub failed: u64,
    /// Pings handed out.
    pub pings: u64,
    /// Answers to pings, asked for or not.
    pub pongs: u64,
    /// How long the server took to answer the last ping that it answered.
    pub last_ping_round_trip: Option<Duration>,
    /// Notifications that arrived.
    pub notifications: u64,
    /// Notifications among them that no watch wanted.
    pub unwanted_notifications: u64,
    /// Requests that wait to be handed out.
    pub queued: usize,
    /// Bytes of encoded requests that wait to be handed out.
    pub queued_bytes: usize,
    /// Requests that are handed out and haven't had their outcome.
    pub in_flight: usize,
    /// Watches that are registered.
    pub watches: usize,
}

/// Those of them that only grow.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counters {
    pub(crate) bytes_received: u64,
    pub(crate) bytes_sent: u64,
    pub(crate) attempts: u64,
    pub(crate) connections: u64,
    pub(crate) accepted: u64,
    pub(crate) ended: u64,
    pub(crate) refused: u64,
    pub(crate) failed: u64,
    pub(crate) pings: u64,
    pub(crate) pongs: u64,
    pub(crate) last_ping_round_trip: Option<Duration>,
    pub(crate) notifications: u64,
    pub(crate) unwanted_notifications: u64,
}
