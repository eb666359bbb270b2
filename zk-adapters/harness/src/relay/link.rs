use core::ptr;
use core::time::Duration;
use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use rustix::net::sockopt::set_socket_linger;

use super::{Direction, Shared, State};

/// One relayed connection: two sockets, and for each direction a thread that reads, a thread that writes, and the
/// lane between them. The threads end when the link is no longer among the relay's.
#[derive(Debug)]
pub(super) struct Link {
    sockets: Arc<Sockets>,
    lanes: [Lane; 2],
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Sockets {
    client: TcpStream,
    server: TcpStream,
}

#[derive(Debug, Default)]
struct Lane {
    items: VecDeque<(Instant, Item)>,
    bytes: usize,
    ended: bool,
}

#[derive(Debug)]
enum Item {
    Bytes(Vec<u8>),
    End,
    Reset,
}

/// How a link ends.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ending {
    Reset,
    Close,
    /// The receiver in this direction keeps what it was sent; the sender is reset.
    CloseReceiver(Direction),
}

/// Connects an accepted client to the target, and begins to relay.
pub(super) fn open(shared: &Arc<Shared>, client: TcpStream) {
    let Ok(server) = TcpStream::connect(shared.target) else {
        reset_when_closed(&client);
        return;
    };
    let sockets = Sockets { client, server };
    if sockets.prepare().is_err() {
        return;
    }
    let sockets = Arc::new(sockets);
    let mut state = shared.state();
    if state.refusing {
        sockets.end(Ending::Reset);
        return;
    }
    let id = state.accepted;
    state.accepted += 1;
    let mut threads = Vec::new();
    for direction in [Direction::ToServer, Direction::ToClient] {
        let pump = Pump { shared: Arc::clone(shared), sockets: Arc::clone(&sockets), id, direction };
        let reader = pump.clone();
        threads.push(thread::spawn(move || reader.read()));
        threads.push(thread::spawn(move || pump.write()));
    }
    state.links.insert(id, Link { sockets, lanes: Default::default(), threads });
}

impl Link {
    /// Ends a link that is no longer among the relay's. Its sockets are closed on return.
    pub(super) fn end(self, ending: Ending) {
        self.sockets.end(ending);
        drop(self.sockets);
        for thread in self.threads {
            let _ = thread.join();
        }
    }
}

impl Sockets {
    fn prepare(&self) -> io::Result<()> {
        for socket in [&self.client, &self.server] {
            socket.set_nodelay(true)?;
            // A write that blocks wakes up now and then, to see whether the link still exists.
            socket.set_write_timeout(Some(Duration::from_millis(50)))?;
        }
        Ok(())
    }

    fn source(&self, direction: Direction) -> &TcpStream {
        match direction {
            Direction::ToServer => &self.client,
            Direction::ToClient => &self.server,
        }
    }

    fn destination(&self, direction: Direction) -> &TcpStream {
        match direction {
            Direction::ToServer => &self.server,
            Direction::ToClient => &self.client,
        }
    }

    /// Makes both sockets end in this way as soon as all threads have let go of them, and wakes those that read.
    fn end(&self, ending: Ending) {
        for socket in [&self.client, &self.server] {
            let is_closed = match ending {
                Ending::Reset => false,
                Ending::Close => true,
                Ending::CloseReceiver(direction) => ptr::eq(socket, self.destination(direction)),
            };
            if !is_closed {
                reset_when_closed(socket);
            }
            // An error means that the socket has ended already.
            let _ = socket.shutdown(if is_closed { Shutdown::Both } else { Shutdown::Read });
        }
    }
}

/// Lets the socket send RST, and no FIN, when it is closed.
fn reset_when_closed(socket: &TcpStream) {
    let _ = set_socket_linger(socket, Some(Duration::ZERO));
}

/// What a thread knows.
#[derive(Clone)]
struct Pump {
    shared: Arc<Shared>,
    sockets: Arc<Sockets>,
    id: usize,
    direction: Direction,
}

impl Pump {
    /// From the source into the lane.
    fn read(&self) {
        let mut source = self.sockets.source(self.direction);
        let mut buffer = vec![0; CHUNK];
        loop {
            // Reads only what is wanted at that time: a stalled relay leaves the bytes in the socket.
            let readable = source.peek(&mut [0]).map(|_| ());
            if !self.wait_for_room() {
                return;
            }
            let item = match readable.and_then(|()| source.read(&mut buffer)) {
                Ok(0) => Item::End,
                Ok(count) => Item::Bytes(buffer[..count].to_vec()),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => Item::Reset,
            };
            let is_last = !matches!(item, Item::Bytes(_));
            self.shared.change(|state| self.push(state, item));
            if is_last {
                return;
            }
        }
    }

    /// From the lane to the destination, as the rules say.
    fn write(&self) {
        while let Some((bytes, ending)) = self.next() {
            if !self.pass_on(&bytes) {
                return self.end(Ending::Reset);
            }
            if let Some(ending) = ending {
                return self.end(ending);
            }
        }
    }

