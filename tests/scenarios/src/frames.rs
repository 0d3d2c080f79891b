//! Kafka's frames, as far as they must be read to tell whose they are.

use std::io::{self, Read, Write};

use klamm_node::NodeId;

/// No frame between brokers is larger here.
const MAX_FRAME: usize = 64 << 20;

/// A request, or an answer: what follows the four bytes of its length.
pub(crate) struct Frame(pub(crate) Vec<u8>);

/// What a request's header says.
pub(crate) struct Header {
    pub(crate) api_key: i16,
    pub(crate) correlation_id: i32,
    pub(crate) client_id: String,
}

impl Frame {
    /// Reads a frame; `None` at the end of the stream.
    pub(crate) fn read(from: &mut impl Read) -> io::Result<Option<Self>> {
        let mut size = [0; 4];
        match from.read_exact(&mut size) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(error),
        }
        let size = u32::from_be_bytes(size) as usize;
        if size > MAX_FRAME {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut bytes = vec![0; size];
        from.read_exact(&mut bytes)?;
        Ok(Some(Self(bytes)))
    }

    pub(crate) fn write(&self, to: &mut impl Write) -> io::Result<()> {
        let size = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        to.write_all(&size.to_be_bytes())?;
        to.write_all(&self.0)
    }

    /// A request's header: api key, version, correlation id, client id.
    pub(crate) fn header(&self) -> Option<Header> {
        let at = |from: usize, len: usize| self.0.get(from..from + len);
        let short = |from| Some(i16::from_be_bytes(at(from, 2)?.try_into().ok()?));
        let len = usize::try_from(short(8)?).unwrap_or(0);
        Some(Header {
            api_key: short(0)?,
            correlation_id: self.correlation_id_at(4)?,
            client_id: String::from_utf8_lossy(at(10, len)?).into_owned(),
        })
    }

    /// An answer's correlation id.
    pub(crate) fn correlation_id(&self) -> Option<i32> {
        self.correlation_id_at(0)
    }

    fn correlation_id_at(&self, at: usize) -> Option<i32> {
        Some(i32::from_be_bytes(self.0.get(at..at + 4)?.try_into().ok()?))
    }
}

/// The broker or controller that a `client.id` belongs to: `broker-2-fetcher-0` of `ReplicaFetcherManager`,
/// `broker-2-txn-marker-sender` of `TransactionMarkerChannelManager`, `raft-client-100` of `KafkaRaftManager`,
/// `AddPartitionsManager-client-2` and others of `NetworkUtils`, and a bare `2` of `NodeToControllerChannelManagerImpl`.
pub(crate) fn node_of(client_id: &str) -> Option<NodeId> {
    let number = |text: &str| text.parse().ok().map(NodeId);
    if let Some(rest) = client_id.strip_prefix("broker-") {
        return number(rest.split('-').next()?);
    }
    if let Some(rest) = client_id.strip_prefix("raft-client-") {
        return number(rest);
    }
    if let Some((_, rest)) = client_id.rsplit_once("-client-") {
        return number(rest);
    }
    number(client_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_known_by_their_client_ids() {
        let ids = ["broker-2-fetcher-0", "broker-3-txn-marker-sender", "raft-client-100", "2"];
        assert_eq!(ids.map(node_of), [2, 3, 100, 2].map(|id| Some(NodeId(id))));
        assert_eq!(node_of("AddPartitionsManager-client-1"), Some(NodeId(1)));
        assert_eq!(["p", "klamm", "__admin_client"].map(node_of), [None, None, None]);
    }
}
