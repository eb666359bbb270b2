//! One session, driven line by line.
//!
//! Each line of input is one JSON object. The first one configures the session, which starts at 0 ms; each later one
//! brings the time, `at_ms`, and one thing that happens. Each is answered by every action that it causes, in order,
//! and then by a `status` line. The README of this crate has the format in full.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "most matches here name a few of many: what else there is prints, or is refused, by its name"
)]

mod actions;
mod blank;
mod fields;
mod inputs;
mod lines;
mod operations;
mod recorder;
mod replay;
mod requests;
mod sasl;

use std::collections::BTreeMap;

use serde_json::{Value, json};
use zk_session::{Action, ConnectionId, Instant, RequestId, Session, SubmitError};

use crate::{
    books::Books,
    drive::{
        fields::{Fields, InputError},
        inputs::Act,
        sasl::Steps,
    },
    input::Input,
};

pub use recorder::{RecordedSession, Recorder, transcript};
pub use replay::{Difference, Replayed, outputs_path, replay};

/// A session and the names that its driver gave to requests.
#[derive(Default)]
pub struct Drive {
    driven: Option<Driven>,
    is_judged: bool,
}

struct Driven {
    session: Session,
    books: Option<Books>,
    now_ms: u64,
    auto_sent: bool,
    tags: Tags,
    steps: Steps,
}

/// The driver's names for requests.
#[derive(Default)]
struct Tags {
    ids: BTreeMap<String, RequestId>,
    names: BTreeMap<RequestId, String>,
}

impl Tags {
    fn insert(&mut self, tag: String, id: RequestId) {
        self.names.insert(id, tag.clone());
        self.ids.insert(tag, id);
    }

    fn name(&self, id: RequestId) -> &str {
        self.names.get(&id).map_or("", String::as_str)
    }
}

impl Drive {
    /// With books kept beside the session: a line in which it breaks a promise is a panic.
    pub(crate) fn judged() -> Self {
        Self { driven: None, is_judged: true }
    }

    /// Answers one line of input.
    pub fn line(&mut self, line: &[u8]) -> Vec<Value> {
        let mut answers = self.take(line).unwrap_or_else(|error| vec![json!({ "error": error.to_string() })]);
        answers.push(json!({ "status": self.driven.as_ref().map(Driven::status) }));
        answers
    }

    fn take(&mut self, line: &[u8]) -> Result<Vec<Value>, InputError> {
        let line = serde_json::from_slice(line).map_err(|error| InputError::new("line", error))?;
        let mut line = Fields::new("line", line)?;
        match &mut self.driven {
            Some(driven) => driven.take(line),
            None => {
                let config = line.object("config")?;
                line.end()?;
                let steps = Steps::default();
                let (config, auto_sent) = inputs::config(config, &steps)?;
                let books = self.is_judged.then(|| Books::new(config.clone(), Instant::ZERO));
                let session = Session::new(config, Instant::ZERO);
                let driven = Driven { session, books, now_ms: 0, auto_sent, tags: Tags::default(), steps };
                Ok(self.driven.insert(driven).drain())
            }
        }
    }
}

impl Driven {
    fn take(&mut self, mut line: Fields) -> Result<Vec<Value>, InputError> {
        let at_ms = line.number("at_ms")?;
        if at_ms < self.now_ms {
            return Err(InputError::new("at_ms", format!("{at_ms} is before {}, the last one", self.now_ms)));
        }
        let act = inputs::act(line)?;
        self.check(&act)?;
        self.now_ms = at_ms;
        let mut answers: Vec<_> = self.perform(act, Instant::from_millis(at_ms)).into_iter().collect();
        answers.extend(self.drain());
        Ok(answers)
    }

    /// What can be wrong with an act beside its form.
    fn check(&self, act: &Act) -> Result<(), InputError> {
        match act {
            Act::Sent { .. } if self.auto_sent => {
                Err(InputError::new("sent", "\"auto_sent\" is true: each send counts as taken at once"))
            }
            Act::Submit { tag, .. } | Act::AddAuth { tag, .. } if self.tags.ids.contains_key(tag) => {
                Err(InputError::new("tag", format!("{tag:?} names an earlier request")))
            }
            Act::Cancel { tag } | Act::RemoveWatch { tag } if !self.tags.ids.contains_key(tag) => {
                Err(InputError::new("tag", format!("{tag:?} names no request")))
            }
            Act::UpdateServers { connect_string }
                if connect_string.chroot.is_some()
                    && connect_string.chroot != self.session.config().connect_string.chroot =>
            {
                Err(InputError::new("connect_string", "a session's chroot is for life"))
            }
            _ => Ok(()),
        }
    }

