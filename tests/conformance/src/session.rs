//! A subject's conversation with one cluster.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use kafka_protocol::protocol::{Request, StrBytes};
use klamm_wire::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use klamm_wire::messages::find_coordinator_response::FindCoordinatorResponse;
use klamm_wire::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use klamm_wire::messages::metadata_request::MetadataRequestTopic;
use klamm_wire::messages::{
    BrokerId, CreateTopicsRequest, FindCoordinatorRequest, GroupId, ListOffsetsRequest, MetadataRequest,
    MetadataResponse, OffsetFetchRequest, TopicName,
};
use klamm_wire::{Api, ApiKey, KafkaVersion, Uuid};

use crate::connection::{Connection, Outcome};
use crate::mask::{Names, mask};
use crate::transcript::Transcript;
use crate::value::Value;

/// A string of the protocol.
pub(crate) fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// A topic's name.
pub(crate) fn topic(name: &str) -> TopicName {
    TopicName(text(name))
}

/// A group's name.
pub(crate) fn group(name: &str) -> GroupId {
    GroupId(text(name))
}

/// A request whose answer nobody has waited for yet.
#[derive(Debug)]
pub(crate) struct Pending<R> {
    connection: Connection,
    version: i16,
    request: std::marker::PhantomData<R>,
}

/// One cluster, asked step by step; every recorded step goes into the transcript.
#[derive(Debug)]
pub struct Session {
    addresses: BTreeMap<i32, String>,
    connections: BTreeMap<i32, Connection>,
    /// The broker that is asked.
    broker: i32,
    names: Names,
    transcript: Transcript,
    labels: BTreeSet<String>,
}

impl Session {
    /// Connects to `host:port,…`, one broker each.
    pub(crate) fn open(bootstrap: &str) -> anyhow::Result<Self> {
        let first = bootstrap.split(',').next().unwrap_or(bootstrap);
        let Outcome::Answer(metadata) =
            Connection::open(first)?.ask(1, &MetadataRequest::default().with_topics(Some(vec![])))?
        else {
            bail!("{first} does not tell its brokers");
        };
        let addresses: BTreeMap<_, _> = metadata
            .brokers
            .iter()
            .map(|broker| (broker.node_id.0, format!("{}:{}", &*broker.host, broker.port)))
            .collect();
        ensure!(addresses.keys().eq(&[1, 2, 3]), "the subjects want brokers 1, 2 and 3, not {addresses:?}");
        Ok(Self {
            addresses,
            connections: BTreeMap::new(),
            broker: 1,
            names: Names::default(),
            transcript: Transcript::default(),
            labels: BTreeSet::new(),
        })
    }

    pub(crate) fn finish(self) -> Transcript {
        self.transcript
    }

    /// From now on requests go to `broker`.
    pub(crate) fn on(&mut self, broker: i32) -> &mut Self {
        self.broker = broker;
        self
    }

    /// The broker that requests go to.
    pub(crate) const fn asked(&self) -> i32 {
        self.broker
    }

    /// From now on `raw` is shown as `<word>`.
    pub(crate) fn name(&mut self, raw: &str, word: &str) {
        self.names.add(raw, word);
    }

    /// Sends a request in every version that both serve, and records the answers.
    pub(crate) fn all<R: Request<Response: std::fmt::Debug>>(
        &mut self,
        label: &str,
        build: impl FnMut(i16) -> R,
    ) -> anyhow::Result<Vec<Option<R::Response>>> {
        let (min, max) = versions::<R>()?;
        self.each(label, min..=max, build)
    }

    /// Sends a request in each of `versions`, and records the answers.
    pub(crate) fn each<R: Request<Response: std::fmt::Debug>>(
        &mut self,
        label: &str,
        versions: impl IntoIterator<Item = i16>,
        mut build: impl FnMut(i16) -> R,
    ) -> anyhow::Result<Vec<Option<R::Response>>> {
        let label = self.fresh(label);
        let mut answers = Vec::new();
        for version in versions {
            let outcome =
                self.ask(version, &build(version)).with_context(|| format!("{label} v{version}"))?;
            answers.push(self.record::<R>(&label, version, outcome)?);
        }
        Ok(answers)
    }

