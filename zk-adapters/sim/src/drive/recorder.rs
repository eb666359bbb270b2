//! A session that writes down what it is told, and what it says.

use core::{borrow::Borrow, fmt, ops::Deref};
use std::{
    collections::VecDeque,
    fs::File,
    io::{self, Write},
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use serde_json::{Value, json};
use zk_session::{
    Action, AuthInfo, Config, ConnectionId, Event, Instant, ProbeId, RequestId, RequestOptions, Session,
    SubmitError,
    zk_proto::{Bytes, ConnectString, Request},
};

use crate::input::Input;

use super::{
    Tags, actions,
    blank::Secrets,
    lines,
    sasl::{self, Steps},
    status, submit_error,
};

/// Where one session is recorded, as a transcript for [`drive`](super): attach it to a bug report.
///
/// What the session is told goes to one writer, as the lines that `drive` reads; what it said then may go to another,
/// as the lines that `drive` writes. So `drive < INPUTS | cmp - OUTPUTS` shows that the session does the same again,
/// and `drive --replay INPUTS OUTPUTS` tells where it doesn't.
///
/// # Secrets
/// The session's password becomes zeros, wherever it comes in or goes out. So do the tokens of SASL; what the
/// mechanism did is told by its steps and their lengths. The data of an auth scheme become zeros up to the last byte,
/// which tells it from others of its length. All lengths stay, and nothing that a session does depends on more. Paths,
/// data and ACLs are **not** secrets to a recorder: they are in the transcript.
///
/// # What it changes
/// A recorded session lives in whole milliseconds, each moment and deadline being rounded up, and hands out what it has
/// to send after each single call: so what would leave in one write may leave in several. Each call costs a few lines
/// of text, written at once and under the adapter's lock.
///
/// The first session that is made with a recorder is recorded; clones of it record nothing more. If a writer fails,
/// recording ends and the session goes on.
#[derive(Clone)]
pub struct Recorder(Arc<Mutex<Option<Writers>>>);

struct Writers {
    inputs: Box<dyn Write + Send>,
    outputs: Option<Box<dyn Write + Send>>,
}

impl Recorder {
    /// Records what the session is told.
    pub fn new(inputs: impl Write + Send + 'static) -> Self {
        let writers = Writers { inputs: Box::new(inputs), outputs: None };
        Self(Arc::new(Mutex::new(Some(writers))))
    }

    /// Records what the session says, too.
    #[must_use]
    pub fn with_outputs(self, outputs: impl Write + Send + 'static) -> Self {
        if let Some(writers) = self.lock().as_mut() {
            writers.outputs = Some(Box::new(outputs));
        }
        self
    }

    /// Records into two files: `path` for what the session is told, and the same with `.out` behind it for what it
    /// says. What they held is lost.
    ///
    /// # Errors
    /// If one can't be created.
    pub fn create(path: impl AsRef<Path>) -> io::Result<Self> {
        let outputs = File::create(super::outputs_path(path.as_ref()))?;
        Ok(Self::new(File::create(path)?).with_outputs(outputs))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Writers>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").finish_non_exhaustive()
    }
}

/// A [`Session`] that may be recorded: its inputs, commands and outputs are a session's, and so are its views.
pub struct RecordedSession {
    session: Session,
    recording: Option<Box<Recording>>,
}

impl RecordedSession {
    /// A session that begins now; recorded, if there is a recorder that no other session took.
    pub fn new(mut config: Config, now: Instant, recorder: Option<&Recorder>) -> Self {
        let Some(writers) = recorder.and_then(|recorder| recorder.lock().take()) else {
            return Self { session: Session::new(config, now), recording: None };
        };
        let mut recording = Box::new(Recording::new(writers, now));
        config.session_timeout = lines::whole_millis(config.session_timeout);
        config.close_timeout = lines::whole_millis(config.close_timeout);
        config.backoff = (lines::whole_millis(config.backoff.0), lines::whole_millis(config.backoff.1));
        let line = lines::config(&config, &mut recording.secrets);
        config.sasl = config.sasl.map(|sasl| sasl::noted(sasl, recording.steps.clone()));
        let mut session = Session::new(config, now);
        let actions = drain(&mut session);
        recording.told(&line, None, actions, &session);
        Self { session, recording: Some(recording) }
    }

    fn call(&mut self, input: Input, now: Instant) -> Result<Option<RequestId>, SubmitError> {
        match &mut self.recording {
            Some(recording) => recording.call(input, &mut self.session, now),
            None => input.apply(&mut self.session, now),
        }
    }

    fn tell(&mut self, input: Input, now: Instant) {
        let _ = self.call(input, now);
    }
}

impl From<Session> for RecordedSession {
    /// Not recorded.
    fn from(session: Session) -> Self {
        Self { session, recording: None }
    }
}

/// Its views.
impl Deref for RecordedSession {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.session
    }
}

impl fmt::Debug for RecordedSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.session.fmt(f)
    }
}

/// A session's inputs: see there.
#[expect(missing_docs, reason = "each does what the session's method of its name does")]
impl RecordedSession {
    pub fn handle_connected(&mut self, connection: ConnectionId, now: Instant) {
        self.tell(Input::Connected(connection), now);
    }

