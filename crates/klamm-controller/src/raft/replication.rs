//! Replication of the metadata log: what a leader knows of who follows it, and what a follower fetches.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use klamm_log::LogError;
use klamm_metadata::{METADATA_TOPIC, METADATA_TOPIC_ID};
use klamm_node::{Ctx, NodeId, Timestamp, TopicPartition, TraceKind};
use klamm_wire::messages::describe_quorum_response::ReplicaState as DescribedReplica;
use klamm_wire::messages::fetch_request::{FetchPartition as Asked, FetchTopic, ReplicaState as Asker};
use klamm_wire::messages::fetch_response::EpochEndOffset;
use klamm_wire::messages::{BrokerId, FetchRequest, TopicName};
use klamm_wire::{ErrorCode, FetchPartition, FetchResponse, StrBytes, Uuid};

use super::connections::Purpose;
use super::quorum_state::State;
use super::{Raft, RaftConfig};

/// How long a leader may wait for something to answer a fetch with, in milliseconds (`KafkaRaftClient.MAX_FETCH_WAIT_MS`).
pub(super) const MAX_FETCH_WAIT_MS: i32 = 500;
/// The version that the metadata log is fetched with: 18 tells the high watermark (KIP-1166).
const FETCH_VERSION: i16 = 18;
/// After this long without a fetch an observer is forgotten (`LeaderState.OBSERVER_SESSION_TIMEOUT_MS`).
const OBSERVER_SESSION: Duration = Duration::from_secs(300);

/// What a leader knows of one that fetches from it.
#[derive(Debug, Clone, Default)]
struct Replica {
    directory_id: Uuid,
    /// Its log end; `None` before its first fetch.
    end_offset: Option<i64>,
    last_fetch: Option<Timestamp>,
    last_fetch_ms: i64,
    last_fetch_leader_end: i64,
    last_caught_up_ms: i64,
}

/// What a voter keeps while it leads an epoch.
#[derive(Debug, Clone)]
pub(super) struct LeaderState {
    /// Where the epoch begins in the log.
    pub(super) epoch_start: i64,
    voters: BTreeMap<NodeId, Replica>,
    observers: BTreeMap<(NodeId, Uuid), Replica>,
    /// The voters that fetched since the quorum was last known to be there.
    fetched: BTreeSet<NodeId>,
    /// When the leader resigns unless a majority fetches before; never where it is the only voter.
    check_quorum_at: Option<Timestamp>,
    check_quorum_timeout: Duration,
    /// When voters that do not fetch are told again who leads.
    pub(super) begin_epoch_at: Timestamp,
}

impl LeaderState {
    pub(super) fn new(
        now: Timestamp,
        epoch_start: i64,
        voters: &[NodeId],
        me: NodeId,
        config: &RaftConfig,
    ) -> Self {
        let replica = || Replica { last_fetch_ms: -1, last_caught_up_ms: -1, ..Replica::default() };
        // `LeaderState.CHECK_QUORUM_TIMEOUT_FACTOR`
        let check_quorum_timeout = config.fetch_timeout * 3 / 2;
        Self {
            epoch_start,
            voters: voters.iter().map(|voter| (*voter, replica())).collect(),
            observers: BTreeMap::new(),
            fetched: BTreeSet::new(),
            check_quorum_at: (config.check_quorum && voters != [me]).then_some(now + check_quorum_timeout),
            check_quorum_timeout,
            begin_epoch_at: now,
        }
    }

    pub(super) const fn check_quorum_at(&self) -> Option<Timestamp> {
        self.check_quorum_at
    }

    /// The other voters, those whose logs reach furthest first.
    pub(super) fn voters_by_progress(&self, me: NodeId) -> Vec<NodeId> {
        let mut voters: Vec<_> = self.voters.iter().filter(|(voter, _)| **voter != me).collect();
        voters.sort_by_key(|(voter, replica)| (std::cmp::Reverse(replica.end_offset), **voter));
        voters.into_iter().map(|(voter, _)| *voter).collect()
    }

    /// The other voters that have not fetched for `interval`.
    pub(super) fn silent_voters(&self, me: NodeId, now: Timestamp, interval: Duration) -> Vec<NodeId> {
        let silent = |replica: &Replica| replica.last_fetch.is_none_or(|last| last + interval <= now);
        self.voters.iter().filter(|(id, r)| **id != me && silent(r)).map(|(id, _)| *id).collect()
    }

