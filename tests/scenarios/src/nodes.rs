//! The processes of a Kafka cluster: brokers and controllers of their own, as klamm has them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use klamm_node::NodeId;
use klamm_node::era::{Era, Eras};
use klamm_scenario::ClusterSpec;
use klamm_tests::process::{self, Running};
use klamm_tests::{PATIENCE, java};
use klamm_wire::KafkaVersion;

use crate::door;
use crate::folder::Folder;
use crate::roads::Roads;

const CLUSTER_ID: &str = "klammTestCluster00000A";
/// How long a node may take to end when it is asked to.
const ENDS: Duration = Duration::from_secs(120);

/// The nodes of one cluster. Dropping them kills their processes.
pub(crate) struct Nodes {
    running: BTreeMap<NodeId, Running>,
    /// Removed when nobody writes there any more.
    dir: tempfile::TempDir,
    class_path: String,
    /// Where clients reach each broker, and its owner each controller.
    addresses: BTreeMap<NodeId, String>,
    /// Where each node listens for other nodes.
    listens: BTreeMap<NodeId, u16>,
    /// How many processes were started, for the names of their output.
    started: u32,
}

/// Where a node listens, and where others are told to find it.
struct Ports {
    /// For clients.
    listens: u16,
    door: u16,
    /// For other nodes.
    listens_inside: u16,
    door_inside: u16,
}