    pub fn handle_received(&mut self, connection: ConnectionId, bytes: &[u8], now: Instant) {
        match self.recording {
            Some(_) => self.tell(Input::Received(connection, Bytes::copy_from_slice(bytes)), now),
            None => self.session.handle_received(connection, bytes, now),
        }
    }

    pub fn handle_received_owned(&mut self, connection: ConnectionId, bytes: Bytes, now: Instant) {
        match self.recording {
            Some(_) => self.tell(Input::Received(connection, bytes), now),
            None => self.session.handle_received_owned(connection, bytes, now),
        }
    }

    pub fn handle_sent(&mut self, connection: ConnectionId, count: usize, now: Instant) {
        self.tell(Input::Sent(connection, count), now);
    }

    pub fn handle_disconnected(&mut self, connection: ConnectionId, now: Instant) {
        self.tell(Input::Disconnected(connection), now);
    }

    pub fn handle_probed(&mut self, probe: ProbeId, read_write: bool, now: Instant) {
        self.tell(Input::Probed(probe, read_write), now);
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        self.tell(Input::Timeout, now);
    }
}

/// A session's commands: see there.
#[expect(
    missing_docs,
    clippy::missing_errors_doc,
    reason = "each does what the session's method of its name does"
)]
impl RecordedSession {
    pub fn submit(
        &mut self,
        request: impl Borrow<Request>,
        options: RequestOptions,
        now: Instant,
    ) -> Result<RequestId, SubmitError> {
        match &mut self.recording {
            Some(recording) => {
                let input = Input::Submit(Box::new(request.borrow().clone()), options);
                recording.call(input, &mut self.session, now).map(accepted)
            }
            None => self.session.submit(request, options, now),
        }
    }

    pub fn add_auth(&mut self, info: AuthInfo, now: Instant) -> Result<RequestId, SubmitError> {
        self.call(Input::AddAuth(info), now).map(accepted)
    }

    pub fn cancel(&mut self, request: RequestId, now: Instant) {
        self.tell(Input::Cancel(request), now);
    }

    pub fn remove_watch(&mut self, watch: RequestId, now: Instant) {
        self.tell(Input::RemoveWatch(watch), now);
    }

    pub fn update_servers(&mut self, servers: ConnectString, now: Instant) -> Result<(), SubmitError> {
        self.call(Input::UpdateServers(servers), now).map(drop)
    }

    pub fn close(&mut self, now: Instant) {
        self.tell(Input::Close, now);
    }
}

/// A session's output: see there.
#[expect(missing_docs, reason = "it does what the session's method of its name does")]
impl RecordedSession {
    pub fn poll_action(&mut self) -> Option<Action> {
        match &mut self.recording {
            Some(recording) => recording.actions.pop_front(),
            None => self.session.poll_action(),
        }
    }

    // What a recorded session said waits among its actions.
    pub fn has_event(&self) -> bool {
        self.recording.is_none() && self.session.has_event()
    }

    pub fn poll_event(&mut self) -> Option<Event> {
        if self.recording.is_none() { self.session.poll_event() } else { None }
    }
}

fn accepted(id: Option<RequestId>) -> RequestId {
    id.expect("what was accepted has an id")
}

struct Recording {
    writers: Option<Writers>,
    begin: Instant,
    now: Instant,
    secrets: Secrets,
    steps: Steps,
    tags: Tags,
    refused: u64,
    /// What the session has said, and nobody has polled.
    actions: VecDeque<Action>,
}

impl Recording {
    fn new(writers: Writers, begin: Instant) -> Self {
        Self {
            writers: Some(writers),
            begin,
            now: begin,
            secrets: Secrets::default(),
            steps: Steps::default(),
            tags: Tags::default(),
            refused: 0,
            actions: VecDeque::new(),
        }
    }

    fn call(
        &mut self,
        input: Input,
        session: &mut Session,
        now: Instant,
    ) -> Result<Option<RequestId>, SubmitError> {
        self.now = self.now.max(self.whole(now));
        let input = self.in_whole_millis(input);
        let accepted = input.apply(session, self.now);
        let actions = drain(session);
        let mut line = json!({ "at_ms": self.at_ms() });
        let (tag, what) = self.line(&input, &accepted);
        if let (Value::Object(line), Value::Object(what)) = (&mut line, what) {
            line.extend(what);
        }
        let refusal = accepted.as_ref().err().map(|error| submit_error(tag.as_deref(), error));
        self.told(&line, refusal, actions, session);
        accepted
    }

    fn in_whole_millis(&self, input: Input) -> Input {
        match input {
            Input::Submit(request, mut options) => {
                options.deadline = options.deadline.map(|deadline| self.whole(deadline).max(self.now));
                Input::Submit(request, options)
            }
            other => other,
        }
    }

