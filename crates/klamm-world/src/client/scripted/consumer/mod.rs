//! A scripted consumer, with the rules of Kafka's (`ClassicKafkaConsumer`): one operation at a time, in the order in
//! which they were asked for.
//!
//! It fetches only while it is polled; what was fetched and not handed out waits for the next poll. Differences from
//! Java's: it fetches without a session, does not fetch ahead between polls, and waits `retry.backoff.ms` after a fetch that
//! failed, unless a new leader is known.

mod assigned;
mod fetch;
mod membership;
mod offsets;
mod records;
mod validate;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use klamm_node::{NodeId, Timestamp, TopicPartition};
use klamm_wire::StrBytes;

use self::assigned::{Assigned, Position, State};
use self::fetch::Fetch;
use self::offsets::Query;
use super::base::Base;
use super::error::ClientError;
use super::group::{Commit, Committed, Member, MemberStatus, OffsetsAnswer};
use super::history::HistoryEvent;
use super::op::{ConsumedRecord, ConsumerOp, Offsets, OpId, OpResult, OpValue, SeekTo};
use super::settings::ScriptedConsumerSpec;
use crate::client::{Answer, ClientCtx};

/// The timestamps of a log's beginning and end (`ListOffsetsRequest`).
const EARLIEST: i64 = -2;
const LATEST: i64 = -1;
/// `default.api.timeout.ms`.
const API_TIMEOUT: Duration = Duration::from_secs(60);

#[derive(Debug, Clone)]
pub(super) struct Consumer {
    spec: ScriptedConsumerSpec,
    assigned: BTreeMap<TopicPartition, Assigned>,
    /// What is under way, by correlation id.
    fetches: BTreeMap<i32, Fetch>,
    resets: BTreeMap<i32, (TopicPartition, i64)>,
    validations: BTreeMap<i32, (TopicPartition, Position)>,
    /// Reads from this broker, whoever leads.
    fetch_from: Option<NodeId>,
    /// Its place in a group, if it has a group id.
    member: Option<Member>,
    /// What the group has committed is asked for, to begin there.
    refresh: Option<Committed>,
    queue: VecDeque<(OpId, ConsumerOp)>,
    current: Option<(OpId, Job)>,
    /// An error for the poll that is under way, or the next.
    error: Option<ClientError>,
}

/// An operation that takes time.
#[derive(Debug, Clone)]
enum Job {
    Poll(Poll),
    Query(Query),
    Commit(Commit),
    Committed(Committed),
}

#[derive(Debug, Clone)]
struct Poll {
    at_least: u64,
    until: Timestamp,
    /// What was read; `None` to count only.
    records: Option<Vec<ConsumedRecord>>,
    count: u64,
}

impl Consumer {
    pub(super) fn new(spec: ScriptedConsumerSpec) -> Self {
        Self {
            member: spec.group.clone().map(|group| Member::new(*group)),
            refresh: None,
            spec,
            assigned: BTreeMap::new(),
            fetches: BTreeMap::new(),
            resets: BTreeMap::new(),
            validations: BTreeMap::new(),
            fetch_from: None,
            queue: VecDeque::new(),
            current: None,
            error: None,
        }
    }

    /// Where it is in each assigned partition; `None` where it is not known yet.
    pub(super) fn positions(&self) -> impl Iterator<Item = (&TopicPartition, Option<i64>)> {
        let offset = |assigned: &Assigned| match assigned.state {
            State::Unset | State::AwaitReset(_) => None,
            State::AwaitValidation | State::Fetching => assigned.position.map(|position| position.offset),
        };
        self.assigned.iter().map(move |(name, assigned)| (name, offset(assigned)))
    }

    /// Its place in a group.
    pub(super) fn member(&self) -> Option<MemberStatus> {
        self.member.as_ref().map(Member::status)
    }

    pub(super) fn group(&self) -> Option<&StrBytes> {
        self.spec.group.as_ref().map(|group| &group.group_id)
    }

    /// The topics that it wants to be in its group for; nothing once it has given up.
    pub(super) fn subscribed(&self) -> &[StrBytes] {
        self.member.as_ref().filter(|member| member.failure().is_none()).map_or(&[], Member::topics)
    }

    pub(super) fn ask(&mut self, id: OpId, op: ConsumerOp) {
        self.queue.push_back((id, op));
    }

    /// The operation that is under way.
    fn op(&self) -> Option<OpId> {
        self.current.as_ref().map(|(id, _)| *id)
    }

