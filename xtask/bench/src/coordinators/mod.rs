//! Rows about what a coordinator keeps: commits, transactions, groups.

pub(crate) mod classic;
pub(crate) mod commits;
pub(crate) mod consumer_protocol;
pub(crate) mod transactions;

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use kafka_protocol::messages::{ApiKey, FindCoordinatorRequest, RequestKind, ResponseKind};
use kafka_protocol::protocol::StrBytes;
use klamm_wire::ErrorCode;

use crate::wire::Connection;

const READY: Duration = Duration::from_secs(60);
const RETRY: Duration = Duration::from_millis(2);

/// What a key names, as FindCoordinator counts it.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Group = 0,
    Transaction = 1,
}

/// The address of a key's coordinator, once there is one.
fn find(bootstrap: &str, key: &str, kind: Kind) -> Result<String> {
    let first = bootstrap.split(',').next().unwrap_or(bootstrap);
    let mut connection = Connection::open(first)?;
    let request = RequestKind::FindCoordinator(
        FindCoordinatorRequest::default().with_key(text(key)).with_key_type(kind as i8),
    );
    until(|| match connection.call(ApiKey::FindCoordinator, 3, &request)? {
        ResponseKind::FindCoordinator(r) if r.error_code == 0 => Ok(Ok(format!("{}:{}", &*r.host, r.port))),
        ResponseKind::FindCoordinator(r) => Ok(Err(r.error_code)),
        other => bail!("asked for a coordinator, got {other:?}"),
    })
}

/// Tries until there is no error, or one that time does not mend.
fn until<T>(mut attempt: impl FnMut() -> Result<Result<T, i16>>) -> Result<T> {
    let deadline = Instant::now() + READY;
    loop {
        let code = match attempt()? {
            Ok(value) => return Ok(value),
            Err(code) => code,
        };
        let error = ErrorCode::from_code(code);
        let passing = error.is_some_and(ErrorCode::is_retriable)
            || matches!(error, Some(ErrorCode::ConcurrentTransactions));
        if !passing || Instant::now() > deadline {
            bail!("{}", error.map_or_else(|| code.to_string(), |e| e.name().to_owned()));
        }
        std::thread::sleep(RETRY);
    }
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}
