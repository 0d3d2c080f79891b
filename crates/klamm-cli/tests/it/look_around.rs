//! `topics`, `produce`, `consume` and `groups` against a cluster.

use crate::process::{Served, klamm, klamm_ok};

#[test]
fn records_come_back_as_they_went_in() {
    let served = Served::start(&[]);
    let at = ["--bootstrap", served.bootstrap()];
    assert_eq!(
        klamm_ok(&[&["topics"], &at[..], &["create", "orders:3:3"]].concat(), ""),
        "created orders: 3 partitions, 3 replicas\n"
    );
    let lines: String = (0..100).map(|i| format!("key-{i}:value {i}\n")).collect();
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let produced = klamm_ok(
            &[&["produce"], &at[..], &["orders", "--key", ":", "--compression", codec]].concat(),
            &lines,
        );
        assert_eq!(produced, "produced 100 records to orders\n");
    }
    let consumed = klamm_ok(&[&["consume"], &at[..], &["orders", "--exit"]].concat(), "");
    let mut seen: Vec<(String, String)> = consumed
        .lines()
        .map(|line| {
            let mut cells = line.split('\t').skip(1).map(str::to_owned);
            (cells.next().unwrap(), cells.next().unwrap())
        })
        .collect();
    seen.sort();
    let mut sent: Vec<_> =
        (0..100).flat_map(|i| vec![(format!("key-{i}"), format!("value {i}")); 5]).collect();
    sent.sort();
    assert_eq!(seen, sent);
    let described = klamm_ok(&[&["topics"], &at[..], &["describe", "orders"]].concat(), "");
    let ends: u64 = described
        .lines()
        .skip(1)
        .map(|line| line.split_whitespace().last().unwrap().parse::<u64>().unwrap())
        .sum();
    assert_eq!(ends, 500);
    assert_eq!(klamm_ok(&[&["topics"], &at[..], &["delete", "orders"]].concat(), ""), "deleted orders\n");
}

#[test]
fn consume_begins_where_it_is_told_and_stops_after_a_count() {
    let served = Served::start(&["--topic", "numbers:1:3"]);
    let at = ["--bootstrap", served.bootstrap()];
    klamm_ok(&[&["produce"], &at[..], &["numbers"]].concat(), "zero\none\ntwo\nthree\n");
    let line = klamm_ok(
        &[&["consume"], &at[..], &["numbers", "--from", "2", "--count", "1", "--json"]].concat(),
        "",
    );
    let record: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&record["offset"], &record["value"], &record["key"]), (&2.into(), &"two".into(), &().into()));
    let output = klamm(&[&["consume"], &at[..], &["numbers", "--from", "99"]].concat());
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "klamm: offset 99 is not in numbers-0\n");
}

#[test]
fn a_cluster_without_groups_lists_none() {
    let served = Served::start(&["--brokers", "1"]);
    let listed = klamm_ok(&["groups", "--bootstrap", served.bootstrap()], "");
    assert_eq!(listed.lines().collect::<Vec<_>>(), ["GROUP  TYPE  STATE  PROTOCOL  COORDINATOR"]);
    let output = klamm(&["groups", "--bootstrap", served.bootstrap(), "delete", "nobody"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "klamm: group nobody: GROUP_ID_NOT_FOUND\n");
}

#[test]
fn what_is_not_there_is_named() {
    let served = Served::start(&["--brokers", "1", "--config", "auto.create.topics.enable=false"]);
    let output = klamm(&["consume", "--bootstrap", served.bootstrap(), "nothing"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "klamm: topic nothing: UNKNOWN_TOPIC_OR_PARTITION\n");
}
