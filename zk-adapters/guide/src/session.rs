//! A session's life, and what to do in each state.
//!
//! A session is the ensemble's, not the connection's: it has an id, a timeout, ephemeral znodes and watches, and goes on
//! when its connection is lost, as long as some server hears of it in time. The machine does the reconnecting; the
//! application only has to know where it stands.
//!
//! ```text
//!   new ──▶ Connecting ──▶ Associating ──▶ Connected ─ ─ ▶ Ready: requests flow
//!               ▲                              │
//!               └────── Disconnected ──────────┘           may it have expired? MayBeExpired tells
//!
//!   ends:   Expired (the servers say so)   Closed (you said so)   AuthFailed
//! ```
//!
//! The whole table of inputs, states and timers is in [`zk_session::State`].
//!
//! # What is told, and what to do
//!
//! | event | what it means | what to do |
//! | --- | --- | --- |
//! | `Connected { resumed: false, .. }` | a new session: no ephemeral znodes, no watches | create what belongs to the session |
//! | `Connected { resumed: true, .. }` | the same session on another connection | nothing: ephemeral znodes and watches are there |
//! | `Ready` | watches are armed, requests flow | begin, or go on |
//! | `Disconnected` | no server hears of the session for the moment | don't begin anything that needs the session; what was under way has ended, with an error that says whether it may have been applied |
//! | `MayBeExpired` | nothing was answered for a whole timeout | **stop acting as the owner**: somebody else may own the lock by now |
//! | `Connected` after that | it lives after all | go on as the owner |
//! | `Expired` | the session is gone, with its ephemeral znodes and watches | make a new one, and build everything again |
//! | `AuthFailed` | a server refused an identity | mend the configuration: repeating won't help |
//! | `Closed { confirmed }` | you closed it; unconfirmed, it lives until its timeout | – |
//! | `AllServersFailed` | a full cycle found no server; it goes on trying | tell whoever watches your service |
//! | `Late` | your thread or runtime was held up | look for what blocks it: servers see silence |
//!
//! [`zk_tokio::SessionEvent`] has the same for `zk_std`; of the bare machine it is [`zk_session::Event`].
//!
//! # Who owns a lock
//!
//! Only an ephemeral znode whose session lives is proof of ownership, and a client that is cut off can't know whether its session
//! lives. What it can know is since when nobody has confirmed it: `MayBeExpired` comes one session timeout after the last
//! frame was handed out that a server has answered, which is never later than the server's own clock. So an owner acts while the
//! session is connected or was so recently, stops at `MayBeExpired`, and fences what it writes
//! elsewhere, with the znode's `czxid`, since a process can be stopped between a check and a write.
//!
//! ```no_run
//! use zk_tokio::{Client, CreateMode, SessionEvent};
//!
//! # fn stop_leading() {}
//! # fn go_on() {}
//! async fn lead() -> Result<(), Box<dyn std::error::Error>> {
//!     let (client, mut events) = Client::connect("zk1,zk2,zk3/app").await?;
//!     let leader = client.create("/leader", "me", CreateMode::Ephemeral).await?;
//!     println!("leading, fenced by {}", leader.stat.map(|stat| stat.czxid).unwrap_or_default());
//!     while let Some(event) = events.next().await {
//!         match event {
//!             SessionEvent::MayBeExpired => stop_leading(),
//!             SessionEvent::Connected { resumed: true, .. } => go_on(),
//!             SessionEvent::Expired { .. } => stop_leading(), // the last event: begin again with a new client
//!             _ => {}
//!         }
//!     }
//!     Ok(())
//! }
//! ```
//!
//! # After the end
//!
//! `Expired`, `AuthFailed` and `Closed` are the last event. Requests are refused from then on, every one that was accepted has had its
//! outcome, and every watch has ended, both before the last event. A new session is a new client. With
//! [`OnLoss::NewSession`](zk_session::OnLoss) the machine makes new ones by itself, counted in `epoch`, for those
//! who prefer a lost connection to end the session, as an embedded lock service may.
//!
//! A session can be handed over: [`Client::credentials`](zk_tokio::Client::credentials) is what
//! [`Builder::resume`](zk_tokio::Builder::resume) takes, in this process or in the next.
