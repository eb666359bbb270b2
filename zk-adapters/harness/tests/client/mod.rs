//! As much of a ZooKeeper client as the harness's own tests need, by hand, so that they lean on nothing they help to
//! test.

use core::net::SocketAddr;
use core::time::Duration;
use std::io::{self, Read, Write};
use std::net::TcpStream;

/// A connection with a session of its own.
pub(crate) struct Client {
    stream: TcpStream,
    xid: i32,
    /// The session timeout that the server granted, in milliseconds.
    pub(crate) timeout: i32,
}

impl Client {
    /// Asks for a session timeout of so many milliseconds.
    pub(crate) fn connect(server: SocketAddr, timeout: i32) -> io::Result<Self> {
        let stream = TcpStream::connect(server)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        let mut client = Self { stream, xid: 0, timeout };
        let mut body = Body::default().int(0).long(0).int(timeout).long(0).buffer(&[0; 16]);
        body.0.push(0);
        client.send(&body)?;
        client.timeout = int(&client.receive()?, 4);
        Ok(client)
    }

    /// Creates a persistent znode that the world may do everything with; returns the server's error code.
    pub(crate) fn create(&mut self, path: &str, data: &str) -> io::Result<i32> {
        let acl = Body::default().int(1).int(31).buffer(b"world").buffer(b"anyone");
        let mut body = Body::default().buffer(path.as_bytes()).buffer(data.as_bytes());
        body.0.extend(acl.0);
        let (error, _) = self.request(1, &body.int(0))?;
        Ok(error)
    }

    /// A znode's data, after a sync; or the server's error code.
    pub(crate) fn data(&mut self, path: &str) -> io::Result<Result<String, i32>> {
        self.request(9, &Body::default().buffer(path.as_bytes()))?;
        let mut body = Body::default().buffer(path.as_bytes());
        body.0.push(0);
        let (error, reply) = self.request(4, &body)?;
        if error != 0 {
            return Ok(Err(error));
        }
        let len = usize::try_from(int(&reply, 0)).expect("no length below zero");
        Ok(Ok(String::from_utf8_lossy(&reply[4..4 + len]).into_owned()))
    }

    /// Authenticates by digest; returns the server's error code.
    pub(crate) fn authenticate(&mut self, user_and_password: &str) -> io::Result<i32> {
        let body = Body::default().int(0).buffer(b"digest").buffer(user_and_password.as_bytes());
        let (error, _) = self.exchange(-4, 100, &body)?;
        Ok(error)
    }

    /// Asks for a change of no member, which only the super user may; returns the server's error code.
    pub(crate) fn reconfigure(&mut self) -> io::Result<i32> {
        let body = Body::default().buffer(b"").buffer(b"").int(-1).long(-1);
        let (error, _) = self.request(16, &body)?;
        Ok(error)
    }

    fn request(&mut self, op: i32, body: &Body) -> io::Result<(i32, Vec<u8>)> {
        self.xid += 1;
        self.exchange(self.xid, op, body)
    }

    fn exchange(&mut self, xid: i32, op: i32, body: &Body) -> io::Result<(i32, Vec<u8>)> {
        let mut frame = Body::default().int(xid).int(op);
        frame.0.extend(&body.0);
        self.send(&frame)?;
        let reply = self.receive()?;
        assert_eq!(int(&reply, 0), xid, "the reply's xid");
        Ok((int(&reply, 12), reply[16..].to_vec()))
    }

    fn send(&mut self, frame: &Body) -> io::Result<()> {
        self.stream.write_all(&Body::default().buffer(&frame.0).0)
    }

    fn receive(&mut self) -> io::Result<Vec<u8>> {
        let mut len = [0; 4];
        self.stream.read_exact(&mut len)?;
        let mut frame = vec![0; u32::from_be_bytes(len) as usize];
        self.stream.read_exact(&mut frame)?;
        Ok(frame)
    }
}

/// Bytes in the order of the wire.
#[derive(Default)]
struct Body(Vec<u8>);

impl Body {
    fn int(mut self, value: i32) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }

    fn long(mut self, value: i64) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }

    fn buffer(self, value: &[u8]) -> Self {
        let mut body = self.int(i32::try_from(value.len()).expect("a few bytes"));
        body.0.extend(value);
        body
    }
}

fn int(bytes: &[u8], at: usize) -> i32 {
    i32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}
