//! What klamm-wire reads and writes, against Kafka itself and against hostile bytes.

mod golden;
mod internal;
mod records;
