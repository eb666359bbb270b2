//! Requests that set watches, and the batches that arm them again.

use zk_session::{
    RequestId,
    zk_proto::{
        AddWatchMode, AddWatchRequest, ErrorCode, ErrorResponse, GetChildren2Request, GetChildren2Response,
        RemoveWatchesRequest, Request, Response, SetWatches, SetWatches2, Stat, Vector, WatcherType, Zxid,
    },
};

use super::World;

pub fn watch_children(path: &str) -> Request {
    Request::GetChildren2(GetChildren2Request { path: path.into(), watch: true })
}

pub fn children() -> Response {
    Response::GetChildren2(GetChildren2Response { children: Vector::from_strs(["x"]), stat: Stat::default() })
}

pub fn add_watch(path: &str, mode: AddWatchMode) -> Request {
    Request::AddWatch(AddWatchRequest { path: path.into(), mode })
}

pub fn added() -> Response {
    Response::AddWatch(ErrorResponse { err: ErrorCode::OK })
}

/// Submits a request that sets a watch, and answers it.
pub fn watch(
    world: &mut World,
    request: Request,
    zxid: i64,
    answer: Result<Response, ErrorCode>,
) -> RequestId {
    let id = world.submit(request);
    world.reply_to(id, zxid, answer);
    world.sent();
    id
}

/// A reconnect up to the accepted handshake.
pub fn reconnect(world: &mut World) {
    world.cut();
    world.await_attempt();
    world.establish();
    world.accept();
}

/// The same, on a transport that has taken nothing since the handshake.
pub fn reconnect_stalled(world: &mut World) {
    world.cut();
    world.await_attempt();
    world.establish();
    world.takes_at_once = false;
    world.accept();
}

pub fn one_time(zxid: i64, data: &[&str], exist: &[&str], child: &[&str]) -> Request {
    Request::SetWatches(SetWatches {
        relative_zxid: Zxid(zxid),
        data_watches: Vector::from_strs(data),
        exist_watches: Vector::from_strs(exist),
        child_watches: Vector::from_strs(child),
    })
}

pub fn persistent(zxid: i64, persistent: &[&str], recursive: &[&str]) -> Request {
    Request::SetWatches2(SetWatches2 {
        relative_zxid: Zxid(zxid),
        data_watches: Vector::default(),
        exist_watches: Vector::default(),
        child_watches: Vector::default(),
        persistent_watches: Vector::from_strs(persistent),
        persistent_recursive_watches: Vector::from_strs(recursive),
    })
}

pub fn acknowledge(world: &mut World, zxid: i64) {
    let xid = world.wire().oldest_unanswered().expect("a batch was sent");
    world.reply(xid, zxid, Ok(Response::Empty));
}

pub fn remove_watches(path: &str, watcher_type: WatcherType) -> Request {
    Request::RemoveWatches(RemoveWatchesRequest { path: path.into(), watcher_type })
}
