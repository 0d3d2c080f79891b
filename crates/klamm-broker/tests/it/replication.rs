//! The replication rules: acknowledgement, in-sync replicas, high watermark, divergence.

use std::time::Duration;

use klamm_node::{NodeId, TraceKind};
use klamm_wire::ErrorCode;
use klamm_wire::record::builder::BatchBuilder;
use klamm_world::{Command, LinkSettings};

use crate::cluster::{Cluster, fetch};

fn error(code: i16) -> ErrorCode {
    ErrorCode::from_code(code).expect("a known code")
}

fn slow(millis: u64) -> LinkSettings {
    LinkSettings { latency: Duration::from_millis(millis), jitter: Duration::ZERO }
}

#[test]
fn acks_all_takes_four_messages_however_many_partitions_there_are() {
    let mut c = Cluster::start(3, &[]);
    c.create_topic("many", 200, 3, &[]);
    c.create_topic("t", 1, 3, &[]);
    for _ in 0..3 {
        let before = c.world.messages();
        c.produce("t", 0, "a");
        assert_eq!(c.world.messages() - before, 4);
    }
}

#[test]
fn with_latency_acks_all_takes_one_round_trip_and_acks_1_none() {
    let mut c = Cluster::with_link(3, &[], slow(1));
    c.create_topic("t", 1, 3, &[]);
    c.run(Duration::from_millis(100));
    let leader = c.leader("t", 0);
    let at = c.now;
    c.produce("t", 0, "a");
    assert_eq!(c.now - at, Duration::from_millis(2));
    c.run(Duration::from_millis(100));
    let sent = c.send_produce(leader, "t", 0, 1, "b");
    assert_eq!(c.produced(sent).base_offset, 1);
}

#[test]
fn a_follower_learns_the_high_watermark_with_its_next_fetch() {
    let mut c = Cluster::start(3, &[]);
    c.create_topic("t", 1, 3, &[]);
    c.produce("t", 0, "a");
    let leader = c.leader("t", 0);
    let follower = NodeId(leader % 3 + 1);
    assert_eq!(c.status("t", 0).logs[&follower].high_watermark, 0);
    c.run(Duration::from_millis(500));
    assert_eq!(c.status("t", 0).logs[&follower].high_watermark, 1);
}

#[test]
fn below_min_isr_nothing_is_appended() {
    let mut c = Cluster::start(3, &[("min.insync.replicas", "2")]);
    c.create_topic("t", 1, 3, &[]);
    c.produce("t", 0, "a");
    let leader = c.leader("t", 0);
    for broker in (1..=3).filter(|broker| *broker != leader) {
        c.command(Command::Crash(NodeId(broker)));
    }
    c.wait_for("the ISR to shrink", Duration::from_secs(60), |c| c.status("t", 0).isr.len() == 1);
    let sent = c.send_produce(leader, "t", 0, -1, "b");
    assert_eq!(error(c.produced(sent).error_code), ErrorCode::NotEnoughReplicas);
    assert_eq!(c.status("t", 0).log_end(), Some(1));
    // acks=1 does not ask.
    let sent = c.send_produce(leader, "t", 0, 1, "c");
    assert_eq!(c.produced(sent).base_offset, 1);
    // KAFKA-15583: it is not committed while the ISR is too small.
    assert_eq!(c.status("t", 0).high_watermark(), Some(1));
}

#[test]
fn records_appended_before_the_isr_became_too_small_are_reported() {
    let mut c = Cluster::start(3, &[("min.insync.replicas", "2"), ("replica.lag.time.max.ms", "3000")]);
    c.create_topic("t", 1, 3, &[]);
    c.produce("t", 0, "a");
    let leader = c.leader("t", 0);
    for broker in (1..=3).filter(|broker| *broker != leader) {
        c.command(Command::SetLink { from: NodeId(leader), to: NodeId(broker), link: slow(100_000) });
    }
    let sent = c.send_produce(leader, "t", 0, -1, "b");
    c.wait_for("an answer", Duration::from_secs(10), |c| c.outcome(sent).is_some());
    assert_eq!(error(c.produced(sent).error_code), ErrorCode::RequestTimedOut);
    assert_eq!(c.produced(sent).base_offset, 1);
}

