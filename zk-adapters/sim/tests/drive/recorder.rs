//! What a recorder writes, and its replay.

use core::time::Duration;
use std::{
    io::{self, Write},
    sync::{Arc, Mutex},
};

use base64::Engine as _;
use serde_json::Value;
use zk_session::{
    Action, AuthInfo, Config, Instant, RequestOptions, Retry, Sasl, SaslError, SaslExchange, SaslMechanism,
    SaslStep,
    zk_proto::{AddWatchMode, AddWatchRequest, Bytes, CreateMode, GetDataRequest, OPEN_ACL_UNSAFE, Request},
};
use zk_sim::{
    ClientId, Input, Options, World,
    drive::{Drive, RecordedSession, Recorder, Replayed, replay},
};

/// A file in memory.
#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Vec<u8>>>);

impl Memory {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().expect("no panic").clone()).expect("text")
    }
}

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no panic").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Recorded {
    inputs: String,
    outputs: String,
}

/// What a recorder writes of a session that is told this.
fn record<'a>(
    config: &Config,
    begin: Instant,
    inputs: impl IntoIterator<Item = &'a (Instant, Input)>,
) -> Recorded {
    let (told, said) = (Memory::default(), Memory::default());
    let recorder = Recorder::new(told.clone()).with_outputs(said.clone());
    let mut session = RecordedSession::new(config.clone(), begin, Some(&recorder));
    for (at, input) in inputs {
        apply(&mut session, input.clone(), *at);
    }
    Recorded { inputs: told.text(), outputs: said.text() }
}

fn apply(session: &mut RecordedSession, input: Input, at: Instant) {
    match input {
        Input::Connected(connection) => session.handle_connected(connection, at),
        Input::Received(connection, bytes) => session.handle_received(connection, &bytes, at),
        Input::Sent(connection, count) => session.handle_sent(connection, count, at),
        Input::Disconnected(connection) => session.handle_disconnected(connection, at),
        Input::Probed(probe, read_write) => session.handle_probed(probe, read_write, at),
        Input::Timeout => session.handle_timeout(at),
        Input::Submit(request, options) => drop(session.submit(*request, options, at)),
        Input::Cancel(request) => session.cancel(request, at),
        Input::RemoveWatch(watch) => session.remove_watch(watch, at),
        Input::AddAuth(info) => drop(session.add_auth(info, at)),
        Input::UpdateServers(servers) => drop(session.update_servers(servers, at)),
        Input::Close => session.close(at),
    }
}

impl Recorded {
    fn replayed(&self) -> Replayed {
        let replayed = replay(self.inputs.as_bytes(), self.outputs.as_bytes()).expect("nothing but memory");
        let replayed = replayed.unwrap_or_else(|difference| panic!("{difference}"));
        assert!(!self.outputs.contains("{\"error\""), "{}", self.outputs);
        replayed
    }

    /// In raw, hex, base64 and decimal.
    fn assert_holds_no(&self, secret: &[u8]) {
        let hex: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
        let decimal = secret.iter().map(u8::to_string).collect::<Vec<_>>().join(",");
        let text = String::from_utf8_lossy(secret).into_owned();
        let all = format!("{}{}", self.inputs, self.outputs);
        let base64 = base64::engine::general_purpose::STANDARD_NO_PAD.encode(secret);
        for encoded in [hex.to_uppercase(), hex, decimal, text, base64] {
            assert!(!all.contains(&encoded), "{encoded}");
        }
    }
}

const SECRET: &[u8] = b"me:correct horse battery staple";

/// A session that loses connections, servers and time.
fn story(world: &mut World) -> ClientId {
    let mut config = world.config();
    config.seed = 11;
    config.max_send_len = 64;
    let auth = |secret: &'static [u8]| AuthInfo { scheme: "digest".into(), auth: Bytes::from_static(secret) };
    config.auth = vec![auth(SECRET), auth(b"me:another horse battery stapler")];
    config.connect_string.chroot = Some("/app".into());
    let client = world.open(config);
    let create =
        |path: &str, mode| Request::create(path, Some(Bytes::from(vec![7; 300])), OPEN_ACL_UNSAFE, mode);
    let options = RequestOptions::default();
    let seconds = Duration::from_secs;
    world.submit(client, create("/", CreateMode::Persistent), options).expect("accepted");
    world.submit(client, create("/e", CreateMode::EphemeralSequential), options).expect("accepted");
    let add = Request::AddWatch(AddWatchRequest { path: "/".into(), mode: AddWatchMode::PERSISTENT });
    let id = world.submit(client, add, options).expect("accepted");
    world.run_for(seconds(1));
    let get = Request::GetData(GetDataRequest { path: "/".into(), watch: true });
    let until =
        options.with_retry(Retry::WhenSafe).with_deadline(world.now() + Duration::from_micros(1_234_567));
    world.submit(client, get, until).expect("accepted");
    world.run_for(Duration::from_micros(700));
    world.cut(client);
    world.run_for(seconds(1));
    world.input(client, Input::AddAuth(auth(b"you:incorrect horse"))).expect("accepted");
    world.ensemble_mut(|ensemble, now| ensemble.crash(0, now));
    world.run_for(seconds(20));
    world.oversleep(seconds(9));
    world.run_for(seconds(3));
    world.input(client, Input::RemoveWatch(id)).expect("never refused");
    world.submit(client, Request::CloseSession, options).expect_err("it is the session's own");
    world.input(client, Input::Close).expect("never refused");
    world.run_for(seconds(9));
    client
}