    /// Waits for the next bytes to pass on, and says whether the link ends after them; none when the lane has ended.
    fn next(&self) -> Option<(Vec<u8>, Option<Ending>)> {
        match self.next_item()? {
            Item::Bytes(bytes) => Some(self.obey_cut(bytes)),
            Item::Reset => Some((Vec::new(), Some(Ending::Reset))),
            Item::End => {
                let _ = self.sockets.destination(self.direction).shutdown(Shutdown::Write);
                self.shared.change(|state| self.end_lane(state));
                None
            }
        }
    }

    fn next_item(&self) -> Option<Item> {
        let mut state = self.shared.state();
        loop {
            let delay = state.delay;
            let is_held = state.rules[self.direction as usize].is_black_hole;
            let lane = self.lane(&mut state)?;
            state = match lane.items.front() {
                Some((read, _)) if !is_held => match delay.checked_sub(read.elapsed()) {
                    Some(wait) if !wait.is_zero() => self.wait(state, wait),
                    _ => break,
                },
                _ => self.wait(state, FOREVER),
            };
        }
        let lane = self.lane(&mut state)?;
        let (_, item) = lane.items.pop_front()?;
        if let Item::Bytes(bytes) = &item {
            lane.bytes -= bytes.len();
        }
        drop(state);
        self.shared.changed.notify_all();
        Some(item)
    }

    fn obey_cut(&self, mut bytes: Vec<u8>) -> (Vec<u8>, Option<Ending>) {
        let mut state = self.shared.state();
        let rules = &mut state.rules[self.direction as usize];
        let Some(left) = rules.cut_after else { return (bytes, None) };
        let count = usize::try_from(left).unwrap_or(usize::MAX);
        let is_cut = bytes.len() >= count;
        bytes.truncate(count);
        rules.cut_after = if is_cut { None } else { Some(left - bytes.len() as u64) };
        (bytes, is_cut.then_some(Ending::CloseReceiver(self.direction)))
    }

    /// Whether all bytes were passed on; not if the destination or the link has ended.
    fn pass_on(&self, mut bytes: &[u8]) -> bool {
        let mut destination = self.sockets.destination(self.direction);
        while !bytes.is_empty() {
            let Some(count) = self.wait_for_a_turn(bytes.len()) else { return false };
            match destination.write(&bytes[..count]) {
                Ok(count) => {
                    bytes = &bytes[count..];
                    self.shared.state().rules[self.direction as usize].forwarded += count as u64;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if self.lane(&mut self.shared.state()).is_none() {
                        return false;
                    }
                }
                Err(_) => return false,
            }
        }
        true
    }

    /// How many of so many bytes may be written, as soon as any may; none if the link has ended.
    fn wait_for_a_turn(&self, count: usize) -> Option<usize> {
        let Some(rate) = self.shared.state().rate else { return Some(count) };
        let piece = (rate / TURNS_PER_SECOND).max(1);
        thread::sleep(Duration::from_secs_f64(piece as f64 / rate as f64));
        self.lane(&mut self.shared.state())?;
        Some(count.min(piece))
    }

    /// Whether there is a link still, as soon as it wants more bytes.
    fn wait_for_room(&self) -> bool {
        let mut state = self.shared.state();
        loop {
            let is_stalled = state.stalled && self.direction == Direction::ToServer;
            match self.lane(&mut state) {
                None => return false,
                Some(lane) if !is_stalled && lane.bytes < LANE_LIMIT => return true,
                Some(_) => state = self.wait(state, FOREVER),
            }
        }
    }

    fn push(&self, state: &mut State, item: Item) {
        let Some(lane) = self.lane(state) else { return };
        if let Item::Bytes(bytes) = &item {
            lane.bytes += bytes.len();
        }
        lane.items.push_back((Instant::now(), item));
    }

    fn end_lane(&self, state: &mut State) {
        if let Some(link) = state.links.get_mut(&self.id) {
            link.lanes[self.direction as usize].ended = true;
            if link.lanes.iter().all(|lane| lane.ended) {
                state.links.remove(&self.id);
            }
        }
    }

    fn end(&self, ending: Ending) {
        self.shared.change(|state| {
            if let Some(link) = state.links.remove(&self.id) {
                link.sockets.end(ending);
            }
        });
    }

    fn lane<'a>(&self, state: &'a mut State) -> Option<&'a mut Lane> {
        Some(&mut state.links.get_mut(&self.id)?.lanes[self.direction as usize])
    }

    fn wait<'a>(&'a self, state: MutexGuard<'a, State>, longest: Duration) -> MutexGuard<'a, State> {
        self.shared.changed.wait_timeout(state, longest).unwrap_or_else(PoisonError::into_inner).0
    }
}

const CHUNK: usize = 64 * 1024;
/// How many bytes a lane takes before the reader waits.
const LANE_LIMIT: usize = 1024 * 1024;
/// In how many pieces a second's bytes are passed on where they are slowed down.
const TURNS_PER_SECOND: usize = 20;
const FOREVER: Duration = Duration::from_secs(3600);
