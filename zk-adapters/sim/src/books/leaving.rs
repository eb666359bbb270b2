//! How far the frames of a connection have left: where each ends, and which of the priming's it is.

use std::collections::VecDeque;

use zk_session::zk_proto::OpCode;

use super::SentFrame;

/// A frame, by its place in the priming.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    ConnectRequest,
    Auth,
    SetWatches,
    Request,
    /// Whatever has no place in it.
    Other,
}

impl Step {
    pub(super) fn of(op: OpCode) -> Self {
        match op {
            OpCode::AUTH => Self::Auth,
            OpCode::SET_WATCHES | OpCode::SET_WATCHES2 => Self::SetWatches,
            OpCode::PING | OpCode::SASL | OpCode::CLOSE_SESSION => Self::Other,
            _ => Self::Request,
        }
    }
}

/// How much of the stream the transport has taken, in frames.
#[derive(Clone, Debug, Default)]
pub(super) struct Leaving {
    /// What it hasn't taken whole, and where that ends.
    frames: VecDeque<(u64, Step)>,
    /// Where the last frame ends that it has taken whole.
    end: u64,
    /// The last step of the priming that it has taken whole.
    last: Option<Step>,
    /// Batches of watches that it has taken whole, as part of the priming.
    pub(super) batches: usize,
    /// How many there are in all, as it looked at the first one.
    pub(super) all_batches: usize,
}

impl Leaving {
    pub(super) fn frame(&mut self, frame: &SentFrame, step: Step) {
        self.frames.push_back((frame.start + 4 + frame.payload.len() as u64, step));
    }

    /// The transport has taken so much by now.
    pub(super) fn taken(&mut self, taken: u64) {
        while let Some((end, step)) = self.frames.pop_front_if(|(end, _)| *end <= taken) {
            self.end = end;
            self.batches += usize::from(step == Step::SetWatches && self.is_priming());
            if step != Step::Other && self.is_priming() {
                self.last = Some(step);
            }
        }
    }

    /// Whether it has taken no request yet.
    fn is_priming(&self) -> bool {
        self.last != Some(Step::Request)
    }

    /// Whether it has taken nothing but whole frames.
    pub(super) fn is_between_frames(&self, taken: u64) -> bool {
        self.end == taken
    }

    /// What comes next of what is handed out.
    pub(super) fn next(&self) -> Option<Step> {
        self.frames.front().map(|(_, step)| *step)
    }

    /// Where what comes next ends.
    pub(super) fn next_end(&self) -> Option<u64> {
        self.frames.front().map(|(end, _)| *end)
    }

    pub(super) fn last(&self) -> Option<Step> {
        self.last
    }
}
