//! What is measured: klamm and its peers, each as processes of their own.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use klamm_tests::kafka::{ApacheKafka, KafkaSettings};

use crate::memory;

/// Something that speaks Kafka's protocol.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, clap::ValueEnum)]
pub(crate) enum Target {
    /// klamm, memory disk.
    Klamm,
    /// klamm, file disk.
    KlammFile,
    /// Apache Kafka, three brokers in combined mode.
    Kafka,
    /// franz-go's kfake.
    Kfake,
    /// librdkafka's mock cluster.
    Mock,
}

/// A topic that the load will use.
#[derive(Clone, Copy)]
pub(crate) struct Topic {
    pub name: &'static str,
    pub partitions: i32,
    pub replication: i16,
}

impl Target {
    pub(crate) const ALL: [Self; 5] = [Self::Klamm, Self::KlammFile, Self::Kafka, Self::Kfake, Self::Mock];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Klamm => "klamm",
            Self::KlammFile => "klamm, files",
            Self::Kafka => "Apache Kafka",
            Self::Kfake => "kfake",
            Self::Mock => "librdkafka mock",
        }
    }

    /// Whether topics can be created over the wire. The mock's are made when it starts.
    pub(crate) const fn creates_topics(self) -> bool {
        !matches!(self, Self::Mock)
    }

    /// Starts it and waits until it says where it listens.
    pub(crate) fn start(self, peers: &Peers, topics: &[Topic]) -> Result<Running> {
        let directory = tempfile::Builder::new().prefix("klamm-bench-").tempdir()?;
        let guard = match self {
            Self::Klamm | Self::KlammFile => {
                let mut command = Command::new(&peers.klamm);
                command.args(["serve", "--json", "--port", "0"]);
                if self == Self::KlammFile {
                    command.arg("--data-dir").arg(directory.path().join("data"));
                }
                Guard::Process(command.spawn_listening(|line| {
                    let line: serde_json::Value = serde_json::from_str(line)?;
                    Ok((line["bootstrap"].as_str().context("no bootstrap in klamm's line")?.to_owned(), None))
                })?)
            }
            Self::Kafka => Guard::Kafka(ApacheKafka::start(&KafkaSettings {
                brokers: 3,
                heap_mb: 1024,
                jvm: [
                    "-server",
                    "-XX:+UseG1GC",
                    "-XX:MaxGCPauseMillis=20",
                    "-XX:InitiatingHeapOccupancyPercent=35",
                ]
                .map(str::to_owned)
                .into(),
                properties: BTreeMap::from(
                    [("num.io.threads", "4"), ("num.network.threads", "2"), ("queued.max.requests", "500")]
                        .map(|(k, v)| (k.to_owned(), v.to_owned())),
                ),
                ..KafkaSettings::default()
            })?),
            Self::Kfake => {
                let path = peers.kfake.as_ref().context("kfake needs the Go toolchain")?;
                Guard::Process(Command::new(path).spawn_listening(peer_line)?)
            }
            Self::Mock => {
                let python = peers.python.as_ref().context("the mock needs Python with confluent-kafka")?;
                let mut command = Command::new(python);
                command.arg(peers.sources.join("mock/mock.py"));
                command.args(topics.iter().map(|t| format!("{}:{}:{}", t.name, t.partitions, t.replication)));
                Guard::Process(command.spawn_listening(peer_line)?)
            }
        };
        Ok(Running { guard, _directory: directory })
    }
}

/// A peer's line: its addresses, and how many seconds its library took to start.
fn peer_line(line: &str) -> Result<(String, Option<Duration>)> {
    let (bootstrap, seconds) = line.split_once(' ').context("no time in the peer's line")?;
    Ok((bootstrap.to_owned(), Some(Duration::from_secs_f64(seconds.parse()?))))
}

/// Where the programs are.
pub(crate) struct Peers {
    pub klamm: PathBuf,
    pub sources: PathBuf,
    pub kfake: Option<PathBuf>,
    pub python: Option<PathBuf>,
}

