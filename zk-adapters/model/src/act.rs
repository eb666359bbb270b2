//! What may happen next: whatever the network, the servers, the clock and the application can do.

use crate::{
    Setup,
    books::{Fate, MAX_REQUESTS},
    ensemble::Forgery,
    world::World,
};

/// One thing that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "part of a transcript")]
pub enum Act {
    /// The transport is up.
    Up,
    /// The transport takes what is outstanding, and the server hears it.
    Take,
    /// Half of it.
    TakeHalf,
    /// The next frame arrives whole.
    Deliver,
    /// The first bytes of it.
    DeliverHalf,
    /// All frames under way arrive at once.
    DeliverAll,
    /// The next timer comes, on time if the clock hasn't jumped.
    Tick,
    /// The application submits its next request.
    Submit,
    /// The application gives up this request.
    Cancel(usize),
    /// The application closes the session.
    Close,
    /// Somebody else changes the watched znode.
    Change,
    /// What the server said before it closed the connection has arrived, and so does the end.
    End,
    /// A probe is answered: the server is read-write, or not.
    Probed(bool),
    /// A fault: the connection is refused.
    Refuse,
    /// A fault: the connection is cut, what is under way is lost. What the transport took is reported, or not.
    Reset {
        /// The driver says that nothing more was taken.
        reported: bool,
    },
    /// A fault: the frame that comes next isn't what the server said.
    Forge(Forgery),
    /// A fault: the servers end the session.
    Expire,
    /// A fault: nobody runs for two session timeouts.
    Jump,
}

impl Act {
    /// Whether it is the network's, a server's or the clock's fault.
    pub const fn is_fault(self) -> bool {
        matches!(self, Self::Refuse | Self::Reset { .. } | Self::Forge(_) | Self::Expire | Self::Jump)
    }
}

impl World {
    /// All that may happen next.
    pub(crate) fn acts(&self, setup: &Setup, acts: &mut Vec<Act>) {
        if self.books.is_over || self.steps >= setup.depth {
            return;
        }
        self.link_acts(acts);
        if self.subject.poll_timeout().is_some() {
            acts.push(Act::Tick);
        }
        self.application_acts(setup, acts);
        if self.faults > 0 {
            self.faulty_acts(acts);
        }
    }

    fn link_acts(&self, acts: &mut Vec<Act>) {
        if self.probe.is_some() {
            acts.extend([Act::Probed(true), Act::Probed(false)]);
        }
        let Some(link) = &self.link else { return };
        if !link.is_up {
            acts.push(Act::Up);
        }
        if !link.outbox.is_empty() {
            acts.push(Act::Take);
            if !link.is_split {
                acts.push(Act::TakeHalf);
            }
        }
        if let Some(next) = link.inbox.front() {
            acts.push(Act::Deliver);
            if !next.is_begun && next.forgery.is_none() {
                acts.push(Act::DeliverHalf);
            }
            if link.inbox.len() > 1 && link.inbox.iter().all(|said| said.forgery.is_none()) {
                acts.push(Act::DeliverAll);
            }
        } else if link.is_over {
            acts.push(Act::End);
        }
    }

    fn application_acts(&self, setup: &Setup, acts: &mut Vec<Act>) {
        let submitted = MAX_REQUESTS as u64 - self.books.count(Fate::Unborn);
        if !self.books.is_closing {
            if submitted < setup.requests {
                acts.push(Act::Submit);
            }
            acts.push(Act::Close);
        }
        acts.extend(self.books.open().map(Act::Cancel));
        if self.changes > 0 {
            acts.push(Act::Change);
        }
    }

    fn faulty_acts(&self, acts: &mut Vec<Act>) {
        acts.push(Act::Jump);
        if self.ensemble.is_alive() {
            acts.push(Act::Expire);
        }
        let Some(link) = &self.link else { return };
        if !link.is_up {
            acts.push(Act::Refuse);
            return;
        }
        acts.push(Act::Reset { reported: false });
        if !link.outbox.is_empty() && !link.is_split {
            acts.push(Act::Reset { reported: true });
        }
        if let Some(next) = link.inbox.front() {
            acts.extend(next.forgeries().iter().copied().map(Act::Forge));
        }
    }
}
