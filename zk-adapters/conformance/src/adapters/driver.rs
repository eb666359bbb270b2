use core::time::Duration;
use std::{
    collections::HashMap,
    sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, TryRecvError},
    thread::{self, Thread},
    time::Instant,
};

use zk_client::{ConnectError, Error, SessionEnd, SessionEvent, WatchEnded};
use zk_session::{
    Config, Credentials, Event, RequestId, RequestOptions, WatchEvent,
    zk_proto::{GetDataRequest, Request, Response, ServerAddr},
};
use zk_std::Driver;

use crate::{Adapter, Client, PATIENCE, Pending, PendingWatch};

/// An application that pumps zk-std's `Driver`, on a thread of its own.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "there is nothing to tell")]
pub struct Pumped;

/// One that leaves it to zk-std's `Driver` to wait.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "there is nothing to tell")]
pub struct Waiting;

impl Adapter for Pumped {
    fn connect(&self, config: Config, limit: Duration) -> Result<Box<dyn Client>, ConnectError> {
        connect(config, limit, |driver| {
            driver.pump();
            thread::park_timeout(driver.timeout().unwrap_or(TURN).min(TURN));
        })
    }
}

impl Adapter for Waiting {
    fn connect(&self, config: Config, limit: Duration) -> Result<Box<dyn Client>, ConnectError> {
        connect(config, limit, |driver| driver.wait(TURN))
    }
}

fn connect(config: Config, limit: Duration, turn: fn(&mut Driver)) -> Result<Box<dyn Client>, ConnectError> {
    let (tell, events) = mpsc::channel();
    let (establish, established) = mpsc::channel();
    let (command, commands) = mpsc::channel();
    let application = thread::spawn(move || {
        let own = thread::current();
        let driver = Driver::new(config, move || own.unpark());
        let (replies, watches) = (HashMap::new(), HashMap::new());
        Application { driver, tell: Some(tell), establish, replies, watches, end: None, server: None }
            .run(&commands, turn);
    });
    let client = DriverClient { command, thread: application.thread().clone(), events };
    match established.recv_timeout(limit) {
        Ok(None) => Ok(Box::new(client)),
        Ok(Some(end)) => Err(end.into()),
        Err(_) => Err(ConnectError::TimedOut { limit, failures: client.ask(|own| own.driver.failures()) }),
    }
}

/// What is asked of the application on its thread.
type Command = Box<dyn FnOnce(&mut Application) + Send>;

/// The books of an application: who waits for what.
struct Application {
    driver: Driver,
    /// Until the session has ended.
    tell: Option<Sender<SessionEvent>>,
    /// Told when the session is established, or how it ended.
    establish: Sender<Option<SessionEnd>>,
    replies: HashMap<RequestId, Sender<Result<Response, Error>>>,
    watches: HashMap<RequestId, Sender<Result<WatchEvent, WatchEnded>>>,
    end: Option<SessionEnd>,
    /// The server that the session is or was on.
    server: Option<ServerAddr>,
}

impl Application {
    /// Until the session has ended, and nobody asks for anything any more.
    fn run(mut self, commands: &Receiver<Command>, turn: fn(&mut Driver)) {
        loop {
            match commands.try_recv() {
                Ok(command) => command(&mut self),
                Err(TryRecvError::Disconnected) if self.end.is_some() => return,
                Err(TryRecvError::Disconnected) => self.driver.close(),
                Err(TryRecvError::Empty) => {}
            }
            while let Some(event) = self.driver.poll_event() {
                self.take(event);
            }
            turn(&mut self.driver);
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "all others are the session's own")]
    fn take(&mut self, event: Event) {
        match event {
            Event::Reply(reply) => {
                if reply.result.is_err() {
                    self.watches.remove(&reply.request);
                }
                let waiting = self.replies.remove(&reply.request).expect("a request has one outcome");
                // Nobody need wait for it.
                let _ = waiting.send(reply.result.map_err(Error::from));
            }
            Event::Watch(event) => {
                if let Some(waiting) = self.watches.remove(&event.request) {
                    let _ = waiting.send(Ok(event));
                }
            }
            Event::WatchEnded { request, reason, .. } => {
                if let Some(waiting) = self.watches.remove(&request) {
                    let _ = waiting.send(Err(reason.into()));
                }
            }
            other => self.tell(other),
        }
    }

