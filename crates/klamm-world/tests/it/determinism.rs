//! The same seed, the same history.

use crate::seeds;
use crate::simulation::{Faults, Simulation};

const ALL: Faults = Faults { crashes: true, power_losses: true, skew: true };

fn story(seed: u64) -> String {
    let mut simulation = Simulation::new(seed);
    simulation.run(ALL);
    let clients = simulation.producers.iter().map(|(id, _)| simulation.world.producer(*id));
    let clients =
        format!("{:?}\n{:?}", clients.collect::<Vec<_>>(), simulation.world.consumer(simulation.consumer));
    format!("{}{}{clients}", simulation.story, simulation.world.status())
}

#[test]
fn random_workloads_run_twice_have_one_history() {
    for seed in seeds(0..8) {
        let (first, second) = (story(seed), story(seed));
        assert!(first.len() > 10_000, "seed {seed} told next to nothing");
        if let Some((a, b)) = first.lines().zip(second.lines()).find(|(a, b)| a != b) {
            panic!("KLAMM_SEED={seed}: two runs differ, first at\n{a}\n{b}");
        }
        assert_eq!(first.len(), second.len(), "seed {seed}");
    }
}

#[test]
fn different_seeds_have_different_histories() {
    assert_ne!(story(100), story(101));
}