#[test]
fn a_slow_follower_leaves_the_isr_and_comes_back() {
    let mut c = Cluster::start(3, &[]);
    c.create_topic("t", 1, 3, &[]);
    c.produce("t", 0, "a");
    let leader = c.leader("t", 0);
    let follower = NodeId(leader % 3 + 1);
    c.command(Command::SetLink { from: NodeId(leader), to: follower, link: slow(60_000) });
    let sent = c.send_produce(leader, "t", 0, 1, "b");
    assert_eq!(c.produced(sent).base_offset, 1);
    let lost_at = c.now;
    c.wait_for("the ISR to shrink", Duration::from_secs(60), |c| c.status("t", 0).isr.len() == 2);
    let took = c.now - lost_at;
    assert!((Duration::from_secs(30)..=Duration::from_secs(45)).contains(&took), "{took:?}");
    assert!(!c.status("t", 0).isr.contains(&follower));
    assert_eq!(c.status("t", 0).high_watermark(), Some(2));
    c.command(Command::SetLink { from: NodeId(leader), to: follower, link: LinkSettings::default() });
    c.wait_for("the ISR to grow", Duration::from_secs(200), |c| c.status("t", 0).isr.len() == 3);
    c.wait_for("everybody to have everything", Duration::from_secs(5), |c| c.status("t", 0).is_settled());
}

#[test]
fn an_idle_follower_stays_in_the_isr() {
    let mut c = Cluster::start(3, &[("replica.lag.time.max.ms", "2000")]);
    c.create_topic("t", 3, 3, &[]);
    c.produce("t", 0, "a");
    c.run(Duration::from_secs(60));
    // The first record after a long silence finds followers whose partitions no fetch has named for a minute.
    for partition in 0..3 {
        c.produce("t", partition, "b");
        assert_eq!(c.status("t", partition).isr.len(), 3);
    }
    c.run(Duration::from_secs(10));
    for partition in 0..3 {
        assert_eq!(c.status("t", partition).isr.len(), 3);
    }
    let shrinks = c.world.trace().events().filter(|e| matches!(e.kind, TraceKind::IsrProposed { .. }));
    assert_eq!(shrinks.count(), 0);
}

#[test]
fn acks_1_is_lost_with_its_leader_and_acks_all_is_not() {
    let mut c = Cluster::start(3, &[]);
    c.create_topic("t", 1, 3, &[]);
    c.produce("t", 0, "kept");
    let leader = c.leader("t", 0);
    for broker in (1..=3).filter(|broker| *broker != leader) {
        c.command(Command::SetLink { from: NodeId(leader), to: NodeId(broker), link: slow(30_000) });
    }
    for _ in 0..2 {
        let sent = c.send_produce(leader, "t", 0, 1, "lost");
        assert_eq!(error(c.produced(sent).error_code), ErrorCode::None);
    }
    assert_eq!(c.status("t", 0).log_end(), Some(3));
    c.command(Command::Crash(NodeId(leader)));
    c.wait_for("another leader", Duration::from_secs(30), |c| {
        c.status("t", 0).leader.is_some_and(|now| now != NodeId(leader))
    });
    for broker in (1..=3).filter(|broker| *broker != leader) {
        c.command(Command::SetLink {
            from: NodeId(leader),
            to: NodeId(broker),
            link: LinkSettings::default(),
        });
    }
    assert_eq!(c.produce("t", 0, "new"), 1);
    c.command(Command::Start(NodeId(leader)));
    c.wait_for("the old leader to catch up", Duration::from_secs(60), |c| c.status("t", 0).is_settled());
    assert_eq!(c.status("t", 0).logs[&NodeId(leader)].log_end, 2);
    assert!(c.world.trace().events().any(|event| {
        event.node == Some(NodeId(leader))
            && matches!(event.kind, TraceKind::LogTruncated { from: 3, to: 1, .. })
    }));
}

#[test]
fn a_cluster_survives_the_restart_of_every_broker() {
    let mut c = Cluster::start(3, &[]);
    c.create_topic("t", 2, 3, &[("retention.ms", "-1")]);
    for n in 0..5 {
        c.produce("t", n % 2, "a");
    }
    for command in [Command::Stop, Command::Crash] {
        for broker in 1..=3 {
            c.command(command(NodeId(broker)));
            c.run(Duration::from_secs(2));
            assert!(!c.world.is_up(NodeId(broker)));
            c.run(Duration::from_secs(15));
            c.command(Command::Start(NodeId(broker)));
            c.wait_for("the broker to be ready", Duration::from_secs(30), |c| c.world.is_ready());
            for partition in 0..2 {
                c.wait_for("every replica to be in sync", Duration::from_secs(30), |c| {
                    c.status("t", partition).is_settled()
                });
            }
        }
    }
    assert_eq!(c.status("t", 0).log_end(), Some(3));
    assert_eq!(c.status("t", 1).log_end(), Some(2));
    assert_eq!(c.produce("t", 0, "b"), 3);
}

