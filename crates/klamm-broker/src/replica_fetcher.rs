//! A follower's side: one fetcher for each leader, with one incremental session and one fetch under way
//! (`ReplicaFetcherThread`, `AbstractFetcherThread`, `FetchSessionHandler`).
//!
//! A fetcher's position in a partition is that replica's log end. A fetch names only the partitions whose position or epoch the
//! leader has not been told; the answer holds only those that changed there.

use std::collections::{BTreeMap, BTreeSet};

use klamm_log::AppendError;
use klamm_node::pause::PausePoint;
use klamm_node::{Ctx, Era, Eras, NodeId, SendError, Timestamp, TopicIdPartition, TopicPartition, TraceKind};
use klamm_wire::messages::fetch_request::{
    FetchPartition as Asked, FetchTopic, ForgottenTopic, ReplicaState,
};
use klamm_wire::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use klamm_wire::messages::{BrokerId, FetchRequest, ListOffsetsRequest, ResponseKind, TopicName};
use klamm_wire::{ErrorCode, FetchPartition, FetchResponse, Response};

use crate::core::{Call, Core, Timer};
use crate::fetch_session::{FINAL_EPOCH, INITIAL_EPOCH, INVALID_SESSION_ID, next_epoch};
use crate::partition::{Changes, Slot};

/// The version that followers fetch with: broker epochs (KIP-903), node endpoints, directory ids.
const FETCH_VERSION: i16 = 17;
/// The version that followers list offsets with.
const LIST_OFFSETS_VERSION: i16 = 9;

/// One partition that is followed.
#[derive(Debug, Clone)]
struct Following {
    key: TopicIdPartition,
    leader_epoch: i32,
    /// Whether the leader's session holds it.
    in_session: bool,
    /// Not fetched before then: the leader answered with an error.
    delayed_until: Option<Timestamp>,
    /// Position and epoch of the fetch that is under way or was last sent.
    asked: Option<(i64, i32)>,
    /// Offsets are being asked for after OFFSET_OUT_OF_RANGE.
    resetting: bool,
    /// The leader has found no difference of epochs, or the one answer that [`Era::Kip101Only`] listens to was taken.
    reconciled: bool,
    /// Left out of fetches while the quota for what followers take in is exceeded.
    held_back: bool,
    /// How far the leader's high watermark was ahead of us when it last answered.
    lag: Option<i64>,
}

impl Following {
    /// Whether a fetch tells the epoch of our last record, so that the leader can see where the logs part.
    const fn tells_epoch(&self, eras: Eras) -> bool {
        let once = eras.on(Era::Kip101Only) || eras.on(Era::NoFetchFencing);
        !(eras.on(Era::TruncateToHw) || once && self.reconciled)
    }
}

/// The fetcher of one leader.
#[derive(Debug, Clone, Default)]
struct Fetcher {
    session_id: i32,
    session_epoch: i32,
    partitions: BTreeMap<Slot, Following>,
    by_key: BTreeMap<TopicIdPartition, Slot>,
    /// Partitions of which the leader must be told.
    to_tell: BTreeSet<Slot>,
    /// Partitions that the leader's session must let go.
    to_forget: BTreeSet<TopicIdPartition>,
    in_flight: bool,
    /// Whether a partition is held back.
    holding: bool,
    /// Everything waits until then: the leader could not be reached.
    backoff_until: Option<Timestamp>,
}

impl Fetcher {
    fn restart_session(&mut self, session_id: i32) {
        self.session_id = session_id;
        self.session_epoch = INITIAL_EPOCH;
        self.to_forget.clear();
        for (slot, following) in &mut self.partitions {
            following.in_session = false;
            if following.delayed_until.is_none() && !following.resetting && !following.held_back {
                self.to_tell.insert(*slot);
            }
        }
    }

    /// Takes a partition that was held back into the next fetches again.
    fn take_in(&mut self, slot: Slot) {
        if let Some(following) = self.partitions.get(&slot)
            && following.delayed_until.is_none()
            && !following.resetting
        {
            self.to_forget.remove(&following.key);
            self.to_tell.insert(slot);
        }
    }

