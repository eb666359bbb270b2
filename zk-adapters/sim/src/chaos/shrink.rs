//! A schedule that breaks a promise, made short: first by its steps, then by what the session was told in them.

use zk_session::{Action, Config, Instant, Session};

use crate::{books::Books, chaos::Chaos, drive::Drive, input::Input};

use super::Broken;

/// A schedule that breaks a promise, made short.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Shrunk {
    /// What it breaks.
    pub broken: Broken,
    /// How many steps of the run are left.
    pub steps: usize,
    /// How many calls of the session there were in the whole run.
    pub all_inputs: usize,
    /// How many are left.
    pub inputs: usize,
    /// They, as lines for [`drive`](crate::drive).
    pub transcript: String,
    /// The transcript alone shows what is broken. Else it takes the ensemble's side, or actions that aren't polled
    /// at once.
    pub is_shown: bool,
}

impl Chaos {
    /// Makes the run of a seed that broke a promise short, as long as there is time; none if it breaks none.
    pub fn shrink(seed: u64, steps: u64, is_time_left: impl Fn() -> bool) -> Option<Shrunk> {
        let mut whole = Self::recorded(seed);
        let broken = whole.make(0..steps).err()?;
        let still = |kept: &[u64]| is_time_left() && Self::recorded(seed).breaks(kept, &broken);
        let kept = reduce((0..steps.min(broken.step)).collect(), still);
        let mut short = Self::recorded(seed);
        let broken = short.make(kept.iter().copied()).err().unwrap_or(broken);
        let all_inputs = whole.inputs_told().len();
        let (config, begin, inputs) = (short.config_told(), short.begin_told(), short.inputs_told().to_vec());
        let is_broken =
            |inputs: &[(Instant, Input)]| judge(&config, begin, inputs).is_some_and(|b| b.shares(&broken));
        let inputs = if is_broken(&inputs) {
            reduce(inputs, |inputs| is_time_left() && is_broken(inputs))
        } else {
            inputs
        };
        let transcript = crate::drive::transcript(&config, begin, &inputs);
        let is_shown = replay(&transcript).is_err_and(|shown| shown.shares(&broken));
        Some(Shrunk { steps: kept.len(), all_inputs, inputs: inputs.len(), transcript, is_shown, broken })
    }

    fn recorded(seed: u64) -> Self {
        Self::new(seed, |chaos| chaos.world.record())
    }

    fn breaks(mut self, steps: &[u64], broken: &Broken) -> bool {
        self.make(steps.iter().copied()).is_err_and(|found| found.shares(broken))
    }

    /// What the session was told that broke the promise.
    fn inputs_told(&self) -> &[(Instant, Input)] {
        self.world.speaking().map_or(&[], |client| self.world.inputs(client))
    }

    fn config_told(&self) -> Config {
        let client = self.world.speaking().unwrap_or(self.sessions[0]);
        self.world.config_of(client).clone()
    }

    fn begin_told(&self) -> Instant {
        let client = self.world.speaking().unwrap_or(self.sessions[0]);
        self.world.opened_at(client)
    }
}

/// Tells a session the lines of a transcript, with books beside it.
///
/// # Errors
/// If the session breaks a promise.
pub fn replay(transcript: &str) -> Result<(), Broken> {
    Broken::catch(|| {
        let mut drive = Drive::judged();
        for line in transcript.lines() {
            drive.line(line.as_bytes());
        }
    })
}

/// Tells a session all this, and takes what it says after each.
fn judge(config: &Config, begin: Instant, inputs: &[(Instant, Input)]) -> Option<Broken> {
    let judged = Broken::catch(|| {
        let mut session = Session::new(config.clone(), begin);
        let mut books = Books::new(config.clone(), begin);
        books.poll_all(&mut session);
        for (now, input) in inputs {
            drop(books.call(input, &mut session, *now));
            books.poll_all(&mut session);
        }
    });
    judged.err()
}

/// Leaves out one part after the other, large ones first, as long as what is left is `still` what it should be.
fn reduce<T: Clone>(items: Vec<T>, still: impl Fn(&[T]) -> bool) -> Vec<T> {
    let mut kept = items;
    let mut part = kept.len().div_ceil(2).max(1);
    loop {
        let (before, mut at) = (kept.len(), 0);
        while at < kept.len() {
            let end = kept.len().min(at + part);
            let shorter: Vec<T> = kept[..at].iter().chain(&kept[end..]).cloned().collect();
            if still(&shorter) {
                kept = shorter;
            } else {
                at = end;
            }
        }
        if part == 1 && kept.len() == before {
            return kept;
        }
        part = (part / 2).max(1);
    }
}

impl Books {
    /// Makes a call, and looks at what comes of it.
    pub(crate) fn call(
        &mut self,
        input: &Input,
        session: &mut Session,
        now: Instant,
    ) -> crate::world::Accepted {
        self.before(input, session, now);
        let accepted = input.apply(session, now);
        self.after(input, &accepted, session, now);
        accepted
    }

    /// Polls all that the session has to say.
    pub(crate) fn poll_all(&mut self, session: &mut Session) -> Vec<Action> {
        let mut said = Vec::new();
        while let Some(action) = session.poll_action() {
            self.action(&action, session);
            said.push(action);
        }
        self.drained(session);
        said
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_what_it_takes() {
        let needed = |kept: &[u32]| [3, 17, 64].iter().all(|needed| kept.contains(needed));
        assert_eq!(reduce((0..100).collect(), needed), [3, 17, 64]);
        assert_eq!(reduce(vec![1, 2], |_| false), [1, 2]);
        assert!(reduce(vec![1, 2, 3], |_| true).is_empty());
    }
}
