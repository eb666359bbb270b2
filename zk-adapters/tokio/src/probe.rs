use core::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};
use zk_proto::ServerAddr;
use zk_session::ProbeId;

use crate::dial::dial;

/// A question to a server, on a connection of its own: is it read-write?
pub(crate) struct Probe {
    pub(crate) id: ProbeId,
    answer: Pin<Box<dyn Future<Output = bool> + Send>>,
}

impl Probe {
    pub(crate) fn new(id: ProbeId, server: ServerAddr) -> Self {
        let answer = async move { timeout(LIMIT, ask(server)).await.unwrap_or_default().unwrap_or_default() };
        Self { id, answer: Box::pin(answer) }
    }

    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<bool> {
        self.answer.as_mut().poll(context)
    }
}

/// Says the four-letter word `isro`, and reads the answer: `rw`, `ro`, `null`, or a sentence why there is none.
async fn ask(server: ServerAddr) -> Option<bool> {
    let mut stream = dial(server).await.ok()?;
    stream.write_all(b"isro").await.ok()?;
    let mut answer = Vec::new();
    stream.take(LONGEST).read_to_end(&mut answer).await.ok()?;
    Some(answer == b"rw")
}

const LIMIT: Duration = Duration::from_secs(1);
/// No answer that says `rw` is longer.
const LONGEST: u64 = 16;
