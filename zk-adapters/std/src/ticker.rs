use core::{task::Waker, time::Duration};
use std::{io, sync::Arc};

use zk_session::Instant;

use crate::{parking::with_waker, shared::Shared, sync::thread};

/// Starts the thread that acts upon time. It also writes for those who submit and don't wait.
pub(crate) fn spawn(shared: &Arc<Shared>) -> io::Result<()> {
    let shared = Arc::clone(shared);
    let ticker = thread::Builder::new().name("zk-ticker".to_owned());
    ticker.spawn(move || with_waker(|waker| run(&shared, waker))).map(drop)
}

fn run(shared: &Arc<Shared>, waker: &Waker) {
    let guard = Guard(shared);
    let mut has_looked = false;
    loop {
        let now = shared.now();
        let mut inner = shared.settle(shared.lock());
        if inner.hub.is_over() {
            break;
        }
        let mut alarm = inner.hub.session.poll_timeout();
        if let Some(due) = alarm.filter(|&due| due <= now) {
            // What lies unread is fed before a late tick, for it may be what the session waits for.
            let is_late = now - due >= LATE && inner.link.is_some();
            if !is_late || has_looked {
                inner.hub.session.handle_timeout(now);
                inner.give_back();
                has_looked = false;
                continue;
            }
            has_looked = true;
            alarm = Some(now + LOOK);
        } else {
            has_looked = false;
        }
        inner.hub.driver = Some(waker.clone());
        inner.alarm = alarm.unwrap_or(Instant::MAX);
        drop(inner);
        shared.clock.park(alarm.map(|alarm| alarm - now));
        shared.lock().hub.driver = None;
    }
    core::mem::forget(guard);
}

/// However the thread ends, nobody is left waiting.
struct Guard<'a>(&'a Arc<Shared>);

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        let now = self.0.now();
        let mut inner = self.0.lock();
        let connection = inner.link.as_ref().map(|link| link.connection);
        inner.drop_link(self.0);
        let (hub, wakeups) = inner.hub_and_wakeups();
        hub.driver_gone(connection, now, wakeups);
        self.0.leave(inner);
    }
}

/// A tick so late is taken for a process that was stopped: what the server has sent meanwhile may lie unread.
const LATE: Duration = Duration::from_millis(10);
/// How long those who read get, before a late tick.
const LOOK: Duration = Duration::from_millis(5);
