use bytes::{Bytes, BytesMut};
use zk_session::{ConnectionId, Instant};

use crate::Machine;

/// Where an adapter's reads go. It has no memory of its own as long as little comes, for most sessions are idle; grows when a
/// read fills it; and is given back when little comes again.
///
/// What a long read brought is handed over to the session where it lies. Once nobody looks at that any more, the next read
/// goes there again.
#[derive(Debug, Default)]
pub struct ReadBuffer {
    bytes: BytesMut,
    /// What was handed over last; the room is there, if this is nothing.
    handed_over: Bytes,
    /// The longest read since the buffer was last looked at.
    longest: usize,
    /// Somebody has kept what was handed over. Until the buffer is looked at again, the session gets copies, rather than
    /// that each read takes new memory.
    is_kept: bool,
}

impl ReadBuffer {
    /// How much room is lent: more than a pong, or the data of most znodes.
    pub const LENT: usize = 512;

    /// Room for the next read: what is lent, as long as little comes, or as somebody looks at what came before.
    pub fn room<'a>(&'a mut self, lent: &'a mut [u8; Self::LENT]) -> &'a mut [u8] {
        if !self.handed_over.is_empty() {
            self.take_back();
        }
        let len = self.bytes.len().max(Self::LENT);
        if self.longest == len && len < LARGEST && self.handed_over.is_empty() {
            self.bytes = BytesMut::zeroed(len * GROWTH);
        }
        if self.bytes.is_empty() { lent } else { &mut self.bytes }
    }

    /// Takes back what was handed over, if nobody looks at it any more.
    fn take_back(&mut self) {
        match core::mem::take(&mut self.handed_over).try_into_mut() {
            Ok(bytes) => self.bytes = bytes,
            Err(kept) if self.is_kept => self.bytes = BytesMut::zeroed(kept.len()),
            Err(kept) => self.handed_over = kept,
        }
    }

    /// Tells the session what a read has brought to the room that it had. That was lent, if it was.
    pub fn feed(
        &mut self,
        session: &mut Machine,
        connection: ConnectionId,
        lent: &[u8; Self::LENT],
        received: usize,
        now: Instant,
    ) {
        self.longest = self.longest.max(received);
        if self.bytes.is_empty() {
            // More has come already, and has to go somewhere.
            self.is_kept |= received == Self::LENT && !self.handed_over.is_empty();
            session.handle_received(connection, &lent[..received], now);
        } else if self.is_kept || received < LONG || received < self.bytes.len() / LEAST_PART {
            session.handle_received(connection, &self.bytes[..received], now);
        } else {
            self.handed_over = core::mem::take(&mut self.bytes).freeze();
            session.handle_received_owned(connection, self.handed_over.slice(..received), now);
        }
    }

    /// Gives the memory back, if no read since the last call needed it.
    pub fn give_back(&mut self) {
        if self.longest < Self::LENT {
            self.bytes = BytesMut::new();
            self.handed_over = Bytes::new();
        }
        self.longest = 0;
        self.is_kept = false;
    }
}

const GROWTH: usize = 4;
const LARGEST: usize = 128 << 10;
/// Less is copied sooner than handed over.
const LONG: usize = 4 << 10;
/// Who keeps a little of what was handed over keeps all of the buffer: a read has to have filled this part of it.
const LEAST_PART: usize = 4;

#[cfg(test)]
mod tests {
    use zk_session::{Action, Config};

    use super::*;
    use crate::Recording;

    /// A session whose connection is up, and what reads go to.
    struct Reading {
        session: Machine,
        connection: ConnectionId,
        buffer: ReadBuffer,
    }

    impl Reading {
        fn begin() -> Self {
            let mut config = Config::new("server".parse().unwrap());
            config.max_frame_len = usize::MAX;
            let mut session = Recording::default().open(config, Instant::ZERO);
            let Some(Action::Connect { connection, .. }) = session.poll_action() else { panic!("a server") };
            session.handle_connected(connection, Instant::ZERO);
            // All that comes belongs to a frame that is under way for ever.
            session.handle_received(connection, &[0x7F; 4], Instant::ZERO);
            Self { session, connection, buffer: ReadBuffer::default() }
        }

        /// Reads as much as there is room for, or as is left; tells how much, and where it went.
        fn read(&mut self, left: usize) -> (usize, *const u8) {
            let mut lent = [0; ReadBuffer::LENT];
            let room = self.buffer.room(&mut lent);
            let (received, place) = (room.len().min(left), room.as_ptr());
            let before = self.session.stats().bytes_received;
            self.buffer.feed(&mut self.session, self.connection, &lent, received, Instant::ZERO);
            assert_eq!(self.session.stats().bytes_received - before, received as u64);
            (received, place)
        }

        fn fill(&mut self) {
            let mut left = 1 << 20;
            while left > 0 {
                left -= self.read(left).0;
            }
        }
    }

    #[test]
    fn the_buffer_grows_when_filled_and_is_given_back_when_idle() {
        let mut reading = Reading::begin();
        reading.fill();
        assert_eq!(reading.buffer.room(&mut [0; ReadBuffer::LENT]).len(), LARGEST);

        reading.buffer.give_back();
        assert_eq!(reading.buffer.room(&mut [0; ReadBuffer::LENT]).len(), LARGEST, "it has just been used");
        assert_eq!(reading.read(4).0, 4);
        reading.buffer.give_back();
        assert_eq!(reading.buffer.bytes.capacity(), 0);
        assert_eq!(reading.read(4).0, 4);
        assert_eq!(reading.buffer.bytes.capacity(), 0, "little is read where there is room");
    }

    #[test]
    fn what_was_handed_over_is_read_into_again_unless_somebody_keeps_it() {
        let mut reading = Reading::begin();
        reading.fill();
        let (_, place) = reading.read(LARGEST);
        assert_eq!(reading.buffer.handed_over.as_ptr(), place);
        assert_eq!(reading.read(LARGEST).1, place, "of what is begun the session has a copy");

        let kept = reading.buffer.handed_over.slice(7..9);
        assert_eq!(reading.read(LARGEST).0, ReadBuffer::LENT, "there may be no more");
        let (received, other) = reading.read(LARGEST);
        assert!(received == LARGEST && other != place);
        drop(kept);
        assert_eq!(reading.read(LARGEST).1, other);
        assert!(reading.buffer.handed_over.is_empty(), "from now on there are copies");
        reading.buffer.give_back();
        reading.read(LARGEST);
        let kept = reading.buffer.handed_over.slice(7..9);
        assert_eq!(reading.read(4).0, 4);
        drop(kept);
        assert_eq!(reading.read(LARGEST), (LARGEST, other), "it was let go of in time");
    }

    #[test]
    fn little_is_copied_so_that_who_keeps_it_keeps_no_more() {
        let mut reading = Reading::begin();
        reading.fill();
        for little in [1, LONG, LARGEST / LEAST_PART - 1] {
            reading.read(little);
            assert!(reading.buffer.handed_over.is_empty(), "{little}");
        }
        reading.read(LARGEST / LEAST_PART);
        assert!(!reading.buffer.handed_over.is_empty());
    }
}
