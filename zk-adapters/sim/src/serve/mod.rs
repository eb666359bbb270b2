//! The simulated ensemble on loopback ports and in real time: a ZooKeeper for the tests of any client, without a JVM.
//!
//! # Example
//!
//! ```
//! use std::net::TcpStream;
//!
//! use zk_sim::{Options, serve::Served};
//!
//! let served = Served::start(Options { servers: 3, ..Options::default() })?;
//! println!("clients connect to {}", served.connect_string());
//! let leader = served.leader().expect("it is elected at the start");
//! served.crash(leader);
//! assert!(TcpStream::connect(served.address(leader)).is_err());
//! served.restart(leader)?;
//! assert!(TcpStream::connect(served.address(leader)).is_ok());
//! # Ok::<(), std::io::Error>(())
//! ```

mod command;
mod engine;

use core::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};
use std::{
    io,
    sync::mpsc::{Sender, channel},
    thread::{self, JoinHandle},
};

use mio::Waker;
use zk_session::zk_proto::SessionId;

use crate::{
    ensemble::{Options, SimEnsemble},
    serve::engine::{Engine, Task},
};

pub use command::{Command, CommandError};

/// A simulated ensemble that serves clients, each server on a port of its own of 127.0.0.1, until this value is dropped.
///
/// Servers are counted from 0; what isn't one is ignored by the faults. A fault has taken place when its method returns.
#[derive(Debug)]
pub struct Served {
    addresses: Vec<SocketAddr>,
    tasks: Sender<Task>,
    waker: Waker,
    engine: Option<JoinHandle<()>>,
}

/// A session of the ensemble, as its leader sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServedSession {
    /// Its id.
    pub id: SessionId,
    /// Its timeout.
    pub timeout: Duration,
    /// How long it lives unless its client is heard of.
    pub left: Duration,
    /// The server that its client is connected to.
    pub server: Option<usize>,
}

impl Served {
    /// Serves on any free ports. The options' `epoch_ms` isn't heeded: the clock is the real one.
    ///
    /// # Errors
    /// Those of listening, and of starting a thread.
    pub fn start(options: Options) -> io::Result<Self> {
        Self::start_at(options, 0)
    }

    /// Serves on this port and those that follow it, a server each; with port 0, on any free ports.
    ///
    /// # Errors
    /// Those of listening, and of starting a thread; `InvalidInput` if there aren't so many ports.
    pub fn start_at(options: Options, port: u16) -> io::Result<Self> {
        let servers = options.servers.max(1);
        let ports = (0..servers).map(|server| port_of(port, server));
        let wanted = ports.collect::<io::Result<Vec<_>>>()?;
        let (tasks, received) = channel();
        let (engine, waker) = Engine::new(options, &wanted, received)?;
        let addresses = engine.addresses().to_vec();
        let thread = thread::Builder::new().name("simulated ensemble".to_owned());
        let engine = Some(thread.spawn(move || engine.run())?);
        Ok(Self { addresses, tasks, waker, engine })
    }

    /// The addresses of all servers, as clients take them.
    pub fn connect_string(&self) -> String {
        self.addresses.iter().map(SocketAddr::to_string).collect::<Vec<_>>().join(",")
    }

    /// Where a server serves clients.
    ///
    /// # Panics
    /// If there is no such server.
    pub fn address(&self, server: usize) -> SocketAddr {
        self.addresses[server]
    }

    /// How many servers there are, running or not.
    #[expect(clippy::len_without_is_empty, reason = "an ensemble has servers")]
    pub fn len(&self) -> usize {
        self.addresses.len()
    }

    /// The leader, if there is one.
    pub fn leader(&self) -> Option<usize> {
        self.ask(|engine| engine.ensemble().leader())
    }

    /// The sessions that haven't ended.
    pub fn sessions(&self) -> Vec<ServedSession> {
        self.ask(|engine| engine.sessions())
    }

    /// The data of a znode, as a server has it; none if there is no such znode there, or none in it.
    pub fn data(&self, server: usize, path: &str) -> Option<Vec<u8>> {
        let path = path.to_owned();
        self.ask(move |engine| {
            let known = (server < engine.addresses().len()).then(|| engine.ensemble().tree(server))?;
            known.get(&path)?.data().map(|data| data.to_vec())
        })
    }
}