    /// What happens in the line of an input, and by which tag.
    fn line(
        &mut self,
        input: &Input,
        accepted: &Result<Option<RequestId>, SubmitError>,
    ) -> (Option<String>, Value) {
        let mut tag = || {
            let accepted = accepted.as_ref().ok().copied().flatten();
            self.refused += u64::from(accepted.is_none());
            let tag = accepted.map_or_else(|| format!("x{}", self.refused), |id| format!("r{}", id.get()));
            if let Some(id) = accepted {
                self.tags.insert(tag.clone(), id);
            }
            tag
        };
        let line = match input {
            Input::Submit(request, options) => {
                let tag = tag();
                let line = lines::submit(&tag, request, options, self.now);
                return (Some(tag), line);
            }
            Input::AddAuth(info) => {
                let tag = tag();
                let mut fields = json!({ "tag": tag });
                if let Value::Object(fields) = &mut fields {
                    fields.extend(lines::auth(info, &mut self.secrets));
                }
                return (Some(tag), json!({ "add_auth": fields }));
            }
            Input::Connected(connection) => json!({ "connected": { "connection": connection.get() } }),
            Input::Received(connection, bytes) => self.received(*connection, bytes),
            Input::Sent(connection, count) => sent(connection.get(), *count),
            Input::Disconnected(connection) => json!({ "disconnected": { "connection": connection.get() } }),
            Input::Probed(probe, read_write) => {
                json!({ "probed": { "probe": probe.get(), "read_write": read_write } })
            }
            Input::Timeout => json!({ "timeout": {} }),
            Input::Cancel(id) => self.named("cancel", *id),
            Input::RemoveWatch(id) => self.named("remove_watch", *id),
            Input::UpdateServers(servers) => lines::update_servers(servers),
            Input::Close => json!({ "close": {} }),
        };
        (None, line)
    }

    fn received(&mut self, connection: ConnectionId, bytes: &Bytes) -> Value {
        let hex = actions::hex(&self.secrets.received(connection, bytes));
        let mut received = json!({ "connection": connection.get(), "hex": hex });
        let steps: Vec<_> = core::iter::from_fn(|| self.steps.pop()).map(sasl::Step::to_value).collect();
        if !steps.is_empty() {
            received["sasl"] = steps.into();
        }
        json!({ "received": received })
    }

    /// An id that was never given names nothing: only the time has passed then.
    fn named(&self, what: &str, id: RequestId) -> Value {
        match self.tags.names.get(&id) {
            Some(tag) => json!({ what: { "tag": tag } }),
            None => sent(0, 0),
        }
    }

    /// Writes down what the session was told, and what it said then.
    fn told(&mut self, line: &Value, refusal: Option<Value>, actions: Vec<Action>, session: &Session) {
        let mut outputs: Vec<_> = refusal.into_iter().collect();
        for action in actions {
            outputs.push(self.said(&action));
            self.actions.push_back(action);
        }
        outputs.push(json!({ "status": status(session, self.begin, self.at_ms()) }));
        let Some(writers) = &mut self.writers else { return };
        let written = write(&mut writers.inputs, core::slice::from_ref(line))
            .and_then(|()| writers.outputs.as_mut().map_or(Ok(()), |writer| write(writer, &outputs)));
        if written.is_err() {
            self.writers = None;
        }
    }

    fn said(&mut self, action: &Action) -> Value {
        match action {
            Action::Connect { connection, .. } => {
                self.secrets.connect(*connection);
                actions::action(action, &self.tags)
            }
            Action::Send { connection, bytes } => {
                let bytes = self.secrets.sent(*connection, bytes);
                actions::action(&Action::Send { connection: *connection, bytes }, &self.tags)
            }
            other => actions::action(other, &self.tags),
        }
    }

    fn at_ms(&self) -> u64 {
        u64::try_from((self.now - self.begin).as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
    }

    /// The next moment that is a whole number of milliseconds after the beginning.
    fn whole(&self, moment: Instant) -> Instant {
        self.begin + lines::whole_millis(moment.since(self.begin))
    }
}

fn drain(session: &mut Session) -> Vec<Action> {
    core::iter::from_fn(|| session.poll_action()).collect()
}

fn sent(connection: u64, count: usize) -> Value {
    json!({ "sent": { "connection": connection, "count": count } })
}

fn write(writer: &mut Box<dyn Write + Send>, lines: &[Value]) -> io::Result<()> {
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    writer.write_all(text.as_bytes())
}

impl Drop for Recording {
    fn drop(&mut self) {
        if let Some(writers) = &mut self.writers {
            let _ = writers.inputs.flush();
            let _ = writers.outputs.as_mut().map(Write::flush);
        }
    }
}

/// A session's inputs as the lines that [`Drive`](super::Drive) reads, one after the other.
///
/// The moments are told in whole milliseconds, and all that the session has to say is taken after each input: where
/// that matters, the transcript tells a story that is close to the one that happened.
pub fn transcript<'a>(
    config: &Config,
    begin: Instant,
    inputs: impl IntoIterator<Item = &'a (Instant, Input)>,
) -> String {
    let lines = Lines::default();
    let recorder = Recorder::new(lines.clone());
    let mut session = RecordedSession::new(config.clone(), begin, Some(&recorder));
    for (at, input) in inputs {
        session.tell(input.clone(), *at);
    }
    lines.text()
}

/// Lines that are kept.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
