//! `cargo xtask scenarios`: the scenario files on Apache Kafka itself.

use std::process::Command;

use anyhow::{Context, Result, ensure};

/// What `cargo xtask scenarios` takes.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Passed on to the runner; `--help` lists them.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut runner = Command::new(cargo);
    runner.args(["run", "--quiet", "-p", "klamm-scenarios-on-kafka", "--"]).args(&arguments.arguments);
    ensure!(runner.status().context("cannot run cargo")?.success(), "Kafka does not do as the files say");
    Ok(())
}
