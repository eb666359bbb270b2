//! The client's threads under a scheduler that tries out in which orders they can run, against servers in memory.

use core::{net::SocketAddr, time::Duration};
use std::{
    fmt,
    io::{self, ErrorKind},
    sync::{Arc, PoisonError},
};

use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use zk_proto::{CreateMode, OPEN_ACL_UNSAFE};
use zk_session::{Config, Delivery, Failure, SubmitError};
use zk_sim::{Options, Output, SimEnsemble};

use crate::{
    Client, Error, SessionEnd, SessionEvents,
    shared::Shared,
    sync::{Condvar, Mutex, MutexGuard, thread},
    ticker,
    transport::{Security, Transport},
};

/// Leads to servers that answer on threads of their own.
#[derive(Clone)]
pub(crate) struct Network {
    ensemble: Arc<Mutex<SimEnsemble>>,
    /// So many bytes are on their way to the server, and no more.
    capacity: usize,
    /// The first connection ends when the server has received so much.
    cut_after: usize,
    connections: Arc<Mutex<usize>>,
}

impl Network {
    fn new(capacity: usize, cut_after: usize) -> Self {
        let ensemble = SimEnsemble::new(Options::default(), zk_session::Instant::ZERO);
        let (ensemble, connections) = (Arc::new(Mutex::new(ensemble)), Arc::new(Mutex::new(0)));
        Self { ensemble, capacity, cut_after, connections }
    }

    pub(crate) fn dial(&self) -> (Transport, SocketAddr) {
        let address = SocketAddr::from(([127, 0, 0, 1], 2181));
        let pipe = Arc::new(Pipe::new(self.capacity));
        let mut connections = lock(&self.connections);
        let cut_after = if *connections == 0 { self.cut_after } else { usize::MAX };
        *connections += 1;
        let (network, served) = (self.clone(), Arc::clone(&pipe));
        thread::spawn(move || network.serve(&served, address, cut_after));
        (Transport::Model(Stream(pipe)), address)
    }

    fn serve(&self, pipe: &Pipe, address: SocketAddr, mut cut_after: usize) {
        let now = zk_session::Instant::ZERO;
        let peer = lock(&self.ensemble).connect(0, address.ip(), now).expect("the server runs");
        while let Some(bytes) = pipe.take() {
            if bytes.len() >= cut_after {
                break;
            }
            cut_after -= bytes.len();
            let mut ensemble = lock(&self.ensemble);
            ensemble.receive(peer, &bytes, now);
            let outputs: Vec<_> = core::iter::from_fn(|| ensemble.poll_output()).collect();
            drop(ensemble);
            for output in outputs {
                match output {
                    Output::Send { peer: to, bytes } if to == peer => pipe.answer(&bytes),
                    Output::Close { peer: whose } if whose == peer => pipe.shut_down(),
                    Output::Send { .. } | Output::Close { .. } => {}
                }
            }
        }
        pipe.shut_down();
        lock(&self.ensemble).disconnect(peer, now);
    }
}

/// The client's end of a connection to one of them.
#[derive(Debug)]
pub(crate) struct Stream(Arc<Pipe>);

#[derive(Debug)]
struct Pipe {
    state: Mutex<State>,
    changed: Condvar,
    capacity: usize,
}

#[derive(Debug, Default)]
struct State {
    to_server: Vec<u8>,
    to_client: Vec<u8>,
    is_shut: bool,
    read_limit: Option<Duration>,
    write_limit: Option<Duration>,
}

impl Pipe {
    fn new(capacity: usize) -> Self {
        let state = State { write_limit: Some(Duration::ZERO), ..State::default() };
        Self { state: Mutex::new(state), changed: Condvar::new(), capacity }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.shut_down();
    }
}

