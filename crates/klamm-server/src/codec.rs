//! From received bytes to a request of the world's.

use bytes::{Bytes, BytesMut};
use klamm_node::ConnectionId;
use klamm_wire::api::{Api, FrameError, decode_request_in, unsupported_api_versions};
use klamm_wire::record::inspect::inspect_produce;
use klamm_wire::{KafkaVersion, Request, frame};
use klamm_world::ClientRequest;

/// What a frame is.
#[derive(Debug)]
pub(crate) enum Received {
    /// A request.
    Request(Box<ClientRequest>),
    /// A question for versions in a version that nobody knows; this frame answers it (KIP-511).
    Unsupported(Bytes),
}

/// Takes the next whole request from `received`. This is where a Produce request's records are checked: outside the lock.
pub(crate) fn next_request(
    connection: ConnectionId,
    received: &mut BytesMut,
    max: usize,
    release: KafkaVersion,
) -> Result<Option<Received>, FrameError> {
    let Some(frame) = frame::split_frame(received, max)? else { return Ok(None) };
    let decoded = match decode_request_in(frame, release) {
        Err(FrameError::UnsupportedApiVersions { correlation_id }) => {
            return Ok(Some(Received::Unsupported(unsupported_api_versions(correlation_id, release))));
        }
        decoded => decoded?,
    };
    let header = decoded.header;
    if !Api::of(header.api_key).is_advertised_by_broker() {
        return Err(FrameError::NotServed(header.api_key));
    }
    let inspected = match &decoded.request {
        Request::Produce(produce) => Some(inspect_produce(produce, header.api_version)),
        _ => None,
    };
    Ok(Some(Received::Request(Box::new(ClientRequest {
        connection,
        correlation_id: header.correlation_id,
        api_key: header.api_key,
        api_version: header.api_version,
        client_id: header.client_id,
        request: decoded.request,
        inspected,
    }))))
}
