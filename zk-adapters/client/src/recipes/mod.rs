//! Several requests that serve one purpose, each with how its outcome is read.
//!
//! A recipe is begun by [`Hub::run`](crate::Hub::run). Its paths are those of a handle with a root of its own within
//! the session: what is missing of that root counts as missing parents.

mod create;
mod delete;
mod parents;
mod protected;
mod set;

use bytes::Bytes;
use zk_proto::{Acl, CreateMode, Request, Stat, Ustring, Vector, validate_create_path, validate_path};
use zk_session::{Chroot, Failure, Retry, SubmitError};

use self::{
    create::CreateWithParents,
    delete::DeleteRecursive,
    parents::EnsurePath,
    protected::{CreateProtected, ProtectedPath},
    set::SetOrCreate,
};
use crate::{
    Created, Errand, Error,
    errands::Outcome,
    requests::{self, Watching, read_created},
};

/// Creates a znode and its parents, unless they are there.
pub fn ensure_path(root: &Chroot, path: impl Into<Ustring>, acl: Vector<Acl>) -> Errand<()> {
    let recipe = above(root, path, CreateMode::Persistent).map(|path| EnsurePath::new(&path, acl));
    Errand::new(recipe, Some(Retry::WhenSafe), |outcome| outcome.map(drop))
}

/// Creates a znode, and its parents if they are missing, with the same ACL and no data.
pub fn create_with_parents(
    root: &Chroot,
    path: impl Into<Ustring>,
    data: impl Into<Bytes>,
    mode: CreateMode,
    acl: Vector<Acl>,
) -> Errand<Created> {
    let recipe = above(root, path, mode).map(|path| {
        let create = requests::create(path.clone(), data, mode, acl.clone()).request;
        CreateWithParents::new(create, &path, acl)
    });
    Errand::new(recipe, None, read_created)
}

/// Creates a znode whose name has a mark, by which it is found again when the answer is lost.
pub fn create_protected(
    root: &Chroot,
    path: impl Into<Ustring>,
    data: impl Into<Bytes>,
    mode: CreateMode,
    acl: Vector<Acl>,
) -> Errand<Created> {
    let recipe = above(root, path, mode).map(|path| {
        let path = ProtectedPath::new(&path, mode);
        let create = requests::create(path.path(), data, mode, acl).request;
        CreateProtected::new(create, path)
    });
    Errand::new(recipe, Some(Retry::WhenSafe), read_created)
}

/// Deletes a znode and all below it; but not the root.
pub fn delete_recursive(root: &Chroot, path: impl Into<Ustring>) -> Errand<()> {
    let path = path.into();
    let recipe = if path == "/" {
        Err(SubmitError::InvalidArgument { what: "path: the root can't be deleted" })
    } else {
        above(root, path, CreateMode::Persistent).map(DeleteRecursive::new)
    };
    Errand::new(recipe, Some(Retry::WhenSafe), |outcome| outcome.map(drop))
}

/// Sets a znode's data, or creates it with them.
pub fn set_or_create(
    root: &Chroot,
    path: impl Into<Ustring>,
    data: impl Into<Bytes>,
    acl: Vector<Acl>,
) -> Errand<Stat> {
    let recipe = above(root, path, CreateMode::Persistent);
    Errand::new(recipe.map(|path| SetOrCreate::new(path, data.into(), acl)), None, set::read)
}

/// The path within the session, once it is found to be one.
fn above(root: &Chroot, path: impl Into<Ustring>, mode: CreateMode) -> Result<Ustring, SubmitError> {
    let path = path.into();
    let sequential = matches!(
        mode,
        CreateMode::PersistentSequential
            | CreateMode::EphemeralSequential
            | CreateMode::PersistentSequentialWithTtl(_)
    );
    let text = path.to_str();
    if sequential { validate_create_path(&text, true) } else { validate_path(&text) }?;
    drop(text);
    Ok(root.server_path(&path))
}

/// The path of a znode's parent, and its name.
fn split(path: &str) -> (&str, &str) {
    let (parent, name) = path.rsplit_once('/').unwrap_or_default();
    (if parent.is_empty() { "/" } else { parent }, name)
}

fn create_node(path: &Ustring, acl: &Vector<Acl>) -> Request {
    requests::create(path.clone(), Bytes::new(), CreateMode::Persistent, acl.clone()).request
}

fn exists(path: &Ustring) -> Request {
    requests::exists(path.clone(), Watching::No).request
}

/// Whether only the connection was lost: what can be repeated can be so on the next one.
fn is_lost(error: &Error) -> bool {
    matches!(error, Error::Failed { failure: Failure::ConnectionLoss, .. })
}

/// A lost connection among the outcomes, if nothing worse.
fn worst(outcomes: &[Outcome], is_fine: impl Fn(&Error) -> bool) -> Option<&Error> {
    let errors =
        || outcomes.iter().filter_map(|outcome| outcome.as_ref().err()).filter(|error| !is_fine(error));
    errors().find(|error| !is_lost(error)).or_else(|| errors().next())
}

/// How often in a row a step is repeated whose connection was lost: it may be the request that makes a server hang up.
const MOST_LOSSES: u32 = 3;
