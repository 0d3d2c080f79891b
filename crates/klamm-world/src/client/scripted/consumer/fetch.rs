//! Reading: a fetch to each broker that has something to say (`AbstractFetch`, `FetchCollector`).

use klamm_node::{NodeId, TopicPartition};
use klamm_wire::messages::fetch_request::{FetchPartition as Asked, FetchTopic};
use klamm_wire::messages::{BrokerId, FetchRequest, TopicName};
use klamm_wire::{ApiKey, ErrorCode, FetchPartition, FetchResponse, Request, Response, StrBytes, Uuid};

use super::assigned::{Position, State};
use super::{Consumer, records};
use crate::client::scripted::base::Base;
use crate::client::scripted::error::ClientError;
use crate::client::scripted::group::Member;
use crate::client::{Answer, ClientCtx};

/// The newest version, and the newest that names topics by their names.
const VERSION: i16 = 18;
const BY_NAME: i16 = 12;

/// A fetch under way.
#[derive(Debug, Clone)]
pub(super) struct Fetch {
    pub(super) to: NodeId,
    partitions: Vec<(TopicPartition, Uuid, Position)>,
}

impl Consumer {
    /// Fetches from every broker that leads a partition of which nothing is at hand.
    pub(super) fn fetch_all(&mut self, ctx: &mut ClientCtx<'_>, base: &mut Base) {
        let mut wanted: std::collections::BTreeMap<NodeId, Vec<(TopicPartition, Uuid, Position)>> =
            std::collections::BTreeMap::new();
        for (name, assigned) in &mut self.assigned {
            let Some(position) = assigned.position.filter(|_| assigned.state == State::Fetching) else {
                continue;
            };
            let at_hand = !assigned.fetched.is_empty() || assigned.behind_fetched.is_some();
            if assigned.asked || at_hand || assigned.retry_at > ctx.now {
                continue;
            }
            let preferred =
                assigned.preferred.filter(|(_, until)| *until > ctx.now).map(|(replica, _)| replica);
            let leader =
                position.leader.or_else(|| base.metadata.leader(name)).and_then(|known| known.leader);
            let Some(to) = self.fetch_from.or(preferred).or(leader) else {
                base.metadata.request_update();
                continue;
            };
            wanted.entry(to).or_default().push((name.clone(), base.metadata.topic_id(&name.topic), position));
        }
        for (to, partitions) in wanted {
            if self.fetches.values().all(|fetch| fetch.to != to) && base.channels.ready(ctx, to) {
                self.fetch(ctx, base, to, partitions);
            }
        }
    }

    fn fetch(
        &mut self,
        ctx: &mut ClientCtx<'_>,
        base: &Base,
        to: NodeId,
        partitions: Vec<(TopicPartition, Uuid, Position)>,
    ) {
        let by_id = partitions.iter().all(|(_, id, _)| !id.is_nil());
        let version = base.channels.version(to, ApiKey::Fetch, if by_id { VERSION } else { BY_NAME });
        let mut topics: Vec<FetchTopic> = Vec::new();
        for (name, id, position) in &partitions {
            let asked = Asked::default()
                .with_partition(name.partition)
                .with_current_leader_epoch(position.leader.map_or(-1, |leader| leader.epoch))
                .with_fetch_offset(position.offset)
                .with_last_fetched_epoch(-1)
                .with_log_start_offset(-1)
                .with_partition_max_bytes(self.spec.max_partition_fetch_bytes);
            let same = |topic: &&mut FetchTopic| {
                if version >= 13 { topic.topic_id == *id } else { topic.topic.0 == name.topic }
            };
            match topics.iter_mut().find(same) {
                Some(topic) => topic.partitions.push(asked),
                None if version >= 13 => {
                    topics.push(FetchTopic::default().with_topic_id(*id).with_partitions(vec![asked]));
                }
                None => topics.push(
                    FetchTopic::default()
                        .with_topic(TopicName(name.topic.clone()))
                        .with_partitions(vec![asked]),
                ),
            }
            if let Some(assigned) = self.assigned.get_mut(name) {
                assigned.asked = true;
            }
        }
        let request = FetchRequest::default()
            .with_replica_id(BrokerId(-1))
            .with_max_wait_ms(i32::try_from(self.spec.fetch_max_wait.as_millis()).unwrap_or(i32::MAX))
            .with_min_bytes(self.spec.fetch_min_bytes)
            .with_max_bytes(self.spec.fetch_max_bytes)
            .with_isolation_level(self.spec.read_committed.into())
            .with_session_id(0)
            .with_session_epoch(-1)
            .with_topics(topics)
            .with_rack_id(self.spec.rack.clone().unwrap_or_default());
        let patience = base.settings.request_timeout;
        let correlation_id = ctx.ask_within(to, ApiKey::Fetch, version, Request::Fetch(request), patience);
        self.fetches.insert(correlation_id, Fetch { to, partitions });
    }

