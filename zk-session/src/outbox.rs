//! What has happened and hasn't been polled yet.

use alloc::collections::VecDeque;

use zk_proto::{DecodeError, Frames, Response};

use crate::{
    Action, Delivery, Event, Failure, RequestError, Session,
    action::{Reply, WatchEvent},
    requests::{Place, Unread},
};

/// Actions, in order. Responses are large, so they are made only where they go: until it is polled, a reply from which
/// nothing but its request's outcome follows lies among the frames that came, and its request among the others.
#[derive(Clone, Default)]
#[cfg_attr(feature = "model", derive(PartialEq, Eq, Hash))]
pub(crate) struct Outbox {
    /// What comes before all actions.
    first: Between,
    /// Each with what comes behind it, and before the next one.
    actions: VecDeque<(Action, Between)>,
    /// Events of watches are many and small.
    heard: VecDeque<Heard>,
    /// What unread replies lie in; nothing, if there are none.
    frames: Frames,
}

/// An event of a watch.
#[derive(Clone)]
#[cfg_attr(feature = "model", derive(PartialEq, Eq, Hash))]
struct Heard {
    /// So many unread replies come before it, after what is before those.
    replies: u32,
    _mark: Mark,
    event: WatchEvent,
}

/// Where `Option` notes that there is none: in the event, it would have it moved in parts.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u32)]
enum Mark {
    Something,
}

/// What isn't kept as an action.
#[derive(Clone, Copy, Default)]
#[cfg_attr(feature = "model", derive(PartialEq, Eq, Hash))]
struct Between {
    /// So many events of watches, with the replies between them.
    heard: u32,
    /// So many unread replies after those.
    replies: u32,
}

/// What is next.
#[derive(Clone, Copy)]
enum Next {
    Reply,
    Heard,
    Action,
}

impl Outbox {
    #[inline]
    pub(crate) fn push(&mut self, action: Action) {
        self.actions.push_back((action, Between::default()));
    }

    /// Puts in so many replies that lie in the frames to be kept next.
    #[inline]
    pub(crate) fn push_unread(&mut self, replies: u32) {
        self.last().replies += replies;
    }

    #[inline(always)]
    pub(crate) fn push_heard(&mut self, event: WatchEvent) {
        let last = self.last();
        last.heard += 1;
        let replies = core::mem::take(&mut last.replies);
        self.heard.push_back(Heard { replies, _mark: Mark::Something, event });
    }

    /// What comes after all actions.
    #[inline(always)]
    fn last(&mut self) -> &mut Between {
        self.actions.back_mut().map_or(&mut self.first, |(_, behind)| behind)
    }

    /// What is next; a reply counts as told from now on.
    #[inline(always)]
    fn next(&mut self) -> Next {
        let (replies, next) = if self.first.heard == 0 {
            (&mut self.first.replies, Next::Action)
        } else if let Some(Heard { replies, .. }) = self.heard.front_mut() {
            (replies, Next::Heard)
        } else {
            return Next::Action;
        };
        if *replies == 0 {
            return next;
        }
        *replies -= 1;
        Next::Reply
    }

    #[inline(always)]
    fn pop_heard(&mut self) -> Option<Heard> {
        self.first.heard -= 1;
        self.heard.pop_front()
    }

    #[inline(always)]
    fn pop_action(&mut self) -> Option<Action> {
        let (action, behind) = self.actions.pop_front()?;
        self.first = behind;
        Some(action)
    }

    /// Keeps frames while replies in them are unread.
    pub(crate) fn keep(&mut self, frames: Frames) {
        self.frames = frames;
    }

    /// How much waits, beside unread replies.
    pub(crate) fn waiting(&self) -> usize {
        self.actions.len() + self.heard.len()
    }

    /// Lets the first two change places.
    pub(crate) fn swap_first(&mut self) {
        if self.actions.len() > 1 {
            self.actions.swap(0, 1);
        }
    }

    fn holds_frames(&self) -> bool {
        !self.frames.is_empty()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting() == 0 && self.first.replies == 0
    }

