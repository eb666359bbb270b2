//! The handles and the driver under a scheduler that tries out in which orders threads can run, against a server in
//! memory. No time passes: that nobody was woken is hidden by no timer.

use core::{
    fmt,
    net::SocketAddr,
    task::{Context, Poll, Waker},
};
use std::{
    io::{self, ErrorKind},
    sync::{Arc, PoisonError},
};

use shuttle::{
    future::block_on,
    scheduler::{PctScheduler, RandomScheduler, Scheduler},
    sync::{Condvar, Mutex, MutexGuard},
    thread,
};
use tokio::io::ReadBuf;
use zk_client::Recording;
use zk_proto::{CreateMode, OPEN_ACL_UNSAFE};
use zk_session::{Config, Epoch, SubmitError};
use zk_sim::{Options, Output, SimEnsemble};

use crate::{
    Client, Error, SessionEnd, SessionEvents,
    driver::Driver,
    shared::Shared,
    transport::{Security, Transport},
};

/// Leads to a server that answers on a thread of its own.
#[derive(Clone)]
pub(crate) struct Network {
    ensemble: Arc<Mutex<SimEnsemble>>,
    /// So many bytes are on their way to the server, and no more.
    capacity: usize,
}

impl Network {
    fn new(capacity: usize) -> Self {
        let ensemble = SimEnsemble::new(Options::default(), zk_session::Instant::ZERO);
        Self { ensemble: Arc::new(Mutex::new(ensemble)), capacity }
    }

    pub(crate) fn dial(&self) -> (Transport, SocketAddr) {
        let address = SocketAddr::from(([127, 0, 0, 1], 2181));
        let pipe =
            Arc::new(Pipe { state: Mutex::default(), changed: Condvar::new(), capacity: self.capacity });
        let (network, served) = (self.clone(), Arc::clone(&pipe));
        thread::spawn(move || network.serve(&served, address));
        (Transport::Model(Stream(pipe)), address)
    }

    fn serve(&self, pipe: &Pipe, address: SocketAddr) {
        let now = zk_session::Instant::ZERO;
        let peer = lock(&self.ensemble).connect(0, address.ip(), now).expect("the server runs");
        while let Some(bytes) = pipe.take() {
            let mut ensemble = lock(&self.ensemble);
            ensemble.receive(peer, &bytes, now);
            let outputs: Vec<_> = core::iter::from_fn(|| ensemble.poll_output()).collect();
            drop(ensemble);
            for output in outputs {
                match output {
                    Output::Send { bytes, .. } => pipe.change(|state| state.to_client.extend(bytes)),
                    Output::Close { .. } => pipe.change(|state| state.is_shut = true),
                }
            }
        }
    }
}

/// The client's end of a connection to it.
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
    driver: Option<Waker>,
}

impl Stream {
    pub(crate) fn poll_write(&self, bytes: &[u8], context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut state = lock(&self.0.state);
        if state.is_shut {
            return Poll::Ready(Err(ErrorKind::BrokenPipe.into()));
        }
        let sent = bytes.len().min(self.0.capacity - state.to_server.len());
        if sent == 0 {
            state.driver = Some(context.waker().clone());
            return Poll::Pending;
        }
        state.to_server.extend(&bytes[..sent]);
        self.0.changed.notify_all();
        Poll::Ready(Ok(sent))
    }

    pub(crate) fn poll_read(
        &self,
        buffer: &mut ReadBuf<'_>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let mut state = lock(&self.0.state);
        if state.to_client.is_empty() && !state.is_shut {
            state.driver = Some(context.waker().clone());
            return Poll::Pending;
        }
        let received = buffer.remaining().min(state.to_client.len());
        buffer.put_slice(&state.to_client[..received]);
        state.to_client.drain(..received);
        Poll::Ready(Ok(()))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.0.change(|state| state.is_shut = true);
    }
}