    /// A voter is there (`updateCheckQuorumForFollowingVoter`).
    pub(super) fn note_contact(&mut self, voter: NodeId, now: Timestamp) {
        if !self.voters.contains_key(&voter) {
            return;
        }
        self.fetched.insert(voter);
        // The leader itself counts towards the majority.
        if self.fetched.len() >= self.voters.len() / 2 && self.check_quorum_at.is_some() {
            self.fetched.clear();
            self.check_quorum_at = Some(now + self.check_quorum_timeout);
        }
    }

    /// Notes what a fetch says of its sender (`ReplicaState.updateFollowerState`).
    fn note_fetch(&mut self, ctx: &Ctx<'_>, from: NodeId, directory_id: Uuid, offset: i64, leader_end: i64) {
        let replica = match self.voters.get_mut(&from) {
            Some(voter) => voter,
            None => self.observers.entry((from, directory_id)).or_insert_with(|| Replica {
                last_fetch_ms: -1,
                last_caught_up_ms: -1,
                ..Replica::default()
            }),
        };
        let now_ms = ctx.wall.millis();
        if offset >= leader_end {
            replica.last_caught_up_ms = replica.last_caught_up_ms.max(now_ms);
        } else if replica.last_fetch_leader_end > 0 && offset >= replica.last_fetch_leader_end {
            replica.last_caught_up_ms = replica.last_caught_up_ms.max(replica.last_fetch_ms);
        }
        replica.directory_id = directory_id;
        replica.last_fetch_leader_end = leader_end;
        replica.last_fetch_ms = replica.last_fetch_ms.max(now_ms);
        replica.last_fetch = Some(ctx.now);
        replica.end_offset = Some(offset);
        self.note_contact(from, ctx.now);
    }

    /// Notes that one that held everything still asked for more at a moment.
    pub(super) fn note_idle_fetch(&mut self, from: NodeId, directory_id: Uuid, at: Timestamp, wall_ms: i64) {
        let replica = match self.voters.get_mut(&from) {
            Some(voter) => Some(voter),
            None => self.observers.get_mut(&(from, directory_id)),
        };
        if let Some(replica) = replica {
            replica.last_caught_up_ms = replica.last_caught_up_ms.max(wall_ms);
            replica.last_fetch_ms = replica.last_fetch_ms.max(wall_ms);
            replica.last_fetch = Some(at);
        }
        self.note_contact(from, at);
    }

    /// The offset that a majority of the voters has, the leader's durable end among them.
    fn majority_offset(&self, me: NodeId, own_end: i64) -> Option<i64> {
        let end =
            |(id, replica): (&NodeId, &Replica)| if *id == me { Some(own_end) } else { replica.end_offset };
        let mut ends: Vec<Option<i64>> = self.voters.iter().map(end).collect();
        ends.sort_unstable_by(|a, b| b.cmp(a));
        ends[ends.len() / 2]
    }
}

/// A fetch of the log, by a voter or an observer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted {
    pub(crate) from: NodeId,
    pub(crate) directory_id: Uuid,
    pub(crate) offset: i64,
    pub(crate) last_fetched_epoch: i32,
    pub(crate) current_leader_epoch: i32,
    pub(crate) max_bytes: usize,
    /// The high watermark that the fetcher knows (KIP-1166); one that does not say is not told of a newer one alone.
    pub(crate) high_watermark: i64,
}

/// Where a fetcher's log leaves ours.
enum Validity {
    Valid,
    Diverging { epoch: i32, end_offset: i64 },
    Snapshot { end_offset: i64, epoch: i32 },
}

impl Raft {
    /// Moves the high watermark to what a majority has, once that includes a record of this epoch. True when it moved.
    pub(super) fn update_leader_high_watermark(&mut self) -> bool {
        let State::Leader(leader) = &self.state else { return false };
        let Some(offset) = leader.majority_offset(self.me, self.log.recovery_point()) else { return false };
        if offset <= leader.epoch_start || self.high_watermark.is_some_and(|known| offset <= known) {
            return false;
        }
        self.high_watermark = Some(offset);
        self.log.update_high_watermark(offset);
        true
    }

