use core::{
    future::Future,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
    time::Duration,
};
use std::sync::Arc;

use tokio::task::yield_now;
use zk_client::{Hub, ReadBuffer, Wakeups};
use zk_session::{Action, Instant};

use crate::{
    alarm::Alarm,
    link::{Link, Seen},
    probe::Probe,
    shared::Shared,
    transport::Security,
};

/// The one task of a client: moves bytes and time into the session, and does what it says.
///
/// Each turn writes and reads without the lock, then takes it once: to report what it saw, to collect what is to
/// be done, and to go to sleep if that is nothing. Who has something to take up is woken after it is released.
pub(crate) struct Driver {
    shared: Arc<Shared>,
    security: Security,
    link: Option<Link>,
    probe: Option<Probe>,
    buffer: ReadBuffer,
    alarm: Alarm,
    wakeups: Wakeups,
    /// The runtime was given a chance to see what lies unread, before a late tick.
    has_looked: bool,
}

/// What a turn leads to.
enum Turn {
    Again,
    AfterOthers,
    Sleep { due: Option<Instant> },
    End,
}

impl Driver {
    pub(crate) fn new(shared: Arc<Shared>, security: Security) -> Self {
        Self {
            shared,
            security,
            link: None,
            probe: None,
            buffer: ReadBuffer::default(),
            alarm: Alarm::new(),
            wakeups: Wakeups::default(),
            has_looked: false,
        }
    }

    fn turn(&mut self, context: &mut Context<'_>, now: Instant) -> Turn {
        let mut lent = [0; ReadBuffer::LENT];
        let buffer = self.buffer.room(&mut lent);
        let seen = self.link.as_mut().map_or(Seen::Nothing, |link| link.poll(context, buffer));
        let probed = self.probe.as_mut().map_or(Poll::Pending, |probe| probe.poll(context));
        let shared = Arc::clone(&self.shared);
        let mut old_link = None;
        let mut hub = shared.lock();
        let has_seen = !matches!(seen, Seen::Nothing) || probed.is_ready();
        let is_settled = matches!(seen, Seen::Nothing | Seen::Moved { is_settled: true, .. });
        if let (Poll::Ready(read_write), Some(probe)) = (probed, self.probe.take_if(|_| probed.is_ready())) {
            hub.session.handle_probed(probe.id, read_write, now);
        }
        if let Some(link) = &self.link {
            let buffer = (&mut self.buffer, &lent);
            seen.report(link.connection, &mut hub, buffer, now, &mut self.wakeups);
        }
        // What lies unread is fed before a tick, for it may be what the session waits for.
        if !has_seen {
            let due = hub.session.poll_timeout().filter(|&due| due <= now);
            let is_late = due.is_some_and(|due| now - due >= LATE);
            if is_late && !self.has_looked && self.link.as_ref().is_some_and(Link::is_open) {
                self.has_looked = true;
                return Turn::AfterOthers;
            }
            hub.session.handle_timeout(now);
            if due.is_some() {
                hub.give_back();
                self.buffer.give_back();
                self.wakeups.give_back();
            }
        }
        self.has_looked = false;
        let has_acted = self.act(&mut hub, &mut old_link);
        if hub.is_over() {
            return Turn::End;
        }
        if !is_settled || has_acted {
            return Turn::Again;
        }
        hub.driver = Some(context.waker().clone());
        Turn::Sleep { due: hub.session.poll_timeout() }
    }

    /// Does what the session says; tells whether there is something to write or to dial.
    fn act(&mut self, hub: &mut Hub, old_link: &mut Option<Link>) -> bool {
        let mut has_acted = false;
        while let Some(action) = hub.poll_action(&mut self.wakeups) {
            match action {
                Action::Emit(event) => hub.dispatch(event, &mut self.wakeups),
                Action::Send { connection, bytes } => {
                    if let Some(link) = self.link.as_mut().filter(|link| link.connection == connection) {
                        link.send(bytes);
                        has_acted = true;
                    }
                }
                Action::Connect { connection, server } => {
                    hub.attempt_begun(&server, &mut self.wakeups);
                    *old_link = self.link.replace(Link::dial(connection, server, self.security.clone()));
                    has_acted = true;
                }
                Action::Probe { probe, server } => {
                    self.probe = Some(Probe::new(probe, server, self.security.clone()));
                    has_acted = true;
                }
                Action::Disconnect { connection, reason } => {
                    hub.attempt_dropped(reason, &mut self.wakeups);
                    if self.link.as_ref().is_some_and(|link| link.connection == connection) {
                        *old_link = self.link.take();
                    }
                }
            }
        }
        has_acted
    }
}

impl Future for Driver {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let driver = &mut *self;
        let mut now = driver.shared.now();
        loop {
            let turn = driver.turn(context, now);
            let has_woken = driver.shared.wake(&mut driver.wakeups);
            match turn {
                // Who was woken takes up what came before more of it comes.
                Turn::Again if has_woken => {
                    context.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Turn::Again => {}
                Turn::AfterOthers => {
                    // It wakes this task once the runtime has asked the operating system what is readable.
                    let _ = pin!(yield_now()).poll(context);
                    return Poll::Pending;
                }
                Turn::Sleep { due } => {
                    let due = due.and_then(|due| driver.shared.alarm_at(due));
                    ready!(driver.alarm.poll(due, context));
                    now = driver.shared.now();
                }
                Turn::End => return Poll::Ready(()),
            }
        }
    }
}

impl Drop for Driver {
    /// However it ends, nobody is left waiting.
    fn drop(&mut self) {
        let now = self.shared.now();
        let mut hub = self.shared.lock();
        if !hub.is_over() {
            hub.driver_gone(self.link.as_ref().map(|link| link.connection), now, &mut self.wakeups);
        }
        drop(hub);
        self.shared.wake(&mut self.wakeups);
    }
}

/// A tick so late is taken for the runtime's delay: its view of the socket may be as old.
const LATE: Duration = Duration::from_millis(10);
