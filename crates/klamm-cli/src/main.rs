//! The `klamm` command line: a cluster to serve, and enough to look around in any Kafka cluster without another tool.

mod client;
mod consume;
mod errors;
mod groups;
mod output;
mod produce;
mod replay;
mod scenario;
mod serve;
mod sim;
mod topics;
mod trace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "klamm", version, about = "A Kafka cluster for tests, and tools to look at one")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Serve(serve::Arguments),
    Topics(topics::Arguments),
    Produce(produce::Arguments),
    Consume(consume::Arguments),
    Groups(groups::Arguments),
    Replay(replay::Arguments),
    Trace(trace::Arguments),
    Scenario(scenario::Arguments),
    Sim(sim::Arguments),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Serve(arguments) => serve::run(arguments),
        Command::Topics(arguments) => topics::run(arguments),
        Command::Produce(arguments) => produce::run(&arguments),
        Command::Consume(arguments) => consume::run(&arguments),
        Command::Groups(arguments) => groups::run(arguments),
        Command::Replay(arguments) => replay::run(&arguments),
        Command::Trace(arguments) => trace::run(&arguments),
        Command::Scenario(arguments) => {
            return scenario::run(arguments).unwrap_or_else(|error| errors::report(Err(error)));
        }
        Command::Sim(arguments) => {
            return sim::execute(&arguments).unwrap_or_else(|error| errors::report(Err(error)));
        }
    };
    errors::report(result)
}
