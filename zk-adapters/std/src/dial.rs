use core::{net::SocketAddr, time::Duration};
use std::{
    io,
    net::{TcpStream, ToSocketAddrs},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread,
};

use zk_client::{AddressError, DialError};
use zk_proto::ServerAddr;

/// Establishes a TCP connection to a server, in the time that is given after its name is resolved.
///
/// Its name is resolved anew, and every address is tried: the next one as soon as one has failed, or [`STAGGER`]
/// after the last one was begun. The first that accepts wins.
pub(crate) fn dial(server: &ServerAddr, limit: Duration) -> Result<(TcpStream, SocketAddr), DialError> {
    let addresses = (&*server.host, server.port).to_socket_addrs().map_err(DialError::Resolve)?;
    race(addresses.collect(), move |address| connect(address, limit))
}

/// Attempts at several addresses, each begun a little later than the one before.
fn race(
    addresses: Vec<SocketAddr>,
    connect: impl Fn(SocketAddr) -> io::Result<TcpStream> + Clone + Send + 'static,
) -> Result<(TcpStream, SocketAddr), DialError> {
    if let [address] = addresses[..] {
        let failed = |error| DialError::Addresses(vec![AddressError::new(address, error)]);
        return connect(address).map(|stream| (stream, address)).map_err(failed);
    }
    let (report, reports) = mpsc::channel();
    let mut errors = Vec::new();
    let mut under_way = 0;
    for address in addresses {
        let (connect, report) = (connect.clone(), report.clone());
        let attempt = move || {
            // Nobody listens any more if another address has won.
            let _ = report.send((address, connect(address)));
        };
        match thread::Builder::new().name("zk-dial".to_owned()).spawn(attempt) {
            Ok(_) => under_way += 1,
            Err(error) => errors.push(AddressError::new(address, error)),
        }
        if let Some(winner) = next_outcome(&reports, Some(STAGGER), &mut under_way, &mut errors) {
            return Ok(winner);
        }
    }
    while under_way > 0 {
        if let Some(winner) = next_outcome(&reports, None, &mut under_way, &mut errors) {
            return Ok(winner);
        }
    }
    Err(if errors.is_empty() { DialError::NoAddress } else { DialError::Addresses(errors) })
}

/// Waits for the outcome of one attempt, if any is under way.
fn next_outcome(
    reports: &Receiver<(SocketAddr, io::Result<TcpStream>)>,
    limit: Option<Duration>,
    under_way: &mut usize,
    errors: &mut Vec<AddressError>,
) -> Option<(TcpStream, SocketAddr)> {
    if *under_way == 0 {
        return None;
    }
    let report = match limit {
        Some(limit) => reports.recv_timeout(limit),
        None => reports.recv().map_err(|_| RecvTimeoutError::Disconnected),
    };
    let (address, outcome) = report.ok()?;
    *under_way -= 1;
    match outcome {
        Ok(stream) => Some((stream, address)),
        Err(error) => {
            errors.push(AddressError::new(address, error));
            None
        }
    }
}

fn connect(address: SocketAddr, limit: Duration) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, limit.max(SHORTEST))?;
    // Requests are coalesced before they are written: nothing is gained by holding them back.
    stream.set_nodelay(true)?;
    stream.set_write_timeout(Some(WRITE_PATIENCE))?;
    Ok(stream)
}

/// How long a thread that has other things to do waits until the server takes what it writes.
pub(crate) const WRITE_PATIENCE: Duration = Duration::from_millis(1);
/// How long an address may stay silent before the next one is tried beside it, as in RFC 8305.
const STAGGER: Duration = Duration::from_millis(250);
/// An attempt of no time at all can't be made.
const SHORTEST: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests {
    use core::net::{IpAddr, Ipv4Addr};
    use std::{net::TcpListener, time::Instant};

    use super::*;

    const SILENT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    const LIMIT: Duration = Duration::from_secs(20);

    fn run(addresses: Vec<SocketAddr>) -> Result<(TcpStream, SocketAddr), DialError> {
        race(addresses, |address| {
            if address.ip() == SILENT {
                thread::sleep(LIMIT);
            }
            connect(address, LIMIT)
        })
    }

    fn dead() -> SocketAddr {
        // It is nobody's any more.
        TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
    }

    #[test]
    fn the_next_address_is_tried_when_one_refuses_and_when_one_is_silent() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = server.local_addr().unwrap();
        let silent = SocketAddr::new(SILENT, 2181);
        let begun = Instant::now();
        let (stream, winner) = run(vec![dead(), silent, dead(), address]).unwrap();
        assert!(STAGGER <= begun.elapsed() && begun.elapsed() < LIMIT, "only the silent one costs time");
        assert_eq!((winner, stream.peer_addr().unwrap()), (address, address));
        assert!(stream.nodelay().unwrap());
    }

    #[test]
    fn the_failure_names_every_address() {
        let addresses = vec![dead(), dead()];
        let DialError::Addresses(errors) = run(addresses.clone()).unwrap_err() else { panic!("both refuse") };
        assert_eq!(errors.iter().map(|error| error.address).collect::<Vec<_>>(), addresses);
    }

    #[test]
    fn an_address_is_resolved_from_its_name() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = server.local_addr().unwrap();
        let name = ServerAddr { host: "localhost".into(), port: address.port() };
        assert_eq!(dial(&name, LIMIT).unwrap().1, address);
    }
}
