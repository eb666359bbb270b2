//! Drives one session over a pipe: JSON inputs on standard input, JSON actions on standard output.

use std::{
    fs::File,
    io::{self, BufRead as _, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use zk_sim::drive::{Drive, outputs_path, replay};

fn main() -> ExitCode {
    let args: Vec<_> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let done = match args.as_slice() {
        [] => pipe().map(|()| ExitCode::SUCCESS),
        [option, inputs] if option == Path::new("--replay") => compare(inputs, &outputs_path(inputs)),
        [option, inputs, outputs] if option == Path::new("--replay") => compare(inputs, outputs),
        _ => {
            eprint!("{HELP}");
            return ExitCode::from(2);
        }
    };
    done.unwrap_or_else(|error| {
        eprintln!("{error}");
        ExitCode::from(2)
    })
}

fn pipe() -> io::Result<()> {
    let mut drive = Drive::default();
    let mut output = io::BufWriter::new(io::stdout().lock());
    for line in io::stdin().lock().split(b'\n') {
        for answer in drive.line(&line?) {
            writeln!(output, "{answer}")?;
        }
        output.flush()?;
    }
    Ok(())
}

fn compare(inputs: &Path, outputs: &Path) -> io::Result<ExitCode> {
    match replay(open(inputs)?, open(outputs)?)? {
        Ok(same) => {
            println!("{} inputs, {} outputs: the same to the byte", same.inputs, same.outputs);
            Ok(ExitCode::SUCCESS)
        }
        Err(difference) => {
            println!("{difference}");
            Ok(ExitCode::FAILURE)
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    File::open(path).map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}

const HELP: &str = "\
Drives one session over a pipe: JSON inputs on standard input, JSON actions on standard output.

  drive                              reads inputs, one a line, and answers each
  drive --replay INPUTS [OUTPUTS]    replays a recorded session, and compares what it says with what was recorded;
                                     OUTPUTS is INPUTS.out unless it is named
";
