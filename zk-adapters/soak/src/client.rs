//! The clients that are tested, behind one face.

use core::{task::Context, task::Poll, task::Waker, time::Duration};

use tokio::{runtime::Handle, time::timeout};
use zk_client::{ConnectError, Error, SessionEnd, SessionEvent, StandingEvent, WatchEnded};
use zk_session::{
    Config, Retry, Stats, WatchEvent,
    zk_proto::{
        AddWatchMode, ErrorCode, GetChildren2Response, GetDataResponse, Request, Response, SessionId,
        SyncRequest, Zxid,
    },
};

/// Which client it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Tokio,
    Std,
}

/// One session. Nothing waits for longer than [`HANG`] here.
pub(crate) enum Client {
    Tokio(Handle, zk_tokio::Client),
    Std(zk_std::Client),
}

impl Client {
    pub(crate) fn connect(
        kind: Kind,
        runtime: &Handle,
        config: Config,
    ) -> Result<(Self, Events), ConnectError> {
        match kind {
            Kind::Tokio => {
                let builder = zk_tokio::Client::builder(ANY)?.configure(|own| *own = config);
                let (client, events) = runtime.block_on(builder.connect())?;
                Ok((Self::Tokio(runtime.clone(), client), Events::Tokio(runtime.clone(), events)))
            }
            Kind::Std => {
                let builder = zk_std::Client::builder(ANY)?.configure(|own| *own = config);
                let (client, events) = builder.connect()?;
                Ok((Self::Std(client), Events::Std(events)))
            }
        }
    }

    /// A handle whose requests have this policy and this deadline.
    pub(crate) fn with(&self, retry: Retry, deadline: Option<Duration>) -> Self {
        match self {
            Self::Tokio(runtime, client) => {
                let client = client.with_retry(retry);
                let client = deadline.map_or(client.clone(), |deadline| client.with_deadline(deadline));
                Self::Tokio(runtime.clone(), client)
            }
            Self::Std(client) => {
                let client = client.with_retry(retry);
                Self::Std(
                    deadline
                        .map_or_else(|| client.without_deadline(), |deadline| client.with_deadline(deadline)),
                )
            }
        }
    }

    pub(crate) fn submit(&self, request: Request) -> Pending {
        match self {
            Self::Tokio(runtime, client) => Pending::Tokio(runtime.clone(), client.submit(request)),
            Self::Std(client) => Pending::Std(client.submit(request)),
        }
    }

    pub(crate) fn data(&self, path: &str) -> Result<GetDataResponse, Failed> {
        match self {
            Self::Tokio(runtime, client) => bounded(runtime, client.get_data(path)),
            Self::Std(client) => told(client.get_data(path).wait_timeout(HANG)),
        }
    }

    pub(crate) fn children(&self, path: &str) -> Result<GetChildren2Response, Failed> {
        match self {
            Self::Tokio(runtime, client) => bounded(runtime, client.get_children(path)),
            Self::Std(client) => told(client.get_children(path).wait_timeout(HANG)),
        }
    }

    pub(crate) fn data_and_watch(&self, path: &str) -> Result<(GetDataResponse, Watch), Failed> {
        match self {
            Self::Tokio(runtime, client) => {
                let (znode, watch) = bounded(runtime, client.get_data_and_watch(path))?;
                Ok((znode, Watch::Tokio(watch)))
            }
            Self::Std(client) => {
                let (znode, watch) = told(client.get_data_and_watch(path).wait_timeout(HANG))?;
                Ok((znode, Watch::Std(watch)))
            }
        }
    }

    pub(crate) fn children_and_watch(&self, path: &str) -> Result<(GetChildren2Response, Watch), Failed> {
        match self {
            Self::Tokio(runtime, client) => {
                let (children, watch) = bounded(runtime, client.get_children_and_watch(path))?;
                Ok((children, Watch::Tokio(watch)))
            }
            Self::Std(client) => {
                let (children, watch) = told(client.get_children_and_watch(path).wait_timeout(HANG))?;
                Ok((children, Watch::Std(watch)))
            }
        }
    }

    pub(crate) fn watch_recursively(&self, path: &str) -> Result<Standing, Failed> {
        let mode = AddWatchMode::PERSISTENT_RECURSIVE;
        match self {
            Self::Tokio(runtime, client) => {
                bounded(runtime, client.add_watch(path, mode)).map(Standing::Tokio)
            }
            // It has a deadline of its own.
            Self::Std(client) => Ok(Standing::Std(client.with_deadline(HANG).add_watch(path, mode).wait()?)),
        }
    }

