//! The adapters' programs: built, and run.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

/// A program of an adapter that can be measured.
pub(crate) struct Client {
    name: &'static str,
    program: PathBuf,
}

/// What a run has told.
pub(crate) struct Run(Value);

impl Client {
    /// Builds an example of a package.
    pub(crate) fn build(name: &'static str, package: &str, example: &str) -> Self {
        let built = Command::new(env!("CARGO"))
            .args(["build", "--profile", "bench", "--quiet", "--example", example, "-p", package])
            .args(["--message-format", "json-render-diagnostics"])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .expect("cargo can be run");
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        let messages = String::from_utf8_lossy(&built.stdout);
        let messages = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let mut executables = messages.filter_map(|message| Some(message["executable"].as_str()?.to_owned()));
        let executable = executables.next_back().expect("cargo tells what it has built");
        // Another adapter's program gets the same name.
        let program = env::temp_dir().join(format!("{example}-{package}-{}", std::process::id()));
        fs::copy(executable, &program).expect("a copy of the program");
        Self { name, program }
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    pub(crate) fn program(&self) -> &Path {
        &self.program
    }

    pub(crate) fn run(&self, workload: &str, address: &str, count: u64) -> Run {
        let output = Command::new(&self.program)
            .args([workload, address, &count.to_string(), &(count / 10).to_string()])
            .output()
            .expect("the program can be run");
        assert!(output.status.success(), "{workload}: {}", String::from_utf8_lossy(&output.stderr));
        Run(serde_json::from_slice(&output.stdout).expect("a line of JSON"))
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // It is a temporary file.
        let _ = fs::remove_file(&self.program);
    }
}

impl Run {
    /// A number that it has told.
    pub(crate) fn number(&self, name: &str) -> f64 {
        self.0[name].as_f64().unwrap_or_default()
    }
}
