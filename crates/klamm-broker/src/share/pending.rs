//! Requests of share consumers that are not answered yet, and their answers: what was fetched, and what became of acknowledgements
//! (`KafkaApis.handleShareFetchRequest`, `handleShareAcknowledgeRequest`).

use klamm_node::{Ctx, ReplyTo};
use klamm_wire::messages::share_acknowledge_response::{
    self as acknowledge_response, ShareAcknowledgeTopicResponse,
};
use klamm_wire::messages::share_fetch_response::{
    self as fetch_response, PartitionData, ShareFetchableTopicResponse,
};
use klamm_wire::messages::{BrokerId, ResponseKind, ShareAcknowledgeResponse, ShareFetchResponse};
use klamm_wire::{ErrorCode, StrBytes, Uuid};

use super::acknowledge::Acknowledgement;
use super::key::SharePartitionKey;
use super::manager::{Done, SharePartitionManager, trace_changes, trace_renewed};
use super::session::{FINAL_EPOCH, SessionKey, TopicPartitionId, next_epoch};
use crate::core::Core;
use crate::handlers::UNKNOWN_PARTITION;

/// Names a request; never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PendingId(pub(super) u64);

/// One partition's part of a fetch, with its topic.
pub(crate) type Fetched = (Uuid, PartitionData);

/// What became of the acknowledgements of one partition.
#[derive(Debug, Clone)]
struct Acknowledged {
    id: TopicPartitionId,
    result: Option<(ErrorCode, Option<StrBytes>)>,
}

/// What is asked.
#[derive(Debug, Clone)]
pub(crate) enum Kind {
    /// ShareAcknowledge.
    Acknowledge,
    /// ShareFetch; what was fetched, once it is known.
    Fetch(Option<Vec<Fetched>>),
}

/// A request that is not answered yet.
#[derive(Debug, Clone)]
pub(crate) struct Pending {
    to: ReplyTo,
    session: SessionKey,
    epoch: i32,
    kind: Kind,
    acknowledged: Vec<Acknowledged>,
}

/// One partition's acknowledgements; an error where they are refused before anybody looks at them.
pub(crate) type Said = (TopicPartitionId, Result<Vec<Acknowledgement>, ErrorCode>);

impl SharePartitionManager {
    /// Takes a request in.
    pub(crate) fn begin(&mut self, to: ReplyTo, session: SessionKey, epoch: i32, kind: Kind) -> PendingId {
        let id = PendingId(self.next_id);
        self.next_id += 1;
        self.pending.insert(id, Pending { to, session, epoch, kind, acknowledged: Vec::new() });
        id
    }

    /// Takes note of what a member says, and asks the share coordinator to keep it. Follow with
    /// [`SharePartitionManager::maybe_answer`].
    pub(crate) fn acknowledge(
        &mut self,
        core: &mut Core,
        ctx: &mut Ctx<'_>,
        pending: PendingId,
        said: Vec<Said>,
    ) {
        let Some((group, member)) = self.pending.get(&pending).map(|p| p.session.clone()) else { return };
        let limits = self.config.limits(core, &group);
        for (slot, (id, said)) in said.into_iter().enumerate() {
            let key = SharePartitionKey { group: group.clone(), topic_id: id.0, partition: id.1 };
            let mut result = None;
            let held = self.partitions.get_mut(&key);
            match (said, held) {
                (Err(error), _) => result = Some((error, None)),
                (Ok(said), _) if said.is_empty() => result = Some((ErrorCode::None, None)),
                (Ok(_), None) => {
                    let message = StrBytes::from_static_str(UNKNOWN_PARTITION);
                    result = Some((ErrorCode::UnknownTopicOrPartition, Some(message)));
                }
                (Ok(said), Some(held)) => {
                    let instance = held.instance;
                    let (renewed, changes) = held.partition.acknowledge(&member, &said, limits, ctx.now);
                    if !renewed.is_empty() {
                        self.watch_locks(core, &key);
                        trace_renewed(core, ctx, &key, &member, &renewed);
                    }
                    match changes {
                        Err(refusal) => {
                            let message = StrBytes::from_static_str(refusal.message);
                            result = Some((refusal.error, Some(message)));
                        }
                        Ok(changes) if changes.is_empty() => result = Some((ErrorCode::None, None)),
                        Ok(changes) => {
                            trace_changes(core, ctx, &key, &changes, "acknowledged");
                            let place = Some((pending, slot));
                            let done = |changes| Done::Changes(key.clone(), instance, changes, place);
                            self.persist(core, ctx, &key, changes, done);
                        }
                    }
                    self.wake(&key);
                }
            }
            if let Some(pending) = self.pending.get_mut(&pending) {
                pending.acknowledged.push(Acknowledged { id, result });
            }
        }
    }

