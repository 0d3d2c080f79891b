//! `cargo xtask conformance`: klamm beside Apache Kafka, request by request.

use anyhow::{Context as _, bail};
use clap::Parser;
use klamm_conformance::{
    PROPERTIES, Transcript, golden, run, subjects::SUBJECTS, subjects::Subject, unexpected,
};
use klamm_tests::kafka::{ApacheKafka, KafkaSettings};
use klamm_tests::serve::Serve;

#[derive(Parser)]
#[command(name = "cargo xtask conformance", about = "Compare klamm with Apache Kafka, request by request")]
struct Arguments {
    /// Write down what Kafka answers, in tests/golden/conformance
    #[arg(long)]
    record: bool,
    /// Compare with what is written down instead of starting Kafka
    #[arg(long, conflicts_with = "record")]
    recorded: bool,
    /// Only this subject; may be repeated
    #[arg(long, value_name = "SUBJECT")]
    only: Vec<String>,
    /// Print klamm's transcript too
    #[arg(long)]
    show: bool,
}

#[expect(clippy::print_stdout, reason = "the differences are this command's result")]
fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let chosen: Vec<&Subject> = SUBJECTS
        .iter()
        .filter(|subject| arguments.only.is_empty() || arguments.only.iter().any(|name| name == subject.name))
        .collect();
    if chosen.is_empty() {
        bail!(
            "no such subject; there are {}",
            SUBJECTS.iter().map(|subject| subject.name).collect::<Vec<_>>().join(", ")
        );
    }
    let mut expected = Vec::new();
    let mut failed = Vec::new();
    if arguments.recorded {
        for subject in &chosen {
            let path = golden(subject.name);
            let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
            expected.push(Transcript::parse(&text));
        }
    } else {
        let properties =
            PROPERTIES.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let kafka = ApacheKafka::start(&KafkaSettings { properties, ..KafkaSettings::default() })?;
        for subject in &chosen {
            println!("Kafka: {}", subject.name);
            let transcript = match run(subject, kafka.bootstrap()) {
                Ok(transcript) => transcript,
                Err(error) => {
                    println!("  {error:#}");
                    failed.push(format!("{} against Kafka", subject.name));
                    expected.push(Transcript::default());
                    continue;
                }
            };
            if arguments.record {
                std::fs::write(golden(subject.name), transcript.to_string())?;
            }
            expected.push(transcript);
        }
        kafka.stop()?;
    }
    let mut found = 0;
    for (subject, kafka) in chosen.iter().zip(&expected) {
        let klamm = Serve::start(&klamm_conformance::klamm_arguments())?;
        let transcript = match run(subject, klamm.bootstrap()) {
            Ok(transcript) => transcript,
            Err(error) => {
                println!("{}: {error:#}", subject.name);
                failed.push(format!("{} against klamm", subject.name));
                continue;
            }
        };
        klamm.stop()?;
        if arguments.show {
            println!("{transcript}");
        }
        let (differences, stale) = unexpected(subject.name, kafka.compare(&transcript));
        println!("{}: {} differences", subject.name, differences.len());
        for difference in &differences {
            println!("  {difference}");
        }
        for label in &stale {
            println!("  {label}: no difference any more; strike it from the known ones");
        }
        found += differences.len() + stale.len();
    }
    if !failed.is_empty() {
        bail!("{found} differences; not to the end: {}", failed.join(", "));
    }
    if found > 0 {
        bail!("{found} differences");
    }
    Ok(())
}
