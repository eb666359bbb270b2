//! Requests and responses in few words.

use zk_session::zk_proto::{
    AddWatchMode, AddWatchRequest, Bytes, Create2Response, CreateMode, CreateResponse, DeleteRequest,
    ErrorResponse, ExistsRequest, ExistsResponse, GetChildrenRequest, GetChildrenResponse, GetDataRequest,
    GetDataResponse, OPEN_ACL_UNSAFE, RemoveWatchesRequest, Request, Response, SetDataRequest,
    SetDataResponse, Stat, Vector, WatcherType,
};

pub(crate) fn get(path: &str) -> Request {
    Request::GetData(GetDataRequest { path: path.into(), watch: false })
}

pub(crate) fn get_watching(path: &str) -> Request {
    Request::GetData(GetDataRequest { path: path.into(), watch: true })
}

pub(crate) fn exists_watching(path: &str) -> Request {
    Request::Exists(ExistsRequest { path: path.into(), watch: true })
}

pub(crate) fn children_watching(path: &str) -> Request {
    Request::GetChildren(GetChildrenRequest { path: path.into(), watch: true })
}

pub(crate) fn add_watch(path: &str, mode: AddWatchMode) -> Request {
    Request::AddWatch(AddWatchRequest { path: path.into(), mode })
}

pub(crate) fn remove_watches(path: &str, watcher_type: WatcherType) -> Request {
    Request::RemoveWatches(RemoveWatchesRequest { path: path.into(), watcher_type })
}

pub(crate) fn create_as(path: &str, mode: CreateMode) -> Request {
    Request::create(path, Some(Bytes::from_static(b"data")), OPEN_ACL_UNSAFE, mode)
}

pub(crate) fn set(path: &str, data: Bytes) -> Request {
    Request::SetData(SetDataRequest { path: path.into(), data: Some(data), version: -1 })
}

pub(crate) fn delete(path: &str) -> Request {
    Request::Delete(DeleteRequest { path: path.into(), version: -1 })
}

pub(crate) fn data(bytes: &'static [u8]) -> Response {
    Response::GetData(GetDataResponse { data: Some(Bytes::from_static(bytes)), stat: Stat::default() })
}

/// What a server would answer to this request if it succeeded, with nothing much in it.
pub(crate) fn plain_response(request: &Request) -> Response {
    let stat = Stat::default();
    match request {
        Request::GetData(_) => data(b"data"),
        Request::Exists(_) => Response::Exists(ExistsResponse { stat }),
        Request::SetData(_) => Response::SetData(SetDataResponse { stat }),
        Request::GetChildren(_) => {
            Response::GetChildren(GetChildrenResponse { children: Vector::from_strs(["b", "c"]) })
        }
        Request::Create(create) => Response::Create(CreateResponse { path: create.path.clone() }),
        Request::Create2(create) => Response::Create2(Create2Response { path: create.path.clone(), stat }),
        Request::AddWatch(_) => Response::AddWatch(ErrorResponse::default()),
        _ => Response::Empty,
    }
}