    /// Whether a request of this leader epoch may be answered by us (`validateLeaderOnlyRequest`).
    pub(super) const fn leader_only_error(&self, epoch: i32) -> Option<ErrorCode> {
        if epoch < self.epoch {
            Some(ErrorCode::FencedLeaderEpoch)
        } else if epoch > self.epoch {
            Some(ErrorCode::UnknownLeaderEpoch)
        } else if !self.is_leader() {
            Some(ErrorCode::NotLeaderOrFollower)
        } else {
            None
        }
    }

    /// The answer to a fetch as of now, and whether it is worth sending at once (`tryCompleteFetchRequest`). `note` says
    /// whether the fetch counts as news of its sender.
    pub(super) fn read_for(&mut self, ctx: &Ctx<'_>, wanted: Wanted, note: bool) -> (FetchResponse, bool) {
        // Who asks with no epoch asks whoever leads.
        let asked_epoch =
            if wanted.current_leader_epoch == -1 { self.epoch } else { wanted.current_leader_epoch };
        if let Some(error) = self.leader_only_error(asked_epoch) {
            return (self.fetch_response(FetchPartition::error(0, error)), true);
        }
        let mut partition = FetchPartition::error(0, ErrorCode::None);
        let mut worth_sending;
        match self.validate_offset(wanted.offset, wanted.last_fetched_epoch) {
            Validity::Valid => {
                let leader_end = self.log.log_end_offset();
                if let State::Leader(leader) = &mut self.state
                    && note
                    && wanted.from.0 >= 0
                    && wanted.from != self.me
                {
                    leader.note_fetch(ctx, wanted.from, wanted.directory_id, wanted.offset, leader_end);
                }
                self.update_leader_high_watermark();
                match self.read_log(wanted.offset, wanted.max_bytes) {
                    Ok(records) => {
                        worth_sending = !records.is_empty();
                        partition.records = records;
                    }
                    Err(error) => {
                        worth_sending = true;
                        partition.error_code = error.code();
                    }
                }
            }
            Validity::Diverging { epoch, end_offset } => {
                worth_sending = true;
                let end = EpochEndOffset::default().with_epoch(epoch).with_end_offset(end_offset);
                partition.diverging_epoch = Some(end);
            }
            Validity::Snapshot { end_offset, epoch } => {
                worth_sending = true;
                let id = klamm_wire::messages::fetch_response::SnapshotId::default();
                partition.snapshot_id = Some(id.with_end_offset(end_offset).with_epoch(epoch));
            }
        }
        let high_watermark = self.high_watermark.unwrap_or(-1);
        worth_sending |= wanted.high_watermark < high_watermark;
        partition.log_start_offset = self.log.log_start_offset();
        partition.high_watermark = high_watermark;
        (self.fetch_response(partition), worth_sending)
    }

    /// Where the log of one whose last record at `offset - 1` is of `epoch` leaves ours (`RaftLog.validateOffsetAndEpoch`).
    fn validate_offset(&self, offset: i64, epoch: i32) -> Validity {
        let latest = self.snapshots.latest();
        if offset == 0 && latest.is_some() || self.needs_snapshot(offset, epoch) {
            return match latest {
                Some(id) => Validity::Snapshot { end_offset: id.end_offset, epoch: id.epoch },
                None => Validity::Valid,
            };
        }
        if self.log.log_start_offset() == 0 && offset == 0 {
            return Validity::Valid;
        }
        let end = self.end_offset_for_epoch(epoch);
        if end.1 == epoch && end.0 >= offset {
            Validity::Valid
        } else {
            Validity::Diverging { epoch: end.1, end_offset: end.0 }
        }
    }

    fn needs_snapshot(&self, offset: i64, epoch: i32) -> bool {
        let start = self.log.log_start_offset();
        self.snapshots.earliest().is_some_and(|earliest| {
            offset < start || (offset == start && epoch != earliest.epoch) || epoch < earliest.epoch
        })
    }

    /// The end of an epoch in our log, as (offset, epoch) (`KafkaRaftLog.endOffsetForEpoch`).
    fn end_offset_for_epoch(&self, epoch: i32) -> (i64, i32) {
        match self.log.end_offset_for_epoch(epoch) {
            Some(end) => match self.snapshots.earliest() {
                // The epoch is older than any in the log: the snapshot at the log's start knows which it was.
                Some(earliest) if end.end_offset == earliest.end_offset && end.epoch == epoch => {
                    (earliest.end_offset, earliest.epoch)
                }
                _ => (end.end_offset, end.epoch),
            },
            None => (self.log.log_end_offset(), self.last_epoch()),
        }
    }

