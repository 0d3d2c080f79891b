//! How fast simulated time passes: a busy cluster of three brokers, and whole seeds with every invariant checked.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use klamm_node::{NodeId, Timestamp, WallTime};
use klamm_sim::{Plan, Profile, Topic, Wanted, run};
use klamm_world::{
    BrokerSpec, ClientSpec, Command, ConsumerSpec, Input, LinkSettings, ProducerSpec, World, WorldSettings,
};

/// What was measured, a line each.
pub(crate) fn measure(quick: bool) -> String {
    let (seconds, runs) = if quick { (600, 3) } else { (3_600, 9) };
    // The runs are alike to the last event; only the machine differs.
    let (mut took, mut events) = (Vec::new(), 0);
    for _ in 0..runs {
        let (run, count) = busy(seconds);
        took.push(run.as_secs_f64());
        events = count;
    }
    took.sort_by(f64::total_cmp);
    let rates = |what: f64| {
        let [median, slowest, fastest] = [runs / 2, runs - 1, 0].map(|run| what / took[run]);
        format!("{median:.0} ({slowest:.0}..{fastest:.0})")
    };
    let mut lines = vec![format!(
        "busy cluster of 3, {seconds} simulated seconds, 200 records a second, median of {runs} runs (slowest..fastest): \
         {} simulated seconds a second, {} events a second",
        rates(seconds as f64),
        rates(events as f64)
    )];
    let seeds = if quick { 10 } else { 200 };
    for (name, profile) in [("default profile", Profile::Default), ("one small topic", Profile::Small)] {
        let begun = Instant::now();
        let (mut events, mut simulated) = (0, Duration::ZERO);
        for seed in 1..=seeds {
            let plan = Plan::draw(seed, &Wanted { profile, minutes: 1, ..Wanted::default() });
            let outcome = run(&plan);
            events += outcome.events;
            simulated += outcome.simulated;
        }
        let took = begun.elapsed().as_secs_f64();
        lines.push(format!(
            "{name}, every invariant checked: {:.0} seeds a minute, {:.0} events a second, {:.0} simulated seconds a second",
            seeds as f64 * 60.0 / took,
            events as f64 / took,
            simulated.as_secs_f64() / took
        ));
    }
    lines.join("\n")
}

/// Three brokers, a topic of three partitions and replicas, a producer that waits for all and one that does not, and a consumer:
/// how long they took, and how many events that was.
fn busy(seconds: u64) -> (Duration, u64) {
    let settings = WorldSettings {
        seed: 1,
        brokers: (1..=3)
            .map(|id| BrokerSpec {
                node: NodeId(id),
                host: "localhost".into(),
                port: 9092 + id as u16,
                rack: None,
            })
            .collect(),
        link: LinkSettings { latency: Duration::from_micros(500), jitter: Duration::ZERO },
        wall_epoch: WallTime(1_700_000_000_000),
        ..WorldSettings::default()
    };
    let mut world = World::new(settings, BTreeMap::new());
    let mut out = Vec::new();
    let mut command = |world: &mut World, command| {
        let now = world.now();
        world.handle(now, Input::Command(command), &mut out);
    };
    for id in [WorldSettings::FIRST_CONTROLLER, 1, 2, 3] {
        command(&mut world, Command::Start(NodeId(id)));
    }
    world.run_until(Timestamp::from_millis(2_000), |_, _| {});
    let name = "t".to_owned();
    let topic = Topic { name, partitions: 3, replicas: 3, min_isr: 2, unclean: false, segment_bytes: None };
    klamm_sim::create_topic(&mut world, NodeId(1), &topic);
    world.run_until(Timestamp::from_millis(3_000), |_, _| {});
    for (acks, idempotent) in [(-1, true), (1, false)] {
        let spec = ProducerSpec {
            topic: "t".into(),
            acks,
            idempotent,
            records: u64::MAX,
            batch: 10,
            interval: Duration::from_millis(100),
            in_flight: 5,
        };
        command(&mut world, Command::AddClient(ClientSpec::Producer(spec)));
    }
    let spec = ConsumerSpec { topic: "t".into(), max_wait_ms: 500, read_committed: false };
    command(&mut world, Command::AddClient(ClientSpec::Consumer(spec)));
    let begun = Instant::now();
    let end = world.now() + Duration::from_secs(seconds);
    let mut events = 0_u64;
    while world.step_next(end, &mut out) {
        events += 1;
        out.clear();
    }
    (begun.elapsed(), events)
}
