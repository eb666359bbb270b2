//! What the command line asks for.

use std::path::PathBuf;

pub(crate) const USAGE: &str = "\
usage: chaos [--seed N | --from N --seeds N] [--steps N] [--threads N] [--least N] [--plant DEFECT]
       chaos --planted [N] [--from N] [--steps N] [--within SECONDS]
       chaos --replay TRANSCRIPT [--plant DEFECT]
--least: the run fails if a fault met a state, or anything else that is counted came, less often than this
--planted: plants every defect, or N of them, drawn from the seed that --from tells, and looks for each
--plant: the sessions have this defect
--replay: tells a session what the transcript says, and whether it breaks a promise";

pub(crate) struct Wanted {
    pub(crate) from: u64,
    pub(crate) seeds: u64,
    pub(crate) steps: u64,
    pub(crate) threads: usize,
    pub(crate) least: u64,
    pub(crate) within: u64,
    pub(crate) planted: Option<usize>,
    pub(crate) plant: Option<String>,
    pub(crate) replay: Option<PathBuf>,
}

impl Wanted {
    pub(crate) fn parse(args: impl Iterator<Item = String>) -> Option<Self> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let mut wanted = Self {
            from: 0,
            seeds: 1_000,
            steps: 2_000,
            threads,
            least: 0,
            within: 60,
            planted: None,
            plant: None,
            replay: None,
        };
        let mut args = args.peekable();
        while let Some(name) = args.next() {
            let value = args.next_if(|value| !value.starts_with("--"));
            match (name.as_str(), value) {
                ("--planted", None) => wanted.planted = Some(usize::MAX),
                ("--plant", value) => wanted.plant = Some(value?),
                ("--replay", value) => wanted.replay = Some(value?.into()),
                (name, value) => wanted.number(name, value?.parse().ok()?)?,
            }
        }
        Some(wanted)
    }

    /// The seed of the run with this number; none if there are no more. What once failed comes first.
    pub(crate) fn seed(&self, number: u64) -> Option<u64> {
        let once_failed = if self.seeds > 1 { FAILED_ONCE } else { &[] };
        let (place, first) = (usize::try_from(number).ok()?, once_failed.len() as u64);
        once_failed.get(place).copied().or_else(|| {
            let number = number - first;
            (number < self.seeds).then_some(self.from + number)
        })
    }

    fn number(&mut self, name: &str, value: u64) -> Option<()> {
        match name {
            "--seed" => (self.from, self.seeds) = (value, 1),
            "--from" => self.from = value,
            "--seeds" => self.seeds = value,
            "--steps" => self.steps = value,
            "--threads" => self.threads = usize::try_from(value).ok()?.max(1),
            "--least" => self.least = value,
            "--within" => self.within = value,
            "--planted" => self.planted = Some(usize::try_from(value).ok()?),
            _ => return None,
        }
        Some(())
    }
}

/// Seeds that once failed.
const FAILED_ONCE: &[u64] = &[24_069, 50_225_781, 61_359_005, 70_108_838];