    /// Sends a request in one version, and records the answer.
    pub(crate) fn at<R: Request<Response: std::fmt::Debug>>(
        &mut self,
        label: &str,
        version: i16,
        request: R,
    ) -> anyhow::Result<Option<R::Response>> {
        let label = self.fresh(label);
        let outcome = self.ask(version, &request).with_context(|| format!("{label} v{version}"))?;
        self.record::<R>(&label, version, outcome)
    }

    /// Sends a request in the newest version, and records the answer.
    pub(crate) fn newest<R: Request<Response: std::fmt::Debug>>(
        &mut self,
        label: &str,
        request: R,
    ) -> anyhow::Result<Option<R::Response>> {
        self.at(label, versions::<R>()?.1, request)
    }

    /// Sends a request of which the answer is not recorded.
    pub(crate) fn quiet<R: Request<Response: std::fmt::Debug>>(
        &mut self,
        version: i16,
        request: &R,
    ) -> anyhow::Result<R::Response> {
        match self.ask(version, request)? {
            Outcome::Answer(answer) => Ok(answer),
            other => bail!("{:?} v{version}: {other:?}", ApiKey::try_from(R::KEY)),
        }
    }

    /// Sends a request that gets no answer.
    pub(crate) fn tell<R: Request<Response: std::fmt::Debug>>(
        &mut self,
        version: i16,
        request: &R,
    ) -> anyhow::Result<()> {
        self.connection(self.broker)?.tell(version, request)
    }

    /// Sends a request on a connection of its own; [`finish_one`](Self::finish_one) waits for its answer.
    pub(crate) fn begin<R: Request<Response: std::fmt::Debug>>(
        &mut self,
        version: i16,
        request: &R,
    ) -> anyhow::Result<Pending<R>> {
        let mut connection = Connection::open(self.addresses.get(&self.broker).context("no such broker")?)?;
        connection.tell(version, request)?;
        Ok(Pending { connection, version, request: std::marker::PhantomData })
    }

    /// Waits for the answer to what was begun, and records it.
    pub(crate) fn finish_one<R: Request<Response: std::fmt::Debug>>(
        &mut self,
        label: &str,
        mut pending: Pending<R>,
    ) -> anyhow::Result<Option<R::Response>> {
        let label = self.fresh(label);
        let outcome = pending.connection.hear::<R>(pending.version);
        self.record::<R>(&label, pending.version, outcome)
    }

    /// Sends bytes as a request's body, and records what comes back, byte by byte.
    pub(crate) fn raw(
        &mut self,
        label: &str,
        key: i16,
        version: i16,
        header: i16,
        body: &[u8],
    ) -> anyhow::Result<()> {
        let label = self.fresh(label);
        let broker = self.broker;
        let outcome = self.connection(broker)?.ask_raw(key, version, header, body)?;
        let answer = match outcome {
            Outcome::Answer(bytes) => format!("{}\n", bytes.escape_ascii()),
            other => self.no_answer(other),
        };
        self.transcript.push(&label, &format!("key {key}"), version, answer);
        Ok(())
    }

    /// Records an answer that the subject has put together itself.
    pub(crate) fn note(&mut self, label: &str, message: &impl std::fmt::Debug) {
        let label = self.fresh(label);
        let answer = self.written(message);
        self.transcript.push(&label, "", 0, answer);
    }

    /// A label that no step has yet.
    fn fresh(&mut self, label: &str) -> String {
        let mut fresh = label.to_owned();
        let mut count = 1;
        while !self.labels.insert(fresh.clone()) {
            count += 1;
            fresh = format!("{label} ({count})");
        }
        fresh
    }

    fn ask<R: Request<Response: std::fmt::Debug>>(
        &mut self,
        version: i16,
        request: &R,
    ) -> anyhow::Result<Outcome<R::Response>> {
        self.connection(self.broker)?.ask(version, request)
    }

    fn connection(&mut self, broker: i32) -> anyhow::Result<&mut Connection> {
        let address = self.addresses.get(&broker).context("no such broker")?;
        Ok(match self.connections.entry(broker) {
            std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::btree_map::Entry::Vacant(entry) => entry.insert(Connection::open(address)?),
        })
    }

