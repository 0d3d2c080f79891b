//! Fetches: what a request reads, when it is answered, and what the answer says (`ReplicaManager.fetchMessages`,
//! `FetchContext`).

use std::time::Duration;

use klamm_log::{FetchData, FetchIsolation};
use klamm_node::{Ctx, NodeId, ReplyTo, TopicPartition};
use klamm_wire::messages::BrokerId;
use klamm_wire::messages::fetch_response::{
    AbortedTransaction, EpochEndOffset, LeaderIdAndEpoch, NodeEndpoint,
};
use klamm_wire::{ErrorCode, FetchPartition, FetchResponse, FetchTopic, StrBytes, Uuid};

use crate::core::{Core, leader_env};
use crate::fetch_session::{FetchSession, INVALID_SESSION_ID, PartitionRef, TopicRef};
use crate::partition::fetch::{FetchParams, PartitionFetch, ReadFailure};
use crate::partition::replica::Replica;
use crate::partition::{Partition, Slot};
use crate::purgatory::OpId;
use crate::purgatory::fetch::{FetchOp, FetchScope};

/// What reading one partition came to.
struct PartitionRead {
    answer: FetchPartition,
    /// Not to be waited for: an error of a partition that this broker should have, or diverging logs.
    urgent: bool,
    /// Kafka knows neither topic nor partition; that alone does not end the wait of others.
    unknown: bool,
    /// Whether a later fetch of the same would have something to read.
    more: bool,
}

/// What is left of a request's limits while its partitions are read.
struct Budget {
    max_bytes: usize,
    /// Whether the next batch may be larger than what is left: none has been read yet.
    min_one_batch: bool,
    read: usize,
}

impl Core {
    /// Answers a fetch now, or parks it until `max_wait_ms` has passed.
    pub(crate) fn start_fetch(&mut self, ctx: &mut Ctx<'_>, mut op: FetchOp, max_wait_ms: i32) {
        if let Some(response) = self.try_fetch(ctx, &mut op, true, max_wait_ms <= 0) {
            ctx.reply(op.reply_to, response);
            return;
        }
        if op.params.min_bytes > 1 && self.is_fetch_ready(&op) {
            if let Some(response) = self.try_fetch(ctx, &mut op, false, true) {
                ctx.reply(op.reply_to, response);
            }
            return;
        }
        let deadline = ctx.now + Duration::from_millis(max_wait_ms.max(0).unsigned_abs().into());
        let (reply_to, params) = (op.reply_to, op.params);
        let (keys, session) = match &op.scope {
            FetchScope::Full { items, .. } => (items.iter().filter_map(|item| item.slot).collect(), None),
            FetchScope::Session { id, .. } => (Vec::new(), Some(*id)),
        };
        let id = self.fetch_ops.insert(op, keys, deadline, ctx.trace.effect());
        if let Some(session) = session.and_then(|id| self.sessions.get_mut(id)) {
            session.parked = Some(id);
        }
        if let ReplyTo::Client { connection, .. } = reply_to {
            self.parked_fetches.insert(connection, id);
        }
        if params.is_from_follower() {
            self.parked_followers.insert(params.replica, id);
        }
    }

    /// Answers the waiting fetches of followers that have just got a partition of ours to follow: a follower has one fetch under
    /// way, and would name its new partitions only in the next. Kafka lets them wait for `replica.fetch.wait.max.ms`.
    pub(crate) fn release_followers(&mut self, ctx: &mut Ctx<'_>, followers: &[NodeId]) {
        for follower in followers {
            if let Some(id) = self.parked_followers.get(follower).copied() {
                self.check_fetch(ctx, id, true);
            }
        }
    }

    /// Looks again at a parked fetch; with `force` its time is up.
    pub(crate) fn check_fetch(&mut self, ctx: &mut Ctx<'_>, id: OpId, mut force: bool) {
        let Some(mut op) = self.fetch_ops.lend(id) else { return };
        // With fewer bytes to wait for, whatever happened is enough, and looking first would be looking twice.
        if !force && op.params.min_bytes > 1 {
            if !self.is_fetch_ready(&op) {
                self.wait_on(&op);
                return self.fetch_ops.give_back(id, op);
            }
            force = true;
        }
        match self.try_fetch(ctx, &mut op, false, force) {
            Some(response) => {
                self.drop_fetch(id, &op);
                ctx.reply(op.reply_to, response);
            }
            None => self.fetch_ops.give_back(id, op),
        }
    }

