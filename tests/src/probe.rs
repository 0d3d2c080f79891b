//! One question asked by hand: how many brokers does a cluster say it has?
//!
//! Written against the bytes, so that waiting for a cluster does not depend on any client under test.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

/// The number of brokers in `bootstrap`'s answer to Metadata v1 for no topic at all.
///
/// # Errors
/// When nobody listens there, or the answer is not one.
pub fn brokers(bootstrap: &str) -> Result<usize> {
    let first = bootstrap.split(',').next().unwrap_or(bootstrap);
    let mut stream = TcpStream::connect(first).with_context(|| format!("nobody listens on {first}"))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    // Key 3, version 1, correlation id 7, no client id, an empty list of topics.
    let request = [0, 3, 0, 1, 0, 0, 0, 7, 0xff, 0xff, 0, 0, 0, 0];
    stream.write_all(&u32::try_from(request.len())?.to_be_bytes())?;
    stream.write_all(&request)?;
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = usize::try_from(u32::from_be_bytes(length))?;
    ensure!((8..1 << 20).contains(&length), "an answer of {length} bytes to a Metadata request");
    let mut answer = vec![0; length];
    stream.read_exact(&mut answer)?;
    let count: [u8; 4] = answer[4..8].try_into()?;
    Ok(usize::try_from(u32::from_be_bytes(count))?)
}