/// The server's end.
impl Pipe {
    fn take(&self) -> Option<Vec<u8>> {
        let mut state = lock(&self.state);
        while state.to_server.is_empty() && !state.is_shut {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let bytes = core::mem::take(&mut state.to_server);
        let driver = state.driver.take();
        drop(state);
        driver.into_iter().for_each(Waker::wake);
        Some(bytes).filter(|bytes| !bytes.is_empty())
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = lock(&self.state);
        change(&mut state);
        let driver = state.driver.take();
        drop(state);
        self.changed.notify_all();
        driver.into_iter().for_each(Waker::wake);
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

fn begin(network: Network, change: impl FnOnce(&mut Config)) -> (Client, SessionEvents, Driver) {
    let mut config = Config::new("zk1".parse().expect("a connect string"));
    change(&mut config);
    let session = Recording::default().open(config, zk_session::Instant::ZERO);
    let shared = Arc::new(Shared::new(session, Epoch::new(tokio::time::Instant::now().into_std())));
    #[cfg_attr(not(feature = "tls"), expect(clippy::needless_update, reason = "there is more with TLS"))]
    let security = Security { network: Some(network), ..Security::default() };
    let driver = Driver::new(Arc::clone(&shared), security);
    let events = SessionEvents::new(Arc::clone(&shared));
    (Client::new(shared, None, OPEN_ACL_UNSAFE), events, driver)
}

fn start(network: Network, change: impl FnOnce(&mut Config)) -> (Client, SessionEvents) {
    let (client, events, driver) = begin(network, change);
    thread::spawn(move || block_on(driver));
    (client, events)
}

/// Tries out orders. One in which a thread waits for ever, be it after the test's own are over, is a failure.
fn try_out(story: impl Fn() + Send + Sync + 'static) {
    fn run(scheduler: impl Scheduler + 'static, story: Arc<impl Fn() + Send + Sync + 'static>) {
        let mut config = shuttle::Config::new();
        config.stack_size = 256 << 10;
        shuttle::Runner::new(scheduler, config).run(move || story());
    }
    // Timers belong to it, and it never looks at them.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let _inside = runtime.enter();
    let story = Arc::new(story);
    run(RandomScheduler::new(ORDERS), Arc::clone(&story));
    run(PctScheduler::new(3, ORDERS), story);
}

const PLENTY: usize = 1 << 20;
const ORDERS: usize = 1000;

#[test]
fn each_task_gets_its_answers_and_the_driver_ends_with_the_last_handle() {
    try_out(|| {
        let (client, mut events) = start(Network::new(PLENTY), |_| {});
        let listener = thread::spawn(move || block_on(async { while events.next().await.is_some() {} }));
        let work = |name: &'static str| {
            let client = client.clone();
            thread::spawn(move || {
                let create = client.create(name, "", CreateMode::Persistent);
                let exists = client.exists(name);
                drop(client);
                // The order is that of the calls.
                block_on(async {
                    assert!(exists.await.expect("an answer").is_some());
                    assert_eq!(create.await.expect("it is created").path, name);
                });
            })
        };
        block_on(client.sync("/")).expect("an answer");
        let threads = [work("/a"), work("/b")];
        drop(client);
        threads.into_iter().for_each(|thread| thread.join().expect("it works"));
        listener.join().expect("it ends");
    });
}

#[test]
fn a_call_that_is_dropped_takes_nobody_elses_answer() {
    try_out(|| {
        let (client, _) = start(Network::new(PLENTY), |_| {});
        block_on(client.create("/a", "x", CreateMode::Persistent)).expect("it is created");
        let other = client.clone();
        let dropping = thread::spawn(move || {
            drop(other.exists("/missing"));
            let (_, watch) = block_on(other.get_data_and_watch("/a")).expect("an answer");
            drop(watch);
            drop(other.create_protected("/p", "", CreateMode::Persistent));
        });
        for _ in 0..2 {
            let found = block_on(client.get_data("/a")).expect("an answer");
            assert_eq!(found.data.as_deref(), Some(&b"x"[..]));
        }
        dropping.join().expect("it works");
        assert_eq!(block_on(client.close()), SessionEnd::Closed { confirmed: true });
    });
}

#[test]
fn what_nobody_polls_leaves_all_the_same() {
    try_out(|| {
        let (client, _) = start(Network::new(PLENTY), |_| {});
        let (_, mut watch) = block_on(client.exists_and_watch("/a")).expect("an answer");
        let waiting = thread::spawn(move || block_on(watch.changed()));
        let create = client.create("/a", "", CreateMode::Persistent);
        waiting.join().expect("it works").expect("it is created");
        block_on(create).expect("it is created");
    });
}

#[test]
fn many_who_submit_at_a_limit_are_refused_or_answered() {
    try_out(|| {
        let (client, _) = start(Network::new(48), |config| config.max_queued_requests = 2);
        let work = || {
            let client = client.clone();
            thread::spawn(move || {
                let calls: Vec<_> = (0..3).map(|_| client.exists("/")).collect();
                for call in calls {
                    match block_on(call) {
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
fn nobody_is_left_waiting_when_the_driver_is_dropped() {
    try_out(|| {
        let (client, mut events, mut driver) = begin(Network::new(PLENTY), |_| {});
        // A runtime that shuts down polls a task no more, and drops it.
        let turns = shuttle::rand::Rng::gen_range(&mut shuttle::rand::thread_rng(), 0..5);
        let driving = thread::spawn(move || {
            block_on(async {
                for _ in 0..turns {
                    let mut is_first = true;
                    let turn = core::future::poll_fn(|context| {
                        if core::mem::take(&mut is_first) {
                            let _ = core::pin::Pin::new(&mut driver).poll(context);
                            context.waker().wake_by_ref();
                            return Poll::Pending;
                        }
                        Poll::Ready(())
                    });
                    turn.await;
                }
            });
            drop(driver);
        });
        let listener = thread::spawn(move || block_on(async { while events.next().await.is_some() {} }));
        let other = client.clone();
        let waiting = thread::spawn(move || block_on(other.exists("/")));
        let protected = block_on(client.create_protected("/p", "", CreateMode::Ephemeral));
        for error in [waiting.join().expect("it ends").err(), protected.err()].into_iter().flatten() {
            assert!(matches!(error, Error::DriverGone { .. }), "{error:?}");
        }
        driving.join().expect("it ends");
        listener.join().expect("it ends");
        assert_eq!(block_on(client.ended()), SessionEnd::DriverGone);
    });
}
