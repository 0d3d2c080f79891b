//! Consumers of a share group (KIP-932), told step by step what to do: they hold records, and say what became of each.

use std::collections::BTreeMap;
use std::time::Duration;

use klamm_node::{NodeId, TopicPartition};
use klamm_wire::messages::share_acknowledge_request::{
    AcknowledgePartition, AcknowledgeTopic, AcknowledgementBatch,
};
use klamm_wire::messages::share_fetch_request::{FetchPartition, FetchTopic};
use klamm_wire::messages::share_fetch_response::PartitionData;
use klamm_wire::messages::{
    GroupId, ResponseKind, ShareAcknowledgeRequest, ShareFetchRequest, ShareGroupHeartbeatRequest, TopicName,
};
use klamm_wire::record::batch::BatchIter;
use klamm_wire::record::inspect::DECOMPRESSED_LIMIT;
use klamm_wire::{ApiKey, ErrorCode, Request, Response, StrBytes, Uuid};

use super::{Runner, ask, txn};
use crate::report::Failure;
use crate::step::{RENEW, ShareStep, ShareWhat};
use crate::theatre::{Answer, Theatre};

const HEARTBEAT: (ApiKey, i16) = (ApiKey::ShareGroupHeartbeat, 1);
const FETCH: (ApiKey, i16) = (ApiKey::ShareFetch, 1);
const ACKNOWLEDGE: (ApiKey, i16) = (ApiKey::ShareAcknowledge, 1);
/// As [`ACKNOWLEDGE`], of records that are kept.
const KEEP: (ApiKey, i16) = (ApiKey::ShareAcknowledge, 2);
/// The member epochs of who joins, and of who leaves.
const JOIN: i32 = 0;
const LEAVE: i32 = -1;
/// How long a member waits before it asks again for its share.
const PAUSE: Duration = Duration::from_millis(500);

/// A member of a share group. Its name is its id.
#[derive(Debug)]
pub(super) struct ShareMember {
    group: String,
    client: u32,
    /// The member epoch; 0 before it has joined.
    epoch: i32,
    topics: Vec<String>,
    /// The next epoch of its session with each broker.
    sessions: BTreeMap<NodeId, i32>,
    /// The records that it was given and has not acknowledged.
    held: BTreeMap<(TopicPartition, i64), Held>,
}

#[derive(Debug, Clone)]
struct Held {
    value: String,
    deliveries: i16,
    /// Who gave it.
    broker: NodeId,
}

type Ended<T> = Result<T, String>;

/// A coordinator whose topic was only just made is about to be there.
const COORDINATOR_COMES: [ErrorCode; 3] =
    [ErrorCode::CoordinatorLoadInProgress, ErrorCode::CoordinatorNotAvailable, ErrorCode::NotCoordinator];

impl<T: Theatre> Runner<T> {
    pub(super) fn declare_share(&mut self, name: &str, group: &str) {
        self.stage.name_client(self.next_client, name);
        let member = ShareMember {
            group: group.to_owned(),
            client: self.next_client,
            epoch: JOIN,
            topics: Vec::new(),
            sessions: BTreeMap::new(),
            held: BTreeMap::new(),
        };
        self.share.insert(name.to_owned(), member);
        self.next_client += 1;
    }

    pub(super) fn share(&mut self, step: &ShareStep) -> Vec<Failure> {
        let name = &step.client;
        let ended = match &step.what {
            ShareWhat::Join(topics) => self.share_join(name, topics, step.within),
            ShareWhat::Leave => self.share_leave(name),
            ShareWhat::Poll(partition) => self.share_poll(name, partition),
            ShareWhat::Acknowledge { kind, records } => self.share_acknowledge(name, *kind, records),
        };
        let actual = ended.err().unwrap_or_else(|| "NONE".to_owned());
        if actual == step.error {
            return Vec::new();
        }
        vec![Failure::new(format!("what {name} was asked"), step.error.clone(), actual)]
    }

    /// Joins, and heartbeats until it is told which partitions it may read.
    fn share_join(&mut self, name: &str, topics: &[String], within: Duration) -> Ended<()> {
        let until = self.stage.now() + within;
        if let Some(member) = self.share.get_mut(name) {
            member.topics = topics.to_vec();
            member.epoch = JOIN;
        }
        loop {
            let ended = self.share_beat(name);
            match ended {
                Ok(true) => return Ok(()),
                _ if self.stage.now() >= until => {
                    return Err(ended.err().unwrap_or_else(|| "PENDING".to_owned()));
                }
                Ok(false) => self.pass(PAUSE),
                Err(error) if COORDINATOR_COMES.iter().any(|code| code.name() == error) => self.pass(PAUSE),
                Err(error) => return Err(error),
            }
        }
    }

