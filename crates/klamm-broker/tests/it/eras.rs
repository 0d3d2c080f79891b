//! Each era switch: the same steps under the newest rule and under the old one.

use std::time::Duration;

use klamm_node::{Era, Eras, NodeId};
use klamm_wire::ErrorCode;
use klamm_wire::messages::alter_partition_reassignments_request::{ReassignablePartition, ReassignableTopic};
use klamm_wire::messages::elect_leaders_request::TopicPartitions;
use klamm_wire::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use klamm_wire::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use klamm_wire::messages::{
    AlterPartitionReassignmentsRequest, ElectLeadersRequest, IncrementalAlterConfigsRequest,
    ListOffsetsRequest, ResponseKind,
};
use klamm_wire::record::batch::BatchIter;
use klamm_world::{Command, LinkSettings};

use crate::cluster::{Cluster, fetch, topic_name};

/// Longer than any of these tests runs.
const CUT: LinkSettings = LinkSettings { latency: Duration::from_secs(1_000_000), jitter: Duration::ZERO };
const CONTROLLER: i32 = 100;
const SECOND: Duration = Duration::from_secs(1);

fn old(era: Era) -> Eras {
    Eras::NEWEST.with_old(era)
}

fn error(code: i16) -> ErrorCode {
    ErrorCode::from_code(code).expect("a known code")
}

fn ids(ids: &[i32]) -> Vec<NodeId> {
    ids.iter().map(|id| NodeId(*id)).collect()
}

impl Cluster {
    /// A cluster of three brokers with the topic `t` of one partition, led by broker 1 in epoch 0; each broker's log holds
    /// `records` records, all committed and known to be.
    fn led_by_1(eras: Eras, min_isr: &'static str, records: i64) -> Self {
        let mut c = Self::with_eras(3, &[], eras);
        // Placement is drawn from the seed: ask until broker 1 is the first replica.
        for name in ["t", "t2", "t3", "t4", "t5", "t6"] {
            c.create_topic(name, 1, 3, &[("min.insync.replicas", min_isr)]);
            if c.status(name, 0).replicas == ids(&[1, 2, 3]) {
                c.topic = name;
                break;
            }
        }
        for at in 0..records {
            assert_eq!(c.produce(c.topic, 0, "committed"), at);
        }
        c.run(SECOND);
        let (status, topic) = (c.status(c.topic, 0), c.topic);
        assert!(status.is_settled() && status.leader_epoch == 0, "{topic}: {status}");
        c
    }

    fn link(&mut self, from: i32, to: i32, link: LinkSettings) {
        self.command(Command::SetLink { from: NodeId(from), to: NodeId(to), link });
    }

    fn cut(&mut self, from: i32, to: i32) {
        self.link(from, to, CUT);
    }

    fn crash(&mut self, broker: i32) {
        self.command(Command::Crash(NodeId(broker)));
    }

    fn boot(&mut self, broker: i32) {
        self.command(Command::Start(NodeId(broker)));
    }

    fn wait_for_isr(&mut self, isr: &[i32]) {
        let (topic, isr) = (self.topic, ids(isr));
        self.wait_for("the ISR", 60 * SECOND, |c| {
            let mut now = c.status(topic, 0).isr;
            now.sort_unstable();
            now == isr
        });
    }

    fn wait_for_leader(&mut self, leader: i32) {
        let topic = self.topic;
        self.wait_for("the leader", 60 * SECOND, |c| {
            let node = NodeId(leader);
            let status = c.status(topic, 0);
            let leads = |log: &klamm_world::ReplicaStatus| log.leader_epoch == status.leader_epoch;
            status.leader == Some(node) && status.logs.get(&node).is_some_and(leads)
        });
    }

    /// Gives the partition's replicas another order, and has the first of them elected.
    fn prefer(&mut self, replicas: &[i32]) {
        let ids = replicas.iter().map(|id| (*id).into()).collect();
        let partition = ReassignablePartition::default().with_replicas(Some(ids));
        let topic =
            ReassignableTopic::default().with_name(topic_name(self.topic)).with_partitions(vec![partition]);
        let request =
            AlterPartitionReassignmentsRequest::default().with_timeout_ms(5_000).with_topics(vec![topic]);
        let ResponseKind::AlterPartitionReassignments(answer) = self.ask(1, 0, request) else {
            panic!("another answer")
        };
        assert_eq!(answer.responses[0].partitions[0].error_code, 0, "{answer:?}");
        let topic = TopicPartitions::default().with_topic(topic_name(self.topic)).with_partitions(vec![0]);
        let request = ElectLeadersRequest::default().with_topic_partitions(Some(vec![topic]));
        self.send(1, 2, request.with_timeout_ms(5_000));
        self.wait_for_leader(replicas[0]);
    }

