//! Drives one session over a pipe: JSON inputs on standard input, JSON actions on standard output.

use std::io::{self, BufRead as _, Write as _};

fn main() -> io::Result<()> {
    let mut drive = zk_sim::drive::Drive::default();
    let mut output = io::BufWriter::new(io::stdout().lock());
    for line in io::stdin().lock().split(b'\n') {
        for answer in drive.line(&line?) {
            writeln!(output, "{answer}")?;
        }
        output.flush()?;
    }
    Ok(())
}
