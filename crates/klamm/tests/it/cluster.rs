//! The Rust API.

use std::io::Write as _;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use klamm::{Cluster, Error, StartError, TopicSpec};
use klamm_wire::ApiKey;
use klamm_wire::messages::ResponseKind;

use crate::client::{Client, batch, fetch, fetched, produce, produced};

/// The address of a partition's leader.
pub(crate) fn leader(cluster: &Cluster, topic: &str, partition: i32) -> String {
    let leader = cluster.partition(topic, partition).unwrap().leader.unwrap();
    cluster.broker(leader).unwrap().address().to_owned()
}

/// Session and lag timeouts that pass in no time.
pub(crate) fn fast(cluster: &Cluster) {
    cluster.clock().scale(200.0);
}

#[test]
fn a_record_comes_back_from_three_replicas() {
    let cluster = Cluster::builder()
        .brokers(3)
        .topic("orders", 6, 3)
        .config("min.insync.replicas", "2")
        .start_blocking()
        .unwrap();
    let mut client = Client::connect(&leader(&cluster, "orders", 2));
    assert_eq!(client.produce("orders", 2, &["a", "b"], -1), Ok(0));
    assert_eq!(client.produce("orders", 2, &["c"], -1), Ok(2));
    assert_eq!(client.fetch("orders", 2, 0), ["a", "b", "c"]);
    assert_eq!(client.fetch("orders", 2, 1), ["a", "b", "c"], "a batch comes whole");

    let partition = cluster.partition("orders", 2).unwrap();
    assert_eq!(partition.isr.len(), 3);
    assert_eq!(partition.logs.len(), 3);
    for log in partition.logs.values() {
        assert_eq!(log.log_end, 3);
    }
    assert_eq!(partition.high_watermark(), Some(3));
}

#[test]
fn the_leader_crashes_another_leads_and_nothing_is_lost() {
    let cluster = Cluster::builder().topic("t", 1, 3).start_blocking().unwrap();
    let first = cluster.partition("t", 0).unwrap().leader.unwrap();
    Client::connect(&leader(&cluster, "t", 0)).produce("t", 0, &["before"], -1).unwrap();

    fast(&cluster);
    cluster.broker(first).unwrap().crash().unwrap();
    assert!(Client::try_connect(cluster.broker(first).unwrap().address()).is_err(), "nobody listens");
    cluster
        .wait_until(|world| world.partition("t", 0).is_some_and(|p| p.leader.is_some_and(|l| l != first)))
        .unwrap();
    let mut client = Client::connect(&leader(&cluster, "t", 0));
    client.produce("t", 0, &["after"], -1).unwrap();
    assert_eq!(client.fetch("t", 0, 0), ["before", "after"]);

    cluster.broker(first).unwrap().restart().unwrap();
    cluster.wait_until(|world| world.partition("t", 0).is_some_and(|p| p.is_settled())).unwrap();
    assert_eq!(cluster.partition("t", 0).unwrap().logs[&first].log_end, 2);
    Client::connect(cluster.broker(first).unwrap().address()).api_versions();
}

#[test]
fn a_broker_that_stops_in_order_hands_over_first() {
    let cluster = Cluster::builder().topic("t", 3, 3).start_blocking().unwrap();
    fast(&cluster);
    cluster.broker(1).unwrap().stop().unwrap();
    for partition in 0..3 {
        let partition = cluster.partition("t", partition).unwrap();
        assert!(partition.leader.is_some_and(|leader| leader.0 != 1), "{partition}");
        assert!(!partition.isr.contains(&klamm::NodeId(1)), "{partition}");
    }
    cluster.broker(1).unwrap().restart().unwrap();
    cluster
        .wait_until(|world| (0..3).all(|p| world.partition("t", p).is_some_and(|p| p.is_settled())))
        .unwrap();
}

#[test]
fn from_start_to_the_first_acknowledged_record_takes_milliseconds() {
    // The shared runtime starts once a process.
    drop(Cluster::builder().brokers(1).start_blocking().unwrap());
    let mut times: Vec<_> = (0..9)
        .map(|_| {
            let begin = Instant::now();
            let cluster = Cluster::builder().brokers(3).topic("t", 1, 3).start_blocking().unwrap();
            Client::connect(&leader(&cluster, "t", 0)).produce("t", 0, &["first"], -1).unwrap();
            begin.elapsed()
        })
        .collect();
    times.sort();
    // An unoptimised build on a busy machine is far from the measured figure; this only catches waiting for a timer.
    assert!(times[0] < Duration::from_millis(400), "{times:?}");
}

#[tokio::test(flavor = "current_thread")]
async fn a_blocking_client_on_the_callers_runtime_does_not_block_the_cluster() {
    let cluster = Cluster::builder().topic("t", 1, 3).start().await.unwrap();
    let mut client = Client::connect(&leader(&cluster, "t", 0));
    assert_eq!(client.produce("t", 0, &["x"], -1), Ok(0));
    let first = cluster.partition("t", 0).unwrap().leader.unwrap();
    fast(&cluster);
    cluster.broker(first).unwrap().crash().await.unwrap();
    cluster
        .wait_until(|world| world.partition("t", 0).is_some_and(|p| p.leader.is_some_and(|l| l != first)))
        .await
        .unwrap();
    cluster.stop().await;
}