    /// Forgets a parked fetch: it is answered, or its client is gone.
    pub(crate) fn drop_fetch(&mut self, id: OpId, op: &FetchOp) {
        self.fetch_ops.take(id);
        if let FetchScope::Session { id: session, .. } = op.scope
            && let Some(session) = self.sessions.get_mut(session)
            && session.parked == Some(id)
        {
            session.parked = None;
        }
        if let ReplyTo::Client { connection, .. } = op.reply_to {
            self.parked_fetches.remove(&connection);
        }
        if self.parked_followers.get(&op.params.replica) == Some(&id) {
            self.parked_followers.remove(&op.params.replica);
        }
    }

    fn try_fetch(
        &mut self,
        ctx: &mut Ctx<'_>,
        op: &mut FetchOp,
        first: bool,
        force: bool,
    ) -> Option<FetchResponse> {
        let response = match op.scope {
            FetchScope::Full { .. } => self.try_full(ctx, op, first, force),
            FetchScope::Session { id, epoch } => self.try_session(ctx, op, id, epoch, first, force),
        };
        if let Some(response) = &response
            && op.params.is_from_follower()
            && self.quotas.leader.is_set()
        {
            self.count_throttled(ctx, op.api_version, response);
        }
        response
    }

    fn try_full(
        &mut self,
        ctx: &mut Ctx<'_>,
        op: &mut FetchOp,
        first: bool,
        force: bool,
    ) -> Option<FetchResponse> {
        let params = op.params;
        let rack = op.rack.clone();
        let FetchScope::Full { items, wants_session } = &mut op.scope else { return None };
        let wants_session = *wants_session;
        let mut budget = Budget::new(&params);
        let mut reads = Vec::with_capacity(items.len());
        let (mut urgent, mut known) = (false, false);
        for item in items.iter_mut() {
            let update = (first && params.is_from_follower()).then_some(INVALID_SESSION_ID);
            let read = self.read_target(
                ctx,
                &params,
                rack.as_ref(),
                &item.target,
                &mut item.slot,
                &item.fetch,
                &mut budget,
                update,
            );
            urgent |= read.urgent;
            known |= !read.unknown;
            reads.push(read);
        }
        if !(force || urgent || !known || budget.read >= params.min_bytes.max(0) as usize) {
            return None;
        }
        if self.counts_fetched() && !params.is_from_follower() {
            let FetchScope::Full { items, .. } = &op.scope else { return None };
            let answers = items.iter().zip(&reads).map(|(item, read)| (&item.target, &read.answer));
            let bytes = self.answer_size(op.api_version, answers);
            if let Some(throttled) = self.over_quota(ctx, op, bytes, INVALID_SESSION_ID) {
                return Some(throttled);
            }
        }
        let mut response = FetchResponse::default();
        let mut session = None;
        if wants_session {
            session = self.create_session(ctx, op);
        }
        let FetchScope::Full { items, .. } = &op.scope else { return None };
        for (item, read) in items.iter().zip(reads) {
            if let Some(id) = session
                && let Some(session) = self.sessions.get_mut(id)
            {
                let (index, _) = session.upsert(item.target.clone(), item.fetch);
                if let Some(cached) = session.get_mut(index) {
                    cached.slot = item.slot;
                    cached.note_answer(&read.answer);
                }
                if let Some(slot) = item.slot {
                    self.join_session(slot, id, index, &params);
                }
            }
            self.push(&mut response, op.api_version, &item.target, read.answer, !params.is_from_follower());
        }
        if let Some(id) = session {
            response.session_id = id;
            self.sessions.note_use(id, ctx.now.as_millis());
        }
        Some(response)
    }

    fn create_session(&mut self, ctx: &mut Ctx<'_>, op: &FetchOp) -> Option<i32> {
        let FetchScope::Full { items, .. } = &op.scope else { return None };
        let created = self.sessions.create(
            ctx.rng,
            ctx.now.as_millis(),
            ctx.wall.millis(),
            op.params.is_from_follower(),
            items.len(),
            op.api_version >= 13,
        )?;
        if let Some(evicted) = created.evicted {
            self.unsubscribe_all(created.evicted_id, &evicted);
        }
        Some(created.id)
    }

