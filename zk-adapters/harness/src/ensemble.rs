use core::net::SocketAddr;
use core::time::Duration;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Instant;

use tempfile::TempDir;

use crate::error::Context;
use crate::four_letter_word::{self, Mode};
use crate::options::Topology;
use crate::plan::Plan;
use crate::server::Server;
use crate::{Certificates, Distribution, Options, StartError};

/// Running ZooKeeper servers on loopback ports of their own, with their data in a temporary folder.
///
/// Servers are counted from 0; server 0 is `server.1` in ZooKeeper's words. Methods that take a server panic if there
/// is none with that number. When this value is dropped, the servers are killed and the folder is removed; if that
/// is by a panic, the ends of their logs are printed first. The same happens, from outside, when the process ends
/// without dropping it, be it by SIGKILL.
#[derive(Debug)]
pub struct Ensemble {
    servers: Vec<Server>,
    patience: Duration,
    certificates: Option<Certificates>,
    folder: TempDir,
}

impl Ensemble {
    /// Starts one server without an ensemble, with the default [`Options`].
    ///
    /// # Errors
    ///
    /// [`StartError`], with the end of the server's log.
    pub fn standalone() -> Result<Self, StartError> {
        Options::new().standalone()
    }

    /// Starts an ensemble with the default [`Options`], and waits until all its servers serve.
    ///
    /// # Errors
    ///
    /// [`StartError`], with the end of the failing server's log.
    ///
    /// # Panics
    ///
    /// If `servers` is 0.
    pub fn start(servers: usize) -> Result<Self, StartError> {
        Options::new().start(servers)
    }

    pub(crate) fn with(options: Options, topology: Topology) -> Result<Self, StartError> {
        let mut attempts = 1..=START_ATTEMPTS;
        loop {
            attempts.next();
            match Self::try_with(&options, topology) {
                // Another program took a port after it was found free.
                Err(StartError::Ended { log, .. }) if log.contains(IN_USE) && !attempts.is_empty() => {}
                outcome => return outcome,
            }
        }
    }

    fn try_with(options: &Options, topology: Topology) -> Result<Self, StartError> {
        let distribution = options.distribution.clone().map_or_else(Distribution::find, Ok)?;
        let folder = tempfile::Builder::new().prefix("zk-harness-").tempdir();
        let folder = folder.context(|| "create a temporary folder".to_owned())?;
        let plan = Plan::new(options, &distribution, topology, folder.path())?;
        let certificates = plan.certificates();
        let mut ensemble = Self { servers: Vec::new(), patience: options.patience, certificates, folder };
        for server in plan.write(ensemble.folder.path())? {
            server.launch()?;
            ensemble.servers.push(server);
        }
        for server in &ensemble.servers {
            server.wait_until_serving(options.patience)?;
        }
        Ok(ensemble)
    }

    /// How many servers there are, running or not.
    #[expect(clippy::len_without_is_empty, reason = "an ensemble has servers")]
    pub fn len(&self) -> usize {
        self.servers.len()
    }

    /// The addresses of all servers, as clients take them.
    pub fn connect_string(&self) -> String {
        let addresses: Vec<_> = self.servers.iter().map(|server| server.address().to_string()).collect();
        addresses.join(",")
    }

    /// The TLS addresses of all servers, as clients take them.
    ///
    /// # Panics
    ///
    /// Without [`Options::tls`].
    pub fn secure_connect_string(&self) -> String {
        let addresses: Vec<_> =
            (0..self.len()).map(|server| self.secure_address(server).to_string()).collect();
        addresses.join(",")
    }

    /// Where a server serves clients that speak TLS.
    ///
    /// # Panics
    ///
    /// Without [`Options::tls`].
    pub fn secure_address(&self, server: usize) -> SocketAddr {
        self.servers[server].secure_address().expect("the ensemble was asked for TLS")
    }

