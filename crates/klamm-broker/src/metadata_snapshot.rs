//! Snapshots of the metadata on a broker: a broker whose offset the controller's log has no more gets the newest one
//! (FetchSnapshot), and begins from it when it starts again.

use bytes::{Bytes, BytesMut};
use klamm_log::{Disk, Log, LogError};
use klamm_metadata::{METADATA_TOPIC, MetadataPublisher, SnapshotId};
use klamm_node::{Ctx, SendError, TraceKind};
use klamm_wire::messages::fetch_snapshot_request::{PartitionSnapshot, SnapshotId as AskedId, TopicSnapshot};
use klamm_wire::messages::{BrokerId, FetchSnapshotRequest, ResponseKind, TopicName};
use klamm_wire::{ErrorCode, Response};

use crate::core::{Call, Core};
use crate::log_dirs::Dir;
use crate::metadata::TIMEOUT_MS;

/// How much of a snapshot is asked for at a time, in bytes (`controller.quorum.fetch.snapshot.max.bytes`).
const MAX_BYTES: i32 = 1 << 20;

/// A snapshot that is being fetched.
#[derive(Debug, Clone)]
pub(crate) struct SnapshotDownload {
    id: SnapshotId,
    bytes: BytesMut,
}

impl SnapshotDownload {
    pub(crate) fn new(end_offset: i64, epoch: i32) -> Self {
        Self { id: SnapshotId { end_offset, epoch }, bytes: BytesMut::new() }
    }
}

/// The newest snapshot in the directory of our copy of the log, folded in; an empty publisher where there is none. A log that the
/// snapshot is ahead of begins anew where it ends.
pub(crate) fn open(
    log: &mut Log,
    disk: &mut dyn Disk,
    now_ms: i64,
) -> Result<(MetadataPublisher, Option<SnapshotId>), LogError> {
    let mut publisher = MetadataPublisher::new();
    let names = disk.list(log.dir())?.into_iter().map(|entry| entry.name);
    let Some(id) = names.filter_map(|name| SnapshotId::from_file_name(&name)).max() else {
        return Ok((publisher, None));
    };
    let path = format!("{}/{}", log.dir(), id.file_name());
    let contents = disk.read_file(&path)?.map(Bytes::from).unwrap_or_default();
    publisher
        .load_snapshot(&contents, id)
        .map_err(|error| LogError::Corrupt { path, message: error.to_string() })?;
    if id.end_offset > log.log_end_offset() || id.end_offset < log.log_start_offset() {
        log.truncate_fully_and_start_at(disk, id.end_offset, None, now_ms)?;
    }
    Ok((publisher, Some(id)))
}

impl Core {
    /// Asks for the next piece of the snapshot that is being fetched.
    pub(crate) fn fetch_snapshot(&mut self, ctx: &mut Ctx<'_>) -> bool {
        let directory = self.replicas.dirs.id(Dir::METADATA).unwrap_or_default();
        let Some(download) = &self.metadata.download else { return false };
        let id = AskedId::default().with_end_offset(download.id.end_offset).with_epoch(download.id.epoch);
        let partition = PartitionSnapshot::default()
            .with_current_leader_epoch(self.metadata.leader_epoch)
            .with_snapshot_id(id)
            .with_position(download.bytes.len() as i64)
            .with_replica_directory_id(directory);
        let topic = TopicSnapshot::default()
            .with_name(TopicName(METADATA_TOPIC.into()))
            .with_partitions(vec![partition]);
        let request = FetchSnapshotRequest::default()
            .with_cluster_id(Some(self.settings.cluster_id.clone()))
            .with_replica_id(BrokerId(self.settings.node.0))
            .with_max_bytes(MAX_BYTES)
            .with_topics(vec![topic]);
        self.fetch_from_controller(ctx, 1, request.into(), TIMEOUT_MS, Call::MetadataSnapshot)
    }

    /// A piece of the snapshot came, or did not.
    pub(crate) fn on_metadata_snapshot(&mut self, ctx: &mut Ctx<'_>, result: Result<Response, SendError>) {
        let Some(from) = self.metadata_answered(ctx, result.is_ok()) else { return };
        let answer = match result {
            Ok(Response::Other(kind)) => match *kind {
                ResponseKind::FetchSnapshot(mut answer) if answer.error_code == 0 => {
                    answer.topics.pop().and_then(|mut topic| topic.partitions.pop())
                }
                _ => None,
            },
            _ => None,
        };
        let Some(answer) = answer else {
            self.controller.pause(from, ctx.now);
            return self.fetch_metadata(ctx);
        };
        let leader = &answer.current_leader;
        let learnt = self.learn_controller(leader.leader_id.0, leader.leader_epoch);
        let Some(download) = &mut self.metadata.download else { return self.fetch_metadata(ctx) };
        let expected = (download.id.end_offset, download.id.epoch, download.bytes.len() as i64);
        let came = (answer.snapshot_id.end_offset, answer.snapshot_id.epoch, answer.position);
        if answer.error_code != 0 || came != expected {
            // Gone in the meantime, or asked of the wrong controller: the next fetch says what to do.
            self.metadata.download = None;
            if !learnt && answer.error_code != ErrorCode::SnapshotNotFound.code() {
                self.controller.pause(from, ctx.now);
            }
            return self.fetch_metadata(ctx);
        }
        download.bytes.extend_from_slice(&answer.unaligned_records);
        if download.bytes.len() as i64 >= answer.size {
            let (id, contents) = (download.id, std::mem::take(&mut download.bytes).freeze());
            self.metadata.download = None;
            if let Err(error) = self.install_snapshot(ctx, id, &contents) {
                ctx.trace(TraceKind::MetadataNotTaken { what: "snapshot", cause: error.to_string() });
                self.controller.pause(from, ctx.now);
            }
        }
        self.fetch_metadata(ctx);
        self.publish_metadata(ctx);
    }

    /// Puts a snapshot in the place of our copy of the log and of the metadata.
    fn install_snapshot(
        &mut self,
        ctx: &mut Ctx<'_>,
        id: SnapshotId,
        contents: &Bytes,
    ) -> Result<(), String> {
        // What was folded in and not acted upon comes first: the snapshot's delta begins where it ends.
        self.publish_metadata(ctx);
        let metadata = &mut self.metadata;
        let now_ms = ctx.wall.millis();
        let dir = metadata.log().dir().to_owned();
        let written = self
            .disk
            .write_file(&format!("{dir}/{}", id.file_name()), contents)
            .map_err(LogError::from)
            .and_then(|()| {
                metadata.log_mut().truncate_fully_and_start_at(&mut *self.disk, id.end_offset, None, now_ms)
            });
        written.map_err(|error| self.on_metadata_log_failure(ctx, &error))?;
        if let Some(old) = self.metadata.snapshot.replace(id).filter(|old| *old != id) {
            // Left behind it does no harm: the newest counts.
            let _ = self.disk.delete(&format!("{dir}/{}", old.file_name()));
        }
        self.metadata.load_snapshot(contents, id).map_err(|error| error.to_string())?;
        ctx.trace(TraceKind::SnapshotLoaded { end_offset: id.end_offset, epoch: id.epoch });
        Ok(())
    }
}
