//! Bytes and what they mean: frames, the served API table, record batches, error codes.
//!
//! A thin layer over [`kafka_protocol`]: it supplies the message schemas; this crate supplies what a broker needs
//! around them. Nothing here does I/O.

pub mod api;
pub mod error_code;
pub mod error_response;
pub mod fetch_response;
pub mod frame;
pub mod internal;
pub mod limits;
pub mod messages;
mod partitioner;
pub mod record;
pub mod release;
pub mod size;
pub mod subject;
pub mod throttle;

pub use api::{Api, ApiKey, DecodedRequest, FrameError, Request, RequestHeader, Response};
pub use error_code::ErrorCode;
pub use fetch_response::{FetchPartition, FetchResponse, FetchTopic};
pub use kafka_protocol::protocol::StrBytes;
pub use partitioner::partition_for_key;
pub use record::batch::{BatchHeader, BatchIter, RecordBatch};
pub use record::builder::BatchBuilder;
pub use record::compress::Compression;
pub use record::error::RecordError;
pub use record::record::{Record, Records};
pub use release::KafkaVersion;
pub use uuid::Uuid;
