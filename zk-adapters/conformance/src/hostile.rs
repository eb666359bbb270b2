use core::net::SocketAddr;
use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener},
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

/// A frame of negative length.
pub(crate) const NEGATIVE: &[u8] = &[0xff; 64];
/// A frame that is no ConnectResponse.
pub(crate) const NONSENSE: &[u8] = b"\x00\x00\x00\x05hello";
/// Half a ConnectResponse.
pub(crate) const HALF: &[u8] = &[0, 0, 0, 37, 0, 0, 0, 0, 0, 0];
