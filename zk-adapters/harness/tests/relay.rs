//! The relay, between a client and a server that are plain sockets.

use core::time::Duration;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Instant;

use zk_harness::{DeadPort, Direction, Relay};

/// A client and a server with a relay between them.
struct Pair {
    relay: Relay,
    listener: TcpListener,
    client: TcpStream,
    server: TcpStream,
}

impl Pair {
    fn connected() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let relay = Relay::start(listener.local_addr().expect("it is bound")).expect("a free port");
        let client = TcpStream::connect(relay.address()).expect("the relay accepts");
        let (server, _) = listener.accept().expect("the relay connects");
        for stream in [&client, &server] {
            stream.set_read_timeout(Some(PATIENCE)).expect("a time above zero");
            stream.set_nodelay(true).expect("a TCP socket");
        }
        let mut pair = Self { relay, listener, client, server };
        pair.exchange();
        pair
    }

    /// A byte each way, after which all threads of the relay are at their places.
    fn exchange(&mut self) {
        self.client.write_all(b"?").expect("the relay reads");
        assert_eq!(receive(&mut self.server, 1), b"?");
        self.server.write_all(b"!").expect("the relay reads");
        assert_eq!(receive(&mut self.client, 1), b"!");
    }
}

fn receive(stream: &mut TcpStream, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    stream.read_exact(&mut bytes).expect("the bytes come");
    bytes
}

/// What a stream ends with: the bytes before, and the error, if it isn't a plain end.
fn drain(stream: &mut TcpStream) -> (Vec<u8>, Option<ErrorKind>) {
    let mut bytes = Vec::new();
    let error = stream.read_to_end(&mut bytes).err();
    (bytes, error.as_ref().map(io::Error::kind))
}

fn is_silent(stream: &mut TcpStream) -> bool {
    stream.set_read_timeout(Some(Duration::from_millis(100))).expect("a time above zero");
    let outcome = stream.read(&mut [0]);
    stream.set_read_timeout(Some(PATIENCE)).expect("a time above zero");
    matches!(outcome, Err(error) if error.kind() == ErrorKind::WouldBlock)
}

#[test]
fn megabytes_pass_unchanged_both_ways_at_once() {
    let Pair { relay, client, server, .. } = Pair::connected();
    let sent: Vec<u8> = (0..5_000_000_u32).map(|i| (i % 251) as u8).collect();
    let echo = std::thread::spawn(move || io::copy(&mut &server, &mut &server));
    let mut writer = client.try_clone().unwrap();
    let to_send = sent.clone();
    let sender = std::thread::spawn(move || writer.write_all(&to_send));
    let mut client = client;
    assert!(receive(&mut client, sent.len()) == sent);
    sender.join().unwrap().unwrap();
    drop(client);
    echo.join().unwrap().unwrap();
    assert_eq!(relay.forwarded(Direction::ToServer), 1 + 5_000_000);
    assert_eq!(relay.forwarded(Direction::ToClient), 1 + 5_000_000);
}

#[test]
fn an_end_passes_through_and_the_other_direction_stays() {
    let mut pair = Pair::connected();
    pair.client.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(drain(&mut pair.server), (vec![], None));
    pair.server.write_all(b"late").unwrap();
    assert_eq!(receive(&mut pair.client, 4), b"late");
    drop(pair.server);
    assert_eq!(drain(&mut pair.client), (vec![], None));
}

#[test]
fn cut_resets_both_sides_and_new_connections_are_relayed() {
    let mut pair = Pair::connected();
    pair.relay.cut();
    assert_eq!(drain(&mut pair.client), (vec![], Some(ErrorKind::ConnectionReset)));
    assert_eq!(drain(&mut pair.server), (vec![], Some(ErrorKind::ConnectionReset)));
    assert_eq!(pair.relay.open(), 0);
    pair.client = TcpStream::connect(pair.relay.address()).unwrap();
    pair.server = pair.listener.accept().unwrap().0;
    pair.exchange();
    assert_eq!(pair.relay.accepted(), 2);
}

#[test]
fn hang_up_ends_both_sides_in_good_order() {
    let mut pair = Pair::connected();
    pair.relay.hang_up();
    assert_eq!(drain(&mut pair.client), (vec![], None));
    assert_eq!(drain(&mut pair.server), (vec![], None));
}

