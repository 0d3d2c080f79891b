//! What a run of a scenario was like, as values; and as text, JSON or a page.

pub mod html;
pub mod json;
pub mod text;

use std::collections::BTreeMap;
use std::time::Duration;

use klamm_node::{NodeId, Timestamp, TopicPartition, TraceEvent};

/// One way through a scenario file.
#[derive(Debug, Clone)]
pub struct Report {
    /// The file's name.
    pub file: String,
    /// The scenario's id.
    pub id: String,
    /// Its title.
    pub title: String,
    /// The Kafka release whose behaviour it was run with, where the file names any.
    pub version: Option<String>,
    /// The variant.
    pub variant: Option<String>,
    /// The seed of every random draw.
    pub seed: u64,
    /// How many expectations, or facts of one, were not checked, for they are about what cannot be seen where it ran.
    pub unseen: usize,
    /// The steps, in order. It ends with the step that failed.
    pub rows: Vec<Row>,
}

/// One step.
#[derive(Debug, Clone)]
pub struct Row {
    /// When it was over, counted from the first step.
    pub at: Duration,
    /// When the first step began, on the world's clock, which the trace goes by.
    pub began: Timestamp,
    /// The line of the file that it stands in, from 1.
    pub line: usize,
    /// The line as it reads.
    pub text: String,
    /// The lines of its block, where that is not steps.
    pub block: Vec<String>,
    /// Whether it is prose.
    pub prose: bool,
    /// Whether it states what must hold.
    pub expects: bool,
    /// What clients and administrators were told during it.
    pub told: Vec<String>,
    /// What did not hold.
    pub failures: Vec<Failure>,
    /// What was decided during it.
    pub trace: Vec<TraceEvent>,
    /// The cluster after it.
    pub state: State,
}

impl Row {
    /// A row of nothing but a failure, before anything began.
    pub(crate) fn failed(failure: Failure) -> Self {
        Self {
            at: Duration::ZERO,
            began: Timestamp::ZERO,
            line: 0,
            text: String::new(),
            block: Vec::new(),
            prose: false,
            expects: false,
            told: Vec::new(),
            failures: vec![failure],
            trace: Vec::new(),
            state: State::default(),
        }
    }
}

/// Something that was expected and is not so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Of what.
    pub what: String,
    /// What was expected.
    pub expected: String,
    /// What is.
    pub actual: String,
}

/// A cluster at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// The brokers whose process runs, and whether each is fenced.
    pub brokers: BTreeMap<NodeId, BrokerState>,
    /// Every partition of every topic that is not internal.
    pub partitions: BTreeMap<TopicPartition, PartitionState>,
}

/// A broker at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BrokerState {
    /// Whether its process runs.
    pub up: bool,
    /// Whether the controller has fenced it, or does not know it.
    pub fenced: bool,
}

/// A partition at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionState {
    /// The leader.
    pub leader: Option<NodeId>,
    /// Its epoch.
    pub leader_epoch: i32,
    /// The partition's epoch.
    pub partition_epoch: i32,
    /// The in-sync replicas.
    pub isr: Vec<NodeId>,
    /// The eligible leader replicas.
    pub elr: Vec<NodeId>,
    /// The replicas, and the log of each whose broker runs.
    pub replicas: Vec<(NodeId, Option<LogState>)>,
}

/// A record: its offset, the leader epoch of its batch, its value.
pub type Record = (i64, i32, String);

/// A replica's log at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogState {
    /// The first offset.
    pub start: i64,
    /// The next offset.
    pub end: i64,
    /// The high watermark.
    pub high_watermark: i64,
    /// The records: offset, leader epoch, value.
    pub records: Vec<Record>,
}

impl Report {
    /// Whether everything held.
    pub fn held(&self) -> bool {
        self.rows.iter().all(|row| row.failures.is_empty())
    }

    /// Which of several runs it is: its release, its variant, its seed where it is not the file's.
    pub fn name(&self) -> String {
        let version = self.version.as_ref().map(|version| format!("Kafka {version}"));
        let parts: Vec<_> = version.into_iter().chain(self.variant.clone()).collect();
        parts.join(", ")
    }
}
