use core::{
    fmt,
    future::poll_fn,
    task::{Context, Poll},
};
use std::sync::Arc;

use crate::{SessionEvent, shared::Shared};

/// The events of a session, from its beginning, in order.
///
/// It keeps what isn't read yet, up to some thousands ([`SessionEvent::Skipped`]). Who doesn't want to read drops it.
pub struct SessionEvents {
    shared: Arc<Shared>,
}

impl SessionEvents {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// The next event; none after the session's end.
    ///
    /// Cancel safe: no event is lost if the returned future is dropped.
    pub async fn next(&mut self) -> Option<SessionEvent> {
        poll_fn(|context| self.poll_next(context)).await
    }

    /// The next event, if there is one already.
    pub fn try_next(&mut self) -> Option<SessionEvent> {
        self.shared.lock().events.pop()
    }

    /// The next event; none after the session's end. For those who write futures by hand.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<SessionEvent>> {
        let events = &mut self.shared.lock().events;
        match events.pop() {
            Some(event) => Poll::Ready(Some(event)),
            None if events.is_over() => Poll::Ready(None),
            None => {
                events.wait(context.waker());
                Poll::Pending
            }
        }
    }
}

impl Drop for SessionEvents {
    fn drop(&mut self) {
        let unread = self.shared.lock().events.abandon();
        drop(unread);
    }
}

impl fmt::Debug for SessionEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionEvents").field("queue", &self.shared.lock().events).finish()
    }
}
