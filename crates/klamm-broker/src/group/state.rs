//! The five states of a classic group, and which may follow which (Kafka's `ClassicGroupState`).

/// State of a classic group.
///
/// ```text
/// Empty ──────────────▶ PreparingRebalance ◀───────── Stable
///   ▲                      │    ▲                        ▲
///   └──────────────────────┤    └──────────┐             │
///                          ▼               │             │
///                       CompletingRebalance ─────────────┘
/// ```
/// and from every state to `Dead`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ClassicState {
    /// No members; offsets may be kept.
    Empty,
    /// Waiting for the members to join (again).
    PreparingRebalance,
    /// Waiting for the leader's assignment.
    CompletingRebalance,
    /// Every member has its assignment.
    Stable,
    /// Unloaded or deleted.
    Dead,
}

impl ClassicState {
    /// Every state.
    #[cfg(test)]
    pub(crate) const ALL: [Self; 5] =
        [Self::Empty, Self::PreparingRebalance, Self::CompletingRebalance, Self::Stable, Self::Dead];

    /// Kafka's name of the state.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::PreparingRebalance => "PreparingRebalance",
            Self::CompletingRebalance => "CompletingRebalance",
            Self::Stable => "Stable",
            Self::Dead => "Dead",
        }
    }

    /// Whether a group in this state may change to `next`.
    pub(crate) const fn may_become(self, next: Self) -> bool {
        match next {
            Self::Empty | Self::CompletingRebalance => matches!(self, Self::PreparingRebalance),
            Self::PreparingRebalance => {
                matches!(self, Self::Stable | Self::CompletingRebalance | Self::Empty)
            }
            Self::Stable => matches!(self, Self::CompletingRebalance),
            Self::Dead => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::ClassicState;

    #[test]
    fn the_transition_table_is_kafkas() {
        let table: Vec<String> = ClassicState::ALL
            .iter()
            .map(|from| {
                let next: Vec<&str> =
                    ClassicState::ALL.iter().filter(|to| from.may_become(**to)).map(|to| to.name()).collect();
                format!("{} -> {}", from.name(), next.join(", "))
            })
            .collect();
        assert_eq!(
            table,
            [
                "Empty -> PreparingRebalance, Dead",
                "PreparingRebalance -> Empty, CompletingRebalance, Dead",
                "CompletingRebalance -> PreparingRebalance, Stable, Dead",
                "Stable -> PreparingRebalance, Dead",
                "Dead -> Dead",
            ]
        );
    }
}
