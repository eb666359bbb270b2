use core::net::SocketAddr;
use core::time::Duration;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Write;
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

use crate::error::Context;
use crate::four_letter_word::{self, Mode};
use crate::{ReservedPort, StartError};

/// One server: its folder, which outlives its process, and the process, if it runs.
#[derive(Debug)]
pub(crate) struct Server {
    number: usize,
    folder: PathBuf,
    port: ReservedPort,
    secure_port: Option<ReservedPort>,
    command: Vec<OsString>,
    process: Mutex<Option<Process>>,
}

#[derive(Debug)]
struct Process {
    child: Child,
    /// Ends the server when it closes without a word: when this process is gone.
    guard: ChildStdin,
    paused: bool,
}

impl Server {
    pub(crate) fn new(
        number: usize,
        folder: PathBuf,
        port: ReservedPort,
        secure_port: Option<ReservedPort>,
        command: Vec<OsString>,
    ) -> Self {
        Self { number, folder, port, secure_port, command, process: Mutex::new(None) }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.port.address()
    }

    pub(crate) fn secure_address(&self) -> Option<SocketAddr> {
        self.secure_port.as_ref().map(ReservedPort::address)
    }

    pub(crate) fn log_path(&self) -> PathBuf {
        self.folder.join(LOG)
    }

    pub(crate) fn launch(&self) -> Result<(), StartError> {
        let mut process = self.process();
        let log_path = self.log_path();
        let log = File::options().create(true).append(true).open(&log_path);
        let log = log.context(|| format!("write {}", log_path.display()))?;
        let stdout = log.try_clone().context(|| format!("write {}", log_path.display()))?;
        let mut child = Command::new("sh")
            .args(["-c", LAUNCH, "sh"])
            .arg(&self.folder)
            .args(&self.command)
            .current_dir(&self.folder)
            // A terminal's interrupt is for the test alone, which ends its servers itself.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(stdout)
            .stderr(log)
            .spawn()
            .context(|| "run sh".to_owned())?;
        // Taken, because waiting for a child closes its standard input first.
        let guard = child.stdin.take().expect("standard input is piped");
        *process = Some(Process { child, guard, paused: false });
        Ok(())
    }

    /// Ends the process at once, and reaps it.
    pub(crate) fn kill(&self) {
        if let Some(process) = self.process().take() {
            process.kill();
        }
    }

    /// Asks the process to end, and reaps it; kills it if it takes too long.
    pub(crate) fn stop(&self) {
        let Some(mut process) = self.process().take() else { return };
        process.signal(Signal::TERM);
        process.signal(Signal::CONT);
        let deadline = Instant::now() + POLITE;
        while Instant::now() < deadline && process.ended().is_none() {
            thread::sleep(POLL);
        }
        process.kill();
    }

    pub(crate) fn pause(&self) {
        if let Some(process) = self.process().as_mut() {
            process.signal(Signal::STOP);
            process.wait_until_stopped();
            process.paused = true;
        }
    }

    pub(crate) fn resume(&self) {
        if let Some(process) = self.process().as_mut() {
            process.signal(Signal::CONT);
            process.paused = false;
        }
    }

    pub(crate) fn pid(&self) -> Option<u32> {
        self.process().as_ref().map(|process| process.child.id())
    }

    pub(crate) fn mode(&self) -> Option<Mode> {
        let answers =
            self.process().as_mut().is_some_and(|process| !process.paused && process.ended().is_none());
        if answers { four_letter_word::mode(self.address()) } else { None }
    }

    pub(crate) fn wait_until_serving(&self, patience: Duration) -> Result<Mode, StartError> {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(mode) = self.mode().filter(|_| self.is_secure_port_open()) {
                return Ok(mode);
            }
            let ended = self.process().as_mut().map(Process::ended);
            if let Some(Some(status)) = ended {
                return Err(self.ended(status));
            }
            if Instant::now() >= deadline {
                let log = self.end_of_log();
                return Err(StartError::NotServing { server: self.number, waited: patience, log });
            }
            thread::sleep(POLL);
        }
    }

    /// It opens a little later than the other one.
    fn is_secure_port_open(&self) -> bool {
        self.secure_address().is_none_or(|address| TcpStream::connect(address).is_ok())
    }

    pub(crate) fn end_of_log(&self) -> String {
        let log = fs::read(self.log_path()).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
    }

    fn ended(&self, status: ExitStatus) -> StartError {
        if status.code().is_some_and(|code| NOT_RUN.contains(&code)) {
            return StartError::NoJava { java: PathBuf::from(&self.command[0]) };
        }
        StartError::Ended { server: self.number, log: self.end_of_log() }
    }

    fn process(&self) -> MutexGuard<'_, Option<Process>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Process {
    fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    fn signal(&mut self, signal: Signal) {
        if self.ended().is_none() {
            // Not reaped, so that the number is still this process's, and the signal arrives.
            let _ = kill_process(Pid::from_child(&self.child), signal);
        }
    }

    /// The signal stops one thread, which then stops the others: on a busy machine they go on for a while.
    fn wait_until_stopped(&self) {
        let states = WaitIdOptions::STOPPED | WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        // It fails only if the process is reaped already.
        let _ = waitid(WaitId::Pid(Pid::from_child(&self.child)), states);
    }

    fn kill(mut self) {
        // Both fail only if the process has ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = self.guard.write_all(b"ended\n");
    }
}

/// Becomes the server, with a guard at its side that reads the pipe from this process. A line says that the server was
/// seen to end; the end of the pipe, that this process is gone: the guard kills the server and removes its folder, and
/// the folder around it when that is empty.
const LAUNCH: &str = r#"
exec 3<&0 </dev/null
folder=$1
shift
{
    read -r line || {
        kill -KILL $$
        sleep 0.3
        rm -rf "$folder"
        rmdir "${folder%/*}"
    }
} <&3 >/dev/null 2>&1 &
exec "$@" 3<&-
"#;

/// What `sh` exits with when it can't run a program.
const NOT_RUN: [i32; 2] = [126, 127];

const LOG: &str = "log";
const LOG_LINES: usize = 30;
const POLL: Duration = Duration::from_millis(20);
const POLITE: Duration = Duration::from_secs(5);
