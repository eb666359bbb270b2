//! A server that breaks the protocol: a relay in front of a real one, which answers one request itself.
#![allow(dead_code, reason = "each program that has it uses some of it")]
#![expect(clippy::unwrap_used, reason = "what goes wrong here is no client's fault")]

use core::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
};

/// What a [`Meddler`] has seen of one connection when it is its turn to answer.
pub(crate) struct Seen {
    /// The ConnectResponse of the real server, as a frame.
    pub(crate) connect_response: Vec<u8>,
    /// The request that it answers, as a frame.
    pub(crate) request: Vec<u8>,
}

/// What a [`Meddler`] does then.
pub(crate) enum Then {
    /// Bytes of its own, and from then on what the real server says, which hasn't got the request.
    Say(Vec<u8>),
    /// Bytes of its own, and then the request goes its way after all.
    SayAndPass(Vec<u8>),
    /// Bytes of its own, and then not one any more.
    SayAndStop(Vec<u8>),
    /// It closes the connection.
    Close,
}

/// Passes the handshake on to a real server, so that the session is a real one, and so many requests;
/// then it answers one itself.
pub(crate) struct Meddler {
    pub(crate) address: SocketAddr,
}

impl Meddler {
    pub(crate) async fn start(target: SocketAddr, passed: usize, answer: fn(&Seen) -> Then) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                // A connection that the real server refuses is one that is closed.
                let Ok(server) = TcpStream::connect(target).await else { continue };
                // It ends with an error when the client has had enough.
                tokio::spawn(async move { meddle(client, server, passed, answer).await.ok() });
            }
        });
        Self { address }
    }
}

async fn meddle(
    mut client: TcpStream,
    mut server: TcpStream,
    passed: usize,
    answer: fn(&Seen) -> Then,
) -> std::io::Result<()> {
    let connect_request = frame(&mut client).await?;
    server.write_all(&connect_request).await?;
    let connect_response = frame(&mut server).await?;
    client.write_all(&connect_response).await?;
    for _ in 0..passed {
        server.write_all(&frame(&mut client).await?).await?;
        client.write_all(&frame(&mut server).await?).await?;
    }
    let request = frame(&mut client).await?;
    match answer(&Seen { connect_response, request: request.clone() }) {
        Then::Say(bytes) => client.write_all(&bytes).await?,
        Then::SayAndPass(bytes) => {
            client.write_all(&bytes).await?;
            server.write_all(&request).await?;
        }
        Then::SayAndStop(bytes) => {
            client.write_all(&bytes).await?;
            core::future::pending().await
        }
        Then::Close => return Ok(()),
    }
    copy_bidirectional(&mut client, &mut server).await.map(drop)
}

/// The next frame, its length included.
pub(crate) async fn frame(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let len = stream.read_u32().await?;
    let mut frame = len.to_be_bytes().to_vec();
    frame.resize(4 + len as usize, 0);
    stream.read_exact(&mut frame[4..]).await?;
    Ok(frame)
}

/// A frame with a reply's header, zxid 1 and no error, and this body, of which the frame announces `len` bytes.
pub(crate) fn reply(xid: i32, len: usize, body: &[u8]) -> Vec<u8> {
    let mut frame = u32::try_from(16 + len).unwrap().to_be_bytes().to_vec();
    frame.extend(xid.to_be_bytes());
    frame.extend(1_u64.to_be_bytes());
    frame.extend(0_u32.to_be_bytes());
    frame.extend(body);
    frame
}

pub(crate) fn xid(request: &[u8]) -> i32 {
    i32::from_be_bytes(request[4..8].try_into().unwrap())
}