    fn share_leave(&mut self, name: &str) -> Ended<()> {
        if let Some(member) = self.share.get_mut(name) {
            member.epoch = LEAVE;
            member.sessions.clear();
            member.held.clear();
        }
        self.share_beat(name).map(drop)
    }

    /// A heartbeat; whether the coordinator named partitions.
    fn share_beat(&mut self, name: &str) -> Ended<bool> {
        let Some(member) = self.share.get(name) else { return Ok(false) };
        let (client, epoch) = (member.client, member.epoch);
        let request = ShareGroupHeartbeatRequest::default()
            .with_group_id(GroupId(text(&member.group)))
            .with_member_id(text(name))
            .with_member_epoch(epoch)
            .with_subscribed_topic_names(
                (epoch == JOIN).then(|| member.topics.iter().map(|topic| TopicName(text(topic))).collect()),
            );
        let group = member.group.clone();
        let coordinator = self.share_coordinator(client, &group)?;
        let answer = self.share_ask(client, coordinator, HEARTBEAT, Request::ShareGroupHeartbeat(request))?;
        let Some(ResponseKind::ShareGroupHeartbeat(answer)) = kind(&answer) else {
            return Err("DISCONNECTED".to_owned());
        };
        ended(answer.error_code)?;
        let assigned =
            answer.assignment.as_ref().is_some_and(|assignment| !assignment.topic_partitions.is_empty());
        if let Some(member) = self.share.get_mut(name) {
            member.epoch = answer.member_epoch.max(JOIN);
        }
        Ok(assigned)
    }

    fn share_coordinator(&mut self, client: u32, group: &str) -> Ended<NodeId> {
        let until = self.stage.now() + Duration::from_secs(60);
        loop {
            match self.coordinator_of(client, txn::find_coordinator(group, false)) {
                Ok(coordinator) => return Ok(coordinator),
                Err(error) if !error.is_retriable() || self.stage.now() >= until => {
                    return Err(error.name().to_owned());
                }
                Err(_) => self.pass(PAUSE),
            }
        }
    }

    fn share_ask(
        &mut self,
        client: u32,
        broker: NodeId,
        (key, version): (ApiKey, i16),
        request: Request,
    ) -> Ended<Box<Response>> {
        let ticket = self.stage.ask(client, broker, key, version, request);
        match self.answer(ticket) {
            Some(Answer::Response(answer)) => Ok(answer),
            _ => Err("DISCONNECTED".to_owned()),
        }
    }

    /// The topic's id, and the partition's leader.
    fn share_leader(&mut self, client: u32, partition: &TopicPartition) -> Ended<(Uuid, NodeId)> {
        let (key, version) = ask::METADATA;
        for broker in self.stage.brokers() {
            let request = ask::metadata(&partition.topic, false);
            let Ok(answer) = self.share_ask(client, broker, (key, version), request) else { continue };
            let leader = ask::leader(&answer, partition.partition)?;
            let Some(ResponseKind::Metadata(answer)) = kind(&answer) else { continue };
            return Ok((answer.topics.first().map(|topic| topic.topic_id).unwrap_or_default(), leader));
        }
        Err("DISCONNECTED".to_owned())
    }

    /// Asks a partition's leader for records: they are its own until it says what became of them, or is too long about it.
    fn share_poll(&mut self, name: &str, partition: &TopicPartition) -> Ended<()> {
        self.share_beat(name)?;
        let Some(client) = self.share.get(name).map(|member| member.client) else { return Ok(()) };
        let (topic_id, leader) = self.share_leader(client, partition)?;
        let Some(member) = self.share.get_mut(name) else { return Ok(()) };
        let session = member.sessions.entry(leader).or_insert(0);
        let topic = FetchTopic::default()
            .with_topic_id(topic_id)
            .with_partitions(vec![FetchPartition::default().with_partition_index(partition.partition)]);
        let request = ShareFetchRequest::default()
            .with_group_id(Some(GroupId(text(&member.group))))
            .with_member_id(Some(text(name)))
            .with_share_session_epoch(*session)
            .with_max_wait_ms(500)
            .with_min_bytes(1)
            .with_max_bytes(50 << 20)
            .with_max_records(500)
            .with_batch_size(500)
            .with_topics(vec![topic]);
        *session += 1;
        let answer =
            self.share_ask(client, leader, FETCH, Request::ShareFetch(request)).inspect_err(|_| {
                // The session went with its connection.
                if let Some(member) = self.share.get_mut(name) {
                    member.sessions.remove(&leader);
                }
            })?;
        let Some(ResponseKind::ShareFetch(answer)) = kind(&answer) else {
            return Err("DISCONNECTED".to_owned());
        };
        ended(answer.error_code)?;
        let mut got = Vec::new();
        for data in answer.responses.iter().flat_map(|topic| &topic.partitions) {
            ended(data.error_code)?;
            let Some(member) = self.share.get_mut(name) else { continue };
            for (offset, value, deliveries) in acquired(data) {
                got.push(value.clone());
                member.held.insert((partition.clone(), offset), Held { value, deliveries, broker: leader });
            }
        }
        let got = if got.is_empty() { "nothing".to_owned() } else { got.join(" ") };
        self.told.push(format!("{name} is given {got}"));
        Ok(())
    }

