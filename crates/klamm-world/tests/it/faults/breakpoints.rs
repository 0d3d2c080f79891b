//! Named points at which a node is held.

use std::time::Duration;

use klamm_node::{NodeId, PausePoint};
use klamm_world::FaultId;
use klamm_world::fault::{Breakpoint, ClusterFault, Fate, Link, Messages, NetworkFault};

use super::{once, partition, persistent};
use crate::scripted::{Stage, TOPIC};

const SECOND: Duration = Duration::from_secs(1);
const MIN_ISR_2: &[(&str, &str)] = &[("replica.lag.time.max.ms", "2000"), ("min.insync.replicas", "2")];

fn wait_for(stage: &mut Stage, id: FaultId) {
    stage.run_until("the breakpoint", |world| world.fault(id).unwrap().held > 0);
}

#[test]
fn after_append_before_ack() {
    let mut stage = Stage::with_topic(1, &[]);
    let producer = stage.warm_producer(once());
    let id =
        stage.inject(Breakpoint::at(PausePoint::AfterAppendBeforeAck).partition(partition()).node(NodeId(1)));
    let op = stage.send(producer, "a");
    wait_for(&mut stage, id);
    assert_eq!(stage.partition().high_watermark(), Some(2));
    assert!(stage.world.client_op(producer, op).unwrap().ended.is_none());
    stage.heal(id);
    stage.result(producer, op).unwrap();
}

/// The race that alone answers NOT_ENOUGH_REPLICAS_AFTER_APPEND since Kafka 3.7: the high watermark has passed the records
/// while the ISR was large enough, and the ISR shrinks before the purgatory looks.
#[test]
fn after_hw_advance_before_purgatory() {
    let mut stage = Stage::with_topic(2, MIN_ISR_2);
    let producer = stage.warm_producer(super::ScriptedProducerSpec {
        idempotent: false,
        retries: 0,
        ..super::ScriptedProducerSpec::default()
    });
    let point =
        Breakpoint::at(PausePoint::AfterHwAdvanceBeforePurgatory).node(NodeId(1)).partition(partition());
    let id = stage.inject(point);
    let op = stage.send(producer, "a");
    wait_for(&mut stage, id);
    assert_eq!(stage.partition().logs[&NodeId(1)].high_watermark, 2, "it has moved");
    stage.run(SECOND);
    assert!(stage.world.client_op(producer, op).unwrap().ended.is_none(), "but nobody was told");
    stage.crash(2);
    stage.crash(3);
    stage.run_until("an ISR of one", |world| world.partition(TOPIC, 0).unwrap().isr.len() == 1);
    stage.run(SECOND);
    stage.heal(id);
    let error = stage.result(producer, op).unwrap_err();
    assert_eq!(error.name(), "NOT_ENOUGH_REPLICAS_AFTER_APPEND");
    assert_eq!(stage.fired(id), 1);
}

#[test]
fn a_proposed_isr_is_held_on_its_way_and_on_its_way_back() {
    for (at, seen) in [(PausePoint::AlterPartitionInFlight, 3), (PausePoint::AlterPartitionAnswerInFlight, 2)]
    {
        let mut stage = Stage::with_topic(3, MIN_ISR_2);
        stage.warm_producer(once());
        let id = stage.inject(Breakpoint::at(at).node(NodeId(1)).partition(partition()));
        stage.inject(NetworkFault::cut(Link::between(3, 1)));
        let producer = stage.producer(persistent(true));
        let op = stage.send(producer, "a");
        wait_for(&mut stage, id);
        assert_eq!(stage.partition().isr.len(), seen, "{at}: what the controller has");
        stage.run(SECOND);
        // What the controller has decided the leader may also learn from the metadata log.
        let ended = stage.world.client_op(producer, op).unwrap().ended.is_some();
        assert_eq!(ended, at == PausePoint::AlterPartitionAnswerInFlight, "the larger ISR counts");
        stage.heal(id);
        stage.result(producer, op).unwrap();
    }
}

#[test]
fn between_truncate_and_fetch() {
    let mut stage = Stage::with_topic(4, &[("replica.lag.time.max.ms", "60000")]);
    let producer = stage.producer(super::ScriptedProducerSpec {
        acks: 1,
        idempotent: false,
        retries: 0,
        ..super::ScriptedProducerSpec::default()
    });
    stage.sent(producer, "a");
    stage.run(SECOND);
    // Broker 1 appends what nobody fetches, and another leads.
    let cuts = [2, 3].map(|node| {
        let link = Link::between(1, node);
        stage.inject(NetworkFault::Cut { link, messages: Messages::All, fate: Fate::Lost })
    });
    stage.sent(producer, "lost");
    stage.inject(ClusterFault::MoveLeader { partition: partition(), to: NodeId(2) });
    stage.run(SECOND);
    let id = stage.inject(Breakpoint::at(PausePoint::BetweenTruncateAndFetch).node(NodeId(1)));
    for cut in cuts {
        stage.heal(cut);
    }
    wait_for(&mut stage, id);
    let other = stage.producer(once());
    let op = stage.send(other, "b");
    stage.run(SECOND);
    assert_eq!(stage.partition().logs[&NodeId(1)].log_end, 1, "cut off, and nothing fetched");
    assert_eq!(stage.partition().logs[&NodeId(2)].log_end, 2);
    stage.heal(id);
    let _ = stage.result(other, op);
    stage.run_until("one log", |world| world.partition(TOPIC, 0).unwrap().is_settled());
    assert_eq!(stage.partition().log_end(), Some(2));
}

#[test]
fn a_followers_fetch_answer_is_held() {
    let mut stage = Stage::with_topic(5, &[]);
    let producer = stage.warm_producer(once());
    stage.run(SECOND);
    let point =
        Breakpoint::at(PausePoint::FollowerFetchAnswerInFlight).node(NodeId(2)).partition(partition());
    let id = stage.inject(point);
    let op = stage.send(producer, "a");
    wait_for(&mut stage, id);
    stage.run(Duration::from_millis(500));
    assert_eq!(stage.partition().logs[&NodeId(2)].log_end, 1);
    assert_eq!(stage.partition().logs[&NodeId(3)].log_end, 2);
    stage.heal(id);
    stage.result(producer, op).unwrap();
}

#[test]
fn metadata_that_no_other_controller_has_is_not_committed() {
    let settings = crate::quorum::settings(6, 1);
    let mut cluster = crate::quorum::Cluster::ready(settings);
    let active = cluster.world.quorum().into_iter().find(|(_, view)| view.state == "Leader").unwrap().0;
    let now = cluster.world.now();
    let point = Breakpoint::at(PausePoint::AfterMetadataAppendBeforeReplication).node(active);
    let id = cluster.world.inject(now, point, &mut Vec::new()).unwrap();
    let before = cluster.world.quorum()[&active];
    // The broker goes: a record that fences it is appended, and goes nowhere.
    cluster.command(klamm_world::Command::Crash(NodeId(1)));
    cluster.wait_for(60, "the breakpoint", |world| world.fault(id).unwrap().held > 0);
    let held = cluster.world.quorum()[&active];
    assert!(held.log_end > before.log_end, "{before:?} {held:?}");
    assert_eq!(held.high_watermark, before.high_watermark);
    cluster.command(klamm_world::Command::Heal(id));
    cluster.wait_for(60, "the commit", |world| {
        world.quorum().values().any(|view| view.state == "Leader" && view.high_watermark >= held.log_end)
    });
}