    /// Leaves a partition out of the next fetches.
    fn drop_from_session(&mut self, slot: Slot) {
        self.to_tell.remove(&slot);
        if let Some(following) = self.partitions.get_mut(&slot)
            && std::mem::take(&mut following.in_session)
        {
            self.to_forget.insert(following.key);
        }
    }

    fn remove(&mut self, slot: Slot) {
        self.drop_from_session(slot);
        if let Some(following) = self.partitions.remove(&slot) {
            self.by_key.remove(&following.key);
        }
    }

    fn delay(&mut self, slot: Slot, until: Timestamp) {
        self.drop_from_session(slot);
        if let Some(following) = self.partitions.get_mut(&slot) {
            following.delayed_until = Some(until);
        }
    }

    fn next_delay(&self) -> Option<Timestamp> {
        self.partitions.values().filter_map(|following| following.delayed_until).min()
    }
}

/// Every fetcher of a broker (`ReplicaFetcherManager`).
#[derive(Debug, Clone, Default)]
pub(crate) struct Fetchers {
    by_leader: BTreeMap<NodeId, Fetcher>,
    leaders: BTreeMap<Slot, NodeId>,
    /// Fetchers that may have something to send.
    ready: BTreeSet<NodeId>,
}

impl Fetchers {
    /// Follows a partition's leader from now on, in this epoch.
    pub(crate) fn follow(&mut self, slot: Slot, key: TopicIdPartition, leader: NodeId, leader_epoch: i32) {
        if self.leaders.get(&slot).is_some_and(|old| *old != leader) {
            self.remove(slot);
        }
        self.leaders.insert(slot, leader);
        let fetcher = self.by_leader.entry(leader).or_default();
        let in_session = fetcher.partitions.get(&slot).is_some_and(|following| following.in_session);
        fetcher.partitions.insert(
            slot,
            Following {
                key,
                leader_epoch,
                in_session,
                delayed_until: None,
                asked: None,
                resetting: false,
                reconciled: false,
                held_back: false,
                lag: None,
            },
        );
        fetcher.by_key.insert(key, slot);
        fetcher.to_forget.remove(&key);
        fetcher.to_tell.insert(slot);
        self.ready.insert(leader);
    }

    /// Follows nobody in a partition.
    pub(crate) fn remove(&mut self, slot: Slot) {
        if let Some(leader) = self.leaders.remove(&slot)
            && let Some(fetcher) = self.by_leader.get_mut(&leader)
        {
            fetcher.remove(slot);
            self.ready.insert(leader);
        }
    }

    /// Whether a leader's answer that brings nothing is followed by the same fetch again.
    pub(crate) fn only_waits(&self, leader: NodeId) -> bool {
        !self.ready.contains(&leader)
            && self.by_leader.get(&leader).is_some_and(|fetcher| {
                fetcher.in_flight
                    && !fetcher.holding
                    && fetcher.backoff_until.is_none()
                    && fetcher.to_tell.is_empty()
                    && fetcher.to_forget.is_empty()
                    && fetcher.session_epoch != INITIAL_EPOCH
                    && fetcher.session_epoch != FINAL_EPOCH
                    && fetcher.partitions.values().any(|following| following.in_session)
            })
    }

    /// Whether a partition's leader is followed.
    pub(crate) fn is_following(&self, slot: Slot) -> bool {
        self.leaders.contains_key(&slot)
    }
}

impl Core {
    /// Sends every fetch that is due. True when one was sent.
    pub(crate) fn send_fetches(&mut self, ctx: &mut Ctx<'_>) -> bool {
        if self.lifecycle.epoch < 0 {
            // A follower fetches under its broker epoch (KIP-903): it must be registered first.
            return false;
        }
        let mut sent = false;
        while let Some(leader) = self.fetchers.ready.pop_first() {
            sent |= self.send_fetch(ctx, leader);
        }
        sent
    }