    fn try_session(
        &mut self,
        ctx: &mut Ctx<'_>,
        op: &FetchOp,
        id: i32,
        epoch: i32,
        first: bool,
        force: bool,
    ) -> Option<FetchResponse> {
        let Some(session) = self.sessions.get_mut(id).filter(|session| session.epoch == epoch) else {
            // The fetcher went on, or the session was evicted, while this fetch waited.
            return Some(FetchResponse {
                error_code: ErrorCode::InvalidFetchSessionEpoch,
                session_id: id,
                ..FetchResponse::default()
            });
        };
        let params = op.params;
        if op.rack.is_some() && first {
            // A replica that the consumer could be sent to may have caught up since, which is no change of the partition.
            session.touch_all();
        }
        let queue = session.take_queue();
        let total = session.len();
        let mut budget = Budget::new(&params);
        let mut reads: Vec<(u32, PartitionRead)> = Vec::with_capacity(queue.len());
        let (mut urgent, mut unknown) = (false, 0);
        for index in queue {
            let Some(cached) = self.sessions.get(id).and_then(|s| s.get(index)) else { continue };
            let (target, fetch, before) = (cached.target.clone(), cached.fetch, cached.slot);
            let mut slot = before;
            let update = (first && params.is_from_follower()).then_some(id);
            let read = self.read_target(
                ctx,
                &params,
                op.rack.as_ref(),
                &target,
                &mut slot,
                &fetch,
                &mut budget,
                update,
            );
            if slot != before {
                if let Some(cached) = self.sessions.get_mut(id).and_then(|s| s.get_mut(index)) {
                    cached.slot = slot;
                }
                if let Some(slot) = slot {
                    self.join_session(slot, id, index, &params);
                }
            }
            urgent |= read.urgent;
            unknown += usize::from(read.unknown);
            reads.push((index, read));
        }
        let answer_now =
            force || urgent || unknown == total || budget.read >= params.min_bytes.max(0) as usize;
        if answer_now && self.counts_fetched() && !params.is_from_follower() {
            let told = reads.iter().filter_map(|(index, read)| {
                let cached = self.sessions.get(id)?.get(*index)?;
                cached.must_answer(&read.answer).then_some((&cached.target, &read.answer))
            });
            let bytes = self.answer_size(op.api_version, told);
            if let Some(throttled) = self.over_quota(ctx, op, bytes, id) {
                // What was read was not told: all of it is looked at again.
                if let Some(session) = self.sessions.get_mut(id) {
                    for (index, _) in &reads {
                        session.touch(*index);
                    }
                }
                return Some(throttled);
            }
        }
        let mut response = FetchResponse { session_id: id, ..FetchResponse::default() };
        let mut with_records = Vec::new();
        for (index, read) in reads {
            let Some(session) = self.sessions.get_mut(id) else { break };
            let Some(cached) = session.get_mut(index) else { continue };
            let said = cached.must_answer(&read.answer);
            let settled = !params.is_from_follower()
                || cached
                    .slot
                    .and_then(|slot| self.replicas.get(slot))
                    .is_some_and(|partition| partition.follower_is_settled(params.replica));
            let pending = read.more || read.urgent || read.unknown || !settled;
            if !answer_now {
                let slot = cached.slot;
                if said || pending {
                    session.touch(index);
                }
                self.subscribe(slot, id, index);
                continue;
            }
            if said {
                cached.note_answer(&read.answer);
            }
            let slot = cached.slot;
            if read.answer.records.is_empty() {
                if pending {
                    session.touch(index);
                }
            } else {
                // Partitions that gave records go to the end, so that others get their turn.
                with_records.push(index);
            }
            if said {
                let target = cached_target(session, index);
                self.push(&mut response, op.api_version, &target, read.answer, !params.is_from_follower());
            }
            if !pending {
                self.subscribe(slot, id, index);
            }
        }
        if !answer_now {
            return None;
        }
        if let Some(session) = self.sessions.get_mut(id) {
            for index in with_records {
                session.touch(index);
            }
        }
        Some(response)
    }

