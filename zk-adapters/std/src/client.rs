use core::{fmt, time::Duration};
use std::sync::Arc;

use bytes::Bytes;
use zk_client::{Errand, Hub, Typed, requests, requests::Watching};
use zk_proto::{
    Acl, ConnectString, ConnectStringError, CreateMode, ErrorResponse, GetChildren2Response, GetDataResponse,
    PathError, Request, Response, ServerAddr, SessionId, Stat, Ustring, Vector, Zxid, validate_path,
};
use zk_session::{Chroot, Credentials, Retry, State, Stats};

use crate::{
    AttemptFailure, Builder, Call, ConnectError, Created, SessionEnd, SessionEvents, StandingCall, WatchCall,
    pending::{Accepted, CallOptions},
    shared::Shared,
};

/// A handle to a ZooKeeper session.
///
/// Clones share the session, and any number of threads may use them. When the last one is dropped, the session is
/// closed in the background, so that its ephemeral znodes go at once, after all requests that were submitted have
/// ended; [`close`](Self::close) also tells when that is done, before the process ends.
///
/// Each request is submitted when its method is called, so requests run in the order of the calls. The [`Call`] that
/// is returned is waited for with [`wait`](Call::wait): at once, or after other calls, which then share a write and
/// a read. None takes longer than its deadline.
///
/// Paths are relative to the connect string's chroot. A path that breaks ZooKeeper's rules is refused before
/// anything is sent.
///
/// ```no_run
/// use zk_std::{Client, CreateMode, ErrorCode};
///
/// # fn f() -> Result<(), Box<dyn std::error::Error>> {
/// let (client, _) = Client::connect("localhost:2181")?;
/// client.create("/greeting", "hello", CreateMode::Ephemeral).wait()?;
/// match client.get_data("/greeting").wait() {
///     Ok(znode) => println!("{:?}, version {}", znode.data, znode.stat.version),
///     Err(error) if error.code() == Some(ErrorCode::NO_NODE) => println!("nobody greets"),
///     Err(error) => return Err(error.into()),
/// }
/// client.close();
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Client {
    handle: Arc<Handle>,
    /// The root of this handle's paths, within the session's own chroot.
    chroot: Chroot,
    /// Of the znodes that this handle creates.
    acl: Vector<Acl>,
    options: CallOptions,
}

/// What all clones have in common, and nobody else has: when it is dropped, nobody can submit any more.
struct Handle {
    shared: Arc<Shared>,
}

/// Making, sharing and ending a session.
impl Client {
    /// Establishes a session with the servers that a connect string names, such as `zk1:2181,zk2:2181/chroot`,
    /// with the defaults of [`Builder`].
    ///
    /// # Errors
    ///
    /// [`ConnectError`], with the reason for each server.
    pub fn connect(connect_string: &str) -> Result<(Self, SessionEvents), ConnectError> {
        Builder::new(connect_string)?.connect()
    }

    /// What a session is made with, to be changed before it is.
    ///
    /// # Errors
    ///
    /// [`ConnectStringError`], if the connect string can't be read.
    pub fn builder(connect_string: &str) -> Result<Builder, ConnectStringError> {
        Builder::new(connect_string)
    }

    pub(crate) fn new(shared: Arc<Shared>, deadline: Option<Duration>, acl: Vector<Acl>) -> Self {
        let options = CallOptions { deadline, retry: Retry::Never, epoch: None };
        Self { handle: Arc::new(Handle { shared }), chroot: Chroot::default(), acl, options }
    }

    /// A handle to the same session whose requests end after `deadline`, counted from their submission, if nothing
    /// else has ended them. The connection survives that.
    #[must_use]
    pub fn with_deadline(&self, deadline: Duration) -> Self {
        let options = CallOptions { deadline: Some(deadline), ..self.options };
        Self { options, ..self.clone() }
    }

    /// A handle to the same session whose requests have no deadline: each waits for its outcome as long as it takes,
    /// be it for ever while no server can be reached.
    #[must_use]
    pub fn without_deadline(&self) -> Self {
        let options = CallOptions { deadline: None, ..self.options };
        Self { options, ..self.clone() }
    }

    /// A handle to the same session whose requests fare so when their connection is lost.
    #[must_use]
    pub fn with_retry(&self, retry: Retry) -> Self {
        let options = CallOptions { retry, ..self.options };
        Self { options, ..self.clone() }
    }

    /// A handle to the same session whose znodes are created with this ACL.
    #[must_use]
    pub fn with_acl(&self, acl: impl Into<Vector<Acl>>) -> Self {
        Self { acl: acl.into(), ..self.clone() }
    }