    fn log_end(&self, broker: i32) -> i64 {
        self.status(self.topic, 0).logs[&NodeId(broker)].log_end
    }

    fn high_watermark_of(&self, broker: i32) -> i64 {
        self.status(self.topic, 0).logs[&NodeId(broker)].high_watermark
    }

    /// The error of one produce to a broker.
    fn produce_to(&mut self, broker: i32, acks: i16, value: &str) -> ErrorCode {
        let sent = self.send_produce(broker, self.topic, 0, acks, value);
        self.wait_for("an answer", 100 * SECOND, |c| c.outcome(sent).is_some());
        error(self.produced(sent).error_code)
    }

    /// Every value that a consumer reads from the leader.
    fn consume(&mut self) -> Vec<String> {
        let leader = self.leader(self.topic, 0);
        let sent = self.send(leader, 12, fetch(self.topic, 0, 0, 0));
        self.wait_for("records", SECOND, |c| c.outcome(sent).is_some());
        let answer = &self.fetched(sent).topics[0].partitions[0];
        let mut values = Vec::new();
        for batch in BatchIter::new(answer.records.concat().into()) {
            let records = batch.expect("a batch").records(1 << 20).expect("records");
            let text = |value: &[u8]| String::from_utf8(value.to_vec()).expect("text");
            values
                .extend(records.iter().map(|record| text(record.expect("a record").value.expect("a value"))));
        }
        values
    }
}

/// ACK-05.
#[test]
fn strict_min_isr_freezes_the_high_watermark_below_min_isr() {
    for (eras, high_watermark) in [(Eras::NEWEST, 1), (old(Era::StrictMinIsr), 2)] {
        let mut c = Cluster::led_by_1(eras, "2", 1);
        c.crash(2);
        c.crash(3);
        c.wait_for_isr(&[1]);
        assert_eq!(c.produce_to(1, -1, "all"), ErrorCode::NotEnoughReplicas);
        assert_eq!(c.produce_to(1, 1, "one"), ErrorCode::None);
        assert_eq!((c.log_end(1), c.high_watermark_of(1)), (2, high_watermark), "{eras}");
    }
}

/// ACK-06.
#[test]
fn strict_min_isr_decides_how_a_produce_ends_whose_isr_shrank_under_it() {
    for (eras, outcome, high_watermark) in [
        (Eras::NEWEST, ErrorCode::RequestTimedOut, 10),
        (old(Era::StrictMinIsr), ErrorCode::NotEnoughReplicasAfterAppend, 11),
    ] {
        let mut c = Cluster::led_by_1(eras, "2", 10);
        c.produce_timeout_ms = 60_000;
        c.crash(3);
        c.wait_for_isr(&[1, 2]);
        c.crash(2);
        assert_eq!(c.produce_to(1, -1, "r10"), outcome);
        assert_eq!((c.log_end(1), c.high_watermark_of(1)), (11, high_watermark), "{eras}");
    }
}

/// The epoch arithmetic of KAFKA-15021.
#[test]
fn epoch_bump_on_shrink_counts_an_epoch_for_each_replica_that_leaves_the_isr() {
    for (eras, epoch) in [(Eras::NEWEST, 0), (old(Era::EpochBumpOnShrink), 1)] {
        let mut c = Cluster::led_by_1(eras, "1", 1);
        c.crash(3);
        c.wait_for_isr(&[1, 2]);
        let status = c.status(c.topic, 0);
        assert_eq!((status.leader_epoch, status.partition_epoch), (epoch, 1), "{eras}");
        // Broker 3 rejoins without either.
        c.boot(3);
        c.wait_for_isr(&[1, 2, 3]);
        assert_eq!(c.status(c.topic, 0).leader_epoch, epoch);
    }
}

