//! Kafka's own `kafka-dump-log` reads a klamm data directory without complaint: batches, indexes, snapshots.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use klamm_log::{
    AppendOrigin, CleanerSettings, Disk, FileDisk, Log, LogConfig, LogManager, LogManagerSettings,
};
use klamm_tests::{java, toolchain};
use klamm_wire::Uuid;
use klamm_wire::record::builder::BatchBuilder;
use klamm_wire::record::compress::Compression;
use klamm_wire::record::control::EndTxnMarker;
use klamm_wire::record::inspect::{InspectedBatch, inspect_batches};

const NOW: i64 = 1_700_000_000_000;

fn inspected(batch: &klamm_wire::RecordBatch) -> InspectedBatch {
    inspect_batches(&batch.to_bytes()).unwrap().remove(0)
}

fn config(pairs: &[(&str, &str)]) -> Arc<LogConfig> {
    let small = [("internal.segment.bytes", "4000"), ("index.interval.bytes", "200")];
    let pairs = small.iter().chain(pairs);
    let map: BTreeMap<_, _> = pairs.map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    Arc::new(LogConfig::from_map(&map).unwrap())
}

/// A data directory with a topic for each thing that Kafka's tool may find.
struct Data {
    disk: FileDisk,
    manager: LogManager,
    logs: Vec<Log>,
    values: usize,
}

impl Data {
    fn create(root: &Path) -> Self {
        let mut disk = FileDisk::open(root).unwrap();
        let settings = LogManagerSettings::new("logs");
        let (manager, _) = LogManager::open(&mut disk, settings, NOW, &mut |_| config(&[])).unwrap();
        Self { disk, manager, logs: Vec::new(), values: 0 }
    }

    fn topic(&mut self, topic: &str, pairs: &[(&str, &str)]) -> usize {
        let id = Some(Uuid::from_u128(0x1234_5678 + self.logs.len() as u128));
        let log = self.manager.create_log(&mut self.disk, topic, 0, id, config(pairs), NOW).unwrap();
        self.logs.push(log);
        self.logs.len() - 1
    }

    fn append(&mut self, log: usize, builder: BatchBuilder, records: i64, origin: AppendOrigin) {
        let mut builder = builder;
        for n in 0..records {
            let value = format!("value-{}", self.values);
            self.values += 1;
            let key = format!("key-{}", n % 3);
            let headers = [(&b"header"[..], Some(&b"h"[..])), (b"null", None)];
            builder.push(
                NOW + self.values as i64 % 17,
                Some(key.as_bytes()),
                Some(value.as_bytes()),
                &headers,
            );
        }
        self.append_batch(log, &inspected(&builder.build().unwrap()), origin);
    }

    fn append_batch(&mut self, log: usize, batch: &InspectedBatch, origin: AppendOrigin) {
        let log = &mut self.logs[log];
        let epoch = i32::try_from(log.log_end_offset() / 40).unwrap();
        log.append_as_leader(&mut self.disk, std::slice::from_ref(batch), epoch, NOW, origin).unwrap();
        log.update_high_watermark(log.log_end_offset());
    }

    fn fill(&mut self) {
        let plain = self.topic("plain", &[]);
        for n in 0..60 {
            let codec = Compression::ALL[n % Compression::ALL.len()];
            let batch = BatchBuilder::new().compression(codec, None);
            self.append(plain, batch, 1 + n as i64 % 5, AppendOrigin::Client);
        }
        let end = self.logs[plain].log_end_offset();
        self.logs[plain].truncate_to(&mut self.disk, end / 2, NOW).unwrap();
        self.append(plain, BatchBuilder::new(), 3, AppendOrigin::Client);

        let append_time = self.topic("append-time", &[("message.timestamp.type", "LogAppendTime")]);
        for _ in 0..30 {
            self.append(append_time, BatchBuilder::new(), 2, AppendOrigin::Client);
        }

        let preallocated = self.topic("preallocated", &[("preallocate", "true")]);
        for _ in 0..30 {
            self.append(preallocated, BatchBuilder::new(), 4, AppendOrigin::Client);
        }

        let recompressed = self.topic("recompressed", &[("compression.type", "zstd")]);
        for n in 0..30 {
            let codec = Compression::ALL[n % Compression::ALL.len()];
            self.append(recompressed, BatchBuilder::new().compression(codec, None), 4, AppendOrigin::Client);
        }

        let transactions = self.topic("transactions", &[]);
        for n in 0..40_i32 {
            let producer = i64::from(n % 3);
            let batch = BatchBuilder::new().producer(producer, 0, n / 3 * 2).transactional();
            self.append(transactions, batch, 2, AppendOrigin::Client);
            if n % 5 == 4 {
                for id in 0..3 {
                    let marker =
                        EndTxnMarker { committed: n % 2 == 0, coordinator_epoch: 7 }.batch(id, 0, NOW);
                    self.append_batch(transactions, &inspected(&marker), AppendOrigin::Coordinator);
                }
            }
        }

        let compacted =
            self.topic("compacted", &[("cleanup.policy", "compact"), ("min.cleanable.dirty.ratio", "0")]);
        for n in 0..80 {
            let codec = Compression::ALL[n % Compression::ALL.len()];
            self.append(compacted, BatchBuilder::new().compression(codec, None), 4, AppendOrigin::Client);
            let mut tombstone = BatchBuilder::new();
            tombstone.push(NOW, Some(b"key-2"), None, &[]);
            self.append_batch(compacted, &inspected(&tombstone.build().unwrap()), AppendOrigin::Client);
        }
        self.logs[compacted].clean(&mut self.disk, &CleanerSettings::default(), NOW).unwrap();
    }

    /// Every value in the logs that a tool should find.
    fn readable_values(&self) -> usize {
        self.logs.iter().map(|log| count_values(log, &self.disk)).sum()
    }
}

