//! What a scripted client knows of topics and their leaders (`Metadata`): it may be old, and never goes back to an older
//! leader epoch.

use std::collections::{BTreeMap, BTreeSet};

use klamm_node::{NodeId, Timestamp, TopicPartition};
use klamm_wire::messages::metadata_request::MetadataRequestTopic;
use klamm_wire::messages::metadata_response::MetadataResponseTopic;
use klamm_wire::messages::{MetadataRequest, ResponseKind, TopicName};
use klamm_wire::{ApiKey, ErrorCode, Request, Response, StrBytes, Uuid};

use super::backoff::Backoff;
use super::channels::Channels;
use super::settings::ClientSettings;
use crate::client::{Answer, ClientCtx};

const VERSION: i16 = 13;

/// A partition's leader, as a client knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownLeader {
    /// The leader; `None` for none.
    pub leader: Option<NodeId>,
    /// Its epoch; -1 when unknown.
    pub epoch: i32,
}

#[derive(Debug, Clone, Default)]
struct Topic {
    id: Uuid,
    partitions: BTreeMap<i32, KnownLeader>,
    /// What the last answer said of the topic as a whole.
    error: ErrorCode,
}

/// A client's metadata.
#[derive(Debug, Clone)]
pub(super) struct Metadata {
    backoff: Backoff,
    max_age: std::time::Duration,
    auto_create: bool,
    topics: BTreeMap<StrBytes, Topic>,
    wanted: BTreeSet<StrBytes>,
    asked: Option<i32>,
    requested: bool,
    frozen: bool,
    /// Failed refreshes in a row, and answers in a row that brought nothing new.
    failures: u32,
    equivalent: u32,
    /// No refresh before this.
    allowed_at: Timestamp,
    expires_at: Timestamp,
    /// Grows with each change of what is known.
    changes: u64,
}

impl Metadata {
    pub(super) fn new(settings: &ClientSettings, auto_create: bool) -> Self {
        Self {
            backoff: Backoff::new(settings.retry_backoff, settings.retry_backoff_max),
            max_age: settings.metadata_max_age,
            auto_create,
            topics: BTreeMap::new(),
            wanted: BTreeSet::new(),
            asked: None,
            requested: false,
            frozen: false,
            failures: 0,
            equivalent: 0,
            allowed_at: Timestamp::ZERO,
            expires_at: Timestamp::MAX,
            changes: 0,
        }
    }

    /// Takes an interest in a topic.
    pub(super) fn want(&mut self, topic: &StrBytes) {
        if self.wanted.insert(topic.clone()) {
            self.requested = true;
            self.equivalent = 0;
            self.allowed_at = Timestamp::ZERO;
        }
    }

    pub(super) const fn freeze(&mut self, frozen: bool) {
        self.frozen = frozen;
    }

    /// Something showed that this is out of date.
    pub(super) const fn request_update(&mut self) {
        self.requested = true;
    }

    pub(super) fn leader(&self, partition: &TopicPartition) -> Option<KnownLeader> {
        self.topics.get(&partition.topic)?.partitions.get(&partition.partition).copied()
    }

    pub(super) fn topic_id(&self, topic: &StrBytes) -> Uuid {
        self.topics.get(topic).map_or(Uuid::nil(), |topic| topic.id)
    }

    /// The topic of an id, as far as is known.
    pub(super) fn topic_name(&self, id: &Uuid) -> Option<&StrBytes> {
        self.topics.iter().find(|(_, topic)| topic.id == *id).map(|(name, _)| name)
    }

    /// What the last answer said of a topic; `None` when none has said anything.
    pub(super) fn topic_error(&self, topic: &StrBytes) -> Option<ErrorCode> {
        self.topics.get(topic).map(|topic| topic.error)
    }

    /// How many partitions a topic has, as far as is known.
    pub(super) fn partitions(&self, topic: &StrBytes) -> i32 {
        let count = self.topics.get(topic).map_or(0, |topic| topic.partitions.len());
        i32::try_from(count).unwrap_or(i32::MAX)
    }