    fn record<R: Request<Response: std::fmt::Debug>>(
        &mut self,
        label: &str,
        version: i16,
        outcome: Outcome<R::Response>,
    ) -> anyhow::Result<Option<R::Response>> {
        let name = api::<R>()?.name;
        let (text, answer) = match outcome {
            Outcome::Answer(answer) => (self.written(&answer), Some(answer)),
            other => (self.no_answer(other), None),
        };
        self.transcript.push(label, name, version, text);
        Ok(answer)
    }

    fn written(&self, message: &impl std::fmt::Debug) -> String {
        let mut value = Value::of(message);
        mask(&mut value, &self.names);
        let mut lines = value.lines();
        if !lines.ends_with('\n') {
            lines.push('\n');
        }
        lines
    }

    /// The connection is not used again.
    fn no_answer<T>(&mut self, outcome: Outcome<T>) -> String {
        self.connections.remove(&self.broker);
        match outcome {
            Outcome::Answer(_) => String::new(),
            Outcome::Closed => "(the connection was closed)\n".to_owned(),
            Outcome::Silence => "(no answer)\n".to_owned(),
            Outcome::Garbage(reason) => format!("(not decodable: {reason})\n"),
        }
    }

    /// Creates a topic of which every partition is led by the broker named first, and waits until all brokers know.
    /// The topic's id is then shown as `<id of NAME>`.
    pub(crate) fn create(
        &mut self,
        name: &str,
        partitions: &[&[i32]],
        configs: &[(&str, &str)],
    ) -> anyhow::Result<Uuid> {
        let assignments = partitions
            .iter()
            .zip(0..)
            .map(|(brokers, index)| {
                CreatableReplicaAssignment::default()
                    .with_partition_index(index)
                    .with_broker_ids(brokers.iter().copied().map(BrokerId).collect())
            })
            .collect();
        // Records of long ago must not be gone by the time they are asked for.
        let kept = configs.iter().all(|(key, _)| *key != "retention.ms").then_some(("retention.ms", "-1"));
        let configs = configs
            .iter()
            .chain(&kept)
            .map(|(key, value)| {
                CreatableTopicConfig::default().with_name(text(key)).with_value(Some(text(value)))
            })
            .collect();
        let created = CreatableTopic::default()
            .with_name(topic(name))
            .with_num_partitions(-1)
            .with_replication_factor(-1)
            .with_assignments(assignments)
            .with_configs(configs);
        let request = CreateTopicsRequest::default().with_topics(vec![created]).with_timeout_ms(30_000);
        let answer = self.quiet(7, &request)?;
        let result = answer.topics.first().context("no topic in the answer")?;
        ensure!(result.error_code == 0, "cannot create {name}: {:?}", result.error_message);
        self.settle(name)
    }

    /// Waits until every broker knows the topic and its leaders lead; its id, shown as `<id of NAME>` from now on.
    pub(crate) fn settle(&mut self, name: &str) -> anyhow::Result<Uuid> {
        let before = self.broker;
        let mut id = Uuid::nil();
        for broker in [1, 2, 3] {
            let found = klamm_tests::wait_until(klamm_tests::PATIENCE, || {
                let metadata = self.on(broker).metadata(name).ok()?;
                let topic = metadata.topics.first().filter(|topic| topic.error_code == 0)?;
                let led = topic.partitions.iter().all(|partition| {
                    partition.leader_id.0 > 0 && partition.isr_nodes.len() == partition.replica_nodes.len()
                });
                if !led {
                    return None;
                }
                for partition in topic.partitions.iter().filter(|partition| partition.leader_id.0 == broker) {
                    let asked = ListOffsetsTopic::default()
                        .with_name(crate::session::topic(name))
                        .with_partitions(vec![
                            ListOffsetsPartition::default()
                                .with_partition_index(partition.partition_index)
                                .with_timestamp(-1),
                        ]);
                    let request =
                        ListOffsetsRequest::default().with_replica_id(BrokerId(-1)).with_topics(vec![asked]);
                    let answer = self.quiet(5, &request).ok()?;
                    if answer.topics.first()?.partitions.first()?.error_code != 0 {
                        return None;
                    }
                }
                Some(topic.topic_id)
            });
            id = found.with_context(|| format!("broker {broker} does not get to know {name}"))?;
        }
        self.broker = before;
        self.name_id(id, name);
        Ok(id)
    }

