//! Several requests that serve one purpose.

use bytes::Bytes;
use zk_client::recipes;
use zk_proto::{CreateMode, Stat, Ustring};

use crate::{Call, Client, Created};

/// Several requests that serve one purpose. They run in the background once the method is called, and a
/// deadline holds for the whole; dropping the [`Call`] stops what hasn't run. While they run, a handle must be kept:
/// with the last one, the session is closed.
///
/// What is missing of the root of a handle ([`chroot`](Self::chroot)) counts as missing parents, and so does the last
/// name of the connect string's chroot.
///
/// ```no_run
/// use zk_std::{Client, CreateMode};
///
/// # fn f() -> Result<(), Box<dyn std::error::Error>> {
/// let (client, _) = Client::connect("localhost:2181")?;
/// client.ensure_path("/app/locks").wait()?;
/// client.create_with_parents("/app/config/port", "80", CreateMode::Persistent).wait()?;
/// client.set_or_create("/app/config/host", "zk1").wait()?;
/// let mine = client.create_protected("/app/locks/lock-", "", CreateMode::EphemeralSequential).wait()?;
/// println!("{}", mine.path); // Such as /app/locks/_c_0a8fe1c7-7b5e-4d5f-9c53-0f41c3f1a2b6-lock-0000000007
/// client.delete_recursive("/app").wait()?;
/// # Ok(())
/// # }
/// ```
impl Client {
    /// Creates a znode and its parents, unless they are there, with the handle's ACL and no data. What was lost with a
    /// connection is repeated. Refused with `NO_AUTH`, or `NO_CHILDREN_FOR_EPHEMERALS`.
    pub fn ensure_path(&self, path: impl Into<Ustring>) -> Call<()> {
        self.run(|root, acl| recipes::ensure_path(root, path, acl))
    }

    /// [`create`](Self::create), and creates the parents if they are missing, as [`ensure_path`](Self::ensure_path)
    /// does. An error tells what became of the znode itself; parents may have been created.
    pub fn create_with_parents(
        &self,
        path: impl Into<Ustring>,
        data: impl Into<Bytes>,
        mode: CreateMode,
    ) -> Call<Created> {
        self.run(|root, acl| recipes::create_with_parents(root, path, data, mode, acl))
    }

    /// [`create`](Self::create) for when it matters that there is one znode and no second one: a lock, or a place in a
    /// queue. The name begins with a mark that no other has (`_c_`, a UUID and a hyphen, as Curator writes it). When the
    /// answer is lost, the znode is looked for by it, after a `sync`: one that is there and of this session is taken
    /// for the answer, otherwise it is created again.
    ///
    /// No znode is left behind where nobody knows of it: if the deadline passes or the call is dropped, one that was
    /// created all the same is deleted in the background, as long as the session lives. The parent must be readable if
    /// the znode is sequential.
    pub fn create_protected(
        &self,
        path: impl Into<Ustring>,
        data: impl Into<Bytes>,
        mode: CreateMode,
    ) -> Call<Created> {
        self.run(|root, acl| recipes::create_protected(root, path, data, mode, acl))
    }

    /// Deletes a znode and all below it, until nothing is left, however many others create there meanwhile; also where
    /// there was nothing. It isn't one transaction: an error leaves a part of it. What was lost with a connection is
    /// repeated. Refused with `NO_AUTH`; `/` isn't accepted.
    pub fn delete_recursive(&self, path: impl Into<Ustring>) -> Call<()> {
        self.run(|root, _| recipes::delete_recursive(root, path))
    }

    /// Sets a znode's data, whatever its version, or creates it with them, whoever else does so meanwhile. Returns its
    /// `Stat`. Refused with `NO_NODE` if it has no parent.
    pub fn set_or_create(&self, path: impl Into<Ustring>, data: impl Into<Bytes>) -> Call<Stat> {
        self.run(|root, acl| recipes::set_or_create(root, path, data, acl))
    }
}