#[test]
fn a_relay_that_refuses_keeps_its_connections_and_accepts_again() {
    let mut pair = Pair::connected();
    pair.relay.refuse();
    let error = TcpStream::connect(pair.relay.address()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    pair.exchange();
    pair.relay.accept();
    pair.client = TcpStream::connect(pair.relay.address()).unwrap();
    pair.server = pair.listener.accept().unwrap().0;
    pair.exchange();
}

#[test]
fn a_black_hole_swallows_one_direction_until_healed() {
    let mut pair = Pair::connected();
    pair.relay.black_hole(Direction::ToServer);
    pair.client.write_all(b"lost?").unwrap();
    assert!(is_silent(&mut pair.server));
    pair.server.write_all(b"here").unwrap();
    assert_eq!(receive(&mut pair.client, 4), b"here");
    pair.relay.heal();
    assert_eq!(receive(&mut pair.server, 5), b"lost?");
}

#[test]
fn a_black_hole_swallows_ends_as_well() {
    let mut pair = Pair::connected();
    pair.relay.black_hole(Direction::ToClient);
    drop(pair.server);
    assert!(is_silent(&mut pair.client));
    pair.relay.heal();
    assert_eq!(drain(&mut pair.client), (vec![], None));
}

#[test]
fn stalled_reads_fill_the_clients_socket_and_nothing_is_lost() {
    let mut pair = Pair::connected();
    pair.relay.stall_reads();
    pair.client.set_nonblocking(true).unwrap();
    let mut sent = 0;
    while let Ok(count) = pair.client.write(&[7; 65_536]) {
        sent += count;
        assert!(sent < 100_000_000, "the socket never fills");
    }
    assert!(is_silent(&mut pair.server));
    pair.relay.heal();
    assert!(receive(&mut pair.server, sent) == vec![7; sent]);
}

#[test]
fn a_stalled_relay_can_be_cut() {
    let mut pair = Pair::connected();
    pair.relay.stall_reads();
    pair.client.write_all(b"unread").unwrap();
    pair.relay.cut();
    assert_eq!(drain(&mut pair.client), (vec![], Some(ErrorKind::ConnectionReset)));
    assert_eq!(drain(&mut pair.server), (vec![], Some(ErrorKind::ConnectionReset)));
}

#[test]
fn a_relay_that_blocks_in_a_write_can_be_cut() {
    let mut pair = Pair::connected();
    pair.client.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
    while pair.client.write(&[7; 65_536]).is_ok() {}
    pair.relay.cut();
    assert_eq!(drain(&mut pair.client).1, Some(ErrorKind::ConnectionReset));
}

#[test]
fn a_delay_holds_each_byte_back() {
    let mut pair = Pair::connected();
    pair.relay.delay(Duration::from_millis(150));
    let begin = Instant::now();
    pair.client.write_all(b"slow").unwrap();
    assert_eq!(receive(&mut pair.server, 4), b"slow");
    let taken = begin.elapsed();
    assert!(taken >= Duration::from_millis(150), "{taken:?}");
    pair.relay.heal();
    pair.exchange();
}

#[test]
fn a_slow_relay_passes_on_so_many_bytes_a_second_until_it_is_healed() {
    let mut pair = Pair::connected();
    pair.relay.slow(1000);
    let begin = Instant::now();
    pair.server.write_all(&[7; 300]).unwrap();
    assert_eq!(receive(&mut pair.client, 300), [7; 300]);
    let taken = begin.elapsed();
    assert!(taken >= Duration::from_millis(290), "{taken:?}");
    pair.relay.heal();
    pair.exchange();
}

#[test]
fn a_cut_after_a_byte_delivers_exactly_the_bytes_before() {
    let mut pair = Pair::connected();
    pair.relay.cut_after(Direction::ToClient, 3);
    pair.server.write_all(b"ab").unwrap();
    assert_eq!(receive(&mut pair.client, 2), b"ab");
    pair.server.write_all(b"cdef").unwrap();
    assert_eq!(drain(&mut pair.client), (b"c".to_vec(), None));
    assert_eq!(drain(&mut pair.server), (vec![], Some(ErrorKind::ConnectionReset)));
    pair.client = TcpStream::connect(pair.relay.address()).unwrap();
    pair.server = pair.listener.accept().unwrap().0;
    pair.exchange();
}

#[test]
fn a_connection_that_the_target_refuses_is_reset() {
    let target = DeadPort::take().unwrap();
    let relay = Relay::start(target.address()).unwrap();
    let mut client = TcpStream::connect(relay.address()).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(drain(&mut client), (vec![], Some(ErrorKind::ConnectionReset)));
}

#[test]
fn a_dropped_relay_resets_its_connections_and_refuses() {
    let mut pair = Pair::connected();
    let address = pair.relay.address();
    drop(pair.relay);
    assert_eq!(drain(&mut pair.client), (vec![], Some(ErrorKind::ConnectionReset)));
    assert_eq!(TcpStream::connect(address).unwrap_err().kind(), ErrorKind::ConnectionRefused);
}

const PATIENCE: Duration = Duration::from_secs(5);
