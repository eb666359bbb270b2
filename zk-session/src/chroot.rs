//! Roots for paths: the chroot of the connect string, and those of clients that share a session.

use alloc::sync::Arc;

use zk_proto::{
    Create2Response, CreateResponse, Op, OpResult, Request, Response, SyncResponse, Ustring, Vector,
};

use crate::{SubmitError, admission};

/// Converts paths between those who live below a root and those above, a component at a time. `/zookeeper` and
/// what lies below it stay as they are in both directions.
///
/// A session applies the chroot of its connect string by itself. This is for adapters whose clients have roots of
/// their own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chroot(Option<Arc<str>>);

impl Chroot {
    /// The root that this path names; `/` and none are no root at all.
    pub fn new(chroot: Option<&str>) -> Self {
        Self(chroot.filter(|&chroot| chroot != "/").map(Arc::from))
    }

    /// Whether it is no root at all: no path changes.
    #[inline]
    pub(crate) fn is_root(&self) -> bool {
        self.0.is_none()
    }

    /// The path above the root for one below it.
    pub fn server_path(&self, path: &Ustring) -> Ustring {
        let (Some(chroot), Some(text)) = (&self.0, path.as_str()) else { return path.clone() };
        if is_at_or_below(text, RESERVED) {
            return path.clone();
        }
        let below = if text == "/" { "" } else { text };
        Ustring::from([&**chroot, below].concat())
    }

    /// The path below the root for one above it; the same where it lies outside.
    pub fn client_path(&self, path: &Ustring) -> Ustring {
        let Some(chroot) = &self.0 else { return path.clone() };
        let Some(below) = path.as_bytes().strip_prefix(chroot.as_bytes()) else { return path.clone() };
        if planted!(ChrootsAreNotUndone) {
            return path.clone();
        }
        match below.first() {
            None => Ustring::from_static("/"),
            Some(b'/') => {
                let bytes = path.clone().into_bytes().unwrap_or_default();
                Ustring::from_bytes(bytes.slice(chroot.len()..))
            }
            Some(_) => path.clone(),
        }
    }

    /// Turns a path above the root into the one below it.
    #[inline]
    pub fn undo_path(&self, path: &mut Ustring) {
        if self.0.is_some() {
            *path = self.client_path(path);
        }
    }

    /// Checks a request's paths, and turns them from those below the root into those above it. `delete("/")` stays
    /// as it is, so that it is refused: the root's own znode can't be deleted by accident.
    ///
    /// # Errors
    /// If [`Session::submit`](crate::Session::submit) would refuse the request for its paths or fields.
    pub fn apply(&self, request: &mut Request) -> Result<(), SubmitError> {
        if self.0.is_some() {
            admission::check(request)?;
            self.apply_to(request);
        }
        Ok(())
    }

    /// A request that was checked, with its paths above the root.
    pub(crate) fn rooted(&self, request: &Request) -> Request {
        let mut request = request.clone();
        self.apply_to(&mut request);
        request
    }

    fn apply_to(&self, request: &mut Request) {
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

    /// Turns a response's paths from those above the root into those below it.
    #[inline]
    pub fn undo(&self, response: &mut Response) {
        if self.0.is_some() {
            self.undo_in(response);
        }
    }

    fn undo_in(&self, response: &mut Response) {
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

    fn undo_in_results(&self, results: &mut [OpResult]) {
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