    /// Gives memory back that an emptied outbox still holds.
    pub(crate) fn shrink(&mut self) {
        if self.is_empty() {
            *self = Self::default();
        }
    }
}

impl Session {
    /// What has to be done next, each thing once and in order; none if there is nothing more for now.
    #[inline]
    pub fn poll_action(&mut self) -> Option<Action> {
        if let told @ Some(_) = self.next_told(|event| Some(Action::Emit(event))) {
            return told;
        }
        if let action @ Some(_) = self.outbox.pop_action() {
            return action;
        }
        if self.outbox.holds_frames() {
            self.forget_told();
        }
        self.next_action()
    }

    /// Whether [`poll_event`](Self::poll_event) tells what comes next.
    #[inline]
    pub fn has_event(&self) -> bool {
        self.outbox.first.heard > 0 || self.outbox.first.replies > 0
    }

    /// What comes next, if it is an event of a watch or a successful reply that hasn't been read yet: they are most of what
    /// is told, and are made where they go, which costs less than an [`Action`]. None says only that
    /// [`poll_action`](Self::poll_action) has to be asked: it tells all that this one does, and all other events.
    #[inline]
    pub fn poll_event(&mut self) -> Option<Event> {
        self.next_told(Some)
    }

    #[inline(always)]
    fn next_told<T>(&mut self, told: impl Fn(Event) -> Option<T>) -> Option<T> {
        loop {
            match self.outbox.next() {
                Next::Reply => {
                    let Some(unread) = self.requests.take_unread() else { continue };
                    return if self.chroot.is_root() {
                        read(&self.outbox.frames, unread, &mut self.stats.failed, told)
                    } else {
                        told(self.read_rooted(unread))
                    };
                }
                Next::Heard => return told(Event::Watch(self.outbox.pop_heard()?.event)),
                Next::Action => return None,
            }
        }
    }

    /// Reads all replies now, for other frames take the place of those that they lie in.
    pub(crate) fn read_replies(&mut self) {
        if !self.outbox.holds_frames() {
            return;
        }
        let frames = self.outbox.frames.clone();
        let mut told = core::mem::replace(&mut self.outbox, Outbox { frames, ..Outbox::default() });
        loop {
            match told.next() {
                Next::Reply => {
                    if let Some(unread) = self.requests.take_unread() {
                        let reply = self.read_rooted(unread);
                        self.outbox.push(Action::Emit(reply));
                    }
                }
                Next::Heard => {
                    told.pop_heard().into_iter().for_each(|heard| self.outbox.push_heard(heard.event))
                }
                Next::Action => match told.pop_action() {
                    Some(action) => self.outbox.push(action),
                    None => break,
                },
            }
        }
        self.forget_told();
    }

    /// All replies are told: what they lay in isn't needed any more.
    fn forget_told(&mut self) {
        self.requests.forget_answered();
        self.outbox.frames = Frames::default();
    }

    /// Reads a reply that may name paths.
    #[inline(never)]
    fn read_rooted(&mut self, unread: Unread) -> Event {
        let mut event = read(&self.outbox.frames, unread, &mut self.stats.failed, |event| event);
        if let Event::Reply(Reply { result: Ok(response), .. }) = &mut event {
            self.chroot.undo(response);
        }
        event
    }
}

/// Reads a reply, or counts that it can't be read. Its response is made where it goes.
#[inline(never)]
fn read<T>(frames: &Frames, unread: Unread, failed: &mut u64, told: impl Fn(Event) -> T) -> T {
    let Unread { request, op, reply: Place { zxid, frame } } = unread;
    Response::decode_then(op, &mut frames.record(frame), |response: Result<Response, DecodeError>| {
        let result = response.map_err(|error| {
            *failed += 1;
            RequestError::Failed {
                failure: Failure::MalformedReply { zxid, error },
                delivery: Delivery::MaybeApplied,
            }
        });
        told(Event::Reply(Reply { request, zxid, result }))
    })
}
