//! The yardstick itself works: Apache Kafka starts from its Maven jars, answers and stops.

use klamm_tests::kafka::{ApacheKafka, KafkaSettings};
use klamm_tests::toolchain;

#[test]
fn one_broker_starts_and_stops() {
    if toolchain::skip("apache-kafka", &["java", "javac", "mvn"]) {
        return;
    }
    let kafka = ApacheKafka::start(&KafkaSettings { brokers: 1, ..KafkaSettings::default() }).unwrap();
    assert_eq!(klamm_tests::probe::brokers(kafka.bootstrap()).unwrap(), 1);
    let pids = kafka.pids();
    kafka.stop().unwrap();
    for pid in pids {
        assert!(!klamm_tests::process::is_alive(pid), "process {pid} is still there");
    }
}
