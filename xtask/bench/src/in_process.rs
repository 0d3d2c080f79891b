//! klamm inside the process that uses it.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use klamm_server::{Server, ServerSettings, TopicSpec};

use crate::{cluster, load};

const TOPIC: &str = "first";

/// From the call that starts a cluster until a record is acknowledged by three replicas, through a socket.
pub(crate) fn start(files: bool) -> Result<Duration> {
    let folder = tempfile::Builder::new().prefix("klamm-bench-").tempdir()?;
    let start = Instant::now();
    let server = Server::start(ServerSettings {
        topics: vec![TopicSpec::new(TOPIC, 1, 3)],
        data_dir: files.then(|| folder.path().join("data")),
        ..ServerSettings::default()
    })?;
    let leaders = cluster::leaders(&server.bootstrap_servers(), TOPIC, 1)?;
    let (address, _) = leaders.first_key_value().context("a topic without a leader")?;
    load::produce_once(address, TOPIC, 0)?;
    let took = start.elapsed();
    server.stop();
    Ok(took)
}
