//! Other people's clients, unmodified, against three klamm brokers: a test a client, so that a failure has its name.

use klamm::blocking::Cluster;
use klamm_tests::{clients, toolchain};

/// Runs the program called `name` against a cluster of its own.
fn passes(name: &str) {
    let client = clients::find(name).unwrap();
    if toolchain::skip(name, client.toolchain()) {
        return;
    }
    let cluster = Cluster::builder().brokers(3).start_blocking().unwrap();
    let line = client.run(&cluster.bootstrap_servers()).unwrap();
    eprintln!("{line}");
}

macro_rules! passes {
    ($($test:ident $name:literal)*) => {
        $(
            #[test]
            fn $test() {
                passes($name);
            }
        )*

        #[test]
        fn every_client_program_has_its_test() {
            assert_eq!([$($name),*], clients::CLIENTS.map(|client| client.name));
        }
    };
}

passes! {
    kcat "kcat"
    confluent_kafka "confluent-kafka"
    kafka_python "kafka-python"
    aiokafka "aiokafka"
    java "java"
    kafka_tools "kafka-tools"
    franz_go "franz-go"
    sarama "sarama"
    kafkajs "kafkajs"
    platformatic "platformatic"
    rdkafka "rdkafka"
}
