//! How long a request was on the wire.

use crate::messages::ProduceRequest;
use kafka_protocol::protocol::Encodable;

use crate::api::Api;
use crate::{ApiKey, StrBytes};

/// The bytes of a Produce request as quotas count them (`Request.sizeInBytes`): header and body, without the frame's length.
pub fn produce_request_size(request: &ProduceRequest, version: i16, client_id: Option<&StrBytes>) -> usize {
    /// API key, version, correlation id, and the length of the client id.
    const HEADER: usize = 2 + 2 + 4 + 2;
    let tags = usize::from(version >= Api::of(ApiKey::Produce).flexible);
    // What does not fit its schema was not decoded from it, and is nobody's request.
    let body = request.compute_size(version).unwrap_or(0);
    HEADER + client_id.map_or(0, |id| id.len()) + tags + body
}
