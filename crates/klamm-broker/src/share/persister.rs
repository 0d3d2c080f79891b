//! Asking the share coordinator for state, and having it kept (`DefaultStatePersister`, `PersisterStateManager`).
//!
//! What concerns one share-partition goes out one by one, in order, and again after a while when the coordinator moved, loads or
//! cannot be reached.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use klamm_node::{Ctx, SendError};
use klamm_wire::messages::read_share_group_state_request::ReadStateData;
use klamm_wire::messages::read_share_group_state_summary_request::ReadStateSummaryData;
use klamm_wire::messages::write_share_group_state_request::{StateBatch as WireBatch, WriteStateData};
use klamm_wire::messages::{
    DeleteShareGroupStateRequest, InitializeShareGroupStateRequest, ReadShareGroupStateRequest,
    ReadShareGroupStateSummaryRequest, ResponseKind, WriteShareGroupStateRequest,
    delete_share_group_state_request, initialize_share_group_state_request, read_share_group_state_request,
    read_share_group_state_summary_request, write_share_group_state_request,
};
use klamm_wire::{ErrorCode, Request, Response, StrBytes};

use super::key::SharePartitionKey;
use super::manager::Done;
use super::timer::ShareTimer;
use crate::core::{Call, Core, SHARE_GROUP_STATE_TOPIC, Timer};
use crate::group::{Answers, Asks, ShareAsked};
use crate::share_coordinator::ask::{Answer, Ask};
use crate::share_coordinator::state::StateBatch;

/// The wait before the second try, halved (`REQUEST_BACKOFF_MS`).
const BACKOFF_MS: u64 = 1_000;
/// The longest wait between two tries (`REQUEST_BACKOFF_MAX_MS`).
const BACKOFF_MAX_MS: u64 = 30_000;
/// How often it is tried (`MAX_FIND_COORD_ATTEMPTS`).
const MAX_ATTEMPTS: u32 = 5;
/// The version of all five requests.
const VERSION: i16 = 0;

/// A question that has no answer yet.
#[derive(Debug, Clone)]
struct Op {
    key: SharePartitionKey,
    ask: Ask,
    attempts: u32,
    done: Done,
}

/// Questions to share coordinators.
#[derive(Debug, Clone, Default)]
pub(crate) struct Persister {
    next: u64,
    ops: BTreeMap<u64, Op>,
    /// The questions about each share-partition; the first is out.
    queues: BTreeMap<SharePartitionKey, VecDeque<u64>>,
    /// Questions that wait for `__share_group_state` to be made.
    without_topic: Vec<u64>,
    /// Answers that nobody looked at yet.
    pub(crate) answered: VecDeque<(Done, Answer)>,
    /// What group coordinators asked for, until every answer is there.
    batches: BTreeMap<u64, Batch>,
    /// Answers for group coordinators that nobody looked at yet.
    pub(crate) group_answered: VecDeque<(ShareAsked, Answers)>,
}

/// Questions on behalf of a group.
#[derive(Debug, Clone)]
struct Batch {
    missing: usize,
    answers: Answers,
    asked: ShareAsked,
}

impl Persister {
    /// How many questions have no answer.
    pub(crate) fn len(&self) -> usize {
        self.ops.len()
    }

    fn note_group_answer(&mut self, id: u64, key: SharePartitionKey, answer: Answer) {
        let Some(batch) = self.batches.get_mut(&id) else { return };
        batch.answers.push((key, answer));
        batch.missing -= 1;
        if batch.missing == 0
            && let Some(Batch { answers, asked, .. }) = self.batches.remove(&id)
        {
            self.group_answered.push_back((asked, answers));
        }
    }
}

impl Core {
    /// Asks about a share-partition. The answer comes with `done` in [`Persister::answered`].
    pub(crate) fn ask_share_coordinator(
        &mut self,
        ctx: &mut Ctx<'_>,
        key: SharePartitionKey,
        ask: Ask,
        done: Done,
    ) {
        let id = self.persister.next;
        self.persister.next += 1;
        let queue = self.persister.queues.entry(key.clone()).or_default();
        queue.push_back(id);
        let is_first = queue.len() == 1;
        self.persister.ops.insert(id, Op { key, ask, attempts: 0, done });
        if is_first {
            self.send_share_ask(ctx, id);
        }
    }

    /// Asks about several share-partitions of a group. The answers come together, in [`Persister::group_answered`].
    pub(crate) fn ask_about_share_partitions(&mut self, ctx: &mut Ctx<'_>, asks: Asks, asked: ShareAsked) {
        let id = self.persister.next;
        self.persister.next += 1;
        if asks.is_empty() {
            return self.persister.group_answered.push_back((asked, Answers::new()));
        }
        self.persister.batches.insert(id, Batch { missing: asks.len(), answers: Answers::new(), asked });
        for (key, ask) in asks {
            self.ask_share_coordinator(ctx, key, ask, Done::Group(id));
        }
    }

