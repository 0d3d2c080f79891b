//! The log-segment storage engine: Kafka's on-disk layout behind [`Disk`], without clocks, threads or ambient randomness.
//!
//! A [`Log`] is one replica of one partition: segments with their indexes, the leader-epoch cache, producer state. It owns no
//! file: the disk is passed to each call, so that a node's logs and its disk are plain values. [`LogManager`] is what stands
//! around the logs in a log directory: checkpoints, the clean-shutdown mark, deletion.
//!
//! Reading order: [`disk`] (what a file is), `segment` and `index`, then [`Log`] in `log`, `append`, `follow`, `read`,
//! `truncate`, `roll`, `retention`, `recovery`.

mod append;
pub mod checkpoint;
mod cleaner;
pub mod config;
pub mod disk;
mod error;
mod follow;
mod headers;
mod idle;
mod index;
mod leader_epoch_cache;
mod log;
mod manager;
mod names;
pub mod producer_state;
mod read;
mod recovery;
mod retention;
mod roll;
mod segment;
mod timestamp;
mod truncate;
mod validate;
mod verify;

pub use cleaner::{CleanReport, Cleanable, CleanerSettings};
pub use config::LogConfig;
#[cfg(feature = "file")]
pub use disk::FileDisk;
pub use disk::{Disk, DiskError, FileId, MemoryDisk};
pub use error::{AppendError, LogError, ReadError, RecordIssue};
pub use leader_epoch_cache::{EpochEndOffset, EpochEntry, LeaderEpochCache};
pub use log::{
    AbortedTxn, AppendAs, AppendOrigin, CompletedTxn, FetchData, FetchIsolation, Log, LogAppendInfo,
    LogLimits, LogOffsets, SegmentInfo,
};
pub use manager::{LoadedLog, LogManager, LogManagerSettings, MetaProperties};
pub use producer_state::VerificationGuard;
pub use recovery::OpenLog;
pub use retention::DeletedSegments;
pub use timestamp::{TimestampOffset, special_timestamp};