    /// Shows a topic's id as `<id of NAME>`, in both of its spellings.
    pub(crate) fn name_id(&mut self, id: Uuid, name: &str) {
        let word = format!("id of {name}");
        self.name(&id.to_string(), &word);
        self.name(&spelling(id), &word);
    }

    /// Waits until no broker knows the topic.
    pub(crate) fn forget(&mut self, name: &str) -> anyhow::Result<()> {
        let before = self.broker;
        for broker in [1, 2, 3] {
            klamm_tests::wait_until(klamm_tests::PATIENCE, || {
                let metadata = self.on(broker).metadata(name).ok()?;
                metadata.topics.first().filter(|topic| topic.error_code == 3).map(drop)
            })
            .with_context(|| format!("broker {broker} does not forget {name}"))?;
        }
        self.broker = before;
        Ok(())
    }

    /// What the broker says about one topic, which is not created by being asked for.
    pub(crate) fn metadata(&mut self, name: &str) -> anyhow::Result<MetadataResponse> {
        let asked = MetadataRequestTopic::default().with_name(Some(topic(name)));
        let request =
            MetadataRequest::default().with_topics(Some(vec![asked])).with_allow_auto_topic_creation(false);
        self.quiet(12, &request)
    }

    /// Goes to a broker that is not the one it is at.
    pub(crate) fn elsewhere(&mut self) {
        self.broker = self.broker % 3 + 1;
    }

    /// Goes to the group's coordinator, once it is ready.
    pub(crate) fn coordinate(&mut self, name: &str) -> anyhow::Result<&mut Self> {
        let request = FindCoordinatorRequest::default().with_key(text(name)).with_key_type(0);
        let coordinator = klamm_tests::wait_until(klamm_tests::PATIENCE, || {
            let answer: FindCoordinatorResponse = self.quiet(3, &request).ok()?;
            (answer.error_code == 0).then_some(answer.node_id.0)
        })
        .context("there is no coordinator")?;
        let fetch = OffsetFetchRequest::default().with_group_id(group(name)).with_topics(None);
        self.on(coordinator);
        klamm_tests::wait_until(klamm_tests::PATIENCE, || {
            let answer = self.quiet(5, &fetch).ok()?;
            (answer.error_code == 0).then_some(())
        })
        .context("the coordinator does not get ready")?;
        Ok(self)
    }
}

/// The line of klamm's API table for a request.
fn api<R: Request>() -> anyhow::Result<&'static Api> {
    Api::by_number(R::KEY).context("an API without a line in the table")
}

/// The versions that klamm and the Kafka that is asked serve.
fn versions<R: Request>() -> anyhow::Result<(i16, i16)> {
    let api = api::<R>()?;
    api.versions_in(KafkaVersion::V4_3)
        .with_context(|| format!("{} is newer than the Kafka that is asked", api.name))
}

/// An id as Kafka writes it in messages: base64, for URLs, without padding.
fn spelling(id: Uuid) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut out = String::new();
    for chunk in id.as_bytes().chunks(3) {
        let word =
            chunk.iter().fold(0u32, |word, byte| (word << 8) | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..=chunk.len() {
            out.push(char::from(ALPHABET[(word >> (18 - 6 * place)) as usize & 63]));
        }
    }
    out
}

/// Bytes that look like a member's subscription or assignment.
pub(crate) const BLOB: Bytes = Bytes::from_static(b"\0\x01\x02");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_spelled_as_kafka_does() {
        assert_eq!(spelling(Uuid::nil()), "AAAAAAAAAAAAAAAAAAAAAA");
        assert_eq!(spelling(Uuid::from_u128(1)), "AAAAAAAAAAAAAAAAAAAAAQ");
    }
}