impl Nodes {
    /// Formats the disks of a cluster; nothing runs yet.
    ///
    /// # Errors
    /// When Java or Maven is missing, or Kafka's own tool refuses the properties.
    pub(crate) fn new(cluster: &ClusterSpec, roads: &Arc<Roads>) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("klamm-scenario-").tempdir()?;
        let class_path = match release(cluster.release) {
            Some(release) => java::classpath_of(release)?,
            None => java::classpath()?,
        };
        let controllers: Vec<_> = (0..cluster.controllers).map(|at| NodeId(100 + at)).collect();
        let brokers: Vec<_> = (1..=cluster.brokers).map(NodeId).collect();
        let mut ports = BTreeMap::new();
        for node in controllers.iter().chain(&brokers) {
            let (listens, listens_inside) = (free_port()?, free_port()?);
            let (door, door_inside) =
                (door::open(roads, *node, listens)?, door::open(roads, *node, listens_inside)?);
            ports.insert(*node, Ports { listens, door, listens_inside, door_inside });
        }
        let voters: Vec<_> =
            controllers.iter().map(|id| format!("{id}@127.0.0.1:{}", ports[id].door_inside)).collect();
        for node in controllers.iter().chain(&brokers) {
            let is_controller = controllers.contains(node);
            let mut all = properties(cluster, &voters.join(","), *node, is_controller, &ports[node]);
            all.insert("log.dirs".to_owned(), log_dir(dir.path(), *node).display().to_string());
            let text = all.iter().fold(String::new(), |mut text, (key, value)| {
                let _ = writeln!(text, "{key}={value}");
                text
            });
            fs::write(properties_file(dir.path(), *node), text)?;
        }
        let address = |port: u16| format!("127.0.0.1:{port}");
        let brokers_at = brokers.iter().map(|id| (*id, address(ports[id].door)));
        let controllers_at = controllers.iter().map(|id| (*id, address(ports[id].door_inside)));
        let addresses = brokers_at.chain(controllers_at).collect();
        let elr = cluster.eras.on(Era::Elr);
        let elr = (elr != Eras::of(cluster.release).on(Era::Elr)).then_some(elr);
        format_storage(dir.path(), &class_path, elr, &controllers, &brokers)?;
        let listens = ports.iter().map(|(node, ports)| (*node, ports.listens_inside)).collect();
        Ok(Self { dir, class_path, running: BTreeMap::new(), addresses, listens, started: 0 })
    }

    /// Keeps the folder, with every node's disk and output; where it is.
    pub(crate) fn keep(&mut self) -> PathBuf {
        self.dir.disable_cleanup(true);
        self.dir.path().to_owned()
    }

    pub(crate) const fn addresses(&self) -> &BTreeMap<NodeId, String> {
        &self.addresses
    }

    pub(crate) fn folder(&self, node: NodeId) -> Folder {
        Folder(log_dir(self.dir.path(), node))
    }

    pub(crate) fn start(&mut self, node: NodeId) -> Result<()> {
        let mut java = Command::new("java");
        java.args(["-Xms64m", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto"]);
        java.arg("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn");
        java.arg("-cp").arg(&self.class_path).arg("kafka.Kafka");
        java.arg(properties_file(self.dir.path(), node));
        self.started += 1;
        let name = format!("node-{node}-{}", self.started);
        self.running.insert(node, Running::start(&name, java, self.dir.path())?);
        Ok(())
    }

    /// Whether a node's process runs.
    pub(crate) fn is_up(&mut self, node: NodeId) -> bool {
        let Some(running) = self.running.get_mut(&node) else { return false };
        let up = matches!(running.try_wait(), Ok(None));
        if !up {
            self.running.remove(&node);
        }
        up
    }

    pub(crate) fn kill(&mut self, node: NodeId) -> Result<()> {
        self.running.remove(&node).map_or(Ok(()), Running::kill)
    }

    /// Asks a node to end, and does not wait.
    pub(crate) fn ask_to_end(&self, node: NodeId) {
        if let Some(running) = self.running.get(&node) {
            running.ask_to_end();
        }
    }

    /// Stops a node in order, starts it again, and waits until it listens: klamm's are back at once, and of several that are started
    /// again no two are meant to be away together.
    pub(crate) fn restart(&mut self, node: NodeId) -> Result<()> {
        if let Some(running) = self.running.remove(&node) {
            running.terminate(ENDS)?;
        }
        self.start(node)?;
        let port = self.listens.get(&node).copied().unwrap_or_default();
        let listens = || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok();
        klamm_tests::wait_until(ENDS, listens).context("it does not listen again").map(drop)
    }

    pub(crate) fn pause(&self, node: NodeId, pause: bool) {
        match self.running.get(&node) {
            Some(running) if pause => running.pause(),
            Some(running) => running.resume(),
            None => {}
        }
    }

    /// The end of what every node that runs has said.
    pub(crate) fn said(&self) -> String {
        let said = self.running.iter().map(|(node, running)| {
            format!(
                "node {node}:\n{}\n{}",
                process::tail(&running.stdout()),
                process::tail(&running.stderr())
            )
        });
        said.collect::<Vec<_>>().join("\n")
    }
}

/// The release of the jars that the pom names, which is the newest on Maven Central.
pub(crate) const NEWEST: &str = "4.3.1";

/// The newest release on Maven Central that behaves as this one; `None` for that of the pom, which all tests go by.
pub(crate) const fn release(version: KafkaVersion) -> Option<&'static str> {
    match version {
        KafkaVersion::V3_5 => Some("3.5.2"),
        KafkaVersion::V3_6 => Some("3.6.2"),
        KafkaVersion::V3_8 => Some("3.8.1"),
        KafkaVersion::V3_9 => Some("3.9.1"),
        KafkaVersion::V4_0 => Some("4.0.1"),
        _ => None,
    }
}

