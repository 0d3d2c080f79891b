//! Record batches: views that do not copy, and builders.

pub mod batch;
pub mod builder;
pub mod compress;
pub mod control;
pub mod crc;
pub mod error;
pub mod inspect;
pub mod legacy;
mod lz4_high;
#[expect(clippy::module_inception, reason = "the file is named after Kafka's `Record`, as its siblings are")]
pub mod record;
pub mod varint;
