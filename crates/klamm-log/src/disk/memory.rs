//! A disk in memory: log files are ropes of shared slices.

/// A disk in memory.
#[derive(Debug, Clone, Default)]
pub struct MemoryDisk {}