    /// Reads one partition, and takes note of the fetch if a follower asks for the first time.
    #[expect(clippy::too_many_arguments, reason = "one partition's share of a request, spelled out")]
    fn read_target(
        &mut self,
        ctx: &mut Ctx<'_>,
        params: &FetchParams,
        rack: Option<&StrBytes>,
        target: &PartitionRef,
        slot: &mut Option<Slot>,
        fetch: &PartitionFetch,
        budget: &mut Budget,
        update: Option<i32>,
    ) -> PartitionRead {
        // The place may have been given to another partition since.
        let stands = slot.and_then(|slot| self.replicas.get(slot)).is_some_and(|p| target.names(p));
        if !stands {
            *slot = None;
            match self.resolve(target) {
                Ok(found) => *slot = Some(found),
                Err((error, unknown)) => {
                    let mut answer = FetchPartition::error(target.partition, error);
                    // Kafka answers these before it reads, from a template with an empty list.
                    answer.aborted_transactions = unknown.then(Vec::new);
                    return PartitionRead { answer, urgent: !unknown, unknown, more: true };
                }
            }
        }
        if let Some(rack) = rack
            && let Some(partition) = slot.and_then(|slot| self.replicas.get(slot))
            && let Some(preferred) = self.preferred_read_replica(ctx, partition, rack, fetch.fetch_offset)
        {
            return match partition.check_epoch(fetch.current_leader_epoch) {
                Err(error) => {
                    let answer = FetchPartition::error(target.partition, error);
                    PartitionRead { answer, urgent: true, unknown: false, more: true }
                }
                Ok(()) => {
                    let answer = elsewhere(partition, target.partition, preferred);
                    PartitionRead { answer, urgent: true, unknown: false, more: true }
                }
            };
        }
        match self.read_slot(ctx, params, *slot, fetch, budget, update) {
            Ok((answer, more)) => {
                let urgent = answer.diverging_epoch.is_some();
                PartitionRead {
                    answer: FetchPartition { partition: target.partition, ..answer },
                    urgent,
                    unknown: false,
                    more,
                }
            }
            Err(error) => {
                let answer = FetchPartition::error(target.partition, error);
                PartitionRead { answer, urgent: true, unknown: false, more: true }
            }
        }
    }

    /// Which other replica a consumer in `rack` is better off with, when this broker leads (`RackAwareReplicaSelector`): of those
    /// in sync that hold the offset and are in its rack, the one that is furthest; none when the leader is in that rack itself.
    fn preferred_read_replica(
        &self,
        ctx: &Ctx<'_>,
        partition: &Partition,
        rack: &StrBytes,
        offset: i64,
    ) -> Option<NodeId> {
        let leading = partition.leading.as_ref()?;
        let is_in_rack =
            |broker| self.metadata.address(broker).is_some_and(|address| address.rack.as_ref() == Some(rack));
        if is_in_rack(self.settings.node) {
            return None;
        }
        let (log_end, now) = (partition.log.log_end_offset(), ctx.wall.millis());
        let candidates = leading.remotes.iter().filter(|replica| {
            partition.isr.contains(&replica.id)
                && (replica.log_start_offset..=replica.log_end_offset).contains(&offset)
                && is_in_rack(replica.id)
        });
        let behind = |replica: &Replica| match replica.log_end_offset >= log_end {
            // Its session goes on fetching, which is noted only once the log grows.
            true => 0,
            false => now - replica.last_caught_up_time_ms,
        };
        candidates.max_by_key(|r| (r.log_end_offset, -behind(r), r.id)).map(|replica| replica.id)
    }

