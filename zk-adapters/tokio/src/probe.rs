use core::{
    future::{Future, poll_fn},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{io::ReadBuf, time::timeout};
use zk_proto::ServerAddr;
use zk_session::ProbeId;

use crate::{dial::dial, transport::Security};

/// A question to a server, on a connection of its own: is it read-write?
pub(crate) struct Probe {
    pub(crate) id: ProbeId,
    answer: Pin<Box<dyn Future<Output = bool> + Send>>,
}

impl Probe {
    pub(crate) fn new(id: ProbeId, server: ServerAddr, security: Security) -> Self {
        let answer = async move {
            timeout(LIMIT, ask(server, security)).await.unwrap_or_default().unwrap_or_default()
        };
        Self { id, answer: Box::pin(answer) }
    }

    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<bool> {
        self.answer.as_mut().poll(context)
    }
}

/// Says the four-letter word `isro`, and reads the answer: `rw`, `ro`, `null`, or a sentence why there is none.
async fn ask(server: ServerAddr, security: Security) -> Option<bool> {
    let stream = dial(server.clone()).await.ok()?;
    let mut transport = match security.secure(&server, stream) {
        Ok(transport) => transport,
        Err(securing) => securing.await.ok()?,
    };
    let sent = poll_fn(|context| transport.poll_write(b"isro", context)).await.ok()?;
    let mut bytes = [0; LONGEST];
    let mut answer = ReadBuf::new(&mut bytes);
    loop {
        let before = answer.filled().len();
        let read = poll_fn(|context| {
            // What waits leaves meanwhile.
            transport.write_rest(context)?;
            transport.poll_read(&mut answer, context)
        });
        read.await.ok()?;
        if answer.filled().len() == before {
            return (sent == 4).then(|| answer.filled() == b"rw");
        }
    }
}

const LIMIT: Duration = Duration::from_secs(1);
/// No answer that says `rw` is longer.
const LONGEST: usize = 16;
