//! Snapshots of the metadata (KIP-630): files beside the log, what of the log they make superfluous, and how one that
//! lags too far gets the newest.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use klamm_log::disk::{FlushId, FlushState};
use klamm_log::{Disk, LogError};
use klamm_metadata::{METADATA_TOPIC, MetadataImage, SnapshotId, snapshot};
use klamm_node::{Ctx, NodeId, ReplyTo, Timestamp, TraceKind};
use klamm_wire::ErrorCode;
use klamm_wire::messages::{BrokerId, FetchSnapshotRequest, FetchSnapshotResponse, ResponseKind, TopicName};
use klamm_wire::messages::{fetch_snapshot_request, fetch_snapshot_response};

use super::Raft;
use super::quorum_state::State;

/// How often old snapshots are looked for (`RaftMetadataLogCleanerManager`).
pub(super) const CLEAN_INTERVAL: Duration = Duration::from_secs(60);

/// A snapshot that a follower is fetching.
#[derive(Debug, Clone)]
pub(super) struct SnapshotDownload {
    id: SnapshotId,
    bytes: BytesMut,
}

/// A snapshot that is written and not known to be durable yet.
#[derive(Debug, Clone, Copy)]
struct Pending {
    flush: FlushId,
    id: SnapshotId,
    installs: bool,
}

/// The snapshots on the disk.
#[derive(Debug, Clone, Default)]
pub(super) struct Snapshots {
    /// In order of their ends, with their sizes in bytes and the wall time of the last record in them, in milliseconds.
    files: Vec<(SnapshotId, u64, i64)>,
    pending: Option<Pending>,
    clean_at: Option<Timestamp>,
}

impl Snapshots {
    /// Finds the snapshots in a log's directory. What an interrupted write left is removed.
    pub(super) fn open(disk: &mut dyn Disk, log_dir: &str) -> Result<Self, LogError> {
        let mut files = Vec::new();
        for entry in disk.list(log_dir)? {
            if entry.name.ends_with(snapshot::DELETED) || entry.name.ends_with(".part") {
                disk.delete(&format!("{log_dir}/{}", entry.name))?;
            } else if let Some(id) = SnapshotId::from_file_name(&entry.name) {
                let bytes = disk.read_file(&format!("{log_dir}/{}", entry.name))?.unwrap_or_default();
                files.push((id, bytes.len() as u64, snapshot::last_timestamp(&bytes).unwrap_or(0)));
            }
        }
        files.sort_unstable();
        Ok(Self { files, pending: None, clean_at: None })
    }

    pub(super) fn latest(&self) -> Option<SnapshotId> {
        self.files.last().map(|(id, ..)| *id)
    }

    pub(super) fn earliest(&self) -> Option<SnapshotId> {
        self.files.first().map(|(id, ..)| *id)
    }

    /// What all of them take, in bytes.
    pub(super) fn total_size(&self) -> u64 {
        self.files.iter().map(|(_, size, _)| size).sum()
    }

    /// The wall time of the last record in the oldest, in milliseconds, where there are several.
    pub(super) fn oldest_of_several_ms(&self) -> Option<i64> {
        match self.files[..] {
            [(_, _, timestamp), _, ..] => Some(timestamp),
            _ => None,
        }
    }

    /// Moves the next look for old ones.
    pub(super) const fn clean_later(&mut self, at: Timestamp) {
        self.clean_at = Some(at);
    }

    /// When old ones are looked for next.
    pub(super) fn next_deadline(&self) -> Option<Timestamp> {
        self.clean_at
    }
}

impl Raft {
    fn snapshot_path(&self, id: SnapshotId) -> String {
        format!("{}/{}", self.log.dir(), id.file_name())
    }

    /// The newest snapshot.
    pub(crate) fn latest_snapshot(&self) -> Option<SnapshotId> {
        self.snapshots.latest()
    }

    /// The contents of a snapshot on the disk.
    pub(crate) fn read_snapshot(&self, id: SnapshotId) -> Result<Option<Bytes>, LogError> {
        if !self.snapshots.files.iter().any(|(known, ..)| *known == id) {
            return Ok(None);
        }
        Ok(self.disk.read_file(&self.snapshot_path(id))?.map(Bytes::from))
    }

