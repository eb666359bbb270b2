use core::{net::SocketAddr, task::Waker, time::Duration};
use std::{
    io::{self, ErrorKind, Read, Write},
    net::ToSocketAddrs,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Instant as Clock,
    vec,
};

use bytes::Bytes;
use mio::{Events, Interest, Poll, Token, net::TcpStream};
use zk_client::{
    AddressError, ConnectError, Created, DialError, Errand, Error, Hub, Lost, NO_LATER, SessionEnd,
    SessionEvent, Wakeups, Work, recipes,
};
use zk_session::{
    Action, Chroot, Config, ConnectionId, Credentials, Epoch, RequestOptions, Session,
    zk_proto::{GetDataRequest, OPEN_ACL_UNSAFE, Request, Response, ServerAddr},
};

use crate::{Adapter, Client, PATIENCE, Pending, PendingRecipe, PendingWatch, Recipe};

/// A client over a loop of mio, on a thread of its own.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "there is nothing to tell")]
pub struct Mio;

struct Shared {
    hub: Mutex<Hub>,
    /// Told at each turn of the loop.
    turned: Condvar,
    waker: mio::Waker,
    epoch: Epoch,
}

struct MioClient(Arc<Shared>);

impl Adapter for Mio {
    fn connect(&self, config: Config, limit: Duration) -> Result<Box<dyn Client>, ConnectError> {
        let poll = Poll::new().expect("mio works here");
        let waker = mio::Waker::new(poll.registry(), WAKER).expect("mio works here");
        let session = Session::new(config, NO_LATER);
        let (hub, epoch) = (Mutex::new(Hub::new(session)), Epoch::new(Clock::now()));
        let shared = Arc::new(Shared { hub, turned: Condvar::new(), waker, epoch });
        let driven = Arc::clone(&shared);
        thread::spawn(move || Driver { shared: driven, poll, link: None }.run());
        let client = MioClient(shared);
        let look = |hub: &mut Hub| hub.end.map(Err).or(hub.is_established.then_some(Ok(())));
        match client.0.wait_for(limit, look) {
            Some(Ok(())) => Ok(Box::new(client)),
            Some(Err(end)) => Err(end.into()),
            None => Err(ConnectError::TimedOut { limit, failures: client.0.lock().attempts.failures() }),
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Hub> {
        self.hub.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> zk_session::Instant {
        self.epoch.instant(Clock::now())
    }

    fn wait_for<R>(&self, limit: Duration, mut look: impl FnMut(&mut Hub) -> Option<R>) -> Option<R> {
        let until = Clock::now() + limit;
        let mut hub = self.lock();
        loop {
            let seen = look(&mut hub);
            let left = until.saturating_duration_since(Clock::now());
            if seen.is_some() || left.is_zero() {
                return seen;
            }
            hub = self.turned.wait_timeout(hub, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn begin_errand<T: 'static>(
        self: &Arc<Self>,
        errand: Errand<T>,
        deadline: Option<Duration>,
        path: fn(T) -> Option<String>,
    ) -> PendingRecipe {
        let mut options = RequestOptions::default();
        options.deadline = deadline.map(|limit| self.now() + limit);
        let read = errand.read;
        let begun = self.lock().run(errand, options);
        self.wake_loop();
        let held = begun.map(|errand| Held { shared: Arc::clone(self), errand: Some(Work::Errand(errand)) });
        Box::new(move || read(held.map_err(|error| *error)?.outcome()).map(path))
    }

    fn outcome(&self, work: Work) -> Result<Response, Error> {
        self.wait_for(PATIENCE, |hub| hub.slots.is_filled(work).then(|| hub.slots.take(work)))
            .expect("it takes no longer than a minute")
    }

    fn wake_loop(&self) {
        self.waker.wake().expect("the loop can be woken");
    }
}

/// An errand that is given up when this is dropped.
struct Held {
    shared: Arc<Shared>,
    errand: Option<Work>,
}

impl Held {
    fn outcome(mut self) -> Result<Response, Error> {
        let errand = self.errand.take().expect("it is waited for once");
        self.shared.outcome(errand)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let Some(errand) = self.errand else { return };
        let (now, mut hub) = (self.shared.now(), self.shared.lock());
        if hub.slots.abandon(errand) {
            hub.cancel(errand, now);
        }
        drop(hub);
        self.shared.wake_loop();
    }
}

impl Client for MioClient {
    fn submit(&self, request: Request) -> Pending {
        let submitted = self.0.lock().submit(&request, RequestOptions::default(), self.0.now());
        self.0.wake_loop();
        let shared = Arc::clone(&self.0);
        Box::new(move || {
            submitted.map_err(|error| *error).and_then(|request| shared.outcome(Work::Request(request)))
        })
    }

    fn run(&self, recipe: Recipe, path: &str, deadline: Option<Duration>) -> PendingRecipe {
        let (shared, root) = (&self.0, Chroot::default());
        let created = |created: Created| created.path.as_str().map(str::to_owned);
        match recipe {
            Recipe::EnsurePath => {
                shared.begin_errand(recipes::ensure_path(&root, path, OPEN_ACL_UNSAFE), deadline, |()| None)
            }
            Recipe::DeleteRecursive => {
                shared.begin_errand(recipes::delete_recursive(&root, path), deadline, |()| None)
            }
            Recipe::SetOrCreate(data) => {
                let errand = recipes::set_or_create(&root, path, data, OPEN_ACL_UNSAFE);
                shared.begin_errand(errand, deadline, |_| None)
            }
            Recipe::CreateWithParents(mode) => {
                let errand = recipes::create_with_parents(&root, path, "", mode, OPEN_ACL_UNSAFE);
                shared.begin_errand(errand, deadline, created)
            }
            Recipe::CreateProtected(mode) => {
                let errand = recipes::create_protected(&root, path, "", mode, OPEN_ACL_UNSAFE);
                shared.begin_errand(errand, deadline, created)
            }
        }
    }

    fn watch_data(&self, path: &str) -> Result<PendingWatch, Error> {
        let get = Request::GetData(GetDataRequest { path: path.into(), watch: true });
        let request = {
            let mut hub = self.0.lock();
            let request =
                hub.submit(&get, RequestOptions::default(), self.0.now()).map_err(|error| *error)?;
            hub.watches.hold(request, false);
            request
        };
        self.0.wake_loop();
        self.0.outcome(Work::Request(request))?;
        let shared = Arc::clone(&self.0);
        Ok(Box::new(move || {
            let outcome = shared.wait_for(PATIENCE, |hub| hub.watches.take(request));
            outcome.expect("it takes no longer than a minute")
        }))
    }

    fn event(&self) -> Option<SessionEvent> {
        let look = |hub: &mut Hub| match hub.events.pop() {
            Some(event) => Some(Some(event)),
            None => hub.events.is_over().then_some(None),
        };
        self.0.wait_for(PATIENCE, look).expect("it takes no longer than a minute")
    }

    fn close(&self) -> SessionEnd {
        self.0.lock().session.close(self.0.now());
        self.0.wake_loop();
        self.0.wait_for(PATIENCE, |hub| hub.end).expect("it takes no longer than a minute")
    }

    fn credentials(&self) -> Option<Credentials> {
        self.0.lock().session.credentials()
    }
}

impl Drop for MioClient {
    fn drop(&mut self) {
        self.0.lock().session.close(self.0.now());
        self.0.wake_loop();
    }
}

/// The loop.
struct Driver {
    shared: Arc<Shared>,
    poll: Poll,
    link: Option<Link>,
}

struct Link {
    connection: ConnectionId,
    stream: TcpStream,
    address: SocketAddr,
    addresses: vec::IntoIter<SocketAddr>,
    errors: Vec<AddressError>,
    is_open: bool,
    outbox: Bytes,
}

impl Driver {
    fn run(mut self) {
        let mut readiness = Events::with_capacity(16);
        let mut buffer = vec![0; 64 << 10];
        let shared = Arc::clone(&self.shared);
        loop {
            let mut wakeups = Wakeups::default();
            let mut hub = shared.lock();
            self.turn(&mut hub, &mut buffer, &mut wakeups);
            let (is_over, due) = (hub.is_over(), hub.session.poll_timeout());
            drop(hub);
            wakeups.wakers.into_iter().for_each(Waker::wake);
            shared.turned.notify_all();
            if is_over {
                return;
            }
            let timeout = due.map(|due| due - shared.now());
            // It fails only by an interrupt, and another turn does no harm.
            let _ = self.poll.poll(&mut readiness, timeout);
        }
    }

    /// Moves what can be moved, and does what the session says.
    fn turn(&mut self, hub: &mut Hub, buffer: &mut [u8], wakeups: &mut Wakeups) {
        self.see_whether_open(hub, wakeups);
        while self.act(hub, wakeups) | self.write(hub) | self.read(hub, buffer, wakeups) {}
        hub.session.handle_timeout(self.shared.now());
        while self.act(hub, wakeups) | self.write(hub) {}
    }

    fn act(&mut self, hub: &mut Hub, wakeups: &mut Wakeups) -> bool {
        let mut has_acted = false;
        while let Some(action) = hub.poll_action(wakeups) {
            has_acted = true;
            match action {
                Action::Emit(event) => hub.dispatch(event, wakeups),
                Action::Connect { connection, server } => {
                    hub.attempt_begun(&server, wakeups);
                    self.dial(connection, &server, hub, wakeups);
                }
                Action::Send { bytes, .. } => {
                    if let Some(link) = &mut self.link {
                        link.outbox = bytes;
                    }
                }
                Action::Disconnect { reason, .. } => {
                    hub.attempt_dropped(reason, wakeups);
                    self.link = None;
                }
                // The scenarios have no read-only servers.
                Action::Probe { probe, .. } => hub.session.handle_probed(probe, false, self.shared.now()),
            }
        }
        has_acted
    }

    fn dial(&mut self, connection: ConnectionId, server: &ServerAddr, hub: &mut Hub, wakeups: &mut Wakeups) {
        match (&*server.host, server.port).to_socket_addrs() {
            Ok(addresses) => self.dial_next(connection, addresses, Vec::new(), hub, wakeups),
            Err(error) => {
                let now = self.shared.now();
                hub.dial_failed(connection, DialError::Resolve(error), now, wakeups);
            }
        }
    }

    fn dial_next(
        &mut self,
        connection: ConnectionId,
        mut addresses: vec::IntoIter<SocketAddr>,
        mut errors: Vec<AddressError>,
        hub: &mut Hub,
        wakeups: &mut Wakeups,
    ) {
        while let Some(address) = addresses.next() {
            match self.begin_to_connect(address) {
                Ok(stream) => {
                    let outbox = Bytes::new();
                    let is_open = false;
                    self.link =
                        Some(Link { connection, stream, address, addresses, errors, is_open, outbox });
                    return;
                }
                Err(error) => errors.push(AddressError::new(address, error)),
            }
        }
        hub.dial_failed(connection, DialError::Addresses(errors), self.shared.now(), wakeups);
    }

    fn begin_to_connect(&self, address: SocketAddr) -> io::Result<TcpStream> {
        let mut stream = TcpStream::connect(address)?;
        self.poll.registry().register(&mut stream, SOCKET, Interest::READABLE | Interest::WRITABLE)?;
        Ok(stream)
    }

    fn see_whether_open(&mut self, hub: &mut Hub, wakeups: &mut Wakeups) {
        let Some(mut link) = self.link.take_if(|link| !link.is_open) else { return };
        let error = link.stream.take_error().ok().flatten();
        match (error, link.stream.peer_addr()) {
            (None, Ok(address)) => {
                // Without it, it is slower.
                let _ = link.stream.set_nodelay(true);
                link.is_open = true;
                hub.opened(link.connection, address, self.shared.now());
                self.link = Some(link);
            }
            (None, Err(error)) if error.kind() == ErrorKind::NotConnected => self.link = Some(link),
            (Some(error), _) | (None, Err(error)) => {
                let mut errors = link.errors;
                errors.push(AddressError::new(link.address, error));
                self.dial_next(link.connection, link.addresses, errors, hub, wakeups);
            }
        }
    }

    /// Writes once; tells whether anything moved.
    fn write(&mut self, hub: &mut Hub) -> bool {
        let Some(link) = self.link.as_mut().filter(|link| link.is_open && !link.outbox.is_empty()) else {
            return false;
        };
        // An error is seen by reading, behind what the server had sent before.
        let Ok(sent) = link.stream.write(&link.outbox) else { return false };
        drop(link.outbox.split_to(sent));
        hub.session.handle_sent(link.connection, sent, self.shared.now());
        true
    }

    /// Reads once; tells whether anything moved.
    fn read(&mut self, hub: &mut Hub, buffer: &mut [u8], wakeups: &mut Wakeups) -> bool {
        let Some(link) = self.link.as_mut().filter(|link| link.is_open) else { return false };
        let (connection, now) = (link.connection, self.shared.now());
        let lost = match link.stream.read(buffer) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
            Err(error) if error.kind() == ErrorKind::Interrupted => return true,
            Ok(received) if received > 0 => {
                hub.session.handle_received(connection, &buffer[..received], now);
                return true;
            }
            Ok(_) => Lost::EndOfStream,
            Err(error) => Lost::Io(Arc::new(error)),
        };
        self.link = None;
        hub.session.handle_sent(connection, 0, now);
        hub.lost(connection, lost, now, wakeups);
        true
    }
}

const WAKER: Token = Token(0);
const SOCKET: Token = Token(1);
