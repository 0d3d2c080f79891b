//! What a run is made of besides its decisions, drawn from the seed.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use klamm_node::Rng;
use klamm_node::era::Eras;
use klamm_world::{LinkSettings, ProducerSpec, TransactionalSpec, WatcherSpec};

use crate::kind::FaultKind;
use crate::life::Life;
use crate::members::Member;
use crate::transactions;

/// What runs are drawn from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Profile {
    /// Clusters, loads and faults of every sort: some runs have members of a group, some transactional producers, some both, and some every kind of
    /// fault.
    #[default]
    Default,
    /// As [`Profile::Default`], without groups and transactions, and without faults of requests, breakpoints and coordinators.
    Replication,
    /// No fault at all: what goes wrong is wrong by itself.
    Calm,
    /// One small topic under many faults.
    Small,
    /// As [`Profile::Small`], with two brokers that both have to be in sync, and producers that do not wait for all: each is soon elected without
    /// what the other has.
    Pair,
    /// As [`Profile::Replication`], with unclean elections allowed and producers that do not wait for all: most losses are expected ones.
    Lossy,
    /// As [`Profile::Default`], with transactional producers and every kind of fault in every run.
    Transactions,
}

impl Profile {
    /// Every profile.
    pub const ALL: [Self; 7] = [
        Self::Default,
        Self::Replication,
        Self::Calm,
        Self::Small,
        Self::Pair,
        Self::Lossy,
        Self::Transactions,
    ];

    /// Whether it has one topic of one partition.
    const fn is_small(self) -> bool {
        matches!(self, Self::Small | Self::Pair)
    }

    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Replication => "replication",
            Self::Calm => "calm",
            Self::Small => "small",
            Self::Pair => "pair",
            Self::Lossy => "lossy",
            Self::Transactions => "transactions",
        }
    }
}

/// A name that no profile has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no profile {0:?}; there are {names}", names = Profile::ALL.map(Profile::name).join(", "))]
pub struct UnknownProfile(pub String);

impl FromStr for Profile {
    type Err = UnknownProfile;

    fn from_str(name: &str) -> Result<Self, UnknownProfile> {
        Self::ALL.into_iter().find(|p| p.name() == name).ok_or_else(|| UnknownProfile(name.to_owned()))
    }
}

/// Seeds `first..=last`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// The first seed.
    pub first: u64,
    /// The last seed.
    pub last: u64,
}

/// A range of seeds that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RangeError {
    /// It ends before it begins.
    #[error("the seeds {first}..{last} are upside down; did you mean {last}..{first}?")]
    UpsideDown {
        /// What came first.
        first: u64,
        /// What came last.
        last: u64,
    },
    /// Its last seed is the last number there is, behind which nothing could stop.
    #[error("the last seed is at most {}", u64::MAX - 1)]
    TooLarge,
    /// It is no range.
    #[error("{0:?} is no range of seeds; write 1..1000, or one seed: 7")]
    Malformed(String),
}

impl FromStr for Range {
    type Err = RangeError;

    fn from_str(text: &str) -> Result<Self, RangeError> {
        let number =
            |part: &str| part.trim().parse::<u64>().map_err(|_| RangeError::Malformed(text.to_owned()));
        let (first, last) = match text.split_once("..") {
            Some((first, last)) => (number(first)?, number(last.strip_prefix('=').unwrap_or(last))?),
            None => (number(text)?, number(text)?),
        };
        if first > last {
            return Err(RangeError::UpsideDown { first, last });
        }
        if last == u64::MAX {
            return Err(RangeError::TooLarge);
        }
        Ok(Self { first, last })
    }
}

/// What is asked of a run besides its seed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// What it is drawn from.
    pub profile: Profile,
    /// Only these kinds of faults; `None` for what the profile has.
    pub faults: Option<Vec<FaultKind>>,
    /// How long faults happen, in simulated minutes.
    pub minutes: u64,
    /// Old rules to bring back.
    pub eras: Eras,
    /// The `transaction.version` that transactional producers work at, at most. At 0 no leader asks the coordinator before it appends. Below 2 they
    /// abort without waiting for what they have sent, which is what the newer versions are for.
    pub transaction_version: u8,
}

impl Default for Wanted {
    fn default() -> Self {
        Self {
            profile: Profile::Default,
            faults: None,
            minutes: 2,
            eras: Eras::NEWEST,
            transaction_version: 2,
        }
    }
}

/// Who works with the cluster besides plain producers and consumers, and whether every kind of fault may meet them.
struct Company {
    members: bool,
    transactions: bool,
    every_fault: bool,
}

