//! Testing what you build on ZooKeeper, without ZooKeeper.
//!
//! # Your client code, on a simulated ensemble
//!
//! [`zk_sim::serve::Served`] is an ensemble on loopback ports, up in a millisecond, with faults by name. Any client connects to it.
//!
//! ```
//! use zk_sim::{Options, serve::Served};
//! use zk_tokio::{Client, CreateMode, SessionEvent};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let served = Served::start(Options { servers: 3, ..Options::default() })?;
//! let (client, mut events) = Client::connect(&served.connect_string()).await?;
//! client.create("/mine", "", CreateMode::Ephemeral).await?;
//!
//! served.expire(client.session_id().expect("there is a session"));
//! while !matches!(events.next().await, Some(SessionEvent::Expired { .. }) | None) {}
//! assert!(client.get_data("/mine").await.is_err());
//! # Ok(())
//! # }
//! ```
//!
//! # A property, over thousands of schedules
//!
//! [`zk_sim::World`] has sessions, ensemble, network and clock in one thread and in virtual time: a minute passes in
//! milliseconds, and a seed is the whole schedule. Write what you build as a state machine too, or as a function that asks and waits
//! like this one, and look at what holds at the end. Here: increments by compare-and-set are never lost, and never
//! made twice, whatever is cut and whoever crashes.
//!
//! ```
//! use std::time::Duration;
//! use zk_session::{Delivery, Event, RequestError, RequestOptions};
//! use zk_session::zk_proto::{CreateMode, ErrorCode, GetDataRequest, OPEN_ACL_UNSAFE, Request, Response, SetDataRequest};
//! use zk_sim::{ClientId, Options, World};
//!
//! /// Submits, and lets time pass until there is an outcome; now and then something breaks.
//! fn ask(world: &mut World, client: ClientId, request: Request, random: &mut impl FnMut(u64) -> u64) -> Result<Response, RequestError> {
//!     let asked = world.submit(client, request, RequestOptions::default()).expect("the session lives");
//!     loop {
//!         match random(12) {
//!             0 => world.cut(client),
//!             1 => {
//!                 let server = random(3) as usize;
//!                 world.ensemble_mut(|ensemble, now| ensemble.crash(server, now));
//!             }
//!             _ => world.ensemble_mut(|ensemble, now| ensemble.heal(now)),
//!         }
//!         world.run_for(Duration::from_millis(random(50)));
//!         let outcome = world.events(client).find_map(|event| match event {
//!             Event::Reply(reply) if reply.request == asked => Some(reply.result),
//!             _ => None,
//!         });
//!         if let Some(outcome) = outcome {
//!             return outcome;
//!         }
//!     }
//! }
//!
//! /// Reads until it gets an answer: the number, and its version.
//! fn read(world: &mut World, client: ClientId, random: &mut impl FnMut(u64) -> u64) -> (String, i32) {
//!     loop {
//!         let get = Request::GetData(GetDataRequest { path: "/n".into(), watch: false });
//!         if let Ok(Response::GetData(found)) = ask(world, client, get, random) {
//!             return (String::from_utf8_lossy(&found.data.unwrap_or_default()).into_owned(), found.stat.version);
//!         }
//!     }
//! }
//!
//! for seed in 0..20 {
//!     let mut state = seed;
//!     let mut random = |below: u64| {
//!         state = u64::wrapping_add(u64::wrapping_mul(state, 6_364_136_223_846_793_005), 1_442_695_040_888_963_407);
//!         (state >> 33) % below
//!     };
//!     let mut world = World::new(Options { servers: 3, seed, ..Options::default() });
//!     let client = world.open(world.config());
//!     let create = Request::create("/n", Some("0".into()), OPEN_ACL_UNSAFE, CreateMode::Persistent);
//!     while !matches!(ask(&mut world, client, create.clone(), &mut random), Err(RequestError::Refused { code: ErrorCode::NODE_EXISTS, .. })) {}
//!
//!     for n in 1..=10 {
//!         loop {
//!             let (_, version) = read(&mut world, client, &mut random);
//!             // Only this client writes: the version tells whether a write that was lost was applied.
//!             if version == n {
//!                 break;
//!             }
//!             let set = SetDataRequest { path: "/n".into(), data: Some(n.to_string().into()), version };
//!             match ask(&mut world, client, Request::SetData(set), &mut random) {
//!                 Ok(_) => break,
//!                 Err(error) if error.delivery() == Some(Delivery::MaybeApplied) => {} // read again, and see
//!                 Err(_) => {}
//!             }
//!         }
//!     }
//!     assert_eq!(read(&mut world, client, &mut random), ("10".to_owned(), 10), "seed {seed}");
//! }
//! ```
//!
//! A world also keeps books beside each session, and panics where the session itself breaks a promise: your schedules test ours.
//!
//! # A session by hand
//!
//! [`zk_sim::drive`] runs one session over a pipe: JSON in, JSON out, no clock, no socket. A transcript is a test, and a bug report: the
//! clients write one with their feature `record`, secrets blanked, and `drive --replay` shows that the session does the same again.
//!
//! # The machine alone
//!
//! [`Session`](zk_session::Session) is `Clone`, reads no clock, and needs no server for a test of a driver: feed it bytes, compare actions.
//!
//! ```
//! use zk_session::{Action, Config, Instant, Session};
//!
//! let mut session = Session::new(Config::new("a:2181,b:2181".parse()?), Instant::ZERO);
//! let mut twin = session.clone();
//! let first = session.poll_action();
//! assert!(matches!(first, Some(Action::Connect { .. })));
//! assert_eq!(twin.poll_action(), first);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
