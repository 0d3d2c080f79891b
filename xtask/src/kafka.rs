//! `cargo xtask kafka`: Apache Kafka in the foreground, to compare by hand.

use std::path::PathBuf;

use klamm_tests::kafka::{ApacheKafka, KafkaSettings};

/// What `cargo xtask kafka` takes.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// How many nodes, each broker and controller at once.
    #[arg(long, default_value_t = 3)]
    brokers: u16,
    /// Where to keep logs and properties; a temporary folder when left out.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// A server property, KEY=VALUE; may be repeated.
    #[arg(long = "config", value_name = "KEY=VALUE")]
    config: Vec<String>,
}

#[expect(clippy::print_stdout, reason = "the bootstrap address is this command's result")]
pub(crate) fn run(arguments: Arguments) -> anyhow::Result<()> {
    let mut settings =
        KafkaSettings { brokers: arguments.brokers, dir: arguments.dir, ..KafkaSettings::default() };
    for pair in &arguments.config {
        let (key, value) = pair.split_once('=').ok_or_else(|| anyhow::anyhow!("{pair} is not KEY=VALUE"))?;
        settings.properties.insert(key.to_owned(), value.to_owned());
    }
    let kafka = ApacheKafka::start(&settings)?;
    println!("{}", kafka.bootstrap());
    // Ends on Enter; with no terminal behind it, stays until a signal comes (its nodes die with it).
    if std::io::stdin().read_line(&mut String::new())? == 0 {
        loop {
            std::thread::park();
        }
    }
    kafka.stop()
}