    fn send_fetch(&mut self, ctx: &mut Ctx<'_>, leader: NodeId) -> bool {
        let Some(fetcher) = self.fetchers.by_leader.get_mut(&leader) else { return false };
        if fetcher.in_flight || fetcher.backoff_until.is_some() {
            return false;
        }
        if fetcher.holding || self.quotas.follower.is_set() {
            self.hold_back(ctx, leader);
        }
        let Some(fetcher) = self.fetchers.by_leader.get_mut(&leader) else { return false };
        let full = fetcher.session_epoch == INITIAL_EPOCH;
        let anything = fetcher.partitions.values().any(|f| f.in_session) || !fetcher.to_tell.is_empty();
        if !anything {
            if fetcher.session_id == INVALID_SESSION_ID && fetcher.partitions.is_empty() {
                self.fetchers.by_leader.remove(&leader);
                return false;
            }
            if fetcher.session_id == INVALID_SESSION_ID {
                return false;
            }
            // Nothing is left to fetch: the leader's session may go.
            fetcher.session_epoch = FINAL_EPOCH;
        }
        let eras = self.settings.eras;
        let mut topics: Vec<FetchTopic> = Vec::new();
        for slot in std::mem::take(&mut fetcher.to_tell) {
            let Some(following) = fetcher.partitions.get_mut(&slot) else { continue };
            if following.held_back {
                continue;
            }
            let Some(partition) = self.replicas.get(slot) else { continue };
            let offset = partition.log.log_end_offset();
            following.in_session = true;
            following.asked = Some((offset, following.leader_epoch));
            let tells = following.tells_epoch(eras);
            let last_epoch = partition.log.latest_epoch().filter(|_| tells).unwrap_or(-1);
            let asked = Asked::default()
                .with_partition(following.key.partition)
                .with_current_leader_epoch(following.leader_epoch)
                .with_fetch_offset(offset)
                .with_last_fetched_epoch(last_epoch)
                .with_log_start_offset(partition.log.log_start_offset())
                .with_partition_max_bytes(self.config.hot.replica_fetch_max_bytes)
                .with_replica_directory_id(self.replicas.dirs.id(partition.dir).unwrap_or_default());
            match topics.last_mut() {
                Some(topic) if topic.topic_id == following.key.topic_id => topic.partitions.push(asked),
                _ => topics.push(
                    FetchTopic::default().with_topic_id(following.key.topic_id).with_partitions(vec![asked]),
                ),
            }
        }
        let mut forgotten: Vec<ForgottenTopic> = Vec::new();
        if !full {
            for key in std::mem::take(&mut fetcher.to_forget) {
                match forgotten.last_mut() {
                    Some(topic) if topic.topic_id == key.topic_id => topic.partitions.push(key.partition),
                    _ => forgotten.push(
                        ForgottenTopic::default()
                            .with_topic_id(key.topic_id)
                            .with_partitions(vec![key.partition]),
                    ),
                }
            }
        }
        fetcher.in_flight = true;
        let wait =
            if fetcher.session_epoch == FINAL_EPOCH { 0 } else { self.config.hot.replica_fetch_wait_max_ms };
        let request = FetchRequest::default()
            .with_replica_state(
                ReplicaState::default()
                    .with_replica_id(BrokerId(self.settings.node.0))
                    .with_replica_epoch(if eras.on(Era::NoBrokerEpoch) { -1 } else { self.lifecycle.epoch }),
            )
            .with_max_wait_ms(wait)
            .with_min_bytes(self.config.hot.replica_fetch_min_bytes)
            .with_max_bytes(self.config.hot.replica_fetch_response_max_bytes)
            .with_session_id(fetcher.session_id)
            .with_session_epoch(fetcher.session_epoch)
            .with_topics(topics)
            .with_forgotten_topics_data(forgotten);
        let id = ctx.send(leader, FETCH_VERSION, request.into(), self.config.hot.request_timeout_ms);
        self.calls.insert(id, Call::FollowerFetch { leader });
        true
    }

