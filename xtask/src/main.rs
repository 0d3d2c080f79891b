//! Tooling: `cargo xtask`.

mod bench;
mod clients;
mod codegen;
mod conformance;
mod kafka;
mod scenarios;
mod test;
mod tidy;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "klamm's own tools")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Measure klamm beside its peers.
    #[command(disable_help_flag = true)]
    Bench(bench::Arguments),
    /// Run other people's client programs against Apache Kafka, klamm or a running cluster.
    Clients(clients::Arguments),
    /// Generate the Rust schemas of Kafka's internal records from a Kafka source tree.
    Codegen(codegen::Arguments),
    /// Compare klamm's answers with Apache Kafka's, request by request.
    #[command(disable_help_flag = true)]
    Conformance(conformance::Arguments),
    /// Run Apache Kafka from its Maven jars, until Enter or a signal.
    Kafka(kafka::Arguments),
    /// Run scenario files on Apache Kafka itself, in real time.
    #[command(disable_help_flag = true)]
    Scenarios(scenarios::Arguments),
    /// Run every check and test: formatting, tidiness, clippy, unit, property, integration and real-client tests.
    Test(test::Arguments),
    /// Check the rules of this repository that no compiler knows.
    Tidy,
}

fn main() -> ExitCode {
    let result = match Arguments::parse().task {
        Task::Bench(arguments) => bench::run(&arguments),
        Task::Clients(arguments) => clients::run(&arguments),
        Task::Codegen(arguments) => codegen::run(&arguments),
        Task::Conformance(arguments) => conformance::run(&arguments),
        Task::Kafka(arguments) => kafka::run(arguments),
        Task::Scenarios(arguments) => scenarios::run(&arguments),
        Task::Test(arguments) => test::run(&arguments),
        Task::Tidy => tidy::check(&klamm_tests::workspace::root()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