impl Company {
    fn draw(rng: &mut Rng, profile: Profile) -> Self {
        match profile {
            Profile::Default => {
                let who = rng.below(8);
                Self {
                    members: matches!(who, 3 | 4 | 7),
                    transactions: matches!(who, 5..=7),
                    every_fault: rng.chance(0.6),
                }
            }
            Profile::Transactions => Self { members: false, transactions: true, every_fault: true },
            _ => Self { members: false, transactions: false, every_fault: false },
        }
    }
}

/// A topic of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic {
    /// Its name.
    pub name: String,
    /// How many partitions it has.
    pub partitions: i32,
    /// How many replicas each has.
    pub replicas: i16,
    /// `min.insync.replicas`
    pub min_isr: i32,
    /// `unclean.leader.election.enable`
    pub unclean: bool,
    /// The size of a segment, in bytes: below what `segment.bytes` may be, so that small logs have several.
    pub segment_bytes: Option<i32>,
}

/// Everything that a run is made of besides its decisions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The root of the world's random streams.
    pub seed: u64,
    /// What it was drawn from.
    pub profile: Profile,
    /// Old rules.
    pub eras: Eras,
    /// How long faults happen.
    pub duration: Duration,
    /// Brokers 1 to so many.
    pub brokers: i32,
    /// Controllers 100 to so many more.
    pub controllers: i32,
    /// Every link.
    pub link: LinkSettings,
    /// Server properties.
    pub config: BTreeMap<String, String>,
    /// Topics.
    pub topics: Vec<Topic>,
    /// The topics that do not keep everything.
    pub lives: BTreeMap<String, Life>,
    /// Producers.
    pub producers: Vec<ProducerSpec>,
    /// Transactional producers.
    pub transactional: Vec<TransactionalSpec>,
    /// Topics that a consumer each reads.
    pub consumers: Vec<String>,
    /// Topics of which a consumer each reads what is committed.
    pub readers: Vec<String>,
    /// Clients that ask where partitions end.
    pub watchers: Vec<WatcherSpec>,
    /// The members of a group.
    pub members: Vec<Member>,
    /// How often each kind of fault happens, against the others; the rest never do.
    pub weights: BTreeMap<FaultKind, u64>,
    /// The mean time from one fault to the next.
    pub pace: Duration,
}

impl Options {
    /// The options of a seed.
    pub fn draw(seed: u64, wanted: &Wanted) -> Self {
        let stream = |name: &str| Rng::stream(seed, &format!("sim {name}"));
        let duration = Duration::from_secs(wanted.minutes * 60);
        let mut topology = stream("topology");
        let brokers = match wanted.profile {
            Profile::Small => 3,
            Profile::Pair => 2,
            _ => 1 + topology.below(5) as i32,
        };
        let controllers = if topology.chance(0.4) { 3 } else { 1 };
        let link = LinkSettings {
            latency: Duration::from_micros([0, 100, 1_000, 5_000][topology.below(4) as usize]),
            jitter: Duration::from_micros([0, 500, 3_000, 20_000][topology.below(4) as usize]),
        };
        let mut tuning = stream("config");
        let mut config = BTreeMap::new();
        let mut set = |key: &str, value: u64| config.insert(key.to_owned(), value.to_string());
        set("replica.lag.time.max.ms", [2_000, 5_000, 30_000][tuning.below(3) as usize]);
        set("replica.fetch.wait.max.ms", [50, 500][tuning.below(2) as usize]);
        set("broker.session.timeout.ms", [3_000, 9_000][tuning.below(2) as usize]);
        set("broker.heartbeat.interval.ms", [500, 1_000][tuning.below(2) as usize]);
        set("offsets.topic.num.partitions", 2);
        set("offsets.topic.replication.factor", brokers.min(3) as u64);
        set("leader.imbalance.check.interval.seconds", [10, 60, 300][tuning.below(3) as usize]);
        let segment_bytes = [Some(16 << 10), None][tuning.below(2) as usize];
        set("log.flush.interval.messages", [1, 50, i64::MAX as u64][tuning.below(3) as usize]);
        config.insert("log.cleaner.enable".to_owned(), "false".to_owned());
        let topics = Self::draw_topics(&mut stream("topics"), wanted.profile, brokers, segment_bytes);
        let lives = Self::draw_lives(&stream, wanted.profile, &topics, &mut config);
        let producers = Self::draw_producers(&mut stream("producers"), wanted, &topics);
        let company = Company::draw(&mut stream("company"), wanted.profile);
        let mut transactional = Vec::new();
        if company.transactions {
            let mut transactions = stream("transactions");
            transactions::configure(&mut transactions, wanted, brokers, &mut config);
            transactional = transactions::draw(&mut transactions, wanted, &topics);
        }
        let consumers: Vec<_> = topics.iter().map(|topic| topic.name.clone()).collect();
        let readers = if transactional.is_empty() { Vec::new() } else { consumers.clone() };
        let watchers = Self::draw_watchers(&mut stream("watchers"), &topics);
        let mut members = Vec::new();
        if company.members {
            members = Self::draw_members(&mut stream("members"), &topics, duration);
            Self::draw_group_config(&mut stream("group config"), &mut config);
        }
        let mut swarm = stream("swarm");
        let kinds: Vec<_> = match &wanted.faults {
            Some(kinds) => kinds.clone(),
            None if wanted.profile == Profile::Calm => Vec::new(),
            None if company.every_fault => FaultKind::ALL.to_vec(),
            None => FaultKind::ALL[..FaultKind::USUAL].to_vec(),
        };
        let asked_for = wanted.faults.is_some();
        let weigh = |kind| {
            (kind, if asked_for { 1 + swarm.below(4) } else { [0, 1, 1, 2, 8][swarm.below(5) as usize] })
        };
        let weights = kinds.into_iter().map(weigh).filter(|(_, weight)| *weight > 0).collect();
        let pace = Duration::from_millis([500, 2_000, 5_000, 15_000][swarm.below(4) as usize]);
        Self {
            seed,
            profile: wanted.profile,
            eras: wanted.eras,
            duration,
            brokers,
            controllers,
            link,
            config,
            topics,
            lives,
            producers,
            transactional,
            consumers,
            readers,
            watchers,
            members,
            weights,
            pace,
        }
    }