impl Peers {
    /// Builds the peers' small programs into `cache`. A peer whose toolchain is missing is left out, by name.
    pub(crate) fn build(sources: PathBuf, cache: &Path, wanted: &[Target]) -> Result<Self> {
        let klamm = std::env::current_exe()?.with_file_name("klamm");
        let wants_klamm = [Target::Klamm, Target::KlammFile].iter().any(|t| wanted.contains(t));
        ensure!(klamm.is_file() || !wants_klamm, "{} is not built: use `cargo xtask bench`", klamm.display());
        std::fs::create_dir_all(cache)?;
        let kfake = cache.join("kfake");
        let kfake = wanted.contains(&Target::Kfake).then(|| {
            let mut go = Command::new("go");
            go.args(["build", "-o"]).arg(&kfake).arg(".").current_dir(sources.join("kfake"));
            run(go).map(|()| kfake)
        });
        let python = wanted.contains(&Target::Mock).then(|| {
            let venv = cache.join("mock-venv");
            let python = venv.join("bin/python");
            if !python.is_file() {
                let mut create = Command::new("python3");
                create.args(["-m", "venv"]).arg(&venv);
                run(create)?;
            }
            let mut pip = Command::new(&python);
            pip.args(["-m", "pip", "install", "-q", "--disable-pip-version-check", "-r"]);
            pip.arg(sources.join("mock/requirements.txt"));
            run(pip).map(|()| python)
        });
        Ok(Self {
            klamm,
            sources,
            kfake: available("kfake", kfake),
            python: available("librdkafka mock", python),
        })
    }
}

fn available(name: &str, built: Option<Result<PathBuf>>) -> Option<PathBuf> {
    match built? {
        Ok(path) => Some(path),
        Err(error) => {
            eprintln!("{name} is left out: {error:#}");
            None
        }
    }
}

fn run(mut command: Command) -> Result<()> {
    let output = command.output().with_context(|| format!("cannot run {command:?}"))?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}

/// A target that listens; stops when dropped.
pub(crate) struct Running {
    guard: Guard,
    _directory: tempfile::TempDir,
}

enum Guard {
    Process(Process),
    Kafka(ApacheKafka),
}

struct Process {
    child: Child,
    bootstrap: String,
    own_start: Option<Duration>,
}

impl Running {
    pub(crate) fn bootstrap(&self) -> &str {
        match &self.guard {
            Guard::Process(process) => &process.bootstrap,
            Guard::Kafka(kafka) => kafka.bootstrap(),
        }
    }

    /// How long the library inside a peer's program took to start, without the program itself.
    pub(crate) const fn own_start(&self) -> Option<Duration> {
        match &self.guard {
            Guard::Process(process) => process.own_start,
            Guard::Kafka(_) => None,
        }
    }

    /// Resident memory of all its processes, in KiB.
    pub(crate) fn resident_kib(&self) -> Result<u64> {
        let pids = match &self.guard {
            Guard::Process(process) => vec![process.child.id()],
            Guard::Kafka(kafka) => kafka.pids(),
        };
        pids.into_iter().map(memory::resident_kib).sum()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Their standard input closes with us as well; the kill is for the slow.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

trait SpawnListening {
    fn spawn_listening(
        &mut self,
        read: impl FnOnce(&str) -> Result<(String, Option<Duration>)>,
    ) -> Result<Process>;
}

impl SpawnListening for Command {
    /// Starts a program whose first line on stdout says where it listens.
    fn spawn_listening(
        &mut self,
        read: impl FnOnce(&str) -> Result<(String, Option<Duration>)>,
    ) -> Result<Process> {
        let mut child = self.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let stdout = child.stdout.take().context("no stdout")?;
        let mut process = Process { child, bootstrap: String::new(), own_start: None };
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        if line.trim().is_empty() {
            bail!("{self:?} ended without saying where it listens");
        }
        (process.bootstrap, process.own_start) = read(line.trim())?;
        Ok(process)
    }
}