    /// Leaves throttled partitions that are behind out of the next fetch while the quota is exceeded, and takes the others in
    /// again (`RemoteLeaderEndPoint.shouldFollowerThrottle`).
    fn hold_back(&mut self, ctx: &Ctx<'_>, leader: NodeId) {
        let Some(fetcher) = self.fetchers.by_leader.get_mut(&leader) else { return };
        let exceeded = self.quotas.follower.is_exceeded(ctx.wall.millis());
        let mut changed = Vec::new();
        fetcher.holding = false;
        for (slot, following) in &mut fetcher.partitions {
            let in_sync = following.lag.is_some_and(|lag| lag <= 0);
            let throttled = self.replicas.get(*slot).is_some_and(|p| p.throttled.as_follower);
            let hold = exceeded && throttled && !in_sync;
            fetcher.holding |= hold;
            if hold != following.held_back {
                following.held_back = hold;
                changed.push((*slot, hold));
            }
        }
        for (slot, hold) in changed {
            if hold {
                fetcher.drop_from_session(slot);
            } else {
                fetcher.take_in(slot);
            }
        }
        let again = ctx.now + self.config.hot.replica_fetch_backoff;
        let timer = Timer::FollowDelay(leader);
        if fetcher.holding && self.timers.deadline(&timer).is_none_or(|at| at > again) {
            self.timers.set(timer, again);
        }
    }

    /// A leader answered a fetch, or could not be reached.
    pub(crate) fn on_follower_fetch(
        &mut self,
        ctx: &mut Ctx<'_>,
        leader: NodeId,
        result: Result<Response, SendError>,
    ) {
        let Some(fetcher) = self.fetchers.by_leader.get_mut(&leader) else { return };
        fetcher.in_flight = false;
        let ending = fetcher.session_epoch == FINAL_EPOCH;
        let Ok(Response::Fetch(response)) = result else {
            if fetcher.partitions.is_empty() {
                // Nothing is left to follow there, and nobody there to say goodbye to.
                self.fetchers.by_leader.remove(&leader);
                return;
            }
            // The session may or may not have seen this fetch: begin a new one, which also closes the old.
            let id = fetcher.session_id;
            fetcher.restart_session(id);
            let until = ctx.now + self.config.hot.replica_fetch_backoff;
            fetcher.backoff_until = Some(until);
            self.timers.set(Timer::FetcherBackoff(leader), until);
            return;
        };
        if ending {
            fetcher.restart_session(INVALID_SESSION_ID);
        } else if !follow_session(fetcher, &response) {
            self.fetchers.ready.insert(leader);
            return;
        }
        for topic in response.topics {
            for answer in topic.partitions {
                let key = TopicIdPartition { topic_id: topic.topic_id, partition: answer.partition };
                self.on_fetched_partition(ctx, leader, key, answer);
            }
        }
        self.fetchers.ready.insert(leader);
    }

