//! The run's one group: who is in it, with which protocol, and from when until when.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use klamm_node::Rng;
use klamm_world::scripted::{
    Assignor, ClientSettings, GroupProtocol, GroupSettings, OffsetReset, ScriptedConsumerSpec,
};

use crate::options::{Options, Topic};

/// A member of the run's one group, which reads and commits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The topic.
    pub topic: String,
    /// Whether it is a static member.
    pub is_static: bool,
    /// Whether it speaks the consumer protocol (KIP-848).
    pub modern: bool,
    /// Whether it gives up only what it has to (cooperative-sticky, not range): all members that speak the classic protocol, or none.
    pub cooperative: bool,
    /// `session.timeout.ms`, where it speaks the classic protocol.
    pub session: Duration,
    /// When it joins, from the first fault on.
    pub joins: Duration,
    /// When it goes; `None` for never.
    pub leaves: Option<Duration>,
    /// Whether it goes without a word.
    pub vanishes: bool,
}

impl Member {
    /// The member as a client.
    pub(crate) fn spec(&self, i: usize) -> ScriptedConsumerSpec {
        let assignor = if self.cooperative { Assignor::CooperativeSticky } else { Assignor::Range };
        let group = GroupSettings {
            protocol: if self.modern { GroupProtocol::Consumer } else { GroupProtocol::Classic },
            instance_id: self.is_static.then(|| format!("instance-{i}").into()),
            session_timeout: self.session,
            heartbeat_interval: self.session / 4,
            assignors: vec![assignor],
            ..GroupSettings::new("g")
        };
        ScriptedConsumerSpec {
            client: ClientSettings::named(format!("member-{i}")),
            auto_offset_reset: OffsetReset::Earliest,
            group: Some(Box::new(group)),
            ..ScriptedConsumerSpec::default()
        }
    }
}

impl Options {
    pub(crate) fn draw_members(rng: &mut Rng, topics: &[Topic], duration: Duration) -> Vec<Member> {
        let count = 1 + rng.below(4);
        let (topic, cooperative) = (&topics[rng.below(topics.len() as u64) as usize], rng.chance(0.4));
        let session = Duration::from_secs([6, 10][rng.below(2) as usize]);
        // All classic, all modern, or some of each: then the group changes its protocol as they come and go.
        let modern = [0.0, 1.0, 0.5][rng.below(3) as usize];
        let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).max(1);
        let some_time = |rng: &mut Rng| Duration::from_millis(rng.below(millis));
        let member = |_| {
            let joins = if rng.chance(0.5) { Duration::ZERO } else { some_time(rng) };
            Member {
                topic: topic.name.clone(),
                is_static: rng.chance(0.3),
                modern: rng.chance(modern),
                cooperative,
                session,
                joins,
                leaves: rng.chance(0.3).then(|| joins + some_time(rng)).filter(|at| *at < duration),
                vanishes: rng.chance(0.5),
            }
        };
        (0..count).map(member).collect()
    }

    /// What coordinators ask of members of the consumer protocol.
    pub(crate) fn draw_group_config(rng: &mut Rng, config: &mut BTreeMap<String, String>) {
        let mut set = |key: &str, value: u64| config.insert(key.to_owned(), value.to_string());
        set("group.consumer.min.session.timeout.ms", 6_000);
        // Members' sessions are over, and what follows from that is replicated, before everything has to be quiet.
        set("group.consumer.session.timeout.ms", [10_000, 30_000][rng.below(2) as usize]);
        set("group.consumer.min.heartbeat.interval.ms", 1_000);
        set("group.consumer.heartbeat.interval.ms", [2_000, 5_000][rng.below(2) as usize]);
        set("group.consumer.assignment.interval.ms", [0, 1_000][rng.below(2) as usize]);
    }
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { topic, is_static, modern, cooperative, session, joins, leaves, vanishes } = self;
        write!(f, "member of a group, of {topic}, ")?;
        match (modern, cooperative) {
            (true, _) => f.write_str("consumer protocol")?,
            (false, true) => write!(f, "cooperative, session {session:?}")?,
            (false, false) => write!(f, "eager, session {session:?}")?,
        }
        if *is_static {
            f.write_str(", static")?;
        }
        if !joins.is_zero() {
            write!(f, ", from {joins:?}")?;
        }
        if let Some(leaves) = leaves {
            write!(f, ", {} at {leaves:?}", if *vanishes { "vanishes" } else { "leaves" })?;
        }
        Ok(())
    }
}
