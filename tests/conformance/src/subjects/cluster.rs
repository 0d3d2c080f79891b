//! DescribeCluster, DescribeLogDirs.

use klamm_wire::messages::describe_log_dirs_request::DescribableLogDirTopic;
use klamm_wire::messages::{DescribeClusterRequest, DescribeLogDirsRequest};

use crate::Session;
use crate::session::topic;

pub(super) fn run(s: &mut Session) -> anyhow::Result<()> {
    s.all("the brokers", |_| DescribeClusterRequest::default())?;
    s.all("with authorized operations", |_| {
        DescribeClusterRequest::default().with_include_cluster_authorized_operations(true)
    })?;
    s.each("the controllers", 1..=2, |_| DescribeClusterRequest::default().with_endpoint_type(2))?;
    s.each("an unknown type of endpoint", 1..=2, |_| {
        DescribeClusterRequest::default().with_endpoint_type(3)
    })?;
    s.each("fenced brokers too", 2..=2, |_| {
        DescribeClusterRequest::default().with_include_fenced_brokers(true)
    })?;

    s.create("cluster-a", &[&[1, 2], &[3, 1], &[2, 3]], &[])?;
    let asked = |name: &str, partitions: &[i32]| {
        DescribableLogDirTopic::default().with_topic(topic(name)).with_partitions(partitions.to_vec())
    };
    s.on(1);
    s.all("the log directory's partitions", |_| {
        DescribeLogDirsRequest::default().with_topics(Some(vec![asked("cluster-a", &[0, 1, 2, 9])]))
    })?;
    s.all("partitions of no topic", |_| {
        DescribeLogDirsRequest::default().with_topics(Some(vec![asked("cluster-none", &[0])]))
    })?;
    s.all("no partitions", |_| DescribeLogDirsRequest::default().with_topics(Some(vec![])))?;
    let mut all = s.quiet(4, &DescribeLogDirsRequest::default().with_topics(None))?;
    for result in &mut all.results {
        result.topics.retain(|found| &*found.name.0 == "cluster-a");
    }
    s.note("every partition", &all);
    Ok(())
}
