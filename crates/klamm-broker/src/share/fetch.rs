//! Share fetches: what a request reads, and when it is answered (`DelayedShareFetch`, `ShareFetchUtils`).

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use klamm_log::{FetchData, FetchIsolation};
use klamm_node::{ConnectionId, Ctx, NodeId, ReplyTo, ShareEvent};
use klamm_wire::messages::share_fetch_response::{AcquiredRecords, PartitionData};
use klamm_wire::messages::{ResponseKind, ShareFetchResponse};
use klamm_wire::record::batch::BatchIter;
use klamm_wire::{ErrorCode, RecordBatch, StrBytes, Uuid};

use super::acquire::{Acquired, Acquisition, Span, count};
use super::key::SharePartitionKey;
use super::manager::{SharePartitionManager, trace_name};
use super::pending::{Fetched, PendingId};
use super::session::TopicPartitionId;
use crate::core::{Core, join};
use crate::partition::fetch::{FetchParams, PartitionFetch, ReadFailure};
use crate::purgatory::OpId;

/// What a waiting fetch is told of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Watch {
    /// A share-partition: records are free, or may be read.
    Group(SharePartitionKey),
    /// A partition's log: there is more of it.
    Log(Uuid, i32),
}

/// What waits.
#[derive(Debug, Clone)]
pub(crate) enum Wait {
    /// A fetch.
    Fetch(ShareFetch),
    /// A member that got no session: it is told late, so that it does not come again at once.
    TooManySessions(ReplyTo),
}

/// A fetch.
#[derive(Debug, Clone)]
pub(crate) struct ShareFetch {
    /// The response that it is a part of.
    pub(crate) pending: PendingId,
    /// Whose it is.
    pub(crate) connection: Option<ConnectionId>,
    /// The group.
    pub(crate) group: StrBytes,
    /// The member.
    pub(crate) member: StrBytes,
    /// What it reads, in order.
    pub(crate) partitions: Vec<TopicPartitionId>,
    /// Answer as soon as this many bytes are there.
    pub(crate) min_bytes: i32,
    /// The most bytes to return.
    pub(crate) max_bytes: i32,
    /// The most records to return, about.
    pub(crate) max_records: i32,
    /// Whether it gets no record more than that.
    pub(crate) strict: bool,
    /// How many records an acquired batch shall have, about.
    pub(crate) batch_size: i32,
    /// How far it may see.
    pub(crate) isolation: FetchIsolation,
    /// Answers for partitions that the cluster does not have.
    pub(crate) refused: Vec<Fetched>,
    /// Partitions that cannot be read, and why.
    pub(crate) failed: BTreeMap<TopicPartitionId, (ErrorCode, Option<StrBytes>)>,
}

/// What was read of a log.
struct Read {
    id: TopicPartitionId,
    offset: i64,
    data: Result<(Vec<RecordBatch>, Vec<Span>), ErrorCode>,
}

impl SharePartitionManager {
    /// Answers a fetch now, or parks it until `max_wait_ms` has passed.
    pub(crate) fn start_fetch(
        &mut self,
        core: &mut Core,
        ctx: &mut Ctx<'_>,
        mut op: ShareFetch,
        max_wait_ms: i32,
    ) {
        if op.partitions.is_empty() || op.max_records == 0 || op.max_bytes == 0 {
            let failed = failures(&op);
            return self.fetched(core, ctx, op.pending, failed);
        }
        let mut watches = Vec::new();
        let mut loading = Vec::new();
        for (topic_id, partition) in op.partitions.clone() {
            let key = SharePartitionKey { group: op.group.clone(), topic_id, partition };
            match self.partition(core, ctx, &key) {
                Err(error) => drop(op.failed.insert((topic_id, partition), (error, None))),
                Ok(held) => {
                    if !held.partition.is_active() && held.loading_for.is_none() {
                        loading.push(key.clone());
                    }
                    watches.push(Watch::Log(topic_id, partition));
                    watches.push(Watch::Group(key));
                }
            }
        }
        if op.failed.len() == op.partitions.len() {
            let failed = failures(&op);
            return self.fetched(core, ctx, op.pending, failed);
        }
        if let Some(done) = self.try_fetch(core, ctx, &op, max_wait_ms <= 0) {
            return self.fetched(core, ctx, op.pending, done);
        }
        let deadline = ctx.now + Duration::from_millis(max_wait_ms.max(0).unsigned_abs().into());
        let connection = op.connection;
        let id = self.waiting.insert(Wait::Fetch(op), watches, deadline, ctx.trace.effect());
        if let Some(connection) = connection {
            self.parked.insert(connection, id);
        }
        for key in loading {
            if let Some(held) = self.partitions.get_mut(&key) {
                held.loading_for = Some(id);
            }
        }
    }

