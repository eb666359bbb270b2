use core::{fmt, time::Duration};
use std::sync::Arc;

use bytes::Bytes;
use zk_proto::{
    Acl, ConnectString, ConnectStringError, Create2Response, CreateMode, CreateResponse, DeleteRequest,
    ErrorCode, ExistsRequest, GetChildren2Request, GetChildren2Response, GetChildrenRequest, GetDataRequest,
    GetDataResponse, PathError, Request, Response, ServerAddr, SessionId, SetDataRequest, Stat, SyncRequest,
    Ustring, Vector, Zxid, validate_path,
};
use zk_session::{Chroot, Credentials, Retry, State, Stats};

use crate::{
    AttemptFailure, Call, ConnectError, Connector, Error, SessionEnd, SessionEvents, StandingCall, WatchCall,
    call::CallOptions,
    shared::{Inner, Shared},
};

/// A handle to a ZooKeeper session.
///
/// Clones share the session. When the last one is dropped, the session is closed in the background, so that its
/// ephemeral znodes go at once, after all requests that were submitted have ended; [`close`](Self::close) also tells
/// when that is done.
///
/// Each request is submitted when its method is called, so requests run in the order of the calls, and those that
/// are called together leave in one write. The [`Call`] that is returned is a future of the answer.
///
/// Paths are relative to the connect string's chroot. A path that breaks ZooKeeper's rules is refused before
/// anything is sent.
///
/// ```no_run
/// use zk_tokio::{Client, CreateMode, ErrorCode, OPEN_ACL_UNSAFE};
///
/// # async fn f() -> Result<(), Box<dyn std::error::Error>> {
/// let (client, _) = Client::connect("localhost:2181").await?;
/// client.create("/greeting", "hello", CreateMode::Ephemeral, OPEN_ACL_UNSAFE).await?;
/// match client.get_data("/greeting").await {
///     Ok(znode) => println!("{:?}, version {}", znode.data, znode.stat.version),
///     Err(error) if error.code() == Some(ErrorCode::NO_NODE) => println!("nobody greets"),
///     Err(error) => return Err(error.into()),
/// }
/// client.close().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Client {
    handle: Arc<Handle>,
    /// The root of this handle's paths, within the session's own chroot.
    chroot: Chroot,
    options: CallOptions,
}

/// What all clones have in common, and nobody else has: when it is dropped, nobody can submit any more.
struct Handle {
    shared: Arc<Shared>,
}

/// Making, sharing and ending a session.
impl Client {
    /// Establishes a session with the servers that a connect string names, such as `zk1:2181,zk2:2181/chroot`,
    /// with the defaults of [`Connector`].
    ///
    /// # Errors
    ///
    /// [`ConnectError`], with the reason for each server.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime, or if that has no I/O or no time enabled.
    pub async fn connect(connect_string: &str) -> Result<(Self, SessionEvents), ConnectError> {
        Connector::new(connect_string)?.connect().await
    }

    /// What a session is made with, to be changed before it is.
    ///
    /// # Errors
    ///
    /// [`ConnectStringError`], if the connect string can't be read.
    pub fn connector(connect_string: &str) -> Result<Connector, ConnectStringError> {
        Connector::new(connect_string)
    }

    pub(crate) fn new(shared: Arc<Shared>, deadline: Option<Duration>) -> Self {
        let options = CallOptions { deadline, ..CallOptions::default() };
        Self { handle: Arc::new(Handle { shared }), chroot: Chroot::default(), options }
    }

    /// A handle to the same session whose requests end after `deadline`, counted from their submission, if nothing
    /// else has ended them. The connection survives that.
    #[must_use]
    pub fn with_deadline(&self, deadline: Duration) -> Self {
        let options = CallOptions { deadline: Some(deadline), ..self.options };
        Self { options, ..self.clone() }
    }

    /// A handle to the same session whose requests fare so when their connection is lost.
    #[must_use]
    pub fn with_retry(&self, retry: Retry) -> Self {
        let options = CallOptions { retry, ..self.options };
        Self { options, ..self.clone() }
    }

    /// A handle to the session that there is at present: once another one has followed it, as `Config::on_loss` can ask
    /// for, its requests are refused with [`SubmitError::StaleEpoch`](crate::SubmitError::StaleEpoch).
    #[must_use]
    pub fn of_this_session(&self) -> Self {
        let epoch = Some(self.shared().lock().session.epoch());
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
        let updated = self.shared().command(|inner, now| inner.session.update_servers(connect_string, now));
        updated.map_err(ConnectError::Refused)
    }