fn count_values(log: &Log, disk: &dyn Disk) -> usize {
    let mut count = 0;
    let mut offset = log.log_start_offset();
    while offset < log.log_end_offset() {
        let data = log.read(disk, offset, 1 << 20, klamm_log::FetchIsolation::LogEnd, true).unwrap();
        if data.size == 0 {
            break;
        }
        for batch in klamm_wire::record::batch::BatchIter::new(data.records.concat().into()) {
            let batch = batch.unwrap();
            offset = batch.header.next_offset();
            let records = batch.records(1 << 20).unwrap();
            count += records
                .iter()
                .filter(|r| r.as_ref().unwrap().value.is_some_and(|v| v.starts_with(b"value-")))
                .count();
        }
    }
    count
}

fn files(root: &Path, suffixes: &[&str]) -> Vec<PathBuf> {
    let mut out = Vec::new();
    for dir in std::fs::read_dir(root.join("logs")).unwrap().map(|e| e.unwrap().path()).filter(|p| p.is_dir())
    {
        let names = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path());
        out.extend(names.filter(|p| suffixes.iter().any(|s| p.to_string_lossy().ends_with(s))));
    }
    out.sort();
    out
}

/// Runs the tool over files; returns what it printed. Anything on stderr is a complaint, but for what it says of every log.
fn dump(files: &[PathBuf], options: &[&str]) -> String {
    let list: Vec<_> = files.iter().map(|p| p.to_string_lossy().into_owned()).collect();
    let mut tool = java::command().unwrap();
    tool.arg("org.apache.kafka.tools.DumpLogSegments").args(options).arg("--files").arg(list.join(","));
    let output = tool.output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let complaints = complaints(&err);
    assert!(
        output.status.success() && complaints.is_empty(),
        "kafka-dump-log {options:?}: {complaints:#?}\n{out}"
    );
    assert!(!out.contains("invalid bytes at the end"), "{out}");
    out.into_owned()
}

/// The tool counts a segment's first offset from -1, whatever the segment begins with, and it does not know of compaction.
fn complaints(err: &str) -> Vec<&str> {
    let mut in_compacted = false;
    let mut out = Vec::new();
    for line in err.lines().filter(|line| !line.trim().is_empty()) {
        if let Some(file) = line.strip_prefix("Non-consecutive offsets in ") {
            in_compacted = file.contains("/compacted-0/");
        } else if !(line.contains(" is followed by ") && (in_compacted || line.starts_with("  -1 "))) {
            out.push(line);
        }
    }
    out
}

#[test]
fn kafkas_tool_reads_every_file() {
    if toolchain::skip("dump-log", &java::PROGRAMS) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut data = Data::create(dir.path());
    data.fill();
    let values = data.readable_values();
    let mut logs: Vec<_> = data.logs.iter_mut().collect();
    data.manager.close(&mut data.disk, &mut logs, Some(3), NOW).unwrap();
    drop(data);

    let every = files(dir.path(), &[".log", ".index", ".timeindex", ".txnindex", ".snapshot"]);
    for kind in [".index", ".timeindex", ".txnindex", ".snapshot"] {
        assert!(
            every.iter().filter(|p| p.to_string_lossy().ends_with(kind)).count() > 1,
            "no {kind} to look at"
        );
    }
    let out = dump(&every, &["--deep-iteration", "--print-data-log"]);
    assert_eq!(out.matches("payload: value-").count(), values);
    assert!(out.matches("isvalid: true").count() > 100);
    assert_eq!(out.matches("isvalid: false").count(), 0);
    for word in [
        "endTxnMarker: COMMIT coordinatorEpoch: 7",
        "producerId: 2",
        "deleteHorizonMs: ",
        "compresscodec: zstd",
    ] {
        assert!(out.contains(word), "{word:?} is not in the dump");
    }
    let indexes = files(dir.path(), &[".index", ".timeindex"]);
    let out = dump(&indexes, &["--index-sanity-check"]);
    assert!(out.matches("passed sanity check").count() > 10);
    dump(&indexes, &["--verify-index-only"]);
}

#[test]
fn kafkas_tool_reads_what_a_crash_left() {
    if toolchain::skip("dump-log", &java::PROGRAMS) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut data = Data::create(dir.path());
    data.fill();
    let values = data.readable_values();
    let is_preallocated = |log: &&Log| log.config().preallocate;
    let preallocated =
        data.logs.iter().filter(is_preallocated).map(|log| count_values(log, &data.disk)).sum::<usize>();
    data.disk.crash();
    drop(data);
    // The deletions that were waiting are none of the log.
    let mut every = files(dir.path(), &[".log", ".index", ".timeindex", ".txnindex", ".snapshot"]);
    // A preallocated file ends in zeros until it is recovered, in Kafka too, and the tool stops there.
    every.retain(|path| !path.to_string_lossy().contains("preallocated"));
    let out = dump(&every, &["--deep-iteration", "--print-data-log"]);
    assert_eq!(out.matches("payload: value-").count(), values - preallocated);

    // And what recovery makes of it.
    let mut disk = FileDisk::open(dir.path()).unwrap();
    let settings = LogManagerSettings::new("logs");
    let policy = |topic: &str| if topic == "compacted" { "compact" } else { "delete" };
    let mut of_topic = |topic: &str| config(&[("cleanup.policy", policy(topic))]);
    let (_, logs) = LogManager::open(&mut disk, settings, NOW, &mut of_topic).unwrap();
    assert_eq!(logs.iter().map(|l| count_values(&l.log, &disk)).sum::<usize>(), values);
    for log in &logs {
        assert_eq!(log.log.verify(&disk).unwrap(), Vec::<String>::new(), "{}", log.topic);
    }
}
