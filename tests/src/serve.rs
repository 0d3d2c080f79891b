//! The `klamm` binary as a process: `klamm serve --json`.

use std::path::PathBuf;
use std::process::{Command, ExitStatus};
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::process::{self, Running};
use crate::{PATIENCE, wait_until, workspace};

/// A running `klamm serve`; dropping it kills the process.
#[derive(Debug)]
pub struct Serve {
    process: Running,
    bootstrap: String,
}

impl Serve {
    /// Starts `klamm serve --json --port 0` with further `arguments` and waits until it accepts connections.
    ///
    /// # Errors
    /// When the binary cannot be built, ends, or says nothing in time; with what it wrote to stderr.
    pub fn start(arguments: &[&str]) -> Result<Self> {
        let mut command = Command::new(binary()?);
        command.args(["serve", "--json", "--port", "0"]).args(arguments);
        let name = format!("klamm-{}-{:?}", std::process::id(), std::thread::current().id());
        let mut process = Running::start(&name, command, &workspace::cache().join("logs"))?;
        let line = wait_until(PATIENCE, || {
            let said = process.stdout();
            if said.contains('\n') {
                return Some(said);
            }
            (!matches!(process.try_wait(), Ok(None))).then(String::new)
        })
        .unwrap_or_default();
        let Ok(ready) = serde_json::from_str::<serde_json::Value>(line.trim()) else {
            bail!(
                "klamm serve said {line:?} instead of one line of JSON\n{}",
                process::tail(&process.stderr())
            );
        };
        let bootstrap = ready["bootstrap"].as_str().context("no bootstrap address in the line of JSON")?;
        Ok(Self { process, bootstrap: bootstrap.to_owned() })
    }

    /// `host:port,…`, every broker.
    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Stops it as Ctrl-C does, and gives back how it ended.
    ///
    /// # Errors
    /// When it does not end in time.
    pub fn stop(self) -> Result<ExitStatus> {
        self.process.terminate(PATIENCE)?.context("klamm serve did not stop on SIGTERM")
    }
}

/// The `klamm` binary, built once a process; `KLAMM_BINARY` names another one to use as it is.
///
/// # Errors
/// When it does not compile.
pub fn binary() -> Result<PathBuf> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let built = BUILT.get_or_init(|| build().map_err(|error| format!("{error:#}")));
    built.clone().map_err(anyhow::Error::msg)
}

fn build() -> Result<PathBuf> {
    if let Some(given) = std::env::var_os("KLAMM_BINARY") {
        return Ok(given.into());
    }
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--package", "klamm-cli", "--message-format=json"]).current_dir(workspace::root());
    let logs = workspace::cache().join("logs");
    let messages =
        process::run(&format!("build-{}", std::process::id()), cargo, &logs, Duration::from_secs(900))?;
    let executable = messages.lines().rev().find_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        Some(PathBuf::from(message["executable"].as_str()?))
    });
    executable.context("cargo build told of no executable")
}
