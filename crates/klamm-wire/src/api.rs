//! The one table of API keys, and the typed requests and responses they carry.

pub use kafka_protocol::messages::ApiKey;
/// A decoded request body, tagged by its API key.
pub use kafka_protocol::messages::RequestKind as Request;
use kafka_protocol::messages::ResponseKind;

use crate::fetch_response::FetchResponse;

/// A response body.
///
/// Fetch has a type of its own because its records stay a list of slices until they reach the socket
/// (`kafka-protocol`'s holds one contiguous `Bytes`); every other response is `kafka-protocol`'s.
#[derive(Debug, Clone, PartialEq)]
pub enum Response {
    /// A Fetch response whose records are shared slices of logs.
    Fetch(FetchResponse),
    /// Any other response.
    Other(Box<ResponseKind>),
}

impl From<ResponseKind> for Response {
    fn from(kind: ResponseKind) -> Self {
        Self::Other(Box::new(kind))
    }
}

impl From<FetchResponse> for Response {
    fn from(response: FetchResponse) -> Self {
        Self::Fetch(response)
    }
}
