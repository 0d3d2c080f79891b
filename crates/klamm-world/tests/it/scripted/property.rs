//! Whatever crashes, an idempotent producer's records are there once and in order, and what was acknowledged is where it
//! was said to be.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use klamm_node::{NodeId, Rng};
use klamm_world::scripted::{ClientError, ClientOp, HistoryEvent, OpId, ScriptedProducerSpec, SendOp};
use klamm_world::{ClientSpec, Command, ConsumerSpec, LinkSettings, PartitionStatus};

use super::{CONTROLLER, Stage, TOPIC};
use crate::seeds;

const PARTITIONS: i32 = 3;

fn value(partition: i32, number: u64) -> [u8; 8] {
    ((partition as u64) << 32 | number).to_be_bytes()
}

/// Runs one seed, and says what is wrong after it.
fn wrong(seed: u64) -> Vec<String> {
    let mut rng = Rng::stream(seed, "test");
    let config = [("min.insync.replicas", "2"), ("replica.lag.time.max.ms", "3000")];
    let mut stage = Stage::new(seed, &config);
    stage.create_topic(TOPIC, &[&[1, 2, 3], &[2, 3, 1], &[3, 1, 2]]);
    let delivery_timeout = Duration::from_secs(if rng.chance(0.5) { 120 } else { 15 });
    let mut client = klamm_world::scripted::ClientSettings::named("p");
    client.request_timeout = Duration::from_secs(5);
    let spec = ScriptedProducerSpec {
        client,
        delivery_timeout,
        max_in_flight: 1 + rng.below(5) as usize,
        ..ScriptedProducerSpec::default()
    };
    let producer = stage.producer(spec);
    let reader = stage.add(ClientSpec::Consumer(ConsumerSpec {
        topic: TOPIC.into(),
        max_wait_ms: 500,
        read_committed: false,
    }));
    let mut sends: BTreeMap<OpId, (i32, u64)> = BTreeMap::new();
    let mut next = [0_u64; PARTITIONS as usize];
    for _ in 0..150 {
        for _ in 0..rng.below(4) {
            let partition = rng.below(PARTITIONS as u64) as i32;
            let number = next[partition as usize];
            next[partition as usize] += 1;
            // The load's key and value, so that its consumer remembers them.
            let record = klamm_world::scripted::NewRecord::keyed(
                Bytes::copy_from_slice(&0_u32.to_be_bytes()),
                Bytes::copy_from_slice(&value(partition, number)),
            );
            let send = SendOp { records: vec![record], ..SendOp::new(TOPIC, partition, ["x"]) };
            let op = stage.ask(producer, ClientOp::Send(send));
            sends.insert(op, (partition, number));
        }
        stage.run(Duration::from_millis(rng.below(800)));
        let node = NodeId(1 + rng.below(3) as i32);
        match rng.below(12) {
            0 | 1 => stage.command(Command::Crash(node)),
            2 => stage.command(Command::Stop(node)),
            3 => stage.command(Command::Crash(CONTROLLER)),
            4 => {
                let to = stage.world.client_node(producer).unwrap();
                let latency = Duration::from_millis(rng.below(3) * 4_000);
                stage.command(Command::SetLink {
                    from: node,
                    to,
                    link: LinkSettings { latency, jitter: Duration::from_millis(5) },
                });
            }
            5..8 => {
                stage.command(Command::Start(CONTROLLER));
                stage.command(Command::Start(node));
            }
            _ => {}
        }
    }
    for _ in 0..2 {
        for node in [CONTROLLER, NodeId(1), NodeId(2), NodeId(3)] {
            stage.command(Command::Start(node));
            let to = stage.world.client_node(producer).unwrap();
            stage.command(Command::SetLink { from: node, to, link: LinkSettings::default() });
        }
        stage.run(Duration::from_secs(200));
    }
    let mut wrong = Vec::new();
    let world = &stage.world;
    let logs: Vec<Vec<u64>> = (0..PARTITIONS)
        .map(|partition| {
            let status = world.partition(TOPIC, partition);
            if !status.as_ref().is_some_and(PartitionStatus::is_settled) {
                wrong.push(format!("{TOPIC}-{partition} is not settled: {status:?}"));
            }
            let report = world.consumer(reader).unwrap();
            let records = report.records.get(&partition).into_iter().flatten();
            records.map(|record| record.number & 0xffff_ffff).collect()
        })
        .collect();
    wrong.extend(world.consumer(reader).unwrap().contradictions.iter().cloned());
    for (partition, log) in logs.iter().enumerate() {
        if !log.is_sorted_by(|a, b| a < b) {
            wrong.push(format!("{TOPIC}-{partition} has duplicates, or is out of order: {log:?}"));
        }
    }
    let doubtful: Vec<_> = world
        .client_history()
        .entries()
        .filter(|entry| matches!(entry.event, HistoryEvent::SendFailed { maybe_appended: true, .. }))
        .filter_map(|entry| entry.op)
        .collect();
    for (op, (partition, number)) in &sends {
        let log = &logs[*partition as usize];
        let at = log.iter().position(|value| value == number);
        match world.client_op(producer, *op).unwrap().result() {
            Some(Ok(value)) => {
                let offset = value.produced().unwrap().base_offset;
                if at.is_none() || offset.is_some_and(|offset| offset != at.unwrap() as i64) {
                    wrong.push(format!(
                        "{number} was acknowledged at {offset:?} of {partition}, but is at {at:?}"
                    ));
                }
            }
            Some(Err(ClientError::DeliveryTimedOut)) => {
                if at.is_some() && !doubtful.contains(op) {
                    wrong.push(format!("{number} of {partition} failed without doubt, but is at {at:?}"));
                }
            }
            other => wrong.push(format!("{number} of {partition}: {other:?}")),
        }
    }
    wrong.truncate(10);
    if !wrong.is_empty() {
        wrong.push(format!("the whole story is in {}", crate::leave(&stage.story(), seed)));
    }
    wrong
}

#[test]
fn an_idempotent_producer_neither_loses_nor_doubles_nor_reorders() {
    for seed in seeds(0..20) {
        let wrong = wrong(seed);
        assert!(wrong.is_empty(), "KLAMM_SEED={seed}: {wrong:#?}");
    }
}