    pub(super) fn go_on(&mut self, ctx: &mut ClientCtx<'_>, base: &mut Base) {
        let polls = matches!(self.current, Some((_, Job::Poll(_))));
        if let Some(member) = &mut self.member {
            if polls {
                member.polled(ctx.now);
            }
            member.go_on(ctx, base);
        }
        self.give_up_lost(ctx);
        loop {
            self.see_leaders(base);
            if let Some(result) = self.advance(ctx, base) {
                self.end(ctx, result);
            }
            if self.current.is_some() {
                return;
            }
            let Some((id, op)) = self.queue.pop_front() else { return };
            self.begin(ctx, base, id, op);
        }
    }

    /// Begins an operation; those that take no time end at once.
    fn begin(&mut self, ctx: &mut ClientCtx<'_>, base: &mut Base, id: OpId, op: ConsumerOp) {
        let mut done = Ok(OpValue::Done);
        match op {
            ConsumerOp::Assign(partitions) => {
                if self.member.as_ref().is_some_and(Member::is_subscribed) {
                    done =
                        Err(ClientError::Unsupported("a consumer that subscribes cannot assign".to_owned()));
                } else {
                    self.assign(base, partitions);
                }
            }
            ConsumerOp::Subscribe(topics) => match &mut self.member {
                Some(member) if !topics.is_empty() => {
                    if !member.is_subscribed() {
                        self.assigned.clear();
                    }
                    member.subscribe(base, topics);
                }
                Some(_) => {
                    done = Err(ClientError::Unsupported("there is no topic to subscribe to".to_owned()))
                }
                None => done = Err(without_group()),
            },
            ConsumerOp::Unsubscribe => {
                self.assigned.clear();
                if let Some(member) = &mut self.member {
                    member.unsubscribe(ctx, base);
                }
            }
            ConsumerOp::Commit(offsets) => {
                if self.member.is_some() {
                    let offsets = offsets
                        .map_or_else(|| self.offsets_to_commit(), |offsets| offsets.into_iter().collect());
                    let commit = Commit::new(offsets, Self::api_deadline(ctx));
                    self.current = Some((id, Job::Commit(commit)));
                    return;
                }
                done = Err(without_group());
            }
            ConsumerOp::Committed(partitions) => {
                if self.member.is_some() {
                    let committed = Committed::new(partitions, Self::api_deadline(ctx));
                    self.current = Some((id, Job::Committed(committed)));
                    return;
                }
                done = Err(without_group());
            }
            ConsumerOp::Seek { partition, to } => done = self.seek(ctx, base, id, &partition, to),
            ConsumerOp::FetchFrom(broker) => self.fetch_from = broker,
            ConsumerOp::Poll { at_least, within } => {
                let poll = Poll {
                    at_least: at_least.max(1),
                    until: ctx.now + within,
                    records: Some(Vec::new()),
                    count: 0,
                };
                self.current = Some((id, Job::Poll(poll)));
                self.note_poll(ctx);
                return;
            }
            ConsumerOp::Consume { within } => {
                let poll = Poll { at_least: u64::MAX, until: ctx.now + within, records: None, count: 0 };
                self.current = Some((id, Job::Poll(poll)));
                self.note_poll(ctx);
                return;
            }
            ConsumerOp::ListOffsets { partition, timestamp } => {
                base.metadata.want(&partition.topic);
                let gives_up = ctx.now + API_TIMEOUT;
                let query = Query { partition, timestamp, gives_up, asked: None, retry_at: Timestamp::ZERO };
                self.current = Some((id, Job::Query(query)));
                return;
            }
        }
        ctx.end(id, done);
    }

    fn note_poll(&mut self, ctx: &ClientCtx<'_>) {
        if let Some(member) = &mut self.member {
            member.polled(ctx.now);
        }
    }

    fn assign(&mut self, base: &mut Base, partitions: Vec<TopicPartition>) {
        self.assigned.retain(|name, _| partitions.contains(name));
        for name in partitions {
            base.metadata.want(&name.topic);
            self.assigned.entry(name).or_insert_with(Assigned::new);
        }
    }

    fn seek(
        &mut self,
        ctx: &mut ClientCtx<'_>,
        base: &Base,
        id: OpId,
        name: &TopicPartition,
        to: SeekTo,
    ) -> OpResult {
        let Some(assigned) = self.assigned.get_mut(name) else {
            return Err(ClientError::Unsupported(format!("{name} is not assigned")));
        };
        match to {
            SeekTo::Beginning => assigned.reset(EARLIEST),
            SeekTo::End => assigned.reset(LATEST),
            SeekTo::Offset { offset, leader_epoch } => {
                let from = assigned.position.map(|position| position.offset);
                // Without a leader so far, the first that is seen is asked whether it has the position.
                let position = Position { offset, epoch: leader_epoch, leader: None };
                assigned.seek(position, State::Fetching);
                if let Some(leader) = base.metadata.leader(name) {
                    assigned.saw_leader(leader);
                }
                let (partition, cause) = (name.clone(), "seek");
                ctx.happened(Some(id), HistoryEvent::Positioned { partition, from, to: offset, cause });
            }
        }
        Ok(OpValue::Done)
    }