    /// Says of records that it holds, of all when none is named, what became of them.
    fn share_acknowledge(&mut self, name: &str, how: i8, records: &[String]) -> Ended<()> {
        self.share_beat(name)?;
        let Some(member) = self.share.get_mut(name) else { return Ok(()) };
        let client = member.client;
        let meant = |held: &Held| records.is_empty() || records.contains(&held.value);
        let said: Vec<_> = if how == RENEW {
            let kept = member.held.iter().filter(|(_, held)| meant(held));
            kept.map(|(place, held)| (place.clone(), held.clone())).collect()
        } else {
            member.held.extract_if(.., |_, held| meant(held)).collect()
        };
        let known = |record: &&String| !said.iter().any(|(_, held)| held.value == **record);
        if let Some(unknown) = records.iter().find(known) {
            return Err(format!("{name} does not hold {unknown}"));
        }
        let mut by_partition: BTreeMap<(NodeId, TopicPartition), Vec<AcknowledgementBatch>> = BTreeMap::new();
        for ((partition, offset), held) in said {
            let batch = AcknowledgementBatch::default()
                .with_first_offset(offset)
                .with_last_offset(offset)
                .with_acknowledge_types(vec![how]);
            by_partition.entry((held.broker, partition)).or_default().push(batch);
        }
        for ((broker, partition), batches) in by_partition {
            let (topic_id, _) = self.share_leader(client, &partition)?;
            let Some(member) = self.share.get_mut(name) else { continue };
            let session = member.sessions.entry(broker).or_insert(0);
            let said = AcknowledgePartition::default()
                .with_partition_index(partition.partition)
                .with_acknowledgement_batches(batches);
            let topic = AcknowledgeTopic::default().with_topic_id(topic_id).with_partitions(vec![said]);
            let request = ShareAcknowledgeRequest::default()
                .with_group_id(Some(GroupId(text(&member.group))))
                .with_member_id(Some(text(name)))
                .with_share_session_epoch(*session)
                .with_is_renew_ack(how == RENEW)
                .with_topics(vec![topic]);
            *session += 1;
            let api = if how == RENEW { KEEP } else { ACKNOWLEDGE };
            let answer = self.share_ask(client, broker, api, Request::ShareAcknowledge(request))?;
            let Some(ResponseKind::ShareAcknowledge(answer)) = kind(&answer) else {
                return Err("DISCONNECTED".to_owned());
            };
            ended(answer.error_code)?;
            for data in answer.responses.iter().flat_map(|topic| &topic.partitions) {
                ended(data.error_code)?;
            }
        }
        Ok(())
    }

    /// What a member holds of a partition, in the order of offsets, each with how often it was delivered.
    pub(super) fn share_held(&self, name: &str, partition: &TopicPartition) -> Vec<(String, i16)> {
        let held = self.share.get(name).map(|member| &member.held);
        let of = held.into_iter().flatten().filter(|((at, _), _)| at == partition);
        of.map(|(_, held)| (held.value.clone(), held.deliveries)).collect()
    }
}

/// The records of an answer that were acquired: offset, value, how often delivered.
fn acquired(data: &PartitionData) -> Vec<(i64, String, i16)> {
    let mut found = Vec::new();
    let bytes = data.records.clone().unwrap_or_default();
    for batch in BatchIter::new(bytes).map_while(Result::ok).filter(|batch| !batch.header.is_control()) {
        for record in batch.records(DECOMPRESSED_LIMIT).iter().flatten().map_while(Result::ok) {
            let offset = batch.header.base_offset + i64::from(record.offset_delta);
            let range = data
                .acquired_records
                .iter()
                .find(|range| (range.first_offset..=range.last_offset).contains(&offset));
            if let Some(range) = range {
                let value = String::from_utf8_lossy(record.value.unwrap_or_default()).into_owned();
                found.push((offset, value, range.delivery_count));
            }
        }
    }
    found
}

fn kind(answer: &Response) -> Option<&ResponseKind> {
    if let Response::Other(kind) = answer { Some(kind) } else { None }
}

fn text(text: &str) -> StrBytes {
    StrBytes::from(text.to_owned())
}

/// Kafka's name of an error, if it is one.
fn ended(code: i16) -> Ended<()> {
    match ErrorCode::from_code(code) {
        Some(ErrorCode::None) => Ok(()),
        Some(error) => Err(error.name().to_owned()),
        None => Err(format!("error {code}")),
    }
}