/// Whether there are jars that behave as this release.
pub(crate) fn has_jars(version: KafkaVersion) -> bool {
    version == KafkaVersion::NEWEST || release(version).is_some()
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

fn properties_file(dir: &Path, node: NodeId) -> PathBuf {
    dir.join(format!("node-{node}.properties"))
}

fn log_dir(dir: &Path, node: NodeId) -> PathBuf {
    dir.join(format!("logs-{node}"))
}

fn properties(
    cluster: &ClusterSpec,
    voters: &str,
    node: NodeId,
    is_controller: bool,
    ports: &Ports,
) -> BTreeMap<String, String> {
    let Ports { listens, door, listens_inside, door_inside } = ports;
    let at = |name: &str, port: &u16| format!("{name}://127.0.0.1:{port}");
    let few = cluster.brokers.min(3).to_string();
    let mut all: BTreeMap<String, String> = [
        ("node.id", node.to_string()),
        ("controller.quorum.voters", voters.to_owned()),
        ("controller.listener.names", "CONTROLLER".to_owned()),
        (
            "listener.security.protocol.map",
            "CLIENT:PLAINTEXT,INSIDE:PLAINTEXT,CONTROLLER:PLAINTEXT".to_owned(),
        ),
        ("inter.broker.listener.name", "INSIDE".to_owned()),
        ("offsets.topic.replication.factor", few.clone()),
        ("offsets.topic.num.partitions", "6".to_owned()),
        ("transaction.state.log.replication.factor", few.clone()),
        ("transaction.state.log.min.isr", cluster.brokers.min(2).to_string()),
        ("transaction.state.log.num.partitions", "6".to_owned()),
        ("share.coordinator.state.topic.replication.factor", few),
        ("share.coordinator.state.topic.min.isr", cluster.brokers.min(2).to_string()),
        ("share.coordinator.state.topic.num.partitions", "3".to_owned()),
        ("group.initial.rebalance.delay.ms", "0".to_owned()),
        ("log.cleaner.dedupe.buffer.size", "4194304".to_owned()),
        // So that the disk tells where a log is.
        ("replica.high.watermark.checkpoint.interval.ms", "100".to_owned()),
        ("log.flush.start.offset.checkpoint.interval.ms", "100".to_owned()),
        ("log.flush.offset.checkpoint.interval.ms", "100".to_owned()),
        ("log.initial.task.delay.ms", "100".to_owned()),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into();
    let mut set = |key: &str, value: String| all.insert(key.to_owned(), value);
    if is_controller {
        set("process.roles", "controller".to_owned());
        set("listeners", at("CONTROLLER", listens_inside));
        // Before, who asks a controller knows its address from the voters alone.
        if cluster.release >= KafkaVersion::V3_9 {
            set("advertised.listeners", at("CONTROLLER", door_inside));
        }
    } else {
        set("process.roles", "broker".to_owned());
        set("listeners", format!("{},{}", at("CLIENT", listens), at("INSIDE", listens_inside)));
        set("advertised.listeners", format!("{},{}", at("CLIENT", door), at("INSIDE", door_inside)));
        if let Some(rack) = cluster.racks.get(&node) {
            set("broker.rack", rack.clone());
        }
    }
    if is_controller {
        // A controller has no listener for brokers.
        all.remove("inter.broker.listener.name");
    }
    all.extend(cluster.configs.clone());
    all
}

/// Formats one controller with Kafka's own tool, and gives every other node a copy under its own name: one virtual machine
/// started instead of one a node.
fn format_storage(
    dir: &Path,
    class_path: &str,
    elr: Option<bool>,
    controllers: &[NodeId],
    brokers: &[NodeId],
) -> Result<()> {
    let first = controllers.first().context("no controller")?;
    let mut format = Command::new("java");
    format.args([
        "-XX:TieredStopAtLevel=1",
        "-XX:+UseSerialGC",
        "-cp",
        class_path,
        "kafka.tools.StorageTool",
    ]);
    format.args(["format", "--cluster-id", CLUSTER_ID, "--config"]).arg(properties_file(dir, *first));
    if let Some(elr) = elr {
        format.arg("--feature").arg(format!("eligible.leader.replicas.version={}", i32::from(elr)));
    }
    process::run("kafka-format", format, dir, PATIENCE)?;
    let formatted = log_dir(dir, *first);
    let meta = fs::read_to_string(formatted.join("meta.properties")).context("Kafka formatted nothing")?;
    for node in controllers.iter().chain(brokers).filter(|node| *node != first) {
        let copy = log_dir(dir, *node);
        fs::create_dir_all(&copy)?;
        let own: String = meta
            .lines()
            .map(|line| match line.split_once('=') {
                Some(("node.id", _)) => format!("node.id={node}\n"),
                Some(("directory.id", _)) => format!("directory.id=klammDirectory{:07}A\n", node.0),
                _ => format!("{line}\n"),
            })
            .collect();
        fs::write(copy.join("meta.properties"), own)?;
        let checkpoint = "bootstrap.checkpoint";
        if controllers.contains(node) && formatted.join(checkpoint).exists() {
            fs::copy(formatted.join(checkpoint), copy.join(checkpoint))?;
        }
    }
    Ok(())
}
