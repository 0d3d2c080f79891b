//! The binary as a process.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio};

/// Runs `klamm` to its end.
pub(crate) fn klamm(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_klamm")).args(arguments).output().unwrap()
}

/// Runs `klamm` to its end with something to read, and gives what it printed.
pub(crate) fn klamm_ok(arguments: &[&str], input: &str) -> String {
    let mut child = Command::new(env!("CARGO_BIN_EXE_klamm"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "klamm {}: {said}", arguments.join(" "));
    String::from_utf8(output.stdout).unwrap()
}

/// A running `klamm serve --json`; killed when dropped.
pub(crate) struct Served {
    child: Child,
    stdout: BufReader<ChildStdout>,
    /// The line that it printed.
    pub(crate) line: serde_json::Value,
}

impl Served {
    /// Serves on free ports and waits for the line.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::start_at("0", arguments)
    }

    /// Serves from a port on and waits for the line.
    pub(crate) fn start_at(port: &str, arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_klamm"))
            .args(["serve", "--json", "--port", port])
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        if line.is_empty() {
            let mut said = String::new();
            child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
            panic!("klamm serve ended: {said}");
        }
        Self { child, stdout, line: serde_json::from_str(&line).unwrap() }
    }

    /// Its `bootstrap.servers`.
    pub(crate) fn bootstrap(&self) -> &str {
        self.line["bootstrap"].as_str().unwrap()
    }

    /// Sends a signal by its name, waits for the end, and gives the exit status and what else was printed.
    pub(crate) fn signal(mut self, name: &str) -> (ExitStatus, String) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).unwrap();
        (self.child.wait().unwrap(), rest)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
