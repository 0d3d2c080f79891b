//! What klamm-wire reads and writes, against Kafka itself and against hostile bytes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod golden;
mod internal;
mod messages;
mod records;