    fn on_fetched_partition(
        &mut self,
        ctx: &mut Ctx<'_>,
        leader: NodeId,
        key: TopicIdPartition,
        answer: FetchPartition,
    ) {
        let Some(fetcher) = self.fetchers.by_leader.get_mut(&leader) else { return };
        let Some(slot) = fetcher.by_key.get(&key).copied() else { return };
        let Some(following) = fetcher.partitions.get_mut(&slot) else { return };
        let Some(partition) = self.replicas.get(slot) else { return };
        let dir = partition.dir;
        let position = (partition.log.log_end_offset(), following.leader_epoch);
        // The partition was given to this fetcher anew, or truncated, while the fetch was under way.
        if following.asked != Some(position) || following.delayed_until.is_some() || following.resetting {
            return;
        }
        match answer.error_code {
            ErrorCode::None => {
                let eras = self.settings.eras;
                let result = match &answer.diverging_epoch {
                    Some(end) => self.truncate_to_epoch(ctx, slot, end.epoch, end.end_offset),
                    None => self.append_fetched(ctx, slot, &answer),
                };
                let log_end = self.replicas.get(slot).map_or(0, |partition| partition.log.log_end_offset());
                let Some(fetcher) = self.fetchers.by_leader.get_mut(&leader) else { return };
                if let Some(following) = fetcher.partitions.get_mut(&slot) {
                    following.lag = Some(answer.high_watermark - log_end);
                    following.reconciled = answer.diverging_epoch.is_none() || eras.on(Era::Kip101Only);
                }
                match result {
                    Ok(true) => {
                        fetcher.to_tell.insert(slot);
                    }
                    Ok(false) => {}
                    Err(error) => {
                        if let Some(partition) = self.replicas.get(slot) {
                            let (partition, cause) = (partition.name.clone(), error.to_string());
                            ctx.trace(TraceKind::FetchNotAppended { partition, leader, cause });
                        }
                        if let Some(storage) = &error.storage {
                            self.on_log_failure(ctx, dir, storage);
                        } else {
                            self.delay_partition(ctx, leader, slot);
                        }
                    }
                }
            }
            ErrorCode::OffsetOutOfRange => {
                following.resetting = true;
                fetcher.drop_from_session(slot);
                self.ask_offset(ctx, leader, slot, -1);
            }
            // Ours is the older epoch: metadata will tell.
            error @ ErrorCode::FencedLeaderEpoch => {
                if ctx.tracing() {
                    let partition = partition.name.clone();
                    ctx.trace(TraceKind::FetchRefused { partition, leader, error: error.name() });
                }
                self.fetchers.remove(slot);
            }
            error => {
                if ctx.tracing() {
                    let partition = partition.name.clone();
                    ctx.trace(TraceKind::FetchRefused { partition, leader, error: error.name() });
                }
                self.delay_partition(ctx, leader, slot);
            }
        }
    }

    fn delay_partition(&mut self, ctx: &Ctx<'_>, leader: NodeId, slot: Slot) {
        let Some(fetcher) = self.fetchers.by_leader.get_mut(&leader) else { return };
        let until = ctx.now + self.config.hot.replica_fetch_backoff;
        fetcher.delay(slot, until);
        if self.timers.deadline(&Timer::FollowDelay(leader)).is_none_or(|at| at > until) {
            self.timers.set(Timer::FollowDelay(leader), until);
        }
    }

    /// Appends what the leader sent, and follows its high watermark and log start. True when the leader must be told of a new
    /// position.
    fn append_fetched(
        &mut self,
        ctx: &mut Ctx<'_>,
        slot: Slot,
        answer: &FetchPartition,
    ) -> Result<bool, AppendError> {
        let Some(partition) = self.replicas.get_mut(slot) else { return Ok(false) };
        let before = (partition.log.log_end_offset(), partition.log.log_start_offset());
        if !answer.records.is_empty() {
            let epoch = partition.leader_epoch;
            let result =
                partition.append_as_follower(&mut *self.disk, &answer.records, epoch, ctx.wall.millis());
            if let Err(error) = result {
                self.replicas.note(slot);
                return Err(error);
            }
        }
        if partition.throttled.as_follower && self.quotas.follower.is_set() {
            // In sync or not, it counts.
            self.quotas.follower.record(answer.records_len(), ctx.wall.millis());
        }
        partition.follow_high_watermark(answer.high_watermark);
        if answer.log_start_offset > partition.log.log_start_offset() {
            // Bounded by our own high watermark, which may still lag: the next fetch tries again.
            let _ = partition.log.maybe_increment_log_start_offset(&mut *self.disk, answer.log_start_offset);
            if partition.log.log_start_offset() != before.1 {
                partition.changes.add(Changes::LOG_START);
            }
        }
        let after = (partition.log.log_end_offset(), partition.log.log_start_offset());
        self.replicas.note(slot);
        Ok(before != after)
    }

