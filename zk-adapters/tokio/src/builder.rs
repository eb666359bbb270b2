use core::{
    hash::{BuildHasher, Hasher},
    time::Duration,
};
use std::{hash::RandomState, sync::Arc};

use tokio::time::{Instant, timeout};
use zk_client::Recording;
use zk_proto::{Acl, ConnectString, ConnectStringError, OPEN_ACL_UNSAFE, Vector};
use zk_session::{Config, Credentials, Epoch};

use crate::{
    Client, ConnectError, SessionEvents, driver::Driver, shared::Shared, trace, transport::Security,
};

/// How a session is made: what isn't told has a default.
///
/// ```no_run
/// use std::time::Duration;
/// use zk_tokio::Client;
///
/// # async fn f() -> Result<(), zk_tokio::ConnectError> {
/// let (client, events) = Client::builder("zk1,zk2,zk3/app")?
///     .session_timeout(Duration::from_secs(6))
///     .connect_limit(Duration::from_secs(10))
///     .connect()
///     .await?;
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
            deadline: None,
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
    /// use zk_tokio::{Client, Recorder};
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
    /// ([`Client::with_deadline`]). Default: for ever.
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
    /// The client's driver is spawned as one task on the current runtime. The events are those from the very first
    /// on; who doesn't want them drops them.
    ///
    /// # Errors
    ///
    /// [`ConnectError`], with the reason for each server.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime, or if that has no I/O or no time enabled.
    pub async fn connect(self) -> Result<(Client, SessionEvents), ConnectError> {
        let limit = self.connect_limit;
        let (client, events) = self.start();
        match timeout(limit, client.established()).await {
            Ok(Ok(())) => Ok((client, events)),
            Ok(Err(end)) => Err(end.into()),
            Err(_) => Err(ConnectError::TimedOut { limit, failures: client.failures() }),
        }
    }

    /// Begins to establish the session, and doesn't wait for it: requests are queued meanwhile.
    ///
    /// # Panics
    ///
    /// As [`connect`](Self::connect).
    pub fn start(self) -> (Client, SessionEvents) {
        let epoch = Epoch::new(Instant::now().into_std());
        let session = self.recording.open(self.config, zk_session::Instant::ZERO);
        let shared = Arc::new(Shared::new(session, epoch));
        trace::spawn(Driver::new(Arc::clone(&shared), self.security));
        let events = SessionEvents::new(Arc::clone(&shared));
        (Client::new(shared, self.deadline, self.acl), events)
    }
}

const DEFAULT_CONNECT_LIMIT: Duration = Duration::from_secs(30);
