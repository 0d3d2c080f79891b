//! A log of many small records with few keys, compacted.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use klamm_node::TraceKind;
use klamm_server::TopicSpec;
use klamm_wire::record::builder::BatchBuilder;

use crate::wire::{Connection, Prepared};
use crate::{cluster, load, memory};

const TOPIC: &str = "bench-compaction";
/// How often each key is written.
const ROUNDS: usize = 10;
const RECORDS_A_BATCH: usize = 100;
const VALUE: [u8; 16] = [0x6b; 16];
const WINDOW: usize = 32;

/// What a compaction took.
pub(crate) struct Compaction {
    /// From the command until the log is compacted.
    pub took: Duration,
    /// Most memory that the process had meanwhile, in KiB: the log's own where that is in memory, and both sides of the load's.
    pub peak_kib: u64,
}

/// Writes each of `keys` keys ten times, through a socket, to one partition inside this process; then compacts its log.
///
/// Inside this process, and no peer beside it: Kafka's protocol cannot ask for a compaction.
pub(crate) fn compact(files: bool, keys: usize) -> Result<Compaction> {
    let folder = tempfile::Builder::new().prefix("klamm-bench-").tempdir()?;
    let mut topic = TopicSpec::new(TOPIC, 1, 1);
    topic.config.insert("cleanup.policy".into(), "compact".into());
    // The cleaner does not come before it is asked to.
    let builder =
        klamm::Cluster::builder().brokers(1).topic_spec(topic).config("log.cleaner.backoff.ms", "86400000");
    let builder = if files { builder.data_dir(folder.path().join("data")) } else { builder };
    let cluster = builder.start_blocking()?;
    let leaders = cluster::leaders(&cluster.bootstrap_servers(), TOPIC, 1)?;
    let (address, _) = leaders.first_key_value().context("a topic without a leader")?;
    load::pump(Connection::open(address)?, &keyed(keys)?, WINDOW, ROUNDS)?;
    cluster.faults().roll_now(TOPIC, 0)?;
    // A record in the segment that is not compacted, to read up to.
    load::pump(Connection::open(address)?, &keyed(RECORDS_A_BATCH)?, 1, 1)?;

    memory::forget_peak()?;
    let start = Instant::now();
    let mut trace = cluster.trace();
    cluster.faults().compact_now(TOPIC, 0)?;
    // On files the command comes back before the disk has it.
    let compacted = |kind: &TraceKind| matches!(kind, TraceKind::LogCompacted { partition, .. } if *partition.topic == *TOPIC);
    trace.find(|event| compacted(&event.kind)).context("the cluster ended before its log was compacted")?;
    let took = start.elapsed();
    let peak_kib = memory::peak_kib()?;

    let (written, left) = (keys * ROUNDS, keys + RECORDS_A_BATCH);
    let (_, read) = load::consume(&leaders, TOPIC, i64::try_from(written + RECORDS_A_BATCH)?)?;
    ensure!(read == left as u64, "{read} records are left of {written}, and not {left}");
    cluster.stop();
    Ok(Compaction { took, peak_kib })
}

/// Requests that write each key once.
fn keyed(keys: usize) -> Result<Vec<Prepared>> {
    let now = i64::try_from(std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_millis())?;
    let requests = (0..keys).step_by(RECORDS_A_BATCH).map(|first| {
        let mut builder = BatchBuilder::new();
        for key in first..(first + RECORDS_A_BATCH).min(keys) {
            builder.push(now, Some(format!("key-{key:08}").as_bytes()), Some(&VALUE), &[]);
        }
        let batch = builder.build().map_err(|e| anyhow::anyhow!("{e}"))?;
        load::produce_request(TOPIC, 0, 1, batch)
    });
    requests.collect()
}
