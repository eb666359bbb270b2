use core::net::SocketAddr;
use std::{
    io::{self, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    thread,
};

/// Starts a server that takes what it is sent, and answers each connection with these bytes and an end. It lives as
/// long as the process.
pub(crate) fn start(answer: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("a listener has an address");
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            // A client that goes away first is as good.
            let _ = stream.read(&mut [0; 64]);
            let _ = stream.write_all(answer);
            let _ = stream.shutdown(Shutdown::Both);
        }
    });
    address
}

/// Starts a server that accepts each session, and answers what it is sent then with these bytes, and with silence. It
/// lives as long as the process.
pub(crate) fn accept(answer: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("a listener has an address");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || accept_on(stream, answer));
        }
    });
    address
}

fn accept_on(mut stream: TcpStream, answer: &[u8]) -> io::Result<()> {
    let mut received = [0; 1024];
    for answer in [ACCEPTED, answer] {
        if stream.read(&mut received)? == 0 {
            return Ok(());
        }
        stream.write_all(answer)?;
    }
    while stream.read(&mut received)? > 0 {}
    Ok(())
}

/// A ConnectResponse: a session with a timeout of 3 s.
const ACCEPTED: &[u8] = &[
    0, 0, 0, 37, 0, 0, 0, 0, 0, 0, 0x0B, 0xB8, 0, 0, 0, 0, 0, 0, 0x12, 0x34, 0, 0, 0, 16, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 0,
];
/// The reply to a request that nobody made, with an error that nobody knows.
pub(crate) const FOREIGN: &[u8] = &[0, 0, 0, 16, 0x7F, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 0xFF, 0xFF, 0, 0];
/// The first request's reply, which is cut short.
pub(crate) const SHORT: &[u8] =
    &[0, 0, 0, 20, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0x7F, 0xFF, 0xFF, 0xFF];
/// A frame of negative length.
pub(crate) const NEGATIVE: &[u8] = &[0xff; 64];
/// A frame that is no ConnectResponse.
pub(crate) const NONSENSE: &[u8] = b"\x00\x00\x00\x05hello";
/// Half a ConnectResponse.
pub(crate) const HALF: &[u8] = &[0, 0, 0, 37, 0, 0, 0, 0, 0, 0];
