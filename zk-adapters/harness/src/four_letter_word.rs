use core::fmt;
use core::net::SocketAddr;
use core::time::Duration;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};

/// What a server is at the moment, as its answer to `srvr` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mode {
    /// The only server there is.
    Standalone,
    /// The one server of an ensemble that orders writes.
    Leader,
    /// A voting server that follows the leader.
    Follower,
    /// A server that follows without a vote.
    Observer,
    /// A server without a quorum that serves reads.
    ReadOnly,
}

impl Mode {
    fn from_srvr(answer: &str) -> Option<Self> {
        let word = answer.lines().find_map(|line| line.strip_prefix("Mode: "))?;
        MODES.into_iter().find(|mode| mode.word() == word)
    }

    fn word(self) -> &'static str {
        match self {
            Self::Standalone => "standalone",
            Self::Leader => "leader",
            Self::Follower => "follower",
            Self::Observer => "observer",
            Self::ReadOnly => "read-only",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Sends a four-letter word (`srvr`, `cons`, `wchp`, ...) and returns the whole answer.
///
/// # Errors
///
/// Those of the connection; `TimedOut` or `WouldBlock` if the server takes more than 2 seconds at a time.
pub fn ask(server: SocketAddr, word: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&server, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(word.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    // The server ends the connection; it may have done so already.
    let _ = stream.shutdown(Shutdown::Both);
    Ok(answer)
}

/// The server's mode; none while it does not serve.
pub(crate) fn mode(server: SocketAddr) -> Option<Mode> {
    Mode::from_srvr(&ask(server, "srvr").ok()?)
}

const PATIENCE: Duration = Duration::from_secs(2);
const MODES: [Mode; 5] = [Mode::Standalone, Mode::Leader, Mode::Follower, Mode::Observer, Mode::ReadOnly];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mode_is_read_from_a_servers_answer() {
        let answer =
            "Zookeeper version: 3.8.0-${mvngit.commit.id}, built on 2022\nMode: follower\nNode count: 5\n";
        assert_eq!(Mode::from_srvr(answer), Some(Mode::Follower));
    }

    #[test]
    fn a_server_that_says_it_does_not_serve_has_no_mode() {
        let answer = "This ZooKeeper instance is not currently serving requests\n";
        assert_eq!(Mode::from_srvr(answer), None);
    }
}