    /// Writes a snapshot of an image that is committed.
    pub(crate) fn take_snapshot(
        &mut self,
        ctx: &mut Ctx<'_>,
        image: &MetadataImage,
        timestamp_ms: i64,
    ) -> Result<(), LogError> {
        let Some(id) = SnapshotId::of(image) else { return Ok(()) };
        if self.snapshots.pending.is_some() || self.snapshots.latest().is_some_and(|latest| latest >= id) {
            return Ok(());
        }
        let bytes = snapshot::write(image, timestamp_ms)
            .map_err(|error| LogError::Invalid(format!("the metadata cannot be written down: {error}")))?;
        self.write_snapshot(ctx, id, &bytes, false)
    }

    fn write_snapshot(
        &mut self,
        ctx: &mut Ctx<'_>,
        id: SnapshotId,
        bytes: &[u8],
        installs: bool,
    ) -> Result<(), LogError> {
        let path = self.snapshot_path(id);
        match self.disk.replace_file(&path, bytes)? {
            FlushState::Done => self.note_written(ctx, id, installs),
            FlushState::Pending(flush) => {
                self.snapshots.pending = Some(Pending { flush, id, installs });
                Ok(())
            }
        }
    }

    /// A snapshot's file is durable: from now on it counts.
    fn note_written(&mut self, ctx: &mut Ctx<'_>, id: SnapshotId, installs: bool) -> Result<(), LogError> {
        let bytes = self.disk.read_file(&self.snapshot_path(id))?.unwrap_or_default();
        let timestamp = snapshot::last_timestamp(&bytes).unwrap_or(0);
        self.snapshots.files.retain(|(known, ..)| *known != id);
        self.snapshots.files.push((id, bytes.len() as u64, timestamp));
        self.snapshots.files.sort_unstable();
        if installs {
            self.install_snapshot(ctx, id)?;
        } else {
            ctx.trace(TraceKind::SnapshotTaken { end_offset: id.end_offset, epoch: id.epoch });
        }
        if self.snapshots.files.len() > 1 && self.snapshots.clean_at.is_none() {
            self.snapshots.clean_at = Some(ctx.now + CLEAN_INTERVAL);
        }
        Ok(())
    }

    /// A write of a snapshot ended. True when it was that.
    pub(super) fn on_snapshot_written(
        &mut self,
        ctx: &mut Ctx<'_>,
        flush: FlushId,
        written: bool,
    ) -> Result<bool, LogError> {
        let Some(pending) = self.snapshots.pending.take_if(|pending| pending.flush == flush) else {
            return Ok(false);
        };
        if written {
            self.note_written(ctx, pending.id, pending.installs)?;
        }
        Ok(true)
    }

    /// Begins the log anew where the snapshot ends (`truncateToLatestSnapshot`).
    fn install_snapshot(&mut self, ctx: &mut Ctx<'_>, id: SnapshotId) -> Result<(), LogError> {
        let now_ms = ctx.wall.millis();
        self.log.truncate_fully_and_start_at(self.disk.as_mut(), id.end_offset, None, now_ms)?;
        // Nothing of the empty log is left to be made durable, and the next fetch waits for exactly that.
        self.flush(now_ms)?;
        self.forget_snapshots_before(id)?;
        self.high_watermark =
            Some(self.high_watermark.map_or(id.end_offset, |known| known.max(id.end_offset)));
        self.log.update_high_watermark(id.end_offset);
        if let State::Follower(follower) = &mut self.state {
            follower.download = None;
        }
        ctx.trace(TraceKind::SnapshotLoaded { end_offset: id.end_offset, epoch: id.epoch });
        self.note_successful_fetch(ctx);
        Ok(())
    }

