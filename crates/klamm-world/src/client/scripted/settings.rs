//! How scripted clients are configured. The names are those of Kafka's client configuration, and so are the defaults.

use std::time::Duration;

use klamm_wire::StrBytes;

use super::group::Assignor;

/// What every scripted client has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientSettings {
    /// `client.id`: its name in requests, the trace and reports.
    pub client_id: StrBytes,
    /// `request.timeout.ms`.
    pub request_timeout: Duration,
    /// `retry.backoff.ms`.
    pub retry_backoff: Duration,
    /// `retry.backoff.max.ms`.
    pub retry_backoff_max: Duration,
    /// `metadata.max.age.ms`.
    pub metadata_max_age: Duration,
}

impl Default for ClientSettings {
    fn default() -> Self {
        Self {
            client_id: StrBytes::from_static_str("client"),
            request_timeout: Duration::from_secs(30),
            retry_backoff: Duration::from_millis(100),
            retry_backoff_max: Duration::from_secs(1),
            metadata_max_age: Duration::from_secs(300),
        }
    }
}

impl ClientSettings {
    /// The defaults, under a name.
    pub fn named(client_id: impl Into<StrBytes>) -> Self {
        Self { client_id: client_id.into(), ..Self::default() }
    }
}

/// A scripted producer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptedProducerSpec {
    /// What every client has.
    pub client: ClientSettings,
    /// `acks`: 0, 1 or -1 (all).
    pub acks: i16,
    /// `enable.idempotence`. It asks for acks=all, retries above 0 and at most 5 requests in flight, as in Kafka.
    pub idempotent: bool,
    /// `retries`.
    pub retries: u32,
    /// `max.in.flight.requests.per.connection`.
    pub max_in_flight: usize,
    /// `delivery.timeout.ms`.
    pub delivery_timeout: Duration,
    /// `max.block.ms`: how long a send waits for its partition to show in the metadata.
    pub max_block: Duration,
}

impl Default for ScriptedProducerSpec {
    fn default() -> Self {
        Self {
            client: ClientSettings::named("producer"),
            acks: -1,
            idempotent: true,
            retries: i32::MAX as u32,
            max_in_flight: 5,
            delivery_timeout: Duration::from_secs(120),
            max_block: Duration::from_secs(60),
        }
    }
}

impl ScriptedProducerSpec {
    /// What Kafka's producer refuses to be configured as; `None` when all is well.
    pub fn contradiction(&self) -> Option<&'static str> {
        if !(-1..=1).contains(&self.acks) {
            return Some("acks must be 0, 1 or -1 (all)");
        }
        if self.max_in_flight == 0 {
            return Some("max.in.flight.requests.per.connection must be at least 1");
        }
        if !self.idempotent {
            return None;
        }
        if self.acks != -1 {
            Some("enable.idempotence asks for acks=all")
        } else if self.retries == 0 {
            Some("enable.idempotence asks for retries above 0")
        } else if self.max_in_flight > 5 {
            Some("enable.idempotence asks for at most 5 requests in flight")
        } else {
            None
        }
    }
}

/// A scripted consumer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptedConsumerSpec {
    /// What every client has.
    pub client: ClientSettings,
    /// `isolation.level`: whether it is read_committed.
    pub read_committed: bool,
    /// `auto.offset.reset`.
    pub auto_offset_reset: OffsetReset,
    /// `fetch.max.wait.ms`.
    pub fetch_max_wait: Duration,
    /// `fetch.min.bytes`.
    pub fetch_min_bytes: i32,
    /// `fetch.max.bytes`.
    pub fetch_max_bytes: i32,
    /// `max.partition.fetch.bytes`.
    pub max_partition_fetch_bytes: i32,
    /// `max.poll.records`.
    pub max_poll_records: usize,
    /// `client.rack`: with it, a broker may name a nearer replica to read from (KIP-392).
    pub rack: Option<StrBytes>,
    /// Its group, if it has one.
    pub group: Option<Box<GroupSettings>>,
}

impl Default for ScriptedConsumerSpec {
    fn default() -> Self {
        Self {
            client: ClientSettings::named("consumer"),
            read_committed: false,
            auto_offset_reset: OffsetReset::Latest,
            fetch_max_wait: Duration::from_millis(500),
            fetch_min_bytes: 1,
            fetch_max_bytes: 50 << 20,
            max_partition_fetch_bytes: 1 << 20,
            max_poll_records: 500,
            rack: None,
            group: None,
        }
    }
}

/// `group.protocol`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum GroupProtocol {
    /// The members' leader shares the partitions out.
    #[default]
    Classic,
    /// The coordinator does (KIP-848). Session timeout and heartbeat interval are the coordinator's too.
    Consumer,
}

/// How a consumer is in a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupSettings {
    /// `group.id`.
    pub group_id: StrBytes,
    /// `group.protocol`.
    pub protocol: GroupProtocol,
    /// `group.instance.id`: makes it a static member (KIP-345).
    pub instance_id: Option<StrBytes>,
    /// `session.timeout.ms` (classic protocol).
    pub session_timeout: Duration,
    /// `heartbeat.interval.ms` (classic protocol).
    pub heartbeat_interval: Duration,
    /// `max.poll.interval.ms`, which is the rebalance timeout too.
    pub max_poll_interval: Duration,
    /// `partition.assignment.strategy` (classic protocol), in order of preference. Kafka's default is both; here it is range alone.
    pub assignors: Vec<Assignor>,
    /// `group.remote.assignor` (consumer protocol): `uniform` or `range`; `None` for what the coordinator prefers.
    pub remote_assignor: Option<StrBytes>,
}

impl GroupSettings {
    /// The defaults, in a group.
    pub fn new(group_id: impl Into<StrBytes>) -> Self {
        Self {
            group_id: group_id.into(),
            protocol: GroupProtocol::Classic,
            instance_id: None,
            session_timeout: Duration::from_secs(45),
            heartbeat_interval: Duration::from_secs(3),
            max_poll_interval: Duration::from_secs(300),
            assignors: vec![Assignor::Range],
            remote_assignor: None,
        }
    }
}

/// Where a consumer begins that has no position, or one that is not in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OffsetReset {
    /// Nowhere: the poll fails.
    None,
    /// At the log's beginning.
    Earliest,
    /// At the log's end.
    #[default]
    Latest,
}

impl OffsetReset {
    /// The timestamp that ListOffsets is asked for.
    pub(super) const fn timestamp(self) -> Option<i64> {
        match self {
            Self::None => None,
            Self::Earliest => Some(-2),
            Self::Latest => Some(-1),
        }
    }
}

/// A client that only asks: create topics, alter configs, elect leaders, whatever a request can say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AdminSpec {
    /// What every client has.
    pub client: ClientSettings,
}
