//! What was on its way when a connection was lost.

use core::iter::from_fn;

use zk_session::{
    Action, Session,
    zk_proto::{Frame, FrameDecoder, Jute as _, Reader, RequestHeader},
};

use super::{Books, Line, Sighting, Step};

impl Books {
    /// A connection has ended, or an attempt at one.
    pub(super) fn note_loss(&mut self) {
        let seen = [self.place_in_priming(), self.place_in_batches(), self.in_flight_when_lost()];
        seen.into_iter().flatten().for_each(|sighting| self.sightings.saw(sighting));
    }

    /// Between which neighbours of the priming it was.
    fn place_in_priming(&self) -> Option<Sighting> {
        let line = self.lines.last().filter(|line| line.leaving.is_between_frames(line.taken))?;
        Some(match (line.leaving.last()?, self.step_to_come(line)?) {
            (Step::ConnectRequest, Step::Auth) => Sighting::LostBeforeAuth,
            (Step::ConnectRequest, Step::SetWatches) => Sighting::LostBeforeSetWatches,
            (Step::ConnectRequest, Step::Request) => Sighting::LostBeforeRequest,
            (Step::Auth, Step::Auth) => Sighting::LostBetweenAuths,
            (Step::Auth, Step::SetWatches) => Sighting::LostBetweenAuthAndSetWatches,
            (Step::Auth, Step::Request) => Sighting::LostBetweenAuthAndRequest,
            (Step::SetWatches, Step::SetWatches) => Sighting::LostBetweenSetWatches,
            (Step::SetWatches, Step::Request) => Sighting::LostBetweenSetWatchesAndRequest,
            _ => return None,
        })
    }

    /// What would have come next of the priming.
    fn step_to_come(&self, line: &Line) -> Option<Step> {
        if let Some(next) = line.leaving.next() {
            return Some(next);
        }
        let has_auth = if line.is_accepted { line.owes_auths() } else { self.lines.has_auths() };
        if has_auth {
            return Some(Step::Auth);
        }
        if self.watches.has_unset(&line.rearmed) {
            return Some(Step::SetWatches);
        }
        self.outcomes.next_after(line.last_sent()).map(|_| Step::Request)
    }

    /// Behind which of how many batches of watches it was.
    fn place_in_batches(&self) -> Option<Sighting> {
        let leaving = &self.lines.last().filter(|line| line.is_accepted && !self.states.is_ready())?.leaving;
        Some(match (leaving.all_batches, leaving.batches) {
            (1, 1) => Sighting::LostBehindOnlyBatch,
            (2, 1) => Sighting::LostBehindFirstOfTwo,
            (2, 2) => Sighting::LostBehindSecondOfTwo,
            (3.., 1) => Sighting::LostBehindFirstOfMany,
            (3.., 2) => Sighting::LostBehindSecondOfMany,
            (3.., 3..) => Sighting::LostBehindThirdOfMany,
            _ => return None,
        })
    }

    /// How much was in flight on it, and how much of a frame had left.
    fn in_flight_when_lost(&self) -> Option<Sighting> {
        let line = self.lines.last().filter(|line| line.is_accepted)?;
        let (no_byte, some_bytes, all_bytes) = match self.in_flight {
            0 => (
                Sighting::LostWithNoneInFlightAndNoByte,
                Sighting::LostWithNoneInFlightAndSomeBytes,
                Sighting::LostWithNoneInFlightAndAllBytes,
            ),
            1 => (
                Sighting::LostWithOneInFlightAndNoByte,
                Sighting::LostWithOneInFlightAndSomeBytes,
                Sighting::LostWithOneInFlightAndAllBytes,
            ),
            _ => (
                Sighting::LostWithManyInFlightAndNoByte,
                Sighting::LostWithManyInFlightAndSomeBytes,
                Sighting::LostWithManyInFlightAndAllBytes,
            ),
        };
        Some(match line.leaving.is_between_frames(line.taken) {
            false => some_bytes,
            true if line.taken == line.handed_out => all_bytes,
            true => no_byte,
        })
    }

    /// The first batch of watches has been handed out: how many there will be, if nothing comes between. More than
    /// three are three.
    pub(super) fn count_batches(&mut self, session: &Session) {
        let Some(line) = self.lines.last() else { return };
        if line.leaving.all_batches > 0 || line.rearmed.is_empty() || line.requests_begun {
            return;
        }
        let all = if self.watches.has_unset(&line.rearmed) { self.play_batches(line, session) } else { 1 };
        self.lines.current().expect("it is there").leaving.all_batches = all;
    }

    fn play_batches(&self, line: &Line, session: &Session) -> usize {
        let (mut session, mut frames) = (session.clone(), FrameDecoder::new(usize::MAX));
        let (mut batches, mut len) = (1, line.handed_out - line.taken);
        frames.push(&line.out);
        while batches < MANY {
            session.handle_sent(line.id, usize::try_from(len).unwrap_or(usize::MAX), self.now);
            let mut actions = from_fn(|| session.poll_action());
            let sent = actions.find_map(|action| match action {
                Action::Send { bytes, .. } => Some(bytes),
                _ => None,
            });
            let Some(sent) = sent else { break };
            len = sent.len() as u64;
            frames.push(&sent);
            while let Ok(Some(Frame::Whole(payload))) = frames.next() {
                let header = RequestHeader::decode(&mut Reader::new(&payload));
                match header.map(|header| Step::of(header.op)) {
                    Ok(Step::SetWatches) => batches += 1,
                    Ok(Step::Other) => {}
                    _ => return batches,
                }
            }
        }
        batches.min(MANY)
    }
}

/// So many batches are many.
pub(super) const MANY: usize = 3;