    /// Begins the log anew at the newest snapshot where that is ahead of it: a crash came between the two.
    pub(super) fn truncate_to_latest_snapshot(&mut self, now_ms: i64) -> Result<(), LogError> {
        let Some(latest) = self.snapshots.latest() else { return Ok(()) };
        let end = (self.log.latest_epoch().unwrap_or(0), self.log.log_end_offset());
        if (latest.epoch, latest.end_offset) > end {
            self.log.truncate_fully_and_start_at(self.disk.as_mut(), latest.end_offset, None, now_ms)?;
            self.forget_snapshots_before(latest)?;
        }
        Ok(())
    }

    fn forget_snapshots_before(&mut self, id: SnapshotId) -> Result<(), LogError> {
        let old: Vec<SnapshotId> =
            self.snapshots.files.iter().map(|(known, ..)| *known).filter(|known| *known < id).collect();
        for old in old {
            self.disk.delete(&self.snapshot_path(old))?;
            self.snapshots.files.retain(|(known, ..)| *known != old);
        }
        Ok(())
    }

    /// Deletes old snapshots, and what of the log lies before the oldest that stays, by size and by age
    /// (`KafkaRaftLog.maybeClean`).
    pub(super) fn clean_snapshots(&mut self, ctx: &Ctx<'_>) -> Result<(), LogError> {
        if self.snapshots.clean_at.is_none_or(|at| at > ctx.now) {
            return Ok(());
        }
        let now_ms = ctx.wall.millis();
        while let [(_, _, timestamp), (next, ..), ..] = self.snapshots.files[..] {
            let size: u64 =
                self.snapshots.files.iter().map(|(_, size, _)| size).sum::<u64>() + self.log.size();
            let too_large = u64::try_from(self.config.retention_bytes).is_ok_and(|most| size > most);
            let too_old =
                self.config.retention_ms >= 0 && now_ms.saturating_sub(timestamp) > self.config.retention_ms;
            if !(too_large || too_old) || next.end_offset > self.log.high_watermark() {
                break;
            }
            // An error here is one of the caller's making, and none of the disk: the offset is committed.
            let _ = self.log.maybe_increment_log_start_offset(self.disk.as_mut(), next.end_offset);
            self.log.delete_old_segments(self.disk.as_mut(), now_ms)?;
            self.forget_snapshots_before(next)?;
            self.manager.checkpoint_logs(self.disk.as_mut(), &mut std::iter::once(&self.log))?;
        }
        self.log.on_time(self.disk.as_mut(), now_ms)?;
        self.snapshots.clean_at = (self.snapshots.files.len() > 1 || self.log.next_deletion_ms().is_some())
            .then_some(ctx.now + CLEAN_INTERVAL);
        Ok(())
    }

    /// The leader has no records for us any more, only a snapshot.
    pub(super) fn begin_download(&mut self, end_offset: i64, epoch: i32) {
        let id = SnapshotId { end_offset, epoch };
        if let State::Follower(follower) = &mut self.state {
            follower.download =
                (end_offset >= 0 && epoch >= 0).then(|| SnapshotDownload { id, bytes: BytesMut::new() });
        }
    }

    pub(super) fn fetch_snapshot_request(&self, download: &SnapshotDownload) -> FetchSnapshotRequest {
        let id = fetch_snapshot_request::SnapshotId::default()
            .with_end_offset(download.id.end_offset)
            .with_epoch(download.id.epoch);
        let partition = fetch_snapshot_request::PartitionSnapshot::default()
            .with_current_leader_epoch(self.epoch)
            .with_snapshot_id(id)
            .with_position(download.bytes.len() as i64)
            .with_replica_directory_id(self.directory_id);
        let topic = fetch_snapshot_request::TopicSnapshot::default()
            .with_name(TopicName(METADATA_TOPIC.into()))
            .with_partitions(vec![partition]);
        FetchSnapshotRequest::default()
            .with_cluster_id(Some(self.cluster_id.clone()))
            .with_replica_id(BrokerId(self.me.0))
            .with_max_bytes(self.config.fetch_snapshot_max_bytes)
            .with_topics(vec![topic])
    }

