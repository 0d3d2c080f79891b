//! One socket to one broker.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;

use anyhow::{Context as _, ensure};
use bytes::{Bytes, BytesMut};
use kafka_protocol::protocol::{Decodable as _, Encodable as _, HeaderVersion, Request, StrBytes};
use klamm_wire::messages::{RequestHeader, ResponseHeader};

/// What a broker did with a request.
#[derive(Debug)]
pub(crate) enum Outcome<T> {
    /// It answered.
    Answer(T),
    /// It closed the connection.
    Closed,
    /// It did neither for a while.
    Silence,
    /// It answered with bytes that are no such response.
    Garbage(String),
}

/// A connection that tells apart answers, silence and the end.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    correlation_id: i32,
}

impl Connection {
    /// Connects to `host:port`.
    pub(crate) fn open(address: &str) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).with_context(|| format!("nobody listens on {address}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(klamm_tests::PATIENCE))?;
        Ok(Self { stream, correlation_id: 0 })
    }

    /// Sends a request in `version` and waits for what comes of it.
    pub(crate) fn ask<R: Request>(
        &mut self,
        version: i16,
        request: &R,
    ) -> anyhow::Result<Outcome<R::Response>> {
        let mut body = BytesMut::new();
        request.encode(&mut body, version)?;
        self.send(R::KEY, version, R::header_version(version), &body)?;
        Ok(self.hear::<R>(version))
    }

    /// Waits for what comes of the request that was sent last.
    pub(crate) fn hear<R: Request>(&mut self, version: i16) -> Outcome<R::Response> {
        match self.receive() {
            Ok(frame) => match self.decode::<R>(frame, version) {
                Ok(answer) => Outcome::Answer(answer),
                Err(error) => Outcome::Garbage(format!("{error:#}")),
            },
            Err(error) => silence(&error),
        }
    }

    /// Sends a request without waiting for an answer.
    pub(crate) fn tell<R: Request>(&mut self, version: i16, request: &R) -> anyhow::Result<()> {
        let mut body = BytesMut::new();
        request.encode(&mut body, version)?;
        self.send(R::KEY, version, R::header_version(version), &body)
    }

    /// Sends any bytes as the body of a request; the answer's bytes behind the correlation id come back.
    pub(crate) fn ask_raw(
        &mut self,
        key: i16,
        version: i16,
        header_version: i16,
        body: &[u8],
    ) -> anyhow::Result<Outcome<Bytes>> {
        self.send(key, version, header_version, body)?;
        Ok(match self.receive() {
            Ok(mut frame) if frame.len() >= 4 => Outcome::Answer(frame.split_off(4)),
            Ok(_) => Outcome::Garbage("no correlation id".to_owned()),
            Err(error) => silence(&error),
        })
    }

    fn send(&mut self, key: i16, version: i16, header_version: i16, body: &[u8]) -> anyhow::Result<()> {
        self.correlation_id += 1;
        let header = RequestHeader::default()
            .with_request_api_key(key)
            .with_request_api_version(version)
            .with_correlation_id(self.correlation_id)
            .with_client_id(Some(StrBytes::from_static_str("conformance")));
        let mut frame = BytesMut::new();
        frame.extend_from_slice(&[0; 4]);
        header.encode(&mut frame, header_version)?;
        frame.extend_from_slice(body);
        let size = u32::try_from(frame.len() - 4).context("the request is too large")?;
        frame[..4].copy_from_slice(&size.to_be_bytes());
        // A broker may have closed the connection before it has read everything; reading tells.
        let _ = self.stream.write_all(&frame);
        Ok(())
    }

    fn decode<R: Request>(&self, mut frame: Bytes, version: i16) -> anyhow::Result<R::Response> {
        let header = ResponseHeader::decode(&mut frame, R::Response::header_version(version))?;
        ensure!(header.correlation_id == self.correlation_id, "the answer is to another request");
        let response = <R::Response as kafka_protocol::protocol::Decodable>::decode(&mut frame, version)?;
        ensure!(frame.is_empty(), "{} bytes behind the answer", frame.len());
        Ok(response)
    }

    fn receive(&mut self) -> io::Result<Bytes> {
        let mut size = [0; 4];
        self.stream.read_exact(&mut size)?;
        let size = u32::from_be_bytes(size);
        if !(4..1 << 28).contains(&size) {
            return Err(io::Error::other("an answer of a strange size"));
        }
        let mut frame = vec![0; size as usize];
        self.stream.read_exact(&mut frame)?;
        Ok(frame.into())
    }
}

fn silence<T>(error: &io::Error) -> Outcome<T> {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Outcome::Silence,
        _ => Outcome::Closed,
    }
}