    fn perform(&mut self, act: Act, now: Instant) -> Option<Value> {
        let (tag, input) = self.input(act, now);
        match (self.call(&input, now), tag) {
            (Ok(Some(id)), Some(tag)) => self.tags.insert(tag, id),
            (Ok(_), _) => {}
            (Err(error), tag) => return Some(submit_error(tag.as_deref(), &error)),
        }
        None
    }

    /// The call that an act stands for, and the name of what is accepted by it.
    fn input(&mut self, act: Act, now: Instant) -> (Option<String>, Input) {
        let input = match act {
            Act::Connected { connection } => Input::Connected(connection),
            Act::Received { connection, bytes, steps } => {
                steps.into_iter().for_each(|step| self.steps.push(step));
                Input::Received(connection, bytes)
            }
            Act::Sent { connection, count } => Input::Sent(connection, count),
            Act::Disconnected { connection } => Input::Disconnected(connection),
            Act::Probed { probe, read_write } => Input::Probed(probe, read_write),
            Act::Timeout => Input::Timeout,
            Act::Close => Input::Close,
            Act::Cancel { tag } => Input::Cancel(self.tags.ids[&tag]),
            Act::RemoveWatch { tag } => Input::RemoveWatch(self.tags.ids[&tag]),
            Act::Submit { tag, request, options } => {
                return (Some(tag), Input::Submit(request, options.at(now)));
            }
            Act::AddAuth { tag, info } => return (Some(tag), Input::AddAuth(info)),
            Act::UpdateServers { connect_string } => Input::UpdateServers(connect_string),
        };
        (None, input)
    }

    fn call(&mut self, input: &Input, now: Instant) -> Result<Option<RequestId>, SubmitError> {
        match &mut self.books {
            Some(books) => books.call(input, &mut self.session, now),
            None => input.apply(&mut self.session, now),
        }
    }

    fn drain(&mut self) -> Vec<Value> {
        let mut answers = Vec::new();
        while let Some(action) = self.session.poll_action() {
            if let Some(books) = &mut self.books {
                books.action(&action, &self.session);
            }
            let sent = self.auto_sent.then(|| sent(&action)).flatten();
            answers.push(actions::action(&action, &self.tags));
            if let Some((connection, count)) = sent {
                let _ = self.call(&Input::Sent(connection, count), Instant::from_millis(self.now_ms));
            }
        }
        if let Some(books) = &mut self.books {
            books.drained(&mut self.session);
        }
        answers
    }

    fn status(&self) -> Value {
        status(&self.session, Instant::ZERO, self.now_ms)
    }
}

/// Where a session stands that began at `begin`.
fn status(session: &Session, begin: Instant, at_ms: u64) -> Value {
    let (stats, next) = (session.stats(), session.next_timer());
    json!({
        "at_ms": at_ms,
        "state": actions::state(session.state()),
        "ready": session.is_ready(),
        "next_timeout_ms": next.map(|(_, due)| due.since(begin).as_nanos().div_ceil(1_000_000) as u64),
        "next_timer": next.map(|(timer, _)| actions::timer(timer)),
        "queued": stats.queued,
        "in_flight": stats.in_flight,
        "watches": stats.watches,
        "last_zxid": session.last_zxid().to_string(),
    })
}

fn submit_error(tag: Option<&str>, error: &SubmitError) -> Value {
    let kind = actions::submit_error(error);
    let fields = match tag {
        Some(tag) => json!({ "tag": tag, "kind": kind, "error": error.to_string() }),
        None => json!({ "kind": kind }),
    };
    json!({ "submit_error": fields })
}

fn sent(action: &Action) -> Option<(ConnectionId, usize)> {
    let Action::Send { connection, bytes } = action else { return None };
    Some((*connection, bytes.len()))
}
