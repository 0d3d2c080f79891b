//! The quorum of controllers through Kafka's own eyes: its tools describe it, read its snapshots, and do not notice that the
//! controller failed.

use std::path::Path;

use klamm::blocking::Cluster;
use klamm_tests::serve::Serve;
use klamm_tests::{PATIENCE, java, toolchain, wait_until};
use klamm_world::fault::{Fate, NetworkFault, Peer};
use klamm_world::{Command, FaultId};

const QUORUM: &str = "org.apache.kafka.tools.MetadataQuorumCommand";
const TOPICS: &str = "org.apache.kafka.tools.TopicCommand";

fn tool(class: &str, arguments: &[&str]) -> String {
    let output = java::command().unwrap().arg(class).args(arguments).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{class} {arguments:?}\n{out}\n{err}");
    out.into_owned()
}

fn describe(bootstrap: &str, what: &str) -> String {
    tool(QUORUM, &["--bootstrap-server", bootstrap, "describe", what])
}

/// The value of a line `NAME:   VALUE`.
fn field<'a>(text: &'a str, name: &str) -> &'a str {
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name}:")));
    line.unwrap_or_else(|| panic!("no {name} in\n{text}")).trim()
}

#[test]
fn kafkas_tool_describes_the_quorum() {
    if toolchain::skip("metadata-quorum", &java::PROGRAMS) {
        return;
    }
    for controllers in ["1", "3"] {
        let serve = Serve::start(&["--controllers", controllers, "--brokers", "2"]).unwrap();
        let status = describe(serve.bootstrap(), "--status");
        let leader: i32 = field(&status, "LeaderId").parse().unwrap();
        assert!((100..103).contains(&leader), "{status}");
        assert!(field(&status, "LeaderEpoch").parse::<i32>().unwrap() >= 1, "{status}");
        assert!(field(&status, "HighWatermark").parse::<i64>().unwrap() > 5, "{status}");
        assert_eq!(
            field(&status, "CurrentVoters").matches("\"id\"").count().to_string(),
            controllers,
            "{status}"
        );
        assert_eq!(field(&status, "CurrentObservers").matches("\"id\"").count(), 2, "{status}");

        let replication = describe(serve.bootstrap(), "--replication");
        let rows: Vec<Vec<&str>> =
            replication.lines().skip(1).map(|line| line.split_whitespace().collect()).collect();
        let with = |status: &str| rows.iter().filter(|row| row.last() == Some(&status)).count();
        assert_eq!(with("Leader"), 1, "{replication}");
        assert_eq!((with("Follower") + 1).to_string(), controllers, "{replication}");
        assert_eq!(with("Observer"), 2, "{replication}");
        assert!(
            rows.iter().filter(|row| row.len() > 3).all(|row| row[3] == "0"),
            "nobody lags: {replication}"
        );
    }
}

#[test]
fn a_controller_fails_in_the_middle_of_a_topics_creation() {
    if toolchain::skip("controller-failover", &java::PROGRAMS) {
        return;
    }
    let cluster = klamm::Cluster::builder().brokers(3).controllers(3).start_blocking().unwrap();
    let leader = cluster.active_controller().unwrap();
    let others = [100, 101, 102].map(klamm::NodeId).into_iter().filter(|id| *id != leader);
    // It would resign while a Java program starts.
    cluster.clock().pause();
    // What the leader writes from now on does not get to a majority.
    let groups = vec![vec![Peer::Node(leader)], others.map(Peer::Node).collect()];
    let fault = NetworkFault::Partition { groups, fate: Fate::Lost };
    cluster.command(Command::Inject { id: FaultId(0), fault: Box::new(fault.into()) });
    let uncommitted = |cluster: &Cluster| {
        let quorum = cluster.controller(leader).unwrap().quorum().unwrap();
        quorum.high_watermark < quorum.log_end
    };
    assert!(!uncommitted(&cluster));

    let bootstrap = cluster.bootstrap_servers();
    let mut create = java::command().unwrap();
    create.arg(TOPICS).args(["--bootstrap-server", &bootstrap, "--create", "--topic", "orders"]);
    create.args(["--partitions", "3", "--replication-factor", "3"]);
    let running =
        create.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    let written = wait_until(PATIENCE, || uncommitted(&cluster).then_some(()));
    assert!(
        written.is_some(),
        "the topic was not written:\n{}",
        cluster.look(|world| world.status().to_string())
    );
    cluster.controller(leader).unwrap().crash().unwrap();
    cluster.clock().resume();

    let output = running.wait_with_output().unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{err}");
    let now = cluster.active_controller().unwrap();
    assert_ne!(now, leader);
    let listed = tool(TOPICS, &["--bootstrap-server", &bootstrap, "--describe", "--topic", "orders"]);
    assert_eq!(listed.matches("Leader:").count(), 3, "{listed}");
    assert!(!listed.contains("Leader: none"), "{listed}");
    cluster.command(Command::HealAll);
    cluster.controller(leader).unwrap().restart().unwrap();
    cluster.wait_until_for(PATIENCE, |world| world.is_ready()).unwrap();
    let status = describe(&bootstrap, "--status");
    assert_eq!(field(&status, "LeaderId"), now.0.to_string(), "{status}");
    cluster.stop();
}

#[test]
fn kafkas_tool_decodes_snapshots_of_the_metadata() {
    if toolchain::skip("metadata-snapshot", &java::PROGRAMS) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let start = |dir: &Path| {
        klamm::Cluster::builder()
            .brokers(1)
            .config("metadata.log.max.record.bytes.between.snapshots", "2000")
            .topic("orders", 20, 1)
            .data_dir(dir)
            .start_blocking()
            .unwrap()
    };
    let cluster = start(dir.path());
    let taken = |cluster: &Cluster| cluster.controller(100).unwrap().quorum().unwrap().latest_snapshot;
    let snapshot = wait_until(PATIENCE, || taken(&cluster)).expect("no snapshot was taken");
    cluster.stop();
    let name = format!("{:020}-{:010}.checkpoint", snapshot.0, snapshot.1);
    let file = dir.path().join("node-100/logs/__cluster_metadata-0").join(name);
    let dump = tool(
        "org.apache.kafka.tools.DumpLogSegments",
        &["--cluster-metadata-decoder", "--files", &file.to_string_lossy()],
    );
    assert!(dump.contains("SnapshotHeader") && dump.contains("SnapshotFooter"), "{dump}");
    assert_eq!(dump.matches("PARTITION_RECORD").count(), 20, "{dump}");
    for record in ["FEATURE_LEVEL_RECORD", "REGISTER_BROKER_RECORD", "TOPIC_RECORD"] {
        assert!(dump.contains(record), "no {record} in\n{dump}");
    }
    // And the next run begins from it.
    let cluster = start(dir.path());
    assert_eq!(cluster.look(|world| world.topics().values().copied().sum::<i32>()), 20);
    cluster.stop();
}
