//! What a Kafka node has on its disk: logs, checkpoints, epochs, and the metadata log.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use klamm_log::EpochEntry;
use klamm_metadata::{MetadataDelta, MetadataImage, MetadataRecord};
use klamm_node::{NodeId, TopicPartition};
use klamm_wire::record::batch::{BatchIter, RecordBatch};
use klamm_wire::record::inspect::DECOMPRESSED_LIMIT;
use klamm_world::{QuorumView, ReplicaStatus, StoredLog, StoredRecord};

const METADATA: &str = "__cluster_metadata-0";

/// A node's `log.dirs`.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    fn of(&self, partition: &TopicPartition) -> PathBuf {
        self.0.join(format!("{}-{}", partition.topic, partition.partition))
    }

    pub(crate) fn holds(&self, partition: &TopicPartition) -> bool {
        self.of(partition).is_dir()
    }

    /// A replica, as far as the disk tells.
    pub(crate) fn replica(&self, partition: &TopicPartition) -> Option<ReplicaStatus> {
        let folder = self.of(partition);
        let segments = segments(&folder);
        let first = segments.first()?.0;
        let batches = batches(&segments);
        let log_end = batches.last().map_or(segments.last()?.0, |batch| batch.header.next_offset());
        let log_start = self.checkpoint("log-start-offset-checkpoint").get(partition).copied();
        let high_watermark = self.checkpoint("replication-offset-checkpoint").get(partition).copied();
        let high_watermark = high_watermark.unwrap_or(first);
        Some(ReplicaStatus {
            leader_epoch: epochs(&folder).last().map_or(-1, |entry| entry.epoch),
            log_start: log_start.unwrap_or(first).max(first),
            log_end,
            high_watermark,
            last_stable_offset: last_stable_offset(&batches, high_watermark),
        })
    }

    /// Offsets by partition: one line each, after a version and a count.
    fn checkpoint(&self, name: &str) -> BTreeMap<TopicPartition, i64> {
        let text = fs::read_to_string(self.0.join(name)).unwrap_or_default();
        let entries = text.lines().skip(2).filter_map(|line| {
            let mut words = line.split(' ');
            let (topic, partition) = (words.next()?.to_owned(), words.next()?.parse().ok()?);
            Some((TopicPartition::new(topic, partition), words.next()?.parse().ok()?))
        });
        entries.collect()
    }

    pub(crate) fn log(&self, partition: &TopicPartition) -> Option<StoredLog> {
        let folder = self.of(partition);
        let start = self.replica(partition)?.log_start;
        let mut stored = StoredLog { records: Vec::new(), epochs: epochs(&folder) };
        for batch in batches(&segments(&folder)) {
            let Ok(records) = batch.records(DECOMPRESSED_LIMIT) else { break };
            for record in &records {
                let Ok(record) = record else { return Some(stored) };
                let offset = batch.header.base_offset + i64::from(record.offset_delta);
                if offset < start {
                    continue;
                }
                stored.records.push(StoredRecord {
                    offset,
                    leader_epoch: batch.header.partition_leader_epoch,
                    producer_id: batch.header.producer_id,
                    control: batch.header.is_control(),
                    key: record.key.map(|key| records.bytes().slice_ref(key)),
                    value: record.value.map(|value| records.bytes().slice_ref(value)),
                });
            }
        }
        Some(stored)
    }

    /// The epoch of the last batch of the metadata log, and the offset behind it.
    pub(crate) fn metadata_end(&self) -> (i32, i64) {
        let batches = batches(&segments(&self.0.join(METADATA)));
        let last = batches.last().map(|batch| &batch.header);
        last.map_or((-1, 0), |last| (last.partition_leader_epoch, last.next_offset()))
    }

    /// What all records of the metadata log make together.
    pub(crate) fn metadata(&self) -> MetadataImage {
        let mut image = MetadataImage::default();
        let mut delta = MetadataDelta::default();
        for batch in batches(&segments(&self.0.join(METADATA))) {
            if batch.header.is_control() {
                continue;
            }
            let Ok(records) = batch.records(DECOMPRESSED_LIMIT) else { break };
            for record in records.iter().flatten() {
                let Some(value) = record.value else { continue };
                // A record of a kind that klamm does not know says nothing of what scenarios are about.
                if let Ok((record, _)) = MetadataRecord::decode(&records.bytes().slice_ref(value)) {
                    let _ = image.apply(&record, &mut delta);
                }
            }
        }
        image
    }

    /// A controller's part in the quorum, as its `quorum-state` has it. No high watermark is kept there.
    pub(crate) fn quorum(&self, node: NodeId) -> Option<QuorumView> {
        let text = fs::read(self.0.join(METADATA).join("quorum-state")).ok()?;
        let state: serde_json::Value = serde_json::from_slice(&text).ok()?;
        let number = |name: &str| state.get(name)?.as_i64().and_then(|number| i32::try_from(number).ok());
        let leader = NodeId(number("leaderId").unwrap_or(-1));
        let voted_for = number("votedId").filter(|id| *id >= 0).map(NodeId);
        let log_end = self.metadata_end().1;
        Some(QuorumView {
            state: match leader {
                _ if leader == node => "Leader",
                NodeId(0..) => "Follower",
                _ if voted_for == Some(node) => "Candidate",
                _ => "Unattached",
            },
            epoch: number("leaderEpoch")?,
            leader,
            voted_for,
            log_start: 0,
            log_end,
            flushed: log_end,
            high_watermark: -1,
            epoch_start: None,
            earliest_snapshot: None,
            latest_snapshot: None,
        })
    }

    /// What a loss of power leaves of a log whose records from `offset` on were not flushed; with `torn`, so many bytes of the first
    /// batch that is lost stay.
    ///
    /// # Errors
    /// When the files cannot be changed.
    pub(crate) fn lose(&self, partition: &TopicPartition, offset: i64, torn: u64) -> io::Result<()> {
        for (base, path) in segments(&self.of(partition)) {
            let bytes = Bytes::from(fs::read(&path)?);
            let mut keep = 0;
            for batch in BatchIter::new(bytes).map_while(Result::ok) {
                if batch.header.next_offset() > offset {
                    break;
                }
                keep += batch.size() as u64;
            }
            if base > 0 && base >= offset {
                for kind in ["log", "index", "timeindex", "snapshot", "txnindex"] {
                    let _ = fs::remove_file(path.with_extension(kind));
                }
                continue;
            }
            let len = fs::metadata(&path)?.len();
            fs::File::options().write(true).open(&path)?.set_len((keep + torn).min(len))?;
        }
        Ok(())
    }

    /// Flips bits of one byte of the batch that holds `offset`: all of them where `mask` is 0.
    ///
    /// # Errors
    /// When there is no such byte, or the file cannot be changed.
    pub(crate) fn rot(&self, partition: &TopicPartition, offset: i64, byte: u32, mask: u8) -> io::Result<()> {
        for (_, path) in segments(&self.of(partition)) {
            let mut bytes = fs::read(&path)?;
            let mut at = 0;
            for batch in BatchIter::new(Bytes::from(bytes.clone())).map_while(Result::ok) {
                if (batch.header.base_offset..batch.header.next_offset()).contains(&offset) {
                    let place = at + byte as usize;
                    let rotten = bytes.get_mut(place).ok_or(io::ErrorKind::NotFound)?;
                    *rotten ^= if mask == 0 { 0xff } else { mask };
                    let file = fs::File::options().write(true).open(&path)?;
                    return file.write_all_at(&bytes[place..=place], place as u64);
                }
                at += batch.size();
            }
        }
        Err(io::ErrorKind::NotFound.into())
    }

    /// Up to where a log was flushed.
    pub(crate) fn recovery_point(&self, partition: &TopicPartition) -> i64 {
        self.checkpoint("recovery-point-offset-checkpoint").get(partition).copied().unwrap_or(0)
    }

    /// Every partition that has a folder here.
    pub(crate) fn partitions(&self) -> Vec<TopicPartition> {
        let entries = fs::read_dir(&self.0).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        let partitions = names.filter_map(|name| {
            let (topic, partition) = name.rsplit_once('-')?;
            Some(TopicPartition::new(topic.to_owned(), partition.parse().ok()?))
        });
        partitions.filter(|partition| *partition.topic != *"__cluster_metadata").collect()
    }
}

