//! What has happened and hasn't been polled yet.

use alloc::collections::VecDeque;

use zk_proto::{DecodeError, Frames, Jute as _, OpCode, ReplyHeader, Response, Zxid};

use crate::{Action, Event, Failure, RequestError, RequestId, Session, action::Reply};

/// Actions, in order. Responses are large, so they are made only where they go: until it is polled, a reply from which
/// nothing but its request's outcome follows lies among the frames that came.
#[derive(Clone, Default)]
#[cfg_attr(feature = "model", derive(PartialEq, Eq, Hash))]
pub(crate) struct Outbox {
    order: VecDeque<Next>,
    actions: VecDeque<Action>,
    /// What unread replies lie in; nothing, if there are none.
    frames: Frames,
    unread: usize,
}

#[derive(Clone, Copy)]
#[cfg_attr(feature = "model", derive(PartialEq, Eq, Hash))]
enum Next {
    Action,
    Reply(Unread),
}

/// A successful reply whose response hasn't been read.
#[derive(Clone, Copy)]
#[cfg_attr(feature = "model", derive(PartialEq, Eq, Hash))]
pub(crate) struct Unread {
    pub(crate) request: RequestId,
    pub(crate) zxid: Zxid,
    /// Where its frame begins.
    pub(crate) place: usize,
    pub(crate) op: OpCode,
}

impl Unread {
    #[inline(always)]
    fn told(self, result: Result<Response, RequestError>) -> Action {
        Action::Emit(Event::Reply(Reply { request: self.request, zxid: self.zxid, result }))
    }
}

impl Outbox {
    #[inline]
    pub(crate) fn push(&mut self, action: Action) {
        self.order.push_back(Next::Action);
        self.actions.push_back(action);
    }

    /// Puts in a reply that lies in the frames to be kept next.
    #[inline]
    pub(crate) fn push_unread(&mut self, unread: Unread) {
        self.order.push_back(Next::Reply(unread));
        self.unread += 1;
    }

    /// Keeps frames for as long as replies in them are unread.
    pub(crate) fn keep(&mut self, frames: Frames) {
        if self.unread > 0 {
            self.frames = frames;
        }
    }

    /// Reads the first reply of those that are unread.
    #[inline(always)]
    fn read(&mut self, unread: Unread) -> Result<Response, DecodeError> {
        let mut reader = self.frames.again(unread.place);
        let response = match ReplyHeader::decode(&mut reader) {
            Ok(_) => Response::decode(unread.op, &mut reader),
            Err(error) => Err(error),
        };
        self.unread -= 1;
        if self.unread == 0 {
            self.frames = Frames::default();
        }
        response
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.order.is_empty()
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
        match self.outbox.order.pop_front() {
            Some(Next::Reply(unread)) if self.chroot.is_root() => match self.outbox.read(unread) {
                Ok(response) => Some(unread.told(Ok(response))),
                Err(error) => Some(self.malformed(unread, error)),
            },
            Some(Next::Reply(unread)) => Some(self.read_reply(unread)),
            Some(Next::Action) => self.outbox.actions.pop_front(),
            None => self.next_action(),
        }
    }

    /// Reads all replies now, for other frames take the place of those that they lie in.
    pub(crate) fn read_replies(&mut self) {
        if self.outbox.unread == 0 {
            return;
        }
        for next in core::mem::take(&mut self.outbox.order) {
            let action = match next {
                Next::Reply(unread) => Some(self.read_reply(unread)),
                Next::Action => self.outbox.actions.pop_front(),
            };
            action.into_iter().for_each(|action| self.outbox.push(action));
        }
    }

    fn read_reply(&mut self, unread: Unread) -> Action {
        match self.outbox.read(unread) {
            Ok(mut response) => {
                self.chroot.undo(&mut response);
                unread.told(Ok(response))
            }
            Err(error) => self.malformed(unread, error),
        }
    }

    fn malformed(&mut self, unread: Unread, error: DecodeError) -> Action {
        let error = self.unusable(Failure::MalformedReply { zxid: unread.zxid, error });
        unread.told(Err(error))
    }
}
