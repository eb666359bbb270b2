use core::net::{Ipv4Addr, SocketAddr};
use core::sync::atomic::{AtomicU16, Ordering};
use std::env;
use std::fs::{self, File};
use std::net::TcpListener;
use std::process;

use rustix::fs::{FlockOperation, flock};

use crate::StartError;
use crate::error::Context;

/// A loopback port that no other test on this machine is given as long as this value lives.
///
/// It is below the range from which the operating system picks ports for outgoing connections, so that it stays free
/// while a server is down. A lock on a file holds it: the lock ends with the process.
#[derive(Debug)]
pub struct ReservedPort {
    port: u16,
    _lock: File,
}

impl ReservedPort {
    /// Reserves a port that nobody listens on.
    ///
    /// # Errors
    ///
    /// [`StartError::NoFreePort`], and [`StartError::Io`] if the folder of locks can't be written.
    pub fn take() -> Result<Self, StartError> {
        let folder = env::temp_dir().join(format!("zk-harness-ports-{}", rustix::process::getuid().as_raw()));
        fs::create_dir_all(&folder).context(|| format!("create {}", folder.display()))?;
        for _ in 0..PORTS {
            let port = next_candidate();
            let path = folder.join(port.to_string());
            let lock = File::create(&path).context(|| format!("write {}", path.display()))?;
            let is_ours = flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok();
            if is_ours && TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
                return Ok(Self { port, _lock: lock });
            }
        }
        Err(StartError::NoFreePort { first: FIRST_PORT, last: FIRST_PORT + PORTS - 1 })
    }

    /// The port's number.
    pub fn number(&self) -> u16 {
        self.port
    }

    /// The port on 127.0.0.1.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }
}

/// Each process begins somewhere else and goes round, so that a port rests before it is used again.
fn next_candidate() -> u16 {
    static TAKEN: AtomicU16 = AtomicU16::new(0);
    let start = process::id().wrapping_mul(97) % u32::from(PORTS);
    let step = u32::from(TAKEN.fetch_add(1, Ordering::Relaxed));
    let offset = (start + step) % u32::from(PORTS);
    FIRST_PORT + u16::try_from(offset).expect("less than PORTS, which is a u16")
}

const FIRST_PORT: u16 = 17_000;
const PORTS: u16 = 15_000;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_port_is_given_twice_at_a_time() {
        let ports: Vec<_> = (0..100).map(|_| ReservedPort::take().unwrap()).collect();
        let numbers: BTreeSet<_> = ports.iter().map(ReservedPort::number).collect();
        assert_eq!(numbers.len(), ports.len());
    }

    #[test]
    fn a_port_in_use_is_not_given() {
        let reserved = ReservedPort::take().unwrap();
        let listener = TcpListener::bind(reserved.address()).unwrap();
        drop(reserved);
        let taken: Vec<_> = (0..200).map(|_| ReservedPort::take().unwrap().number()).collect();
        assert!(!taken.contains(&listener.local_addr().unwrap().port()));
    }
}
