//! CreatePartitions.

use klamm_wire::messages::create_partitions_request::{CreatePartitionsAssignment, CreatePartitionsTopic};
use klamm_wire::messages::{BrokerId, CreatePartitionsRequest};

use crate::Session;
use crate::session::topic;

fn to(name: &str, count: i32, assignments: Option<&[&[i32]]>) -> CreatePartitionsTopic {
    let assignments = assignments.map(|partitions| {
        partitions
            .iter()
            .map(|brokers| {
                CreatePartitionsAssignment::default()
                    .with_broker_ids(brokers.iter().copied().map(BrokerId).collect())
            })
            .collect()
    });
    CreatePartitionsTopic::default().with_name(topic(name)).with_count(count).with_assignments(assignments)
}

fn validate(topics: Vec<CreatePartitionsTopic>) -> CreatePartitionsRequest {
    CreatePartitionsRequest::default().with_topics(topics).with_timeout_ms(30_000).with_validate_only(true)
}

pub(super) fn run(s: &mut Session) -> anyhow::Result<()> {
    s.create("more-a", &[&[1, 2], &[2, 3]], &[])?;
    for count in [3, 2, 1, 0, -1, i32::MIN] {
        s.all(&format!("from 2 to {count}"), |_| validate(vec![to("more-a", count, None)]))?;
    }
    s.all("an unknown topic", |_| validate(vec![to("more-none", 3, None)]))?;
    s.all("an invalid name", |_| validate(vec![to("a b", 3, None)]))?;
    s.all("the same topic twice", |_| validate(vec![to("more-a", 3, None), to("more-a", 4, None)]))?;
    s.all("no topics", |_| validate(vec![]))?;
    let cases: &[(&str, &[&[i32]])] = &[
        ("a good one", &[&[1, 2], &[3, 1]]),
        ("too few", &[&[1, 2]]),
        ("too many", &[&[1, 2], &[1, 2], &[1, 2]]),
        ("none", &[]),
        ("too few replicas", &[&[1], &[2]]),
        ("too many replicas", &[&[1, 2, 3], &[1, 2, 3]]),
        ("unequal", &[&[1, 2], &[2]]),
        ("an unknown broker", &[&[1, 9], &[1, 2]]),
        ("a negative broker", &[&[1, -1], &[1, 2]]),
        ("a broker twice", &[&[1, 1], &[1, 2]]),
        ("no replicas", &[&[], &[]]),
    ];
    for (label, assignments) in cases {
        s.all(&format!("to 4, assigned: {label}"), |_| validate(vec![to("more-a", 4, Some(assignments))]))?;
    }
    s.at("one good, one bad", 3, validate(vec![to("more-a", 5, None), to("more-none", 5, None)]))?;
    s.at("in earnest", 3, validate(vec![to("more-a", 3, Some(&[&[3, 1]]))]).with_validate_only(false))?;
    s.settle("more-a")?;
    s.at("to where it is now", 3, validate(vec![to("more-a", 3, None)]))?;
    s.at("with a timeout of 0", 3, validate(vec![to("more-a", 5, None)]).with_timeout_ms(0))?;
    s.at("a huge number", 3, validate(vec![to("more-a", 20_000, None)]))?;
    Ok(())
}