    /// Acknowledgements were kept, or could not be.
    pub(super) fn acknowledged(
        &mut self,
        core: &mut Core,
        ctx: &mut Ctx<'_>,
        id: PendingId,
        slot: usize,
        error: ErrorCode,
        message: Option<StrBytes>,
    ) {
        let Some(pending) = self.pending.get_mut(&id) else { return };
        if let Some(place) = pending.acknowledged.get_mut(slot) {
            place.result = Some((error, message));
        }
        self.maybe_answer(core, ctx, id);
    }

    /// A fetch is done.
    pub(crate) fn fetched(
        &mut self,
        core: &mut Core,
        ctx: &mut Ctx<'_>,
        id: PendingId,
        fetched: Vec<Fetched>,
    ) {
        if let Some(Pending { kind: Kind::Fetch(place), .. }) = self.pending.get_mut(&id) {
            place.get_or_insert_default().extend(fetched);
        }
        self.maybe_answer(core, ctx, id);
    }

    /// Answers a request with an error of its own. What it said of records is seen to all the same.
    pub(crate) fn fail(&mut self, ctx: &mut Ctx<'_>, id: PendingId, error: ErrorCode) {
        if let Some(Pending { to, kind: Kind::Fetch(_), .. }) = self.pending.remove(&id) {
            let response = ShareFetchResponse::default().with_error_code(error.code());
            ctx.reply(to, ResponseKind::ShareFetch(response));
        }
    }

    /// Answers a request whose parts are all there.
    pub(crate) fn maybe_answer(&mut self, core: &mut Core, ctx: &mut Ctx<'_>, id: PendingId) {
        let is_done = self.pending.get(&id).is_some_and(|pending| {
            pending.acknowledged.iter().all(|acknowledged| acknowledged.result.is_some())
                && !matches!(pending.kind, Kind::Fetch(None))
        });
        if !is_done {
            return;
        }
        let Some(Pending { to, session, epoch, kind, acknowledged }) = self.pending.remove(&id) else {
            return;
        };
        let lock_ms = i32::try_from(self.config.limits(core, &session.0).lock_ms).unwrap_or(i32::MAX);
        let response = match kind {
            Kind::Acknowledge => {
                let answer = acknowledge_answer(core, acknowledged);
                ResponseKind::ShareAcknowledge(answer.with_acquisition_lock_timeout_ms(lock_ms))
            }
            Kind::Fetch(fetched) => {
                let fetched = self.filter(&session, epoch, fetched.unwrap_or_default());
                let answer = match fetched {
                    Ok(fetched) => fetch_answer(core, fetched, acknowledged),
                    Err(error) => ShareFetchResponse::default().with_error_code(error.code()),
                };
                ResponseKind::ShareFetch(answer.with_acquisition_lock_timeout_ms(lock_ms))
            }
        };
        if epoch == FINAL_EPOCH {
            self.release_session(core, ctx, &session, "share session closed");
        }
        ctx.reply(to, response);
    }

    /// What of a fetch is worth saying: in a session that goes on, only what is new (`ShareSessionContext`).
    fn filter(
        &mut self,
        key: &SessionKey,
        epoch: i32,
        mut fetched: Vec<Fetched>,
    ) -> Result<Vec<Fetched>, ErrorCode> {
        if epoch <= 0 {
            return Ok(fetched);
        }
        let session = self.sessions.get_mut(key).filter(|session| session.epoch == next_epoch(epoch));
        let Some(session) = session else { return Err(ErrorCode::InvalidShareSessionEpoch) };
        fetched.retain(|(topic, answer)| {
            let has_records = answer.records.as_ref().is_some_and(|records| !records.is_empty());
            session.must_answer((*topic, answer.partition_index), has_records, answer.error_code != 0)
        });
        Ok(fetched)
    }
}

