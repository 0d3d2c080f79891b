//! Reads: for consumers below the high watermark, for followers to the log end, with the epoch checks R8 and R9.

use klamm_log::{Disk, EpochEndOffset, FetchData, FetchIsolation, LogError, ReadError};
use klamm_node::NodeId;
use klamm_wire::ErrorCode;

use crate::partition::isr::IsrProposal;
use crate::partition::{Changes, LeaderEnv, LeaderState, Partition};

/// What a fetch asks of one partition (`FetchRequest.PartitionData`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PartitionFetch {
    /// Where to read.
    pub(crate) fetch_offset: i64,
    /// First offset of the follower's log; -1 from a consumer.
    pub(crate) log_start_offset: i64,
    /// The most to return, in bytes.
    pub(crate) max_bytes: i32,
    /// The leader epoch that the fetcher knows.
    pub(crate) current_leader_epoch: Option<i32>,
    /// The epoch of the last record that the fetcher has.
    pub(crate) last_fetched_epoch: Option<i32>,
}

/// Who fetches, and how far it may see (`FetchParams`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FetchParams {
    /// The follower; -1 for a consumer.
    pub(crate) replica: NodeId,
    /// The follower's broker epoch; -1 when unknown.
    pub(crate) replica_epoch: i64,
    /// Whether only the leader may answer: always for followers, and for consumers before version 11 (KIP-392).
    pub(crate) only_leader: bool,
    /// How far it may see.
    pub(crate) isolation: FetchIsolation,
    /// Answer as soon as this many bytes are there.
    pub(crate) min_bytes: i32,
    /// The most to return, in bytes.
    pub(crate) max_bytes: i32,
}

impl FetchParams {
    /// Whether a follower asks.
    pub(crate) const fn is_from_follower(&self) -> bool {
        self.replica.0 >= 0
    }
}

/// What a read found (`LogReadInfo`). Offsets are those from before the read.
#[derive(Debug, Clone)]
pub(crate) struct ReadInfo {
    /// The records.
    pub(crate) data: FetchData,
    /// Where the fetcher's log leaves ours; nothing was read then.
    pub(crate) diverging: Option<EpochEndOffset>,
    /// The high watermark.
    pub(crate) high_watermark: i64,
    /// First offset of the log.
    pub(crate) log_start_offset: i64,
    /// The log end.
    pub(crate) log_end_offset: i64,
    /// The last stable offset.
    pub(crate) last_stable_offset: i64,
    /// Whether there is more to read than was returned.
    pub(crate) more: bool,
}

/// Why nothing was read.
#[derive(Debug, Clone)]
pub(crate) enum ReadFailure {
    /// The fetch is refused with this error.
    Refused(ErrorCode),
    /// The storage failed.
    Storage(LogError),
}

impl From<ErrorCode> for ReadFailure {
    fn from(error: ErrorCode) -> Self {
        Self::Refused(error)
    }
}

impl Partition {
    /// Reads for a consumer or follower (`Partition.fetchRecords`). `max_bytes` is what is left of the request's limit.
    pub(crate) fn read(
        &self,
        disk: &dyn Disk,
        params: &FetchParams,
        fetch: &PartitionFetch,
        max_bytes: usize,
        min_one_batch: bool,
    ) -> Result<ReadInfo, ReadFailure> {
        self.check_fetch(params, fetch)?;
        let offsets = self.log.offsets();
        let mut info = ReadInfo {
            data: FetchData::default(),
            diverging: None,
            high_watermark: offsets.high_watermark,
            log_start_offset: offsets.log_start_offset,
            log_end_offset: offsets.log_end_offset,
            last_stable_offset: offsets.last_stable_offset,
            more: false,
        };
        if let Some(epoch) = fetch.last_fetched_epoch {
            let end = self.log.end_offset_for_epoch(epoch).ok_or(ErrorCode::OffsetOutOfRange)?;
            if fetch.fetch_offset < offsets.log_start_offset {
                return Err(ErrorCode::OffsetOutOfRange.into());
            }
            if end.epoch < epoch || end.end_offset < fetch.fetch_offset {
                info.diverging = Some(end);
                return Ok(info);
            }
        }
        let bound = match params.isolation {
            FetchIsolation::LogEnd => offsets.log_end_offset,
            FetchIsolation::HighWatermark => offsets.high_watermark,
            FetchIsolation::TxnCommitted => offsets.last_stable_offset,
        };
        if fetch.fetch_offset == bound {
            // The common case of a fetch that waits: nothing to read, and the log need not be asked.
            return Ok(info);
        }
        info.data = self
            .log
            .read(disk, fetch.fetch_offset, max_bytes, params.isolation, min_one_batch)
            .map_err(|error| match error {
                ReadError::Log(error) => ReadFailure::Storage(error),
                error => ReadFailure::Refused(error.code()),
            })?;
        info.more = fetch.fetch_offset < bound;
        Ok(info)
    }