    fn read_slot(
        &mut self,
        ctx: &mut Ctx<'_>,
        params: &FetchParams,
        slot: Option<Slot>,
        fetch: &PartitionFetch,
        budget: &mut Budget,
        update: Option<i32>,
    ) -> Result<(FetchPartition, bool), ErrorCode> {
        let slot = slot.ok_or(ErrorCode::NotLeaderOrFollower)?;
        let env = leader_env!(self, ctx);
        let partition = self.replicas.get_mut(slot).ok_or(ErrorCode::NotLeaderOrFollower)?;
        let limit = budget.max_bytes.min(usize::try_from(fetch.max_bytes).unwrap_or(0));
        let dir = partition.dir;
        let mut info = match partition.read(&*self.disk, params, fetch, limit, budget.min_one_batch) {
            Ok(info) => info,
            Err(ReadFailure::Refused(error)) => return Err(error),
            Err(ReadFailure::Storage(error)) => {
                self.on_log_failure(ctx, dir, &error);
                return Err(error.code());
            }
        };
        // Only those that are not in sync are held back, so as not to drive anybody out of the ISR.
        if params.is_from_follower()
            && partition.throttled.as_leader
            && !partition.isr.contains(&params.replica)
            && self.quotas.leader.is_exceeded(ctx.wall.millis())
        {
            info.data = FetchData::default();
        }
        if let Some(session_id) = update
            && info.diverging.is_none()
        {
            let proposal = partition.update_follower(params, fetch, info.log_end_offset, session_id, env)?;
            if let Some(proposal) = proposal {
                self.propose_isr(ctx, slot, proposal, "follower caught up");
            }
            self.replicas.note(slot);
        }
        if info.data.size > 0 {
            budget.min_one_batch = false;
            budget.max_bytes = budget.max_bytes.saturating_sub(info.data.size);
            budget.read += info.data.size;
        }
        let aborted = matches!(params.isolation, FetchIsolation::TxnCommitted).then(|| {
            let aborted = info.data.aborted_transactions.iter();
            aborted
                .map(|txn| {
                    AbortedTransaction::default()
                        .with_producer_id(txn.producer_id.into())
                        .with_first_offset(txn.first_offset)
                })
                .collect()
        });
        let answer = FetchPartition {
            high_watermark: info.high_watermark,
            last_stable_offset: info.last_stable_offset,
            log_start_offset: info.log_start_offset,
            diverging_epoch: info
                .diverging
                .map(|end| EpochEndOffset::default().with_epoch(end.epoch).with_end_offset(end.end_offset)),
            aborted_transactions: aborted,
            records: info.data.records,
            ..FetchPartition::error(0, ErrorCode::None)
        };
        Ok((answer, info.more))
    }

    /// Whether the cluster has no such partition.
    pub(crate) fn is_unknown(&self, target: &PartitionRef) -> bool {
        matches!(self.resolve(target), Err((_, true)))
    }

    /// Where a fetched partition's replica is; the error otherwise, and whether the partition is unknown to the cluster.
    fn resolve(&self, target: &PartitionRef) -> Result<Slot, (ErrorCode, bool)> {
        let (name, id) = match &target.topic {
            TopicRef::Id(id) => {
                if let Some(slot) = self.replicas.slot_by_id(*id, target.partition) {
                    return Ok(slot);
                }
                let topic = self.metadata.image().topics.by_id(*id);
                (topic.ok_or((ErrorCode::UnknownTopicId, true))?.name.clone(), Some(*id))
            }
            TopicRef::Name(name) => (name.clone(), None),
        };
        let name = TopicPartition { topic: name, partition: target.partition };
        if !self.metadata.has_partition(&name) {
            return Err((ErrorCode::UnknownTopicOrPartition, true));
        }
        let slot = self.local_partition(&name).map_err(|error| (error, false))?;
        let own = self.replicas.get(slot).map(|partition| partition.topic_id);
        match id {
            // The log is of an earlier topic of the same name.
            Some(id) if own != Some(id) => Err((ErrorCode::InconsistentTopicId, false)),
            _ => Ok(slot),
        }
    }

    /// A replica is found for a session's partition: it tells of changes, and a follower's replica state knows the session.
    fn join_session(&mut self, slot: Slot, session_id: i32, index: u32, params: &FetchParams) {
        self.subscribe(Some(slot), session_id, index);
        let Some(partition) = self.replicas.get_mut(slot) else { return };
        if params.is_from_follower()
            && let Some(replica) = partition.leading.as_mut().and_then(|l| l.remote_mut(params.replica))
        {
            replica.session_id = session_id;
        }
    }

    /// Has a session told of a partition's next change.
    pub(crate) fn subscribe(&mut self, slot: Option<Slot>, session_id: i32, index: u32) {
        let Some(partition) = slot.and_then(|slot| self.replicas.get_mut(slot)) else { return };
        let Some(cached) = self.sessions.get_mut(session_id).and_then(|s| s.get_mut(index)) else { return };
        if !std::mem::replace(&mut cached.subscribed, true) {
            partition.subscribers.push((session_id, index));
        }
    }

