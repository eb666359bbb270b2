//! A program that is talked to over its standard input, output and error.

use core::time::Duration;
use std::{
    io::{BufRead, BufReader, Read, Write},
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    thread,
    time::Instant,
};

pub(crate) struct Talk {
    child: Child,
    lines: Receiver<String>,
    /// All that was heard, for whoever reads a failure.
    heard: Vec<String>,
}

impl Talk {
    pub(crate) fn start(command: &mut Command) -> Self {
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = piped.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let (sender, lines) = channel();
        listen(child.stdout.take().expect("it is piped"), sender.clone());
        listen(child.stderr.take().expect("it is piped"), sender);
        Self { child, lines, heard: Vec::new() }
    }

    pub(crate) fn say(&mut self, line: &str) {
        let input = self.child.stdin.as_mut().expect("it is piped");
        writeln!(input, "{line}").unwrap_or_else(|error| panic!("{error}; heard {:#?}", self.heard));
    }

    /// Waits for a line with these words, and returns what follows them there. What comes before is passed over.
    pub(crate) fn hear(&mut self, words: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let line = self.line_until(deadline, words);
            if let Some((_, rest)) = line.split_once(words) {
                return rest.to_owned();
            }
        }
    }

    /// Whether the program ends by itself, with success.
    pub(crate) fn ends_well(mut self) -> bool {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => self.heard.push(line),
                Err(RecvTimeoutError::Timeout) => return false,
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        self.child.wait().is_ok_and(|status| status.success())
    }

    fn line_until(&mut self, deadline: Instant, wanted: &str) -> String {
        let line = self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now()));
        let line = line.unwrap_or_else(|_| panic!("no {wanted:?}; heard {:#?}", self.heard));
        self.heard.push(line.clone());
        line
    }
}

fn listen(output: impl Read + Send + 'static, lines: Sender<String>) {
    let output = BufReader::new(output);
    thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| lines.send(line)));
}

impl Drop for Talk {
    fn drop(&mut self) {
        // Both fail only if it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const PATIENCE: Duration = Duration::from_secs(60);
