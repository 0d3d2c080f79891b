//! `cargo xtask conformance`: klamm beside Apache Kafka, request by request.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use clap::Parser;
use klamm_conformance::subjects::{SUBJECTS, Subject};
use klamm_conformance::{PROPERTIES, Transcript, golden, klamm_arguments, run, unexpected};
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
        let names: Vec<_> = SUBJECTS.iter().map(|subject| subject.name).collect();
        bail!("no such subject; there are {}", names.join(", "));
    }
    let mut failed = Vec::new();
    let kafka = if arguments.recorded {
        chosen.iter().map(|subject| recorded(subject)).collect::<anyhow::Result<_>>()?
    } else {
        ask_kafka(&chosen, &mut failed)?
    };
    if arguments.record {
        for (subject, transcript) in &kafka {
            std::fs::write(golden(subject), transcript.to_string())?;
        }
    }
    let mut found = 0;
    for subject in chosen {
        let Some(kafka) = kafka.get(subject.name) else { continue };
        let klamm = match ask_klamm(subject) {
            Ok(transcript) => transcript,
            Err(error) => {
                println!("{}: {error:#}", subject.name);
                failed.push(subject.name);
                continue;
            }
        };
        if arguments.show {
            println!("{klamm}");
        }
        let (differences, stale) = unexpected(subject.name, kafka.compare(&klamm));
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
        bail!("{found} differences, and not every subject came to its end: {}", failed.join(", "));
    }
    if found > 0 {
        bail!("{found} differences");
    }
    Ok(())
}

fn recorded(subject: &Subject) -> anyhow::Result<(&'static str, Transcript)> {
    let path = golden(subject.name);
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    Ok((subject.name, Transcript::parse(&text)))
}

fn ask_klamm(subject: &Subject) -> anyhow::Result<Transcript> {
    let properties = klamm_arguments(subject);
    let properties: Vec<&str> = properties.iter().map(String::as_str).collect();
    let klamm = Serve::start(&properties)?;
    let transcript = run(subject, klamm.bootstrap())?;
    klamm.stop()?;
    Ok(transcript)
}

/// Starts Kafka once for all subjects with the same properties, and stops it before it is started again.
#[expect(clippy::print_stdout, reason = "Kafka takes a while")]
fn ask_kafka(
    chosen: &[&Subject],
    failed: &mut Vec<&'static str>,
) -> anyhow::Result<BTreeMap<&'static str, Transcript>> {
    let mut answers = BTreeMap::new();
    for subjects in chosen.chunk_by(|a, b| a.properties == b.properties) {
        let own = subjects.iter().flat_map(|subject| subject.properties);
        let properties = PROPERTIES.iter().chain(own);
        let properties = properties.map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let kafka = ApacheKafka::start(&KafkaSettings { properties, ..KafkaSettings::default() })?;
        for subject in subjects {
            println!("Kafka: {}", subject.name);
            match run(subject, kafka.bootstrap()) {
                Ok(transcript) => {
                    answers.insert(subject.name, transcript);
                }
                Err(error) => {
                    println!("  {error:#}");
                    failed.push(subject.name);
                }
            }
        }
        kafka.stop()?;
    }
    Ok(answers)
}
