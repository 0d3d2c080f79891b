//! Apache Kafka itself, started from its Maven jars: the yardstick for the client programs, conformance and the bench.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::process::{self, Running};
use crate::{java, probe, wait_until};

const CLUSTER_ID: &str = "klammTestCluster00000A";

/// How to run Kafka. The default is three brokers tuned to start quickly; a benchmark wants its own `jvm` and `heap_mb`.
#[derive(Debug, Clone)]
pub struct KafkaSettings {
    /// How many nodes, each broker and controller at once (KRaft's combined mode).
    pub brokers: u16,
    /// The heap of each node, in MiB.
    pub heap_mb: u32,
    /// Further options of the virtual machine.
    pub jvm: Vec<String>,
    /// Server properties laid over the ones every node gets.
    pub properties: BTreeMap<String, String>,
    /// The folder for logs, properties and output; a temporary one that is deleted at the end when `None`.
    pub dir: Option<PathBuf>,
    /// How long the cluster may take to be ready.
    pub deadline: Duration,
}

impl Default for KafkaSettings {
    fn default() -> Self {
        Self {
            brokers: 3,
            heap_mb: 384,
            jvm: ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"].map(str::to_owned).into(),
            properties: BTreeMap::new(),
            dir: None,
            deadline: Duration::from_secs(120),
        }
    }
}

/// A running Apache Kafka cluster on loopback; dropping it kills its processes.
#[derive(Debug)]
pub struct ApacheKafka {
    nodes: Vec<Running>,
    bootstrap: String,
    dir: PathBuf,
    _temporary: Option<tempfile::TempDir>,
}

impl ApacheKafka {
    /// Formats the storage, starts every node and waits until each knows all the others.
    ///
    /// # Errors
    /// When Java or Maven is missing, or a node ends or is not ready by the deadline; the error shows its last lines.
    pub fn start(settings: &KafkaSettings) -> Result<Self> {
        let temporary = match settings.dir {
            Some(_) => None,
            None => Some(tempfile::Builder::new().prefix("klamm-kafka-").tempdir()?),
        };
        let dir = match (&settings.dir, &temporary) {
            (Some(dir), _) => dir.clone(),
            (None, Some(temporary)) => temporary.path().to_path_buf(),
            (None, None) => bail!("no folder for Kafka"),
        };
        std::fs::create_dir_all(&dir)?;
        let class_path = java::classpath()?;
        let ports = free_ports(settings.brokers)?;
        for node in 1..=settings.brokers {
            std::fs::write(properties_file(&dir, node), properties(settings, &dir, node, &ports))?;
        }
        format_storage(settings, &dir, &class_path)?;

        let mut kafka = Self {
            nodes: Vec::new(),
            bootstrap: ports
                .iter()
                .map(|(port, _)| format!("127.0.0.1:{port}"))
                .collect::<Vec<_>>()
                .join(","),
            dir,
            _temporary: temporary,
        };
        for node in 1..=settings.brokers {
            let mut java = Command::new("java");
            java.arg(format!("-Xms{0}m", settings.heap_mb)).arg(format!("-Xmx{}m", settings.heap_mb));
            java.args(&settings.jvm).arg("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn");
            java.arg("-cp").arg(&class_path).arg("kafka.Kafka").arg(properties_file(&kafka.dir, node));
            kafka.nodes.push(Running::start(&format!("kafka-{node}"), java, &kafka.dir)?);
        }
        kafka.wait_ready(settings)?;
        Ok(kafka)
    }

    fn wait_ready(&mut self, settings: &KafkaSettings) -> Result<()> {
        let addresses: Vec<String> = self.bootstrap.split(',').map(str::to_owned).collect();
        let mut ended = None;
        let all = usize::from(settings.brokers);
        let ready = wait_until(settings.deadline, || {
            ended = self.nodes.iter_mut().position(|node| !matches!(node.try_wait(), Ok(None)));
            let counts = addresses.iter().map(|address| probe::brokers(address).unwrap_or(0));
            (ended.is_some() || counts.into_iter().all(|count| count == all)).then_some(())
        });
        if let Some(node) = ended.and_then(|index| self.nodes.get(index)) {
            bail!(
                "a Kafka node ended:\n{}\n{}",
                process::tail(&node.stdout()),
                process::tail(&node.stderr())
            );
        }
        if ready.is_none() {
            let said: Vec<String> = self.nodes.iter().map(|node| process::tail(&node.stderr())).collect();
            bail!("Kafka was not ready after {:?}:\n{}", settings.deadline, said.join("\n"));
        }
        Ok(())
    }

    /// `host:port,host:port,…`, every broker.
    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// The process id of each node, in the order of their ids.
    pub fn pids(&self) -> Vec<u32> {
        self.nodes.iter().map(Running::pid).collect()
    }

    /// The log directory of node `node` (ids begin at 1).
    pub fn log_dir(&self, node: u16) -> PathBuf {
        log_dir(&self.dir, node)
    }

