//! How a cluster is described before it starts.

use std::path::PathBuf;
use std::time::Duration;

use klamm_server::{Server, ServerSettings, TopicSpec};
use klamm_world::LinkSettings;

use crate::blocking;
use crate::cluster::Cluster;
use crate::error::Error;

/// Describes a cluster, and starts it.
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct Builder {
    settings: ServerSettings,
}

impl Builder {
    /// How many brokers; their ids are 1, 2, 3 …. Three unless said otherwise.
    pub const fn brokers(mut self, brokers: u16) -> Self {
        self.settings.brokers = brokers;
        self
    }

    /// How many controllers; their ids are 100, 101, 102. One unless said otherwise.
    pub const fn controllers(mut self, controllers: u16) -> Self {
        self.settings.controllers = controllers;
        self
    }

    /// A topic to create at the start, with its number of partitions and of replicas.
    pub fn topic(self, name: impl Into<String>, partitions: i32, replication: i16) -> Self {
        self.topic_spec(TopicSpec::new(name, partitions, replication))
    }

    /// A topic to create at the start, with its configs.
    pub fn topic_spec(mut self, topic: TopicSpec) -> Self {
        self.settings.topics.push(topic);
        self
    }

    /// The log directories of each broker, as `log.dirs` has them: paths within the broker's own disk, such as `/disk1`.
    pub fn log_dirs<D: AsRef<str>>(self, dirs: impl IntoIterator<Item = D>) -> Self {
        let dirs: Vec<String> = dirs.into_iter().map(|dir| dir.as_ref().to_owned()).collect();
        self.config("log.dirs", dirs.join(","))
    }

    /// A server property of every broker, by Kafka's name. A name that Kafka does not know fails the start, with the
    /// nearest one it does.
    pub fn config(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.config.insert(key.into(), value.into());
        self
    }

    /// The release of Kafka to be, such as `3.6`: its APIs, features, defaults and rules. The newest unless said otherwise. A
    /// release that klamm has no profile of fails the start, with the nearest one it has.
    pub fn kafka_version(mut self, version: impl Into<String>) -> Self {
        self.settings.kafka_version = Some(version.into());
        self
    }

    /// A single rule of replication or control to have otherwise than the release has it: `elr=off`, or
    /// `truncate_to_hw` for that old rule. A name that is no switch fails the start, with the nearest one.
    pub fn era(mut self, switch: impl Into<String>) -> Self {
        self.settings.eras.push(switch.into());
        self
    }

    /// The brokers' racks, in order.
    pub fn racks<R: Into<String>>(mut self, racks: impl IntoIterator<Item = R>) -> Self {
        self.settings.racks = racks.into_iter().map(Into::into).collect();
        self
    }

    /// Keeps the logs in a directory, as Kafka lays them out. They are in memory unless said otherwise.
    pub fn data_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.settings.data_dir = Some(path.into());
        self
    }

    /// Records the run into a file, for [`klamm_server::replay_world`].
    pub fn record(mut self, path: impl Into<PathBuf>) -> Self {
        self.settings.record = Some(path.into());
        self
    }

    /// The first broker's port, the others follow it. Each takes any free port unless said otherwise.
    pub const fn port(mut self, port: u16) -> Self {
        self.settings.port = port;
        self
    }

    /// The address to listen on; 127.0.0.1 unless said otherwise.
    pub fn host(mut self, host: impl Into<String>) -> Self {
        self.settings.host = host.into();
        self
    }

    /// The host that clients are told to connect to; the address listened on unless said otherwise.
    pub fn advertise(mut self, host: impl Into<String>) -> Self {
        self.settings.advertise = Some(host.into());
        self
    }

    /// How long a message from one node to another takes. No time unless said otherwise.
    pub const fn latency(mut self, latency: Duration) -> Self {
        self.settings.link = LinkSettings { latency, jitter: self.settings.link.jitter };
        self
    }

    /// How much longer a message may take, drawn evenly.
    pub const fn jitter(mut self, jitter: Duration) -> Self {
        self.settings.link = LinkSettings { latency: self.settings.link.latency, jitter };
        self
    }

    /// The root of every random choice that the cluster makes. Another one each time unless said otherwise.
    pub const fn seed(mut self, seed: u64) -> Self {
        self.settings.seed = Some(seed);
        self
    }

    /// Keeps the newest `events` trace events, for [`World::trace`](klamm_world::World::trace).
    pub const fn trace(mut self, events: usize) -> Self {
        self.settings.trace_capacity = events;
        self
    }

    /// How long the start may take until every broker and topic is ready; 30 seconds unless said otherwise.
    pub const fn start_timeout(mut self, timeout: Duration) -> Self {
        self.settings.start_timeout = timeout;
        self
    }

    /// Starts the cluster. It is ready when this returns: its brokers are unfenced, its topics have leaders.
    ///
    /// # Errors
    /// When the description is wrong, a port is taken, or the cluster does not come up.
    pub async fn start(self) -> Result<Cluster, Error> {
        Ok(Cluster::new(Server::start_async(self.settings).await?))
    }

    /// As [`Builder::start`], for callers that block.
    ///
    /// # Errors
    /// As [`Builder::start`].
    pub fn start_blocking(self) -> Result<blocking::Cluster, Error> {
        Ok(blocking::Cluster::new(Cluster::new(Server::start(self.settings)?)))
    }
}
