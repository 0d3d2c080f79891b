//! Tooling: `cargo xtask`.

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
    /// Run Apache Kafka from its Maven jars, until Enter or a signal.
    Kafka(kafka::Arguments),
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().task {
        Task::Kafka(arguments) => kafka::run(arguments),
    }
}