    /// Stops every node with SIGTERM and waits for all of them.
    ///
    /// Without the others a combined-mode node cannot finish its controlled shutdown, so the last ones are killed
    /// after a few seconds: nothing of the data outlives a test.
    ///
    /// # Errors
    /// When the operating system will not tell how a process ended.
    pub fn stop(mut self) -> Result<()> {
        let stopping: Vec<_> = self
            .nodes
            .drain(..)
            .map(|node| std::thread::spawn(move || node.terminate(Duration::from_secs(5))))
            .collect();
        for thread in stopping {
            thread.join().map_err(|_| anyhow::anyhow!("a stopping thread panicked"))??;
        }
        Ok(())
    }
}

/// A client port and a controller port for every node. All are held until all are known, so no two are equal.
fn free_ports(nodes: u16) -> Result<Vec<(u16, u16)>> {
    let bind = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let held = (0..nodes).map(|_| Ok((bind()?, bind()?))).collect::<Result<Vec<_>>>()?;
    held.iter().map(|(a, b)| Ok((a.local_addr()?.port(), b.local_addr()?.port()))).collect()
}

fn properties_file(dir: &Path, node: u16) -> PathBuf {
    dir.join(format!("node-{node}.properties"))
}

fn log_dir(dir: &Path, node: u16) -> PathBuf {
    dir.join(format!("logs-{node}"))
}

fn properties(settings: &KafkaSettings, dir: &Path, node: u16, ports: &[(u16, u16)]) -> String {
    let voters: Vec<String> =
        ports.iter().zip(1..).map(|((_, port), id): (_, u16)| format!("{id}@127.0.0.1:{port}")).collect();
    let (port, controller_port) = ports[usize::from(node) - 1];
    let internal = settings.brokers.min(3).to_string();
    let mut all: BTreeMap<String, String> = [
        ("process.roles", "broker,controller".to_owned()),
        ("node.id", node.to_string()),
        ("controller.quorum.voters", voters.join(",")),
        ("listeners", format!("PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}")),
        ("advertised.listeners", format!("PLAINTEXT://127.0.0.1:{port}")),
        ("controller.listener.names", "CONTROLLER".to_owned()),
        ("listener.security.protocol.map", "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT".to_owned()),
        ("log.dirs", log_dir(dir, node).display().to_string()),
        ("offsets.topic.replication.factor", internal.clone()),
        ("offsets.topic.num.partitions", "6".to_owned()),
        ("transaction.state.log.replication.factor", internal.clone()),
        ("transaction.state.log.min.isr", "1".to_owned()),
        ("transaction.state.log.num.partitions", "6".to_owned()),
        ("share.coordinator.state.topic.replication.factor", internal),
        ("share.coordinator.state.topic.min.isr", "1".to_owned()),
        ("share.coordinator.state.topic.num.partitions", "3".to_owned()),
        ("group.initial.rebalance.delay.ms", "0".to_owned()),
        // The default is 128 MiB a node, for deduplication that no test needs at that size.
        ("log.cleaner.dedupe.buffer.size", "4194304".to_owned()),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into();
    all.extend(settings.properties.clone());
    all.iter().fold(String::new(), |mut text, (key, value)| {
        let _ = writeln!(text, "{key}={value}");
        text
    })
}

/// Formats node 1 with Kafka's own tool and gives the others a copy under their own names: one virtual machine
/// started instead of one a node.
fn format_storage(settings: &KafkaSettings, dir: &Path, class_path: &str) -> Result<()> {
    let mut format = Command::new("java");
    format.args([
        "-XX:TieredStopAtLevel=1",
        "-XX:+UseSerialGC",
        "-cp",
        class_path,
        "kafka.tools.StorageTool",
    ]);
    format.args(["format", "--cluster-id", CLUSTER_ID, "--config"]).arg(properties_file(dir, 1));
    process::run("kafka-format", format, dir, crate::PATIENCE)?;
    let formatted = log_dir(dir, 1);
    let meta =
        std::fs::read_to_string(formatted.join("meta.properties")).context("Kafka formatted nothing")?;
    for node in 2..=settings.brokers {
        let copy = log_dir(dir, node);
        std::fs::create_dir_all(&copy)?;
        let own: String = meta
            .lines()
            .map(|line| match line.split_once('=') {
                Some(("node.id", _)) => format!("node.id={node}\n"),
                Some(("directory.id", _)) => format!("directory.id=klammDirectory{node:07}A\n"),
                _ => format!("{line}\n"),
            })
            .collect();
        std::fs::write(copy.join("meta.properties"), own)?;
        let checkpoint = "bootstrap.checkpoint";
        if formatted.join(checkpoint).exists() {
            std::fs::copy(formatted.join(checkpoint), copy.join(checkpoint))?;
        }
    }
    Ok(())
}
