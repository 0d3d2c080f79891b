//! The controller goes away and comes back under a running cluster.

use std::time::Duration;

use klamm_node::{NodeId, TraceKind};
use klamm_wire::ErrorCode;
use klamm_wire::messages::create_topics_request::CreatableTopic;
use klamm_wire::messages::{CreateTopicsRequest, ResponseKind};
use klamm_world::{Command, WorldSettings};

use crate::cluster::{Cluster, topic_name};

const CONTROLLER: NodeId = NodeId(WorldSettings::FIRST_CONTROLLER);

fn epochs(c: &Cluster) -> Vec<i64> {
    let image = c.world.metadata().expect("a controller runs");
    image.cluster.brokers().map(|broker| broker.epoch).collect()
}

#[test]
fn the_data_path_does_not_need_the_controller() {
    let mut c = Cluster::start(3, &[]);
    c.create_topic("t", 1, 3, &[("min.insync.replicas", "2")]);
    c.produce("t", 0, "before");
    let (leader, before) = (c.leader("t", 0), epochs(&c));
    for command in [Command::Crash, Command::PowerLoss, Command::Stop] {
        c.command(command(CONTROLLER));
        assert!(!c.world.is_up(CONTROLLER));
        let sent = c.send_produce(leader, "t", 0, -1, "meanwhile");
        c.wait_for("an ack", Duration::from_secs(1), |c| c.outcome(sent).is_some());
        assert_eq!(c.produced(sent).error_code, 0);

        // Longer than a session: a new controller gives every broker a fresh one.
        c.run(Duration::from_secs(15));
        c.command(Command::Start(CONTROLLER));
        c.run(Duration::from_secs(15));
        assert_eq!(epochs(&c), before, "nobody had to register again");
        assert_eq!(c.leader("t", 0), leader);
        assert_eq!(c.status("t", 0).isr.len(), 3);
    }
    let fenced =
        c.world.trace().events().filter(|event| matches!(event.kind, TraceKind::BrokerFenced { .. }));
    assert_eq!(fenced.count(), 0);
    assert_eq!(c.produce("t", 0, "after"), 4);
    c.create_topic("u", 3, 3, &[]);
}

#[test]
fn a_broker_that_dies_while_there_is_no_controller_is_fenced_by_the_next_one() {
    let mut c = Cluster::start(3, &[]);
    c.create_topic("t", 1, 3, &[]);
    c.produce("t", 0, "a");
    let leader = c.leader("t", 0);
    c.command(Command::Crash(CONTROLLER));
    c.command(Command::Crash(NodeId(leader)));
    c.run(Duration::from_secs(60));
    c.command(Command::Start(CONTROLLER));
    let activated = c.now;
    c.wait_for("another leader", Duration::from_secs(20), |c| {
        c.world.partition("t", 0).is_some_and(|p| p.leader.is_some_and(|now| now != NodeId(leader)))
    });
    let took = c.now.since(activated);
    assert!(took > Duration::from_secs(9) && took < Duration::from_secs(12), "{took:?}");
    assert_eq!(c.produce("t", 0, "b"), 1);
}

#[test]
fn a_topic_asked_for_without_a_controller_is_an_error_or_made_later() {
    let mut c = Cluster::start(3, &[]);
    c.command(Command::Crash(CONTROLLER));
    let topic = CreatableTopic::default()
        .with_name(topic_name("t"))
        .with_num_partitions(1)
        .with_replication_factor(3);
    let request = CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(3_000);
    let sent = c.send(1, 7, request);
    c.run(Duration::from_secs(1));
    c.command(Command::Start(CONTROLLER));
    c.wait_for("an answer", Duration::from_secs(60), |c| c.outcome(sent).is_some());
    let ResponseKind::CreateTopics(answer) = c.answer(sent) else { panic!("another answer") };
    let code = ErrorCode::from_code(answer.topics[0].error_code).expect("a code of Kafka's");
    let exists = c.world.metadata().is_some_and(|image| image.topics.id("t").is_some());
    assert_eq!(code == ErrorCode::None, exists, "{code}");
}

#[test]
fn a_whole_cluster_stops_at_once() {
    let mut c = Cluster::start(3, &[]);
    c.create_topic("t", 6, 3, &[]);
    c.produce("t", 0, "a");
    c.run(Duration::from_millis(1_300));
    let asked = c.now;
    for broker in 1..=3 {
        c.command(Command::Stop(NodeId(broker)));
    }
    c.wait_for("every broker to stop", Duration::from_secs(10), |c| {
        (1..=3).all(|id| !c.world.is_up(NodeId(id)))
    });
    // Nobody waits for a broker that is on its way down to learn who leads.
    let took = c.now.since(asked);
    assert!(took < Duration::from_millis(100), "{took:?}");
}
