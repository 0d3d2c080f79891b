//! `cargo xtask bench`: builds klamm and the load generator for release, and runs the latter.

use std::process::Command;

use anyhow::{Context, Result, ensure};

/// What `cargo xtask bench` takes.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Passed on to the load generator; `--help` lists them.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let root = klamm_tests::workspace::root();
    let mut build = Command::new(&cargo);
    build.args(["build", "--release", "--bin", "klamm", "--bin", "klamm-bench"]).current_dir(&root);
    build.args(["-p", "klamm-cli", "-p", "klamm-bench"]);
    ensure!(build.status().context("cannot run cargo")?.success(), "the release build failed");
    let mut bench = Command::new(&cargo);
    bench.args(["run", "--release", "--quiet", "-p", "klamm-bench", "--"]).args(&arguments.arguments);
    ensure!(bench.current_dir(&root).status()?.success(), "the benchmark failed");
    Ok(())
}
