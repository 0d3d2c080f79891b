//! The share coordinator's deadlines.

/// A deadline of the share coordinator. Numbers are partitions of `__share_group_state`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ShareCoordinatorTimer {
    /// More of the log is to be loaded.
    Load(i32),
    /// An append has not been committed in time.
    WriteTimeout(i32),
    /// Redundant records are to be deleted.
    Prune,
    /// Share-partitions that nobody uses are to be written again.
    ColdSnapshots,
}
