//! Raw request transcripts that run against Apache Kafka and against klamm, to be compared field by field.
//!
//! A *subject* (`subjects/`) sends requests over plain sockets and keeps every answer as text, with what has to differ
//! masked (ids, ports, times, placement). What Apache Kafka answered is kept in `tests/golden/conformance`, so that the
//! comparison needs no Java. `cargo xtask conformance --record` asks Kafka again.

mod connection;
mod known;
mod mask;
mod session;
pub mod subjects;
mod transcript;
mod value;

pub use known::{KNOWN, Known, unexpected};
pub use session::Session;
pub use transcript::{Difference, Transcript};

use std::path::PathBuf;

/// What both clusters are started with, as server properties.
pub const PROPERTIES: &[(&str, &str)] =
    &[("offsets.topic.num.partitions", "6"), ("group.initial.rebalance.delay.ms", "0")];

/// What `klamm serve` is started with for a subject, besides its port.
pub fn klamm_arguments(subject: &subjects::Subject) -> Vec<String> {
    let given = PROPERTIES.iter().chain(subject.properties);
    given.flat_map(|(key, value)| ["--config".to_owned(), format!("{key}={value}")]).collect()
}

/// Where the recorded answers of a subject lie.
pub fn golden(subject: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../golden/conformance"))
        .join(format!("{subject}.txt"))
}

/// Runs one subject against a cluster.
///
/// # Errors
/// When the cluster cannot be reached, or never gets to where a step needs it to be.
pub fn run(subject: &subjects::Subject, bootstrap: &str) -> anyhow::Result<Transcript> {
    let mut session = Session::open(bootstrap)?;
    (subject.run)(&mut session)?;
    Ok(session.finish())
}
