use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::net::Ipv6Addr;
use core::str::FromStr;

use crate::{PathError, validate_path};

/// The port that servers listen on unless told otherwise.
pub const DEFAULT_PORT: u16 = 2181;

/// Where a server listens: a name or an address, and a port. Resolving the name is the driver's affair. Copies share the
/// name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerAddr {
    /// The name or address; an IPv6 address without brackets.
    pub host: Arc<str>,
    /// The TCP port.
    pub port: u16,
}

/// ZooKeeper's `host:port,host:port/chroot`.
///
/// ```
/// let parsed: zk_proto::ConnectString = "zk1, zk2:2182,[::1]:2183/app".parse()?;
/// assert_eq!(parsed.servers.len(), 3);
/// assert_eq!(parsed.servers[0].to_string(), "zk1:2181");
/// assert_eq!(parsed.servers[2].to_string(), "[::1]:2183");
/// assert_eq!(parsed.chroot.as_deref(), Some("/app"));
/// # Ok::<(), zk_proto::ConnectStringError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ConnectString {
    /// The servers in the order written, never none; the same one can be there twice.
    pub servers: Vec<ServerAddr>,
    /// The path under which the client lives; `None` for the root.
    pub chroot: Option<String>,
}

/// What is wrong with a connect string, or with one server in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectStringError {
    /// No server is named.
    #[error("connect string {0:?}: no server")]
    NoServer(String),
    /// A server's host is empty.
    #[error("server {0:?}: no host")]
    NoHost(String),
    /// A bracket isn't closed, what it holds is no IPv6 address, or something other than a port follows it.
    #[error("server {0:?}: not [IPv6 address] or [IPv6 address]:port")]
    Brackets(String),
    /// A host has a character that no name or address has.
    #[error("server {server:?}: character {char:?} is not allowed")]
    Character {
        /// The server as written.
        server: String,
        /// The character.
        char: char,
    },
    /// A port isn't a number from 1 to 65535.
    #[error("server {server:?}: port {port:?} is not within 1 to 65535")]
    Port {
        /// The server as written.
        server: String,
        /// The port as written.
        port: String,
    },
    /// The chroot has a comma, so it was probably meant to end before it: one chroot holds for all servers.
    #[error("chroot {0:?}: has a comma; the chroot is written once, after the last server")]
    ChrootComma(String),
    /// The chroot is no valid path.
    #[error("chroot: {0}")]
    Chroot(PathError),
}

impl ConnectString {
    /// Reads servers with commas between, and the chroot from the first slash on.
    ///
    /// White space around servers and empty entries are dropped; a missing port is 2181. A bare IPv6 address is all
    /// address: with a port it needs brackets.
    ///
    /// # Errors
    /// If a server or the chroot is malformed, or no server is named. A chroot whose names have commas
    /// can't be written so; set [`chroot`](Self::chroot).
    pub fn parse(text: &str) -> Result<Self, ConnectStringError> {
        let slash = text.find('/').unwrap_or(text.len());
        let (servers, chroot) = text.split_at(slash);
        let servers = servers.split(',').map(str::trim).filter(|server| !server.is_empty());
        let mut servers = servers.map(ServerAddr::from_str).collect::<Result<Vec<_>, _>>()?;
        servers.shrink_to_fit();
        if servers.is_empty() {
            return Err(ConnectStringError::NoServer(text.to_string()));
        }
        Ok(Self { servers, chroot: parse_chroot(chroot)? })
    }
}

impl FromStr for ConnectString {
    type Err = ConnectStringError;

    fn from_str(text: &str) -> Result<Self, ConnectStringError> {
        Self::parse(text)
    }
}

impl fmt::Display for ConnectString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, server) in self.servers.iter().enumerate() {
            write!(f, "{}{server}", if index == 0 { "" } else { "," })?;
        }
        f.write_str(self.chroot.as_deref().unwrap_or_default())
    }
}

impl ServerAddr {
    /// Takes the host as it is.
    pub fn new(host: impl Into<Arc<str>>, port: u16) -> Self {
        Self { host: host.into(), port }
    }
}

impl FromStr for ServerAddr {
    type Err = ConnectStringError;

