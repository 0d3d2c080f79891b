//! `cargo xtask conformance`: builds klamm and the comparison with Apache Kafka, and runs the latter.

use std::process::Command;

use anyhow::{Context, Result, ensure};

/// What `cargo xtask conformance` takes.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Passed on to the comparison; `--help` lists them.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut compare = Command::new(cargo);
    compare.args(["run", "--quiet", "-p", "klamm-conformance", "--"]).args(&arguments.arguments);
    compare.current_dir(klamm_tests::workspace::root());
    ensure!(compare.status().context("cannot run cargo")?.success(), "klamm does not answer as Kafka does");
    Ok(())
}