/// The segments of a log: base offset and file.
fn segments(folder: &Path) -> Vec<(i64, PathBuf)> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let logs = entries.filter(|path| path.extension().is_some_and(|extension| extension == "log"));
    let mut segments: Vec<_> =
        logs.filter_map(|path| Some((path.file_stem()?.to_str()?.parse().ok()?, path))).collect();
    segments.sort();
    segments
}

/// Every batch that is whole.
fn batches(segments: &[(i64, PathBuf)]) -> Vec<RecordBatch> {
    let files = segments.iter().map(|(_, path)| Bytes::from(fs::read(path).unwrap_or_default()));
    files.flat_map(|bytes| BatchIter::new(bytes).map_while(Result::ok)).collect()
}

/// `leader-epoch-checkpoint`: one line an epoch, after a version and a count.
fn epochs(folder: &Path) -> Vec<EpochEntry> {
    let text = fs::read_to_string(folder.join("leader-epoch-checkpoint")).unwrap_or_default();
    let entries = text.lines().skip(2).filter_map(|line| {
        let (epoch, start_offset) = line.split_once(' ')?;
        Some(EpochEntry { epoch: epoch.parse().ok()?, start_offset: start_offset.parse().ok()? })
    });
    entries.collect()
}

/// Below it every transaction is decided, and its marker committed.
fn last_stable_offset(batches: &[RecordBatch], high_watermark: i64) -> i64 {
    let mut open = BTreeMap::new();
    let mut stable = high_watermark;
    for batch in batches.iter().filter(|batch| batch.header.is_transactional()) {
        if batch.header.is_control() {
            if let Some(start) = open.remove(&batch.header.producer_id)
                && batch.header.base_offset >= high_watermark
            {
                stable = stable.min(start);
            }
        } else {
            open.entry(batch.header.producer_id).or_insert(batch.header.base_offset);
        }
    }
    open.into_values().fold(stable, i64::min)
}
