//! AlterPartitionReassignments and ListPartitionReassignments; the throttles that keep a move from ending.

use anyhow::Context as _;
use klamm_wire::messages::alter_partition_reassignments_request::{ReassignablePartition, ReassignableTopic};
use klamm_wire::messages::describe_configs_request::DescribeConfigsResource;
use klamm_wire::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use klamm_wire::messages::list_partition_reassignments_request::ListPartitionReassignmentsTopics;
use klamm_wire::messages::{
    AlterPartitionReassignmentsRequest, BrokerId, DescribeConfigsRequest, IncrementalAlterConfigsRequest,
    ListPartitionReassignmentsRequest, UnregisterBrokerRequest,
};
use klamm_wire::record::builder::BatchBuilder;

use super::records::{THEN, To};
use crate::Session;
use crate::session::{text, topic};

const TOPIC: i8 = 2;
const BROKER: i8 = 4;

/// A topic, and some of its partitions.
pub(super) type Partitions<'a> = (&'a str, &'a [i32]);

/// A topic, a partition, and where its replicas shall be; `None` cancels.
type Target<'a> = (&'a str, i32, Option<&'a [i32]>);

pub(super) fn in_earnest(targets: &[Target<'_>]) -> AlterPartitionReassignmentsRequest {
    let topics = targets.iter().map(|(name, index, replicas)| {
        let replicas = replicas.map(|ids| ids.iter().copied().map(BrokerId).collect());
        let partition = ReassignablePartition::default().with_partition_index(*index).with_replicas(replicas);
        ReassignableTopic::default().with_name(topic(name)).with_partitions(vec![partition])
    });
    AlterPartitionReassignmentsRequest::default().with_timeout_ms(30_000).with_topics(topics.collect())
}

fn list(topics: Option<&[Partitions<'_>]>) -> ListPartitionReassignmentsRequest {
    let topics = topics.map(|topics| {
        let asked = topics.iter().map(|(name, indexes)| {
            ListPartitionReassignmentsTopics::default()
                .with_name(topic(name))
                .with_partition_indexes(indexes.to_vec())
        });
        asked.collect()
    });
    ListPartitionReassignmentsRequest::default().with_timeout_ms(30_000).with_topics(topics)
}

/// One partition as a broker's metadata has it: leader, epoch, replicas, and the ISR in order of ids.
pub(super) fn state(s: &mut Session, name: &str, index: i32) -> Option<String> {
    let metadata = s.metadata(name).ok()?;
    let partitions = &metadata.topics.first()?.partitions;
    let partition = partitions.iter().find(|partition| partition.partition_index == index)?;
    let ids = |list: &[BrokerId]| -> Vec<i32> { list.iter().map(|id| id.0).collect() };
    let mut isr = ids(&partition.isr_nodes);
    isr.sort_unstable();
    Some(format!(
        "leader {} epoch {} replicas {:?} isr {isr:?}",
        partition.leader_id.0,
        partition.leader_epoch,
        ids(&partition.replica_nodes)
    ))
}

/// Waits until every broker's metadata has a partition so.
pub(super) fn until(s: &mut Session, name: &str, index: i32, wanted: &str) -> anyhow::Result<()> {
    for broker in [2, 3, 1] {
        s.on(broker);
        let mut last = None;
        klamm_tests::wait_until(klamm_tests::PATIENCE, || {
            last = state(s, name, index);
            (last.as_deref() == Some(wanted)).then_some(())
        })
        .with_context(|| format!("{name}-{index} at {broker} is {last:?}, not {wanted}"))?;
    }
    Ok(())
}

fn set(
    s: &mut Session,
    kind: i8,
    name: &str,
    key: &str,
    value: Option<&str>,
) -> IncrementalAlterConfigsRequest {
    if let Ok(broker) = name.parse() {
        s.on(broker);
    }
    let config = AlterableConfig::default()
        .with_name(text(key))
        .with_config_operation(i8::from(value.is_none()))
        .with_value(value.map(text));
    let resource = AlterConfigsResource::default()
        .with_resource_type(kind)
        .with_resource_name(text(name))
        .with_configs(vec![config]);
    IncrementalAlterConfigsRequest::default().with_resources(vec![resource])
}

pub(super) fn run(s: &mut Session) -> anyhow::Result<()> {
    s.create("move-a", &[&[1, 2], &[2, 3]], &[])?;
    refused(s)?;
    for timeout in [0, -1] {
        let request = in_earnest(&[("move-a", 0, Some(&[2, 1]))]).with_timeout_ms(timeout);
        s.at(&format!("a timeout of {timeout}"), 1, request)?;
        s.at(&format!("a timeout of {timeout}, for nothing"), 1, in_earnest(&[]).with_timeout_ms(timeout))?;
        s.at(&format!("a list with a timeout of {timeout}"), 0, list(None).with_timeout_ms(timeout))?;
    }
    moved(s)?;
    under_way(s)?;
    s.at("unregister a broker that is not there", 0, unregister(9))?;
    s.at("unregister a broker that cannot be", 0, unregister(-1))?;
    Ok(())
}

fn unregister(id: i32) -> UnregisterBrokerRequest {
    UnregisterBrokerRequest::default().with_broker_id(BrokerId(id))
}

/// What changes nothing.
fn refused(s: &mut Session) -> anyhow::Result<()> {
    let cases: &[(&str, &[Target<'_>])] = &[
        ("nothing", &[]),
        ("an unknown topic", &[("move-none", 0, Some(&[1]))]),
        ("names that no topic may have", &[("a b", 0, Some(&[1])), ("", 0, None)]),
        ("an unknown partition", &[("move-a", 2, Some(&[1, 2])), ("move-a", -1, Some(&[1, 2]))]),
        ("no replicas", &[("move-a", 0, Some(&[]))]),
        ("an unknown broker", &[("move-a", 0, Some(&[1, 9]))]),
        ("a negative broker", &[("move-a", 0, Some(&[1, -1]))]),
        ("a broker twice", &[("move-a", 0, Some(&[1, 1]))]),
        ("as it is", &[("move-a", 0, Some(&[1, 2]))]),
        ("cancel what is not under way", &[("move-a", 0, None)]),
        ("cancel in an unknown topic", &[("move-none", 0, None)]),
        ("cancel in an unknown partition", &[("move-a", 7, None)]),
    ];
    for (label, targets) in cases {
        s.all(label, |_| in_earnest(targets))?;
    }
    for replicas in [&[1][..], &[1, 2, 3], &[9], &[]] {
        let request = in_earnest(&[("move-a", 0, Some(replicas))]);
        let label = format!("{replicas:?}, the replication factor guarded");
        s.at(&label, 1, request.with_allow_replication_factor_change(false))?;
    }
    let lists: &[(&str, Option<&[Partitions<'_>]>)] = &[
        ("list: none", None),
        ("list: none of these", Some(&[("move-a", &[0, 1])])),
        ("list: no topics", Some(&[])),
        ("list: unknown ones", Some(&[("move-none", &[0]), ("move-a", &[9, -1]), ("a b", &[0])])),
    ];
    for (label, topics) in lists {
        s.all(label, |_| list(*topics))?;
    }
    Ok(())
}

/// Moves that have nothing to wait for.
fn moved(s: &mut Session) -> anyhow::Result<()> {
    let steps: &[(&[i32], &str)] = &[
        (&[2, 1], "leader 1 epoch 0 replicas [2, 1] isr [1, 2]"),
        (&[1, 3], "leader 1 epoch 1 replicas [1, 3] isr [1, 3]"),
        (&[3, 2], "leader 3 epoch 2 replicas [3, 2] isr [2, 3]"),
        (&[3, 2, 1], "leader 3 epoch 2 replicas [3, 2, 1] isr [1, 2, 3]"),
        (&[2], "leader 2 epoch 3 replicas [2] isr [2]"),
    ];
    for (replicas, after) in steps {
        s.at(&format!("to {replicas:?}"), 1, in_earnest(&[("move-a", 0, Some(replicas))]))?;
        until(s, "move-a", 0, after)?;
    }
    s.at("one good, one bad", 1, in_earnest(&[("move-a", 1, Some(&[3, 2])), ("move-a", 0, Some(&[9]))]))?;
    until(s, "move-a", 1, "leader 2 epoch 0 replicas [3, 2] isr [2, 3]")?;
    Ok(())
}

/// A move that cannot end: there is more to send than one fetch holds, and a byte a second to send it with.
fn under_way(s: &mut Session) -> anyhow::Result<()> {
    const LEADER: &str = "leader.replication.throttled.rate";
    const FOLLOWER: &str = "follower.replication.throttled.rate";
    let id = s.create("move-b", &[&[1, 2]], &[])?;
    s.on(1);
    for _ in 0..4 {
        let mut batch = BatchBuilder::new();
        batch.push(THEN, None, Some(&[b'v'; 700_000]), &[]);
        let records = batch.build().context("a batch")?.to_bytes();
        To("move-b", id).fill(s, 0, records)?;
    }
    for (kind, name, key, value) in [
        (TOPIC, "move-b", "leader.replication.throttled.replicas", Some("0:1,0:2")),
        (TOPIC, "move-b", "follower.replication.throttled.replicas", Some("*")),
        (BROKER, "1", LEADER, Some("1")),
        (BROKER, "3", FOLLOWER, Some("1")),
        (BROKER, "1", LEADER, Some("-1")),
        (BROKER, "1", LEADER, Some("x")),
        (BROKER, "", FOLLOWER, Some("9223372036854775807")),
    ] {
        let request = set(s, kind, name, key, value);
        s.at(&format!("{key} of {name:?} to {value:?}"), 1, request)?;
    }
    // Who knows this topic knows what was set before.
    s.create("move-c", &[&[1]], &[])?;
    for name in ["1", ""] {
        let resource = DescribeConfigsResource::default()
            .with_resource_type(BROKER)
            .with_resource_name(text(name))
            .with_configuration_keys(Some([LEADER, FOLLOWER].map(text).to_vec()));
        let request =
            DescribeConfigsRequest::default().with_resources(vec![resource]).with_include_synonyms(true);
        s.on(1).at(&format!("the rates of {name:?}"), 4, request)?;
    }
    s.on(2);
    s.at("to [3, 2], throttled", 1, in_earnest(&[("move-b", 0, Some(&[3, 2]))]))?;
    until(s, "move-b", 0, "leader 1 epoch 0 replicas [3, 2, 1] isr [1, 2]")?;
    s.at("list: one of all", 0, list(None))?;
    s.at("list: the one", 0, list(Some(&[("move-b", &[0]), ("move-a", &[0])])))?;
    for (label, replicas, guarded) in [
        ("another target of three", &[3, 2, 1][..], true),
        ("the same target", &[3, 2], true),
        ("another target", &[2, 3], false),
    ] {
        let request = in_earnest(&[("move-b", 0, Some(replicas))]);
        s.at(label, 1, request.with_allow_replication_factor_change(!guarded))?;
        s.at(&format!("list: after {label}"), 0, list(None))?;
    }
    s.at("cancel", 1, in_earnest(&[("move-b", 0, None)]))?;
    s.at("list: after it was cancelled", 0, list(None))?;
    until(s, "move-b", 0, "leader 1 epoch 1 replicas [2, 1] isr [1, 2]")?;
    for (name, key) in [("1", LEADER), ("3", FOLLOWER), ("", FOLLOWER)] {
        let request = set(s, BROKER, name, key, None);
        s.at(&format!("{key} of {name:?} deleted"), 1, request)?;
    }
    Ok(())
}
