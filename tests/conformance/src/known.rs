//! Differences that are meant: each is told in `docs/differences.md`.

/// A step in which klamm is meant to answer differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// The subject.
    pub subject: &'static str,
    /// The step's label.
    pub label: &'static str,
    /// Why.
    pub reason: &'static str,
}

/// Every one of them. One that no longer differs fails the comparison, so that the list stays true.
pub const KNOWN: &[Known] = &[];
