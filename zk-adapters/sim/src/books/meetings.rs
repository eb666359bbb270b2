//! What meets in one step of a driver: the same call, or the next one at the same time.

use zk_session::{
    Event, Failure, Instant, Reply, RequestError, RequestId,
    zk_proto::{ErrorCode, Ustring},
};

use super::{Books, Sighting};
use crate::input::Input;

/// What the last chunk and the last call were about.
#[derive(Clone, Debug, Default)]
pub(super) struct Meetings {
    /// When the last call was made.
    at: Instant,
    last: Last,
    /// What has met its deadline since.
    timed_out: Vec<RequestId>,
}

#[derive(Clone, Debug, Default)]
enum Last {
    Cancelled(RequestId),
    Heard,
    #[default]
    Other,
}

/// What a server has said in one chunk.
#[derive(Clone, Debug, Default)]
pub(super) struct Chunk {
    /// The xids of replies.
    pub(super) answered: Vec<i32>,
    /// The codes of those that came ahead of their turn.
    pub(super) overtaking: Vec<ErrorCode>,
    /// The paths of events.
    pub(super) events: Vec<Ustring>,
}

impl Chunk {
    /// The next one begins, in the same room.
    pub(super) fn clear(&mut self) {
        let Self { answered, overtaking, events } = self;
        answered.clear();
        overtaking.clear();
        events.clear();
    }
}

impl Meetings {
    /// A call was made.
    pub(super) fn called(&mut self, input: &Input, now: Instant) {
        self.timed_out.clear();
        self.at = now;
        self.last = match input {
            Input::Cancel(id) => Last::Cancelled(*id),
            Input::Received(..) => Last::Heard,
            _ => Last::Other,
        };
    }

    pub(super) fn event(&mut self, event: &Event) {
        if let Event::Reply(Reply {
            request,
            result: Err(RequestError::Failed { failure: Failure::Deadline, .. }),
            ..
        }) = event
        {
            self.timed_out.push(*request);
        }
    }
}

impl Books {
    /// A chunk is heard.
    pub(super) fn note_chunk(&mut self, now: Instant) {
        let Some(line) = self.lines.live() else { return };
        let is_next = now == self.meetings.at;
        line.chunk.overtaking.iter().filter_map(overtaken_by).for_each(|seen| self.sightings.saw(seen));
        for xid in &line.chunk.answered {
            let Some((id, deadline, is_open)) = line.asked_by(*xid).and_then(|id| self.outcomes.due(id))
            else {
                continue;
            };
            let is_due = is_open && deadline.is_some_and(|deadline| deadline <= now);
            if is_due || (is_next && self.meetings.timed_out.contains(&id)) {
                self.sightings.saw(Sighting::DeadlineAndReply);
            }
            if is_next && matches!(self.meetings.last, Last::Cancelled(cancelled) if cancelled == id) {
                self.sightings.saw(Sighting::CancelAheadOfReply);
            }
            if !line.chunk.events.is_empty() && self.is_of_event(id, &line.chunk.events) {
                self.sightings.saw(Sighting::EventAndReply);
            }
        }
    }

    fn is_of_event(&self, id: RequestId, events: &[Ustring]) -> bool {
        let path = self.outcomes.get(id).and_then(|(_, request)| request.path());
        path.is_some_and(|path| events.contains(&self.watches.server_path(path)))
    }

    /// A request is given up.
    pub(super) fn note_cancel(&mut self, id: RequestId, now: Instant) {
        let is_next = now == self.meetings.at && matches!(self.meetings.last, Last::Heard);
        let Some(line) = self.lines.live().filter(|_| is_next) else { return };
        let is_open = self.outcomes.due(id).is_some_and(|(.., is_open)| is_open);
        if is_open && line.chunk.answered.iter().any(|xid| line.asked_by(*xid) == Some(id)) {
            self.sightings.saw(Sighting::CancelBehindReply);
        }
    }
}

/// What is refused ahead of its turn.
fn overtaken_by(code: &ErrorCode) -> Option<Sighting> {
    Some(match *code {
        ErrorCode::NOT_READ_ONLY => Sighting::RefusedEarlyNotReadOnly,
        ErrorCode::NO_AUTH => Sighting::RefusedEarlyNoAuth,
        ErrorCode::INVALID_ACL => Sighting::RefusedEarlyInvalidAcl,
        ErrorCode::UNIMPLEMENTED => Sighting::RefusedEarlyUnimplemented,
        ErrorCode::SESSION_CLOSED_REQUIRE_SASL_AUTH => Sighting::RefusedEarlyRequireSaslAuth,
        _ => return None,
    })
}
