//! Coming from another client.
//!
//! # What is the same everywhere
//!
//! Operations, versions, ACLs, watch types and error codes are ZooKeeper's, under ZooKeeper's names. A connect string is the same text.
//!
//! # What is different from most
//!
//! - **A lost connection says what it means**: `NotSent` or `MaybeApplied`, not one `ConnectionLoss` for both.
//! - **There are no callbacks**: outcomes and watch events are values that you wait for; none runs on the client's thread, so none can block it.
//! - **A watch belongs to its request**: two watches of one path are two handles, and dropping one leaves the other.
//! - **Queued requests end with the connection**, unless they ask to be repeated: no write slips through behind a failed one.
//! - **An expired session is the end of the client**; make another one. Nothing is rebuilt behind your back.
//!
//! # From the Java client
//!
//! | Java | here |
//! | --- | --- |
//! | `new ZooKeeper(hosts, timeout, watcher)` | [`Client::builder`](zk_tokio::Client::builder)`(hosts)?.session_timeout(..).connect()`, and the stream of events |
//! | default watcher | each watch has its own handle; session events are [`SessionEvents`](zk_tokio::SessionEvents) |
//! | `KeeperState.SyncConnected` / `Disconnected` / `Expired` | `Ready` / `Disconnected` / `Expired`; `MayBeExpired` has no counterpart |
//! | `exists(path, true)`, `getData(path, watcher, stat)` | `exists_and_watch`, `get_data_and_watch`; the stat is part of the answer |
//! | `addWatch(path, watcher, PERSISTENT)` | [`add_watch`](zk_tokio::Client::add_watch), which also tells the gap after a reconnect |
//! | `multi(List<Op>)`, `Transaction` | [`multi`](zk_tokio::Client::multi); a refusal holds each result |
//! | `KeeperException.code()` | [`Error::code`](zk_tokio::Error::code) |
//! | `ConnectionLossException` | [`Error::delivery`](zk_tokio::Error::delivery) |
//! | `zookeeper.request.timeout` (drops the connection) | a deadline for each request or handle (doesn't) |
//! | `jute.maxbuffer` | `max_frame_len`, `max_request_len` |
//! | `getSessionId`, `getSessionPasswd` | [`credentials`](zk_tokio::Client::credentials) |
//! | `ZKClientConfig`, system properties, JAAS | [`Builder::configure`](zk_tokio::Builder::configure); `Config::sasl` |
//! | Curator's `creatingParentsIfNeeded`, `withProtection` | `create_with_parents`, `create_protected` |
//! | Curator's `namespace` | [`Client::chroot`](zk_tokio::Client::chroot) |
//! | Curator's `RetryPolicy` | [`Retry::WhenSafe`](zk_session::Retry), deadlines; what isn't safe is yours to decide |
//! | Curator's `SUSPENDED` / `LOST` | `Disconnected` / `MayBeExpired`, then `Expired` |
//!
//! # From the C client
//!
//! | C | here |
//! | --- | --- |
//! | `zookeeper_init(host, fn, timeout, clientid, ..)` | `Client::builder(host)`, `.resume(credentials)` |
//! | `zookeeper_interest`, `zookeeper_process` | [`zk_std::Driver`], or the machine in your loop ([`embedding`](crate::embedding)) |
//! | `zoo_acreate(.., completion, data)` | the call that is returned; wait for it when you like |
//! | `zoo_wget(.., watcher, ..)` | `get_data_and_watch` |
//! | `ZCONNECTIONLOSS` | `Error::delivery` |
//! | `zoo_set_servers` | `update_servers` |
//! | mt library's threads | none in `zk-tokio`; two for each client of `zk-std` |
//!
//! # From kazoo
//!
//! | kazoo | here |
//! | --- | --- |
//! | `KazooClient(hosts=..).start()` | `zk_std::Client::connect(hosts)?` |
//! | `client.get(path, watch=fn)` | `client.get_data_and_watch(path).wait()?`, then `watch.changed()` |
//! | watches are gone after a reconnect (python-zk/kazoo#151) | they are armed again |
//! | `DataWatch`, `ChildrenWatch` | the loop in [`watches`](crate::watches) |
//! | `KazooState.SUSPENDED` / `LOST` | `Disconnected` / `MayBeExpired`, then `Expired` |
//! | a new session is made by itself after `LOST` | the client ends; or `Config::on_loss` |
//! | `client.retry(..)` | `with_retry(Retry::WhenSafe)` |
//! | `create(makepath=True)`, `ensure_path`, `delete(recursive=True)` | `create_with_parents`, `ensure_path`, `delete_recursive` |
//! | `client.transaction()` | `multi` |
//! | `get_async().get()` | every call is one; `.wait()` |
//!
//! # From another Rust client
//!
//! | there | here |
//! | --- | --- |
//! | `zookeeper-client`: `Client::connect(..)`, `get_and_watch_data` | `Client::connect(..)`, `get_data_and_watch`; persistent watches are armed again, and tell their gap |
//! | `zookeeper-client`: `check_and_create`-like multis | `multi` |
//! | `zookeeper-async`, `zookeeper`: `ZooKeeper::connect(hosts, timeout, watcher)`, `get_data_w(path, watcher)` | `Client::builder`, `get_data_and_watch`; no callbacks |
//! | `tokio-zookeeper`: `ZooKeeper::connect(&addr)`, `with_watcher().get_data(..)` | a list of servers, each watch with its handle |
//! | `ZkError::ConnectionLoss` and its like | `Error::delivery` |
//!
//! ```no_run
//! // zookeeper-client, before:
//! //     let client = zookeeper_client::Client::connect("127.0.0.1:2181").await?;
//! //     let (data, stat, watcher) = client.get_and_watch_data("/config").await?;
//! //     let event = watcher.changed().await;
//! async fn after() -> Result<(), Box<dyn std::error::Error>> {
//!     let (client, _events) = zk_tokio::Client::connect("127.0.0.1:2181").await?;
//!     let (znode, mut watch) = client.get_data_and_watch("/config").await?;
//!     let event = watch.changed().await?;
//!     println!("{:?} was {:?}", event.path, znode.data);
//!     Ok(())
//! }
//! ```
