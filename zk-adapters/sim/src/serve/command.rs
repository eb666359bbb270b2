//! Faults as words, for a terminal or a script.

use core::{fmt::Write as _, num::ParseIntError, time::Duration};
use std::io;

use zk_session::zk_proto::SessionId;

use crate::serve::Served;

/// Something to do to a served ensemble, as a line of text tells it. Servers are counted from 1, as in ZooKeeper's own
/// configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Command {
    /// `cut SERVER`
    Cut(usize),
    /// `expire SESSION`
    Expire(SessionId),
    /// `pause SERVER`
    Pause(usize),
    /// `resume SERVER`
    Resume(usize),
    /// `crash SERVER`
    Crash(usize),
    /// `restart SERVER`
    Restart(usize),
    /// `leader SERVER`
    Lead(usize),
    /// `leader`
    Leader,
    /// `isolate SERVER`
    Isolate(usize),
    /// `rejoin SERVER`
    Rejoin(usize),
    /// `lag SERVER TIME`
    Lag(usize, Duration),
    /// `wipe`
    Wipe,
    /// `heal`
    Heal,
    /// `sessions`
    Sessions,
    /// `help`
    Help,
}

/// Why a line is no command, or can't be done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommandError {
    /// The first word is none of those known.
    #[error("{word:?}: no such command; `help` lists them")]
    Unknown {
        /// The word.
        word: String,
    },
    /// There is a word too few or too many.
    #[error("{usage}: {given} word(s) given")]
    Words {
        /// How the command is written.
        usage: &'static str,
        /// How many words followed the command's.
        given: usize,
    },
    /// Not a server of this ensemble.
    #[error("server {word:?}: not one of 1 to {most}")]
    Server {
        /// The word.
        word: String,
        /// The last server.
        most: usize,
    },
    /// Not a session's id.
    #[error("session {word:?}: not a number in hexadecimal such as 0x100000000000001: {source}")]
    SessionId {
        /// The word.
        word: String,
        /// What is wrong with it.
        source: ParseIntError,
    },
    /// No session has this id.
    #[error("session {id}: there is none; `sessions` lists them")]
    NoSession {
        /// The id.
        id: SessionId,
    },
    /// Not a time.
    #[error("time {word:?}: not a number with ms or s, such as 500ms")]
    Time {
        /// The word.
        word: String,
    },
    /// A server can't listen.
    #[error(transparent)]
    Listen(#[from] io::Error),
}

impl Command {
    /// Reads a line: the command for an ensemble of so many servers; none if the line is blank.
    ///
    /// # Errors
    /// If it is no command.
    pub fn parse(line: &str, servers: usize) -> Result<Option<Self>, CommandError> {
        let words: Vec<_> = line.split_whitespace().collect();
        let Some((word, rest)) = words.split_first() else { return Ok(None) };
        let Some((_, usage, _)) = COMMANDS.iter().find(|(known, ..)| known == word) else {
            return Err(CommandError::Unknown { word: (*word).to_owned() });
        };
        let server = |word: &str| {
            let number = word.parse().ok().filter(|number| (1..=servers).contains(number));
            let unknown = || CommandError::Server { word: word.to_owned(), most: servers };
            number.map(|number: usize| number - 1).ok_or_else(unknown)
        };
        Ok(Some(match (*word, rest) {
            ("cut", [number]) => Self::Cut(server(number)?),
            ("expire", [id]) => Self::Expire(session(id)?),
            ("pause", [number]) => Self::Pause(server(number)?),
            ("resume", [number]) => Self::Resume(server(number)?),
            ("crash", [number]) => Self::Crash(server(number)?),
            ("restart", [number]) => Self::Restart(server(number)?),
            ("leader", []) => Self::Leader,
            ("leader", [number]) => Self::Lead(server(number)?),
            ("isolate", [number]) => Self::Isolate(server(number)?),
            ("rejoin", [number]) => Self::Rejoin(server(number)?),
            ("lag", [number, lag]) => Self::Lag(server(number)?, time(lag)?),
            ("wipe", []) => Self::Wipe,
            ("heal", []) => Self::Heal,
            ("sessions", []) => Self::Sessions,
            ("help", []) => Self::Help,
            (_, rest) => return Err(CommandError::Words { usage, given: rest.len() }),
        }))
    }

