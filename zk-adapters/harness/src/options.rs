use core::time::Duration;

use crate::{Distribution, Ensemble, StartError};

/// How servers are configured, where that matters to a test.
///
/// Unless told otherwise: a tick of 500 ms; session timeouts granted from 2 ticks to 60 s; all four-letter words,
/// TTL nodes and (in ensembles) `reconfig` allowed; digest authentication as `super:super-secret` gives all rights;
/// containers and TTL nodes looked at each second; transaction logs not synced to disk; no admin server.
#[derive(Clone, Debug)]
pub struct Options {
    pub(crate) tick_time: Duration,
    pub(crate) min_session_timeout: Option<Duration>,
    pub(crate) max_session_timeout: Duration,
    pub(crate) tls: Option<ClientCertificates>,
    pub(crate) config_lines: Vec<String>,
    pub(crate) jvm_flags: Vec<String>,
    pub(crate) distribution: Option<Distribution>,
    pub(crate) patience: Duration,
}

impl Options {
    /// The defaults.
    pub fn new() -> Self {
        Self {
            tick_time: Duration::from_millis(500),
            min_session_timeout: None,
            max_session_timeout: Duration::from_secs(60),
            tls: None,
            config_lines: Vec::new(),
            jvm_flags: Vec::new(),
            distribution: None,
            patience: Duration::from_secs(60),
        }
    }

    /// ZooKeeper's `tickTime`, in whole milliseconds: the unit of its timeouts among servers.
    #[must_use]
    pub fn tick_time(mut self, tick_time: Duration) -> Self {
        self.tick_time = tick_time;
        self
    }

    /// The shortest session timeout that is granted, in whole milliseconds. Two ticks unless told.
    #[must_use]
    pub fn min_session_timeout(mut self, timeout: Duration) -> Self {
        self.min_session_timeout = Some(timeout);
        self
    }

    /// The longest session timeout that is granted, in whole milliseconds. 60 s unless told.
    #[must_use]
    pub fn max_session_timeout(mut self, timeout: Duration) -> Self {
        self.max_session_timeout = timeout;
        self
    }

    /// Each server has a second port, for TLS, with certificates made for the ensemble
    /// ([`Ensemble::certificates`]). Not with ZooKeeper 3.4, which has no TLS.
    #[must_use]
    pub fn tls(mut self, clients: ClientCertificates) -> Self {
        self.tls = Some(clients);
        self
    }

    /// One more line of each server's `zoo.cfg`, such as `localSessionsEnabled=true`. It must not name a key that
    /// has a setter here.
    #[must_use]
    pub fn config_line(mut self, line: impl Into<String>) -> Self {
        self.config_lines.push(line.into());
        self
    }

    /// One more flag of each server's JVM, such as `-Dreadonlymode.enabled=true`. It overrides an earlier one.
    #[must_use]
    pub fn jvm_flag(mut self, flag: impl Into<String>) -> Self {
        self.jvm_flags.push(flag.into());
        self
    }

    /// Which ZooKeeper is run; that of [`Distribution::find`] unless told.
    #[must_use]
    pub fn distribution(mut self, distribution: Distribution) -> Self {
        self.distribution = Some(distribution);
        self
    }

    /// How long each server may take from its start until it serves. 60 s unless told.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Starts one server without an ensemble, and waits until it serves. It has no `reconfig`.
    ///
    /// # Errors
    ///
    /// [`StartError`], with the end of the server's log.
    pub fn standalone(self) -> Result<Ensemble, StartError> {
        Ensemble::with(self, Topology::Standalone)
    }

    /// Starts an ensemble, and waits until all its servers serve. An ensemble of one is a quorum of one.
    ///
    /// # Errors
    ///
    /// [`StartError`], with the end of the failing server's log.
    ///
    /// # Panics
    ///
    /// If `servers` is 0.
    pub fn start(self, servers: usize) -> Result<Ensemble, StartError> {
        assert!(servers > 0, "an ensemble has servers");
        Ensemble::with(self, Topology::Quorum { servers })
    }
}

/// Whether TLS servers want certificates from their clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "they do or they don't")]
pub enum ClientCertificates {
    /// Only clients that have one may connect.
    Needed,
    /// They aren't asked for.
    Ignored,
}

impl Default for Options {
    fn default() -> Self {
        Self::new()
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Topology {
    Standalone,
    Quorum { servers: usize },
}