impl Stream {
    pub(crate) fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = lock(&self.0.state);
        loop {
            if state.is_shut {
                return Err(ErrorKind::BrokenPipe.into());
            }
            let room = self.0.capacity - state.to_server.len();
            if room > 0 {
                let sent = room.min(bytes.len());
                state.to_server.extend(&bytes[..sent]);
                self.0.changed.notify_all();
                return Ok(sent);
            }
            if state.write_limit.is_some() {
                return Err(ErrorKind::WouldBlock.into());
            }
            state = self.0.wait(state);
        }
    }

    /// A read with a limit may find that it is over.
    pub(crate) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut state = lock(&self.0.state);
        loop {
            if !state.to_client.is_empty() {
                let received = buffer.len().min(state.to_client.len());
                buffer[..received].copy_from_slice(&state.to_client[..received]);
                state.to_client.drain(..received);
                return Ok(received);
            }
            if state.is_shut {
                return Ok(0);
            }
            if state.read_limit.is_some_and(|limit| limit < Duration::from_secs(1)) {
                return Err(ErrorKind::WouldBlock.into());
            }
            state = self.0.wait(state);
        }
    }

    pub(crate) fn set_read_limit(&self, limit: Option<Duration>) -> io::Result<()> {
        lock(&self.0.state).read_limit = limit;
        Ok(())
    }

    pub(crate) fn set_write_limit(&self, limit: Option<Duration>) -> io::Result<()> {
        lock(&self.0.state).write_limit = limit;
        Ok(())
    }

    pub(crate) fn shut_down(&self) {
        self.0.shut_down();
    }
}

/// The server's end.
impl Pipe {
    fn take(&self) -> Option<Vec<u8>> {
        let mut state = lock(&self.state);
        while state.to_server.is_empty() && !state.is_shut {
            state = self.wait(state);
        }
        self.changed.notify_all();
        Some(core::mem::take(&mut state.to_server)).filter(|bytes| !bytes.is_empty())
    }

    fn answer(&self, bytes: &[u8]) {
        lock(&self.state).to_client.extend(bytes);
        self.changed.notify_all();
    }

    fn shut_down(&self) {
        lock(&self.state).is_shut = true;
        self.changed.notify_all();
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Network").field("capacity", &self.capacity).finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn start(network: Network, change: impl FnOnce(&mut Config)) -> (Client, SessionEvents) {
    let mut config = Config::new("zk1".parse().expect("a connect string"));
    change(&mut config);
    let session = zk_client::Recording::default().open(config, zk_session::Instant::ZERO);
    #[cfg_attr(not(feature = "tls"), expect(clippy::needless_update, reason = "there is more with TLS"))]
    let security = Security { network: Some(network), ..Security::default() };
    let shared = Arc::new(Shared::new(session, security));
    ticker::spawn(&shared).expect("a thread");
    let events = SessionEvents::new(Arc::clone(&shared));
    (Client::new(shared, Some(Duration::from_secs(60)), OPEN_ACL_UNSAFE), events)
}

/// Tries out orders. One in which a thread waits for ever, be it after the test's own are over, is a failure.
fn try_out(story: impl Fn() + Send + Sync + 'static) {
    fn run(scheduler: impl Scheduler + 'static, story: Arc<impl Fn() + Send + Sync + 'static>) {
        let mut config = shuttle::Config::new();
        config.stack_size = 256 << 10;
        shuttle::Runner::new(scheduler, config).run(move || story());
    }
    let story = Arc::new(story);
    run(RandomScheduler::new(ORDERS), Arc::clone(&story));
    run(PctScheduler::new(3, ORDERS), story);
}

const PLENTY: usize = 1 << 20;
const ORDERS: usize = 1000;

#[test]
fn each_thread_gets_its_answers_and_all_end_with_the_last_handle() {
    try_out(|| {
        let (client, events) = start(Network::new(PLENTY, usize::MAX), |_| {});
        let listener = thread::spawn(move || events.count());
        let work = |name: &'static str| {
            let client = client.clone();
            thread::spawn(move || {
                let create = client.create(name, "", CreateMode::Persistent);
                let exists = client.exists(name);
                assert!(exists.wait().expect("an answer").is_some());
                assert_eq!(create.wait().expect("it is created").path, name);
            })
        };
        let threads = [work("/a"), work("/b")];
        drop(client);
        threads.into_iter().for_each(|thread| thread.join().expect("it works"));
        assert!(listener.join().expect("it ends") > 0);
    });
}