    /// Does it, and says what there is to say; nothing where there is nothing.
    ///
    /// # Errors
    /// If there is no such session, or a server can't listen on its port again.
    pub fn perform(self, served: &Served) -> Result<String, CommandError> {
        match self {
            Self::Cut(server) => served.cut(server),
            Self::Expire(id) if served.sessions().iter().any(|session| session.id == id) => served.expire(id),
            Self::Expire(id) => return Err(CommandError::NoSession { id }),
            Self::Pause(server) => served.pause(server),
            Self::Resume(server) => served.resume(server),
            Self::Crash(server) => served.crash(server),
            Self::Restart(server) => served.restart(server)?,
            Self::Lead(server) => {
                served.lead(server);
                return Ok(leader(served));
            }
            Self::Leader => return Ok(leader(served)),
            Self::Isolate(server) => served.isolate(server),
            Self::Rejoin(server) => served.rejoin(server),
            Self::Lag(server, lag) => served.set_lag(server, lag),
            Self::Wipe => served.wipe()?,
            Self::Heal => served.heal()?,
            Self::Sessions => return Ok(sessions(served)),
            Self::Help => return Ok(help()),
        }
        Ok(String::new())
    }
}

fn session(word: &str) -> Result<SessionId, CommandError> {
    let digits = word.strip_prefix("0x").unwrap_or(word);
    let wrong = |source| CommandError::SessionId { word: word.to_owned(), source };
    u64::from_str_radix(digits, 16).map(|id| SessionId(id.cast_signed())).map_err(wrong)
}

fn time(word: &str) -> Result<Duration, CommandError> {
    let millis = word.strip_suffix("ms").map(|number| (number, 1));
    let seconds = || word.strip_suffix('s').map(|number| (number, 1_000));
    let parsed =
        millis.or_else(seconds).and_then(|(number, unit)| number.parse::<u64>().ok()?.checked_mul(unit));
    parsed.map(Duration::from_millis).ok_or_else(|| CommandError::Time { word: word.to_owned() })
}

fn leader(served: &Served) -> String {
    served
        .leader()
        .map_or_else(|| "there is no leader".to_owned(), |leader| format!("server {} leads", leader + 1))
}

fn sessions(served: &Served) -> String {
    let mut lines = String::new();
    for session in served.sessions() {
        let server = match session.server {
            Some(server) => format!("on server {}", server + 1),
            None => "not connected".to_owned(),
        };
        let (timeout, left) = (session.timeout.as_millis(), session.left.as_millis());
        writeln!(lines, "{}  {server}, timeout {timeout} ms, {left} ms left", session.id)
            .expect("a string can be written to");
    }
    if lines.is_empty() { "there are no sessions".to_owned() } else { lines.trim_end().to_owned() }
}

fn help() -> String {
    let width = COMMANDS.iter().map(|(_, usage, _)| usage.len()).max().unwrap_or(0);
    let lines: Vec<_> = COMMANDS.iter().map(|(_, usage, what)| format!("{usage:width$}  {what}")).collect();
    lines.join("\n")
}

const COMMANDS: [(&str, &str, &str); 14] = [
    ("cut", "cut SERVER", "close all connections to a server"),
    ("expire", "expire SESSION", "end a session, as if its client were gone"),
    ("pause", "pause SERVER", "freeze a server: it accepts connections and answers nothing"),
    ("resume", "resume SERVER", "let a paused server go on"),
    ("crash", "crash SERVER", "kill a server: connections are refused"),
    ("restart", "restart SERVER", "start a killed server"),
    ("leader", "leader [SERVER]", "make a server the leader, or tell which one is"),
    ("isolate", "isolate SERVER", "cut a server off from the others, not from clients"),
    ("rejoin", "rejoin SERVER", "end its isolation"),
    ("lag", "lag SERVER TIME", "let a server hear of changes so much later: 500ms, 2s"),
    ("wipe", "wipe", "lose all data, on all servers"),
    ("heal", "heal", "start, resume and rejoin all servers, without lag"),
    ("sessions", "sessions", "list the sessions"),
    ("help", "help", "list the commands"),
];
