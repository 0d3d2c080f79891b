//! What a producer does, and what it is told.

use std::time::Duration;

use klamm_node::NodeId;
use klamm_wire::ErrorCode;
use klamm_world::scripted::{
    ClientError, ClientOp, ClientSettings, HistoryEvent, NewRecord, ScriptedProducerSpec, SendOp,
};
use klamm_world::{ClientId, Command};

use super::{CONTROLLER, Stage, TOPIC};

const MIN_ISR_2: &[(&str, &str)] = &[("min.insync.replicas", "2"), ("replica.lag.time.max.ms", "1000")];

fn plain(acks: i16, retries: u32) -> ScriptedProducerSpec {
    ScriptedProducerSpec { acks, idempotent: false, retries, ..ScriptedProducerSpec::default() }
}

fn attempts(stage: &Stage, client: ClientId) -> Vec<(NodeId, u32)> {
    let entries = stage.world.client_history().entries().filter(|entry| entry.client == client);
    entries
        .filter_map(|entry| match &entry.event {
            HistoryEvent::Sent { to, attempt, .. } => Some((*to, *attempt)),
            _ => None,
        })
        .collect()
}

#[test]
fn a_batch_is_acknowledged_with_its_offset_and_time() {
    let mut stage = Stage::with_topic(1, &[]);
    let producer = stage.producer(ScriptedProducerSpec::default());
    let first = stage.sent(producer, "a");
    assert_eq!((first.base_offset, first.attempts), (Some(0), 1));
    let record = NewRecord { timestamp: Some(1_700_000_000_007), ..NewRecord::keyed("k", "b") };
    let send = SendOp { records: vec![record; 3], ..SendOp::new(TOPIC, 0, ["x"]) };
    let op = stage.ask(producer, ClientOp::Send(send));
    let second = stage.result(producer, op).unwrap();
    let second = second.produced().unwrap();
    assert_eq!((second.base_offset, second.timestamp), (Some(1), 1_700_000_000_007));
    assert_eq!(stage.sent(producer, "c").base_offset, Some(4));
    assert_eq!(stage.partition().high_watermark(), Some(5));
}

#[test]
fn acks_0_and_1_and_all_end_when_they_say() {
    let mut stage = Stage::with_topic(2, &[]);
    let clients = [0, 1, -1].map(|acks| stage.producer(plain(acks, 0)));
    for client in clients {
        stage.sent(client, "warm the connection up");
    }
    let asked = stage.world.now();
    let took = clients.map(|client| {
        let op = stage.send(client, "x");
        let produced = stage.result(client, op).unwrap().produced().unwrap().clone();
        (produced.base_offset.is_some(), stage.ended_at(client, op).since(asked).as_millis())
    });
    // One millisecond there, one back; and for acks=all the followers' fetches between.
    assert_eq!(took[0], (false, 0));
    assert_eq!(took[1], (true, 2));
    assert!(took[2].0 && took[2].1 > took[1].1, "{took:?}");
}

#[test]
fn too_small_an_isr_is_an_error_for_who_does_not_retry() {
    let mut stage = Stage::with_topic(3, MIN_ISR_2);
    let (strict, lax) = (stage.producer(plain(-1, 0)), stage.producer(plain(1, 0)));
    stage.sent(strict, "a");
    stage.crash(2);
    stage.crash(3);
    stage.run_until("an ISR of one", |world| world.partition(TOPIC, 0).unwrap().isr.len() == 1);
    assert_eq!(stage.refused(strict, "b"), "NOT_ENOUGH_REPLICAS");
    assert_eq!(stage.sent(lax, "c").base_offset, Some(1));
}

#[test]
fn who_retries_gets_through_once_the_isr_has_grown() {
    let mut stage = Stage::with_topic(4, MIN_ISR_2);
    let producer = stage.producer(ScriptedProducerSpec::default());
    stage.sent(producer, "a");
    stage.crash(2);
    stage.crash(3);
    stage.run_until("an ISR of one", |world| world.partition(TOPIC, 0).unwrap().isr.len() == 1);
    let op = stage.send(producer, "b");
    stage.run(Duration::from_secs(20));
    assert!(stage.world.client_op(producer, op).unwrap().ended.is_none());
    // The backoff doubles up to a second: 100, 200, 400, 800, 1000 … give or take a fifth.
    let sends = attempts(&stage, producer).len();
    assert!((20..30).contains(&sends), "{sends} attempts");
    stage.start(2);
    let produced = stage.result(producer, op).unwrap();
    assert_eq!(produced.produced().unwrap().base_offset, Some(1));
}

