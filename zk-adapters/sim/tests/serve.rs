//! The simulated ensemble on loopback, and the commands for it.

use core::{net::SocketAddr, time::Duration};
use std::{
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    net::TcpStream,
    process::{self, Child, Stdio},
};

use zk_proto::{
    Bytes, BytesMut, ConnectRequest, ConnectResponse, CreateMode, ErrorCode, GetDataRequest, Jute,
    OPEN_ACL_UNSAFE, Reader, ReplyHeader, Request, SessionId, SetDataRequest, SyncRequest,
};
use zk_sim::{
    Options,
    serve::{Command, Served},
};

/// A connection with a session.
struct Client {
    stream: TcpStream,
    session: SessionId,
    password: Option<Bytes>,
}

impl Client {
    fn connect(server: SocketAddr) -> Self {
        Self::try_connect(server).expect("the server serves")
    }

    /// None if the server doesn't serve.
    fn try_connect(server: SocketAddr) -> Option<Self> {
        Self::open(server, ConnectRequest::default())
    }

    /// The same session over another connection.
    fn move_to(&self, server: SocketAddr) -> Self {
        let (session_id, passwd) = (self.session, self.password.clone());
        let hello = ConnectRequest { session_id, passwd, ..ConnectRequest::default() };
        Self::open(server, hello).expect("the session lives")
    }

    fn open(server: SocketAddr, hello: ConnectRequest) -> Option<Self> {
        let stream = TcpStream::connect(server).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("not zero");
        let mut client = Self { stream, session: SessionId(0), password: None };
        let mut bytes = BytesMut::new();
        ConnectRequest { time_out: 30_000, ..hello }.encode_frame(&mut bytes);
        client.stream.write_all(&bytes).ok()?;
        let response = ConnectResponse::decode(&mut Reader::new(&client.receive()?)).expect("a response");
        (client.session, client.password) = (response.session_id, response.passwd);
        Some(client)
    }

    fn receive(&mut self) -> Option<Bytes> {
        let mut len = [0; 4];
        self.stream.read_exact(&mut len).ok()?;
        let mut payload = vec![0; u32::from_be_bytes(len) as usize];
        self.stream.read_exact(&mut payload).ok()?;
        Some(payload.into())
    }

    /// The verdict; none if the connection is gone.
    fn ask(&mut self, request: &Request) -> Option<ErrorCode> {
        let mut bytes = BytesMut::new();
        request.encode_frame(1, &mut bytes);
        self.stream.write_all(&bytes).ok()?;
        Some(ReplyHeader::decode(&mut Reader::new(&self.receive()?)).expect("a reply").err)
    }

    fn create(&mut self, path: &str, data: &[u8], mode: CreateMode) -> Option<ErrorCode> {
        self.ask(&Request::create(path, Some(Bytes::copy_from_slice(data)), OPEN_ACL_UNSAFE, mode))
    }
}

fn serve(servers: usize) -> Served {
    Served::start(Options { servers, ..Options::default() }).expect("free ports")
}

fn perform(served: &Served, line: &str) -> String {
    let command = Command::parse(line, served.len()).expect("a command").expect("not blank");
    command.perform(served).unwrap_or_else(|error| panic!("{line}: {error}"))
}

#[test]
fn a_line_that_is_no_command_is_told_why() {
    let cases = [
        ("melt 1", "\"melt\": no such command; `help` lists them"),
        ("cut", "cut SERVER: 0 word(s) given"),
        ("wipe 1", "wipe: 1 word(s) given"),
        ("cut 4", "server \"4\": not one of 1 to 3"),
        ("pause 0", "server \"0\": not one of 1 to 3"),
        ("crash one", "server \"one\": not one of 1 to 3"),
        ("lag 1 5", "time \"5\": not a number with ms or s, such as 500ms"),
        (
            "lag 1 99999999999999999999s",
            "time \"99999999999999999999s\": not a number with ms or s, such as 500ms",
        ),
    ];
    for (line, expected) in cases {
        assert_eq!(Command::parse(line, 3).expect_err(line).to_string(), expected);
    }
    let wrong = Command::parse("expire xyz", 3).expect_err("no number").to_string();
    assert!(wrong.starts_with("session \"xyz\": not a number in hexadecimal"), "{wrong}");
    let gone = Command::parse("expire 0x5", 1).expect("a command").expect("not blank").perform(&serve(1));
    assert_eq!(
        gone.expect_err("there is none").to_string(),
        "session 0x5: there is none; `sessions` lists them"
    );
}

