//! Tooling: `cargo xtask`.

mod codegen;
mod kafka;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "klamm's own tools")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Generate the Rust schemas of Kafka's internal records from a Kafka source tree.
    Codegen(codegen::Arguments),
    /// Run Apache Kafka from its Maven jars, until Enter or a signal.
    Kafka(kafka::Arguments),
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().task {
        Task::Codegen(arguments) => codegen::run(&arguments),
        Task::Kafka(arguments) => kafka::run(arguments),
    }
}
