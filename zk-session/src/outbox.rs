//! What has happened and hasn't been polled yet.

use alloc::collections::VecDeque;

use zk_proto::{DecodeError, Frames, Jute as _, ReplyHeader, Response};

use crate::{
    Action, Delivery, Event, Failure, RequestError, Session,
    action::Reply,
    requests::{Place, Unread},
};

/// Actions, in order. Responses are large, so they are made only where they go: until it is polled, a reply from which
/// nothing but its request's outcome follows lies among the frames that came, and its request among the others.
#[derive(Clone, Default)]
#[cfg_attr(feature = "model", derive(PartialEq, Eq, Hash))]
pub(crate) struct Outbox {
    /// Each with the number of unread replies that come before it, and after the one before it.
    actions: VecDeque<(usize, Action)>,
    /// So many unread replies come after the last action.
    replies: usize,
    /// What unread replies lie in; nothing, if there are none.
    frames: Frames,
}

impl Outbox {
    #[inline]
    pub(crate) fn push(&mut self, action: Action) {
        self.actions.push_back((core::mem::take(&mut self.replies), action));
    }

    /// Puts in a reply that lies in the frames to be kept next.
    #[inline]
    pub(crate) fn push_unread(&mut self) {
        self.replies += 1;
    }

    /// Whether an unread reply is next; from now on it counts as told.
    #[inline(always)]
    fn is_reply_next(&mut self) -> bool {
        let replies = match self.actions.front_mut() {
            Some((replies, _)) => replies,
            None => &mut self.replies,
        };
        let is_reply = *replies > 0;
        *replies -= usize::from(is_reply);
        is_reply
    }

    /// Keeps frames while replies in them are unread.
    pub(crate) fn keep(&mut self, frames: Frames) {
        self.frames = frames;
    }

    /// How many actions wait, beside unread replies.
    pub(crate) fn waiting(&self) -> usize {
        self.actions.len()
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
        self.actions.is_empty() && self.replies == 0
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
    pub fn poll_action(&mut self) -> Option<Action> {
        if self.outbox.is_reply_next()
            && let Some(unread) = self.requests.take_unread()
        {
            if self.chroot.is_root() {
                return Some(read(&self.outbox.frames, unread, &mut self.stats.failed));
            }
            return Some(self.read_rooted(unread));
        }
        match self.outbox.actions.pop_front() {
            Some((_, action)) => Some(action),
            None => {
                if self.outbox.holds_frames() {
                    self.forget_told();
                }
                self.next_action()
            }
        }
    }

    /// Reads all replies now, for other frames take the place of those that they lie in.
    pub(crate) fn read_replies(&mut self) {
        if !self.outbox.holds_frames() {
            return;
        }
        let actions = core::mem::take(&mut self.outbox.actions);
        let replies = core::mem::take(&mut self.outbox.replies);
        for (replies, action) in actions {
            self.read_some(replies);
            self.outbox.push(action);
        }
        self.read_some(replies);
        self.forget_told();
    }

    /// All replies are told: what they lay in isn't needed any more.
    fn forget_told(&mut self) {
        self.requests.forget_answered();
        self.outbox.frames = Frames::default();
    }

    fn read_some(&mut self, replies: usize) {
        for _ in 0..replies {
            if let Some(unread) = self.requests.take_unread() {
                let reply = self.read_rooted(unread);
                self.outbox.push(reply);
            }
        }
    }

    /// Reads a reply that may name paths.
    #[inline(never)]
    fn read_rooted(&mut self, unread: Unread) -> Action {
        let mut action = read(&self.outbox.frames, unread, &mut self.stats.failed);
        if let Action::Emit(Event::Reply(Reply { result: Ok(response), .. })) = &mut action {
            self.chroot.undo(response);
        }
        action
    }
}

/// Reads a reply, or counts that it can't be read. Its response is made where it goes.
#[inline(never)]
fn read(frames: &Frames, unread: Unread, failed: &mut u64) -> Action {
    let Unread { request, op, reply: Place { zxid, frame } } = unread;
    let mut reader = frames.again(frame);
    let mut tell = |response: Result<Response, DecodeError>| {
        let result = response.map_err(|error| {
            *failed += 1;
            RequestError::Failed {
                failure: Failure::MalformedReply { zxid, error },
                delivery: Delivery::MaybeApplied,
            }
        });
        Action::Emit(Event::Reply(Reply { request, zxid, result }))
    };
    match ReplyHeader::decode(&mut reader) {
        Ok(_) => Response::decode_then(op, &mut reader, tell),
        Err(error) => tell(Err(error)),
    }
}
