//! What was acknowledged is there, once, where it was said to be, whatever crashed.

use std::collections::BTreeMap;

use klamm_world::PartitionStatus;

use crate::simulation::{Faults, Simulation, TOPIC};
use crate::{leave, seeds};

/// Runs one seed, and says what is wrong after it.
fn wrong(seed: u64) -> Vec<String> {
    let mut simulation = Simulation::new(seed);
    simulation.run(Faults { crashes: true, power_losses: false, skew: true });
    let world = &simulation.world;
    let mut wrong = Vec::new();
    for (topic, count) in world.topics() {
        for partition in 0..count {
            let status = world.partition(&topic, partition);
            if !status.as_ref().is_some_and(PartitionStatus::is_settled) {
                wrong.push(format!("{topic}-{partition} is not settled: {status:?}"));
            }
        }
    }
    let consumer = world.consumer(simulation.consumer).unwrap();
    wrong.extend(consumer.contradictions.iter().cloned());
    let mut seen = BTreeMap::<_, u32>::new();
    for record in consumer.records.values().flatten() {
        *seen.entry((record.producer, record.number)).or_default() += 1;
    }
    for (id, spec) in &simulation.producers {
        let report = world.producer(*id).unwrap();
        if report.failed > 0 {
            wrong.push(format!("client {} gave {} records up", id.0, report.failed));
        }
        // A partition may have been without a leader for longer than `delivery.timeout.ms`.
        let decided = report.records + report.expired;
        if decided < spec.records || report.expired > spec.records / 10 {
            wrong.push(format!("client {} got {} of {} records through", id.0, report.records, spec.records));
        }
        if spec.acks != -1 {
            continue;
        }
        for batch in &report.acknowledged {
            for (i, value) in batch.values.clone().enumerate() {
                let times = seen.get(&(id.0, value)).copied().unwrap_or(0);
                if times == 0 || (spec.idempotent && times > 1) {
                    wrong.push(format!("client {} value {value} was seen {times} times", id.0));
                }
                let (partition, offset) = (batch.partition, batch.base_offset + i as i64);
                let there = consumer.at(partition, offset).map(|record| (record.producer, record.number));
                if batch.base_offset >= 0 && there != Some((id.0, value)) {
                    wrong.push(format!(
                        "client {} value {value} is not at {offset} of {TOPIC}-{partition}",
                        id.0
                    ));
                }
            }
        }
    }
    wrong.truncate(10);
    if !wrong.is_empty() {
        wrong.push(format!("the whole story is in {}", leave(&simulation.story, seed)));
    }
    wrong
}

#[test]
fn acknowledged_records_survive_every_crash() {
    for seed in seeds(0..20) {
        let wrong = wrong(seed);
        assert!(wrong.is_empty(), "KLAMM_SEED={seed}: {wrong:#?}");
    }
}
