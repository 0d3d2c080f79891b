//! `__consumer_offsets`: Kafka's own tools write it through klamm, read it as it lies on the disk, and find it again after a restart.

use std::path::Path;

use klamm::blocking::Cluster;
use klamm_tests::{PATIENCE, java, toolchain};

const GROUP: &str = "readers";

fn start(dir: &Path) -> Cluster {
    klamm::Cluster::builder()
        .brokers(1)
        .topic("orders", 2, 1)
        .config("offsets.topic.num.partitions", "1")
        .data_dir(dir)
        .start_blocking()
        .unwrap()
}

fn tool(class: &str, arguments: &[&str]) -> String {
    let output = java::command().unwrap().arg(class).args(arguments).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{class} {arguments:?}\n{out}\n{err}");
    out.into_owned()
}

#[test]
fn kafkas_tool_decodes_committed_offsets() {
    if toolchain::skip("dump-offsets", &java::PROGRAMS) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let cluster = start(dir.path());
    let bootstrap = cluster.bootstrap_servers();
    let set = ["--bootstrap-server", &bootstrap, "--group", GROUP, "--topic", "orders"];
    let reset = [&set[..], &["--reset-offsets", "--to-earliest", "--execute"]].concat();
    let said = tool("org.apache.kafka.tools.consumer.group.ConsumerGroupCommand", &reset);
    assert!(said.contains(GROUP) && said.contains("orders"), "{said}");
    cluster.stop();

    let log = dir.path().join("node-1/logs/__consumer_offsets-0/00000000000000000000.log");
    let log = log.to_string_lossy();
    let dump = tool("org.apache.kafka.tools.DumpLogSegments", &["--offsets-decoder", "--files", &log]);
    for partition in 0..2 {
        let key = format!(r#"{{"group":"{GROUP}","topic":"orders","partition":{partition}}}"#);
        let line =
            dump.lines().find(|line| line.contains(&key)).unwrap_or_else(|| panic!("no {key}\n{dump}"));
        assert!(line.contains(r#""data":{"offset":0,"leaderEpoch":-1,"metadata":"""#), "{line}");
    }

    let cluster = start(dir.path());
    cluster.wait_until_for(PATIENCE, |world| world.groups().contains_key(GROUP.as_bytes())).unwrap();
    let group = cluster.look(|world| world.groups().remove(GROUP.as_bytes())).unwrap();
    let offsets: Vec<_> = group.group.offsets.iter().map(|(p, offset)| format!("{p} at {offset}")).collect();
    assert_eq!(offsets, ["orders-0 at 0", "orders-1 at 0"]);
    cluster.stop();
}