#[test]
fn each_command_is_what_its_line_says() {
    let second = Duration::from_secs(1);
    let cases = [
        ("cut 1", Command::Cut(0)),
        ("expire 0xff00000000000001", Command::Expire(SessionId(0xFF00_0000_0000_0001_u64.cast_signed()))),
        ("  pause   2 ", Command::Pause(1)),
        ("resume 2", Command::Resume(1)),
        ("crash 3", Command::Crash(2)),
        ("restart 3", Command::Restart(2)),
        ("leader 2", Command::Lead(1)),
        ("leader", Command::Leader),
        ("isolate 1", Command::Isolate(0)),
        ("rejoin 1", Command::Rejoin(0)),
        ("lag 1 500ms", Command::Lag(0, second / 2)),
        ("lag 1 1s", Command::Lag(0, second)),
        ("wipe", Command::Wipe),
        ("heal", Command::Heal),
        ("sessions", Command::Sessions),
        ("help", Command::Help),
    ];
    for (line, expected) in cases {
        assert_eq!(Command::parse(line, 3).expect(line), Some(expected));
    }
    assert_eq!(Command::parse(" ", 3).expect("blank"), None);
}

#[test]
fn a_killed_server_refuses_connections_until_it_is_restarted() {
    let served = serve(3);
    let mut client = Client::connect(served.address(0));
    perform(&served, "crash 1");
    assert_eq!(client.receive(), None);
    let refused = TcpStream::connect(served.address(0)).expect_err("nobody listens");
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    perform(&served, "restart 1");
    Client::connect(served.address(0));
}

#[test]
fn the_leader_can_be_chosen_and_told() {
    let served = serve(3);
    for leader in 1..=3 {
        let told = perform(&served, &format!("leader {leader}"));
        assert_eq!(told, format!("server {leader} leads"));
        assert_eq!(served.leader(), Some(leader - 1));
    }
    perform(&served, "crash 1");
    perform(&served, "crash 2");
    // The last one notices after a while that it is alone; it can't be the leader then.
    perform(&served, "crash 3");
    assert_eq!(perform(&served, "leader"), "there is no leader");
}

#[test]
fn a_session_is_listed_until_it_expires_and_its_ephemerals_with_it() {
    let served = serve(3);
    let mut client = Client::connect(served.address(1));
    assert_eq!(client.create("/e", b"", CreateMode::Ephemeral), Some(ErrorCode::OK));
    let listed = perform(&served, "sessions");
    let begin = format!("{}  on server 2, timeout 30000 ms, ", client.session);
    assert!(listed.starts_with(&begin) && listed.ends_with(" ms left"), "{listed}");
    assert_eq!(served.data(1, "/e"), Some(Vec::new()));
    perform(&served, &format!("expire {}", client.session));
    assert_eq!(client.receive(), None);
    assert_eq!(served.data(1, "/e"), None);
    assert_eq!(perform(&served, "sessions"), "there are no sessions");
}

#[test]
fn a_server_that_lags_answers_late_and_one_that_is_frozen_not_at_all() {
    let served = serve(3);
    perform(&served, "leader 3");
    let mut writer = Client::connect(served.address(2));
    let mut reader = Client::connect(served.address(0));
    perform(&served, "lag 1 30s");
    assert_eq!(writer.create("/a", b"", CreateMode::Persistent), Some(ErrorCode::OK));
    let read = Request::GetData(GetDataRequest { path: "/a".into(), watch: false });
    assert_eq!(reader.ask(&read), Some(ErrorCode::NO_NODE));
    perform(&served, "pause 1");
    reader.stream.set_read_timeout(Some(Duration::from_millis(200))).expect("not zero");
    assert_eq!(reader.ask(&read), None);
    perform(&served, "heal");
    let mut reader = Client::connect(served.address(0));
    assert_eq!(reader.ask(&Request::Sync(SyncRequest { path: "/".into() })), Some(ErrorCode::OK));
    assert_eq!(reader.ask(&read), Some(ErrorCode::OK));
}

