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
    let seconds = if quick { 60 } else { 3_600 };
    let mut lines = vec![busy(seconds)];
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

/// Three brokers, a topic of three partitions and replicas, a producer that waits for all and one that does not, and a consumer.
fn busy(seconds: u64) -> String {
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
    let took = begun.elapsed().as_secs_f64();
    format!(
        "busy cluster of 3, {seconds} simulated seconds, 200 records a second: {:.0} simulated seconds a second, {:.0} events a second",
        seconds as f64 / took,
        events as f64 / took
    )
}