/// Faults.
impl Served {
    /// Closes all connections to a server.
    pub fn cut(&self, server: usize) {
        self.fault(move |ensemble, now| ensemble.close_connections(server, now));
    }

    /// Ends a session, as if its client had not been heard of for its timeout.
    pub fn expire(&self, session: SessionId) {
        self.fault(move |ensemble, now| ensemble.expire(session, now));
    }

    /// Freezes a server: it still accepts connections, and answers nothing.
    pub fn pause(&self, server: usize) {
        self.fault(move |ensemble, now| ensemble.pause(server, now));
    }

    /// Lets a paused server go on.
    pub fn resume(&self, server: usize) {
        self.fault(move |ensemble, now| ensemble.resume(server, now));
    }

    /// Kills a server: its connections are gone, and new ones are refused. Its data stays.
    pub fn crash(&self, server: usize) {
        self.ask(move |engine| engine.crash(server));
    }

    /// Starts a server that was killed, on its old port.
    ///
    /// # Errors
    /// Those of listening, if another program has the port by now.
    pub fn restart(&self, server: usize) -> io::Result<()> {
        self.ask(move |engine| engine.restart(server))
    }

    /// Makes a server the leader, if it runs and has a quorum: all connections are closed, as at each change of leader.
    pub fn lead(&self, server: usize) {
        self.fault(move |ensemble, now| ensemble.lead(server, now));
    }

    /// Cuts a server off from the others, not from clients.
    pub fn isolate(&self, server: usize) {
        self.fault(move |ensemble, now| ensemble.isolate(server, now));
    }

    /// Ends the isolation of a server.
    pub fn rejoin(&self, server: usize) {
        self.fault(move |ensemble, now| ensemble.rejoin(server, now));
    }

    /// Makes a server hear of transactions so much later.
    pub fn set_lag(&self, server: usize, lag: Duration) {
        self.fault(move |ensemble, now| ensemble.set_lag(server, lag, now));
    }

    /// All servers lose everything, and start anew.
    ///
    /// # Errors
    /// Those of listening, if another program has the port of a server that was killed.
    pub fn wipe(&self) -> io::Result<()> {
        self.ask(Engine::wipe)
    }

    /// Starts, resumes and rejoins all servers, without lag.
    ///
    /// # Errors
    /// Those of listening, if another program has the port of a server that was killed.
    pub fn heal(&self) -> io::Result<()> {
        self.ask(Engine::heal)
    }

    fn fault(&self, fault: impl FnOnce(&mut SimEnsemble, zk_session::Instant) + Send + 'static) {
        self.ask(move |engine| engine.fault(fault));
    }

    /// Does something in the thread that has the ensemble, and waits for the answer.
    fn ask<T: Send + 'static>(&self, task: impl FnOnce(&mut Engine) -> T + Send + 'static) -> T {
        let (answer, answered) = channel();
        let task: Task = Box::new(move |engine| {
            // Whoever asked waits for it.
            let _ = answer.send(task(engine));
        });
        self.tasks.send(task).expect("the thread lives as long as this value");
        self.waker.wake().expect("the thread polls");
        answered.recv().expect("the thread answers")
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // Both fail only if the thread has ended, by a panic that is told below.
        let _ = self.tasks.send(Box::new(Engine::stop));
        let _ = self.waker.wake();
        if let Some(engine) = self.engine.take()
            && engine.join().is_err()
            && !thread::panicking()
        {
            panic!("the simulated ensemble has panicked");
        }
    }
}

fn port_of(first: u16, server: usize) -> io::Result<SocketAddr> {
    let port = match (first, u16::try_from(server)) {
        (0, _) => Some(0),
        (first, Ok(server)) => first.checked_add(server),
        (_, Err(_)) => None,
    };
    let none = || {
        io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("port {first}: the ports of all servers end above 65535"),
        )
    };
    Ok((Ipv4Addr::LOCALHOST, port.ok_or_else(none)?).into())
}