    /// Closes the session for all its handles: ends it at the server, and its ephemeral znodes with it. What was
    /// submitted before is done first, as far as that is possible in time (`Config::close_timeout`: 5 s).
    ///
    /// The close goes on if the returned future is dropped. Any number of callers get the same answer.
    pub async fn close(&self) -> SessionEnd {
        self.shared().command(|inner, now| inner.session.close(now));
        self.ended().await
    }

    /// Waits until the session has ended, for whatever reason.
    pub async fn ended(&self) -> SessionEnd {
        self.shared().wait_for(|inner| inner.end).await
    }

    /// Waits until requests flow for the first time, or the session ends.
    pub(crate) async fn established(&self) -> Result<(), SessionEnd> {
        let look = |inner: &Inner| inner.end.map(Err).or(inner.is_established.then_some(Ok(())));
        self.shared().wait_for(look).await
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.handle.shared
    }
}

/// What is known of the session.
impl Client {
    /// The session's state.
    pub fn state(&self) -> State {
        self.shared().lock().session.state()
    }

    /// The server that the session is connected to, as the connect string names it.
    pub fn server(&self) -> Option<ServerAddr> {
        let inner = self.shared().lock();
        if inner.is_connected() { inner.server.clone() } else { None }
    }

    /// The session's id; none before there is one.
    pub fn session_id(&self) -> Option<SessionId> {
        self.credentials().map(|credentials| credentials.session_id)
    }

    /// What another client needs to resume this session ([`Connector::resume`]), be it later, or in another process:
    /// a secret. None before there is a session.
    pub fn credentials(&self) -> Option<Credentials> {
        self.shared().lock().session.credentials()
    }

    /// The session timeout that the servers granted.
    pub fn negotiated_timeout(&self) -> Duration {
        self.shared().lock().session.negotiated_timeout()
    }

    /// The latest transaction that this session has seen.
    pub fn last_zxid(&self) -> Zxid {
        self.shared().lock().session.last_zxid()
    }

    /// What the session counts.
    pub fn stats(&self) -> Stats {
        self.shared().lock().session.stats()
    }

    pub(crate) fn failures(&self) -> Vec<AttemptFailure> {
        self.shared().lock().failures()
    }
}

/// Requests. Each has the errors of [`Error`]; the codes named are those to expect.
impl Client {
    /// Creates a znode, and returns its path, which differs from the one asked for if it is sequential, and its
    /// `Stat` (opcode `create2`, `createContainer` or `createTTL`; `create` where a server is too old). Refused with `NODE_EXISTS`, `NO_NODE` (no
    /// parent), `NO_CHILDREN_FOR_EPHEMERALS` or `INVALID_ACL`.
    pub fn create(
        &self,
        path: impl Into<Ustring>,
        data: impl Into<Bytes>,
        mode: CreateMode,
        acl: Vector<Acl>,
    ) -> Call<Created> {
        let request = Request::create(path, Some(data.into()), acl, mode);
        self.call(request, |outcome| {
            if let Ok(Response::Create(CreateResponse { path })) = outcome {
                return Ok(Created { path, stat: None });
            }
            let Create2Response { path, stat } = answer!(outcome, Create2)?;
            Ok(Created { path, stat: Some(stat) })
        })
    }

    /// Deletes a znode, if its data has this version; -1 means any. Refused with `NO_NODE`, `BAD_VERSION` or
    /// `NOT_EMPTY`.
    pub fn delete(&self, path: impl Into<Ustring>, version: i32) -> Call<()> {
        let request = Request::Delete(DeleteRequest { path: path.into(), version });
        self.call(request, |outcome| outcome.map(drop))
    }

    /// The `Stat` of a znode; none if there is no such znode.
    pub fn exists(&self, path: impl Into<Ustring>) -> Call<Option<Stat>> {
        self.call(exists(path, false), read_exists)
    }

    /// [`exists`](Self::exists), and watches the znode: for its creation if it is missing, otherwise for a change of
    /// its data or its deletion.
    pub fn exists_and_watch(&self, path: impl Into<Ustring>) -> WatchCall<Option<Stat>> {
        self.watch_call(exists(path, true), true, read_exists)
    }

    /// A znode's data, null told apart from empty, and its `Stat`. Refused with `NO_NODE`.
    pub fn get_data(&self, path: impl Into<Ustring>) -> Call<GetDataResponse> {
        self.call(get_data(path, false), |outcome| answer!(outcome, GetData))
    }