    /// A session lets a partition go.
    pub(crate) fn unsubscribe(&mut self, slot: Slot, session_id: i32, index: u32) {
        let Some(partition) = self.replicas.get_mut(slot) else { return };
        partition.subscribers.retain(|subscriber| *subscriber != (session_id, index));
        if let Some(leading) = &mut partition.leading {
            for replica in leading.remotes.iter_mut().filter(|r| r.session_id == session_id) {
                replica.session_id = INVALID_SESSION_ID;
            }
        }
    }

    /// A session ended.
    pub(crate) fn unsubscribe_all(&mut self, session_id: i32, session: &FetchSession) {
        for (index, cached) in session.iter() {
            if let Some(slot) = cached.slot {
                self.unsubscribe(slot, session_id, index);
            }
        }
        if let Some(parked) = session.parked {
            self.fetch_checks.insert(parked);
        }
    }

    /// Adds one partition's answer to a response, grouped with its topic's when it follows them.
    fn push(
        &self,
        response: &mut FetchResponse,
        api_version: i16,
        target: &PartitionRef,
        mut answer: FetchPartition,
        with_endpoints: bool,
    ) {
        if api_version <= 5 && answer.error_code == ErrorCode::KafkaStorageError {
            // Clients of that age know no KAFKA_STORAGE_ERROR, and would not look for a new leader.
            answer.error_code = ErrorCode::NotLeaderOrFollower;
        }
        if api_version >= 16
            && matches!(answer.error_code, ErrorCode::NotLeaderOrFollower | ErrorCode::FencedLeaderEpoch)
        {
            self.hint_leader(response, target, &mut answer, with_endpoints);
        }
        let (topic, topic_id) = match &target.topic {
            TopicRef::Id(id) => (StrBytes::default(), *id),
            TopicRef::Name(name) => (name.clone(), Uuid::nil()),
        };
        match response.topics.last_mut() {
            Some(last) if last.topic_id == topic_id && last.topic == topic => last.partitions.push(answer),
            _ => response.topics.push(FetchTopic { topic, topic_id, partitions: vec![answer] }),
        }
    }

    /// Tells who leads, and where (KIP-951).
    pub(crate) fn hint_leader(
        &self,
        response: &mut FetchResponse,
        target: &PartitionRef,
        answer: &mut FetchPartition,
        with_endpoints: bool,
    ) {
        let topics = &self.metadata.image().topics;
        let registration = match &target.topic {
            TopicRef::Id(id) => topics.partition(*id, target.partition),
            TopicRef::Name(name) => topics.partition_by_name(name, target.partition),
        };
        let hint = self.current_leader(registration);
        answer.current_leader = Some(
            LeaderIdAndEpoch::default().with_leader_id(BrokerId(hint.leader)).with_leader_epoch(hint.epoch),
        );
        // Followers know where their leaders are.
        if let Some(node) = hint.endpoint.filter(|_| with_endpoints)
            && !response.node_endpoints.iter().any(|known| known.node_id == BrokerId(hint.leader))
        {
            response.node_endpoints.push(
                NodeEndpoint::default()
                    .with_node_id(BrokerId(hint.leader))
                    .with_host(node.host)
                    .with_port(node.port)
                    .with_rack(node.rack),
            );
        }
    }
}

/// The answer that sends a consumer to another replica: nothing is read.
fn elsewhere(partition: &Partition, index: i32, replica: NodeId) -> FetchPartition {
    let offsets = partition.log.offsets();
    FetchPartition {
        high_watermark: offsets.high_watermark,
        last_stable_offset: offsets.last_stable_offset,
        log_start_offset: offsets.log_start_offset,
        preferred_read_replica: BrokerId(replica.0),
        ..FetchPartition::error(index, ErrorCode::None)
    }
}

fn cached_target(session: &FetchSession, index: u32) -> PartitionRef {
    session.get(index).map_or_else(
        || PartitionRef { topic: TopicRef::Name(StrBytes::default()), partition: -1 },
        |cached| cached.target.clone(),
    )
}

impl Budget {
    fn new(params: &FetchParams) -> Self {
        Self { max_bytes: usize::try_from(params.max_bytes).unwrap_or(0), min_one_batch: true, read: 0 }
    }
}