    /// A handle to the session that there is at present: once another one has followed it, as `Config::on_loss` can ask
    /// for, its requests are refused with [`SubmitError::StaleEpoch`](crate::SubmitError::StaleEpoch).
    #[must_use]
    pub fn of_this_session(&self) -> Self {
        let epoch = Some(self.shared().lock().hub.session.epoch());
        let options = CallOptions { epoch, ..self.options };
        Self { options, ..self.clone() }
    }

    /// A handle to the same session whose paths are below `path`, which is one of this handle's own and need not
    /// exist. `/zookeeper` and what lies below it stay as they are.
    ///
    /// # Errors
    ///
    /// [`PathError`], if the path breaks ZooKeeper's rules.
    pub fn chroot(&self, path: &str) -> Result<Self, PathError> {
        validate_path(path)?;
        let root = self.chroot.server_path(&path.into());
        Ok(Self { chroot: Chroot::new(root.as_str()), ..self.clone() })
    }

    pub(crate) fn root(&self) -> &Chroot {
        &self.chroot
    }

    /// Replaces the servers by those that a connect string names; the chroot stays, and need not be named. Whether the
    /// session moves to another one at once is drawn so that the clients of an ensemble spread evenly.
    ///
    /// # Errors
    ///
    /// [`ConnectError::ConnectString`] if it can't be read; [`ConnectError::Refused`] if it names another chroot, or
    /// the session has ended.
    pub fn update_servers(&self, connect_string: &str) -> Result<(), ConnectError> {
        let connect_string: ConnectString = connect_string.parse()?;
        let updated = self.shared().command(|hub, now| hub.session.update_servers(connect_string, now));
        updated.map_err(ConnectError::Refused)
    }

    /// Closes the session for all its handles: ends it at the server, and its ephemeral znodes with it. What was
    /// submitted before is done first, as far as that is possible in time (`Config::close_timeout`: 5 s).
    ///
    /// Any number of callers get the same answer.
    pub fn close(&self) -> SessionEnd {
        self.shared().command(|hub, now| hub.session.close(now));
        self.ended()
    }

    /// Waits until the session has ended, for whatever reason.
    pub fn ended(&self) -> SessionEnd {
        self.shared().wait_for_milestone(None, |hub| hub.end).expect("without a limit, it is waited for")
    }

    /// [`ended`](Self::ended), at most for so long; none if the session goes on.
    pub fn ended_timeout(&self, limit: Duration) -> Option<SessionEnd> {
        self.shared().wait_for_milestone(Some(limit), |hub| hub.end)
    }

    /// Waits until requests flow for the first time, or the session ends; none if that takes longer.
    pub(crate) fn established(&self, limit: Duration) -> Option<Result<(), SessionEnd>> {
        let look = |hub: &Hub| hub.end.map(Err).or(hub.is_established.then_some(Ok(())));
        self.shared().wait_for_milestone(Some(limit), look)
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.handle.shared
    }
}

/// What is known of the session.
impl Client {
    /// The session's state.
    pub fn state(&self) -> State {
        self.shared().lock().hub.session.state()
    }

    /// The server that the session is connected to, as the connect string names it.
    pub fn server(&self) -> Option<ServerAddr> {
        let hub = &self.shared().lock().hub;
        hub.attempts.server().filter(|_| hub.is_connected()).cloned()
    }

    /// The session's id; none before there is one.
    pub fn session_id(&self) -> Option<SessionId> {
        self.credentials().map(|credentials| credentials.session_id)
    }

    /// What another client needs to resume this session ([`Builder::resume`]), be it later, or in another process:
    /// a secret. None before there is a session.
    pub fn credentials(&self) -> Option<Credentials> {
        self.shared().lock().hub.session.credentials()
    }

    /// The session timeout that the servers granted.
    pub fn negotiated_timeout(&self) -> Duration {
        self.shared().lock().hub.session.negotiated_timeout()
    }

    /// The latest transaction that this session has seen.
    pub fn last_zxid(&self) -> Zxid {
        self.shared().lock().hub.session.last_zxid()
    }

    /// What the session counts.
    pub fn stats(&self) -> Stats {
        self.shared().lock().hub.session.stats()
    }

    pub(crate) fn failures(&self) -> Vec<AttemptFailure> {
        self.shared().lock().hub.attempts.failures()
    }
}

/// Requests. Each has the errors of [`Error`](crate::Error); the codes named are those to expect.
impl Client {
    /// Creates a znode with the handle's ACL ([`with_acl`](Self::with_acl)), and returns its path, which differs from
    /// the one asked for if it is sequential, and its `Stat` (opcode `create2`, `createContainer` or `createTTL`;
    /// `create` where a server is too old). Refused with `NODE_EXISTS`, `NO_NODE` (no parent),
    /// `NO_CHILDREN_FOR_EPHEMERALS` or `INVALID_ACL`.
    pub fn create(
        &self,
        path: impl Into<Ustring>,
        data: impl Into<Bytes>,
        mode: CreateMode,
    ) -> Call<Created> {
        self.call(requests::create(path, data, mode, self.acl.clone()))
    }