#[test]
fn a_recorded_session_replays_to_the_byte_and_holds_no_secret() {
    let mut world = World::new(Options { servers: 3, ..Options::default() });
    world.record();
    let begin = world.now();
    let client = story(&mut world);
    let recorded = record(world.config_of(client), begin, world.inputs(client));
    assert_eq!(world.transcript(client), recorded.inputs);
    let replayed = recorded.replayed();
    assert!(replayed.inputs > 50, "{replayed:?}");
    for happened in
        ["\"ready\"", "\"watches_restored\"", "\"submit_error\"", "\"confirmed\":true", "\"late\""]
    {
        assert!(recorded.outputs.contains(happened), "{happened}");
    }
    recorded.assert_holds_no(SECRET);
    recorded.assert_holds_no(b"horse");
    let answers = world.inputs(client).iter().filter_map(|(_, input)| {
        let Input::Received(_, bytes) = input else { return None };
        bytes.get(24..40)
    });
    recorded.assert_holds_no(answers.into_iter().next().expect("a ConnectResponse's password"));
}

#[test]
fn a_replay_tells_where_it_differs() {
    let mut world = World::new(Options::default());
    world.record();
    let begin = world.now();
    let client = story(&mut world);
    let mut recorded = record(world.config_of(client), begin, world.inputs(client));
    recorded.outputs = recorded.outputs.replace("\"ready\":true", "\"ready\":false");
    let difference = replay(recorded.inputs.as_bytes(), recorded.outputs.as_bytes())
        .expect("memory")
        .expect_err("differs");
    let (recorded_line, replayed_line) =
        (difference.recorded.expect("a line"), difference.replayed.expect("a line"));
    assert_eq!(recorded_line.replace("\"ready\":false", "\"ready\":true"), replayed_line);
    assert!(difference.input > 1 && difference.output > difference.input);
    let short = replay(recorded.inputs.as_bytes(), &b""[..]).expect("memory").expect_err("differs");
    assert_eq!((short.input, short.output, short.recorded), (1, 1, None));
}

/// A mechanism with secrets: the second token is its last.
struct Secretive;

impl SaslMechanism for Secretive {
    fn begin(&self) -> Box<dyn SaslExchange> {
        Box::new(Self)
    }
}

impl SaslExchange for Secretive {
    fn initial_response(&mut self) -> Result<Bytes, SaslError> {
        Ok(Bytes::from_static(b"secret of the first token"))
    }

    fn respond(&mut self, _: &[u8]) -> Result<SaslStep, SaslError> {
        Ok(SaslStep::Last(Bytes::from_static(b"secret of the last token")))
    }

    fn clone_box(&self) -> Box<dyn SaslExchange> {
        Box::new(Self)
    }
}

#[test]
fn tokens_of_sasl_are_lengths_in_a_transcript() {
    let mut config = Config::new("a:1".parse().expect("a server"));
    config.sasl = Some(Sasl::new(Secretive));
    let (told, said) = (Memory::default(), Memory::default());
    let recorder = Recorder::new(told.clone()).with_outputs(said.clone());
    let mut session = RecordedSession::new(config, Instant::ZERO, Some(&recorder));
    let now = Instant::from_nanos(1_500_000);
    let mut connection = None;
    let mut answers = 0;
    let mut sent = Vec::new();
    while let Some(action) = session.poll_action() {
        match action {
            Action::Connect { connection: next, .. } => {
                connection = Some(next);
                session.handle_connected(next, now);
            }
            Action::Send { connection, bytes } => {
                sent.extend_from_slice(&bytes);
                session.handle_sent(connection, bytes.len(), now);
                let answer = answer(answers, &bytes);
                answers += 1;
                // Byte by byte: a token is one wherever it is cut.
                for byte in answer {
                    session.handle_received(connection, &[byte], now);
                }
            }
            Action::Disconnect { .. } | Action::Probe { .. } | Action::Emit(_) => {}
        }
    }
    assert!(session.is_ready(), "{session:?}");
    assert!(String::from_utf8_lossy(&sent).contains("secret of the last token"));
    session.handle_disconnected(connection.expect("one"), now);
    let recorded = Recorded { inputs: told.text(), outputs: said.text() };
    recorded.replayed();
    for secret in
        [&b"secret of the first token"[..], b"secret of the last token", b"secret challenge", &PASSWORD]
    {
        recorded.assert_holds_no(secret);
    }
    assert!(recorded.inputs.contains(r#""sasl":[{"last":24}]"#), "{}", recorded.inputs);
}

const PASSWORD: [u8; 16] = *b"0123456789abcdef";

/// A server's answers: a ConnectResponse, a challenge, and a reply without a token.
fn answer(number: usize, request: &[u8]) -> Vec<u8> {
    let frame = |payload: Vec<u8>| [&(payload.len() as u32).to_be_bytes()[..], &payload].concat();
    let reply = |token: &[u8]| frame([&request[4..8], &[0; 12], token].concat());
    match number {
        0 => frame(
            [&[0; 4], &10_000_u32.to_be_bytes()[..], &[0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 16], &PASSWORD, &[0]]
                .concat(),
        ),
        1 => reply(&[&16_u32.to_be_bytes()[..], b"secret challenge"].concat()),
        2 => reply(&[0xff; 4]),
        _ => Vec::new(),
    }
}

#[test]
fn a_transcript_is_all_that_a_drive_needs() {
    let mut world = World::new(Options::default());
    world.record();
    let client = story(&mut world);
    let mut drive = Drive::default();
    let answers: Vec<Value> =
        world.transcript(client).lines().flat_map(|line| drive.line(line.as_bytes())).collect();
    assert!(answers.iter().all(|answer| answer.get("error").is_none()));
    assert_eq!(answers.last().map(|last| &last["status"]["state"]), Some(&Value::from("closed")));
}