    /// Lets a member wait that got no session.
    pub(crate) fn refuse_late(&mut self, ctx: &Ctx<'_>, to: ReplyTo, max_wait_ms: i32) {
        let deadline = ctx.now + Duration::from_millis(max_wait_ms.max(0).unsigned_abs().into());
        self.waiting.insert(Wait::TooManySessions(to), Vec::new(), deadline, ctx.trace.effect());
    }

    /// Looks again at what waits; with `force` its time is up.
    pub(super) fn check(&mut self, core: &mut Core, ctx: &mut Ctx<'_>, id: OpId, force: bool) {
        match self.waiting.lend(id) {
            None => {}
            Some(Wait::TooManySessions(to)) => {
                if !force {
                    return self.waiting.give_back(id, Wait::TooManySessions(to));
                }
                self.waiting.take(id);
                let code = ErrorCode::ShareSessionLimitReached.code();
                ctx.reply(to, ResponseKind::ShareFetch(ShareFetchResponse::default().with_error_code(code)));
            }
            Some(Wait::Fetch(op)) => match self.try_fetch(core, ctx, &op, force) {
                None => self.waiting.give_back(id, Wait::Fetch(op)),
                Some(done) => {
                    self.waiting.take(id);
                    if let Some(connection) = op.connection {
                        self.parked.remove(&connection);
                    }
                    self.fetched(core, ctx, op.pending, done);
                }
            },
        }
    }

    /// Ends the wait of everything whose time is up.
    pub(crate) fn expire(&mut self, core: &mut Core, ctx: &mut Ctx<'_>) {
        while let Some((id, cause)) = self.waiting.first_due(ctx.now) {
            ctx.follow(cause);
            self.check(core, ctx, id, true);
        }
    }

    /// The earliest deadline of what waits.
    pub(crate) fn next_deadline(&self) -> Option<klamm_node::Timestamp> {
        self.waiting.next_deadline()
    }

    fn try_fetch(
        &mut self,
        core: &mut Core,
        ctx: &mut Ctx<'_>,
        op: &ShareFetch,
        force: bool,
    ) -> Option<Vec<Fetched>> {
        let limits = self.config.limits(core, &op.group);
        let mut readable = Vec::new();
        for id in op.partitions.iter().filter(|id| !op.failed.contains_key(id)) {
            let key = SharePartitionKey { group: op.group.clone(), topic_id: id.0, partition: id.1 };
            let Some(held) = self.partitions.get_mut(&key).filter(|held| held.partition.is_active()) else {
                continue;
            };
            if held.partition.can_acquire(limits) {
                readable.push((*id, held.partition.next_fetch_offset()));
            }
        }
        if readable.is_empty() {
            return force.then(|| failures(op));
        }
        let each = usize::try_from(op.max_bytes).unwrap_or(0) / readable.len();
        let mut left = usize::try_from(op.max_bytes).unwrap_or(0);
        let (mut reads, mut size, mut wrong) = (Vec::new(), 0, false);
        for (id, offset) in readable {
            let data = core.read_shared(ctx, id, offset, op.isolation, each.min(left), size == 0);
            match &data {
                Ok((batches, _)) => {
                    let read = batches.iter().map(RecordBatch::size).sum::<usize>();
                    size += read;
                    left = left.saturating_sub(read);
                }
                Err(_) => wrong = true,
            }
            reads.push(Read { id, offset, data });
        }
        if !(force || wrong || size >= usize::try_from(op.min_bytes).unwrap_or(0)) {
            return None;
        }
        let mut wanted = i64::from(op.max_records);
        let mut done = failures(op);
        for read in reads {
            done.push(self.take(core, ctx, op, read, &mut wanted));
        }
        Some(done)
    }

    /// Gives a member what was read of one partition.
    fn take(
        &mut self,
        core: &mut Core,
        ctx: &mut Ctx<'_>,
        op: &ShareFetch,
        read: Read,
        wanted: &mut i64,
    ) -> Fetched {
        let Read { id, offset, data } = read;
        let answer = PartitionData::default().with_partition_index(id.1).with_records(Some(Bytes::new()));
        let key = SharePartitionKey { group: op.group.clone(), topic_id: id.0, partition: id.1 };
        let (batches, aborted) = match data {
            Ok(read) => read,
            Err(ErrorCode::OffsetOutOfRange) => {
                let start = core.replicas.slot_by_id(id.0, id.1).and_then(|slot| core.replicas.get(slot));
                let start = start.map_or(0, |partition| partition.log.log_start_offset());
                if let Some(held) = self.partitions.get_mut(&key) {
                    held.partition.move_start(start);
                }
                return (id.0, answer);
            }
            Err(error) => return (id.0, answer.with_error_code(error.code())),
        };
        let log: Vec<Span> =
            batches.iter().map(|batch| (batch.header.base_offset, batch.header.last_offset())).collect();
        let limits = self.config.limits(core, &op.group);
        let Some(held) = self.partitions.get_mut(&key) else { return (id.0, answer) };
        let acquisition = Acquisition {
            member: &op.member,
            batch_size: op.batch_size,
            max_records: i32::try_from(*wanted).unwrap_or(i32::MAX),
            strict: op.strict,
            fetch_offset: offset,
            log: &log,
            aborted: &aborted,
        };
        let acquired = held.partition.acquire(&acquisition, limits, ctx.now);
        if acquired.is_empty() {
            return (id.0, answer);
        }
        *wanted -= count(&acquired);
        self.watch_locks(core, &key);
        trace_acquired(core, ctx, &key, &op.member, &acquired);
        let told = acquired.iter().map(|acquired| {
            AcquiredRecords::default()
                .with_first_offset(acquired.first)
                .with_last_offset(acquired.last)
                .with_delivery_count(acquired.deliveries)
        });
        (id.0, answer.with_records(Some(slice(&batches, &acquired))).with_acquired_records(told.collect()))
    }
}

