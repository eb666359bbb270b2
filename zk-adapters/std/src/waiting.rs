//! The driver of a loop that waits for nothing else.

use core::time::Duration;

use zk_session::State;

use crate::{
    Driver,
    pumped::{Moved, PumpedLink, report},
};

impl Driver {
    /// Sleeps until the server says something, or this limit or [`timeout`](Self::timeout) has passed, having written what
    /// there was to write, and acts upon it as [`pump`](Self::pump) does: all that a loop has to do that waits for nothing
    /// else, at two system calls for a request and its answer. It doesn't sleep while there are events to take, nor once the
    /// session has ended, and may return earlier than it has to, or some milliseconds later. From the first one on the socket
    /// may be in blocking mode between two calls; a `pump` doesn't wait all the same.
    ///
    /// ```no_run
    /// use core::time::Duration;
    /// use zk_std::{Config, Driver};
    ///
    /// let mut driver = Driver::new(Config::new("zk1:2181,zk2:2181".parse().expect("a connect string")), || ());
    /// while !driver.session().state().is_terminal() {
    ///     while let Some(event) = driver.poll_event() {
    ///         println!("{event:?}");
    ///     }
    ///     driver.wait(Duration::from_secs(1));
    /// }
    /// ```
    pub fn wait(&mut self, limit: Duration) {
        let now = self.now();
        self.catch_up(now);
        self.act_on_all();
        let due = self.session.poll_timeout().map_or(Duration::MAX, |due| due - now);
        let limit = limit.min(due);
        if limit.is_zero() || !self.events.is_empty() || self.session.state().is_terminal() {
            self.pump();
        } else if self.link.as_mut().is_some_and(PumpedLink::may_wait) {
            self.exchange(limit, now);
        } else {
            if let Some(news) = self.desk.wait(limit) {
                let now = self.now();
                self.take_up(news, now);
            }
            self.pump();
        }
    }

    /// Writes, and waits for an answer.
    fn exchange(&mut self, limit: Duration, now: zk_session::Instant) {
        let Some(link) = &mut self.link else { return };
        let sent = link.write();
        if let Ok(sent) = sent {
            self.session.handle_sent(link.connection, sent, now);
            self.act_on_all();
        }
        // A pump writes all that can be written, or sees why it can't, and reads what had come before.
        let has_rest = self.wants_to_write();
        if sent.is_err() || has_rest && sent.is_ok_and(|sent| sent > 0) {
            return self.pump();
        }
        let Some(link) = self.link.as_mut().filter(|_| self.events.is_empty()) else { return };
        let is_asking = self.session.state() == State::ConnectedReadOnly && self.desk.awaits();
        let limit = if has_rest || is_asking { limit.min(PATIENCE) } else { limit };
        let read = link.read(Some(limit));
        let now = self.now();
        let moved = report(&mut self.link, &mut self.session, &mut self.attempts, read, now);
        self.has_more = moved != Moved::Nothing;
        if !self.has_more && self.is_due(now) {
            self.pump();
        }
    }
}

/// How long a wait for the server may go on while something else is under way.
const PATIENCE: Duration = Duration::from_millis(2);
