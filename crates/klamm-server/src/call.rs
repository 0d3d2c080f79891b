//! Requests from inside the process, over the same road as a client's but without a socket.

use std::sync::Arc;

use klamm_node::NodeId;
use klamm_wire::{ApiKey, Request, Response, StrBytes};
use klamm_world::ClientRequest;

use crate::driver::Driver;
use crate::outbox::{Answer, Outbox};

/// The `client.id` of klamm's own requests.
const CLIENT_ID: &str = "klamm";

/// Asks a broker; `None` when it goes down before it answers.
pub(crate) async fn call(
    driver: &Arc<Driver>,
    broker: NodeId,
    api_key: ApiKey,
    api_version: i16,
    request: Request,
) -> Option<Response> {
    let (connection, outbox) = (driver.next_connection(), Outbox::new());
    driver.with("call", |state| {
        state.connect(connection, broker, StrBytes::from_static_str("127.0.0.1"), outbox.clone());
        let request = ClientRequest {
            connection,
            correlation_id: 0,
            api_key,
            api_version,
            client_id: Some(StrBytes::from_static_str(CLIENT_ID)),
            request,
            inspected: None,
        };
        state.requests(connection, std::iter::once(request));
    });
    let mut answers = Vec::new();
    let response = loop {
        let closed = outbox.take(&mut answers);
        match answers.pop() {
            Some(Answer::Response { response, .. }) => break Some(response),
            Some(Answer::Nothing | Answer::Damaged { .. }) => break None,
            None if closed => break None,
            None => outbox.woken().await,
        }
    };
    driver.with("call", |state| state.disconnect(connection));
    response
}
