//! What a session is told when it is made.

use alloc::vec::Vec;
use core::time::Duration;

use zk_proto::ConnectString;

use crate::{AuthInfo, Credentials, Instant, Sasl, ServerOrder};

/// All that a session is told when it is made.
///
/// Any value is safe: what is out of range is brought into it, as each field says.
///
/// Whatever a server does, the heap that a session holds for itself stays below the sum of 24 times `max_frame_len`, twice
/// each of `max_queued_bytes`, `max_send_len`, `max_set_watches_len` and what the driver hands over at once, 1 KiB for each
/// of `max_queued_requests`, `max_in_flight` and `max_watches`, and 64 KiB; this holds for paths of up to 32 bytes, and for
/// a driver that takes each action before the next input. The factor of 24 is for what a decoded reply takes beside its
/// frame: a multi's results are larger in memory than on the wire.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The servers, and the chroot below which all paths are.
    pub connect_string: ConnectString,
    /// The session timeout to ask for; the server grants it within its own limits. Default: 10 s. In whole
    /// milliseconds, 1 ms to 2³¹ - 1 ms.
    pub session_timeout: Duration,
    /// Orders the servers, jitters the back-off, and spreads the watched paths over a table, and nothing else. Give each
    /// session another one, by [`Session::with_seed`](crate::Session::with_seed) where they share their configuration; and
    /// one that nobody can guess, if others choose the paths that are watched: who knows it can choose them so that they
    /// are looked up slowly. Default: 0.
    pub seed: u64,
    /// A session to resume, instead of creating one. Default: none.
    pub resume: Option<Credentials>,
    /// In which order the servers are tried. Default: shuffled.
    pub server_order: ServerOrder,
    /// Accept servers in read-only mode, and leave them for read-write ones. Default: no.
    pub read_only: bool,
    /// What becomes of the session when its connection is lost. Default: it is resumed on another server.
    pub on_loss: OnLoss,
    /// Identities to tell to every server, in this order. Default: none. If one of them is longer than
    /// `max_request_len`, the session ends before it begins, as [`State::AuthFailed`](crate::State::AuthFailed).
    pub auth: Vec<AuthInfo>,
    /// How to authenticate by SASL, before anything else on each connection. Default: not at all.
    pub sasl: Option<Sasl>,
    /// Who may say that the session has expired. Default: only a server.
    pub expiry: Expiry,
    /// The longest frame to accept, in bytes, its length prefix not counted. A longer reply fails its request.
    /// Default: 4 MiB. At least 64.
    pub max_frame_len: usize,
    /// The longest frame to send, in bytes, its length prefix not counted. Default: 1,048,575, which is what
    /// servers accept by default (`jute.maxbuffer`).
    pub max_request_len: usize,
    /// How many requests may wait to be handed out, and how many with [`Retry::WhenSafe`] may be without outcome:
    /// after a lost connection they wait again. Default: 65,536.
    pub max_queued_requests: usize,
    /// The same in bytes of encoded requests. Default: 16 MiB.
    pub max_queued_bytes: usize,
    /// How many requests may be handed out and unanswered. Default: 1,024. At least 1.
    pub max_in_flight: usize,
    /// How many watches may be registered or asked for. Default: 1,048,576.
    pub max_watches: usize,
    /// The longest `Send`, in bytes; a longer frame is handed out in slices. Default: 64 KiB. At least 64.
    pub max_send_len: usize,
    /// The longest SetWatches frame, in bytes, unless a single path is longer. Default: 128 KiB, as the Java
    /// client has it.
    pub max_set_watches_len: usize,
    /// How fast a frame under way must grow, in bytes per second, measured over 2/3 of the session timeout; 20 bytes for
    /// each ping that was sent meanwhile don't count. Default: 256.
    pub min_frame_rate: u32,
    /// The shortest and the longest wait between attempts, once a full cycle of servers has failed. The wait
    /// is drawn between the shortest and a bound that doubles with each cycle, from 1 s up to the longest,
    /// and never passes a third of the session timeout, unless the shortest one does. Default: 50 ms to 10 s.
    pub backoff: (Duration, Duration),
    /// How long `close` may take to have the servers end the session. Default: 5 s.
    pub close_timeout: Duration,
}

impl Config {
    /// The defaults for these servers.
    pub fn new(connect_string: ConnectString) -> Self {
        Self {
            connect_string,
            session_timeout: Duration::from_secs(10),
            seed: 0,
            resume: None,
            server_order: ServerOrder::Shuffled,
            read_only: false,
            on_loss: OnLoss::Resume,
            auth: Vec::new(),
            sasl: None,
            expiry: Expiry::Server,
            max_frame_len: 4 << 20,
            max_request_len: 0xf_ffff,
            max_queued_requests: 1 << 16,
            max_queued_bytes: 16 << 20,
            max_in_flight: 1024,
            max_watches: 1 << 20,
            max_send_len: 64 << 10,
            max_set_watches_len: 128 << 10,
            min_frame_rate: 256,
            backoff: (Duration::from_millis(50), Duration::from_secs(10)),
            close_timeout: Duration::from_secs(5),
        }
    }

    /// The session timeout as the wire has it.
    pub(crate) fn session_timeout_millis(&self) -> i32 {
        i32::try_from(self.session_timeout.as_millis()).unwrap_or(i32::MAX).max(1)
    }
}

/// What becomes of a session when its connection is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[expect(clippy::exhaustive_enums, reason = "a session goes on, or another one begins")]
pub enum OnLoss {
    /// It is resumed on another server, with its ephemeral znodes and watches.
    #[default]
    Resume,
    /// It is left to time out, and a new one is created, under the next epoch. All requests and watches of
    /// the old one end with it; what is submitted for an earlier epoch is refused.
    NewSession,
}

/// Who may say that a session has expired.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[expect(clippy::exhaustive_enums, reason = "there is nobody else to say it")]
pub enum Expiry {
    /// Only a server, in its answer to a reconnect: the truth, however late it comes.
    #[default]
    Server,
    /// The machine too, 4/3 of the session timeout after the youngest answered frame was handed out, as the
    /// Java client does since 3.9.3. The servers may think otherwise.
    Client,
}

/// What a request is submitted with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct RequestOptions {
    /// When the request ends, if nothing else has ended it. The connection survives it. Default: never, which
    /// [`Instant::MAX`] means, too.
    pub deadline: Option<Instant>,
    /// What becomes of the request when its connection is lost. Default: it ends.
    pub retry: Retry,
    /// The session that the request is meant for, as [`Event::Connected`](crate::Event::Connected) counts them.
    /// Default: any.
    pub epoch: Option<u64>,
}

impl RequestOptions {
    /// With this deadline.
    #[must_use]
    pub const fn with_deadline(mut self, deadline: Instant) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// For the session of this epoch only.
    #[must_use]
    pub const fn with_epoch(mut self, epoch: u64) -> Self {
        self.epoch = Some(epoch);
        self
    }

    /// With this policy for a lost connection.
    #[must_use]
    pub const fn with_retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }
}

/// What becomes of a request when its connection is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[expect(clippy::exhaustive_enums, reason = "an unsafe retry isn't offered")]
pub enum Retry {
    /// It ends, as does all that was submitted behind it: no later write runs although an earlier one failed.
    #[default]
    Never,
    /// It is sent again on the next connection, if it only reads or can't have reached a server.
    ///
    /// Not for ever, lest a request that makes servers hang up costs the session one connection after another: it
    /// ends, as with `Never`, once three connections in a row were lost on which it was sent and no request was
    /// answered after that; those not counted that the session left by its own choice. What was never sent waits on.
    WhenSafe,
}
