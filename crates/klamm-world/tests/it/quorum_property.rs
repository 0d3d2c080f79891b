//! Whatever happens to controllers, the quorum's rules hold after every event (SIMULATION's K1 to K7), and what was acknowledged
//! is there in the end.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use klamm_log::disk::FlushOutcome;
use klamm_node::{NodeId, Rng, TraceKind};
use klamm_wire::ErrorCode;
use klamm_wire::record::batch::BatchIter;
use klamm_world::{Command, FaultId, Input, QuorumView, World};

use crate::quorum::{CONTROLLERS, Cluster, settings};

/// What a checker remembers of the quorum.
#[derive(Default)]
struct Ghost {
    leaders: BTreeMap<i32, NodeId>,
    votes: BTreeMap<(NodeId, i32), NodeId>,
    epochs: BTreeMap<NodeId, i32>,
    /// The durable end of each log; a controller that is down still has it.
    ends: BTreeMap<NodeId, i64>,
    high_watermark: i64,
    /// What each committed batch is, by its base offset.
    committed: BTreeMap<i64, Vec<u8>>,
    /// How far each controller's committed batches were compared.
    compared: BTreeMap<NodeId, i64>,
}

impl Ghost {
    fn check(&mut self, world: &World) {
        let quorum = world.quorum();
        for (id, view) in &quorum {
            self.check_one(world, *id, view);
        }
        let current =
            quorum.iter().filter(|(_, view)| view.state == "Leader").max_by_key(|(_, view)| view.epoch);
        if let Some((id, view)) = current
            && view.high_watermark >= 0
        {
            assert!(
                view.high_watermark >= self.high_watermark,
                "K3 the high watermark went back at {id}: {view:?}"
            );
            self.high_watermark = view.high_watermark;
            let have = self.ends.values().filter(|end| **end >= view.high_watermark).count();
            assert!(have >= 2, "K4 a majority has not reached {}: {:?}", view.high_watermark, self.ends);
            let start = view.epoch_start.unwrap();
            assert!(view.high_watermark > start, "K8 {id} exposes records of older epochs only: {view:?}");
        }
    }

    fn check_one(&mut self, world: &World, id: NodeId, view: &QuorumView) {
        if view.state == "Leader" {
            let leader = *self.leaders.entry(view.epoch).or_insert(id);
            assert_eq!(leader, id, "K1 two leaders of epoch {}", view.epoch);
        }
        let before = self.epochs.insert(id, view.epoch).unwrap_or(0);
        assert!(view.epoch >= before, "K2 the epoch of {id} went from {before} to {}", view.epoch);
        if let Some(voted) = view.voted_for {
            let before = *self.votes.entry((id, view.epoch)).or_insert(voted);
            assert_eq!(before, voted, "K2 {id} voted twice in epoch {}", view.epoch);
        }
        // What was durable stays so unless it is truncated, though a restarted process does not know it at once.
        let durable = self.ends.get(&id).copied().unwrap_or(0).min(view.log_end).max(view.flushed);
        self.ends.insert(id, durable);
        if view.log_start > 0 {
            let snapshot = view.earliest_snapshot.expect("K6 a log that does not begin at 0 has a snapshot");
            assert!(snapshot.0 >= view.log_start, "K6 {id}: {view:?}");
        }
        self.compare(world, id, view);
    }

    /// K5: committed batches are the same everywhere and for ever.
    fn compare(&mut self, world: &World, id: NodeId, view: &QuorumView) {
        let from = self.compared.get(&id).copied().unwrap_or(0).max(view.log_start);
        if view.high_watermark <= from {
            return;
        }
        let mut joined = Vec::new();
        world.metadata_log(id, from).iter().for_each(|piece| joined.extend_from_slice(piece));
        for batch in BatchIter::new(joined.into()) {
            let batch = batch.unwrap();
            if batch.header.next_offset() > view.high_watermark {
                break;
            }
            let bytes = batch.to_bytes().to_vec();
            let known = self.committed.entry(batch.header.base_offset).or_insert_with(|| bytes.clone());
            assert!(
                *known == bytes,
                "K5 offset {} of {id} is not what was committed",
                batch.header.base_offset
            );
            self.compared.insert(id, batch.header.next_offset());
        }
    }
}

struct Run {
    cluster: Cluster,
    rng: Rng,
    ghost: Ghost,
    asked: BTreeMap<String, u64>,
    cut: Option<FaultId>,
    /// Fsyncs under way, and how many events they still take.
    flushes: Vec<(u64, NodeId, FlushOutcome)>,
}

