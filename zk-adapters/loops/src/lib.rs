//! What the programs of this crate do besides driving a session: they keep an ephemeral znode and read it ten times a
//! second, say what happens on a timeline, and end once all that has gone on at a second server.

use core::time::Duration;
use std::{env, error, time::Instant as Clock};

use zk_session::{
    Config, Credentials, Epoch, Event, Instant, Reply, RequestId, RequestOptions, Retry, Session,
    zk_proto::{CreateMode, GetDataRequest, OPEN_ACL_UNSAFE, Request, Response},
};

/// Any failure of a program.
pub type Failure = Box<dyn error::Error>;

/// A session for the servers that the program's argument names, and its clock.
///
/// # Errors
///
/// If there is no argument that names servers.
pub fn begin() -> Result<(Session, Epoch, Application), Failure> {
    let servers = env::args().nth(1).ok_or("which servers? Such as 127.0.0.1:2181,127.0.0.1:2182")?;
    let mut config = Config::new(servers.parse()?);
    config.session_timeout = Duration::from_secs(6);
    // Not the same for all programs, which should not all go to the same server.
    config.seed = u64::from(std::process::id());
    let begun = Clock::now();
    let epoch = Epoch::new(begun);
    Ok((Session::new(config, Instant::ZERO), epoch, Application::new(begun)))
}

/// The application of a loop: it wants to hear of each event, and of the time.
#[derive(Debug)]
pub struct Application {
    begun: Clock,
    /// When the next read is to be submitted, once there is something to read.
    next: Option<Instant>,
    path: Option<String>,
    reading: Option<RequestId>,
    connections: usize,
    has_survived: bool,
    owner: Option<Credentials>,
}

impl Application {
    fn new(begun: Clock) -> Self {
        Self {
            begun,
            next: None,
            path: None,
            reading: None,
            connections: 0,
            has_survived: false,
            owner: None,
        }
    }

    /// How long the loop may sleep.
    pub fn timeout(&self, session: &Session, now: Instant) -> Duration {
        let due = session.poll_timeout().into_iter().chain(self.next).min();
        due.map_or(PERIOD, |due| due - now)
    }

    /// Says what happened, and what comes of it.
    #[expect(clippy::wildcard_enum_match_arm, reason = "what is rare is told as it is")]
    pub fn take(&mut self, event: Event, session: &mut Session, now: Instant) {
        match event {
            Event::Connected { session_id, resumed, .. } => {
                self.connections += 1;
                let what = if resumed { "goes on" } else { "begins" };
                self.say(format!("session {session_id} {what}"));
            }
            Event::Ready if self.path.is_none() => {
                let path = "/loops-";
                let mode = CreateMode::EphemeralSequential;
                let create = Request::create(path, Some("mine".into()), OPEN_ACL_UNSAFE, mode);
                self.submit(create, session, now);
            }
            Event::Reply(reply) => self.take_reply(reply, session, now),
            other => self.say(format!("{other:?}")),
        }
    }

    fn take_reply(&mut self, reply: Reply, session: &mut Session, now: Instant) {
        match reply.result {
            Ok(Response::Create2(created)) => {
                self.say(format!("created {}", created.path));
                self.path = created.path.as_str().map(str::to_owned);
                self.owner = session.credentials();
                self.next = Some(now);
            }
            Ok(Response::GetData(found)) => {
                let owner = self.owner.as_ref().map(|owner| owner.session_id);
                let is_own = owner == Some(found.stat.ephemeral_owner);
                if self.connections > 1 && !self.has_survived {
                    self.has_survived = true;
                    self.say(format!("survived, and owns its znode: {is_own}"));
                    session.close(now);
                }
            }
            Ok(other) => self.say(format!("{other:?}")),
            Err(error) => self.say(format!("a request ended: {error}, {:?}", error.delivery())),
        }
        if self.reading == Some(reply.request) {
            self.reading = None;
        }
    }

    /// Does what is due.
    pub fn tick(&mut self, session: &mut Session, now: Instant) {
        if self.next.is_none_or(|next| next > now) {
            return;
        }
        self.next = Some(now + PERIOD);
        if let (Some(path), None) = (&self.path, self.reading) {
            let get = GetDataRequest { path: path.as_str().into(), watch: false };
            self.submit(Request::GetData(get), session, now);
        }
    }

    fn submit(&mut self, request: Request, session: &mut Session, now: Instant) {
        let options = RequestOptions::default().with_retry(Retry::WhenSafe);
        match session.submit(request, options, now) {
            Ok(request) => self.reading = Some(request),
            Err(error) => self.say(format!("not submitted: {error}")),
        }
    }

    /// Says something, with the milliseconds since the program began.
    pub fn say(&self, what: impl core::fmt::Display) {
        println!("{:>7} ms  {what}", self.begun.elapsed().as_millis());
    }
}

/// From one read to the next.
const PERIOD: Duration = Duration::from_millis(100);
