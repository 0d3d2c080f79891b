//! What coordinators answer when the ISR falls below `min.insync.replicas` after they have written.
//!
//! Up to Kafka 3.6 the high watermark moves on then (KAFKA-15583), and a produce with acks=all ends with
//! `NOT_ENOUGH_REPLICAS_AFTER_APPEND`. The transaction coordinator appends as such a produce does (`ReplicaManager.appendRecords`) and
//! tells its clients `COORDINATOR_NOT_AVAILABLE`; the group coordinator only waits for the high watermark (`CoordinatorRuntime`).

use std::time::Duration;

use klamm_node::{Era, NodeId};
use klamm_wire::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use klamm_wire::messages::{
    FindCoordinatorRequest, GroupId, InitProducerIdRequest, OffsetCommitRequest, ResponseKind, TopicName,
    TransactionalId,
};
use klamm_wire::{ApiKey, BatchBuilder, ErrorCode, Request, Response};
use klamm_world::fault::{Fate, Link, Messages, NetworkFault};
use klamm_world::{Command, Input};

use crate::idle::{Cluster, WALL, produce_request, settings};

const SECOND: Duration = Duration::from_secs(1);
const NAME: &str = "t";

fn start(strict: bool) -> Cluster {
    let config = [
        ("offsets.topic.num.partitions", "1"),
        ("offsets.topic.replication.factor", "2"),
        ("transaction.state.log.num.partitions", "1"),
        ("transaction.state.log.replication.factor", "2"),
        ("transaction.state.log.min.isr", "2"),
        ("min.insync.replicas", "2"),
        ("replica.lag.time.max.ms", "1000"),
    ];
    let mut settings = settings(2, 1, &config.map(|(key, value)| (key, value.to_owned())));
    settings.eras = settings.eras.with(Era::StrictMinIsr, strict);
    let mut cluster = Cluster::start(settings);
    cluster.create(NAME, 1, 2, &[]);
    cluster
}

fn code(response: Option<Response>) -> ErrorCode {
    let Some(Response::Other(response)) = response else { panic!("{response:?}") };
    let code = match *response {
        ResponseKind::InitProducerId(answer) => answer.error_code,
        ResponseKind::OffsetCommit(answer) => answer.topics[0].partitions[0].error_code,
        ResponseKind::Produce(answer) => answer.responses[0].partition_responses[0].error_code,
        other => panic!("{other:?}"),
    };
    ErrorCode::from_code(code).unwrap()
}

/// The coordinator of [`NAME`], which is a group or a transactional id, once it is ready.
fn coordinator(cluster: &mut Cluster, key_type: i8) -> NodeId {
    for _ in 0..20 {
        let request = FindCoordinatorRequest::default()
            .with_key_type(key_type)
            .with_coordinator_keys(vec![NAME.into()]);
        let answer = cluster.ask(NodeId(1), ApiKey::FindCoordinator, 4, request.into());
        let Some(Response::Other(answer)) = answer else { panic!("{answer:?}") };
        let ResponseKind::FindCoordinator(answer) = *answer else { panic!("{answer:?}") };
        if answer.coordinators[0].error_code == 0 {
            return NodeId(answer.coordinators[0].node_id.0);
        }
        cluster.run(SECOND);
    }
    panic!("there is no coordinator");
}

fn commit() -> Request {
    let partition = OffsetCommitRequestPartition::default().with_committed_offset(1);
    let topic = OffsetCommitRequestTopic::default()
        .with_name(TopicName(NAME.into()))
        .with_partitions(vec![partition]);
    let request = OffsetCommitRequest::default()
        .with_group_id(GroupId(NAME.into()))
        .with_generation_id_or_member_epoch(-1)
        .with_topics(vec![topic]);
    request.into()
}

fn init() -> Request {
    let request = InitProducerIdRequest::default()
        .with_transactional_id(Some(TransactionalId(NAME.into())))
        .with_transaction_timeout_ms(20_000);
    request.into()
}

fn produce() -> Request {
    let mut batch = BatchBuilder::new();
    batch.push(WALL, Some(b"key"), Some(b"value"), &[]);
    produce_request(NAME, 0, batch.build().unwrap().to_bytes()).into()
}

/// What becomes of an append in the log of `asked`'s leader that loses its only follower right then.
fn alone(
    strict: bool,
    leader: impl FnOnce(&mut Cluster) -> NodeId,
    (key, version): (ApiKey, i16),
    request: fn() -> Request,
) -> (Cluster, NodeId, ErrorCode) {
    let mut cluster = start(strict);
    let leader = leader(&mut cluster);
    cluster.run(3 * SECOND);
    assert_eq!(code(cluster.ask(leader, key, version, request())), ErrorCode::None);
    let link = Link::between(NodeId(1), NodeId(2));
    let cut = NetworkFault::Cut { link, messages: Messages::All, fate: Fate::Lost };
    let cut = cluster.world.inject(cluster.world.now(), cut, &mut Vec::new()).unwrap();
    let answer = code(cluster.ask(leader, key, version, request()));
    cluster.input(Input::Command(Command::Heal(cut)));
    cluster.run(60 * SECOND);
    (cluster, leader, answer)
}

#[test]
fn a_produce_is_told_that_too_few_have_it() {
    let leader = |cluster: &mut Cluster| cluster.world.partition(NAME, 0).unwrap().leader.unwrap();
    let ask = (ApiKey::Produce, 9);
    assert_eq!(alone(false, leader, ask, produce).2, ErrorCode::NotEnoughReplicasAfterAppend);
    assert_eq!(alone(true, leader, ask, produce).2, ErrorCode::RequestTimedOut);
}

#[test]
fn the_group_coordinator_waits_for_the_high_watermark_alone() {
    let ask = (ApiKey::OffsetCommit, 8);
    assert_eq!(alone(false, |cluster| coordinator(cluster, 0), ask, commit).2, ErrorCode::None);
    let timed_out = alone(true, |cluster| coordinator(cluster, 0), ask, commit).2;
    assert_eq!(timed_out, ErrorCode::CoordinatorNotAvailable);
}

#[test]
fn the_transaction_coordinator_gives_up_what_too_few_have() {
    for strict in [false, true] {
        let ask = (ApiKey::InitProducerId, 4);
        let (mut cluster, leader, answer) = alone(strict, |cluster| coordinator(cluster, 1), ask, init);
        assert_eq!(answer, ErrorCode::CoordinatorNotAvailable, "strict: {strict}");
        // It was not taken over, so the next one is not in its way.
        assert_eq!(code(cluster.ask(leader, ApiKey::InitProducerId, 4, init())), ErrorCode::None);
    }
}
