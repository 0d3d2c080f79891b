//! `klamm topics`: list, describe, create and delete topics.

use clap::{Args, Subcommand};
use kafka_protocol::protocol::StrBytes;
use klamm_wire::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use klamm_wire::messages::{CreateTopicsRequest, DeleteTopicsRequest, TopicName};

use crate::client::{Bootstrap, Cluster, check};
use crate::errors::Mistake;
use crate::output;

/// List, describe, create and delete topics of any Kafka cluster
#[derive(Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    bootstrap: Bootstrap,
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Subcommand)]
enum Action {
    /// One line for each topic; the default
    List {
        /// Also Kafka's own topics
        #[arg(long)]
        internal: bool,
    },
    /// Leader, replicas, in-sync replicas and offsets of each partition
    Describe {
        /// The topics; all when none is named
        names: Vec<String>,
    },
    /// Create a topic: NAME, NAME:PARTITIONS or NAME:PARTITIONS:REPLICATION
    Create {
        /// The topic
        spec: String,
        /// A topic config, as key=value; can be repeated
        #[arg(long, value_name = "KEY=VALUE")]
        config: Vec<String>,
    },
    /// Delete topics
    Delete {
        /// The topics
        #[arg(required = true)]
        names: Vec<String>,
    },
}

pub(crate) fn run(arguments: Arguments) -> anyhow::Result<()> {
    let mut cluster = arguments.bootstrap.connect()?;
    match arguments.action.unwrap_or(Action::List { internal: false }) {
        Action::List { internal } => list(&mut cluster, internal),
        Action::Describe { names } => describe(&mut cluster, names),
        Action::Create { spec, config } => create(&mut cluster, &spec, &config),
        Action::Delete { names } => delete(&mut cluster, names),
    }
}

fn list(cluster: &mut Cluster, internal: bool) -> anyhow::Result<()> {
    let metadata = cluster.metadata(None, false)?;
    let mut rows: Vec<_> = metadata
        .topics
        .iter()
        .filter(|topic| internal || !topic.is_internal)
        .map(|topic| {
            let replicas = topic.partitions.iter().map(|p| p.replica_nodes.len()).max().unwrap_or(0);
            let under = topic.partitions.iter().filter(|p| p.isr_nodes.len() < p.replica_nodes.len()).count();
            let name = topic.name.as_ref().map_or(String::new(), |name| name.0.to_string());
            vec![name, topic.partitions.len().to_string(), replicas.to_string(), under.to_string()]
        })
        .collect();
    rows.sort();
    output::table(&["TOPIC", "PARTITIONS", "REPLICAS", "UNDER-REPLICATED"], rows)
}

fn describe(cluster: &mut Cluster, names: Vec<String>) -> anyhow::Result<()> {
    let wanted = if names.is_empty() { None } else { Some(names) };
    let mut topics = cluster.metadata(wanted, false)?.topics;
    topics.sort_by(|a, b| a.name.cmp(&b.name));
    let mut rows = Vec::new();
    for topic in topics {
        let name = topic.name.as_ref().map_or(String::new(), |name| name.0.to_string());
        check(topic.error_code, None).map_err(|error| error.context(format!("topic {name}")))?;
        let known = cluster.topic(&name, false)?.partitions;
        let led: Vec<_> = known.into_iter().filter(|partition| partition.leader >= 0).collect();
        let starts = cluster.offsets(&name, &led, crate::client::Position::Earliest)?;
        let ends = cluster.offsets(&name, &led, crate::client::Position::Latest)?;
        let mut partitions = topic.partitions;
        partitions.sort_by_key(|partition| partition.partition_index);
        for partition in partitions {
            let index = partition.partition_index;
            let offset = |of: &std::collections::BTreeMap<i32, i64>| {
                of.get(&index).map_or_else(|| "-".to_owned(), i64::to_string)
            };
            let leader =
                if partition.leader_id.0 < 0 { "none".to_owned() } else { partition.leader_id.0.to_string() };
            rows.push(vec![
                name.clone(),
                index.to_string(),
                leader,
                partition.leader_epoch.to_string(),
                output::join(partition.replica_nodes.iter().map(|id| id.0)),
                output::join(partition.isr_nodes.iter().map(|id| id.0)),
                offset(&starts),
                offset(&ends),
            ]);
        }
    }
    output::table(&["TOPIC", "PARTITION", "LEADER", "EPOCH", "REPLICAS", "ISR", "START", "END"], rows)
}

fn create(cluster: &mut Cluster, spec: &str, config: &[String]) -> anyhow::Result<()> {
    let brokers = u16::try_from(cluster.broker_ids()?.len()).unwrap_or(u16::MAX);
    let spec = crate::serve::topic(spec, brokers)?;
    let configs = config
        .iter()
        .map(|pair| match pair.split_once('=') {
            Some((name, value)) => Ok(CreatableTopicConfig::default()
                .with_name(StrBytes::from_string(name.trim().to_owned()))
                .with_value(Some(StrBytes::from_string(value.trim().to_owned())))),
            None => Err(Mistake(format!("--config takes key=value, not {pair:?}"))),
        })
        .collect::<Result<Vec<_>, _>>()?;
    let topic = CreatableTopic::default()
        .with_name(TopicName(StrBytes::from_string(spec.name)))
        .with_num_partitions(spec.partitions)
        .with_replication_factor(spec.replication)
        .with_configs(configs);
    let request = CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(30_000);
    for topic in cluster.ask(7, &request)?.topics {
        check(topic.error_code, topic.error_message.as_deref())?;
        output::line(&format!(
            "created {}: {} partitions, {} replicas",
            topic.name.0, topic.num_partitions, topic.replication_factor
        ))?;
    }
    Ok(())
}

fn delete(cluster: &mut Cluster, names: Vec<String>) -> anyhow::Result<()> {
    let names = names.into_iter().map(|name| TopicName(StrBytes::from_string(name))).collect();
    let request = DeleteTopicsRequest::default().with_topic_names(names).with_timeout_ms(30_000);
    for topic in cluster.ask(5, &request)?.responses {
        let name = topic.name.map_or(String::new(), |name| name.0.to_string());
        check(topic.error_code, topic.error_message.as_deref())
            .map_err(|error| error.context(format!("topic {name}")))?;
        output::line(&format!("deleted {name}"))?;
    }
    Ok(())
}
