//! `klamm groups`: consumer groups, their members and how far behind they are.

use std::collections::BTreeMap;

use bytes::Buf as _;
use clap::{Args, Subcommand};
use kafka_protocol::protocol::{Decodable as _, StrBytes};
use klamm_wire::messages::consumer_group_describe_response::DescribedGroup as ConsumerGroup;
use klamm_wire::messages::describe_groups_response::DescribedGroup;
use klamm_wire::messages::{
    ConsumerGroupDescribeRequest, ConsumerProtocolAssignment, DeleteGroupsRequest, DescribeGroupsRequest,
    GroupId, ListGroupsRequest, OffsetFetchRequest,
};

use crate::client::{Bootstrap, Cluster, Connection, Position, check};
use crate::output;

/// List, describe and delete consumer groups of any Kafka cluster
#[derive(Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    bootstrap: Bootstrap,
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Subcommand)]
enum Action {
    /// One line for each group; the default
    List,
    /// Who reads what, and how far behind
    Describe {
        /// The group
        group: String,
    },
    /// Delete groups that have no members
    Delete {
        /// The groups
        #[arg(required = true)]
        groups: Vec<String>,
    },
}

pub(crate) fn run(arguments: Arguments) -> anyhow::Result<()> {
    let mut cluster = arguments.bootstrap.connect()?;
    match arguments.action.unwrap_or(Action::List) {
        Action::List => list(&mut cluster),
        Action::Describe { group } => describe(&mut cluster, &group),
        Action::Delete { groups } => delete(&mut cluster, &groups),
    }
}

fn list(cluster: &mut Cluster) -> anyhow::Result<()> {
    let mut rows = Vec::new();
    for broker in cluster.broker_ids()? {
        // Types came with version 5; before, every group was a classic one.
        let response = cluster.broker(broker)?.ask(5, &ListGroupsRequest::default())?;
        check(response.error_code, None)?;
        for group in response.groups {
            rows.push(vec![
                group.group_id.to_string(),
                if group.group_type.is_empty() { "classic".to_owned() } else { group.group_type.to_string() },
                group.group_state.to_string(),
                group.protocol_type.to_string(),
                broker.to_string(),
            ]);
        }
    }
    rows.sort();
    output::table(&["GROUP", "TYPE", "STATE", "PROTOCOL", "COORDINATOR"], rows)
}

fn describe(cluster: &mut Cluster, name: &str) -> anyhow::Result<()> {
    let coordinator = cluster.coordinator(name)?;
    let id = GroupId(StrBytes::from_string(name.to_owned()));
    let request = DescribeGroupsRequest::default().with_groups(vec![id.clone()]);
    let described = cluster.broker(coordinator)?.ask(5, &request)?.groups.into_iter().next();
    let Some(group) = described else { anyhow::bail!("the coordinator says nothing of group {name}") };
    check(group.error_code, group.error_message.as_deref())?;
    // A group of another type is dead to DescribeGroups.
    let consumer = match group.group_state.as_str() {
        "Dead" => describe_consumer(cluster.broker(coordinator)?, &id)?,
        _ => None,
    };
    let request = OffsetFetchRequest::default().with_group_id(id).with_topics(None);
    let committed = cluster.broker(coordinator)?.ask(7, &request)?;
    check(committed.error_code, None)?;
    let (what, mut owners) = match &consumer {
        None => (format!("classic, {}, {} members", group.group_state, group.members.len()), owners(&group)),
        Some(group) => (
            format!(
                "consumer, {}, {} members, epoch {}, target of epoch {}, {}",
                group.group_state,
                group.members.len(),
                group.group_epoch,
                group.assignment_epoch,
                group.assignor_name
            ),
            consumer_owners(group),
        ),
    };
    output::line(&format!("{name}: {what}, coordinator {coordinator}"))?;
    let mut rows = Vec::new();
    for topic in committed.topics {
        let topic_name = topic.name.to_string();
        let known = cluster.topic(&topic_name, false).map(|topic| topic.partitions).unwrap_or_default();
        let ends = cluster.offsets(&topic_name, &known, Position::Latest).unwrap_or_default();
        for partition in topic.partitions {
            let index = partition.partition_index;
            let owner = owners.remove(&(topic_name.clone(), index)).unwrap_or_default();
            let end = ends.get(&index).copied();
            let lag = end.map(|end| (end - partition.committed_offset).max(0).to_string());
            rows.push(vec![
                topic_name.clone(),
                index.to_string(),
                partition.committed_offset.to_string(),
                end.map_or_else(|| "-".to_owned(), |end| end.to_string()),
                lag.unwrap_or_else(|| "-".to_owned()),
                owner,
            ]);
        }
    }
    for ((topic, partition), owner) in owners {
        rows.push(vec![topic, partition.to_string(), "-".to_owned(), "-".to_owned(), "-".to_owned(), owner]);
    }
    rows.sort_by(|a, b| (&a[0], a[1].parse::<i32>().ok()).cmp(&(&b[0], b[1].parse::<i32>().ok())));
    output::table(&["TOPIC", "PARTITION", "COMMITTED", "END", "LAG", "MEMBER"], rows)
}

/// A group of the consumer protocol; `None` where there is none, or the broker does not know of any.
fn describe_consumer(broker: &mut Connection, id: &GroupId) -> anyhow::Result<Option<ConsumerGroup>> {
    if broker.version::<ConsumerGroupDescribeRequest>(0).is_err() {
        return Ok(None);
    }
    let request = ConsumerGroupDescribeRequest::default().with_group_ids(vec![id.clone()]);
    let described = broker.ask(0, &request)?.groups.into_iter().next();
    Ok(described.filter(|group| group.error_code == 0))
}

/// Which member of a consumer group owns which partition: its epoch is shown, for it may be on its way to another.
fn consumer_owners(group: &ConsumerGroup) -> BTreeMap<(String, i32), String> {
    let mut owners = BTreeMap::new();
    for member in &group.members {
        let who = format!("{} {} epoch {}", member.client_id, member.client_host, member.member_epoch);
        for topic in &member.assignment.topic_partitions {
            for partition in &topic.partitions {
                owners.insert((topic.topic_name.to_string(), *partition), who.clone());
            }
        }
    }
    owners
}

/// Which member owns which partition.
fn owners(group: &DescribedGroup) -> BTreeMap<(String, i32), String> {
    let mut owners = BTreeMap::new();
    for member in &group.members {
        let mut bytes = member.member_assignment.clone();
        if bytes.remaining() < 2 {
            continue;
        }
        let version = bytes.get_i16().clamp(0, 3);
        let Ok(assignment) = ConsumerProtocolAssignment::decode(&mut bytes, version) else { continue };
        let who = format!("{} {}", member.client_id, member.client_host);
        for topic in assignment.assigned_partitions {
            for partition in topic.partitions {
                owners.insert((topic.topic.to_string(), partition), who.clone());
            }
        }
    }
    owners
}

fn delete(cluster: &mut Cluster, groups: &[String]) -> anyhow::Result<()> {
    for group in groups {
        let coordinator = cluster.coordinator(group)?;
        let id = GroupId(StrBytes::from_string(group.clone()));
        let request = DeleteGroupsRequest::default().with_groups_names(vec![id]);
        for result in cluster.broker(coordinator)?.ask(2, &request)?.results {
            check(result.error_code, None).map_err(|error| error.context(format!("group {group}")))?;
        }
        output::line(&format!("deleted {group}"))?;
    }
    Ok(())
}