    /// Takes a leader hint (KIP-951), if it is newer than what is known (`Metadata.updatePartitionLeadership`).
    pub(super) fn hint(&mut self, partition: &TopicPartition, leader: NodeId, epoch: i32) -> bool {
        if self.frozen || leader.0 < 0 || epoch < 0 {
            return false;
        }
        let known = self
            .topics
            .get_mut(&partition.topic)
            .and_then(|topic| topic.partitions.get_mut(&partition.partition));
        match known {
            Some(known) if known.epoch < epoch => {
                *known = KnownLeader { leader: Some(leader), epoch };
                self.changes += 1;
                true
            }
            _ => false,
        }
    }

    pub(super) fn next_deadline(&self) -> Option<Timestamp> {
        if self.asked.is_some() || self.frozen || self.wanted.is_empty() {
            return None;
        }
        Some(if self.requested { self.allowed_at } else { self.expires_at.max(self.allowed_at) })
    }

    /// Asks when it is time to.
    pub(super) fn go_on(&mut self, ctx: &mut ClientCtx<'_>, channels: &mut Channels) {
        if self.next_deadline().is_none_or(|at| at > ctx.now) {
            return;
        }
        let Some(broker) = channels.least_loaded(ctx) else { return };
        let topic =
            |name: &StrBytes| MetadataRequestTopic::default().with_name(Some(TopicName(name.clone())));
        let request = MetadataRequest::default()
            .with_allow_auto_topic_creation(self.auto_create)
            .with_topics(Some(self.wanted.iter().map(topic).collect()));
        let version = channels.version(broker, ApiKey::Metadata, VERSION);
        self.asked = Some(ctx.ask(broker, ApiKey::Metadata, version, Request::Metadata(request)));
        self.requested = false;
    }

    /// Takes an answer that is this one's; false when it is another's.
    pub(super) fn on_answer(
        &mut self,
        ctx: &mut ClientCtx<'_>,
        correlation_id: i32,
        answer: &Answer,
    ) -> bool {
        if self.asked != Some(correlation_id) {
            return false;
        }
        self.asked = None;
        if let Answer::Response(Response::Other(response)) = answer
            && let ResponseKind::Metadata(response) = &**response
        {
            self.failures = 0;
            self.equivalent += 1;
            self.expires_at = ctx.now + self.max_age;
            let before = self.changes;
            for topic in &response.topics {
                self.learn(topic);
            }
            if self.changes != before {
                self.equivalent = 0;
            }
        } else {
            self.failures += 1;
            self.equivalent = 0;
            self.requested = true;
        }
        let failed = self.backoff.wait(ctx.rng, self.failures.saturating_sub(1));
        let idle = self
            .equivalent
            .checked_sub(1)
            .map_or(std::time::Duration::ZERO, |n| self.backoff.wait(ctx.rng, n));
        self.allowed_at = ctx.now + failed.max(idle);
        true
    }

    fn learn(&mut self, answer: &MetadataResponseTopic) {
        let Some(name) = &answer.name else { return };
        let topic = self.topics.entry(name.0.clone()).or_default();
        let error = ErrorCode::from_code(answer.error_code).unwrap_or(ErrorCode::UnknownServerError);
        let recreated = !answer.topic_id.is_nil() && answer.topic_id != topic.id;
        self.changes += u64::from(topic.error != error || recreated);
        topic.error = error;
        if error != ErrorCode::None {
            self.requested |= error.is_retriable();
            return;
        }
        topic.id = answer.topic_id;
        if recreated {
            topic.partitions.clear();
        }
        for partition in &answer.partitions {
            let leader = (partition.leader_id.0 >= 0).then_some(NodeId(partition.leader_id.0));
            let new = KnownLeader { leader, epoch: partition.leader_epoch };
            let known = topic.partitions.entry(partition.partition_index).or_insert_with(|| {
                self.changes += 1;
                new
            });
            // An answer from a broker that is behind must not bring an older leader back.
            if new.epoch < known.epoch {
                continue;
            }
            self.changes += u64::from(*known != new);
            *known = new;
            let error = ErrorCode::from_code(partition.error_code).unwrap_or(ErrorCode::UnknownServerError);
            self.requested |= error.is_retriable() && error != ErrorCode::ReplicaNotAvailable;
        }
    }
}