    fn from_str(server: &str) -> Result<Self, ConnectStringError> {
        if server.starts_with('[') {
            return parse_bracketed(server);
        }
        if server.parse::<Ipv6Addr>().is_ok() {
            return Ok(Self::new(server, DEFAULT_PORT));
        }
        let (host, port) = server.rsplit_once(':').unwrap_or((server, ""));
        let host = host.trim_end();
        if host.is_empty() {
            return Err(ConnectStringError::NoHost(server.to_string()));
        }
        if let Some(char) = host.chars().find(|char| is_refused(*char)) {
            return Err(ConnectStringError::Character { server: server.to_string(), char });
        }
        let port = if port.is_empty() { DEFAULT_PORT } else { parse_port(server, port)? };
        Ok(Self::new(host, port))
    }
}

/// Puts brackets around an IPv6 address.
impl fmt::Display for ServerAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

fn parse_bracketed(server: &str) -> Result<ServerAddr, ConnectStringError> {
    let malformed = || ConnectStringError::Brackets(server.to_string());
    let (host, rest) = server.get(1..).and_then(|rest| rest.split_once(']')).ok_or_else(malformed)?;
    let (address, _zone) = host.split_once('%').unwrap_or((host, ""));
    address.parse::<Ipv6Addr>().map_err(|_| malformed())?;
    let port = match rest.strip_prefix(':') {
        Some(port) if !port.is_empty() => parse_port(server, port)?,
        None if rest.is_empty() => DEFAULT_PORT,
        Some(_) | None => return Err(malformed()),
    };
    Ok(ServerAddr::new(host, port))
}

fn parse_port(server: &str, port: &str) -> Result<u16, ConnectStringError> {
    let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    match port.parse() {
        Ok(number @ 1..) if digits => Ok(number),
        Ok(_) | Err(_) => {
            Err(ConnectStringError::Port { server: server.to_string(), port: port.to_string() })
        }
    }
}

fn parse_chroot(chroot: &str) -> Result<Option<String>, ConnectStringError> {
    if matches!(chroot, "" | "/") {
        return Ok(None);
    }
    if chroot.contains(',') {
        return Err(ConnectStringError::ChrootComma(chroot.to_string()));
    }
    validate_path(chroot).map_err(ConnectStringError::Chroot)?;
    Ok(Some(chroot.to_string()))
}

/// What would make a host ambiguous or unprintable; whether it exists is for the resolver to say.
fn is_refused(char: char) -> bool {
    char.is_whitespace() || char.is_control() || matches!(char, ':' | '[' | ']' | '/' | ',')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> String {
        match ConnectString::parse(text) {
            Ok(parsed) => parsed.to_string(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn what_java_accepts_without_ambiguity_is_accepted() {
        let cases = [
            ("a", "a:2181"),
            ("a:", "a:2181"),
            ("a:1/", "a:1"),
            (" a:1 , b ,, c:65535 /x/y", "a:1,b:2181,c:65535/x/y"),
            ("a,a", "a:2181,a:2181"),
            ("[::1]", "[::1]:2181"),
            ("[fe80::1%eth0]:5", "[fe80::1%eth0]:5"),
            ("2001:db8::1", "[2001:db8::1]:2181"),
            ("127.0.0.1:02181", "127.0.0.1:2181"),
        ];
        for (text, expected) in cases {
            assert_eq!(parsed(text), expected, "{text:?}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let cases = [
            ("", "connect string \"\": no server"),
            (" , ", "connect string \" , \": no server"),
            ("/app", "connect string \"/app\": no server"),
            (":2181", "server \":2181\": no host"),
            ("a:0", "server \"a:0\": port \"0\" is not within 1 to 65535"),
            ("a:65536", "server \"a:65536\": port \"65536\" is not within 1 to 65535"),
            ("a:+1", "server \"a:+1\": port \"+1\" is not within 1 to 65535"),
            ("a:b:1", "server \"a:b:1\": character ':' is not allowed"),
            ("a b", "server \"a b\": character ' ' is not allowed"),
            ("[::1", "server \"[::1\": not [IPv6 address] or [IPv6 address]:port"),
            ("[]:1", "server \"[]:1\": not [IPv6 address] or [IPv6 address]:port"),
            ("[::1]1", "server \"[::1]1\": not [IPv6 address] or [IPv6 address]:port"),
            ("[::1]:", "server \"[::1]:\": not [IPv6 address] or [IPv6 address]:port"),
            (
                "a:1/x,b:2/x",
                "chroot \"/x,b:2/x\": has a comma; the chroot is written once, after the last server",
            ),
            ("a/x/", "chroot: path \"/x/\": ends with /"),
            ("a//", "chroot: path \"//\": ends with /"),
        ];
        for (text, expected) in cases {
            assert_eq!(parsed(text), expected, "{text:?}");
        }
    }
}
