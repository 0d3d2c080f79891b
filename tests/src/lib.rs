//! Helpers for the cross-crate and real-client tests: Apache Kafka as a yardstick, other people's clients as programs,
//! and the `klamm` binary as a process.
//!
//! Nothing here names one of klamm's own crates, so that `cargo xtask clients` and `cargo xtask bench` can use it
//! without building the cluster.

pub mod browser;
pub mod clients;
pub mod history;
pub mod java;
pub mod kafka;
pub mod probe;
pub mod process;
pub mod serve;
pub mod toolchain;
pub mod tools;
pub mod workspace;

use std::time::{Duration, Instant};

/// How long anything may take that a test waits for. No test takes so long, unless something hangs: a machine that is busy with much
/// else must not fail one.
pub const PATIENCE: Duration = Duration::from_secs(100);

/// Polls `condition` until it gives a value or `deadline` has passed; `None` then.
///
/// It yields the processor for a moment between two looks, so a condition that holds already costs nothing.
pub fn wait_until<T>(deadline: Duration, mut condition: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + deadline;
    loop {
        if let Some(value) = condition() {
            return Some(value);
        }
        if Instant::now() >= end {
            return None;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