    /// The wait before another try is over.
    pub(crate) fn retry_share_ask(&mut self, ctx: &mut Ctx<'_>, id: u64) {
        self.persister.without_topic.retain(|waiting| *waiting != id);
        self.send_share_ask(ctx, id);
    }

    /// The step may have brought `__share_group_state`: asks what waited for it. True when something did.
    pub(crate) fn ask_with_share_topic(&mut self, ctx: &mut Ctx<'_>) -> bool {
        if self.persister.without_topic.is_empty()
            || self.partition_count(SHARE_GROUP_STATE_TOPIC).is_none()
            || self.leader_endpoint(SHARE_GROUP_STATE_TOPIC, 0).is_none()
        {
            return false;
        }
        for id in std::mem::take(&mut self.persister.without_topic) {
            self.cancel_timer(&Timer::Share(ShareTimer::Retry(id)));
            self.send_share_ask(ctx, id);
        }
        true
    }

    fn send_share_ask(&mut self, ctx: &mut Ctx<'_>, id: u64) {
        let Some(op) = self.persister.ops.get(&id) else { return };
        let Some(partitions) = self.partition_count(SHARE_GROUP_STATE_TOPIC) else {
            self.ensure_internal_topic(ctx, SHARE_GROUP_STATE_TOPIC);
            self.persister.without_topic.push(id);
            return self.back_off(ctx, id, ErrorCode::CoordinatorNotAvailable);
        };
        let place = op.key.coordinator_partition(partitions);
        let Some((node, ..)) = self.leader_endpoint(SHARE_GROUP_STATE_TOPIC, place) else {
            return self.back_off(ctx, id, ErrorCode::CoordinatorNotAvailable);
        };
        let request = request(&op.key, &op.ask);
        let call = ctx.send(node, VERSION, request, self.config.hot.request_timeout_ms);
        self.calls.insert(call, Call::ShareState(id));
    }

    /// A share coordinator answered, or could not be reached.
    pub(crate) fn on_share_answer(
        &mut self,
        ctx: &mut Ctx<'_>,
        id: u64,
        result: Result<Response, SendError>,
    ) {
        let answer = match result {
            Ok(Response::Other(kind)) => answer(*kind),
            Ok(Response::Fetch(_)) => None,
            Err(SendError::Disconnected) => return self.back_off(ctx, id, ErrorCode::NetworkException),
            Err(SendError::TimedOut) => return self.back_off(ctx, id, ErrorCode::RequestTimedOut),
        };
        let Some(answer) = answer else {
            let partition = self.persister.ops.get(&id).map_or(0, |op| op.key.partition);
            let message = "The share coordinator gave another answer.";
            return self.finish_share_ask(
                ctx,
                id,
                Answer::error(partition, ErrorCode::UnknownServerError, message),
            );
        };
        match answer.error {
            error @ (ErrorCode::CoordinatorNotAvailable
            | ErrorCode::CoordinatorLoadInProgress
            | ErrorCode::NotCoordinator
            | ErrorCode::UnknownTopicOrPartition) => self.back_off(ctx, id, error),
            _ => self.finish_share_ask(ctx, id, answer),
        }
    }

    /// Tries again later, or gives up.
    fn back_off(&mut self, ctx: &mut Ctx<'_>, id: u64, error: ErrorCode) {
        let Some(op) = self.persister.ops.get_mut(&id) else { return };
        op.attempts += 1;
        if op.attempts >= MAX_ATTEMPTS {
            let message = "Exhausted max retries to ask the share coordinator without success.";
            let answer = Answer::error(op.key.partition, error, message);
            self.persister.without_topic.retain(|waiting| *waiting != id);
            return self.finish_share_ask(ctx, id, answer);
        }
        let wait = (BACKOFF_MS << op.attempts).min(BACKOFF_MAX_MS);
        self.set_timer(Timer::Share(ShareTimer::Retry(id)), ctx.now + Duration::from_millis(wait));
    }

    fn finish_share_ask(&mut self, ctx: &mut Ctx<'_>, id: u64, answer: Answer) {
        let Some(op) = self.persister.ops.remove(&id) else { return };
        match op.done {
            Done::Group(batch) => self.persister.note_group_answer(batch, op.key.clone(), answer),
            done => self.persister.answered.push_back((done, answer)),
        }
        let Some(queue) = self.persister.queues.get_mut(&op.key) else { return };
        queue.retain(|queued| *queued != id);
        match queue.front().copied() {
            Some(next) => self.send_share_ask(ctx, next),
            None => drop(self.persister.queues.remove(&op.key)),
        }
    }
}