    fn fetch_response(&self, mut partition: FetchPartition) -> FetchResponse {
        partition.current_leader = Some(
            klamm_wire::messages::fetch_response::LeaderIdAndEpoch::default()
                .with_leader_id(BrokerId(self.leader_or_none()))
                .with_leader_epoch(self.epoch),
        );
        let topic = klamm_wire::FetchTopic {
            topic: StrBytes::from_static_str(METADATA_TOPIC),
            topic_id: METADATA_TOPIC_ID,
            partitions: vec![partition],
        };
        FetchResponse { topics: vec![topic], ..FetchResponse::default() }
    }

    /// Fetches from the leader, or asks anybody where it is, unless a fetch is under way (`maybeSendFetchToBestNode`).
    pub(super) fn send_fetch(&mut self, ctx: &mut Ctx<'_>) {
        // What was appended must be durable before the leader may count it.
        if self.connections.is_fetching() || self.log.recovery_point() < self.log.log_end_offset() {
            return;
        }
        let leader = match &self.state {
            State::Follower(follower) => Some(follower.leader),
            State::Unattached { .. } => None,
            _ => return,
        };
        let to =
            leader.filter(|leader| self.connections.is_ready(*leader, ctx.now)).or_else(|| self.anybody(ctx));
        let Some(to) = to else { return };
        if let State::Follower(follower) = &self.state
            && let Some(download) = &follower.download
            && to == follower.leader
        {
            let request = self.fetch_snapshot_request(download);
            return self.send(ctx, to, 1, request.into(), Purpose::FetchSnapshot);
        }
        let asked = Asked::default()
            .with_partition(0)
            .with_current_leader_epoch(self.epoch)
            .with_fetch_offset(self.log.log_end_offset())
            .with_last_fetched_epoch(self.last_epoch())
            .with_log_start_offset(self.log.log_start_offset())
            .with_partition_max_bytes(self.config.fetch_max_bytes)
            .with_replica_directory_id(self.directory_id)
            .with_high_watermark(self.high_watermark.unwrap_or(-1));
        let topic = FetchTopic::default()
            .with_topic(TopicName(StrBytes::from_static_str(METADATA_TOPIC)))
            .with_topic_id(METADATA_TOPIC_ID)
            .with_partitions(vec![asked]);
        let request = FetchRequest::default()
            .with_cluster_id(Some(self.cluster_id.clone()))
            .with_replica_state(Asker::default().with_replica_id(BrokerId(self.me.0)))
            .with_max_wait_ms(MAX_FETCH_WAIT_MS)
            .with_min_bytes(0)
            .with_max_bytes(self.config.fetch_max_bytes)
            .with_session_epoch(0)
            .with_topics(vec![topic]);
        self.send(ctx, to, FETCH_VERSION, request.into(), Purpose::Fetch);
    }

    /// Some other voter that can be asked now (`findReadyBootstrapServer`).
    fn anybody(&mut self, ctx: &Ctx<'_>) -> Option<NodeId> {
        let others: Vec<NodeId> = self.voters.iter().copied().filter(|voter| *voter != self.me).collect();
        let ready = |voter: &NodeId| self.connections.is_ready(*voter, ctx.now);
        if !others.iter().any(ready) {
            return None;
        }
        let first = usize::try_from(self.rng.below(others.len() as u64)).unwrap_or(0);
        let (before, from) = others.split_at(first);
        from.iter().chain(before).copied().find(ready)
    }