    /// Whether this replica may answer a fetch: its epoch, its role, its follower. R8.
    pub(crate) fn check_fetch(&self, params: &FetchParams, fetch: &PartitionFetch) -> Result<(), ErrorCode> {
        self.check_epoch(fetch.current_leader_epoch)?;
        if params.only_leader && !self.is_leader() {
            return Err(ErrorCode::NotLeaderOrFollower);
        }
        let is_replica = |state: &LeaderState| state.remote(params.replica).is_some();
        if params.is_from_follower() && !self.leading.as_ref().is_some_and(is_replica) {
            // With an epoch that matches ours, the follower's metadata is newer: it shall try again.
            return Err(match fetch.current_leader_epoch {
                Some(_) => ErrorCode::UnknownLeaderEpoch,
                None => ErrorCode::NotLeaderOrFollower,
            });
        }
        if fetch.max_bytes < 0 {
            // Kafka's log refuses it with an exception that nobody expects.
            return Err(ErrorCode::UnknownServerError);
        }
        Ok(())
    }

    /// Takes note of a follower's fetch (`Partition.updateFollowerFetchState`): it may join the ISR, and the high watermark
    /// may move. The proposal to send, if it may join.
    pub(crate) fn update_follower(
        &mut self,
        params: &FetchParams,
        fetch: &PartitionFetch,
        leader_end_offset: i64,
        session_id: i32,
        env: LeaderEnv<'_>,
    ) -> Result<Option<IsrProposal>, ErrorCode> {
        // A fetch of an earlier incarnation must not count for the present one (KIP-903).
        if params.replica_epoch != -1
            && env.cluster.is_unfenced(params.replica)
            && env.cluster.epoch(params.replica).is_some_and(|cached| cached > params.replica_epoch)
        {
            return Err(ErrorCode::NotLeaderOrFollower);
        }
        let Some(replica) = self.leading.as_mut().and_then(|l| l.remote_mut(params.replica)) else {
            return Err(ErrorCode::NotLeaderOrFollower);
        };
        let (end_before, start_before) = (replica.log_end_offset, replica.log_start_offset);
        replica.session_id = session_id;
        replica.update_fetch_state(
            fetch.fetch_offset,
            fetch.log_start_offset,
            env.now_ms,
            leader_end_offset,
            params.replica_epoch,
        );
        if start_before != fetch.log_start_offset {
            self.changes.add(Changes::LOG_START);
        }
        let proposal = self.maybe_expand_isr(params.replica, env);
        if end_before != fetch.fetch_offset {
            self.maybe_increment_high_watermark(env);
        }
        Ok(proposal)
    }

    /// Whether a follower has nothing to gain from its next fetch: in the ISR, and all of its state is told.
    pub(crate) fn follower_is_settled(&self, follower: NodeId) -> bool {
        self.isr.contains(&follower) && self.leading.as_ref().is_some_and(|l| !l.isr_state.is_inflight())
    }
}
