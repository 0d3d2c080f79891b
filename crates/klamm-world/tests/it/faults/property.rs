//! Random faults: once they are healed the cluster is one again, and the same seed tells the same story.

use std::time::Duration;

use klamm_node::{NodeId, Rng};
use klamm_wire::{ApiKey, ErrorCode};
use klamm_world::fault::{
    Chance, ClusterFault, DiskFault, DiskOperation, DiskScope, Fate, Link, Messages, NetworkFault, NodeFault,
    Peer, RequestAction, RequestMatch,
};
use klamm_world::{ClientSpec, Command, Fault, ProducerSpec};

use super::{CONTROLLER, partition};
use crate::scripted::{Stage, TOPIC};
use crate::{leave, seeds};

fn random_fault(rng: &mut Rng) -> Fault {
    let millis = |rng: &mut Rng, below| Duration::from_millis(rng.below(below));
    let nodes = [1, 2, 3, CONTROLLER.0];
    let node = NodeId(nodes[rng.below(4) as usize]);
    let ends: [Peer; 5] = [1.into(), 2.into(), 3.into(), CONTROLLER.into(), Peer::Clients];
    let from = rng.below(5) as usize;
    let to = (from + 1 + rng.below(4) as usize) % 5;
    let link = Link { from: ends[from], to: ends[to], both_ways: rng.below(2) == 0 };
    let fate = if rng.below(2) == 0 { Fate::Held } else { Fate::Lost };
    match rng.below(4) {
        0 => {
            let apis = [
                ApiKey::Produce,
                ApiKey::Fetch,
                ApiKey::Metadata,
                ApiKey::AlterPartition,
                ApiKey::BrokerHeartbeat,
            ];
            let on = RequestMatch::api(apis[rng.below(5) as usize]).chance(Chance::percent(30));
            let on = if rng.below(2) == 0 { on } else { on.nth(1 + rng.below(5) as u32) };
            let action = match rng.below(10) {
                0 => RequestAction::Error(ErrorCode::NotLeaderOrFollower),
                1 => RequestAction::Delay(millis(rng, 3_000)),
                2 => RequestAction::DelayAnswer(millis(rng, 3_000)),
                3 => RequestAction::Drop,
                4 => RequestAction::DropAnswer,
                5 => RequestAction::Hold,
                6 => RequestAction::CloseBefore,
                7 => RequestAction::CloseAfter,
                8 => RequestAction::Corrupt { byte: rng.below(200) as u32, mask: 0 },
                _ => RequestAction::Throttle(millis(rng, 100)),
            };
            on.then(action).into()
        }
        1 => {
            let fault = match rng.below(7) {
                0 => NodeFault::Crash,
                1 => NodeFault::Restart,
                2 => NodeFault::Pause,
                3 => NodeFault::Slow { by: millis(rng, 5) },
                4 => NodeFault::WallClock { millis: rng.below(40_000) as i64 - 20_000 },
                5 => NodeFault::MonotonicClock { by: millis(rng, 30_000) },
                _ => NodeFault::Drift { ppm: rng.below(1_000_000) as i32 - 500_000 },
            };
            Fault::Node { node, fault }
        }
        2 => match rng.below(5) {
            0 => NetworkFault::Cut { link, messages: Messages::All, fate }.into(),
            1 => NetworkFault::Latency { link, by: millis(rng, 500) }.into(),
            2 => NetworkFault::Jitter { link, up_to: millis(rng, 500) }.into(),
            3 => NetworkFault::Bandwidth { link, bytes_per_second: 1_000 + rng.below(100_000) }.into(),
            _ => NetworkFault::Reset { link }.into(),
        },
        _ => match rng.below(3) {
            0 => ClusterFault::MoveLeader { partition: partition(), to: node }.into(),
            1 => ClusterFault::HoldIsr { partition: partition() }.into(),
            _ => {
                let slow = DiskFault::Slow {
                    scope: DiskScope::Everything,
                    on: DiskOperation::Write,
                    by: millis(rng, 20),
                };
                Fault::Disk { node, fault: slow }
            }
        },
    }
}

fn run(seed: u64) -> (u64, String) {
    let mut rng = Rng::stream(seed, "faults");
    let mut stage = Stage::with_topic(seed, &[("replica.lag.time.max.ms", "5000")]);
    let producer = stage.add(ClientSpec::Producer(ProducerSpec {
        topic: TOPIC.into(),
        acks: -1,
        idempotent: true,
        records: 300,
        batch: 3,
        interval: Duration::from_millis(100),
        in_flight: 3,
    }));
    for _ in 0..12 {
        // What cannot be is refused, which is fine.
        let _ = stage.try_inject(random_fault(&mut rng));
        stage.run(Duration::from_millis(rng.below(4_000)));
        if rng.below(3) == 0 {
            stage.command(Command::HealAll);
        }
    }
    stage.command(Command::HealAll);
    for node in [CONTROLLER.0, 1, 2, 3] {
        stage.start(node);
    }
    stage.run(Duration::from_secs(300));
    let status = stage.partition();
    let all = stage.world.producer(producer).unwrap().acknowledged.len();
    if !(stage.world.is_ready() && status.is_settled()) {
        let path = leave(&stage.story(), seed);
        panic!(
            "seed {seed}: not one cluster again, story in {path}\n{}{:?}",
            stage.world.status(),
            stage.world.faults()
        );
    }
    assert!(stage.world.faults().iter().all(|fault| fault.held == 0 && !fault.armed));
    (stage.world.trace().hash(), format!("{status} {all}"))
}

#[test]
fn random_faults_that_are_healed_leave_one_cluster_and_the_same_story_twice() {
    for seed in seeds(0..40) {
        let first = run(seed);
        if seed % 8 == 0 {
            assert_eq!(first, run(seed), "seed {seed}");
        }
    }
}

#[test]
fn a_world_without_faults_does_not_notice_that_there_could_be_some() {
    let story = |with_healed: bool| {
        let mut stage = Stage::with_topic(7, &[]);
        if with_healed {
            let on = RequestMatch::any().nth(1_000_000);
            let ids = [
                stage.inject(on.then(RequestAction::Drop)),
                stage.inject(NetworkFault::Latency { link: Link::between(1, 2), by: Duration::from_secs(1) }),
            ];
            for id in ids {
                stage.heal(id);
            }
        }
        let producer = stage.warm_producer(super::once());
        for value in ["a", "b", "c"] {
            stage.sent(producer, value);
        }
        let events = stage.story();
        events
            .lines()
            .filter(|line| !line.contains("fault #"))
            .map(|line| format!("{line}\n"))
            .collect::<String>()
    };
    assert_eq!(story(false), story(true));
}
