//! A thin blocking client: frames out, frames in, nothing between. The same for every target, so that the broker is measured.

use std::io::{BufReader, IoSlice, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::{ApiKey, RequestHeader, RequestKind, ResponseHeader, ResponseKind};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};

const DEADLINE: Duration = Duration::from_secs(60);

/// One connection to one broker.
pub(crate) struct Connection {
    stream: TcpStream,
    reader: BufReader<TcpStream>,
    correlation: i32,
}

/// A request that was encoded once and is sent many times under new correlation ids.
pub(crate) struct Prepared {
    /// Length, API key and version.
    head: [u8; 8],
    /// Everything after the correlation id.
    tail: Bytes,
    api: ApiKey,
    version: i16,
}

impl Prepared {
    pub(crate) fn new(api: ApiKey, version: i16, request: &RequestKind) -> Result<Self> {
        let frame = encode(api, version, 0, request)?;
        let mut head = [0; 8];
        head.copy_from_slice(&frame[..8]);
        Ok(Self { head, tail: frame.slice(12..), api, version })
    }

    /// Size of the frame, in bytes.
    pub(crate) fn len(&self) -> usize {
        12 + self.tail.len()
    }
}

fn encode(api: ApiKey, version: i16, correlation: i32, request: &RequestKind) -> Result<Bytes> {
    let mut frame = BytesMut::new();
    frame.put_i32(0);
    RequestHeader::default()
        .with_request_api_key(api as i16)
        .with_request_api_version(version)
        .with_correlation_id(correlation)
        .with_client_id(Some(StrBytes::from_static_str("klamm-bench")))
        .encode(&mut frame, api.request_header_version(version))?;
    request.encode(&mut frame, version)?;
    let length = i32::try_from(frame.len() - 4)?;
    frame[..4].copy_from_slice(&length.to_be_bytes());
    Ok(frame.freeze())
}

impl Connection {
    pub(crate) fn open(address: &str) -> Result<Self> {
        Self::with_buffer(address, 1 << 18)
    }

    /// One of very many: with a small buffer.
    pub(crate) fn small(address: &str) -> Result<Self> {
        Self::with_buffer(address, 1 << 12)
    }

    fn with_buffer(address: &str, bytes: usize) -> Result<Self> {
        let stream = TcpStream::connect(address).with_context(|| format!("cannot connect to {address}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        stream.set_write_timeout(Some(DEADLINE))?;
        let reader = BufReader::with_capacity(bytes, stream.try_clone()?);
        Ok(Self { stream, reader, correlation: 0 })
    }

    /// Sends prepared requests back to back, in as few system calls as the socket takes.
    pub(crate) fn send(&mut self, requests: &[&Prepared]) -> Result<()> {
        let mut correlations = Vec::with_capacity(requests.len());
        for _ in requests {
            self.correlation = self.correlation.wrapping_add(1);
            correlations.push(self.correlation.to_be_bytes());
        }
        let mut slices: Vec<IoSlice<'_>> = requests
            .iter()
            .zip(&correlations)
            .flat_map(|(request, correlation)| {
                [IoSlice::new(&request.head), IoSlice::new(correlation), IoSlice::new(&request.tail)]
            })
            .collect();
        let mut rest = &mut slices[..];
        while !rest.is_empty() {
            let chunk = rest.len().min(1024);
            let written = self.stream.write_vectored(&rest[..chunk])?;
            ensure!(written > 0, "the broker closed the connection");
            IoSlice::advance_slices(&mut rest, written);
        }
        Ok(())
    }

    /// The next response frame, without its length.
    pub(crate) fn receive(&mut self) -> Result<Bytes> {
        let mut length = [0; 4];
        self.reader.read_exact(&mut length).context("no response")?;
        let length = usize::try_from(i32::from_be_bytes(length))?;
        let mut frame = BytesMut::zeroed(length);
        self.reader.read_exact(&mut frame).context("half a response")?;
        Ok(frame.freeze())
    }

    /// Whether another response is (at least partly) there already.
    pub(crate) fn has_buffered(&self) -> bool {
        !self.reader.buffer().is_empty()
    }

    /// The next response, decoded.
    pub(crate) fn receive_for(&mut self, request: &Prepared) -> Result<ResponseKind> {
        let frame = self.receive()?;
        decode(request.api, request.version, frame)
    }

    /// One request and its response.
    pub(crate) fn call(&mut self, api: ApiKey, version: i16, request: &RequestKind) -> Result<ResponseKind> {
        let prepared = Prepared::new(api, version, request)?;
        self.send(&[&prepared])?;
        self.receive_for(&prepared)
    }
}

fn decode(api: ApiKey, version: i16, mut frame: Bytes) -> Result<ResponseKind> {
    if frame.len() < 4 {
        bail!("a response of {} bytes", frame.len());
    }
    ResponseHeader::decode(&mut frame, api.response_header_version(version))?;
    ResponseKind::decode(api, &mut frame, version)
}
