//! A recorded session once more, and whether it says the same.

use core::fmt;
use std::{
    io::{self, BufRead, BufReader, Read},
    path::{Path, PathBuf},
};

use super::Drive;

/// What a replay that said the same has gone through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Replayed {
    /// Lines of input.
    pub inputs: usize,
    /// Lines of output, each the same to the byte.
    pub outputs: usize,
}

/// The first line in which a replay differs from what was recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Difference {
    /// Which line of input has led to it, counted from 1.
    pub input: usize,
    /// Which line of output it is, counted from 1.
    pub output: usize,
    /// What was recorded; none if it ended before.
    pub recorded: Option<String>,
    /// What is said; none if nothing more is.
    pub replayed: Option<String>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |line: &Option<String>| line.clone().unwrap_or_else(|| "nothing".into());
        write!(f, "output {}, to input {}: ", self.output, self.input)?;
        write!(f, "recorded {}, replayed {}", text(&self.recorded), text(&self.replayed))
    }
}

/// Gives recorded inputs to a session, and compares what it says with what was recorded.
///
/// # Errors
/// If something can't be read. That the session says something else is no error, but the inner result.
pub fn replay(inputs: impl Read, outputs: impl Read) -> io::Result<Result<Replayed, Difference>> {
    let mut drive = Drive::default();
    let mut recorded = BufReader::new(outputs).lines();
    let (mut input, mut output) = (0, 0);
    for line in BufReader::new(inputs).split(b'\n') {
        input += 1;
        for answer in drive.line(&line?) {
            output += 1;
            let (recorded, replayed) = (recorded.next().transpose()?, Some(answer.to_string()));
            if recorded != replayed {
                return Ok(Err(Difference { input, output, recorded, replayed }));
            }
        }
    }
    match recorded.next().transpose()? {
        Some(line) => {
            let output = output + 1;
            Ok(Err(Difference { input, output, recorded: Some(line), replayed: None }))
        }
        None => Ok(Ok(Replayed { inputs: input, outputs: output })),
    }
}

/// Where [`Recorder::create`](super::Recorder::create) puts what a session says.
pub fn outputs_path(inputs: &Path) -> PathBuf {
    let mut path = inputs.as_os_str().to_owned();
    path.push(".out");
    path.into()
}