    /// Tells what happened to the session.
    #[expect(clippy::wildcard_enum_match_arm, reason = "only milestones are noted")]
    fn tell(&mut self, event: Event) {
        match &event {
            Event::Ready => _ = self.establish.send(None),
            Event::Expired { reason, .. } => self.end = Some(SessionEnd::Expired { reason: *reason }),
            Event::AuthFailed { .. } => self.end = Some(SessionEnd::AuthFailed),
            Event::Closed { confirmed } => self.end = Some(SessionEnd::Closed { confirmed: *confirmed }),
            _ => {}
        }
        if let (Some(event), Some(tell)) = (self.word_for(event), &self.tell) {
            _ = tell.send(event);
        }
        if self.end.is_some() {
            _ = self.establish.send(self.end);
            self.tell = None;
        }
    }

    /// The scenarios' word for what they look at.
    #[expect(clippy::wildcard_enum_match_arm, reason = "they look at nothing else")]
    fn word_for(&mut self, event: Event) -> Option<SessionEvent> {
        self.server = self.driver.server().cloned().or(self.server.take());
        let server = self.server.clone();
        let address = self.driver.socket().and_then(|(_, socket)| socket.peer_addr().ok());
        Some(match event {
            Event::Connected { session_id, negotiated_timeout, read_only, resumed, epoch } => {
                SessionEvent::Connected {
                    server: server?,
                    address: address?,
                    session_id,
                    negotiated_timeout,
                    read_only,
                    resumed,
                    epoch,
                }
            }
            Event::Ready => SessionEvent::Ready,
            Event::Disconnected { reason } => SessionEvent::Disconnected { server: server?, reason },
            Event::MayBeExpired => SessionEvent::MayBeExpired,
            Event::Expired { by, reason } => SessionEvent::Expired { by, reason },
            Event::AuthFailed { scheme } => SessionEvent::AuthFailed { scheme },
            Event::Closed { confirmed } => SessionEvent::Closed { confirmed },
            _ => return None,
        })
    }
}

struct DriverClient {
    command: Sender<Command>,
    thread: Thread,
    events: Receiver<SessionEvent>,
}

impl DriverClient {
    fn ask<R: Send + 'static>(&self, ask: impl FnOnce(&mut Application) -> R + Send + 'static) -> R {
        let (answer, answered) = mpsc::channel();
        let command = move |application: &mut Application| _ = answer.send(ask(application));
        self.command.send(Box::new(command)).expect("the application runs");
        self.thread.unpark();
        answered.recv_timeout(PATIENCE).expect("it takes no longer than a minute")
    }

    /// Submits a request; a watch that it asks for is waited for by whoever holds the second half.
    fn begin(&self, request: Request) -> (Pending, PendingWatch) {
        let (reply, replied) = mpsc::channel();
        let (watch, watched) = mpsc::channel();
        let submitted = self.ask(move |own| {
            let request = own.driver.submit(request, RequestOptions::default())?;
            own.replies.insert(request, reply);
            own.watches.insert(request, watch);
            Ok(())
        });
        let pending = move || {
            submitted.map_err(Error::NotSubmitted)?;
            replied.recv_timeout(PATIENCE).expect("it takes no longer than a minute")
        };
        let watch = move || watched.recv_timeout(PATIENCE).expect("it takes no longer than a minute");
        (Box::new(pending), Box::new(watch))
    }
}

impl Client for DriverClient {
    fn submit(&self, request: Request) -> Pending {
        self.begin(request).0
    }

    fn watch_data(&self, path: &str) -> Result<PendingWatch, Error> {
        let get = Request::GetData(GetDataRequest { path: path.into(), watch: true });
        let (reply, watch) = self.begin(get);
        reply().map(|_| watch)
    }

    fn event(&self) -> Option<SessionEvent> {
        match self.events.recv_timeout(PATIENCE) {
            Err(RecvTimeoutError::Timeout) => panic!("it takes no longer than a minute"),
            event => event.ok(),
        }
    }

    fn close(&self) -> SessionEnd {
        self.ask(|own| own.driver.close());
        let begun = Instant::now();
        loop {
            if let Some(end) = self.ask(|own| own.end) {
                return end;
            }
            assert!(begun.elapsed() < PATIENCE, "it takes no longer than a minute");
        }
    }

    fn credentials(&self) -> Option<Credentials> {
        self.ask(|own| own.driver.session().credentials())
    }
}

/// So long it may take until a command is heard of.
const TURN: Duration = Duration::from_millis(2);
