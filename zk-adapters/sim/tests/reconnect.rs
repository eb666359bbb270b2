//! Clients that break the rules for reconnecting, each in its own way: the check tells.

use core::{net::SocketAddr, time::Duration};
use std::{
    io::{self, Read, Write},
    net::TcpStream,
    thread,
};

use zk_proto::{
    Bytes, BytesMut, ConnectRequest, ConnectResponse, GetDataRequest, Jute, Reader, Request, SetWatches, Zxid,
};
use zk_sim::{
    Version,
    reconnect::{Check, Outcome, Rule},
};

/// What a client of a few lines does on each connection, given the session that it had on the last one.
type Habit = fn(&mut TcpStream, &mut Option<ConnectResponse>) -> io::Result<()>;

/// Lets a client with a habit loose, which connects to the first server again and again.
fn judged(habit: Habit) -> Vec<(Rule, Outcome)> {
    let check = Check::start(Version::V3_9, 0).expect("free ports");
    let servers = check.connect_string();
    let server: SocketAddr =
        servers.split(',').next().and_then(|first| first.parse().ok()).expect("an address");
    thread::spawn(move || {
        let mut session = None;
        while let Ok(mut stream) = TcpStream::connect(server) {
            // Whatever ends the connection, it connects again at once.
            let _ = habit(&mut stream, &mut session);
        }
    });
    let verdicts = check.run(Duration::from_secs(60), |_| {}).expect("a session");
    verdicts.iter().for_each(|verdict| println!("{verdict}"));
    verdicts.into_iter().map(|verdict| (verdict.rule, verdict.outcome)).collect()
}

fn failed(verdicts: &[(Rule, Outcome)]) -> Vec<Rule> {
    let failed = verdicts.iter().filter(|(_, outcome)| *outcome == Outcome::Failed);
    failed.map(|(rule, _)| *rule).collect()
}

/// Asks for a new session each time, does not wait for the answer, and pings never.
fn forgets(stream: &mut TcpStream, _: &mut Option<ConnectResponse>) -> io::Result<()> {
    send_hello(stream, &ConnectRequest::default())?;
    send(stream, 1, &watched_read())?;
    while receive(stream).is_ok() {}
    Ok(())
}

/// Holds on to its session for ever, has seen more than there is, and has its watch fire without reason.
fn is_stubborn(stream: &mut TcpStream, session: &mut Option<ConnectResponse>) -> io::Result<()> {
    let Some(own) = session else {
        send_hello(stream, &ConnectRequest::default())?;
        *session = ConnectResponse::decode(&mut Reader::new(&receive(stream)?)).ok();
        send(stream, 1, &watched_read())?;
        return pings(stream);
    };
    let (session_id, passwd) = (own.session_id, own.passwd.clone());
    send_hello(stream, &ConnectRequest { session_id, passwd, ..ConnectRequest::default() })?;
    receive(stream)?;
    let data_watches = [WATCHED].into_iter().map(Into::into).collect();
    let set = SetWatches { relative_zxid: Zxid(0), data_watches, ..SetWatches::default() };
    send(stream, -8, &Request::SetWatches(set))?;
    pings(stream)
}

fn pings(stream: &mut TcpStream) -> io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_millis(500)))?;
    let mut bytes = [0; 1024];
    loop {
        match stream.read(&mut bytes) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => send(stream, -2, &Request::Ping)?,
            Err(error) => return Err(error),
        }
    }
}

fn watched_read() -> Request {
    Request::GetData(GetDataRequest { path: WATCHED.into(), watch: true })
}

fn send_hello(stream: &mut TcpStream, hello: &ConnectRequest) -> io::Result<()> {
    let mut bytes = BytesMut::new();
    ConnectRequest { time_out: 2_000, ..hello.clone() }.encode_frame(&mut bytes);
    stream.write_all(&bytes)
}

fn send(stream: &mut TcpStream, xid: i32, request: &Request) -> io::Result<()> {
    let mut bytes = BytesMut::new();
    request.encode_frame(xid, &mut bytes);
    stream.write_all(&bytes)
}

fn receive(stream: &mut TcpStream) -> io::Result<Bytes> {
    let mut len = [0; 4];
    stream.read_exact(&mut len)?;
    let mut payload = vec![0; u32::from_be_bytes(len) as usize];
    stream.read_exact(&mut payload)?;
    Ok(payload.into())
}

#[test]
fn a_client_that_forgets_everything_is_told_so() {
    let verdicts = judged(forgets);
    let expected = [
        Rule::HandshakeAlone,
        Rule::SameSession,
        Rule::LastZxid,
        Rule::PingsInTime,
        Rule::ChangeTold,
        Rule::BacksOff,
        Rule::TriesEveryServer,
        Rule::LeavesSilentServer,
    ];
    assert_eq!(failed(&verdicts), expected);
}

#[test]
fn a_client_that_lets_go_of_nothing_is_told_so() {
    let verdicts = judged(is_stubborn);
    let expected = [
        Rule::LastZxid,
        Rule::RelativeZxid,
        Rule::BacksOff,
        Rule::TriesEveryServer,
        Rule::LeavesSilentServer,
        Rule::LetsGoOfExpired,
    ];
    assert_eq!(failed(&verdicts), expected);
}

const WATCHED: &str = "/check";
