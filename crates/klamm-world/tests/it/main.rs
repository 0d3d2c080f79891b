//! Whole clusters in virtual time.
#![expect(clippy::unwrap_used, reason = "a test may unwrap, and so may its helpers")]

mod coordinator_min_isr;
mod determinism;
mod durability;
mod faults;
mod idle;
mod max_timestamp;
mod quorum;
mod quorum_property;
mod scripted;
mod simulation;
mod topic_configs;
mod transactional;

/// The seeds to run: those of the range, or the one that the environment variable `KLAMM_SEED` names.
#[expect(clippy::disallowed_methods, reason = "a person repeats one seed through the environment")]
fn seeds(range: std::ops::Range<u64>) -> Vec<u64> {
    match std::env::var("KLAMM_SEED") {
        Ok(seed) => vec![seed.parse().unwrap()],
        Err(_) => range.collect(),
    }
}

/// Leaves a run's whole story in the temporary directory; where, for a person.
#[expect(clippy::disallowed_methods, reason = "a story is too long for a failure's message")]
fn leave(story: &str, seed: u64) -> String {
    let path = std::env::temp_dir().join(format!("klamm-seed-{seed}.txt"));
    std::fs::write(&path, story).unwrap();
    path.display().to_string()
}