/// Answers for the partitions that cannot be read.
fn failures(op: &ShareFetch) -> Vec<Fetched> {
    let failed = op.failed.iter().map(|((topic, partition), (error, message))| {
        let answer = PartitionData::default()
            .with_partition_index(*partition)
            .with_error_code(error.code())
            .with_error_message(message.clone())
            .with_records(Some(Bytes::new()));
        (*topic, answer)
    });
    op.refused.iter().cloned().chain(failed).collect()
}

/// The batches that hold acquired records, as one.
fn slice(batches: &[RecordBatch], acquired: &[Acquired]) -> Bytes {
    let first = acquired.first().map_or(i64::MAX, |a| a.first);
    let last = acquired.last().map_or(i64::MIN, |a| a.last);
    let held = batches
        .iter()
        .filter(|batch| batch.header.last_offset() >= first && batch.header.base_offset <= last)
        .map(RecordBatch::to_bytes);
    join(&held.collect::<Vec<_>>())
}

fn trace_acquired(
    core: &Core,
    ctx: &mut Ctx<'_>,
    key: &SharePartitionKey,
    member: &StrBytes,
    acquired: &[Acquired],
) {
    if !ctx.tracing() {
        return;
    }
    for run in acquired {
        ctx.trace(ShareEvent::ShareRecordsAcquired {
            group: key.group.clone(),
            member: member.clone(),
            partition: trace_name(core, key),
            first: run.first,
            last: run.last,
            deliveries: run.deliveries,
        });
    }
}

impl Core {
    /// Reads a partition for a share group: whole batches, and those of them that belong to aborted transactions.
    fn read_shared(
        &mut self,
        ctx: &mut Ctx<'_>,
        (topic, partition): TopicPartitionId,
        offset: i64,
        isolation: FetchIsolation,
        max_bytes: usize,
        min_one_batch: bool,
    ) -> Result<(Vec<RecordBatch>, Vec<Span>), ErrorCode> {
        let slot = self.replicas.slot_by_id(topic, partition).ok_or(ErrorCode::NotLeaderOrFollower)?;
        let partition = self.replicas.get(slot).ok_or(ErrorCode::NotLeaderOrFollower)?;
        let params = FetchParams {
            replica: NodeId(-1),
            replica_epoch: -1,
            only_leader: true,
            isolation,
            min_bytes: 0,
            max_bytes: i32::MAX,
        };
        let fetch = PartitionFetch {
            fetch_offset: offset,
            log_start_offset: -1,
            max_bytes: i32::try_from(max_bytes).unwrap_or(i32::MAX),
            current_leader_epoch: None,
            last_fetched_epoch: None,
        };
        let dir = partition.dir;
        let data = match partition.read(&*self.disk, &params, &fetch, max_bytes, min_one_batch) {
            Ok(info) => info.data,
            Err(ReadFailure::Refused(error)) => return Err(error),
            Err(ReadFailure::Storage(error)) => {
                self.on_log_failure(ctx, dir, &error);
                return Err(error.code());
            }
        };
        let batches =
            BatchIter::new(join(&data.records)).collect::<Result<Vec<_>, _>>().map_err(|e| e.code)?;
        let aborted = aborted_batches(&batches, &data);
        Ok((batches, aborted))
    }
}

/// The batches that belong to aborted transactions (`fetchAbortedTransactionRecordBatches`).
fn aborted_batches(batches: &[RecordBatch], data: &FetchData) -> Vec<Span> {
    let is_aborted = |batch: &&RecordBatch| {
        let header = &batch.header;
        header.is_transactional()
            && !header.is_control()
            && data.aborted_transactions.iter().any(|txn| {
                txn.producer_id == header.producer_id
                    && txn.first_offset <= header.last_offset()
                    && header.base_offset <= txn.last_offset
            })
    };
    let aborted = batches.iter().filter(is_aborted);
    aborted.map(|batch| (batch.header.base_offset, batch.header.last_offset())).collect()
}
