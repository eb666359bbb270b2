use core::time::Duration;
use std::io;

use crate::transport::Transport;

/// The buffer of every read: it grows when a read fills it, and is given back when little comes.
#[derive(Debug)]
pub(crate) struct ReadBuffer {
    bytes: Vec<u8>,
    /// The longest read since the buffer was last looked at.
    longest: usize,
    /// How long a read waits, as the socket was told.
    limit: Option<Duration>,
}

impl ReadBuffer {
    pub(crate) fn new() -> Self {
        Self { bytes: vec![0; SMALLEST], longest: 0, limit: None }
    }

    /// Reads once, and waits no longer than this for it, or only a little longer.
    pub(crate) fn fill_from(&mut self, transport: &Transport, limit: Option<Duration>) -> io::Result<usize> {
        if self.longest == self.bytes.len() && self.bytes.len() < LARGEST {
            self.bytes = vec![0; self.bytes.len() * GROWTH];
        }
        self.limit_to(transport, limit)?;
        let outcome = transport.read(&mut self.bytes);
        match &outcome {
            Ok(received) => self.longest = self.longest.max(*received),
            // It came earlier than asked for: the next wait is to be as long as is asked for then.
            Err(_) if self.limit != limit => self.set_limit(transport, limit)?,
            Err(_) => {}
        }
        outcome
    }

    /// Tells the socket only what makes a difference: a wait that ends too early is begun again.
    fn limit_to(&mut self, transport: &Transport, limit: Option<Duration>) -> io::Result<()> {
        let is_longer = match (self.limit, limit) {
            (_, None) => false,
            (None, Some(_)) => true,
            (Some(told), Some(limit)) => told > limit + TOLERANCE,
        };
        if is_longer { self.set_limit(transport, limit) } else { Ok(()) }
    }

    fn set_limit(&mut self, transport: &Transport, limit: Option<Duration>) -> io::Result<()> {
        self.limit = limit.map(|limit| limit.max(SHORTEST));
        transport.set_read_timeout(self.limit)
    }

    pub(crate) fn filled(&self, count: usize) -> &[u8] {
        &self.bytes[..count]
    }

    /// Gives the memory back, if no read since the last call needed it.
    pub(crate) fn give_back(&mut self) {
        if self.longest < SMALLEST && self.bytes.len() > SMALLEST {
            self.bytes = vec![0; SMALLEST];
        }
        self.longest = 0;
    }
}

const SMALLEST: usize = 512;
const GROWTH: usize = 4;
const LARGEST: usize = 128 << 10;
/// How much longer than asked for a read may wait.
const TOLERANCE: Duration = Duration::from_millis(5);
/// A socket can't be told to wait for no time at all.
const SHORTEST: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests {
    use std::{
        io::Write,
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
    fn the_buffer_grows_when_filled_and_is_given_back_when_idle() {
        let (transport, mut server) = connected();
        let mut buffer = ReadBuffer::new();
        let sender = std::thread::spawn(move || {
            server.write_all(&vec![7; 1 << 20]).unwrap();
            server
        });
        let mut received = 0;
        while received < 1 << 20 {
            let count = buffer.fill_from(&transport, None).unwrap();
            assert!(buffer.filled(count).iter().all(|&byte| byte == 7));
            received += count;
        }
        assert!(buffer.bytes.len() > SMALLEST);

        buffer.give_back();
        assert!(buffer.bytes.len() > SMALLEST, "it has just been used");
        sender.join().unwrap().write_all(b"ping").unwrap();
        assert_eq!(buffer.fill_from(&transport, None).unwrap(), 4);
        buffer.give_back();
        assert_eq!(buffer.bytes.capacity(), SMALLEST);
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
