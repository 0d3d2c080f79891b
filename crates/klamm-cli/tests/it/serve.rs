//! `klamm serve` from its line to its end.

use std::net::{TcpListener, TcpStream};

use crate::process::{Served, klamm_ok};

#[test]
fn says_where_it_is_in_one_line_of_json() {
    let served = Served::start(&["--brokers", "2"]);
    let line = &served.line;
    let brokers = line["brokers"].as_array().unwrap();
    assert_eq!(brokers.len(), 2);
    let mut addresses = Vec::new();
    for (id, broker) in (1..).zip(brokers) {
        assert_eq!(broker["id"], id);
        let address = format!("{}:{}", broker["host"].as_str().unwrap(), broker["port"]);
        TcpStream::connect(&address).unwrap();
        addresses.push(address);
    }
    assert_eq!(served.bootstrap(), addresses.join(","));
    assert!(line["pid"].as_u64().is_some());
    let (status, rest) = served.signal("TERM");
    assert_eq!((status.code(), rest.as_str()), (Some(0), ""));
}

#[test]
fn brokers_take_consecutive_ports_and_give_them_back() {
    // A run of three free ports, somewhere above the ones handed out to others.
    let first = (30_000..32_000_u16)
        .step_by(7)
        .find(|port| (0..3).all(|i| TcpListener::bind(("127.0.0.1", port + i)).is_ok()))
        .unwrap();
    let served = Served::start_at(&first.to_string(), &[]);
    let ports: Vec<_> =
        served.line["brokers"].as_array().unwrap().iter().map(|b| b["port"].as_u64().unwrap()).collect();
    let first = u64::from(first);
    assert_eq!(ports, [first, first + 1, first + 2]);
    let (status, _) = served.signal("INT");
    assert_eq!(status.code(), Some(0));
    for port in ports {
        TcpListener::bind(("127.0.0.1", u16::try_from(port).unwrap())).unwrap();
    }
}

#[test]
fn creates_the_topics_it_is_asked_for() {
    let served =
        Served::start(&["--topic", "orders:6:3", "--topic", "payments:2:1", "--config", "num.partitions=4"]);
    let listed = klamm_ok(&["topics", "--bootstrap", served.bootstrap()], "");
    let rows: Vec<Vec<&str>> = listed.lines().skip(1).map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows, [["orders", "6", "3", "0"], ["payments", "2", "1", "0"]]);
}

#[test]
fn tells_clients_the_advertised_host() {
    let served = Served::start(&["--brokers", "1", "--advertise", "localhost"]);
    assert!(served.bootstrap().starts_with("localhost:"), "{}", served.bootstrap());
}

#[test]
fn a_recorded_run_replays_to_where_it_ended() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("recording");
    let file = file.to_str().unwrap();
    let served = Served::start(&["--topic", "orders:1:3", "--record", file]);
    klamm_ok(&["produce", "--bootstrap", served.bootstrap(), "orders"], "one\ntwo\nthree\n");
    let (status, _) = served.signal("TERM");
    assert_eq!(status.code(), Some(0));
    let state = klamm_ok(&["replay", file], "");
    assert!(state.contains("orders"), "{state}");
    assert_eq!(state, klamm_ok(&["replay", file], ""), "two replays differ");
}
