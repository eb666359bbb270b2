use core::{fmt, task::Waker, time::Duration};
use std::sync::Arc;

use zk_client::Hub;

use crate::{SessionEvent, parking::Awaited, shared::Shared};

/// The events of a session, from its beginning, in order: an iterator that waits for the next one, and ends after
/// the session's end.
///
/// It keeps what isn't read yet, up to some thousands ([`SessionEvent::Skipped`]). Who doesn't want to read drops it.
pub struct SessionEvents {
    shared: Arc<Shared>,
}

impl SessionEvents {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// The next event, if there is one already.
    pub fn try_next(&mut self) -> Option<SessionEvent> {
        self.shared.lock().hub.events.pop()
    }

    /// Waits for the next event, at most for so long; none if none has come by then, or the session has ended.
    pub fn next_timeout(&mut self, limit: Duration) -> Option<SessionEvent> {
        let until = self.shared.now() + limit;
        self.shared.wait_for(&mut Queue, Some(until)).flatten()
    }
}

impl Iterator for SessionEvents {
    type Item = SessionEvent;

    fn next(&mut self) -> Option<SessionEvent> {
        self.shared.wait_for(&mut Queue, None).flatten()
    }
}

/// The next event, or none after the last.
struct Queue;

impl Awaited for Queue {
    type Outcome = Option<SessionEvent>;

    const IS_READ: bool = false;

    fn take(&mut self, hub: &mut Hub) -> Option<Self::Outcome> {
        match hub.events.pop() {
            Some(event) => Some(Some(event)),
            None => hub.events.is_over().then_some(None),
        }
    }

    fn wait(&mut self, hub: &mut Hub, waker: &Waker) {
        hub.events.wait(waker);
    }
}

impl Drop for SessionEvents {
    fn drop(&mut self) {
        let unread = self.shared.lock().hub.events.abandon();
        drop(unread);
    }
}

impl fmt::Debug for SessionEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionEvents").field("queue", &self.shared.lock().hub.events).finish()
    }
}
