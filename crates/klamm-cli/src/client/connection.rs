//! One connection to one broker.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use bytes::{Bytes, BytesMut};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};
use klamm_wire::messages::{ApiKey, ApiVersionsRequest, RequestHeader, ResponseHeader};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Longer than any request here lets the broker wait.
const READ_TIMEOUT: Duration = Duration::from_secs(60);
/// Larger than any response that a broker sends to this client.
const MAX_FRAME: usize = 256 << 20;

/// A connection, and the versions that its broker serves.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    versions: BTreeMap<i16, (i16, i16)>,
    correlation_id: i32,
}

impl Connection {
    /// Connects to `host:port` and asks what it serves.
    pub(crate) fn open(address: &str) -> anyhow::Result<Self> {
        let stream = connect(address).with_context(|| format!("cannot reach a broker at {address}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(READ_TIMEOUT))?;
        let mut connection = Self { stream, versions: BTreeMap::new(), correlation_id: 0 };
        let served = connection
            .round_trip(0, &ApiVersionsRequest::default())
            .with_context(|| format!("{address} does not answer like a Kafka broker"))?;
        super::check(served.error_code, None)?;
        connection.versions =
            served.api_keys.iter().map(|api| (api.api_key, (api.min_version, api.max_version))).collect();
        Ok(connection)
    }

    /// Asks, in the newest version up to `newest` that the broker serves.
    pub(crate) fn ask<R: Request>(&mut self, newest: i16, request: &R) -> anyhow::Result<R::Response> {
        let version = self.version::<R>(newest)?;
        self.round_trip(version, request)
    }

    /// The version that [`ask`](Self::ask) would speak.
    pub(crate) fn version<R: Request>(&self, newest: i16) -> anyhow::Result<i16> {
        let name = ApiKey::try_from(R::KEY).map_or_else(|()| R::KEY.to_string(), |key| format!("{key:?}"));
        let Some(&(min, max)) = self.versions.get(&R::KEY) else {
            bail!("this broker does not serve {name}");
        };
        let ours = R::VERSIONS;
        let version = max.min(newest).min(ours.max);
        ensure!(
            version >= min && version >= ours.min,
            "this broker serves {name} in versions {min} to {max}, and this program speaks {} to {newest}",
            ours.min
        );
        Ok(version)
    }

    fn round_trip<R: Request>(&mut self, version: i16, request: &R) -> anyhow::Result<R::Response> {
        self.correlation_id += 1;
        let header = RequestHeader::default()
            .with_request_api_key(R::KEY)
            .with_request_api_version(version)
            .with_correlation_id(self.correlation_id)
            .with_client_id(Some(StrBytes::from_static_str("klamm")));
        let mut frame = BytesMut::new();
        frame.extend_from_slice(&[0; 4]);
        header.encode(&mut frame, R::header_version(version))?;
        request.encode(&mut frame, version)?;
        let size = u32::try_from(frame.len() - 4).context("the request is too large")?;
        frame[..4].copy_from_slice(&size.to_be_bytes());
        self.stream.write_all(&frame)?;
        let mut response = self.read_frame()?;
        let header = ResponseHeader::decode(&mut response, R::Response::header_version(version))?;
        ensure!(header.correlation_id == self.correlation_id, "the broker answered another request");
        R::Response::decode(&mut response, version)
    }

    fn read_frame(&mut self) -> anyhow::Result<Bytes> {
        let mut size = [0; 4];
        self.stream.read_exact(&mut size).context("the broker closed the connection")?;
        let size = usize::try_from(u32::from_be_bytes(size))?;
        ensure!((4..=MAX_FRAME).contains(&size), "the broker announces a response of {size} bytes");
        let mut frame = vec![0; size];
        self.stream.read_exact(&mut frame).context("the broker closed the connection")?;
        Ok(frame.into())
    }
}

fn connect(address: &str) -> anyhow::Result<TcpStream> {
    let mut failure = None;
    for address in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
            Ok(stream) => return Ok(stream),
            Err(error) => failure = Some(error),
        }
    }
    Err(failure.map_or_else(|| anyhow::anyhow!("the name has no address"), Into::into))
}
