//! What the checker finds.

use std::collections::BTreeSet;
use std::fmt;

use klamm_node::Timestamp;

/// When an invariant is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// After every event that touches what it is about.
    Event,
    /// Every few simulated seconds, and at the end.
    Checkpoint,
    /// When faults have healed and the time that recovery may take is over.
    Healed,
}

/// An invariant: what must hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Invariant {
    /// Its id: `S1`, `K5` …
    pub id: &'static str,
    /// Its name.
    pub name: &'static str,
    /// What must hold.
    pub statement: &'static str,
    /// When it is checked.
    pub when: When,
}

/// An invariant that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub invariant: Invariant,
    /// When.
    pub at: Timestamp,
    /// Of what: a partition, a node, a group.
    pub subject: String,
    /// How.
    pub what: String,
}

/// A loss that Kafka does not promise to prevent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpectedLoss {
    /// When.
    pub at: Timestamp,
    /// Of what.
    pub subject: String,
    /// What was lost.
    pub what: String,
    /// Why nobody promised otherwise.
    pub excuse: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Invariant { id, name, statement, .. } = self.invariant;
        write!(
            f,
            "{id} {name} does not hold at {} for {}: {}\n  {id}: {statement}",
            self.at, self.subject, self.what
        )
    }
}

impl fmt::Display for ExpectedLoss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} expected loss in {}: {} ({})", self.at, self.subject, self.what, self.excuse)
    }
}

/// Collects what is found: each invariant once a subject.
#[derive(Debug, Clone, Default)]
pub(crate) struct Report {
    pub(crate) at: Timestamp,
    pub(crate) violations: Vec<Violation>,
    pub(crate) losses: Vec<ExpectedLoss>,
    seen: BTreeSet<(&'static str, String)>,
}

impl Report {
    /// An invariant does not hold.
    pub(crate) fn violation(&mut self, invariant: Invariant, subject: &dyn fmt::Display, what: String) {
        let subject = subject.to_string();
        if self.seen.insert((invariant.id, subject.clone())) {
            self.violations.push(Violation { invariant, at: self.at, subject, what });
        }
    }

    /// What another found, as found now.
    pub(crate) fn add(&mut self, other: Self) {
        for Violation { invariant, subject, what, .. } in other.violations {
            self.violation(invariant, &subject, what);
        }
    }

    /// A loss that the faults excuse.
    pub(crate) fn loss(&mut self, subject: &dyn fmt::Display, what: String, excuse: String) {
        self.losses.push(ExpectedLoss { at: self.at, subject: subject.to_string(), what, excuse });
    }

    /// A violation, or an expected loss where there is an excuse for one.
    pub(crate) fn violation_unless(
        &mut self,
        excuse: Option<String>,
        invariant: Invariant,
        subject: &dyn fmt::Display,
        what: String,
    ) {
        match excuse {
            None => self.violation(invariant, subject, what),
            Some(excuse) => {
                if self.seen.insert((invariant.id, format!("{subject} {what}"))) {
                    self.loss(subject, format!("{} {what}", invariant.id), excuse);
                }
            }
        }
    }
}
