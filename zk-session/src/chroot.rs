//! The chroot of the connect string: a session's paths are below it, and nothing outside the session sees that.

use alloc::string::String;

use zk_proto::{
    Create2Response, CreateResponse, Op, OpResult, Request, Response, SyncResponse, Ustring, Vector,
};

/// Converts paths between client and server, a component at a time. `/zookeeper` and what lies below it stay
/// as they are in both directions.
#[derive(Clone, Debug, Default)]
pub(crate) struct Chroot(Option<String>);

impl Chroot {
    pub(crate) fn new(chroot: Option<String>) -> Self {
        Self(chroot.filter(|chroot| chroot != "/"))
    }

    /// The server's path for a client's.
    fn server_path(&self, path: &Ustring) -> Ustring {
        let (Some(chroot), Some(text)) = (&self.0, path.as_str()) else { return path.clone() };
        if is_at_or_below(text, RESERVED) {
            return path.clone();
        }
        let below = if text == "/" { "" } else { text };
        Ustring::from([chroot.as_str(), below].concat())
    }

    /// The client's path for a server's; the same where it lies outside the chroot.
    pub(crate) fn client_path(&self, path: &Ustring) -> Ustring {
        let Some(chroot) = &self.0 else { return path.clone() };
        let Some(below) = path.as_bytes().strip_prefix(chroot.as_bytes()) else { return path.clone() };
        match below.first() {
            None => Ustring::from_static("/"),
            Some(b'/') => {
                let bytes = path.clone().into_bytes().unwrap_or_default();
                Ustring::from_bytes(bytes.slice(chroot.len()..))
            }
            Some(_) => path.clone(),
        }
    }

    /// Turns a request's client paths into server paths.
    ///
    /// `delete("/")` is sent as it is, so that it is refused: the chroot's own znode can't be deleted by
    /// accident.
    pub(crate) fn apply(&self, request: &mut Request) {
        if self.0.is_none() {
            return;
        }
        if let Request::Multi(multi) | Request::MultiRead(multi) = request {
            multi.ops.iter_mut().for_each(|op| self.apply_to_op(op));
            return;
        }
        let deletes_root = matches!(request, Request::Delete(delete) if delete.path.as_bytes() == b"/");
        if let (false, Some(path)) = (deletes_root, request.path_mut()) {
            *path = self.server_path(path);
        }
    }

    fn apply_to_op(&self, op: &mut Op) {
        let path = op.path_mut();
        *path = self.server_path(path);
    }

    /// Turns a response's server paths into client paths.
    pub(crate) fn undo(&self, response: &mut Response) {
        if self.0.is_none() {
            return;
        }
        if let Response::Create(CreateResponse { path })
        | Response::Create2(Create2Response { path, .. })
        | Response::Sync(SyncResponse { path }) = response
        {
            *path = self.client_path(path);
        } else if let Response::GetEphemerals(found) = response {
            let paths = found.ephemerals.iter().map(|path| self.client_path(&path));
            found.ephemerals = paths.collect::<Vector<_>>();
        } else if let Response::Multi(multi) = response {
            self.undo_in_results(&mut multi.results);
        }
    }

    pub(crate) fn undo_in_results(&self, results: &mut [OpResult]) {
        for result in results {
            if let OpResult::Create(CreateResponse { path })
            | OpResult::Create2(Create2Response { path, .. }) = result
            {
                *path = self.client_path(path);
            }
        }
    }
}

/// Whether `path` is `root` or one of its descendants.
fn is_at_or_below(path: &str, root: &str) -> bool {
    path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// ZooKeeper's own znodes.
const RESERVED: &str = "/zookeeper";