    /// How many simulated clients there are.
    pub fn clients(&self) -> usize {
        let readers = self.consumers.len() + self.readers.len() + self.watchers.len();
        self.producers.len() + self.transactional.len() + readers + self.members.len()
    }

    fn draw_topics(rng: &mut Rng, profile: Profile, brokers: i32, segment_bytes: Option<i32>) -> Vec<Topic> {
        let small = profile.is_small();
        let count = if small { 1 } else { 1 + rng.below(2) };
        let topic = |i| {
            let most = brokers.min(3) as i16;
            let replicas = if small { most } else { 1 + rng.below(most as u64) as i16 };
            let replicas = if rng.chance(0.6) { most } else { replicas };
            Topic {
                name: format!("t{i}"),
                partitions: if small { 1 } else { 1 + rng.below(4) as i32 },
                replicas,
                min_isr: match profile {
                    Profile::Pair => 2,
                    _ => (1 + rng.below(2) as i32).min(i32::from(replicas)),
                },
                unclean: match profile {
                    Profile::Pair => false,
                    _ => rng.chance(if profile == Profile::Lossy { 0.7 } else { 0.1 }),
                },
                segment_bytes,
            }
        };
        (0..count).map(topic).collect()
    }

    fn draw_lives(
        stream: &dyn Fn(&str) -> Rng,
        profile: Profile,
        topics: &[Topic],
        config: &mut BTreeMap<String, String>,
    ) -> BTreeMap<String, Life> {
        if profile.is_small() {
            return BTreeMap::new();
        }
        let life = |topic: &Topic| {
            Some((topic.name.clone(), Life::draw(&mut stream(&format!("life {}", topic.name)))?))
        };
        let lives: BTreeMap<_, _> = topics.iter().filter_map(life).collect();
        if !lives.is_empty() {
            config.insert("log.retention.check.interval.ms".to_owned(), "3000".to_owned());
        }
        if lives.values().any(|life| life.compact) {
            config.insert("log.cleaner.enable".to_owned(), "true".to_owned());
            config.insert("log.cleaner.backoff.ms".to_owned(), "2000".to_owned());
        }
        lives
    }

