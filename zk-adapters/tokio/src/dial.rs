use core::{
    future::{Future, poll_fn},
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use std::{io, vec};

use tokio::{
    net::{TcpStream, lookup_host},
    time::{Sleep, sleep},
};
use zk_proto::ServerAddr;

use crate::{AddressError, DialError};

/// Establishes a TCP connection to a server.
///
/// Its name is resolved anew, and every address is tried: the next one as soon as one has failed, or
/// [`STAGGER`] after the last one was begun. The first that accepts wins.
pub(crate) async fn dial(server: ServerAddr) -> Result<TcpStream, DialError> {
    let addresses: Vec<_> =
        lookup_host((&*server.host, server.port)).await.map_err(DialError::Resolve)?.collect();
    if addresses.is_empty() {
        return Err(DialError::NoAddress);
    }
    let mut race = Race::new(addresses, |address| Box::pin(connect(address)));
    poll_fn(|context| race.poll(context)).await
}

/// Attempts at several addresses, each begun a little later than the one before.
struct Race {
    waiting: vec::IntoIter<SocketAddr>,
    connect: fn(SocketAddr) -> Connecting,
    under_way: Vec<Attempt>,
    stagger: Pin<Box<Sleep>>,
    errors: Vec<AddressError>,
}

struct Attempt {
    address: SocketAddr,
    outcome: Connecting,
}

type Connecting = Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send>>;

impl Race {
    fn new(addresses: Vec<SocketAddr>, connect: fn(SocketAddr) -> Connecting) -> Self {
        Self {
            connect,
            waiting: addresses.into_iter(),
            under_way: Vec::new(),
            stagger: Box::pin(sleep(Duration::ZERO)),
            errors: Vec::new(),
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<TcpStream, DialError>> {
        loop {
            let failed = self.errors.len();
            if let Some(stream) = self.poll_under_way(context) {
                return Poll::Ready(Ok(stream));
            }
            let is_due = self.under_way.is_empty()
                || self.errors.len() > failed
                || self.stagger.as_mut().poll(context).is_ready();
            if !is_due {
                return Poll::Pending;
            }
            match self.waiting.next() {
                Some(address) => self.begin(address),
                None if self.under_way.is_empty() => {
                    return Poll::Ready(Err(DialError::Addresses(core::mem::take(&mut self.errors))));
                }
                None => return Poll::Pending,
            }
        }
    }

    fn poll_under_way(&mut self, context: &mut Context<'_>) -> Option<TcpStream> {
        let mut index = 0;
        while let Some(attempt) = self.under_way.get_mut(index) {
            match attempt.outcome.as_mut().poll(context) {
                Poll::Pending => index += 1,
                Poll::Ready(Ok(stream)) => return Some(stream),
                Poll::Ready(Err(error)) => {
                    let address = self.under_way.remove(index).address;
                    self.errors.push(AddressError::new(address, error));
                }
            }
        }
        None
    }

    fn begin(&mut self, address: SocketAddr) {
        self.under_way.push(Attempt { address, outcome: (self.connect)(address) });
        self.stagger.as_mut().reset(tokio::time::Instant::now() + STAGGER);
    }
}

async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    // Requests are coalesced before they are written: nothing is gained by holding them back.
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// How long an address may stay silent before the next one is tried beside it, as in RFC 8305.
const STAGGER: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests {
    use core::future::pending;
    use core::net::{IpAddr, Ipv4Addr};
    use std::net::TcpListener;

    use tokio::time::timeout;

    use super::*;

    async fn run(addresses: Vec<SocketAddr>) -> Result<TcpStream, DialError> {
        let mut race = Race::new(addresses, |address| {
            if address.ip() == SILENT { Box::pin(pending()) } else { Box::pin(connect(address)) }
        });
        let winner = poll_fn(|context| race.poll(context));
        timeout(Duration::from_secs(20), winner).await.expect("a silent address doesn't use up the time")
    }

    const SILENT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

    fn dead() -> SocketAddr {
        // It is nobody's any more.
        TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
    }

    #[tokio::test]
    async fn the_next_address_is_tried_when_one_refuses_and_when_one_is_silent() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = server.local_addr().unwrap();
        let silent = SocketAddr::new(SILENT, 2181);
        let begun = tokio::time::Instant::now();
        let stream = run(vec![dead(), silent, dead(), address]).await.unwrap();
        assert!(begun.elapsed() >= STAGGER, "only the silent one costs time");
        assert_eq!(stream.peer_addr().unwrap(), address);
        assert!(stream.nodelay().unwrap());
    }

    #[tokio::test]
    async fn the_failure_names_every_address() {
        let addresses = vec![dead(), dead()];
        let DialError::Addresses(errors) = run(addresses.clone()).await.unwrap_err() else {
            panic!("both refuse")
        };
        assert_eq!(errors.iter().map(|error| error.address).collect::<Vec<_>>(), addresses);
    }

    #[tokio::test]
    async fn an_address_is_resolved_from_its_name() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = server.local_addr().unwrap();
        let stream = dial(ServerAddr { host: "localhost".into(), port: address.port() }).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), address);
    }
}
