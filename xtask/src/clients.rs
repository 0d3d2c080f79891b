//! `cargo xtask clients`: other people's client programs against Apache Kafka, klamm or any cluster.

use std::time::Instant;

use anyhow::bail;
use klamm_tests::clients::{self, CLIENTS, Client};
use klamm_tests::kafka::{ApacheKafka, KafkaSettings};
use klamm_tests::serve::Serve;

/// What `cargo xtask clients` takes.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// `kafka` (Apache Kafka from its Maven jars), `klamm` (three brokers), or the HOST:PORT of a running cluster.
    #[arg(long, default_value = "klamm")]
    target: String,
    /// Run only this program; may be repeated.
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
}

/// A cluster that ends when the last program has run.
enum Target {
    Kafka(ApacheKafka),
    Klamm(Serve),
    Given(String),
}

impl Target {
    fn start(name: &str) -> anyhow::Result<Self> {
        Ok(match name {
            "kafka" => Self::Kafka(ApacheKafka::start(&KafkaSettings::default())?),
            "klamm" => Self::Klamm(Serve::start(&[])?),
            address if address.contains(':') => Self::Given(address.to_owned()),
            other => bail!("`{other}` is no target: kafka, klamm or HOST:PORT"),
        })
    }

    fn bootstrap(&self) -> &str {
        match self {
            Self::Kafka(kafka) => kafka.bootstrap(),
            Self::Klamm(serve) => serve.bootstrap(),
            Self::Given(address) => address,
        }
    }

    fn stop(self) -> anyhow::Result<()> {
        match self {
            Self::Kafka(kafka) => kafka.stop(),
            Self::Klamm(serve) => serve.stop().map(drop),
            Self::Given(_) => Ok(()),
        }
    }
}

#[expect(clippy::print_stdout, reason = "the verdicts are this command's result")]
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let chosen: Vec<Client> = match arguments.only.as_slice() {
        [] => CLIENTS.to_vec(),
        names => names.iter().map(|name| clients::find(name)).collect::<anyhow::Result<_>>()?,
    };
    let target = Target::start(&arguments.target)?;
    let mut failed = Vec::new();
    for client in chosen {
        let started = Instant::now();
        match client.run(target.bootstrap()) {
            Ok(line) => println!("{line} ({:.1?} in all)", started.elapsed()),
            Err(error) => {
                println!("FAIL {}: {error:#}", client.name);
                failed.push(client.name);
            }
        }
    }
    target.stop()?;
    if failed.is_empty() {
        return Ok(());
    }
    bail!("against {}: {} failed", arguments.target, failed.join(", "))
}