fn request(key: &SharePartitionKey, ask: &Ask) -> Request {
    let (group, topic, partition): (StrBytes, _, _) = (key.group.clone(), key.topic_id, key.partition);
    match ask {
        Ask::Initialize { state_epoch, start_offset } => {
            use initialize_share_group_state_request::{InitializeStateData, PartitionData};
            let asked = PartitionData::default()
                .with_partition(partition)
                .with_state_epoch(*state_epoch)
                .with_start_offset(*start_offset);
            let topic = InitializeStateData::default().with_topic_id(topic).with_partitions(vec![asked]);
            InitializeShareGroupStateRequest::default().with_group_id(group).with_topics(vec![topic]).into()
        }
        Ask::Read { leader_epoch } => {
            use read_share_group_state_request::PartitionData;
            let asked = PartitionData::default().with_partition(partition).with_leader_epoch(*leader_epoch);
            let topic = ReadStateData::default().with_topic_id(topic).with_partitions(vec![asked]);
            ReadShareGroupStateRequest::default().with_group_id(group).with_topics(vec![topic]).into()
        }
        Ask::Write { state_epoch, leader_epoch, start_offset, batches } => {
            use write_share_group_state_request::PartitionData;
            let batches = batches.iter().map(|batch| {
                WireBatch::default()
                    .with_first_offset(batch.first)
                    .with_last_offset(batch.last)
                    .with_delivery_state(batch.state)
                    .with_delivery_count(batch.count)
            });
            let asked = PartitionData::default()
                .with_partition(partition)
                .with_state_epoch(*state_epoch)
                .with_leader_epoch(*leader_epoch)
                .with_start_offset(*start_offset)
                .with_state_batches(batches.collect());
            let topic = WriteStateData::default().with_topic_id(topic).with_partitions(vec![asked]);
            WriteShareGroupStateRequest::default().with_group_id(group).with_topics(vec![topic]).into()
        }
        Ask::Delete => {
            use delete_share_group_state_request::{DeleteStateData, PartitionData};
            let asked = PartitionData::default().with_partition(partition);
            let topic = DeleteStateData::default().with_topic_id(topic).with_partitions(vec![asked]);
            DeleteShareGroupStateRequest::default().with_group_id(group).with_topics(vec![topic]).into()
        }
        Ask::Summary => {
            use read_share_group_state_summary_request::PartitionData;
            let asked = PartitionData::default().with_partition(partition);
            let topic = ReadStateSummaryData::default().with_topic_id(topic).with_partitions(vec![asked]);
            ReadShareGroupStateSummaryRequest::default().with_group_id(group).with_topics(vec![topic]).into()
        }
    }
}

fn plain(partition: i32, error: i16, message: Option<StrBytes>) -> Answer {
    let error = ErrorCode::from_code(error).unwrap_or(ErrorCode::UnknownServerError);
    Answer { error, message, ..Answer::ok(partition) }
}

/// The answer in a response about one share-partition.
fn answer(kind: ResponseKind) -> Option<Answer> {
    match kind {
        ResponseKind::InitializeShareGroupState(response) => {
            let found = response.results.into_iter().next()?.partitions.into_iter().next()?;
            Some(plain(found.partition, found.error_code, found.error_message))
        }
        ResponseKind::ReadShareGroupState(response) => {
            let found = response.results.into_iter().next()?.partitions.into_iter().next()?;
            let batches = found.state_batches.iter().map(|batch| StateBatch {
                first: batch.first_offset,
                last: batch.last_offset,
                state: batch.delivery_state,
                count: batch.delivery_count,
            });
            Some(Answer {
                state_epoch: found.state_epoch,
                start_offset: found.start_offset,
                batches: batches.collect(),
                ..plain(found.partition, found.error_code, found.error_message)
            })
        }
        ResponseKind::WriteShareGroupState(response) => {
            let found = response.results.into_iter().next()?.partitions.into_iter().next()?;
            Some(plain(found.partition, found.error_code, found.error_message))
        }
        ResponseKind::DeleteShareGroupState(response) => {
            let found = response.results.into_iter().next()?.partitions.into_iter().next()?;
            Some(plain(found.partition, found.error_code, found.error_message))
        }
        ResponseKind::ReadShareGroupStateSummary(response) => {
            let found = response.results.into_iter().next()?.partitions.into_iter().next()?;
            Some(Answer {
                state_epoch: found.state_epoch,
                leader_epoch: found.leader_epoch,
                start_offset: found.start_offset,
                ..plain(found.partition, found.error_code, found.error_message)
            })
        }
        _ => None,
    }
}