/// EPO-01, with the epoch bump that a shrink once was as what makes broker 2 follow anew.
#[test]
fn truncate_to_hw_loses_what_a_follower_does_not_know_to_be_committed() {
    let both = old(Era::TruncateToHw).with_old(Era::EpochBumpOnShrink);
    for (eras, survivors) in
        [(old(Era::EpochBumpOnShrink), vec!["committed", "m2"]), (both, vec!["committed"])]
    {
        let mut c = Cluster::led_by_1(eras, "1", 1);
        assert_eq!(c.produce_to(1, -1, "m2"), ErrorCode::None);
        assert_eq!((c.log_end(2), c.high_watermark_of(2)), (2, 1), "broker 2 has m2 and does not know");
        // Nothing that broker 1 says reaches broker 2 before broker 1 is gone.
        c.link(1, 2, LinkSettings { latency: 25 * SECOND, jitter: Duration::ZERO });
        c.crash(3);
        c.wait_for_isr(&[1, 2]);
        c.run(SECOND);
        c.crash(1);
        c.wait_for_leader(2);
        c.link(1, 2, LinkSettings::default());
        c.boot(1);
        c.wait_for_isr(&[1, 2]);
        assert_eq!(c.consume(), survivors, "{eras}");
        assert_eq!(c.log_end(1), survivors.len() as i64);
    }
}

/// EPO-03.
#[test]
fn kip101_only_leaves_logs_that_differ_after_two_quick_elections() {
    for (eras, of_2) in [
        (Eras::NEWEST, ["a", "c1", "c2", "c3", "f1", "f2"]),
        (old(Era::Kip101Only), ["a", "b", "d", "c3", "f1", "f2"]),
    ] {
        let mut c = Cluster::with_eras(2, &[], eras);
        c.topic = "t";
        c.create_topic("t", 1, 2, &[("unclean.leader.election.enable", "true")]);
        let (first, second) = (c.leader("t", 0), 3 - c.leader("t", 0));
        assert_eq!(c.produce_to(first, -1, "a"), ErrorCode::None);
        let lead = |c: &mut Cluster, down: i32, up: i32, values: &[&str]| {
            c.crash(down);
            // The end of its session is noticed before the other comes.
            c.wait_for("the fence", 20 * SECOND, |c| c.status("t", 0).leader != Some(NodeId(down)));
            c.boot(up);
            c.wait_for_leader(up);
            for value in values {
                assert_eq!(c.produce_to(up, 1, value), ErrorCode::None);
            }
            c.status("t", 0).leader_epoch
        };
        assert_eq!(lead(&mut c, first, second, &["b"]), 1);
        assert_eq!(lead(&mut c, second, first, &["c1", "c2", "c3"]), 3);
        assert_eq!(lead(&mut c, first, second, &["d"]), 5);
        assert_eq!(lead(&mut c, second, first, &["f1", "f2"]), 7);
        c.boot(second);
        c.wait_for("both to be in sync", 60 * SECOND, |c| c.status("t", 0).is_settled());
        assert_eq!(c.consume(), ["a", "c1", "c2", "c3", "f1", "f2"]);
        c.crash(first);
        c.wait_for_leader(second);
        assert_eq!(c.consume(), of_2, "{eras}");
    }
}

/// A follower whose metadata is two elections old, with a record that its leader had in the first of its epochs and has
/// lost in the second. EPO-05.
#[test]
fn no_fetch_fencing_counts_a_zombie_replica_towards_the_high_watermark() {
    for (eras, committed) in [(Eras::NEWEST, false), (old(Era::NoFetchFencing), true)] {
        let mut c = Cluster::led_by_1(eras, "1", 10);
        // Broker 3 hears of everything six seconds late.
        c.link(CONTROLLER, 3, LinkSettings { latency: 6 * SECOND, jitter: Duration::ZERO });
        // Broker 2 does not get this record in time; broker 3 does.
        c.link(1, 2, LinkSettings { latency: SECOND / 2, jitter: Duration::ZERO });
        assert_eq!(c.produce_to(1, 1, "of epoch 0"), ErrorCode::None);
        assert_eq!((c.log_end(2), c.log_end(3)), (10, 11));
        c.prefer(&[2, 3, 1]);
        c.link(1, 2, LinkSettings::default());
        assert_eq!(c.produce_to(2, 1, "of epoch 1"), ErrorCode::None);
        c.run(SECOND);
        assert_eq!(c.log_end(1), 11, "broker 1 has the other record now");
        c.prefer(&[1, 2, 3]);
        assert_eq!(c.status(c.topic, 0).leader_epoch, 2);
        c.run(2 * SECOND);
        let zombie = c.status(c.topic, 0).logs[&NodeId(3)];
        assert_eq!((zombie.leader_epoch, zombie.log_end), (0, 11), "broker 3 has not heard of it");
        assert_eq!(c.high_watermark_of(1) == 11, committed, "{eras}");
    }
}