    /// Deletes a znode, if its data has this version; -1 means any. Refused with `NO_NODE`, `BAD_VERSION` or
    /// `NOT_EMPTY`.
    pub fn delete(&self, path: impl Into<Ustring>, version: i32) -> Call<()> {
        self.call(requests::delete(path, version))
    }

    /// The `Stat` of a znode; none if there is no such znode.
    pub fn exists(&self, path: impl Into<Ustring>) -> Call<Option<Stat>> {
        self.call(requests::exists(path, Watching::No))
    }

    /// [`exists`](Self::exists), and watches the znode: for its creation if it is missing, otherwise for a change of
    /// its data or its deletion.
    pub fn exists_and_watch(&self, path: impl Into<Ustring>) -> WatchCall<Option<Stat>> {
        self.watch_call(requests::exists(path, Watching::Yes), true)
    }

    /// A znode's data, null told apart from empty, and its `Stat`. Refused with `NO_NODE`.
    pub fn get_data(&self, path: impl Into<Ustring>) -> Call<GetDataResponse> {
        self.call(requests::get_data(path, Watching::No))
    }

    /// [`get_data`](Self::get_data), and watches the znode for a change of its data or its deletion.
    pub fn get_data_and_watch(&self, path: impl Into<Ustring>) -> WatchCall<GetDataResponse> {
        self.watch_call(requests::get_data(path, Watching::Yes), false)
    }

    /// Replaces a znode's data, if it has this version; -1 means any. Returns its new `Stat`. Refused with
    /// `NO_NODE` or `BAD_VERSION`.
    pub fn set_data(&self, path: impl Into<Ustring>, data: impl Into<Bytes>, version: i32) -> Call<Stat> {
        self.call(requests::set_data(path, data, version))
    }

    /// The names of a znode's children, in no order, and its `Stat` (opcode `getChildren2`). Refused with `NO_NODE`.
    pub fn get_children(&self, path: impl Into<Ustring>) -> Call<GetChildren2Response> {
        self.call(requests::get_children(path, Watching::No))
    }

    /// [`get_children`](Self::get_children), and watches the znode for a change of its set of children or its
    /// deletion.
    pub fn get_children_and_watch(&self, path: impl Into<Ustring>) -> WatchCall<GetChildren2Response> {
        self.watch_call(requests::get_children(path, Watching::Yes), false)
    }

    /// The names of a znode's children, in no order, without its `Stat` (opcode `getChildren`). Refused with
    /// `NO_NODE`.
    pub fn get_child_names(&self, path: impl Into<Ustring>) -> Call<Vector<Ustring>> {
        self.call(requests::get_child_names(path))
    }

    /// Has the server catch up with the leader, so that later reads through this session see what was committed
    /// before. That is no linearizable read: another leader may have been elected unnoticed.
    pub fn sync(&self, path: impl Into<Ustring>) -> Call<()> {
        self.call(requests::sync(path))
    }

    /// Any request, also those that have no method of their own, and its answer as it came. If it sets a
    /// one-time watch, that is not told to anybody.
    pub fn submit(&self, request: Request) -> Call<Response> {
        self.call(requests::any(request))
    }

    #[inline]
    pub(crate) fn call<T>(&self, typed: Typed<T>) -> Call<T> {
        Call::submit(self.shared(), &self.chroot, typed, self.options, |_, _| {})
    }

    /// Runs a recipe for this handle's root and ACL.
    pub(crate) fn run<T>(&self, recipe: impl FnOnce(&Chroot, Vector<Acl>) -> Errand<T>) -> Call<T> {
        Call::run(self.shared(), &self.chroot, recipe(&self.chroot, self.acl.clone()), self.options)
    }

    pub(crate) fn standing_call(&self, typed: Typed<ErrorResponse>) -> StandingCall {
        let accepted: Accepted = |hub, request| hub.standing.hold(request);
        let call = Call::submit(self.shared(), &self.chroot, typed, self.options, accepted);
        StandingCall::new(call, self.shared())
    }

    fn watch_call<T>(&self, typed: Typed<T>, on_missing: bool) -> WatchCall<T> {
        let accepted: Accepted = match on_missing {
            true => |hub, request| hub.watches.hold(request, true),
            false => |hub, request| hub.watches.hold(request, false),
        };
        let call = Call::submit(self.shared(), &self.chroot, typed, self.options, accepted);
        WatchCall::new(call, self.shared())
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.command(|hub, now| hub.session.close(now));
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("state", &self.state()).field("options", &self.options).finish()
    }
}