/// Who leads a partition: id, epoch, and where it is reached.
struct Leader {
    id: i32,
    epoch: i32,
    endpoint: Option<(StrBytes, i32, Option<StrBytes>)>,
}

/// The leader of a partition that this broker does not lead.
fn leader_hint(core: &Core, error: i16, id: TopicPartitionId) -> Option<Leader> {
    let moved = [ErrorCode::NotLeaderOrFollower, ErrorCode::FencedLeaderEpoch];
    if !moved.iter().any(|moved| moved.code() == error) {
        return None;
    }
    let hint = core.current_leader(core.metadata.image().topics.partition(id.0, id.1));
    let endpoint = hint.endpoint.map(|node| (node.host, node.port, node.rack));
    Some(Leader { id: hint.leader, epoch: hint.epoch, endpoint })
}

fn fetch_answer(core: &Core, fetched: Vec<Fetched>, acknowledged: Vec<Acknowledged>) -> ShareFetchResponse {
    let mut response = ShareFetchResponse::default();
    for (topic, mut answer) in fetched {
        if let Some(leader) = leader_hint(core, answer.error_code, (topic, answer.partition_index)) {
            answer.current_leader = fetch_response::LeaderIdAndEpoch::default()
                .with_leader_id(leader.id)
                .with_leader_epoch(leader.epoch);
            if let Some((host, port, rack)) = leader.endpoint
                && !response.node_endpoints.iter().any(|known| known.node_id == BrokerId(leader.id))
            {
                response.node_endpoints.push(
                    fetch_response::NodeEndpoint::default()
                        .with_node_id(BrokerId(leader.id))
                        .with_host(host)
                        .with_port(port)
                        .with_rack(rack),
                );
            }
        }
        partitions_of(&mut response, topic).push(answer);
    }
    for Acknowledged { id: (topic, index), result } in acknowledged {
        let (error, message) = result.unwrap_or((ErrorCode::None, None));
        let partitions = partitions_of(&mut response, topic);
        let place = match partitions.iter().position(|known| known.partition_index == index) {
            Some(place) => place,
            None => {
                let empty = PartitionData::default().with_partition_index(index);
                partitions.push(empty.with_records(Some(bytes::Bytes::new())));
                partitions.len() - 1
            }
        };
        partitions[place].acknowledge_error_code = error.code();
        partitions[place].acknowledge_error_message = message;
    }
    response
}

fn partitions_of(response: &mut ShareFetchResponse, topic: Uuid) -> &mut Vec<PartitionData> {
    let place = match response.responses.iter().position(|known| known.topic_id == topic) {
        Some(place) => place,
        None => {
            response.responses.push(ShareFetchableTopicResponse::default().with_topic_id(topic));
            response.responses.len() - 1
        }
    };
    &mut response.responses[place].partitions
}

fn acknowledge_answer(core: &Core, acknowledged: Vec<Acknowledged>) -> ShareAcknowledgeResponse {
    let mut response = ShareAcknowledgeResponse::default();
    for Acknowledged { id: (topic, index), result } in acknowledged {
        let (error, message) = result.unwrap_or((ErrorCode::None, None));
        let mut answer = acknowledge_response::PartitionData::default()
            .with_partition_index(index)
            .with_error_code(error.code())
            .with_error_message(message);
        if let Some(leader) = leader_hint(core, error.code(), (topic, index)) {
            answer.current_leader = acknowledge_response::LeaderIdAndEpoch::default()
                .with_leader_id(leader.id)
                .with_leader_epoch(leader.epoch);
            if let Some((host, port, rack)) = leader.endpoint
                && !response.node_endpoints.iter().any(|known| known.node_id == BrokerId(leader.id))
            {
                response.node_endpoints.push(
                    acknowledge_response::NodeEndpoint::default()
                        .with_node_id(BrokerId(leader.id))
                        .with_host(host)
                        .with_port(port)
                        .with_rack(rack),
                );
            }
        }
        match response.responses.iter_mut().find(|known| known.topic_id == topic) {
            Some(known) => known.partitions.push(answer),
            None => response.responses.push(
                ShareAcknowledgeTopicResponse::default().with_topic_id(topic).with_partitions(vec![answer]),
            ),
        }
    }
    response
}
