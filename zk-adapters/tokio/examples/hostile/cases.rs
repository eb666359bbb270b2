//! Ten ways in which a server breaks the protocol, and what becomes of a client there.

use core::{error::Error, time::Duration};

use tokio::time::timeout;
use zk_session::ServerOrder;
use zk_sim::{Options, serve::Served};
use zk_tokio::{Client, CreateMode, DisconnectReason, EventType, SessionEvent, SessionEvents};

use crate::meddler::{Meddler, Seen, Then, reply, xid};

/// A way of breaking the protocol.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    answer: fn(&Seen) -> Then,
}

/// What a client lived through.
pub(crate) struct Story {
    /// What the getData came to that was answered so.
    pub(crate) request: Result<(), zk_tokio::Error>,
    /// Why the connection ended, if it did.
    pub(crate) lost: Option<DisconnectReason>,
    /// Whether the session is the same afterwards, and its next request answered.
    pub(crate) goes_on: bool,
    /// What a watch told that had been set before, once its znode changed.
    pub(crate) watch: Option<EventType>,
}

/// All ten.
pub(crate) const CASES: [Case; 10] = [
    Case { name: "wrong xid", answer: |seen| Then::Say(reply(xid(&seen.request) + 7, 0, b"")) },
    Case { name: "negative length", answer: |_| Then::SayAndStop((-2_i32).to_be_bytes().to_vec()) },
    Case { name: "huge length, then silence", answer: |_| Then::SayAndStop(i32::MAX.to_be_bytes().to_vec()) },
    Case {
        name: "a frame of 4 bytes",
        answer: |seen| Then::Say([&[0, 0, 0, 4], &seen.request[4..8]].concat()),
    },
    Case {
        name: "truncated body",
        answer: |seen| Then::Say(reply(xid(&seen.request), 7, &[0, 0, 0, 100, 1, 2, 3])),
    },
    Case {
        name: "data length 2147483647",
        answer: |seen| Then::Say(reply(xid(&seen.request), 4, &i32::MAX.to_be_bytes())),
    },
    Case { name: "event with bad UTF-8", answer: |_| Then::SayAndPass(event(3, b"/\xff\xfe")) },
    Case { name: "event of unknown type", answer: |_| Then::SayAndPass(event(99, b"/watched")) },
    Case { name: "never answers", answer: |_| Then::SayAndStop(Vec::new()) },
    Case { name: "closes", answer: |_| Then::Close },
];

/// Lives through one case: a session on two servers, of which the first breaks the protocol at its second request.
pub(crate) async fn live_through(case: &Case) -> Result<Story, Box<dyn Error + Send + Sync>> {
    let options = Options { tick: Duration::from_millis(500), ..Options::default() };
    let good = Served::start(options)?;
    let (other, _) = Client::connect(&good.connect_string()).await?;
    other.create("/watched", "", CreateMode::Persistent).await?;

    let bad = Meddler::start(good.address(0), 1, case.answer).await;
    let builder = Client::builder(&format!("{},{}", bad.address, good.connect_string()))?;
    let in_order = builder.configure(|config| config.server_order = ServerOrder::AsListed);
    let (client, mut events) = in_order.session_timeout(Duration::from_secs(2)).connect().await?;
    let (_, mut watch) = client.get_data_and_watch("/watched").await?;
    let session_id = client.session_id();

    let request = client.get_data("/watched").await.map(drop);
    let is_answered = client.get_data("/watched").await.is_ok();
    let lost = reason(&mut events).await;
    other.set_data("/watched", "changed", -1).await?;
    // Whoever has missed it by then won't hear of it.
    let watch = timeout(Duration::from_secs(10), watch.changed()).await.ok().and_then(Result::ok);
    let goes_on = is_answered && client.session_id() == session_id;
    client.close().await;
    other.close().await;
    Ok(Story { request, lost, goes_on, watch: watch.map(|event| event.event_type) })
}

/// Why the connection was lost, if there is word of it.
async fn reason(events: &mut SessionEvents) -> Option<DisconnectReason> {
    while let Ok(Some(event)) = timeout(Duration::from_millis(100), events.next()).await {
        if let SessionEvent::Disconnected { reason, .. } = event {
            return Some(reason);
        }
    }
    None
}

/// An event's frame.
fn event(event_type: u8, path: &[u8]) -> Vec<u8> {
    let len = u8::try_from(path.len()).expect("a short path");
    let body = [&[0, 0, 0, event_type, 0, 0, 0, 3, 0, 0, 0, len], path].concat();
    reply(-1, body.len(), &body)
}
