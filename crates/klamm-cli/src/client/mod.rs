//! A small client for any Kafka cluster: blocking, one request at a time, the newest versions that both sides know.

mod cluster;
mod connection;

pub(crate) use cluster::{BATCH_LIMIT, Cluster, Position, Topic};
pub(crate) use connection::Connection;

use clap::Args;
use klamm_wire::ErrorCode;

/// Where the cluster is.
#[derive(Args)]
pub(crate) struct Bootstrap {
    /// Any of the cluster's brokers, as host:port; several are separated by commas
    #[arg(long, default_value = "127.0.0.1:9092", value_name = "HOST:PORT")]
    bootstrap: String,
}

impl Bootstrap {
    pub(crate) fn connect(&self) -> anyhow::Result<Cluster> {
        Cluster::connect(&self.bootstrap)
    }
}

/// `Err` with Kafka's name for the code, and its message where it sent one, unless the code is NONE.
pub(crate) fn check(code: i16, message: Option<&str>) -> anyhow::Result<()> {
    match (ErrorCode::from_code(code), message.filter(|message| !message.is_empty())) {
        (Some(ErrorCode::None), _) => Ok(()),
        (Some(code), Some(message)) => anyhow::bail!("{message} ({code})"),
        (Some(code), None) => anyhow::bail!("{code}"),
        (None, _) => anyhow::bail!("unknown error code {code}"),
    }
}
