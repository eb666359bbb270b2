//! Another client of the ensemble, which changes znodes.

use core::{net::SocketAddr, time::Duration};
use std::{
    io::{self, Read, Write},
    net::TcpStream,
};

use zk_session::zk_proto::{BytesMut, ConnectRequest, Request};

/// Has a server do something, by a session that is left to expire.
pub(super) fn write(server: SocketAddr, request: &Request) -> io::Result<()> {
    let mut stream = TcpStream::connect(server)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut bytes = BytesMut::new();
    ConnectRequest { time_out: 10_000, ..ConnectRequest::default() }.encode_frame(&mut bytes);
    stream.write_all(&bytes)?;
    receive(&mut stream)?;
    bytes.clear();
    request.encode_frame(1, &mut bytes);
    stream.write_all(&bytes)?;
    receive(&mut stream)
}

fn receive(stream: &mut TcpStream) -> io::Result<()> {
    let mut len = [0; 4];
    stream.read_exact(&mut len)?;
    let len = u64::from(u32::from_be_bytes(len));
    io::copy(&mut stream.take(len), &mut io::sink()).map(drop)
}
