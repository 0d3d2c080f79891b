//! A plan: the options, and every decision with the time at which it happens.

use std::fmt;
use std::time::Duration;

use klamm_node::pause::PausePoint;
use klamm_node::{NodeId, Rng, Timestamp};

use crate::kind::FaultKind;
use crate::options::{Options, Wanted};
use crate::request::HitRequests;

/// Something that happens, and ends by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// A node's process is killed, and starts again.
    Crash(NodeId),
    /// A node loses power, and starts again.
    Power(NodeId),
    /// A broker stops in order, and starts again.
    Stop(NodeId),
    /// A node stands still.
    Pause(NodeId),
    /// Messages do not get from one node to another.
    Cut {
        /// Where they leave.
        from: NodeId,
        /// Where they would arrive.
        to: NodeId,
        /// Whether the other way too.
        both: bool,
        /// Whether they are gone, or come late.
        lost: bool,
    },
    /// Nothing gets through between a node and any other.
    Isolate(NodeId),
    /// Messages take longer.
    Slow {
        /// Where they leave.
        from: NodeId,
        /// Where they arrive.
        to: NodeId,
        /// How much longer.
        by: Duration,
    },
    /// A wall clock is ahead by so many milliseconds.
    Skew(NodeId, i64),
    /// A disk is full (`true`), or fails.
    Disk(NodeId, bool),
    /// A topic is created, which is deleted in the end.
    Topic(u32),
    /// A topic's `min.insync.replicas` is set.
    MinIsr {
        /// The topic's place in the options.
        topic: usize,
        /// The value.
        value: i32,
    },
    /// Preferred leaders are elected, for every partition.
    Elect,
    /// A partition's replicas are moved.
    Reassign {
        /// The topic's place in the options.
        topic: usize,
        /// The partition.
        partition: i32,
        /// The new replicas.
        replicas: Vec<i32>,
    },
    /// Records are deleted, up to the high watermark.
    DeleteRecords {
        /// The topic's place in the options.
        topic: usize,
        /// The partition.
        partition: i32,
    },
    /// Something happens to requests.
    Request(HitRequests),
    /// A node is held at a named point, when it gets there.
    Break(NodeId, PausePoint),
    /// The broker that leads a partition of a coordinator's topic then is killed and starts again, or stands still.
    Coordinator {
        /// Of transactions, or of groups.
        transactions: bool,
        /// The partition.
        partition: i32,
        /// Whether it only stands still.
        pause: bool,
    },
}

/// One decision. Its id is its own for ever: leaving others out does not change it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Its id.
    pub id: u32,
    /// When, from the run's beginning.
    pub at: Timestamp,
    /// What happens.
    pub what: What,
    /// When it ends by itself, from then on. Everything ends when the cluster is healed.
    pub lasts: Duration,
}

/// Everything that a run is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The options.
    pub options: Options,
    /// The decisions, in order of time.
    pub decisions: Vec<Decision>,
}

/// How long the cluster has to start, and its topics to be created.
pub(crate) const WARM_UP: Duration = Duration::from_secs(5);

impl Plan {
    /// The plan of a seed.
    pub fn draw(seed: u64, wanted: &Wanted) -> Self {
        let options = Options::draw(seed, wanted);
        let mut pace = Rng::stream(seed, "sim pace");
        let mut decisions = Vec::new();
        let mut at = WARM_UP;
        let end = WARM_UP + options.duration;
        let mean = u64::try_from(options.pace.as_millis()).unwrap_or(u64::MAX);
        let total: u64 = options.weights.values().sum();
        if total == 0 {
            return Self { options, decisions };
        }
        loop {
            at += Duration::from_millis(1 + pace.below(2 * mean));
            if at >= end {
                break;
            }
            let id = decisions.len() as u32;
            let mut rng = Rng::stream(seed, &format!("sim decision {id}"));
            let mut pick = rng.below(total);
            let kind = options.weights.iter().find(|(_, weight)| {
                let hit = pick < **weight;
                pick = pick.saturating_sub(**weight);
                hit
            });
            let Some((kind, _)) = kind else { break };
            let what = draw(*kind, &options, id, &mut rng);
            let lasts =
                Duration::from_millis([200, 2_000, 8_000, 25_000][rng.below(4) as usize] + rng.below(1_000));
            decisions.push(Decision { id, at: Timestamp::ZERO + at, what, lasts });
        }
        Self { options, decisions }
    }

    /// How big it is, for a person who compares: decisions, producers, partitions, brokers.
    pub fn size(&self) -> String {
        let partitions: i32 = self.options.topics.iter().map(|topic| topic.partitions).sum();
        format!(
            "{}, {}, {}, {}",
            count(self.decisions.len(), "fault"),
            count(self.options.producers.len() + self.options.transactional.len(), "producer"),
            count(partitions as usize, "partition"),
            count(self.options.brokers as usize, "broker"),
        )
    }
}

/// So many of something, in words.
fn count(count: usize, of: &str) -> String {
    match count {
        0 => format!("no {of}"),
        1 => format!("1 {of}"),
        _ => format!("{count} {of}s"),
    }
}

