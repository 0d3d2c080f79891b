//! ElectLeaders, while every broker is up.

use klamm_wire::messages::ElectLeadersRequest;
use klamm_wire::messages::elect_leaders_request::TopicPartitions;

use super::reassignments::{Partitions, in_earnest, state, until};
use crate::Session;
use crate::session::topic;

const PREFERRED: i8 = 0;
const UNCLEAN: i8 = 1;

fn elect(election_type: i8, topics: Option<&[Partitions<'_>]>) -> ElectLeadersRequest {
    let topics = topics.map(|topics| {
        let topics = topics.iter().map(|(name, partitions)| {
            TopicPartitions::default().with_topic(topic(name)).with_partitions(partitions.to_vec())
        });
        topics.collect()
    });
    ElectLeadersRequest::default()
        .with_election_type(election_type)
        .with_topic_partitions(topics)
        .with_timeout_ms(30_000)
}

pub(super) fn run(s: &mut Session) -> anyhow::Result<()> {
    s.create("elect-a", &[&[1, 2, 3], &[2, 3, 1]], &[])?;
    let cases: &[(&str, &[Partitions<'_>])] = &[
        ("the preferred leader leads", &[("elect-a", &[0, 1])]),
        ("an unknown topic", &[("elect-none", &[0])]),
        ("a name that no topic may have", &[("a b", &[0]), ("", &[0])]),
        ("an unknown partition", &[("elect-a", &[0, 2, -1])]),
        ("no partitions", &[("elect-a", &[])]),
        ("a partition twice", &[("elect-a", &[0, 0])]),
        ("a topic twice", &[("elect-a", &[0]), ("elect-a", &[1])]),
        ("no topics", &[]),
    ];
    for (label, topics) in cases {
        s.all(label, |_| elect(PREFERRED, Some(topics)))?;
        s.each(&format!("unclean: {label}"), 1..=2, |_| elect(UNCLEAN, Some(topics)))?;
    }
    for election_type in [2, -1, 127, -128] {
        let label = format!("an election of type {election_type}");
        s.each(&label, 1..=2, |_| elect(election_type, Some(&[("elect-a", &[0]), ("elect-none", &[0])])))?;
        s.each(&format!("{label} in no topics"), 1..=2, |_| elect(election_type, Some(&[])))?;
        s.each(&format!("{label} everywhere"), 1..=2, |_| elect(election_type, None))?;
    }
    for timeout in [0, -1] {
        let request = elect(PREFERRED, Some(&[("elect-a", &[0])])).with_timeout_ms(timeout);
        s.at(&format!("a timeout of {timeout}"), 2, request)?;
        let request = elect(PREFERRED, Some(&[])).with_timeout_ms(timeout);
        s.at(&format!("a timeout of {timeout}, for nothing"), 2, request)?;
        let request = elect(PREFERRED, None).with_timeout_ms(timeout);
        s.at(&format!("a timeout of {timeout}, for everything"), 2, request)?;
    }
    s.at("cut off in the middle", 2, elect(PREFERRED, Some(&[("elect-a", &[i32::MAX, i32::MIN])])))?;

    // Another order of the same replicas takes effect at once and leaves the leader where it is.
    s.quiet(0, &in_earnest(&[("elect-a", 0, Some(&[2, 1, 3])), ("elect-a", 1, Some(&[3, 1, 2]))]))?;
    until(s, "elect-a", 0, "leader 1 epoch 0 replicas [2, 1, 3] isr [1, 2, 3]")?;
    s.at("unclean, where there is a leader", 2, elect(UNCLEAN, Some(&[("elect-a", &[0, 1])])))?;
    s.at("in earnest", 2, elect(PREFERRED, Some(&[("elect-a", &[0])])))?;
    until(s, "elect-a", 0, "leader 2 epoch 1 replicas [2, 1, 3] isr [1, 2, 3]")?;
    s.at("in earnest, once more", 2, elect(PREFERRED, Some(&[("elect-a", &[0])])))?;
    let mut everywhere = s.quiet(2, &elect(PREFERRED, None))?;
    // There are topics of other subjects, and those where nothing was done are named too.
    everywhere.replica_election_results.retain(|topic| &*topic.topic.0 == "elect-a");
    s.note("everywhere", &everywhere);
    until(s, "elect-a", 1, "leader 3 epoch 1 replicas [3, 1, 2] isr [1, 2, 3]")?;
    let both = (state(s, "elect-a", 0), state(s, "elect-a", 1));
    s.note("in the end", &both);
    Ok(())
}
