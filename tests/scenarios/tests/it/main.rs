//! The runner itself: Kafka goes through files that are right, and is found out where one is wrong.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::{Command, Output};

use klamm_tests::{toolchain, workspace};

fn run(arguments: &[&Path]) -> Option<(Output, String)> {
    if toolchain::skip("scenarios-on-kafka", &["java", "javac", "mvn"]) {
        return None;
    }
    let output = Command::new(env!("CARGO_BIN_EXE_klamm-scenarios-on-kafka"))
        .args(arguments)
        .current_dir(workspace::root())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    Some((output, said))
}

#[test]
fn kafka_goes_through_a_failover_with_held_fetches() {
    let file = Path::new("scenarios/acks/ACK-02-acks-1-lost-on-failover.kdl");
    let Some((output, said)) = run(&[file]) else { return };
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("held on Kafka 4.3.1   ACK-02"), "{said}");
}

#[test]
fn a_file_that_is_wrong_about_kafka_does_not_hold() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("WRONG.kdl");
    let text = r#"
scenario "WRONG" title="a duplicate is written twice"
cluster brokers=1
topic t replicas="1"
producer p
produce p a offset=0
produce p a2 sequence=0 offset=1
"#;
    std::fs::write(&file, text).unwrap();
    let Some((output, said)) = run(&[&file]) else { return };
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("offset 1") && said.contains("offset 0"), "{said}");
}

#[test]
fn what_kafka_cannot_be_driven_through_is_said_before_anything_is_started() {
    let file = Path::new("scenarios/log/LOG-06-compaction.kdl");
    let Some((output, said)) = run(&[Path::new("--check"), file]) else { return };
    assert!(output.status.success(), "{said}");
    assert!(said.contains(": a running Kafka cannot be made to: compact t-0"), "{said}");
}

#[test]
fn a_file_that_is_no_scenario_is_a_failure() {
    let Some((output, said)) = run(&[Path::new("--check"), Path::new("README.md"), Path::new("no-such.kdl")])
    else {
        return;
    };
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("no-such.kdl"), "{said}");
}