    /// Answers a request for a piece of a snapshot (`handleFetchSnapshotRequest`).
    pub(crate) fn on_fetch_snapshot(
        &mut self,
        ctx: &mut Ctx<'_>,
        to: ReplyTo,
        request: &FetchSnapshotRequest,
    ) -> Result<(), LogError> {
        let asked = request.topics.first().and_then(|topic| topic.partitions.first());
        let asked = match self.of_this_quorum(request.cluster_id.as_ref(), asked) {
            Ok(asked) => asked,
            Err(error) => {
                let response = FetchSnapshotResponse::default().with_error_code(error.code());
                ctx.reply(to, ResponseKind::FetchSnapshot(response));
                return Ok(());
            }
        };
        let leader = fetch_snapshot_response::LeaderIdAndEpoch::default()
            .with_leader_id(BrokerId(self.leader_or_none()))
            .with_leader_epoch(self.epoch);
        let mut partition = fetch_snapshot_response::PartitionSnapshot::default().with_current_leader(leader);
        let id = SnapshotId { end_offset: asked.snapshot_id.end_offset, epoch: asked.snapshot_id.epoch };
        let position = usize::try_from(asked.position).unwrap_or(usize::MAX);
        let contents = self.read_snapshot(id)?;
        let error = match (self.leader_only_error(asked.current_leader_epoch), &contents) {
            (Some(error), _) => error,
            (None, None) => ErrorCode::SnapshotNotFound,
            (None, Some(bytes)) if position >= bytes.len() => ErrorCode::PositionOutOfRange,
            (None, Some(bytes)) => {
                let most = usize::try_from(request.max_bytes).unwrap_or(0).max(1);
                partition.unaligned_records = bytes.slice(position..(position + most).min(bytes.len()));
                partition.size = bytes.len() as i64;
                partition.position = asked.position;
                partition.snapshot_id = fetch_snapshot_response::SnapshotId::default()
                    .with_end_offset(id.end_offset)
                    .with_epoch(id.epoch);
                if let State::Leader(leader) = &mut self.state {
                    leader.note_contact(NodeId(request.replica_id.0), ctx.now);
                }
                ErrorCode::None
            }
        };
        partition.error_code = error.code();
        let topic = fetch_snapshot_response::TopicSnapshot::default()
            .with_name(TopicName(METADATA_TOPIC.into()))
            .with_partitions(vec![partition]);
        let response = FetchSnapshotResponse::default().with_topics(vec![topic]);
        ctx.reply(to, ResponseKind::FetchSnapshot(response));
        Ok(())
    }

    /// A piece of a snapshot came. False when the leader is to be left alone for a while.
    pub(super) fn on_fetch_snapshot_response(
        &mut self,
        ctx: &mut Ctx<'_>,
        mut response: FetchSnapshotResponse,
    ) -> Result<bool, LogError> {
        let answer = response.topics.pop().and_then(|mut topic| topic.partitions.pop());
        let Some(answer) = answer.filter(|_| response.error_code == 0) else { return Ok(false) };
        let leader = &answer.current_leader;
        let handled =
            self.on_common_response(ctx, answer.error_code, leader.leader_id.0, leader.leader_epoch)?;
        if let Some(handled) = handled {
            return Ok(handled);
        }
        let State::Follower(follower) = &mut self.state else { return Ok(true) };
        let Some(download) = &mut follower.download else { return Ok(true) };
        let id = &answer.snapshot_id;
        let expected = (download.id.end_offset, download.id.epoch, download.bytes.len() as i64);
        if answer.error_code != 0 || (id.end_offset, id.epoch, answer.position) != expected {
            // The leader dropped the snapshot in the meantime: its next answer names another.
            follower.download = None;
            return Ok(answer.error_code == ErrorCode::SnapshotNotFound.code());
        }
        download.bytes.extend_from_slice(&answer.unaligned_records);
        if download.bytes.len() as i64 >= answer.size {
            let (id, bytes) = (download.id, std::mem::take(&mut download.bytes));
            self.write_snapshot(ctx, id, &bytes, true)?;
        }
        self.note_successful_fetch(ctx);
        Ok(true)
    }

    /// Whether a snapshot that replaces the log is being written.
    pub(super) fn is_installing(&self) -> bool {
        self.snapshots.pending.is_some_and(|pending| pending.installs)
    }
}
