//! klamm answers as Apache Kafka did when `cargo xtask conformance --record` asked it last.

use klamm_conformance::subjects::SUBJECTS;
use klamm_conformance::{Transcript, golden, klamm_arguments, run, unexpected};
use klamm_tests::serve::Serve;

fn answers_as_kafka_did(subject: &str) {
    let subject = SUBJECTS.iter().find(|known| known.name == subject).unwrap();
    let recorded = Transcript::parse(&std::fs::read_to_string(golden(subject.name)).unwrap());
    let arguments = klamm_arguments(subject);
    let klamm = Serve::start(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
    let said = run(subject, klamm.bootstrap()).unwrap();
    assert!(klamm.stop().unwrap().success());
    let (differences, stale) = unexpected(subject.name, recorded.compare(&said));
    let told: Vec<String> = differences.iter().map(ToString::to_string).collect();
    assert!(differences.is_empty(), "{} differences\n{}", differences.len(), told.join("\n"));
    assert!(stale.is_empty(), "no difference any more: {stale:?}");
}

macro_rules! subjects {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            answers_as_kafka_did(stringify!($name));
        })*

        #[test]
        fn every_subject_is_tested() {
            let tested = [$(stringify!($name)),*];
            assert_eq!(SUBJECTS.iter().map(|subject| subject.name).collect::<Vec<_>>(), tested);
        }
    };
}

subjects! {
    api_versions
    cluster
    metadata
    create_topics
    delete_topics
    create_partitions
    elect_leaders
    reassignments
    configs
    produce
    producers
    fetch
    fetch_sessions
    list_offsets
    delete_records
    find_coordinator
    groups
    offsets
    consumer_groups
    extremes
    quotas
    transactions
    transaction_offsets
    transaction_markers
    transaction_lists
    share_groups
    share_records
    share_renewals
    strict
}

/// The comparison can fail: a transcript with one field changed is told apart.
#[test]
fn a_changed_answer_is_found() {
    let text = std::fs::read_to_string(golden("list_offsets")).unwrap();
    let changed = text.replacen("error_code: NONE", "error_code: UNKNOWN_SERVER_ERROR", 1);
    assert_ne!(text, changed);
    let differences = Transcript::parse(&text).compare(&Transcript::parse(&changed));
    assert!(!differences.is_empty());
}
