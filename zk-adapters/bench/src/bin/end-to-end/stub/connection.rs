use std::io::{self, Read as _, Write as _};

use mio::net::TcpStream;

use super::answers::{Answers, Fire};

/// One client's connection.
pub(crate) struct Connection {
    stream: TcpStream,
    /// The beginning of a frame that hasn't come whole.
    begun: Vec<u8>,
    out: Vec<u8>,
    sent: usize,
    is_greeted: bool,
    firing: Option<Fire>,
}

impl Connection {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self { stream, begun: Vec::new(), out: Vec::new(), sent: 0, is_greeted: false, firing: None }
    }

    /// Does what can be done at once; an error if the connection is over.
    pub(crate) fn attend(&mut self, scratch: &mut [u8], answers: &mut Answers) -> io::Result<()> {
        while self.flush()? {
            match self.stream.read(scratch) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(received) => {
                    self.take(&scratch[..received], answers)?;
                    if received < scratch.len() {
                        // Nothing is left to read.
                        return self.flush().map(drop);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Writes what there is to write; tells whether that is all.
    fn flush(&mut self) -> io::Result<bool> {
        loop {
            if let Some(fire) = &mut self.firing
                && !fire.append(&mut self.out)
            {
                self.firing = None;
            }
            if self.sent == self.out.len() {
                self.out.clear();
                self.sent = 0;
                return Ok(true);
            }
            match self.stream.write(&self.out[self.sent..]) {
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
            if self.sent == self.out.len() {
                self.out.clear();
                self.sent = 0;
            }
        }
    }

    fn take(&mut self, received: &[u8], answers: &mut Answers) -> io::Result<()> {
        if self.begun.is_empty() {
            let rest = self.answer(received, answers)?;
            self.begun.extend_from_slice(rest);
            return Ok(());
        }
        let mut whole = core::mem::take(&mut self.begun);
        whole.extend_from_slice(received);
        let rest = self.answer(&whole, answers)?.to_vec();
        self.begun = rest;
        Ok(())
    }

    /// Answers all frames that are whole; returns what is left.
    fn answer<'a>(&mut self, mut bytes: &'a [u8], answers: &mut Answers) -> io::Result<&'a [u8]> {
        while let Some((length, rest)) = bytes.split_first_chunk() {
            let Some((frame, rest)) = rest.split_at_checked(i32::from_be_bytes(*length) as usize) else {
                break;
            };
            bytes = rest;
            if self.is_greeted {
                let fire = answers.answer(frame, &mut self.out).ok_or(io::ErrorKind::InvalidData)?;
                self.firing = fire.or(self.firing.take());
            } else {
                answers.greet(frame, &mut self.out).ok_or(io::ErrorKind::InvalidData)?;
                self.is_greeted = true;
            }
        }
        Ok(bytes)
    }
}
