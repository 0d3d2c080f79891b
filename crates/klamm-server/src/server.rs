//! A running cluster with listeners.

use crate::settings::{ServerSettings, StartError};

/// Where a broker listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerEndpoint {
    /// Its node id.
    pub id: i32,
    /// The host that clients are told.
    pub host: String,
    /// The port that clients are told.
    pub port: u16,
}

/// A running cluster. Dropping it closes every listener and connection, and waits until ports and files are free.
#[derive(Debug)]
pub struct Server {
    endpoints: Vec<BrokerEndpoint>,
}

impl Server {
    /// Starts a cluster, and returns when its listeners accept connections, every broker is unfenced and the topics
    /// exist. Blocks for a few milliseconds; call it from any thread, inside a runtime or not.
    pub fn start(_settings: ServerSettings) -> Result<Self, StartError> {
        todo!()
    }

    /// Where the brokers listen, in order of their ids.
    pub fn brokers(&self) -> &[BrokerEndpoint] {
        &self.endpoints
    }

    /// The brokers as a `bootstrap.servers` value.
    pub fn bootstrap_servers(&self) -> String {
        self.endpoints
            .iter()
            .map(|endpoint| format!("{}:{}", endpoint.host, endpoint.port))
            .collect::<Vec<_>>()
            .join(",")
    }

    /// Stops every broker in order, then frees everything. Blocks until that is done.
    pub fn stop(self) {
        todo!()
    }
}