    /// R10: drops what the leader does not have. Always asks again.
    fn truncate_to_epoch(
        &mut self,
        ctx: &mut Ctx<'_>,
        slot: Slot,
        leader_epoch: i32,
        leader_end: i64,
    ) -> Result<bool, AppendError> {
        let Some(partition) = self.replicas.get(slot) else { return Ok(false) };
        let log_end = partition.log.log_end_offset();
        let target = if leader_epoch < 0 {
            // The leader knows nothing of our epochs: only what is committed is safe to keep.
            partition.log.high_watermark()
        } else {
            match partition.log.end_offset_for_epoch(leader_epoch) {
                None => leader_end.min(log_end),
                Some(_) if self.settings.eras.on(Era::Kip101Only) => leader_end.min(log_end),
                Some(own) if own.epoch != leader_epoch => own.end_offset.min(log_end),
                Some(own) => own.end_offset.min(leader_end).min(log_end),
            }
        };
        self.truncate(ctx, slot, target, "diverged from the leader")?;
        Ok(true)
    }

    /// What began a follower's role before KIP-101.
    pub(crate) fn truncate_to_high_watermark(&mut self, ctx: &mut Ctx<'_>, slot: Slot) {
        let Some(partition) = self.replicas.get(slot) else { return };
        let (dir, target) = (partition.dir, partition.log.high_watermark());
        if let Err(error) = self.truncate(ctx, slot, target, "follows, and trusts its high watermark only")
            && let Some(storage) = error.storage
        {
            self.on_log_failure(ctx, dir, &storage);
        }
    }

    fn truncate(
        &mut self,
        ctx: &mut Ctx<'_>,
        slot: Slot,
        target: i64,
        cause: &'static str,
    ) -> Result<(), AppendError> {
        let Some(partition) = self.replicas.get_mut(slot) else { return Ok(()) };
        let from = partition.log.log_end_offset();
        // Even when no record goes: an epoch in which we led without a record must be forgotten, or the leader finds us
        // diverging for ever.
        if partition.log.truncate_to(&mut *self.disk, target, ctx.wall.millis())? {
            self.note_truncation(ctx, slot, from, cause);
        }
        Ok(())
    }

    fn note_truncation(&mut self, ctx: &mut Ctx<'_>, slot: Slot, from: i64, cause: &'static str) {
        let Some(partition) = self.replicas.get_mut(slot) else { return };
        let to = partition.log.log_end_offset();
        partition.seen_log_end = to;
        partition.changes.add(Changes::LOG_END);
        if partition.log.high_watermark() != partition.seen_high_watermark {
            partition.changes.add(Changes::HIGH_WATERMARK);
        }
        ctx.trace(TraceKind::LogTruncated { partition: partition.name.clone(), from, to, cause });
        if !self.pauses.is_empty() {
            self.pauses.tell(ctx, PausePoint::BetweenTruncateAndFetch, &partition.name);
        }
        self.replicas.note(slot);
    }

    fn ask_offset(&mut self, ctx: &mut Ctx<'_>, leader: NodeId, slot: Slot, timestamp: i64) {
        let Some(partition) = self.replicas.get(slot) else { return };
        let topic = ListOffsetsTopic::default()
            .with_name(TopicName(partition.name.topic.clone()))
            .with_partitions(vec![
                ListOffsetsPartition::default()
                    .with_partition_index(partition.name.partition)
                    .with_current_leader_epoch(partition.leader_epoch)
                    .with_timestamp(timestamp),
            ]);
        let request = ListOffsetsRequest::default()
            .with_replica_id(BrokerId(self.settings.node.0))
            .with_topics(vec![topic]);
        let name = partition.name.clone();
        let timeout = self.config.hot.request_timeout_ms;
        let id = ctx.send(leader, LIST_OFFSETS_VERSION, request.into(), timeout);
        self.calls.insert(id, Call::FollowerOffset { leader, partition: name, timestamp });
    }