#[test]
fn what_was_submitted_has_an_outcome_although_the_last_handle_is_dropped_before_it_is_waited_for() {
    try_out(|| {
        let (client, events) = start(Network::new(PLENTY, usize::MAX), |_| {});
        drop(events);
        let before = client.create("/a", "", CreateMode::Persistent);
        let early = client.clone();
        let dropping = thread::spawn(move || drop(early));
        if let Err(error) = client.exists("/").wait() {
            panic!("{error}");
        }
        let after = client.create("/b", "", CreateMode::Persistent);
        let waiting = thread::spawn(move || after.wait());
        drop(client);
        before.wait().expect("it is created");
        waiting.join().expect("it works").expect("it is created");
        dropping.join().expect("it works");
    });
}

#[test]
fn a_session_that_is_given_up_before_it_is_established_ends() {
    try_out(|| {
        let (client, _) = start(Network::new(PLENTY, usize::MAX), |_| {});
        let create = client.create("/a", "", CreateMode::Persistent);
        let waiting = thread::spawn(move || create.wait());
        drop(client);
        if let Err(error) = waiting.join().expect("it works") {
            assert_eq!(error.delivery(), Some(Delivery::NotSent), "{error}");
        }
    });
}

#[test]
fn a_call_that_is_dropped_takes_nobody_elses_answer() {
    try_out(|| {
        let (client, _) = start(Network::new(PLENTY, usize::MAX), |_| {});
        client.create("/a", "x", CreateMode::Persistent).wait().expect("it is created");
        let other = client.clone();
        let dropping = thread::spawn(move || {
            drop(other.exists("/missing"));
            let (_, watch) = other.get_data_and_watch("/a").wait().expect("an answer");
            drop(watch);
            drop(other.exists("/missing"));
        });
        for _ in 0..2 {
            assert_eq!(client.get_data("/a").wait().expect("an answer").data.as_deref(), Some(&b"x"[..]));
        }
        dropping.join().expect("it works");
        assert_eq!(client.close(), SessionEnd::Closed { confirmed: true });
    });
}

#[test]
fn what_nobody_waits_for_leaves_all_the_same() {
    try_out(|| {
        let (client, _) = start(Network::new(PLENTY, usize::MAX), |_| {});
        let (_, mut watch) = client.exists_and_watch("/a").wait().expect("an answer");
        let waiting = thread::spawn(move || watch.changed());
        let create = client.create("/a", "", CreateMode::Persistent);
        waiting.join().expect("it works").expect("it is created");
        create.wait().expect("it is created");
    });
}

#[test]
fn many_who_submit_at_a_limit_are_refused_or_answered() {
    try_out(|| {
        let network = Network::new(48, usize::MAX);
        let (client, _) = start(network, |config| config.max_queued_requests = 2);
        let work = || {
            let client = client.clone();
            thread::spawn(move || {
                let calls: Vec<_> = (0..3).map(|_| client.exists("/")).collect();
                for call in calls {
                    match call.wait() {
                        Ok(found) => assert!(found.is_some()),
                        Err(Error::NotSubmitted(SubmitError::QueueFull { .. })) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            })
        };
        let threads = [work(), work()];
        threads.into_iter().for_each(|thread| thread.join().expect("it works"));
    });
}

#[test]
fn a_lost_connection_ends_what_was_under_way_and_another_one_follows() {
    try_out(|| {
        let (client, _) = start(Network::new(PLENTY, 100), |_| {});
        let work = || {
            let client = client.clone();
            thread::spawn(move || {
                for _ in 0..3 {
                    let Err(error) = client.exists("/").wait() else { continue };
                    let Error::Failed { failure, delivery } = error else { panic!("{error}") };
                    assert_eq!(failure, Failure::ConnectionLoss, "{delivery:?}");
                }
            })
        };
        let threads = [work(), work()];
        threads.into_iter().for_each(|thread| thread.join().expect("it works"));
        assert!(client.exists("/").wait().expect("an answer").is_some());
        assert_eq!(client.close(), SessionEnd::Closed { confirmed: true });
    });
}