    /// A connection broke, or could not be opened: fetches from there have failed, and go to the leader again
    /// (`AbstractFetch.handleFetchFailure`).
    pub(in crate::client::scripted) fn on_lost(&mut self, broker: NodeId) {
        for assigned in self.assigned.values_mut() {
            assigned.preferred.take_if(|(replica, _)| *replica == broker);
        }
        if let Some(Member::Modern(member)) = &mut self.member {
            member.on_lost(broker);
        }
    }

    /// Takes the answer to a fetch.
    pub(super) fn on_fetched(
        &mut self,
        ctx: &mut ClientCtx<'_>,
        base: &mut Base,
        fetch: Fetch,
        answer: Answer,
    ) {
        let response = match answer {
            Answer::Response(Response::Fetch(response)) => Some(response),
            _ => None,
        };
        let failed = response.as_ref().is_none_or(|response| response.error_code != ErrorCode::None);
        for (name, _, position) in &fetch.partitions {
            let Some(assigned) = self.assigned.get_mut(name) else { continue };
            // What was sought or reset since does not wait for this answer.
            if assigned.position == Some(*position) && assigned.state == State::Fetching {
                assigned.asked = false;
                if failed {
                    assigned.retry_at = ctx.now + self.spec.client.retry_backoff;
                    assigned.preferred = None;
                }
            }
        }
        if failed {
            base.metadata.request_update();
            return;
        }
        let FetchResponse { topics, .. } = response.unwrap_or_default();
        for topic in topics {
            for partition in topic.partitions {
                let asked = fetch.partitions.iter().find(|(name, id, _)| {
                    name.partition == partition.partition
                        && if topic.topic_id.is_nil() {
                            same(&name.topic, &topic.topic)
                        } else {
                            *id == topic.topic_id
                        }
                });
                if let Some((name, _, position)) = asked {
                    self.on_partition(ctx, base, fetch.to, name, *position, partition);
                }
            }
        }
    }

    fn on_partition(
        &mut self,
        ctx: &mut ClientCtx<'_>,
        base: &mut Base,
        from: NodeId,
        name: &TopicPartition,
        position: Position,
        answer: FetchPartition,
    ) {
        let Some(assigned) = self.assigned.get_mut(name) else { return };
        if assigned.position != Some(position) || assigned.state != State::Fetching {
            return;
        }
        let retry_at = ctx.now + self.spec.client.retry_backoff;
        match answer.error_code {
            ErrorCode::None => {
                if answer.preferred_read_replica.0 >= 0 {
                    let replica = NodeId(answer.preferred_read_replica.0);
                    assigned.preferred = Some((replica, ctx.now + self.spec.client.metadata_max_age));
                }
                let visible =
                    if self.spec.read_committed { answer.last_stable_offset } else { answer.high_watermark };
                match records::read(name, answer, position, self.spec.read_committed) {
                    Ok((records, behind)) => {
                        assigned.fetched_from = (from, visible);
                        assigned.fetched = records;
                        assigned.behind_fetched = (behind != position).then_some(behind);
                    }
                    Err(what) => self.fail_poll(ClientError::Corrupt { partition: name.clone(), what }),
                }
            }
            ErrorCode::OffsetOutOfRange => {
                match (assigned.preferred.take(), self.spec.auto_offset_reset.timestamp()) {
                    // A follower may be behind, or ahead: ask the leader.
                    (Some(_), _) => {}
                    (None, Some(timestamp)) => assigned.reset(timestamp),
                    (None, None) => {
                        assigned.retry_at = retry_at;
                        let (partition, offset) = (name.clone(), position.offset);
                        self.fail_poll(ClientError::OffsetOutOfRange { partition, offset });
                    }
                }
            }
            // The broker is behind the client's metadata: ask again.
            ErrorCode::UnknownLeaderEpoch | ErrorCode::UnknownServerError => assigned.retry_at = retry_at,
            error if error.is_retriable() => {
                assigned.retry_at = retry_at;
                assigned.preferred = None;
                if let Some(leader) = &answer.current_leader {
                    base.metadata.hint(name, NodeId(leader.leader_id.0), leader.leader_epoch);
                }
                base.metadata.request_update();
            }
            error => {
                assigned.retry_at = retry_at;
                self.fail_poll(ClientError::Broker(error));
            }
        }
    }
}

fn same(a: &StrBytes, b: &StrBytes) -> bool {
    a == b
}
