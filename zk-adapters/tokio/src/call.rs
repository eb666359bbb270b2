use core::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};
use std::sync::Arc;

use zk_client::{Errand, Typed, requests::Read};
use zk_session::{Chroot, RequestId};

use crate::{
    Error,
    pending::{Accepted, CallOptions, Pending},
    shared::Shared,
};

/// A request under way; a future of its answer.
///
/// The request was submitted when the method that returned this was called, so requests run in the order of the
/// calls, polled or not. Dropping it cancels the request: it isn't sent, if it hasn't been yet, and otherwise its
/// answer is ignored.
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

    /// Below which path of the session's the request's paths are.
    pub(crate) fn chroot(&self) -> &Chroot {
        self.pending.chroot()
    }

    /// The request's number, as the session counts them. None if it was not accepted, has ended, or is several.
    pub fn request(&self) -> Option<RequestId> {
        self.pending.request()
    }
}

impl<T> Future for Call<T> {
    type Output = Result<T, Error>;

    /// # Panics
    ///
    /// If polled again after it was ready.
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.pending.poll(context).map(self.read)
    }
}

impl<T> fmt::Debug for Call<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("state", self.pending.state()).finish_non_exhaustive()
    }
}