#[test]
fn all_brokers_down_at_once_come_back_with_everything() {
    let mut c = Cluster::start(3, &[]);
    c.create_topic("t", 1, 3, &[]);
    c.produce("t", 0, "a");
    c.produce("t", 0, "b");
    c.run(Duration::from_secs(6));
    for node in [1, 2, 3, 100] {
        c.command(Command::Crash(NodeId(node)));
    }
    c.run(Duration::from_secs(1));
    for node in [100, 1, 2, 3] {
        c.command(Command::Start(NodeId(node)));
    }
    c.wait_for("the cluster to be ready", Duration::from_secs(60), |c| c.world.is_ready());
    c.wait_for("every replica to be in sync", Duration::from_secs(60), |c| c.status("t", 0).is_settled());
    assert_eq!(c.produce("t", 0, "c"), 2);
}

#[test]
fn a_fetch_with_another_leader_epoch_is_refused() {
    let mut c = Cluster::start(3, &[]);
    c.create_topic("t", 1, 3, &[]);
    c.produce("t", 0, "a");
    let old = c.leader("t", 0);
    c.command(Command::Crash(NodeId(old)));
    c.wait_for("another leader", Duration::from_secs(30), |c| {
        c.status("t", 0).leader.is_some_and(|now| now != NodeId(old))
    });
    let leader = c.leader("t", 0);
    let epoch = c.status("t", 0).leader_epoch;
    for (known, expected) in [
        (epoch - 1, ErrorCode::FencedLeaderEpoch),
        (epoch, ErrorCode::None),
        (epoch + 1, ErrorCode::UnknownLeaderEpoch),
    ] {
        let mut request = fetch("t", 0, 0, 0);
        request.topics[0].partitions[0].current_leader_epoch = known;
        let sent = c.send(leader, 12, request);
        assert_eq!(c.fetched(sent).topics[0].partitions[0].error_code, expected);
    }
}

#[test]
fn a_fetcher_whose_log_diverged_is_told_where() {
    let mut c = Cluster::start(3, &[]);
    c.create_topic("t", 1, 3, &[]);
    c.produce("t", 0, "a");
    let leader = c.leader("t", 0);
    let mut request = fetch("t", 0, 5, 0);
    request.topics[0].partitions[0].last_fetched_epoch = 0;
    let sent = c.send(leader, 12, request);
    let partition = &c.fetched(sent).topics[0].partitions[0];
    assert_eq!(partition.error_code, ErrorCode::None);
    let end = partition.diverging_epoch.as_ref().unwrap();
    assert_eq!((end.epoch, end.end_offset), (0, 1));

    let mut request = fetch("t", 0, 0, 0);
    request.topics[0].partitions[0].last_fetched_epoch = 9;
    let sent = c.send(leader, 12, request);
    assert_eq!(c.fetched(sent).topics[0].partitions[0].error_code, ErrorCode::OffsetOutOfRange);
}

/// One record of an idempotent producer.
fn sequenced(producer: i64, epoch: i16, sequence: i32) -> bytes::Bytes {
    let mut batch = BatchBuilder::new().producer(producer, epoch, sequence);
    batch.push(1_700_000_000_000, None, Some(b"v"), &[]);
    batch.build().expect("an uncompressed batch").to_bytes()
}

