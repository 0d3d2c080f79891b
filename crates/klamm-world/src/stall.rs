//! What to tell a person when nodes answer each other without end.

use std::collections::BTreeMap;
use std::fmt;

use klamm_node::Timestamp;

/// The world took more steps at one moment than its budget allows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Stall {
    /// When.
    pub at: Timestamp,
    /// How many steps were taken without time moving.
    pub steps: u64,
    /// What the last of them were, most frequent first.
    pub culprits: Vec<(String, u64)>,
}

impl fmt::Display for Stall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} steps at {} without time moving; most of the last were", self.steps, self.at)?;
        for (what, times) in &self.culprits {
            write!(f, "\n  {times:>6} × {what}")?;
        }
        Ok(())
    }
}

/// Counts the steps taken at one moment, and names them shortly before the budget is used up.
#[derive(Debug, Clone)]
pub(crate) struct StepBudget {
    limit: u64,
    taken: u64,
    seen: BTreeMap<String, u64>,
}

impl StepBudget {
    /// How many of the last steps are named.
    const NAMED: u64 = 1_000;

    pub(crate) const fn new(limit: u64) -> Self {
        Self { limit, taken: 0, seen: BTreeMap::new() }
    }

    /// Time moved, or something came from outside.
    pub(crate) fn reset(&mut self) {
        self.taken = 0;
        if !self.seen.is_empty() {
            self.seen.clear();
        }
    }

    /// Counts a step. `name` is asked only when the end is near.
    pub(crate) fn take(&mut self, at: Timestamp, name: impl FnOnce() -> String) -> Result<(), Stall> {
        self.taken += 1;
        if self.taken + Self::NAMED < self.limit {
            return Ok(());
        }
        *self.seen.entry(name()).or_default() += 1;
        if self.taken < self.limit {
            return Ok(());
        }
        let mut culprits: Vec<_> = std::mem::take(&mut self.seen).into_iter().collect();
        culprits.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        culprits.truncate(8);
        Err(Stall { at, steps: self.taken, culprits })
    }
}