    pub(crate) fn sync(&self) -> Result<(), Failed> {
        self.submit(Request::Sync(SyncRequest { path: "/".into() })).wait().map(drop)
    }

    pub(crate) fn session(&self) -> Option<SessionId> {
        match self {
            Self::Tokio(_, client) => client.session_id(),
            Self::Std(client) => client.session_id(),
        }
    }

    pub(crate) fn negotiated_timeout(&self) -> Duration {
        match self {
            Self::Tokio(_, client) => client.negotiated_timeout(),
            Self::Std(client) => client.negotiated_timeout(),
        }
    }

    pub(crate) fn last_zxid(&self) -> Zxid {
        match self {
            Self::Tokio(_, client) => client.last_zxid(),
            Self::Std(client) => client.last_zxid(),
        }
    }

    pub(crate) fn stats(&self) -> Stats {
        match self {
            Self::Tokio(_, client) => client.stats(),
            Self::Std(client) => client.stats(),
        }
    }

    /// None if it takes too long.
    pub(crate) fn close(&self) -> Option<SessionEnd> {
        match self {
            Self::Tokio(runtime, client) => {
                runtime.block_on(async { timeout(HANG, client.close()).await.ok() })
            }
            Self::Std(client) => Some(client.close()),
        }
    }
}

/// A request under way.
pub(crate) enum Pending {
    Tokio(Handle, zk_tokio::Call<Response>),
    Std(zk_std::Call<Response>),
}

impl Pending {
    pub(crate) fn wait(self) -> Result<Response, Failed> {
        match self {
            Self::Tokio(runtime, call) => bounded(&runtime, call),
            Self::Std(mut call) => told(call.wait_timeout(HANG)),
        }
    }
}

/// What happens to a session.
pub(crate) enum Events {
    Tokio(Handle, zk_tokio::SessionEvents),
    Std(zk_std::SessionEvents),
}

impl Iterator for Events {
    type Item = SessionEvent;

    fn next(&mut self) -> Option<SessionEvent> {
        match self {
            Self::Tokio(runtime, events) => runtime.block_on(events.next()),
            Self::Std(events) => events.next(),
        }
    }
}

/// A one-time watch.
pub(crate) enum Watch {
    Tokio(zk_tokio::Watch),
    Std(zk_std::Watch),
}

impl Watch {
    /// Its outcome, if that is there.
    pub(crate) fn poll(&mut self) -> Option<Result<WatchEvent, WatchEnded>> {
        match self {
            Self::Tokio(watch) => ready(watch.poll_changed(&mut Context::from_waker(Waker::noop()))),
            Self::Std(watch) => watch.changed_timeout(Duration::ZERO),
        }
    }
}

/// A persistent watch.
pub(crate) enum Standing {
    Tokio(zk_tokio::StandingWatch),
    Std(zk_std::StandingWatch),
}

impl Standing {
    /// What it tells next, if that is there.
    pub(crate) fn poll(&mut self) -> Option<Result<StandingEvent, WatchEnded>> {
        match self {
            Self::Tokio(watch) => ready(watch.poll_next(&mut Context::from_waker(Waker::noop()))),
            Self::Std(watch) => watch.next_timeout(Duration::ZERO),
        }
    }
}

fn ready<T>(poll: Poll<T>) -> Option<T> {
    match poll {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

/// Why a call brought no answer.
#[derive(Debug)]
pub(crate) enum Failed {
    /// It was told why.
    Told(Error),
    /// It has no outcome after [`HANG`].
    Hangs,
    /// There is no session.
    NoSession,
}

impl Failed {
    pub(crate) fn is_no_node(&self) -> bool {
        matches!(self, Self::Told(error) if error.code() == Some(ErrorCode::NO_NODE))
    }
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self::Told(error)
    }
}

fn bounded<T, F: IntoFuture<Output = Result<T, Error>>>(runtime: &Handle, future: F) -> Result<T, Failed> {
    told(runtime.block_on(async { timeout(HANG, future).await.ok() }))
}

fn told<T>(outcome: Option<Result<T, Error>>) -> Result<T, Failed> {
    Ok(outcome.ok_or(Failed::Hangs)??)
}

/// A call without a deadline that has no outcome by then hangs. Faults last some seconds, and elections as long again; an
/// ensemble that doesn't come back is restarted after some thirty.
pub(crate) const HANG: Duration = Duration::from_secs(90);
/// Replaced by the configuration's servers.
const ANY: &str = "127.0.0.1";