    /// [`get_data`](Self::get_data), and watches the znode for a change of its data or its deletion.
    pub fn get_data_and_watch(&self, path: impl Into<Ustring>) -> WatchCall<GetDataResponse> {
        self.watch_call(get_data(path, true), false, |outcome| answer!(outcome, GetData))
    }

    /// Replaces a znode's data, if it has this version; -1 means any. Returns its new `Stat`. Refused with
    /// `NO_NODE` or `BAD_VERSION`.
    pub fn set_data(&self, path: impl Into<Ustring>, data: impl Into<Bytes>, version: i32) -> Call<Stat> {
        let request = SetDataRequest { path: path.into(), data: Some(data.into()), version };
        self.call(Request::SetData(request), |outcome| Ok(answer!(outcome, SetData)?.stat))
    }

    /// The names of a znode's children, in no order, and its `Stat` (opcode `getChildren2`). Refused with `NO_NODE`.
    pub fn get_children(&self, path: impl Into<Ustring>) -> Call<GetChildren2Response> {
        self.call(get_children(path, false), |outcome| answer!(outcome, GetChildren2))
    }

    /// [`get_children`](Self::get_children), and watches the znode for a change of its set of children or its
    /// deletion.
    pub fn get_children_and_watch(&self, path: impl Into<Ustring>) -> WatchCall<GetChildren2Response> {
        self.watch_call(get_children(path, true), false, |outcome| answer!(outcome, GetChildren2))
    }

    /// The names of a znode's children, in no order, without its `Stat` (opcode `getChildren`). Refused with
    /// `NO_NODE`.
    pub fn get_child_names(&self, path: impl Into<Ustring>) -> Call<Vector<Ustring>> {
        let request = Request::GetChildren(GetChildrenRequest { path: path.into(), watch: false });
        self.call(request, |outcome| Ok(answer!(outcome, GetChildren)?.children))
    }

    /// Has the server catch up with the leader, so that later reads through this session see what was committed
    /// before. That is no linearizable read: another leader may have been elected unnoticed.
    pub fn sync(&self, path: impl Into<Ustring>) -> Call<()> {
        self.call(Request::Sync(SyncRequest { path: path.into() }), |outcome| outcome.map(drop))
    }

    /// Any request, also those that have no method of their own, and its answer as it came. If it sets a
    /// one-time watch, that is not told to anybody.
    pub fn submit(&self, request: Request) -> Call<Response> {
        self.call(request, |outcome| outcome)
    }

    pub(crate) fn call<T>(
        &self,
        request: Request,
        read: fn(Result<Response, Error>) -> Result<T, Error>,
    ) -> Call<T> {
        Call::submit(self.shared(), &self.chroot, request, self.options, read, |_, _| {})
    }

    pub(crate) fn standing_call(&self, request: Request) -> StandingCall {
        let read = |outcome| answer!(outcome, AddWatch);
        let accepted = |inner: &mut Inner, request| inner.standing.hold(request);
        StandingCall::new(
            Call::submit(self.shared(), &self.chroot, request, self.options, read, accepted),
            self.shared(),
        )
    }

    fn watch_call<T>(
        &self,
        request: Request,
        on_missing: bool,
        read: fn(Result<Response, Error>) -> Result<T, Error>,
    ) -> WatchCall<T> {
        let accepted = |inner: &mut Inner, request| inner.watches.hold(request, on_missing);
        WatchCall::new(
            Call::submit(self.shared(), &self.chroot, request, self.options, read, accepted),
            self.shared(),
        )
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.command(|inner, now| inner.session.close(now));
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("state", &self.state()).field("options", &self.options).finish()
    }
}

/// A znode that was created.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Created {
    /// Its path, with the sequence number if it is sequential.
    pub path: Ustring,
    /// Its `Stat`; none if the server is older than 3.5, and doesn't tell it.
    pub stat: Option<Stat>,
}

fn exists(path: impl Into<Ustring>, watch: bool) -> Request {
    Request::Exists(ExistsRequest { path: path.into(), watch })
}

fn get_data(path: impl Into<Ustring>, watch: bool) -> Request {
    Request::GetData(GetDataRequest { path: path.into(), watch })
}

fn get_children(path: impl Into<Ustring>, watch: bool) -> Request {
    Request::GetChildren2(GetChildren2Request { path: path.into(), watch })
}

fn read_exists(outcome: Result<Response, Error>) -> Result<Option<Stat>, Error> {
    match outcome {
        Err(error) if error.code() == Some(ErrorCode::NO_NODE) => Ok(None),
        outcome => Ok(Some(answer!(outcome, Exists)?.stat)),
    }
}
