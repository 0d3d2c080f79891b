//! Real clients against klamm as each of several releases of Kafka.

use klamm::Error;
use klamm::blocking::Cluster;
use klamm_tests::{clients, toolchain};

/// Runs the program called `name` against a cluster that behaves as a release.
fn passes(name: &str, release: &str) {
    let client = clients::find(name).unwrap();
    if toolchain::skip(name, client.toolchain()) {
        return;
    }
    let cluster = Cluster::builder().brokers(3).kafka_version(release).start_blocking().unwrap();
    let line = client.run(&cluster.bootstrap_servers()).unwrap();
    eprintln!("{release}: {line}");
}

#[test]
fn librdkafka_works_with_kafka_3_3() {
    passes("confluent-kafka", "3.3");
}

#[test]
fn librdkafka_works_with_kafka_4_0() {
    passes("confluent-kafka", "4.0");
}

#[test]
fn the_java_client_works_with_kafka_3_6() {
    passes("java", "3.6");
}

#[test]
fn the_java_client_works_with_kafka_3_9() {
    passes("java", "3.9");
}

/// It opens with ApiVersions 4, which 3.8 does not have. (Its admin client fails by itself on brokers before 3.7.)
#[test]
fn a_client_that_asks_in_too_new_a_version_finds_its_way() {
    passes("kafka-python", "3.8");
}

#[test]
fn a_release_or_switch_that_is_not_known_fails_the_start() {
    let why = |builder: klamm::Builder| match builder.start_blocking() {
        Err(Error::Start(error)) => error.to_string(),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        why(Cluster::builder().kafka_version("2.8")),
        "there is no profile of Kafka \"2.8\": klamm behaves as 3.3 to 4.4; the nearest is 3.3"
    );
    assert_eq!(
        why(Cluster::builder().era("elr=perhaps")),
        "era switch elr is either on or off, not \"perhaps\""
    );
    assert_eq!(why(Cluster::builder().era("els=on")), "there is no era switch \"els\"; did you mean elr?");
}