#[test]
fn an_idempotent_producer_is_recognised_by_the_next_leader() {
    let mut c = Cluster::start(3, &[("min.insync.replicas", "2")]);
    c.create_topic("t", 1, 3, &[]);
    let leader = c.leader("t", 0);
    for sequence in 0..3 {
        let sent = c.send_records(leader, "t", 0, -1, sequenced(7, 0, sequence));
        assert_eq!(c.produced(sent).base_offset, i64::from(sequence));
    }
    c.command(Command::Crash(NodeId(leader)));
    c.wait_for("another leader", Duration::from_secs(30), |c| {
        c.status("t", 0).leader.is_some_and(|now| now != NodeId(leader))
    });
    let leader = c.leader("t", 0);
    let again = c.send_records(leader, "t", 0, -1, sequenced(7, 0, 2));
    let answer = c.produced(again);
    assert_eq!((error(answer.error_code), answer.base_offset), (ErrorCode::None, 2));
    assert_eq!(c.status("t", 0).log_end(), Some(3));
    let gap = c.send_records(leader, "t", 0, -1, sequenced(7, 0, 9));
    assert_eq!(error(c.produced(gap).error_code), ErrorCode::OutOfOrderSequenceNumber);
    let bumped = c.send_records(leader, "t", 0, -1, sequenced(7, 1, 0));
    assert_eq!(c.produced(bumped).base_offset, 3);
    let fenced = c.send_records(leader, "t", 0, -1, sequenced(7, 0, 3));
    assert_eq!(error(c.produced(fenced).error_code), ErrorCode::InvalidProducerEpoch);
}

#[test]
fn a_produce_that_waits_ends_when_its_leader_is_deposed() {
    let mut c = Cluster::start(3, &[("replica.lag.time.max.ms", "600000")]);
    c.create_topic("t", 1, 3, &[]);
    c.produce("t", 0, "a");
    let leader = c.leader("t", 0);
    for broker in (1..=3).filter(|broker| *broker != leader) {
        c.command(Command::SetLink { from: NodeId(leader), to: NodeId(broker), link: slow(100_000) });
    }
    c.produce_timeout_ms = 300_000;
    let sent = c.send_produce(leader, "t", 0, -1, "b");
    assert_eq!(c.outcome(sent), None);
    // The controller hears nothing from it for too long. Nor does it hear from the controller until that is over.
    c.command(Command::SetLink { from: NodeId(leader), to: NodeId(100), link: slow(30_000) });
    c.wait_for("another leader", Duration::from_secs(30), |c| {
        c.status("t", 0).leader.is_some_and(|now| now != NodeId(leader))
    });
    assert_eq!(c.outcome(sent), None);
    c.command(Command::SetLink { from: NodeId(leader), to: NodeId(100), link: LinkSettings::default() });
    c.wait_for("an answer", Duration::from_secs(120), |c| c.outcome(sent).is_some());
    assert_eq!(error(c.produced(sent).error_code), ErrorCode::NotLeaderOrFollower);
}

#[test]
fn nothing_waits_when_the_load_has_stopped() {
    let mut c = Cluster::start(3, &[]);
    c.create_topic("t", 3, 3, &[]);
    let waiting = c.connect(1);
    c.send_over(waiting, 12, fetch("t", 0, 0, i32::MAX));
    for n in 0..30 {
        c.produce("t", n % 3, "a");
    }
    c.input(klamm_world::Input::Disconnect { connection: waiting });
    c.run(Duration::from_secs(5));
    // What is left is the long polls of each follower and of each broker's metadata.
    let pending = c.world.pending();
    c.run(Duration::from_secs(600));
    assert!(c.world.pending() <= pending + 3, "{} then {}", pending, c.world.pending());
}

#[test]
fn a_follower_that_missed_deleted_records_starts_in_the_middle_of_a_batch() {
    let mut c = Cluster::start(3, &[]);
    c.create_topic("t", 1, 3, &[]);
    let leader = c.leader("t", 0);
    let follower = NodeId(leader % 3 + 1);
    c.command(Command::Crash(follower));
    c.wait_for("the follower to be fenced", Duration::from_secs(30), |c| c.status("t", 0).isr.len() == 2);
    let mut batch = BatchBuilder::new();
    for _ in 0..10 {
        batch.push(1_700_000_000_000, None, Some(b"v"), &[]);
    }
    let records = batch.build().expect("an uncompressed batch").to_bytes();
    let sent = c.send_records(leader, "t", 0, -1, records);
    assert_eq!(error(c.produced(sent).error_code), ErrorCode::None);
    c.delete_records("t", 0, 5);
    c.command(Command::Start(follower));
    c.wait_for("the follower to catch up", Duration::from_secs(30), |c| c.status("t", 0).is_settled());
    let log = c.status("t", 0).logs[&follower];
    assert_eq!((log.log_start, log.log_end), (5, 10));
    assert_eq!(c.produce("t", 0, "a"), 10);
    c.run(Duration::from_secs(1));
    assert!(c.status("t", 0).is_settled());
}