/// Broker 2 leads with a high watermark of 5, while everything up to 10 was committed before. ISR-02.
fn behind_its_predecessor(eras: Eras) -> Cluster {
    let mut c = Cluster::led_by_1(eras, "2", 5);
    for (from, to) in [(1, 3), (3, 1)] {
        c.cut(from, to);
    }
    for _ in 0..5 {
        assert_eq!(c.produce_to(1, 1, "known to 1 and 2"), ErrorCode::None);
    }
    // Broker 2 has them all; that they are committed does not reach it.
    c.cut(1, 2);
    c.wait_for_isr(&[1, 2]);
    assert_eq!((c.high_watermark_of(1), c.log_end(2), c.high_watermark_of(2)), (10, 10, 5));
    // Broker 3 asks broker 2, whose answers take a while.
    c.link(2, 3, LinkSettings { latency: 20 * SECOND, jitter: Duration::ZERO });
    c.crash(1);
    c.wait_for_leader(2);
    // Its first fetch may come before broker 2 knows that it leads.
    c.run(15 * SECOND);
    assert_eq!(c.log_end(3), 5);
    c
}

#[test]
fn isr_expand_hw_only_lets_a_replica_in_that_misses_committed_records() {
    for (eras, isr) in [(Eras::NEWEST, [2].as_slice()), (old(Era::IsrExpandHwOnly), &[2, 3])] {
        let c = behind_its_predecessor(eras);
        assert_eq!(c.status(c.topic, 0).isr, ids(isr), "{eras}");
    }
}

#[test]
fn no_offset_guard_shows_an_end_offset_that_has_gone_back() {
    let ended_at_5 = (ErrorCode::None, 5);
    for (eras, answer) in
        [(Eras::NEWEST, (ErrorCode::OffsetNotAvailable, -1)), (old(Era::NoOffsetGuard), ended_at_5)]
    {
        let mut c = behind_its_predecessor(eras);
        let latest = ListOffsetsPartition::default().with_current_leader_epoch(-1).with_timestamp(-1);
        let topic = ListOffsetsTopic::default().with_name(topic_name(c.topic)).with_partitions(vec![latest]);
        let request = ListOffsetsRequest::default().with_replica_id((-1).into()).with_topics(vec![topic]);
        let ResponseKind::ListOffsets(told) = c.ask(2, 8, request) else { panic!("another answer") };
        let told = &told.topics[0].partitions[0];
        assert_eq!((error(told.error_code), told.offset), answer, "{eras}");
    }
}

/// NET-01 with followers that are cut off too: the leader shrinks its ISR, and nobody hears of it. ISR-03.
#[test]
fn no_maximal_isr_lets_a_zombie_leader_commit_alone() {
    for (eras, outcome) in
        [(Eras::NEWEST, ErrorCode::RequestTimedOut), (old(Era::NoMaximalIsr), ErrorCode::None)]
    {
        let mut c = Cluster::led_by_1(eras, "1", 10);
        c.produce_timeout_ms = 60_000;
        for other in [2, 3, CONTROLLER] {
            c.cut(1, other);
            c.cut(other, 1);
        }
        assert_eq!(c.produce_to(1, -1, "acknowledged by a zombie"), outcome, "{eras}");
        assert_eq!((c.leader(c.topic, 0), c.log_end(2)), (2, 10), "the cluster has gone on without it");
    }
}

/// ISR-04.
#[test]
fn no_isr_fencing_lets_a_fenced_broker_into_the_isr() {
    for (eras, isr) in [(Eras::NEWEST, [1, 2].as_slice()), (old(Era::NoIsrFencing), &[1, 2, 3])] {
        let mut c = Cluster::led_by_1(eras, "2", 1);
        c.cut(3, CONTROLLER);
        c.wait_for_isr(&[1, 2]);
        c.produce(c.topic, 0, "fetched by the fenced broker too");
        c.run(5 * SECOND);
        assert_eq!(c.log_end(3), 2);
        assert_eq!(c.status(c.topic, 0).isr, ids(isr), "{eras}");
    }
}