    /// Goes on with the operation that is under way; its result, once it has one.
    fn advance(&mut self, ctx: &mut ClientCtx<'_>, base: &mut Base) -> Option<OpResult> {
        match &mut self.current {
            None => None,
            Some((_, Job::Query(query))) => {
                if query.gives_up <= ctx.now {
                    return Some(Err(ClientError::RequestTimedOut));
                }
                query.go_on(ctx, base, self.spec.read_committed);
                None
            }
            Some((_, Job::Commit(commit))) => {
                let member = self.member.as_mut()?;
                if commit.gives_up <= ctx.now {
                    return Some(Err(ClientError::RequestTimedOut));
                }
                if commit.offsets.is_empty() {
                    return Some(Ok(OpValue::Done));
                }
                commit.go_on(ctx, base, member).err().map(Err)
            }
            Some((_, Job::Committed(committed))) => {
                if committed.gives_up <= ctx.now {
                    return Some(Err(ClientError::RequestTimedOut));
                }
                committed.go_on(ctx, base, self.member.as_mut()?);
                None
            }
            Some((_, Job::Poll(_))) => self.poll(ctx, base),
        }
    }

    fn poll(&mut self, ctx: &mut ClientCtx<'_>, base: &mut Base) -> Option<OpResult> {
        self.hand_out(ctx);
        let Some((_, Job::Poll(poll))) = &mut self.current else { return None };
        let ended = poll.count >= poll.at_least || poll.until <= ctx.now;
        // An error is told once there is nothing else to tell (`Fetcher.collectFetch`).
        let error = if poll.count == 0 || poll.records.is_none() { self.error.take() } else { None };
        if let Some(error) = error {
            return Some(Err(error));
        }
        if ended || self.error.is_some() {
            return Some(Ok(match poll.records.take() {
                Some(records) => OpValue::Records(records),
                None => OpValue::Consumed(poll.count),
            }));
        }
        self.poll_group(ctx, base);
        self.ask_committed(ctx, base);
        self.set_positions();
        if let Some(error) = self.error.take() {
            return Some(Err(error));
        }
        self.ask_resets(ctx, base);
        self.ask_validations(ctx, base);
        self.fetch_all(ctx, base);
        None
    }

    /// Finds a place to begin where there is none.
    fn set_positions(&mut self) {
        // A group is asked first.
        if self.member.is_some() {
            return;
        }
        let mut without = None;
        for (name, assigned) in &mut self.assigned {
            if assigned.state != State::Unset {
                continue;
            }
            match self.spec.auto_offset_reset.timestamp() {
                Some(timestamp) => assigned.reset(timestamp),
                None => without = without.or_else(|| Some(name.clone())),
            }
        }
        if let Some(partition) = without {
            self.error = Some(ClientError::NoOffset { partition });
        }
    }

    /// Hands what was fetched to the poll that is under way, `max.poll.records` at most.
    fn hand_out(&mut self, ctx: &mut ClientCtx<'_>) {
        let Some((id, Job::Poll(poll))) = &mut self.current else { return };
        let mut room = self.spec.max_poll_records;
        for assigned in self.assigned.values_mut() {
            // What was fetched under another leader counts only once the position is known to be right.
            if assigned.state != State::Fetching {
                assigned.fetched.clear();
                assigned.behind_fetched = None;
                continue;
            }
            while room > 0
                && let Some(record) = assigned.fetched.pop_front()
            {
                room -= 1;
                poll.count += 1;
                if let Some(position) = &mut assigned.position {
                    position.offset = record.offset + 1;
                    position.epoch = Some(record.leader_epoch).filter(|epoch| *epoch >= 0);
                }
                let (from, visible_end) = assigned.fetched_from;
                ctx.happened(
                    Some(*id),
                    HistoryEvent::Read {
                        partition: record.partition.clone(),
                        offset: record.offset,
                        leader_epoch: record.leader_epoch,
                        key: record.key.clone(),
                        value: record.value.clone(),
                        from,
                        visible_end,
                        read_committed: self.spec.read_committed,
                    },
                );
                if let Some(records) = &mut poll.records {
                    records.push(record);
                }
            }
            if assigned.fetched.is_empty()
                && let Some(behind) = assigned.behind_fetched.take()
                && let Some(position) = &mut assigned.position
            {
                (position.offset, position.epoch) = (behind.offset, behind.epoch);
            }
        }
    }

