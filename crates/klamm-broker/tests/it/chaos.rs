//! Random histories: whatever crashes and however slow the network is, what was acknowledged stays.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::BytesMut;
use klamm_node::{NodeId, Rng};
use klamm_wire::ErrorCode;
use klamm_wire::record::batch::BatchIter;
use klamm_world::{Command, LinkSettings};

use crate::cluster::{Cluster, Outcome, Sent, fetch};

const PARTITIONS: i32 = 2;

/// Every value in a replica's log below its high watermark, with its offset.
fn read_all(c: &mut Cluster, partition: i32) -> BTreeMap<String, Vec<i64>> {
    let mut values: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    let mut offset = 0;
    let end = c.status("t", partition).high_watermark().expect("there is a leader");
    while offset < end {
        let leader = c.leader("t", partition);
        let sent = c.send(leader, 12, fetch("t", partition, offset, 0));
        c.wait_for("a read", Duration::from_secs(5), |c| c.outcome(sent).is_some());
        let answer = &c.fetched(sent).topics[0].partitions[0];
        assert_eq!(answer.error_code, ErrorCode::None);
        let mut bytes = BytesMut::new();
        answer.records.iter().for_each(|slice| bytes.extend_from_slice(slice));
        for batch in BatchIter::new(bytes.freeze()) {
            let batch = batch.expect("a whole batch");
            let records = batch.records(1 << 20).expect("records");
            for record in &records {
                let record = record.expect("a record");
                let value = String::from_utf8(record.value.expect("a value").to_vec()).expect("text");
                values
                    .entry(value)
                    .or_default()
                    .push(batch.header.base_offset + i64::from(record.offset_delta));
            }
            offset = batch.header.next_offset();
        }
    }
    values
}

fn history(seed: u64) {
    let mut rng = Rng::stream(seed, "chaos");
    let mut c = Cluster::start(3, &[("min.insync.replicas", "2"), ("replica.lag.time.max.ms", "4000")]);
    c.create_topic("t", PARTITIONS, 3, &[]);
    let mut sent: Vec<(Sent, i32, String, i16)> = Vec::new();
    let mut down: Vec<i32> = Vec::new();
    for step in 0..120 {
        match rng.below(20) {
            0 if down.len() < 2 => {
                let up: Vec<i32> = (1..=3).filter(|broker| !down.contains(broker)).collect();
                let broker = up[rng.below(up.len() as u64) as usize];
                let command = if rng.chance(0.3) { Command::Stop } else { Command::Crash };
                c.command(command(NodeId(broker)));
                down.push(broker);
            }
            1 | 2 if !down.is_empty() => {
                let broker = down.remove(rng.below(down.len() as u64) as usize);
                c.wait_for("the broker to be down", Duration::from_secs(400), |c| {
                    !c.world.is_up(NodeId(broker))
                });
                c.command(Command::Start(NodeId(broker)));
            }
            3 | 4 => {
                let nodes = [1, 2, 3, 100];
                let (from, to) = (nodes[rng.below(4) as usize], nodes[rng.below(4) as usize]);
                let latency = Duration::from_millis([0, 1, 20, 3_000, 12_000][rng.below(5) as usize]);
                let link = LinkSettings { latency, jitter: latency / 2 };
                c.command(Command::SetLink { from: NodeId(from), to: NodeId(to), link });
            }
            5..=7 => c.run(Duration::from_millis(rng.below(4_000))),
            _ => {
                let partition = rng.below(PARTITIONS as u64) as i32;
                let Some(leader) = c.status("t", partition).leader.filter(|id| !down.contains(&id.0)) else {
                    c.run(Duration::from_millis(500));
                    continue;
                };
                let acks = if rng.chance(0.3) { 1 } else { -1 };
                let value = format!("{step}");
                // Not one after the other on one connection: an answer may be long in coming.
                c.connect(leader.0);
                let request = c.send_produce(leader.0, "t", partition, acks, &value);
                sent.push((request, partition, value, acks));
            }
        }
        for partition in 0..PARTITIONS {
            for (broker, log) in &c.status("t", partition).logs {
                assert!(log.high_watermark <= log.log_end, "seed {seed}: broker {broker} {log:?}");
            }
        }
    }
    for from in [1, 2, 3, 100] {
        for to in [1, 2, 3, 100] {
            let link = LinkSettings::default();
            c.command(Command::SetLink { from: NodeId(from), to: NodeId(to), link });
        }
    }
    c.run(Duration::from_secs(20));
    for broker in down {
        c.wait_for("the broker to be down", Duration::from_secs(400), |c| !c.world.is_up(NodeId(broker)));
        c.command(Command::Start(NodeId(broker)));
    }
    c.wait_for("the cluster to be ready", Duration::from_secs(120), |c| c.world.is_ready());
    for partition in 0..PARTITIONS {
        c.wait_for("every replica to be in sync", Duration::from_secs(120), |c| {
            c.status("t", partition).is_settled()
        });
    }
    c.run(Duration::from_secs(10));
    let stored: Vec<_> = (0..PARTITIONS).map(|partition| read_all(&mut c, partition)).collect();
    for (request, partition, value, acks) in sent {
        let Some(Outcome::Answered(_)) = c.outcome(request) else { continue };
        let answer = c.produced(request);
        if acks == -1 && answer.error_code == 0 {
            let at = stored[partition as usize].get(&value);
            assert_eq!(at, Some(&vec![answer.base_offset]), "seed {seed}: {value} was acknowledged");
        }
    }
}

#[test]
fn what_was_acknowledged_by_all_stays_whatever_happens() {
    for seed in 0..25 {
        history(seed);
    }
}
