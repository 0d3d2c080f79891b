//! Each mistake gets one clear line on stderr and exit code 2.

use std::net::TcpListener;

use crate::process::klamm;

/// The one line that `klamm serve` with these arguments ends with.
fn mistake(arguments: &[&str]) -> String {
    let output = klamm(&[&["serve"], arguments].concat());
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert_eq!(said.trim_end().lines().count(), 1, "{said}");
    assert!(output.stdout.is_empty());
    said
}

#[test]
fn an_unknown_config_key_with_the_nearest_known_one() {
    assert_eq!(
        mistake(&["--port", "0", "--config", "min.insync.replica=2"]),
        "klamm: unknown config key min.insync.replica; did you mean min.insync.replicas?\n"
    );
}

#[test]
fn a_config_value_that_kafka_refuses() {
    assert_eq!(
        mistake(&["--port", "0", "--config", "num.partitions=none"]),
        "klamm: Invalid value none for configuration num.partitions: Not a number of type INT\n"
    );
}

#[test]
fn a_bad_topic_spec() {
    let said = mistake(&["--port", "0", "--topic", "orders:six"]);
    assert!(said.starts_with("klamm: bad topic \"orders:six\": "), "{said}");
    let said = mistake(&["--port", "0", "--brokers", "1", "--topic", "orders:6:3"]);
    assert!(said.contains("3 replicas need 3 brokers, and there are 1"), "{said}");
}

#[test]
fn a_busy_port() {
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = holder.local_addr().unwrap().port().to_string();
    let said = mistake(&["--brokers", "1", "--port", &port]);
    assert!(said.starts_with(&format!("klamm: port {port} of 127.0.0.1 is in use")), "{said}");
}

#[test]
fn a_data_directory_that_cannot_be_written() {
    let said = mistake(&["--port", "0", "--data-dir", "/dev/null/klamm"]);
    assert!(said.contains("/dev/null/klamm"), "{said}");
}

#[test]
fn a_recording_that_cannot_be_written_or_is_not_there() {
    let said = mistake(&["--port", "0", "--record", "/dev/null/recording"]);
    assert!(said.contains("/dev/null/recording"), "{said}");
    let output = klamm(&["replay", "/nowhere/recording"]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "klamm: there is no recording at /nowhere/recording\n"
    );
}

#[test]
fn a_broker_that_is_not_there_is_no_mistake_of_the_command_line() {
    let output = klamm(&["topics", "--bootstrap", "127.0.0.1:1"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&output.stderr).starts_with("klamm: cannot reach a broker at 127.0.0.1:1")
    );
}