fn draw(kind: FaultKind, options: &Options, id: u32, rng: &mut Rng) -> What {
    let broker = |rng: &mut Rng| NodeId(1 + rng.below(options.brokers as u64) as i32);
    let controller = |rng: &mut Rng| NodeId(100 + rng.below(options.controllers as u64) as i32);
    let node = |rng: &mut Rng| if rng.chance(0.15) { controller(rng) } else { broker(rng) };
    match kind {
        FaultKind::Crash => What::Crash(node(rng)),
        FaultKind::Power => What::Power(NodeId(1 + rng.below(options.brokers as u64) as i32)),
        FaultKind::Stop => What::Stop(NodeId(1 + rng.below(options.brokers as u64) as i32)),
        FaultKind::Pause => What::Pause(node(rng)),
        FaultKind::Cut if rng.chance(0.3) => What::Isolate(node(rng)),
        FaultKind::Cut | FaultKind::Slow => {
            let from = node(rng);
            let to = loop {
                let to = node(rng);
                if to != from {
                    break to;
                }
            };
            if kind == FaultKind::Slow {
                return What::Slow {
                    from,
                    to,
                    by: Duration::from_millis([20, 200, 2_000][rng.below(3) as usize]),
                };
            }
            What::Cut { from, to, both: rng.chance(0.5), lost: rng.chance(0.5) }
        }
        FaultKind::Skew => What::Skew(node(rng), rng.below(20_000) as i64 - 10_000),
        FaultKind::Disk => What::Disk(NodeId(1 + rng.below(options.brokers as u64) as i32), rng.chance(0.5)),
        FaultKind::Controller if rng.chance(0.4) => What::Isolate(controller(rng)),
        FaultKind::Controller => What::Crash(controller(rng)),
        FaultKind::Admin => {
            let topic = rng.below(options.topics.len() as u64) as usize;
            let t = &options.topics[topic];
            let partition = rng.below(t.partitions as u64) as i32;
            match rng.below(5) {
                0 => What::Topic(id),
                1 => What::MinIsr { topic, value: (1 + rng.below(2) as i32).min(i32::from(t.replicas)) },
                2 => What::Elect,
                3 => {
                    let mut ids: Vec<i32> = (1..=options.brokers).collect();
                    let first = rng.below(ids.len() as u64) as usize;
                    ids.rotate_left(first);
                    ids.truncate(t.replicas.unsigned_abs().into());
                    What::Reassign { topic, partition, replicas: ids }
                }
                _ => What::DeleteRecords { topic, partition },
            }
        }
        FaultKind::Request => {
            let to = broker(rng);
            What::Request(HitRequests::draw(rng, to, !options.transactional.is_empty()))
        }
        FaultKind::Coordinator => What::Coordinator {
            transactions: rng.chance(0.75),
            partition: rng.below(2) as i32,
            pause: rng.chance(0.4),
        },
        FaultKind::Breakpoint => {
            let at = PausePoint::ALL[rng.below(PausePoint::ALL.len() as u64) as usize];
            let is_controllers = matches!(
                at,
                PausePoint::AlterPartitionAnswerInFlight | PausePoint::AfterMetadataAppendBeforeReplication
            );
            What::Break(if is_controllers { controller(rng) } else { broker(rng) }, at)
        }
    }
}

/// The topic that a coordinator keeps what it knows in.
pub(crate) const fn coordinators_topic(transactions: bool) -> &'static str {
    if transactions { "__transaction_state" } else { "__consumer_offsets" }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Crash(node) => write!(f, "crash {node}"),
            Self::Power(node) => write!(f, "power-loss {node}"),
            Self::Stop(node) => write!(f, "stop {node}"),
            Self::Pause(node) => write!(f, "pause {node}"),
            Self::Cut { from, to, both, lost } => {
                write!(
                    f,
                    "cut {from} {} {to}{}",
                    if *both { "<->" } else { "->" },
                    if *lost { " lost" } else { "" }
                )
            }
            Self::Isolate(node) => write!(f, "isolate {node}"),
            Self::Slow { from, to, by } => write!(f, "slow {from} -> {to} by {by:?}"),
            Self::Skew(node, millis) => write!(f, "wall clock of {node} {millis:+} ms"),
            Self::Disk(node, true) => write!(f, "disk of {node} full"),
            Self::Disk(node, false) => write!(f, "disk of {node} fails"),
            Self::Topic(id) => write!(f, "create, then delete, topic x{id}"),
            Self::MinIsr { topic, value } => write!(f, "t{topic} min.insync.replicas={value}"),
            Self::Elect => f.write_str("elect preferred leaders"),
            Self::Reassign { topic, partition, replicas } => {
                write!(f, "reassign t{topic}-{partition} to {replicas:?}")
            }
            Self::DeleteRecords { topic, partition } => write!(f, "delete records of t{topic}-{partition}"),
            Self::Request(hit) => write!(f, "{hit}"),
            Self::Break(node, at) => write!(f, "hold {node} at {at}"),
            Self::Coordinator { transactions, partition, pause } => write!(
                f,
                "{} the leader of {}-{partition}",
                if *pause { "pause" } else { "crash" },
                coordinators_topic(*transactions)
            ),
        }
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at {} #{} {} for {:?}", self.at, self.id, self.what, self.lasts)
    }
}
