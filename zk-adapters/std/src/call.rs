use core::{fmt, time::Duration};
use std::sync::Arc;

use zk_client::{Errand, Typed, requests::Read};
use zk_session::{Chroot, RequestId};

use crate::{
    Error,
    pending::{Accepted, CallOptions, Pending},
    shared::Shared,
};

/// A request under way.
///
/// The request was submitted when the method that returned this was called, so requests run in the order of the
/// calls; those that are submitted together leave in one write, when the first of them is waited for, or after a
/// millisecond at the latest. Dropping it cancels the request: it isn't sent, if it hasn't been yet, and otherwise
/// its answer is ignored.
#[must_use = "dropping it cancels the request"]
pub struct Call<T> {
    pending: Pending,
    read: Read<T>,
}

impl<T> Call<T> {
    #[inline]
    pub(crate) fn submit(
        shared: &Arc<Shared>,
        chroot: &Chroot,
        mut typed: Typed<T>,
        options: CallOptions,
        accepted: Accepted,
    ) -> Self {
        let pending = Pending::submit(shared, chroot, &mut typed.request, options, accepted);
        Self { pending, read: typed.read }
    }

    /// Begins what takes several requests, each with these options.
    pub(crate) fn run(
        shared: &Arc<Shared>,
        chroot: &Chroot,
        errand: Errand<T>,
        options: CallOptions,
    ) -> Self {
        let read = errand.read;
        Self { pending: Pending::run(shared, chroot, errand, options), read }
    }

    pub(crate) fn new(pending: Pending, read: Read<T>) -> Self {
        Self { pending, read }
    }

    /// Waits for the outcome. It takes no longer than the request's deadline.
    ///
    /// # Errors
    ///
    /// [`Error`]: why there is no answer.
    ///
    /// # Panics
    ///
    /// If [`wait_timeout`](Self::wait_timeout) has returned the outcome.
    pub fn wait(self) -> Result<T, Error> {
        (self.read)(self.pending.wait())
    }

    /// Waits for the outcome, at most for so long; none if it isn't there by then, and the request goes on.
    ///
    /// # Panics
    ///
    /// If it has returned the outcome.
    pub fn wait_timeout(&mut self, limit: Duration) -> Option<Result<T, Error>> {
        self.pending.wait_timeout(limit).map(self.read)
    }

    /// Below which path of the session's the request's paths are.
    pub(crate) fn chroot(&self) -> &Chroot {
        self.pending.chroot()
    }

    /// The request's number, as the session counts them. None if it was not accepted, has ended, or is several.
    pub fn request(&self) -> Option<RequestId> {
        self.pending.request()
    }
}

impl<T> fmt::Debug for Call<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("state", self.pending.state()).finish_non_exhaustive()
    }
}