    /// The leader said where its log ends or starts, after our position was out of its range (`fetchOffsetAndTruncate`).
    pub(crate) fn on_follower_offset(
        &mut self,
        ctx: &mut Ctx<'_>,
        leader: NodeId,
        name: &TopicPartition,
        timestamp: i64,
        result: Result<Response, SendError>,
    ) {
        let Some(slot) = self.replicas.slot_by_name(name) else { return };
        if self.fetchers.leaders.get(&slot) != Some(&leader) {
            return;
        }
        let answer = match result {
            Ok(Response::Other(kind)) => match *kind {
                ResponseKind::ListOffsets(answer) => answer,
                _ => return,
            },
            _ => return self.finish_reset(ctx, leader, slot, false),
        };
        let Some(answer) = answer.topics.first().and_then(|topic| topic.partitions.first()) else { return };
        if answer.error_code != 0 {
            return self.finish_reset(ctx, leader, slot, false);
        }
        let Some(partition) = self.replicas.get_mut(slot) else { return };
        let (dir, log_end) = (partition.dir, partition.log.log_end_offset());
        let done = if timestamp == -1 {
            if answer.offset >= log_end {
                return self.ask_offset(ctx, leader, slot, -2);
            }
            self.truncate(ctx, slot, answer.offset, "the leader's log ends before")
        } else if answer.offset > log_end {
            let (offset, now) = (answer.offset, ctx.wall.millis());
            let done = partition.log.truncate_fully_and_start_at(&mut *self.disk, offset, None, now);
            self.note_truncation(ctx, slot, log_end, "the leader's log starts after");
            done.map_err(AppendError::from)
        } else {
            Ok(())
        };
        match done {
            Err(AppendError { storage: Some(error), .. }) => self.on_log_failure(ctx, dir, &error),
            done => self.finish_reset(ctx, leader, slot, done.is_ok()),
        }
    }

    fn finish_reset(&mut self, ctx: &Ctx<'_>, leader: NodeId, slot: Slot, done: bool) {
        let Some(fetcher) = self.fetchers.by_leader.get_mut(&leader) else { return };
        let Some(following) = fetcher.partitions.get_mut(&slot) else { return };
        following.resetting = false;
        if done {
            fetcher.to_tell.insert(slot);
            self.fetchers.ready.insert(leader);
        } else {
            self.delay_partition(ctx, leader, slot);
        }
    }

    /// A leader may be asked again.
    pub(crate) fn end_fetcher_backoff(&mut self, leader: NodeId) {
        if let Some(fetcher) = self.fetchers.by_leader.get_mut(&leader) {
            fetcher.backoff_until = None;
            self.fetchers.ready.insert(leader);
        }
    }

    /// Partitions whose delay is over are fetched again.
    pub(crate) fn end_follow_delays(&mut self, ctx: &Ctx<'_>, leader: NodeId) {
        let Some(fetcher) = self.fetchers.by_leader.get_mut(&leader) else { return };
        for (slot, following) in &mut fetcher.partitions {
            if following.delayed_until.is_some_and(|until| until <= ctx.now) {
                following.delayed_until = None;
                fetcher.to_tell.insert(*slot);
                fetcher.to_forget.remove(&following.key);
            }
        }
        if let Some(next) = fetcher.next_delay() {
            self.timers.set(Timer::FollowDelay(leader), next);
        }
        self.fetchers.ready.insert(leader);
    }
}

/// Keeps up with the leader's session (`FetchSessionHandler.handleResponse`). False when the answer says nothing of partitions.
fn follow_session(fetcher: &mut Fetcher, response: &FetchResponse) -> bool {
    if response.error_code != ErrorCode::None {
        let id = match response.error_code {
            ErrorCode::FetchSessionIdNotFound => INVALID_SESSION_ID,
            _ => fetcher.session_id,
        };
        fetcher.restart_session(id);
        return false;
    }
    if fetcher.session_epoch == INITIAL_EPOCH {
        fetcher.session_id = response.session_id;
        if response.session_id == INVALID_SESSION_ID {
            // The leader has no room for a session: the next fetch is a full one too.
            fetcher.restart_session(INVALID_SESSION_ID);
        } else {
            fetcher.session_epoch = next_epoch(INITIAL_EPOCH);
        }
    } else {
        fetcher.session_epoch = next_epoch(fetcher.session_epoch);
    }
    true
}
