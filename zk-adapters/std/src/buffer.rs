use core::time::Duration;
use std::io;

use zk_client::Machine;
use zk_session::{ConnectionId, Instant};

use crate::transport::Transport;

const LENT: usize = zk_client::ReadBuffer::LENT;

/// Where reads go, each of which waits as long as it may.
#[derive(Debug)]
pub(crate) struct ReadBuffer {
    buffer: zk_client::ReadBuffer,
    lent: Box<[u8; LENT]>,
    /// How long a read waits, as the socket was told.
    limit: Option<Duration>,
}

impl ReadBuffer {
    pub(crate) fn new() -> Self {
        Self { buffer: zk_client::ReadBuffer::default(), lent: Box::new([0; LENT]), limit: None }
    }

    /// Reads once, and waits no longer than this for it, or only a little longer.
    pub(crate) fn fill_from(&mut self, transport: &Transport, limit: Option<Duration>) -> io::Result<usize> {
        self.limit_to(transport, limit)?;
        let outcome = transport.read(self.buffer.room(&mut self.lent), limit.is_some());
        // It came earlier than asked for: the next wait is to be as long as is asked for then.
        if outcome.is_err() && self.limit != limit {
            self.set_limit(transport, limit)?;
        }
        outcome
    }

    /// Tells the session what a read has brought.
    pub(crate) fn feed(
        &mut self,
        session: &mut Machine,
        connection: ConnectionId,
        received: usize,
        now: Instant,
    ) {
        self.buffer.feed(session, connection, &self.lent, received, now);
    }

    /// Tells the socket only what makes a difference: a wait that ends too early is begun again.
    fn limit_to(&mut self, transport: &Transport, limit: Option<Duration>) -> io::Result<()> {
        let is_longer = match (self.limit, limit) {
            (_, None) => false,
            (None, Some(_)) => true,
            (Some(told), Some(limit)) => told.saturating_sub(limit) > TOLERANCE,
        };
        if is_longer { self.set_limit(transport, limit) } else { Ok(()) }
    }

    fn set_limit(&mut self, transport: &Transport, limit: Option<Duration>) -> io::Result<()> {
        self.limit = limit.map(|limit| limit.max(SHORTEST));
        transport.set_read_timeout(self.limit)
    }

    /// Gives the memory back, if no read since the last call needed it.
    pub(crate) fn give_back(&mut self) {
        self.buffer.give_back();
    }
}

/// How much longer than asked for a read may wait.
const TOLERANCE: Duration = Duration::from_millis(5);
/// A socket can't be told to wait for no time at all.
const SHORTEST: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests {
    use std::{
        net::{TcpListener, TcpStream},
        time::Instant,
    };

    use super::*;

    fn connected() -> (Transport, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (Transport::Plain(stream), listener.accept().unwrap().0)
    }

    #[test]
    fn a_read_ends_when_its_time_is_over_and_the_next_one_has_a_time_of_its_own() {
        let (transport, _server) = connected();
        let mut buffer = ReadBuffer::new();
        for limit in [300, 100, 200].map(Duration::from_millis) {
            let begun = Instant::now();
            while begun.elapsed() < limit {
                buffer.fill_from(&transport, Some(limit.saturating_sub(begun.elapsed()))).unwrap_err();
            }
            assert!(begun.elapsed() < limit + Duration::from_millis(90), "{:?}", begun.elapsed());
        }
    }
}