    /// The certificates of the servers and for their clients.
    ///
    /// # Panics
    ///
    /// Without [`Options::tls`].
    pub fn certificates(&self) -> &Certificates {
        self.certificates.as_ref().expect("the ensemble was asked for TLS")
    }

    /// Where a server serves clients.
    pub fn address(&self, server: usize) -> SocketAddr {
        self.servers[server].address()
    }

    /// Kills a server at once (SIGKILL). Its data stays.
    pub fn kill(&self, server: usize) {
        self.servers[server].kill();
    }

    /// Ends a server politely (SIGTERM), which closes its connections. Its data stays.
    pub fn stop(&self, server: usize) {
        self.servers[server].stop();
    }

    /// Starts a server with the data it has, and returns at once. If it runs, it is stopped first.
    ///
    /// # Errors
    ///
    /// [`StartError::Io`] if no process can be run.
    pub fn launch(&self, server: usize) -> Result<(), StartError> {
        self.servers[server].stop();
        self.servers[server].launch()
    }

    /// Starts a server with the data it has, and waits until it serves, which in an ensemble takes a quorum. If it
    /// runs, it is stopped first.
    ///
    /// # Errors
    ///
    /// [`StartError`], with the end of the server's log.
    pub fn restart(&self, server: usize) -> Result<(), StartError> {
        self.launch(server)?;
        self.wait_until_serving(server, self.patience).map(drop)
    }

    /// Freezes a server (SIGSTOP): its connections stay open, new ones are accepted, and nothing is answered.
    pub fn pause(&self, server: usize) {
        self.servers[server].pause();
    }

    /// Lets a paused server go on (SIGCONT).
    pub fn resume(&self, server: usize) {
        self.servers[server].resume();
    }

    /// The process that runs a server, if it was not stopped or killed here.
    pub fn pid(&self, server: usize) -> Option<u32> {
        self.servers[server].pid()
    }

    /// What a server is; none while it does not serve.
    pub fn mode(&self, server: usize) -> Option<Mode> {
        self.servers[server].mode()
    }

    /// The server that orders writes: the leader, or the standalone one; none while there is no such server.
    pub fn leader(&self) -> Option<usize> {
        let leads = |&server: &usize| matches!(self.mode(server), Some(Mode::Leader | Mode::Standalone));
        (0..self.servers.len()).find(leads)
    }

    /// Waits until there is a [`leader`](Self::leader), and returns it; none if that takes longer than `patience`.
    pub fn wait_for_leader(&self, patience: Duration) -> Option<usize> {
        let deadline = Instant::now() + patience;
        loop {
            let leader = self.leader();
            if leader.is_some() || Instant::now() >= deadline {
                return leader;
            }
            thread::sleep(POLL);
        }
    }

    /// Waits until a server serves, and returns as what.
    ///
    /// # Errors
    ///
    /// [`StartError::Ended`] or [`StartError::NotServing`], with the end of the server's log.
    pub fn wait_until_serving(&self, server: usize, patience: Duration) -> Result<Mode, StartError> {
        self.servers[server].wait_until_serving(patience)
    }

    /// A server's answer to a four-letter word, such as `cons` or `wchp`.
    ///
    /// # Errors
    ///
    /// Those of [`ask`](crate::ask).
    pub fn four_letter_word(&self, server: usize, word: &str) -> io::Result<String> {
        four_letter_word::ask(self.address(server), word)
    }

    /// The file with a server's log.
    pub fn log_path(&self, server: usize) -> PathBuf {
        self.servers[server].log_path()
    }

    /// The folder that holds all data and logs.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for Ensemble {
    fn drop(&mut self) {
        for server in &self.servers {
            server.kill();
            if thread::panicking() {
                eprintln!("the end of {}:\n{}\n", server.log_path().display(), server.end_of_log());
            }
        }
    }
}

/// In a server's log when another process has its port.
const IN_USE: &str = "Address already in use";
const START_ATTEMPTS: u32 = 3;
const POLL: Duration = Duration::from_millis(20);