/// ISR-05: a fetch outlives the incarnation that sent it.
#[test]
fn no_broker_epoch_lets_a_late_fetch_vouch_for_a_broker_that_lost_records() {
    for (eras, isr) in [(Eras::NEWEST, [1, 2].as_slice()), (old(Era::NoBrokerEpoch), &[1, 2, 3])] {
        let mut c = Cluster::led_by_1(eras, "1", 9);
        // The fetch that says that broker 3 has ten records is on its way for half a minute.
        c.link(3, 1, LinkSettings { latency: 30 * SECOND, jitter: Duration::ZERO });
        assert_eq!(c.produce_to(1, 1, "r9"), ErrorCode::None);
        assert_eq!(c.log_end(3), 10);
        c.cut(3, 1);
        c.command(Command::PowerLoss(NodeId(3)));
        c.boot(3);
        c.wait_for_isr(&[1, 2]);
        c.run(40 * SECOND);
        assert!(c.log_end(3) < 10, "the power loss took records");
        assert_eq!(c.status(c.topic, 0).isr, ids(isr), "{eras}");
    }
}

/// ELE-04.
#[test]
fn elr_elects_who_has_everything_instead_of_who_was_last() {
    for (eras, lost) in [(Eras::NEWEST, false), (old(Era::Elr), true)] {
        let mut c = Cluster::led_by_1(eras, "2", 10);
        c.crash(3);
        c.wait_for_isr(&[1, 2]);
        // In order, so that broker 2 is known to have everything when it returns.
        c.command(Command::Stop(NodeId(2)));
        c.wait_for_isr(&[1]);
        c.wait_for("the end of broker 2", 20 * SECOND, |c| !c.world.is_up(NodeId(2)));
        let elr = |c: &Cluster| c.status(c.topic, 0).elr;
        assert_eq!(elr(&c), if lost { ids(&[]) } else { ids(&[2]) }, "{eras}");
        assert_eq!(c.produce_to(1, 1, "@10"), ErrorCode::None);
        assert_eq!((c.log_end(1), c.high_watermark_of(1)), (11, 10));
        c.command(Command::PowerLoss(NodeId(1)));
        let topic = c.topic;
        c.wait_for("the fence", 20 * SECOND, |c| c.status(topic, 0).leader.is_none());
        let status = c.status(topic, 0);
        assert_eq!((status.leader_epoch, status.partition_epoch), (1, 3));
        if lost {
            assert_eq!(status.isr, ids(&[1]));
        } else {
            assert_eq!((status.isr, elr(&c)), (ids(&[]), ids(&[1, 2])));
        }
        c.boot(1);
        c.run(20 * SECOND);
        assert_eq!(c.status(topic, 0).leader, lost.then_some(NodeId(1)));
        let kept = c.log_end(1);
        assert!(kept < 10, "the power loss took records");
        c.boot(2);
        c.wait_for_leader(if lost { 1 } else { 2 });
        assert_eq!(c.status(topic, 0).leader_epoch, 2);
        c.wait_for("both to be in sync", 60 * SECOND, |c| c.status(topic, 0).isr.len() == 2);
        c.run(SECOND);
        let expected = if lost { kept } else { 10 };
        assert_eq!((c.log_end(1), c.log_end(2)), (expected, expected), "{eras}");
        assert_eq!(c.status(topic, 0).high_watermark(), Some(expected));
    }
}

/// A topic is allowed unclean elections while it has no leader. ELE-02.
#[test]
fn unclean_sweep_finds_a_leader_for_a_topic_that_was_allowed_one_late() {
    for (eras, leader) in [(Eras::NEWEST, Some(NodeId(2))), (old(Era::UncleanSweep), None)] {
        let mut c = Cluster::led_by_1(eras, "1", 6);
        c.crash(3);
        c.crash(2);
        c.wait_for_isr(&[1]);
        for _ in 0..4 {
            assert_eq!(c.produce_to(1, -1, "acknowledged by all of one"), ErrorCode::None);
        }
        c.crash(1);
        c.boot(2);
        c.run(20 * SECOND);
        assert_eq!(c.status(c.topic, 0).leader, None);
        let key = AlterableConfig::default()
            .with_name("unclean.leader.election.enable".into())
            .with_value(Some("true".into()));
        let resource = AlterConfigsResource::default()
            .with_resource_type(2)
            .with_resource_name(c.topic.into())
            .with_configs(vec![key]);
        let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
        let ResponseKind::IncrementalAlterConfigs(answer) = c.ask(2, 1, request) else {
            panic!("another answer")
        };
        assert_eq!(answer.responses[0].error_code, 0);
        c.run(301 * SECOND);
        assert_eq!(c.status(c.topic, 0).leader, leader, "{eras}");
    }
}
