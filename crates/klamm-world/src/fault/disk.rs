//! What can happen to a node's disk.

use std::fmt;
use std::time::Duration;

use klamm_node::TopicPartition;

/// Which files.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum DiskScope {
    /// Every file.
    #[default]
    Everything,
    /// A partition's files.
    Partition(TopicPartition),
    /// A file, or the files under a directory, by its path on the disk.
    Path(String),
}

impl fmt::Display for DiskScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everything => f.write_str("everything"),
            Self::Partition(partition) => partition.fmt(f),
            Self::Path(path) => f.write_str(path),
        }
    }
}

/// What is done to files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskOperation {
    /// Reading.
    Read,
    /// Writing, and changing directories.
    Write,
    /// Making durable (fsync).
    Flush,
}

impl fmt::Display for DiskOperation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Flush => "flush",
        })
    }
}

/// What a power loss leaves of what was written and not flushed. Flushed bytes always stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// Nothing.
    Nothing,
    /// All of it.
    Everything,
    /// Its first bytes, in each file.
    Bytes(u64),
    /// Every record below this offset.
    UpTo {
        /// The first offset that is lost.
        offset: i64,
    },
    /// Every record below this offset, and the first bytes of the batch behind: a torn write.
    Torn {
        /// The first offset that is lost.
        offset: i64,
        /// How much of its batch stays; less than all of it.
        bytes: u64,
    },
}

impl fmt::Display for Keep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("nothing"),
            Self::Everything => f.write_str("everything"),
            Self::Bytes(bytes) => write!(f, "{bytes} bytes"),
            Self::UpTo { offset } => write!(f, "records up to offset {offset}"),
            Self::Torn { offset, bytes } => {
                write!(f, "records up to offset {offset} and {bytes} bytes of the next batch")
            }
        }
    }
}

/// A byte on a disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A byte of the batch that holds a record.
    Batch {
        /// The partition.
        partition: TopicPartition,
        /// The record's offset.
        offset: i64,
        /// Which byte of its batch; 0 is the first of the batch's base offset, 61 the first behind its header.
        byte: u32,
    },
    /// A byte of a file.
    File {
        /// Its path on the disk.
        path: String,
        /// The byte's position.
        position: u64,
    },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Batch { partition, offset, byte } => {
                write!(f, "byte {byte} of the batch of {partition} at offset {offset}")
            }
            Self::File { path, position } => write!(f, "byte {position} of {path}"),
        }
    }
}

/// What happens to a node's disk, until healed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DiskFault {
    /// Writes fail for want of space.
    Full {
        /// Where.
        scope: DiskScope,
        /// So many bytes fit first.
        after_bytes: u64,
    },
    /// Operations fail.
    Error {
        /// Where.
        scope: DiskScope,
        /// Which.
        on: DiskOperation,
        /// So many fail; `None` for all.
        times: Option<u32>,
    },
    /// Operations take longer: the step that asks for one is done so much later.
    Slow {
        /// Where.
        scope: DiskScope,
        /// Which.
        on: DiskOperation,
        /// How much, for each.
        by: Duration,
    },
    /// The next power loss leaves this of what was not flushed.
    AtPowerLoss {
        /// Where; a partition's log for the kinds of [`Keep`] that name offsets.
        scope: DiskScope,
        /// What stays.
        keep: Keep,
    },
    /// Bits of a stored byte flip. Nobody is told, and healing does not flip them back.
    BitRot {
        /// Which byte.
        place: Place,
        /// Which bits; 0 means all.
        mask: u8,
    },
    /// A directory cannot be reached: everything that touches it fails. Healed, it is back, with what it held.
    LostDirectory {
        /// Where.
        scope: DiskScope,
    },
}

impl fmt::Display for DiskFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full { scope, after_bytes: 0 } => write!(f, "full for {scope}"),
            Self::Full { scope, after_bytes } => write!(f, "full for {scope} after {after_bytes} bytes"),
            Self::Error { scope, on, times } => {
                write!(f, "{on} errors on {scope}")?;
                times.map_or(Ok(()), |times| write!(f, ", {times} times"))
            }
            Self::Slow { scope, on, by } => write!(f, "{on} on {scope} slow by {by:?}"),
            Self::AtPowerLoss { scope, keep } => write!(f, "the next power loss leaves {keep} of {scope}"),
            Self::BitRot { place, mask } => write!(f, "bit rot at {place} (mask {mask:#04x})"),
            Self::LostDirectory { scope } => write!(f, "lost directory of {scope}"),
        }
    }
}