#[test]
fn a_connection_that_carries_a_lot_is_answered_like_any_other() {
    let cluster = Cluster::builder().brokers(3).topic("t", 3, 3).start_blocking().unwrap();
    let value = "x".repeat(100_000);
    // Each partition has a leader of its own, and not all leaders can be on the thread that takes what carries a lot.
    for partition in 0..3 {
        let mut client = Client::connect(&leader(&cluster, "t", partition));
        let mut writing = client.stream.try_clone().unwrap();
        let frames: Vec<_> = (0..100)
            .map(|_| client.frame(ApiKey::Produce, 9, &produce("t", partition, batch(&[&value]), -1)))
            .collect();
        std::thread::scope(|scope| {
            scope.spawn(|| frames.iter().for_each(|frame| writing.write_all(frame).unwrap()));
            for offset in 0..100 {
                let ResponseKind::Produce(response) = client.receive() else { panic!() };
                assert_eq!(produced(&response), Ok(offset));
            }
        });
        // It sleeps until somebody else's request has an answer for it.
        client.send(ApiKey::Fetch, 12, &fetch("t", partition, 100, 15_000));
        let mut other = Client::connect(&leader(&cluster, "t", partition));
        assert_eq!(other.produce("t", partition, &["woken"], -1), Ok(100));
        let ResponseKind::Fetch(response) = client.receive() else { panic!() };
        assert_eq!(fetched(&response), ["woken"]);
    }
}

#[test]
fn dropping_a_cluster_frees_its_ports() {
    let cluster = Cluster::builder().start_blocking().unwrap();
    let mut idle = Client::connect(cluster.broker(1).unwrap().address());
    let addresses: Vec<_> = (1..=3).map(|id| cluster.broker(id).unwrap().address().to_owned()).collect();
    drop(cluster);
    assert!(idle.is_closed());
    for address in addresses {
        assert!(TcpListener::bind(&address).is_ok(), "{address} is still taken");
    }
}

#[test]
fn a_stopped_brokers_port_is_kept_for_it() {
    let cluster = Cluster::builder().brokers(3).start_blocking().unwrap();
    let address = cluster.broker(2).unwrap().address().to_owned();
    for _ in 0..5 {
        cluster.broker(2).unwrap().crash().unwrap();
        assert!(Client::try_connect(&address).is_err());
        cluster.broker(2).unwrap().restart().unwrap();
        // It listens, and serves nobody until the session of its earlier life is over (`broker.session.timeout.ms`).
        Client::try_connect(&address).unwrap();
    }
    cluster.clock().advance(Duration::from_secs(10));
    cluster.wait_until(klamm::World::is_ready).unwrap();
    Client::connect(&address).api_versions();
}

#[test]
fn a_data_directory_is_taken_up_where_it_was_left() {
    let dir = tempfile::tempdir().unwrap();
    let build =
        || Cluster::builder().brokers(3).topic("t", 1, 3).data_dir(dir.path()).start_blocking().unwrap();
    let cluster = build();
    Client::connect(&leader(&cluster, "t", 0)).produce("t", 0, &["kept"], -1).unwrap();
    let id = cluster.look(|world| world.cluster_id().clone());
    cluster.stop();

    let cluster = build();
    assert_eq!(cluster.look(|world| world.cluster_id().clone()), id);
    let mut client = Client::connect(&leader(&cluster, "t", 0));
    assert_eq!(client.fetch("t", 0, 0), ["kept"]);
    assert_eq!(client.produce("t", 0, &["more"], -1), Ok(1));
    drop(cluster);

    let cluster = build();
    assert_eq!(Client::connect(&leader(&cluster, "t", 0)).fetch("t", 0, 0), ["kept", "more"]);
}

#[test]
fn mistakes_are_told_with_a_hint() {
    let error = |result: Result<klamm::blocking::Cluster, Error>| result.err().unwrap().to_string();
    assert_eq!(
        error(Cluster::builder().config("min.insync.replica", "2").start_blocking()),
        "unknown config key min.insync.replica; did you mean min.insync.replicas?"
    );
    assert_eq!(error(Cluster::builder().brokers(0).start_blocking()), "a cluster has at least one broker");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let result = Cluster::builder().brokers(1).port(port).start_blocking();
    assert!(matches!(result, Err(Error::Start(StartError::Bind { address, .. })) if address.port() == port));
    let message = error(Cluster::builder().brokers(2).topic("t", 1, 3).start_blocking());
    assert!(
        message.starts_with("cannot create topic t: ") && message.contains("INVALID_REPLICATION_FACTOR"),
        "{message}"
    );
    let mut bad = TopicSpec::new("t", 1, 1);
    bad.config.insert("retention.msx".to_owned(), "1".to_owned());
    let message = error(Cluster::builder().topic_spec(bad).start_blocking());
    assert!(message.contains("retention.ms"), "{message}");

    let cluster = Cluster::builder().brokers(1).topic("t", 2, 1).start_blocking().unwrap();
    assert_eq!(cluster.broker(4).unwrap_err().to_string(), "there is no broker 4; the brokers are 1 to 1");
    assert_eq!(
        cluster.partition("t", 2).unwrap_err().to_string(),
        "there is no partition t-2; the topic has partitions 0 to 1"
    );
    assert_eq!(
        cluster.partition("u", 0).unwrap_err().to_string(),
        "there is no partition u-0; the topics are t"
    );
    let error = cluster.wait_until_for(Duration::from_millis(5), |_| false).unwrap_err().to_string();
    assert!(error.contains("did not come true within 5ms") && error.contains("t-0: leader 1"), "{error}");
}
