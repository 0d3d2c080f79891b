//! Groups of the share protocol (KIP-932): several members may read one partition, and none has to give anything up first.

pub(crate) mod alter_offsets;
pub(crate) mod delete;
pub(crate) mod delete_offsets;
pub(crate) mod describe;
pub(crate) mod group;
pub(crate) mod heartbeat;
pub(crate) mod initialize;
pub(crate) mod offsets;
pub(crate) mod records;
pub(crate) mod simple;