#[test]
fn what_is_not_delivered_in_time_fails() {
    let mut stage = Stage::with_topic(5, MIN_ISR_2);
    let producer = stage.producer(ScriptedProducerSpec::default());
    stage.sent(producer, "a");
    stage.crash(2);
    stage.crash(3);
    stage.run_until("an ISR of one", |world| world.partition(TOPIC, 0).unwrap().isr.len() == 1);
    let op = stage.send(producer, "b");
    let asked = stage.world.now();
    assert_eq!(stage.result(producer, op).unwrap_err(), ClientError::DeliveryTimedOut);
    assert_eq!(stage.ended_at(producer, op).since(asked), Duration::from_secs(120));
    // The batch had a sequence and may be in the log, for all the producer knows: the next comes under another epoch.
    stage.start(2);
    stage.start(3);
    stage.run(Duration::from_secs(5));
    assert_eq!(stage.sent(producer, "c").base_offset, Some(1));
    let epochs: Vec<_> = stage
        .world
        .client_history()
        .entries()
        .filter_map(|entry| match entry.event {
            HistoryEvent::Sent { producer: Some((_, epoch, sequence)), .. } => Some((epoch, sequence)),
            _ => None,
        })
        .collect();
    assert_eq!((epochs[0], epochs[1], epochs[epochs.len() - 1]), ((0, 0), (0, 1), (1, 0)), "{epochs:?}");
}

#[test]
fn a_leader_that_crashes_is_found_again_elsewhere() {
    let mut stage = Stage::with_topic(6, MIN_ISR_2);
    let producer = stage.producer(ScriptedProducerSpec::default());
    stage.sent(producer, "a");
    stage.crash(1);
    let produced = stage.sent(producer, "b");
    assert_eq!(produced.base_offset, Some(1));
    let to: Vec<_> = attempts(&stage, producer).into_iter().map(|(to, _)| to).collect();
    assert_eq!(to[0], NodeId(1));
    assert_eq!(to.last(), Some(&NodeId(2)), "the next replica leads");
}

#[test]
fn without_retries_a_broken_connection_is_the_end() {
    let mut stage = Stage::with_topic(7, &[]);
    let producer = stage.producer(plain(-1, 0));
    stage.sent(producer, "a");
    let op = stage.send(producer, "b");
    // The request is on its way, or the answer is.
    stage.crash(1);
    assert_eq!(stage.result(producer, op).unwrap_err(), ClientError::Disconnected);
    let doubt = stage.world.client_history().entries().any(|entry| {
        entry.op == Some(op) && matches!(entry.event, HistoryEvent::SendFailed { maybe_appended: true, .. })
    });
    assert!(doubt, "nobody knows whether it was written");
}

#[test]
fn a_broker_that_does_not_answer_is_given_up() {
    let mut stage = Stage::with_topic(8, &[]);
    let client = ClientSettings { request_timeout: Duration::from_secs(5), ..ClientSettings::named("p") };
    let producer = stage.producer(ScriptedProducerSpec { client, ..plain(-1, 0) });
    stage.sent(producer, "a");
    let node = stage.world.client_node(producer).unwrap();
    let link = klamm_world::LinkSettings { latency: Duration::from_secs(3600), jitter: Duration::ZERO };
    stage.command(Command::SetLink { from: NodeId(1), to: node, link });
    let asked = stage.world.now();
    let op = stage.send(producer, "b");
    assert_eq!(stage.result(producer, op).unwrap_err(), ClientError::RequestTimedOut);
    assert_eq!(stage.ended_at(producer, op).since(asked), Duration::from_secs(5));
    assert_eq!(stage.partition().log_end(), Some(2), "it was written nevertheless");
}

#[test]
fn a_topic_that_nobody_knows_times_out() {
    let mut stage = Stage::new(9, &[("auto.create.topics.enable", "false")]);
    let producer = stage.producer(ScriptedProducerSpec::default());
    let op = stage.send(producer, "a");
    let asked = stage.world.now();
    assert_eq!(stage.result(producer, op).unwrap_err(), ClientError::MetadataTimedOut);
    assert_eq!(stage.ended_at(producer, op).since(asked), Duration::from_secs(60));
    let bad = stage.ask(producer, ClientOp::Send(SendOp::new("no topic can be called this", 0, ["a"])));
    let error = stage.result(producer, bad).unwrap_err();
    assert_eq!(error, ClientError::Broker(ErrorCode::InvalidTopicException));
}

