//! A session in an event loop of your own, step by step.
//!
//! Most programs want [`zk_tokio`] or [`zk_std`]. A program that has a loop already, of readiness (epoll, mio), of completions
//! (io_uring) or of a game's frames, takes the machine itself: it is plain data, and your loop is the only thing that touches it.
//!
//! ```text
//!      your loop saw                                          your loop does
//!      the socket is up      handle_connected     ┌────────┐  Connect      dials
//!      bytes came            handle_received  ──▶ │Session │  Send         writes, later says handle_sent
//!      the socket took n     handle_sent          │        │  Disconnect   drops the socket
//!      it ended              handle_disconnected  └────────┘  Probe        asks another server "isro"
//!      time                  handle_timeout           ▲       Emit         tells your application
//!                                                     │
//!      your application      submit, cancel, close ───┘       poll_timeout: how long you may sleep
//! ```
//!
//! 1. **A clock.** Pick a moment, and count from it: [`Epoch`](zk_session::Epoch) does it with the standard clock. Every call takes `now`.
//! 2. **One struct for one connection**: the socket, its [`ConnectionId`](zk_session::ConnectionId), and the rest of the one chunk that
//!    was handed out. They die together, so no byte of an old connection can meet a new one.
//! 3. **Do what it says.** After each call, take actions until there are none. There is at most one `Send` outstanding: your outbox is one
//!    [`Bytes`](zk_session::zk_proto::Bytes).
//! 4. **Report what was taken.** Call `handle_sent` with what the socket took; only then comes the next chunk. That is what makes
//!    `NotSent` a proof, and what bounds memory when a server doesn't read.
//! 5. **Feed bytes as they come**, cut anywhere. A loop that owns what it reads, as completion loops do, can hand it over without a copy:
//!    `handle_received_owned`.
//! 6. **Sleep until `poll_timeout`**, then call `handle_timeout`. Early and repeated calls are harmless. Read the socket first if both are
//!    due: a loop that was late must not take its own delay for the server's silence.
//! 7. **Submit whenever you like**, even while taking actions: no order is changed by it. Outcomes come as
//!    [`Event::Reply`](zk_session::Event::Reply) with the id that `submit` gave.
//! 8. **End.** `close`, go on looping until [`State::is_terminal`](zk_session::State::is_terminal): at most `Config::close_timeout`, 5 s.
//!
//! All of it, for a loop that tells when a socket is readable or writable:
//!
//! ```
//! use std::io::{self, ErrorKind, Read, Write};
//! use std::net::TcpStream;
//! use std::time::Duration;
//! use zk_session::{Action, Config, ConnectionId, Epoch, Event, Session, zk_proto::Bytes};
//!
//! struct Embedded {
//!     session: Session,
//!     epoch: Epoch,                        // step 1
//!     link: Option<Link>,
//! }
//!
//! struct Link {                            // step 2
//!     connection: ConnectionId,
//!     socket: TcpStream,
//!     out: Bytes,
//! }
//!
//! impl Embedded {
//!     fn new(config: Config) -> Self {
//!         let begin = std::time::Instant::now();
//!         let epoch = Epoch::new(begin);
//!         Self { session: Session::new(config, epoch.instant(begin)), epoch, link: None }
//!     }
//!
//!     fn now(&self) -> zk_session::Instant {
//!         self.epoch.instant(std::time::Instant::now())
//!     }
//!
//!     /// Call it after each of the others, and after each submit.
//!     fn act(&mut self, mut tell: impl FnMut(Event)) {
//!         while let Some(action) = self.session.poll_action() {   // step 3
//!             match action {
//!                 // A loop that mustn't wait dials elsewhere, and says handle_connected when it is done.
//!                 Action::Connect { connection, server } => match dial(&server.host, server.port) {
//!                     Ok(socket) => {
//!                         self.link = Some(Link { connection, socket, out: Bytes::new() });
//!                         self.session.handle_connected(connection, self.now());
//!                     }
//!                     Err(_) => self.session.handle_disconnected(connection, self.now()),
//!                 },
//!                 Action::Send { bytes, .. } => {
//!                     if let Some(link) = &mut self.link {
//!                         link.out = bytes;
//!                     }
//!                     self.writable();
//!                 }
//!                 Action::Disconnect { .. } => self.link = None,
//!                 Action::Probe { probe, .. } => self.session.handle_probed(probe, false, self.now()),
//!                 Action::Emit(event) => tell(event),
//!             }
//!         }
//!     }
//!
//!     /// The socket may take bytes.
//!     fn writable(&mut self) {
//!         let now = self.now();
//!         let Some(link) = &mut self.link else { return };
//!         if link.out.is_empty() {
//!             return;
//!         }
//!         match link.socket.write(&link.out) {
//!             Ok(count) => {
//!                 let _ = link.out.split_to(count);
//!                 self.session.handle_sent(link.connection, count, now); // step 4
//!             }
//!             Err(error) if error.kind() == ErrorKind::WouldBlock => {}
//!             Err(_) => self.lost(),
//!         }
//!     }
//!
//!     /// The socket may have bytes.
//!     fn readable(&mut self) {
//!         let now = self.now();
//!         let Some(link) = &mut self.link else { return };
//!         let mut bytes = [0; 16 * 1024];
//!         match link.socket.read(&mut bytes) {
//!             Ok(0) => self.lost(),
//!             Ok(count) => self.session.handle_received(link.connection, &bytes[..count], now), // step 5
//!             Err(error) if error.kind() == ErrorKind::WouldBlock => {}
//!             Err(_) => self.lost(),
//!         }
//!     }
//!
//!     fn lost(&mut self) {
//!         if let Some(link) = self.link.take() {
//!             self.session.handle_disconnected(link.connection, self.now());
//!         }
//!     }
//!
//!     /// How long the loop may sleep; then comes `tick`.
//!     fn timeout(&self) -> Option<Duration> {
//!         self.session.poll_timeout().map(|due| due - self.now()) // step 6
//!     }
//!
//!     fn tick(&mut self) {
//!         let now = self.now();
//!         self.session.handle_timeout(now);
//!     }
//! }
//!
//! fn dial(host: &str, port: u16) -> io::Result<TcpStream> {
//!     let socket = TcpStream::connect((host, port))?;
//!     socket.set_nodelay(true)?; // requests are small, and batched already
//!     socket.set_nonblocking(true)?;
//!     Ok(socket)
//! }
//!
//! # // A loop that polls: enough to see that it works.
//! # use zk_session::{RequestOptions, zk_proto::{ExistsRequest, Request}};
//! let served = zk_sim::serve::Served::start(zk_sim::Options::default())?;
//! let config = Config::new(served.connect_string().parse()?);
//! let mut embedded = Embedded::new(config);
//! let exists = Request::Exists(ExistsRequest { path: "/".into(), watch: false });
//! let now = embedded.now();
//! let asked = embedded.session.submit(exists, RequestOptions::default(), now)?;     // step 7
//! let mut answered = false;
//! while !embedded.session.state().is_terminal() {
//!     embedded.act(|event| answered |= matches!(event, Event::Reply(reply) if reply.request == asked && reply.result.is_ok()));
//!     if answered {
//!         let now = embedded.now();
//!         embedded.session.close(now);                                              // step 8
//!     }
//!     std::thread::sleep(embedded.timeout().unwrap_or_default().min(Duration::from_millis(1)));
//!     embedded.readable();
//!     embedded.writable();
//!     embedded.tick();
//! }
//! assert!(answered);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Easy mistakes
//!
//! - Dropping the rest of a chunk and reporting it as sent, or not reporting before `handle_disconnected`: the machine then has to
//!   say `MaybeApplied` of requests that never left. Report the most that the socket can have taken; 0 is a report.
//! - Taking only one action per turn. The queue grows until you take it.
//! - Resolving a name once. Names are text so that each attempt resolves anew; try every address that a name gives.
//! - Calling `handle_timeout` before reading what lies in the socket, after a pause.
//! - Several sessions on one loop: each has its own timer; keep them in a heap, or ask each for the nearest.
//!
//! Whole programs for mio, smol and io_uring are in `zk-adapters/loops` of the repository, and
//! [`zk_std::Driver`] is this step list, done, for a loop over readiness, or for one that waits for nothing else.
