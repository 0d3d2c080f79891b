//! Stands for the storage engine's types until they land.

/// A disk.
pub trait Disk: std::fmt::Debug {}
/// A storage failure.
#[derive(Debug)]
pub struct LogError;
