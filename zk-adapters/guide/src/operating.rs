//! Running it: timeouts, limits, TLS, SASL, and server versions.
//!
//! # Timeouts
//!
//! All follow from one number, the negotiated session timeout *T*: what the client asks for
//! ([`session_timeout`](zk_tokio::Builder::session_timeout), 10 s), within the server's bounds (2 and 20 `tickTime`).
//!
//! | what | when |
//! | --- | --- |
//! | a ping | *T*/3 after the last frame that was handed out |
//! | a connection is given up as silent | 2/3 *T* after the last byte that came |
//! | `MayBeExpired` | *T* after the last answered frame was handed out |
//! | `Expired` by a server | when a server says so, however late |
//! | `Expired` by the client | never, or with [`Expiry::Client`](zk_session::Expiry) at 4/3 *T*, as the Java client since 3.9.3 |
//! | one attempt at a server | *T*/3, or *T* divided by the number of servers if there are more than three |
//! | a wait between attempts | after a full cycle without success: 50 ms to at most 10 s and *T*/3 (`Config::backoff`) |
//! | `close` | at most 5 s (`Config::close_timeout`) |
//! | a request | its deadline, if it has one; for [`zk_std`] 30 s unless told otherwise |
//!
//! A short *T* notices a dead owner soon, and takes a stopped process, a long garbage collection elsewhere on the machine or a slow
//! disk of a server for one. 6 to 30 s is usual.
//!
//! # Limits
//!
//! All of [`Config`](zk_session::Config), with these defaults; they bound the memory of a session whatever a server does.
//!
//! | limit | default | over it |
//! | --- | --- | --- |
//! | `max_frame_len` | 4 MiB | the reply fails its request, and is skipped without being stored |
//! | `max_request_len` | 1,048,575 bytes, as servers' `jute.maxbuffer` | refused before it is sent |
//! | `max_queued_requests`, `max_queued_bytes` | 65,536; 16 MiB | refused: `QueueFull` |
//! | `max_in_flight` | 1,024 | requests wait in the queue |
//! | `max_watches` | 1,048,576 | refused: `TooManyWatches` |
//! | `max_set_watches_len` | 128 KiB | watches are armed again in several batches |
//! | `min_frame_rate` | 256 bytes/s | a frame that grows slower, answers to pings not counted, ends the connection |
//!
//! ```no_run
//! use zk_tokio::Client;
//!
//! # async fn f() -> Result<(), Box<dyn std::error::Error>> {
//! let builder = Client::builder("zk1,zk2,zk3")?.configure(|config| config.max_frame_len = 16 << 20);
//! let (client, events) = builder.connect().await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Servers
//!
//! A connect string is `host:port,host:port/chroot`; the port is 2181 unless told, and names are resolved anew at each attempt.
//! [`update_servers`](zk_tokio::Client::update_servers) replaces the list of a running session, and moves it at random so that clients
//! spread evenly. With `Config::read_only` the client takes a server without quorum for reading, and leaves it when it finds another.
//!
//! # TLS
//!
//! With the feature `tls`, by rustls: the server's chain is verified against the authorities that you name, and its certificate has to be
//! for its name or address, unless you name another one.
//!
//! ```no_run
//! use zk_tokio::{Client, Tls};
//!
//! # async fn f() -> Result<(), Box<dyn std::error::Error>> {
//! let tls = Tls::new("authorities.pem").identity("client.crt", "client.key"); // the latter for mutual TLS
//! let (client, events) = Client::builder("zk1:2281,zk2:2281")?.tls(tls).connect().await?;
//! # Ok(())
//! # }
//! ```
//!
//! Files are read anew for each connection, so renewed certificates are taken without a restart. Servers need
//! `secureClientPort` and Netty (`serverCnxnFactory`), from 3.5 on.
//!
//! # Who one is
//!
//! - `digest`: [`add_auth`](zk_tokio::Client::add_auth)`("digest", "user:password")`; it is told to every later server, too. The password
//!   goes over the wire as it is: use TLS.
//! - `x509`: the certificate of mutual TLS.
//! - SASL DIGEST-MD5: `Config::sasl`, before anything else on each connection. A refusal ends the session as `AuthFailed`.
//! - Kerberos (GSSAPI) isn't there; [`SaslMechanism`](zk_session::SaslMechanism) is where it would go.
//!
//! ```no_run
//! use zk_session::{DigestMd5, Sasl};
//! use zk_tokio::Client;
//!
//! # async fn f(entropy: [u8; 16]) -> Result<(), Box<dyn std::error::Error>> {
//! let sasl = Sasl::new(DigestMd5::new("bob", "bobsecret", &entropy));
//! let builder = Client::builder("zk1,zk2,zk3")?.configure(|config| config.sasl = Some(sasl));
//! # Ok(())
//! # }
//! ```
//!
//! # What to watch
//!
//! [`Client::stats`](zk_tokio::Client::stats) counts connections, requests, pings, watches and what was unwanted; the events say
//! the rest, and zk-tokio's feature `tracing` writes them. Worth an alarm: `AllServersFailed`, `MayBeExpired`, `Late`, and
//! `stats().connections` that grows.
//!
//! # Versions
//!
//! Servers from 3.4 to 3.9 are tested. What a server hasn't, the client notices by its answer, or by its hanging up, remembers for an
//! hour, and tells as `Unsupported`; it never asks in a circle.
//!
//! | needs | operations |
//! | --- | --- |
//! | 3.4 | everything not named below; `create` falls back to the old opcode, without a `Stat` |
//! | 3.5 | containers, removal of watches at the server, `reconfig`; TTL znodes from 3.5.3, and `extendedTypesEnabled` |
//! | 3.6 | persistent watches, `multi_read`, `get_ephemerals`, `get_all_children_number` |
//! | 3.7 | `who_am_i`, quotas that are enforced |
//! | 3.9 | watch modes that don't displace each other; events with their zxid |
