//! Groups of the consumer protocol (KIP-848; Kafka's `coordinator.group.modern.consumer` and the consumer half of
//! `GroupMetadataManager`).

pub(crate) mod assign;
pub(crate) mod classic_member;
pub(crate) mod describe;
pub(crate) mod fence;
pub(crate) mod group;
pub(crate) mod heartbeat;
pub(crate) mod member;
pub(crate) mod migrate;
mod offsets;
mod protocol;
pub(crate) mod reconcile;
pub(crate) mod records;
pub(crate) mod regex;
pub(crate) mod replay;
pub(crate) mod timers;