impl Run {
    fn new(seed: u64) -> Self {
        let mut settings = settings(seed, 2);
        settings.deferred_flush = seed % 2 == 1;
        let small = [
            ("metadata.log.max.record.bytes.between.snapshots", "1500"),
            ("metadata.max.retention.bytes", "1000"),
            ("controller.quorum.fetch.snapshot.max.bytes", "700"),
        ];
        settings.config = small.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        let rng = Rng::stream(seed, "quorum test");
        let cluster = Cluster::new(settings);
        Self { cluster, rng, ghost: Ghost::default(), asked: BTreeMap::new(), cut: None, flushes: Vec::new() }
    }

    fn run_for(&mut self, time: Duration) {
        let end = self.cluster.world.now() + time;
        while self.cluster.step(end) {
            self.ghost.check(&self.cluster.world);
            self.flush();
        }
        self.flush();
    }

    /// Lets fsyncs take a while.
    fn flush(&mut self) {
        for (node, job) in self.cluster.world.take_flush_jobs() {
            self.flushes.push((self.rng.below(4), node, job.run()));
        }
        let mut later = Vec::new();
        for (events, node, outcome) in std::mem::take(&mut self.flushes) {
            if events > 0 {
                later.push((events - 1, node, outcome));
            } else {
                self.cluster.input(Input::Flushed { node, outcome });
                self.ghost.check(&self.cluster.world);
            }
        }
        self.flushes.extend(later);
    }

    /// A fsync of a process that has ended tells its successor nothing.
    fn end(&mut self, command: Command, node: NodeId) {
        self.flushes.retain(|(_, of, _)| *of != node);
        self.cluster.command(command);
        for (of, job) in self.cluster.world.take_flush_jobs() {
            if of != node {
                self.flushes.push((0, of, job.run()));
            }
        }
    }

    fn disturb(&mut self) {
        let node = CONTROLLERS[self.rng.below(3) as usize];
        match self.rng.below(9) {
            0 => self.end(Command::Crash(node), node),
            1 => self.end(Command::PowerLoss(node), node),
            2 => self.end(Command::Stop(node), node),
            3 | 4 => self.cluster.command(Command::Start(node)),
            5 if self.cut.is_none() => {
                let mut away = vec![node];
                if self.rng.chance(0.5) {
                    away.push(NodeId(1 + self.rng.below(2) as i32));
                }
                self.cut = Some(self.cluster.isolate(&away));
            }
            6 => {
                if let Some(cut) = self.cut.take() {
                    self.cluster.heal(cut);
                }
            }
            _ => {
                let name = format!("t{}", self.asked.len());
                let asked = self.cluster.ask_for_topic(1 + self.rng.below(2) as i32, &name, 1, 30_000);
                self.asked.insert(name, asked);
            }
        }
    }

    fn converge(&mut self, seed: u64) {
        if let Some(cut) = self.cut.take() {
            self.cluster.heal(cut);
        }
        for node in CONTROLLERS {
            self.cluster.command(Command::Start(node));
        }
        for _ in 0..60 {
            self.run_for(Duration::from_secs(1));
            let quorum = self.cluster.world.quorum();
            let ends: BTreeSet<_> = quorum.values().map(|view| (view.log_end, view.high_watermark)).collect();
            if self.cluster.world.is_ready() && quorum.len() == 3 && ends.len() == 1 {
                return;
            }
        }
        panic!("seed {seed}: no convergence:\n{:#?}\n{}", self.cluster.world.quorum(), self.cluster.story());
    }
}

fn run(seed: u64) -> (u64, usize) {
    let mut run = Run::new(seed);
    run.run_for(Duration::from_secs(3));
    for _ in 0..60 {
        let pause = Duration::from_millis(run.rng.below(3) * run.rng.below(4_000));
        run.disturb();
        run.run_for(pause);
    }
    run.converge(seed);
    for (name, asked) in &run.asked {
        if run.cluster.answer(*asked) == Some(ErrorCode::None) {
            let metadata = run.cluster.world.metadata().unwrap();
            assert!(
                metadata.topics.by_name(name).is_some(),
                "seed {seed}: {name} was acknowledged and is lost"
            );
        }
    }
    let trace = run.cluster.world.trace();
    let loaded =
        trace.events().filter(|event| matches!(event.kind, TraceKind::SnapshotLoaded { .. })).count();
    (trace.hash(), loaded)
}

#[test]
fn the_rules_of_the_quorum_hold_whatever_happens_to_controllers() {
    let mut loaded = 0;
    for seed in crate::seeds(0..30) {
        let (hash, snapshots) = run(seed);
        loaded += snapshots;
        if seed < 4 {
            assert_eq!(hash, run(seed).0, "seed {seed} has two histories");
        }
    }
    assert!(loaded > 0, "nobody ever lagged so far that a snapshot was loaded");
}