#[test]
fn a_connection_that_its_session_has_left_reads_on_from_a_follower_and_not_from_the_leader() {
    let served = serve(3);
    perform(&served, "leader 3");
    let read = Request::GetData(GetDataRequest { path: "/".into(), watch: false });
    for (server, expected) in [(0, Some(ErrorCode::OK)), (2, None)] {
        let mut left = Client::connect(served.address(server));
        let mut new = left.move_to(served.address(1));
        assert_eq!(new.ask(&read), Some(ErrorCode::OK));
        assert_eq!(left.ask(&read), expected);
        assert_eq!(left.create("/a", b"", CreateMode::Persistent), None);
        assert_eq!(new.ask(&read), Some(ErrorCode::OK));
    }
}

#[test]
fn nothing_is_left_after_a_wipe() {
    let served = serve(3);
    perform(&served, "crash 2");
    let mut client = Client::connect(served.address(0));
    assert_eq!(client.create("/a", b"", CreateMode::Persistent), Some(ErrorCode::OK));
    perform(&served, "wipe");
    assert_eq!(client.receive(), None);
    assert_eq!(served.sessions(), []);
    for server in 0..3 {
        assert_eq!(served.data(server, "/a"), None);
        Client::connect(served.address(server));
    }
}

#[test]
fn a_client_that_takes_no_answers_is_not_read_from_and_loses_none() {
    let served = serve(1);
    let mut client = Client::connect(served.address(0));
    assert_eq!(client.create("/a", &[7; 100_000], CreateMode::Persistent), Some(ErrorCode::OK));
    let mut request = BytesMut::new();
    Request::GetData(GetDataRequest { path: "/a".into(), watch: false }).encode_frame(1, &mut request);
    // Padded, so that the buffers between are soon full; ZooKeeper doesn't mind what follows a request.
    let pad = 8_192 - request.len();
    request.extend_from_slice(&vec![0; pad]);
    request[..4].copy_from_slice(&(8_192_u32 - 4).to_be_bytes());
    client.stream.set_write_timeout(Some(Duration::from_millis(300))).expect("not zero");
    let mut sent = 0;
    let mut rest = 0;
    while rest == 0 {
        match client.stream.write(&request) {
            Ok(count) if count == request.len() => sent += 1,
            Ok(count) => rest = request.len() - count,
            Err(_) => break,
        }
        assert!(sent < 100_000, "the server reads on and on");
    }
    for _ in 0..sent {
        let reply = client.receive().expect("an answer to each");
        assert!(reply.len() > 100_000);
    }
    client.stream.write_all(&request[request.len() - rest..]).expect("there is room again");
    if rest > 0 {
        assert!(client.receive().is_some());
    }
    let set = SetDataRequest { path: "/a".into(), data: None, version: 0 };
    assert_eq!(client.ask(&Request::SetData(set)), Some(ErrorCode::OK));
}

/// A child process that ends with the test.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_program_serves_and_takes_faults_from_its_input() {
    let mut program = process::Command::new(env!("CARGO_BIN_EXE_zk-sim"));
    program.args(["serve", "--servers", "3", "--port", "0"]);
    program.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut program = Program(program.spawn().expect("the program of this crate"));
    let mut told = BufReader::new(program.0.stdout.take().expect("it is piped")).lines();
    let mut line = || told.next().expect("a line").expect("text");
    let servers: Vec<SocketAddr> =
        line().split(',').map(|server| server.parse().expect("an address")).collect();
    assert_eq!(servers.len(), 3);
    assert_eq!(Client::connect(servers[1]).create("/a", b"", CreateMode::Ephemeral), Some(ErrorCode::OK));

    let mut faults = program.0.stdin.take().expect("it is piped");
    writeln!(faults, "crash 2\nleader 3\nleader").expect("it reads");
    assert_eq!(line(), "server 3 leads");
    assert!(TcpStream::connect(servers[1]).is_err());
}

#[test]
fn the_program_says_what_it_does_not_know() {
    let cases: [(&[&str], &str); 4] = [
        (&[], "a command is missing"),
        (&["server"], "server: not a command"),
        (&["serve", "--port", "70000"], "--port \"70000\": not a number from 0 to 65535"),
        (&["serve", "--servers"], "--servers: a value is missing"),
    ];
    for (words, error) in cases {
        let output = process::Command::new(env!("CARGO_BIN_EXE_zk-sim")).args(words).output();
        let output = output.expect("the program of this crate");
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(told.starts_with(error) && told.contains("usage: zk-sim serve"), "{words:?}: {told}");
        assert_eq!(output.status.code(), Some(2));
    }
}