    fn fail_poll(&mut self, error: ClientError) {
        self.error.get_or_insert(error);
    }

    pub(super) fn on_answer(
        &mut self,
        ctx: &mut ClientCtx<'_>,
        base: &mut Base,
        correlation_id: i32,
        answer: Answer,
    ) {
        if let Some(fetch) = self.fetches.remove(&correlation_id) {
            self.on_fetched(ctx, base, fetch, answer);
        } else if let Some((name, timestamp)) = self.resets.remove(&correlation_id) {
            self.on_reset(ctx, base, &name, timestamp, &answer);
        } else if let Some((name, position)) = self.validations.remove(&correlation_id) {
            self.on_validated(ctx, base, &name, position, &answer);
        } else if let Some(result) = self.on_job_answer(ctx, base, correlation_id, &answer) {
            self.end(ctx, result);
        }
    }

    /// Takes an answer that the operation under way, or the group, waits for; the operation's result, if that is it.
    fn on_job_answer(
        &mut self,
        ctx: &mut ClientCtx<'_>,
        base: &mut Base,
        correlation_id: i32,
        answer: &Answer,
    ) -> Option<OpResult> {
        if let Some((_, Job::Query(query))) = &mut self.current
            && query.asked == Some(correlation_id)
        {
            query.asked = None;
            return match offsets::outcome(answer) {
                Ok(found) => Some(Ok(OpValue::Offset(found))),
                Err(Some(error)) if !error.is_retriable() => Some(Err(ClientError::Broker(error))),
                Err(_) => {
                    query.retry_at = ctx.now + self.spec.client.retry_backoff;
                    base.metadata.request_update();
                    None
                }
            };
        }
        let member = self.member.as_mut()?;
        if member.on_answer(ctx, base, correlation_id, answer) {
            return None;
        }
        if let Some(refresh) = &mut self.refresh {
            match refresh.on_answer(ctx, base, member, correlation_id, answer) {
                OffsetsAnswer::NotMine => {}
                OffsetsAnswer::Retry => return None,
                OffsetsAnswer::Ended(result) => {
                    self.on_refreshed(ctx, base, result);
                    return None;
                }
            }
        }
        match &mut self.current {
            Some((id, Job::Commit(commit))) => {
                match commit.on_answer(ctx, base, member, correlation_id, answer) {
                    OffsetsAnswer::NotMine | OffsetsAnswer::Retry => None,
                    OffsetsAnswer::Ended(Err(error)) => Some(Err(error)),
                    OffsetsAnswer::Ended(Ok(())) => {
                        let (generation, offsets) = (member.generation(), commit.offsets.clone());
                        ctx.happened(Some(*id), HistoryEvent::Committed { generation, offsets });
                        Some(Ok(OpValue::Done))
                    }
                }
            }
            Some((_, Job::Committed(committed))) => {
                match committed.on_answer(ctx, base, member, correlation_id, answer) {
                    OffsetsAnswer::NotMine | OffsetsAnswer::Retry => None,
                    OffsetsAnswer::Ended(result) => Some(result.map(OpValue::Committed)),
                }
            }
            _ => None,
        }
    }

    fn end(&mut self, ctx: &mut ClientCtx<'_>, result: OpResult) {
        let Some((id, _)) = self.current.take() else { return };
        let error = result.as_ref().err().cloned();
        ctx.happened(Some(id), HistoryEvent::Ended { error });
        ctx.end(id, result);
    }

    pub(super) fn next_deadlines(&self) -> impl Iterator<Item = Timestamp> {
        let job = match &self.current {
            Some((_, Job::Poll(poll))) => vec![poll.until],
            Some((_, Job::Query(query))) => vec![query.gives_up, query.retry_at],
            Some((_, Job::Commit(commit))) => vec![commit.gives_up, commit.retry_at],
            Some((_, Job::Committed(committed))) => vec![committed.gives_up, committed.retry_at],
            None => Vec::new(),
        };
        let refresh = self.refresh.as_ref().map(|refresh| refresh.retry_at);
        let member = self.member.iter().flat_map(Member::next_deadlines);
        let polling = matches!(self.current, Some((_, Job::Poll(_))));
        let retries = self.assigned.values().map(|assigned| assigned.retry_at).filter(move |_| polling);
        job.into_iter().chain(retries).chain(refresh).chain(member)
    }
}

fn without_group() -> ClientError {
    ClientError::Unsupported("a consumer without a group id is in no group".to_owned())
}
