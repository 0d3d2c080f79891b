//! What a server is started with, and why it may not start.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::mpsc::Sender;
use std::time::Duration;

use klamm_node::WallTime;
use klamm_world::LinkSettings;

use crate::follow::Followed;

/// How to start a [`Server`](crate::Server).
#[derive(Debug, Clone)]
pub struct ServerSettings {
    /// How many brokers; their node ids are 1, 2, 3 ….
    pub brokers: u16,
    /// How many controllers, 1 or 3; their node ids are 100, 101, 102.
    pub controllers: u16,
    /// The address that listeners bind to.
    pub host: String,
    /// The host that clients are told to connect to; `host` when absent.
    pub advertise: Option<String>,
    /// The first broker's port, the others follow it; with 0 each takes any free port.
    pub port: u16,
    /// The brokers' ports, in order, where they must be these; brokers beyond its end go by `port`.
    pub ports: Vec<u16>,
    /// Topics to create before the start is complete.
    pub topics: Vec<TopicSpec>,
    /// Server properties, the same for every node.
    pub config: BTreeMap<String, String>,
    /// The release of Kafka to be, such as `3.6`; the newest when absent.
    pub kafka_version: Option<String>,
    /// Single rules to have otherwise than that release: `NAME=on`, `NAME=off`, or `NAME` for the old rule.
    pub eras: Vec<String>,
    /// The brokers' racks, in order; brokers beyond its end have none.
    pub racks: Vec<String>,
    /// Where logs are kept, one folder a node; in memory when absent.
    pub data_dir: Option<PathBuf>,
    /// A file to record every input into.
    pub record: Option<PathBuf>,
    /// The root of every random stream; drawn from the operating system when absent.
    pub seed: Option<u64>,
    /// The links between nodes.
    pub link: LinkSettings,
    /// How many trace events are kept; 0 keeps none.
    pub trace_capacity: usize,
    /// Whether the first [`Server::trace`](crate::Server::trace) is to hear everything from the beginning.
    pub listen: bool,
    /// What wall clocks show when the cluster's time begins; the real time when absent.
    pub wall_epoch: Option<WallTime>,
    /// Whether the cluster's time stands still unless it is advanced: the start lets only so much pass as it takes, and the
    /// same settings give the same start.
    pub paused: bool,
    /// Who is told of every input as it happens; see [`Mirror`](crate::Mirror). Only for a cluster in memory.
    pub follow: Option<Sender<Followed>>,
    /// How long a start may take until the cluster is ready.
    pub start_timeout: Duration,
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            brokers: 3,
            controllers: 1,
            host: "127.0.0.1".to_owned(),
            advertise: None,
            port: 0,
            ports: Vec::new(),
            topics: Vec::new(),
            config: BTreeMap::new(),
            kafka_version: None,
            eras: Vec::new(),
            racks: Vec::new(),
            data_dir: None,
            record: None,
            seed: None,
            link: LinkSettings::default(),
            trace_capacity: 0,
            listen: false,
            wall_epoch: None,
            paused: false,
            follow: None,
            start_timeout: Duration::from_secs(30),
        }
    }
}

/// A topic to create at the start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicSpec {
    /// Its name.
    pub name: String,
    /// How many partitions; -1 for the broker's default.
    pub partitions: i32,
    /// How many replicas of each; -1 for the broker's default.
    pub replication: i16,
    /// Its configs.
    pub config: BTreeMap<String, String>,
}

impl TopicSpec {
    /// A topic with the cluster's default configs.
    pub fn new(name: impl Into<String>, partitions: i32, replication: i16) -> Self {
        Self { name: name.into(), partitions, replication, config: BTreeMap::new() }
    }
}

/// Why a server did not start. Each is a mistake or an obstacle that a person can do something about.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The settings contradict themselves or Kafka's rules.
    #[error("{0}")]
    Settings(String),
    /// A listener's address does not resolve.
    #[error("cannot listen on {host}: {source}")]
    Host {
        /// The host as given.
        host: String,
        /// Why.
        source: io::Error,
    },
    /// A listener's address is taken or not ours.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The data directory cannot be used.
    #[error("cannot use the data directory {}: {source}", path.display())]
    DataDir {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The recording cannot be written.
    #[error("cannot record to {}: {source}", path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A node did not start.
    #[error("node {node} did not start: {message}")]
    Node {
        /// The node.
        node: i32,
        /// Why.
        message: String,
    },
    /// A topic could not be created.
    #[error("cannot create topic {topic}: {message}")]
    Topic {
        /// The topic.
        topic: String,
        /// Kafka's error and message.
        message: String,
    },
    /// The cluster was not ready in time.
    #[error("the cluster was not ready after {after:?}: {state}")]
    NotReady {
        /// The time that was given.
        after: Duration,
        /// What it was waiting for.
        state: String,
    },
}