#[test]
fn a_producer_with_old_metadata_is_told_the_new_leader_only_if_it_listens() {
    let mut stage = Stage::with_topic(10, MIN_ISR_2);
    let (stale, fresh) = (stage.producer(plain(-1, 0)), stage.producer(ScriptedProducerSpec::default()));
    stage.sent(stale, "a");
    stage.sent(fresh, "b");
    let freeze = stage.ask(stale, ClientOp::FreezeMetadata(true));
    stage.result(stale, freeze).unwrap();
    stage.command(Command::Stop(NodeId(1)));
    stage.run_until("broker 1 to be down", |world| !world.is_up(NodeId(1)));
    stage.start(1);
    stage.run_until("broker 1 to follow", |world| world.partition(TOPIC, 0).unwrap().isr.len() == 3);
    assert_eq!(stage.refused(stale, "c"), "NOT_LEADER_OR_FOLLOWER");
    assert_eq!(stage.refused(stale, "d"), "NOT_LEADER_OR_FOLLOWER", "it never learns");
    assert_eq!(stage.sent(fresh, "e").base_offset, Some(2));
}

#[test]
fn a_batch_goes_to_the_broker_it_is_addressed_to() {
    let mut stage = Stage::with_topic(11, &[]);
    let producer = stage.producer(plain(-1, 0));
    let op = stage.ask(producer, ClientOp::Send(SendOp::new(TOPIC, 0, ["a"]).to(NodeId(3))));
    assert_eq!(stage.result(producer, op).unwrap_err().name(), "NOT_LEADER_OR_FOLLOWER");
    assert_eq!(attempts(&stage, producer), [(NodeId(3), 1)]);
}

#[test]
fn five_batches_in_flight_keep_their_order_through_a_crash() {
    let mut stage = Stage::with_topic(12, MIN_ISR_2);
    let producer = stage.producer(ScriptedProducerSpec::default());
    stage.sent(producer, "first");
    let ops: Vec<_> = (0..20).map(|_| stage.send(producer, "x")).collect();
    stage.run(Duration::from_micros(1_500));
    stage.crash(1);
    let offsets: Vec<_> = ops
        .iter()
        .map(|op| stage.result(producer, *op).unwrap().produced().unwrap().base_offset.unwrap())
        .collect();
    assert_eq!(offsets, (1..=20).collect::<Vec<_>>());
    let flush = stage.ask(producer, ClientOp::Flush);
    assert!(stage.world.client_op(producer, flush).unwrap().ended.is_some(), "there is nothing to wait for");
}

#[test]
fn a_flush_ends_with_the_last_send_before_it() {
    let mut stage = Stage::with_topic(13, &[]);
    let producer = stage.producer(ScriptedProducerSpec::default());
    let sends = [stage.send(producer, "a"), stage.send(producer, "b")];
    let flush = stage.ask(producer, ClientOp::Flush);
    stage.result(producer, flush).unwrap();
    for send in sends {
        assert!(stage.world.client_op(producer, send).unwrap().ended.is_some());
    }
}

#[test]
fn contradictions_and_orders_to_the_wrong_client_are_refused() {
    let mut stage = Stage::with_topic(14, &[]);
    let wrong = ScriptedProducerSpec { acks: 1, ..ScriptedProducerSpec::default() };
    let producer = stage.producer(wrong);
    let op = stage.send(producer, "a");
    let error = stage.result(producer, op).unwrap_err();
    assert_eq!(error, ClientError::Unsupported("enable.idempotence asks for acks=all".to_owned()));
    let op = stage.ask(stage.admin, ClientOp::Flush);
    assert_eq!(stage.result(stage.admin, op).unwrap_err().name(), "UNSUPPORTED");
    stage.command(Command::StopClient(producer));
    let op = stage.send(producer, "b");
    assert_eq!(stage.result(producer, op).unwrap_err(), ClientError::Stopped);
}

#[test]
fn the_controller_may_be_down_while_records_flow() {
    let mut stage = Stage::with_topic(15, &[]);
    let producer = stage.producer(ScriptedProducerSpec::default());
    stage.sent(producer, "a");
    stage.command(Command::Crash(CONTROLLER));
    assert_eq!(stage.sent(producer, "b").base_offset, Some(1));
}

#[test]
fn clients_show_in_the_trace() {
    let mut stage = Stage::with_topic(16, &[]);
    let producer = stage.producer(plain(-1, 0));
    stage.sent(producer, "a");
    stage.command(Command::Crash(NodeId(1)));
    let op = stage.send(producer, "b");
    stage.result(producer, op).ok();
    let story = stage.story();
    for said in
        ["producer sends 1 records of t-0 to 1, attempt 1", "producer has 1 records of t-0 acknowledged at 0"]
    {
        assert!(story.contains(said), "{story}");
    }
}
