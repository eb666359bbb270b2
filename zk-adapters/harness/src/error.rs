use core::error::Error;
use core::fmt;
use core::time::Duration;
use std::io;
use std::path::PathBuf;

/// Why servers could not be started, or do not serve. Its `Debug`, which is what tests show that unwrap it, is the
/// message and its cause.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// There is no ZooKeeper to run.
    #[error(
        "no ZooKeeper server to test with: {looked_at}. Either install Debian's package \
         (apt-get install libzookeeper-java default-jre-headless), or unpack a release from zookeeper.apache.org \
         and set ZOOKEEPER_HOME to its folder"
    )]
    NoDistribution {
        /// What was looked at, and what it lacked.
        looked_at: String,
    },

    /// There is no Java to run ZooKeeper with.
    #[error(
        "cannot run {}, which ZooKeeper needs. Either install one (apt-get install default-jre-headless), \
         or set JAVA_HOME", java.display()
    )]
    NoJava {
        /// The program that was tried.
        java: PathBuf,
    },

    /// All ports that servers are given are in use.
    #[error("no free port from {first} to {last}")]
    NoFreePort {
        /// First port that was tried.
        first: u16,
        /// Last port that was tried.
        last: u16,
    },

    /// A server ended while it was starting.
    #[error("server {server} ended while starting; the end of its log:\n{log}")]
    Ended {
        /// Which server, counted from 0.
        server: usize,
        /// The last lines of its log.
        log: String,
    },

    /// A server does not serve clients in time.
    #[error("server {server} does not serve after {waited:?}; the end of its log:\n{log}")]
    NotServing {
        /// Which server, counted from 0.
        server: usize,
        /// How long it was waited for.
        waited: Duration,
        /// The last lines of its log.
        log: String,
    },

    /// A file could not be written, or a process could not be run.
    #[error("cannot {what}")]
    Io {
        /// What was tried, as a verb with its object.
        what: String,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
}

impl fmt::Debug for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")?;
        self.source().map_or(Ok(()), |source| write!(f, ": {source}"))
    }
}

/// Names what was tried when an operation of the operating system fails.
pub(crate) trait Context<T> {
    fn context(self, what: impl FnOnce() -> String) -> Result<T, StartError>;
}

impl<T> Context<T> for io::Result<T> {
    fn context(self, what: impl FnOnce() -> String) -> Result<T, StartError> {
        self.map_err(|source| StartError::Io { what: what(), source })
    }
}
