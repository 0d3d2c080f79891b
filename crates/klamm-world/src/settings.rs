//! What a world is made of.

use std::collections::BTreeMap;
use std::time::Duration;

use klamm_node::{Eras, NodeId, WallTime};
use klamm_wire::{KafkaVersion, StrBytes};

/// Everything that decides how a world begins. Two worlds with equal settings and inputs have equal histories.
#[derive(Debug, Clone, PartialEq)]
pub struct WorldSettings {
    /// The root of every random stream.
    pub seed: u64,
    /// The cluster's id; drawn from the seed when absent.
    pub cluster_id: Option<StrBytes>,
    /// The brokers.
    pub brokers: Vec<BrokerSpec>,
    /// The controllers' node ids; they must differ from the brokers'.
    pub controllers: Vec<NodeId>,
    /// Server properties, the same for every node.
    pub config: BTreeMap<String, String>,
    /// Which release of Kafka the cluster is to its clients: APIs, features and defaults. Its rules are [`Eras::of`] it.
    pub kafka_version: KafkaVersion,
    /// Which rules are those of an older Kafka.
    pub eras: Eras,
    /// Every link between two nodes, until a command changes one.
    pub link: LinkSettings,
    /// What the wall clock shows at the world's beginning.
    pub wall_epoch: WallTime,
    /// How many trace events are kept; 0 turns tracing off.
    pub trace_capacity: usize,
    /// How many entries the scripted clients' history keeps, and of how many operations each remembers the end.
    pub client_history: usize,
    /// Whether fsyncs end when [`Input::Flushed`](crate::Input::Flushed) says so, as those of real disks do, on disks in memory
    /// too. A run on real disks is replayed with it.
    pub deferred_flush: bool,
    /// How many steps may pass without time moving before the world stops with a diagnosis.
    pub step_budget: u64,
}

impl Default for WorldSettings {
    fn default() -> Self {
        Self {
            seed: 0,
            cluster_id: None,
            brokers: Vec::new(),
            controllers: vec![NodeId(Self::FIRST_CONTROLLER)],
            config: BTreeMap::new(),
            kafka_version: KafkaVersion::NEWEST,
            eras: Eras::NEWEST,
            link: LinkSettings::default(),
            wall_epoch: WallTime(0),
            trace_capacity: 0,
            client_history: 1 << 16,
            deferred_flush: false,
            step_budget: 1_000_000,
        }
    }
}

impl WorldSettings {
    /// The node id of the first controller where nothing else is said.
    pub const FIRST_CONTROLLER: i32 = 100;

    /// These settings, with the APIs, features, defaults and rules of a release.
    #[must_use]
    pub const fn of_release(mut self, release: KafkaVersion) -> Self {
        self.kafka_version = release;
        self.eras = Eras::of(release);
        self
    }
}

/// One broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerSpec {
    /// Its node id.
    pub node: NodeId,
    /// The host that it tells clients to connect to.
    pub host: StrBytes,
    /// The port that it tells clients to connect to.
    pub port: u16,
    /// Its rack.
    pub rack: Option<StrBytes>,
}

/// How messages travel over one directed link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LinkSettings {
    /// The shortest time a message takes.
    pub latency: Duration,
    /// A message takes up to this much longer, drawn evenly from the link's own random stream.
    pub jitter: Duration,
}