    /// A fetch was answered (`handleFetchResponse`). False when the node is to be left alone for a while.
    pub(super) fn on_fetch_response(
        &mut self,
        ctx: &mut Ctx<'_>,
        mut response: FetchResponse,
    ) -> Result<bool, LogError> {
        let answer = response.topics.pop().and_then(|mut topic| topic.partitions.pop());
        let Some(answer) = answer.filter(|_| response.error_code == ErrorCode::None) else {
            return Ok(false);
        };
        let (leader, epoch) = answer
            .current_leader
            .as_ref()
            .map_or((-1, -1), |leader| (leader.leader_id.0, leader.leader_epoch));
        let handled = self.on_common_response(ctx, answer.error_code.code(), leader, epoch)?;
        if let Some(handled) = handled {
            return Ok(handled);
        }
        if answer.error_code != ErrorCode::None || !matches!(self.state, State::Follower(_)) {
            return Ok(false);
        }
        let now_ms = ctx.wall.millis();
        if let Some(end) = &answer.diverging_epoch {
            self.truncate_to_divergence(ctx, end.end_offset, end.epoch)?;
        } else if let Some(id) = &answer.snapshot_id {
            self.begin_download(id.end_offset, id.epoch);
        } else {
            if !answer.records.is_empty() {
                self.log
                    .append_as_follower(self.disk.as_mut(), &answer.records, self.epoch, now_ms)
                    .map_err(super::storage_error)?;
                self.flush(now_ms)?;
            }
            self.update_follower_high_watermark(answer.high_watermark);
        }
        self.note_successful_fetch(ctx);
        Ok(true)
    }

    /// The leader is there: it is followed for another timeout.
    pub(super) fn note_successful_fetch(&mut self, ctx: &Ctx<'_>) {
        let timeout = self.config.fetch_timeout;
        if let State::Follower(follower) = &mut self.state {
            follower.fetch_deadline = ctx.now + timeout;
            follower.has_fetched = true;
        }
    }

    /// Takes over the leader's word on what is committed, as far as our log reaches.
    fn update_follower_high_watermark(&mut self, high_watermark: i64) {
        let offset = high_watermark.min(self.log.log_end_offset());
        if offset >= 0 && self.high_watermark.is_none_or(|known| known < offset) {
            self.high_watermark = Some(offset);
            self.log.update_high_watermark(offset);
        }
    }

    /// Drops what the leader does not have (`RaftLog.truncateToEndOffset`). What is committed it must have.
    fn truncate_to_divergence(
        &mut self,
        ctx: &mut Ctx<'_>,
        end_offset: i64,
        epoch: i32,
    ) -> Result<(), LogError> {
        let log_end = self.log.log_end_offset();
        let target = if epoch == 0 {
            end_offset.min(log_end)
        } else {
            let (own_offset, own_epoch) = self.end_offset_for_epoch(epoch);
            if own_epoch == epoch { own_offset.min(end_offset) } else { own_offset }
        };
        if self.high_watermark.is_some_and(|committed| target < committed) {
            return Err(LogError::Invalid(format!(
                "the leader asked for the metadata log to be truncated to {target}, below what is committed"
            )));
        }
        self.log.truncate_to(self.disk.as_mut(), target, ctx.wall.millis())?;
        if target < log_end {
            ctx.trace(TraceKind::LogTruncated {
                partition: TopicPartition::new(StrBytes::from_static_str(METADATA_TOPIC), 0),
                from: log_end,
                to: self.log.log_end_offset(),
                cause: "diverged from the quorum's leader",
            });
        }
        Ok(())
    }

    /// Everybody who fetches, for DescribeQuorum: the voters, then the observers.
    pub(crate) fn described(
        &mut self,
        ctx: &Ctx<'_>,
    ) -> Option<(Vec<DescribedReplica>, Vec<DescribedReplica>)> {
        let (me, own_end) = (self.me, self.log.log_end_offset());
        let State::Leader(leader) = &mut self.state else { return None };
        leader
            .observers
            .retain(|_, replica| replica.last_fetch.is_some_and(|last| last + OBSERVER_SESSION > ctx.now));
        let now_ms = ctx.wall.millis();
        let describe = |id: NodeId, replica: &Replica| {
            let (end, fetched, caught_up) = if id == me {
                (own_end, now_ms, now_ms)
            } else {
                (replica.end_offset.unwrap_or(-1), replica.last_fetch_ms, replica.last_caught_up_ms)
            };
            DescribedReplica::default()
                .with_replica_id(BrokerId(id.0))
                .with_replica_directory_id(if id == me { Uuid::nil() } else { replica.directory_id })
                .with_log_end_offset(end)
                .with_last_fetch_timestamp(fetched)
                .with_last_caught_up_timestamp(caught_up)
        };
        let voters = leader.voters.iter().map(|(id, replica)| describe(*id, replica)).collect();
        let observers = leader.observers.iter().map(|((id, _), replica)| describe(*id, replica)).collect();
        Some((voters, observers))
    }
}
