//! Share groups at the leaders of their partitions (`SharePartitionManager`).

pub(crate) mod key;
