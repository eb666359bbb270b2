//! The end of all faults: from any state the session must come to rest, ready or over (INV-57).

use core::{panic::AssertUnwindSafe, time::Duration};
use std::panic::catch_unwind;

use crate::{
    act::Act,
    books::Watch,
    world::{BACKOFF, SESSION_TIMEOUT, World},
};

/// What the heal phase has shown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Healed {
    /// INV-57: the session is ready or over in time, and all requests have their outcomes.
    pub(crate) is_live: bool,
    /// INV-40: no watch waits for a change that has happened.
    pub(crate) has_seen_all: bool,
}

impl World {
    /// Lets all go well from here on.
    pub(crate) fn heal(&self) -> Healed {
        let begin = self.now;
        let mut world = self.clone();
        let healed = catch_unwind(AssertUnwindSafe(move || {
            for _ in 0..MOST_STEPS {
                if world.now - begin > MOST_TIME {
                    break;
                }
                let Some(act) = world.next_good_act() else {
                    let has_seen_all = world.has_seen_all();
                    return Healed { is_live: true, has_seen_all };
                };
                world.perform(act);
            }
            Healed { is_live: false, has_seen_all: true }
        }));
        healed.unwrap_or(Healed { is_live: false, has_seen_all: true })
    }

    /// None if the session is at rest.
    fn next_good_act(&self) -> Option<Act> {
        if self.books.is_over {
            return None;
        }
        if let Some(link) = &self.link {
            if !link.is_up {
                return Some(Act::Up);
            }
            if !link.outbox.is_empty() {
                return Some(Act::Take);
            }
            if !link.inbox.is_empty() {
                return Some(Act::Deliver);
            }
            if link.is_over {
                return Some(Act::End);
            }
        }
        let is_at_rest = self.books.is_ready && !self.books.is_closing && self.books.open().next().is_none();
        let is_read_write = self.probe.is_none();
        match (is_at_rest, is_read_write) {
            (true, true) => None,
            (_, false) => Some(Act::Probed(true)),
            (false, true) => Some(Act::Tick),
        }
    }

    fn has_seen_all(&self) -> bool {
        let changed_at = self.ensemble.changed_at;
        let is_blind =
            |watch| matches!(watch, Watch::Armed(since) | Watch::Lost(since) if since < changed_at);
        self.books.is_over || !is_blind(self.books.watches[0])
    }
}

/// T, and a full cycle of servers, each with its deadline and its back-off.
const MOST_TIME: Duration =
    Duration::from_secs(SESSION_TIMEOUT.as_secs() + 2 * (SESSION_TIMEOUT.as_secs() / 3 + BACKOFF.as_secs()));
const MOST_STEPS: usize = 200;