    fn draw_producers(rng: &mut Rng, wanted: &Wanted, topics: &[Topic]) -> Vec<ProducerSpec> {
        let count = 1 + rng.below(3);
        let producer = |i: u64| {
            let topic = &topics[(i as usize) % topics.len()];
            let idempotent = rng.chance(if wanted.profile == Profile::Pair { 0.3 } else { 0.6 });
            let strict = !matches!(wanted.profile, Profile::Lossy | Profile::Pair) && rng.chance(0.7);
            let acks = if idempotent || strict { -1 } else { [0, 1, -1][rng.below(3) as usize] };
            let interval = Duration::from_millis([5, 20, 100, 400][rng.below(4) as usize]);
            let span = Duration::from_secs(wanted.minutes * 60).as_millis() / interval.as_millis().max(1);
            let batch = 1 + rng.below(5) as u32;
            let batches = u64::try_from(span).unwrap_or(u64::MAX).min(3_000);
            ProducerSpec {
                topic: topic.name.clone().into(),
                acks,
                idempotent,
                records: batches * u64::from(batch),
                batch,
                interval,
                in_flight: 1 + rng.below(5) as usize,
            }
        };
        (0..count).map(producer).collect()
    }

    fn draw_watchers(rng: &mut Rng, topics: &[Topic]) -> Vec<WatcherSpec> {
        let watcher = |topic: &Topic| {
            let interval = Duration::from_millis([20, 200, 1_000][rng.below(3) as usize]);
            WatcherSpec { topic: topic.name.clone().into(), interval }
        };
        topics.iter().map(watcher).collect()
    }
}

impl fmt::Display for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {} profile {} for {:?}", self.seed, self.profile.name(), self.duration)?;
        writeln!(
            f,
            "brokers {} controllers {} link {:?} +{:?}",
            self.brokers, self.controllers, self.link.latency, self.link.jitter
        )?;
        if self.eras != Eras::NEWEST {
            writeln!(f, "eras {}", self.eras)?;
        }
        for (key, value) in &self.config {
            writeln!(f, "config {key}={value}")?;
        }
        for t in &self.topics {
            writeln!(
                f,
                "topic {} partitions {} replicas {} min.insync.replicas {}{}{}",
                t.name,
                t.partitions,
                t.replicas,
                t.min_isr,
                if t.unclean { " unclean" } else { "" },
                t.segment_bytes.map(|bytes| format!(", segments of {bytes} bytes")).unwrap_or_default()
            )?;
        }
        for (topic, life) in &self.lives {
            writeln!(f, "life of {topic} {life}")?;
        }
        for p in &self.producers {
            writeln!(
                f,
                "producer of {} acks {}{} {} records, {} every {:?}, {} in flight",
                p.topic,
                p.acks,
                if p.idempotent { " idempotent" } else { "" },
                p.records,
                p.batch,
                p.interval,
                p.in_flight
            )?;
        }
        for spec in &self.transactional {
            writeln!(f, "{}", transactions::describe(spec))?;
        }
        for topic in &self.consumers {
            writeln!(f, "consumer of {topic}")?;
        }
        for topic in &self.readers {
            writeln!(f, "consumer of what is committed in {topic}")?;
        }
        for w in &self.watchers {
            writeln!(f, "watcher of {} every {:?}", w.topic, w.interval)?;
        }
        for m in &self.members {
            writeln!(f, "{m}")?;
        }
        let weights: Vec<_> = self.weights.iter().map(|(kind, weight)| format!("{kind}×{weight}")).collect();
        writeln!(
            f,
            "faults about every {:?}: {}",
            self.pace,
            if weights.is_empty() { "none".to_owned() } else { weights.join(" ") }
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_seeds_are_read_or_refused_with_a_reason() {
        assert_eq!("1..20".parse(), Ok(Range { first: 1, last: 20 }));
        assert_eq!("3..=4".parse(), Ok(Range { first: 3, last: 4 }));
        assert_eq!("7".parse(), Ok(Range { first: 7, last: 7 }));
        let error = "20..1".parse::<Range>().unwrap_err();
        assert_eq!(error.to_string(), "the seeds 20..1 are upside down; did you mean 1..20?");
        assert!("a..b".parse::<Range>().unwrap_err().to_string().contains("1..1000"));
        assert!("defualt".parse::<Profile>().unwrap_err().to_string().contains("default, replication"));
    }

    #[test]
    fn brokers_start_with_what_is_drawn() {
        for seed in 0..100 {
            let config = Options::draw(seed, &Wanted::default()).config;
            assert!(klamm_node::config::BrokerConfig::new(config.clone()).is_ok(), "{config:?}");
        }
    }

    #[test]
    fn a_seed_always_draws_the_same() {
        let wanted = Wanted::default();
        assert_eq!(Options::draw(7, &wanted), Options::draw(7, &wanted));
        assert_ne!(Options::draw(7, &wanted).to_string(), Options::draw(8, &wanted).to_string());
    }
}
