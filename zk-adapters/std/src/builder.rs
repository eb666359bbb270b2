use core::{
    hash::{BuildHasher, Hasher},
    time::Duration,
};
use std::{hash::RandomState, sync::Arc};

use zk_client::Recording;
use zk_proto::{Acl, ConnectString, ConnectStringError, OPEN_ACL_UNSAFE, Vector};
use zk_session::{Config, Credentials};

use crate::{Client, ConnectError, SessionEvents, shared::Shared, ticker, transport::Security};

/// How a session is made: what isn't told has a default.
///
/// ```no_run
/// use std::time::Duration;
/// use zk_std::Client;
///
/// # fn f() -> Result<(), zk_std::ConnectError> {
/// let (client, events) = Client::builder("zk1,zk2,zk3/app")?
///     .session_timeout(Duration::from_secs(6))
///     .connect_limit(Duration::from_secs(10))
///     .connect()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing happens before it connects"]
pub struct Builder {
    config: Config,
    connect_limit: Duration,
    deadline: Option<Duration>,
    acl: Vector<Acl>,
    security: Security,
    recording: Recording,
}

impl Builder {
    pub(crate) fn new(connect_string: &str) -> Result<Self, ConnectStringError> {
        let connect_string: ConnectString = connect_string.parse()?;
        let mut config = Config::new(connect_string);
        // Made of the operating system's entropy.
        config.seed = RandomState::new().build_hasher().finish();
        Ok(Self {
            config,
            connect_limit: DEFAULT_CONNECT_LIMIT,
            deadline: Some(DEFAULT_DEADLINE),
            acl: OPEN_ACL_UNSAFE,
            security: Security::default(),
            recording: Recording::default(),
        })
    }

    /// The session timeout to ask for; the servers grant it within their own limits. Default: 10 s.
    pub fn session_timeout(mut self, timeout: Duration) -> Self {
        self.config.session_timeout = timeout;
        self
    }

    /// Orders the servers and jitters the back-off, and nothing else. Default: random.
    pub fn seed(mut self, seed: u64) -> Self {
        self.config.seed = seed;
        self
    }

    /// Speaks TLS with the servers. Default: plain TCP.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: crate::Tls) -> Self {
        self.security.tls = Some(tls);
        self
    }

    /// Records the session that is made next, as a transcript that can be replayed: attach it to a bug report. The
    /// session's password and its other secrets aren't in it; paths, data and ACLs are. See [`Recorder`](crate::Recorder)
    /// for what else it means. Default: not recorded.
    ///
    /// ```no_run
    /// use zk_std::{Client, Recorder};
    ///
    /// # fn f() -> Result<(), Box<dyn core::error::Error>> {
    /// let builder = Client::builder("zk1,zk2,zk3")?.record(Recorder::create("trouble.drive")?);
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "record")]
    pub fn record(mut self, recorder: crate::Recorder) -> Self {
        self.recording.recorder = Some(recorder);
        self
    }

    /// A session to resume, instead of creating one: that of [`Client::credentials`].
    pub fn resume(mut self, credentials: Credentials) -> Self {
        self.config.resume = Some(credentials);
        self
    }

    /// How long [`connect`](Self::connect) may take. Default: 30 s.
    pub fn connect_limit(mut self, limit: Duration) -> Self {
        self.connect_limit = limit;
        self
    }

    /// How long each request may take, counted from its submission, unless its handle says otherwise
    /// ([`Client::with_deadline`], [`Client::without_deadline`]). Default: 30 s.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// The ACL of the znodes that are created, unless a handle says otherwise ([`Client::with_acl`]). Default:
    /// everybody may do everything, as with ZooKeeper's own shell.
    pub fn acl(mut self, acl: impl Into<Vector<Acl>>) -> Self {
        self.acl = acl.into();
        self
    }

    /// Changes anything else that a session is told, such as its limits.
    pub fn configure(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(&mut self.config);
        self
    }

    /// Establishes the session; or, after a failure, gives it up.
    ///
    /// Two threads of the client's own keep the session alive until it has ended. The events are those from the very
    /// first on; who doesn't want them drops them.
    ///
    /// # Errors
    ///
    /// [`ConnectError`], with the reason for each server.
    pub fn connect(self) -> Result<(Client, SessionEvents), ConnectError> {
        let limit = self.connect_limit;
        let (client, events) = self.start()?;
        match client.established(limit) {
            Some(Ok(())) => Ok((client, events)),
            Some(Err(end)) => Err(end.into()),
            None => Err(ConnectError::TimedOut { limit, failures: client.failures() }),
        }
    }

    /// Begins to establish the session, and doesn't wait for it: requests are queued meanwhile.
    ///
    /// # Errors
    ///
    /// [`ConnectError::NoThread`], if the operating system refuses one.
    pub fn start(self) -> Result<(Client, SessionEvents), ConnectError> {
        let session = self.recording.open(self.config, zk_session::Instant::ZERO);
        let shared = Arc::new(Shared::new(session, self.security));
        ticker::spawn(&shared).map_err(|error| ConnectError::NoThread(Arc::new(error)))?;
        let events = SessionEvents::new(Arc::clone(&shared));
        Ok((Client::new(shared, self.deadline, self.acl), events))
    }
}

const DEFAULT_CONNECT_LIMIT: Duration = Duration::from_secs(30);
const DEFAULT_DEADLINE: Duration = Duration::from_secs(30);
