//! The one table of API keys, and the typed requests and responses they carry.

pub use crate::messages::ApiKey;
/// A decoded request body, tagged by its API key.
pub use crate::messages::RequestKind as Request;
use crate::messages::api_versions_response::ApiVersion;
use crate::messages::{ApiVersionsResponse, ResponseKind};
use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::fetch_response::FetchResponse;
use crate::record::varint;
use crate::release::KafkaVersion;
use crate::{ErrorCode, StrBytes, limits};

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

#[cfg(test)]
macro_rules! empty_request {
    ($key:expr; $($api:ident)*) => {
        match $key {
            $(ApiKey::$api => Request::$api(Default::default()),)*
        }
    };
}

/// A request with nothing in it.
#[cfg(test)]
pub(crate) fn empty_request(key: ApiKey) -> Request {
    empty_request!(key;
        Produce Fetch ListOffsets Metadata OffsetCommit OffsetFetch FindCoordinator JoinGroup Heartbeat LeaveGroup SyncGroup DescribeGroups ListGroups SaslHandshake ApiVersions CreateTopics DeleteTopics DeleteRecords InitProducerId OffsetForLeaderEpoch AddPartitionsToTxn AddOffsetsToTxn EndTxn WriteTxnMarkers TxnOffsetCommit DescribeAcls CreateAcls DeleteAcls DescribeConfigs AlterConfigs AlterReplicaLogDirs DescribeLogDirs SaslAuthenticate CreatePartitions CreateDelegationToken RenewDelegationToken ExpireDelegationToken DescribeDelegationToken DeleteGroups ElectLeaders IncrementalAlterConfigs AlterPartitionReassignments ListPartitionReassignments OffsetDelete DescribeClientQuotas AlterClientQuotas DescribeUserScramCredentials AlterUserScramCredentials Vote BeginQuorumEpoch EndQuorumEpoch DescribeQuorum AlterPartition UpdateFeatures Envelope FetchSnapshot DescribeCluster DescribeProducers BrokerRegistration BrokerHeartbeat UnregisterBroker DescribeTransactions ListTransactions AllocateProducerIds ConsumerGroupHeartbeat ConsumerGroupDescribe ControllerRegistration GetTelemetrySubscriptions PushTelemetry AssignReplicasToDirs ListConfigResources DescribeTopicPartitions ShareGroupHeartbeat ShareGroupDescribe ShareFetch ShareAcknowledge AddRaftVoter RemoveRaftVoter UpdateRaftVoter InitializeShareGroupState ReadShareGroupState WriteShareGroupState DeleteShareGroupState ReadShareGroupStateSummary DescribeShareGroupOffsets AlterShareGroupOffsets DeleteShareGroupOffsets
    )
}

/// Who answers an API, as the `listeners` of Kafka's schema say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answers {
    /// Brokers.
    Broker,
    /// Controllers.
    Controller,
    /// Both.
    Both,
}

/// One line of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Api {
    /// The key.
    pub key: ApiKey,
    /// Kafka's name for it, such as `Produce`.
    pub name: &'static str,
    /// Oldest version served.
    pub min: i16,
    /// Newest version served.
    pub max: i16,
    /// First flexible version, `i16::MAX` when there is none.
    pub flexible: i16,
    /// Who answers it.
    pub answers: Answers,
    /// Whether klamm answers it. What is not served is not advertised, and closes the connection that asks for it.
    pub served: bool,
}

impl Api {
    /// The line of a key.
    pub fn of(key: ApiKey) -> &'static Self {
        Self::by_number(key as i16).expect("the table has a line for each key (tested)")
    }

    /// The line of a key's number; `None` for numbers that Kafka has not given out.
    pub fn by_number(number: i16) -> Option<&'static Self> {
        let line = *LINE_OF.get(usize::try_from(number).ok()?)?;
        APIS.get(usize::from(line))
    }

    /// Whether a version is served.
    pub const fn has_version(&self, version: i16) -> bool {
        self.min <= version && version <= self.max
    }

    /// Whether a broker lists it in ApiVersions.
    pub const fn is_advertised_by_broker(&self) -> bool {
        self.served && !matches!(self.answers, Answers::Controller)
    }

    /// Whether a controller lists it in ApiVersions.
    pub const fn is_advertised_by_controller(&self) -> bool {
        self.served && !matches!(self.answers, Answers::Broker)
    }

    /// The oldest version to advertise. Produce says 0, as Kafka 4 does, although nothing below 3 is served: with a
    /// minimum of 3, librdkafka before 2.0.3 silently sends records uncompressed.
    pub const fn advertised_min(&self) -> i16 {
        if matches!(self.key, ApiKey::Produce) { 0 } else { self.min }
    }

    /// The line as an entry of an ApiVersions response.
    pub fn entry(&self) -> ApiVersion {
        ApiVersion::default()
            .with_api_key(self.key as i16)
            .with_min_version(self.advertised_min())
            .with_max_version(self.max)
    }

    /// As [`Api::entry`], of a broker of a release; `None` where that has no such API.
    pub fn entry_in(&self, release: KafkaVersion) -> Option<ApiVersion> {
        let (min, max) = self.versions_in(release)?;
        let min = if matches!(self.key, ApiKey::Produce) { 0 } else { min };
        Some(self.entry().with_min_version(min).with_max_version(max))
    }
}

macro_rules! apis {
    ($($key:ident $min:literal - $max:literal, flexible $flexible:tt, $answers:ident, $served:tt;)*) => {
        /// Every API, in the order of their numbers.
        pub const APIS: &[Api] = &[$(Api {
            key: ApiKey::$key,
            name: stringify!($key),
            min: $min,
            max: $max,
            flexible: apis!(@flexible $flexible),
            answers: Answers::$answers,
            served: apis!(@served $served),
        },)*];

        /// The API that a request belongs to.
        pub fn api_of(request: &Request) -> &'static Api {
            match request { $(Request::$key(_) => Api::of(ApiKey::$key),)* }
        }
    };
    (@flexible never) => { i16::MAX };
    (@flexible $version:literal) => { $version };
    (@served served) => { true };
    (@served no) => { false };
}

// Versions are Kafka 4.4's, as far as there are schemas (`known_versions`). Who writes a handler puts `served` here.
apis! {
    Produce 3-13, flexible 9, Broker, served;
    Fetch 4-18, flexible 12, Both, served;
    ListOffsets 1-10, flexible 6, Broker, served;
    Metadata 0-13, flexible 9, Broker, served;
    OffsetCommit 2-10, flexible 8, Broker, served;
    OffsetFetch 1-10, flexible 6, Broker, served;
    FindCoordinator 0-6, flexible 3, Broker, served;
    JoinGroup 0-9, flexible 6, Broker, served;
    Heartbeat 0-4, flexible 4, Broker, served;
    LeaveGroup 0-5, flexible 4, Broker, served;
    SyncGroup 0-5, flexible 4, Broker, served;
    DescribeGroups 0-6, flexible 5, Broker, served;
    ListGroups 0-5, flexible 3, Broker, served;
    SaslHandshake 0-1, flexible never, Both, no;
    ApiVersions 0-4, flexible 3, Both, served;
    CreateTopics 2-7, flexible 5, Both, served;
    DeleteTopics 1-6, flexible 4, Both, served;
    DeleteRecords 0-2, flexible 2, Broker, served;
    // Version 6 is unstable in Kafka 4.4.
    InitProducerId 0-5, flexible 2, Broker, served;
    OffsetForLeaderEpoch 2-4, flexible 4, Broker, served;
    AddPartitionsToTxn 0-5, flexible 3, Broker, served;
    AddOffsetsToTxn 0-4, flexible 3, Broker, served;
    EndTxn 0-5, flexible 3, Broker, served;
    WriteTxnMarkers 1-2, flexible 1, Broker, served;
    TxnOffsetCommit 0-6, flexible 3, Broker, served;
    DescribeAcls 1-3, flexible 2, Both, no;
    CreateAcls 1-3, flexible 2, Both, no;
    DeleteAcls 1-3, flexible 2, Both, no;
    DescribeConfigs 1-4, flexible 4, Both, served;
    AlterConfigs 0-2, flexible 2, Both, served;
    AlterReplicaLogDirs 1-2, flexible 2, Broker, served;
    DescribeLogDirs 1-4, flexible 2, Broker, served;
    SaslAuthenticate 0-2, flexible 2, Both, no;
    CreatePartitions 0-3, flexible 2, Both, served;
    CreateDelegationToken 1-3, flexible 2, Both, no;
    RenewDelegationToken 1-2, flexible 2, Both, no;
    ExpireDelegationToken 1-2, flexible 2, Both, no;
    DescribeDelegationToken 1-3, flexible 2, Both, no;
    DeleteGroups 0-2, flexible 2, Broker, served;
    ElectLeaders 0-2, flexible 2, Both, served;
    IncrementalAlterConfigs 0-1, flexible 1, Both, served;
    AlterPartitionReassignments 0-1, flexible 0, Both, served;
    ListPartitionReassignments 0-0, flexible 0, Both, served;
    OffsetDelete 0-0, flexible never, Broker, served;
    DescribeClientQuotas 0-1, flexible 1, Broker, served;
    AlterClientQuotas 0-1, flexible 1, Both, served;
    DescribeUserScramCredentials 0-0, flexible 0, Both, no;
    AlterUserScramCredentials 0-0, flexible 0, Both, no;
    Vote 0-2, flexible 0, Controller, served;
    BeginQuorumEpoch 0-1, flexible 1, Controller, served;
    EndQuorumEpoch 0-1, flexible 1, Controller, served;
    DescribeQuorum 0-2, flexible 0, Both, served;
    AlterPartition 2-3, flexible 0, Controller, served;
    UpdateFeatures 0-2, flexible 0, Both, served;
    Envelope 0-0, flexible 0, Controller, no;
    FetchSnapshot 0-1, flexible 0, Controller, served;
    DescribeCluster 0-2, flexible 0, Both, served;
    DescribeProducers 0-0, flexible 0, Broker, served;
    BrokerRegistration 0-4, flexible 0, Controller, served;
    BrokerHeartbeat 0-1, flexible 0, Controller, served;
    UnregisterBroker 0-0, flexible 0, Both, served;
    DescribeTransactions 0-0, flexible 0, Broker, served;
    ListTransactions 0-2, flexible 0, Broker, served;
    AllocateProducerIds 0-0, flexible 0, Controller, served;
    ConsumerGroupHeartbeat 0-1, flexible 0, Broker, served;
    ConsumerGroupDescribe 0-1, flexible 0, Broker, served;
    ControllerRegistration 0-0, flexible 0, Controller, no;
    GetTelemetrySubscriptions 0-0, flexible 0, Broker, no;
    PushTelemetry 0-0, flexible 0, Broker, no;
    AssignReplicasToDirs 0-0, flexible 0, Controller, served;
    ListConfigResources 0-1, flexible 0, Broker, no;
    DescribeTopicPartitions 0-0, flexible 0, Broker, served;
    ShareGroupHeartbeat 1-1, flexible 0, Broker, served;
    ShareGroupDescribe 1-1, flexible 0, Broker, served;
    ShareFetch 1-2, flexible 0, Broker, served;
    ShareAcknowledge 1-2, flexible 0, Broker, served;
    AddRaftVoter 0-0, flexible 0, Both, no;
    RemoveRaftVoter 0-0, flexible 0, Both, no;
    UpdateRaftVoter 0-0, flexible 0, Controller, no;
    InitializeShareGroupState 0-0, flexible 0, Broker, served;
    ReadShareGroupState 0-0, flexible 0, Broker, served;
    WriteShareGroupState 0-0, flexible 0, Broker, served;
    DeleteShareGroupState 0-0, flexible 0, Broker, served;
    ReadShareGroupStateSummary 0-0, flexible 0, Broker, served;
    DescribeShareGroupOffsets 0-0, flexible 0, Broker, served;
    AlterShareGroupOffsets 0-0, flexible 0, Broker, served;
    DeleteShareGroupOffsets 0-0, flexible 0, Broker, served;
}

/// The line of each number, 255 where there is none.
const LINE_OF: [u8; 128] = {
    let mut lines = [255; 128];
    let mut line = 0;
    while line < APIS.len() {
        lines[APIS[line].key as usize] = line as u8;
        line += 1;
    }
    lines
};

/// The header of a request (`RequestHeader`, versions 1 and 2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestHeader {
    /// Which API.
    pub api_key: ApiKey,
    /// Which version of it.
    pub api_version: i16,
    /// The number that the response repeats.
    pub correlation_id: i32,
    /// What the client calls itself.
    pub client_id: Option<StrBytes>,
}

/// A request as it came from a client.
#[derive(Debug, Clone, PartialEq)]
pub struct DecodedRequest {
    /// Its header.
    pub header: RequestHeader,
    /// Its body.
    pub request: Request,
}

/// Why a frame is no request. Each but [`FrameError::UnsupportedApiVersions`] closes the connection, as in Kafka.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// A length that is negative or above `socket.request.max.bytes`.
    #[error("invalid frame size {len} (the limit is {max} bytes)")]
    Size {
        /// The length that the frame claims.
        len: i32,
        /// The limit.
        max: usize,
    },
    /// The bytes end within the header, or the header is wrong.
    #[error("malformed request header: {0}")]
    Header(&'static str),
    /// A number that no API has.
    #[error("unknown API key {0}")]
    UnknownApi(i16),
    /// An API that klamm does not serve.
    #[error("{} is not served here", Api::of(*.0).name)]
    NotServed(ApiKey),
    /// A version out of range.
    #[error("{} has no version {version} here ({min} to {max})", Api::of(*.key).name)]
    UnsupportedVersion {
        /// The API.
        key: ApiKey,
        /// The version asked for.
        version: i16,
        /// The lowest version served.
        min: i16,
        /// The highest version served.
        max: i16,
    },
    /// ApiVersions in a version not known: answer with [`unsupported_api_versions`], and go on (KIP-511).
    #[error("ApiVersions in a version not known")]
    UnsupportedApiVersions {
        /// The number that the answer must repeat.
        correlation_id: i32,
    },
    /// The body is not what the schema says.
    #[error("malformed {} v{version} request: {reason}", Api::of(*.key).name)]
    Malformed {
        /// The API.
        key: ApiKey,
        /// Its version.
        version: i16,
        /// What is wrong.
        reason: String,
    },
}

/// Decodes a frame, without its length. Records stay slices of it.
pub fn decode_request(frame: Bytes) -> Result<DecodedRequest, FrameError> {
    decode_request_in(frame, KafkaVersion::NEWEST)
}

/// As [`decode_request`], by a broker of a release: what that does not have is not served.
///
/// # Errors
/// As [`decode_request`].
pub fn decode_request_in(frame: Bytes, release: KafkaVersion) -> Result<DecodedRequest, FrameError> {
    let mut body = frame;
    let header = decode_header(&mut body)?;
    let (key, version) = (header.api_key, header.api_version);
    let api = Api::of(key);
    let Some((min, max)) = api.versions_in(release).filter(|_| api.served) else {
        return Err(FrameError::NotServed(key));
    };
    if !(min..=max).contains(&version) {
        return Err(match key {
            ApiKey::ApiVersions => {
                FrameError::UnsupportedApiVersions { correlation_id: header.correlation_id }
            }
            _ => FrameError::UnsupportedVersion { key, version, min, max },
        });
    }
    let malformed = |reason| FrameError::Malformed { key, version, reason };
    limits::check(key, version, &body).map_err(|reason| malformed(reason.to_owned()))?;
    let request =
        Request::decode(key, &mut body, version).map_err(|error| malformed(format!("{error:#}")))?;
    Ok(DecodedRequest { header, request })
}

fn decode_header(bytes: &mut Bytes) -> Result<RequestHeader, FrameError> {
    const CUT_OFF: FrameError = FrameError::Header("it is cut off");
    if bytes.len() < 8 {
        return Err(CUT_OFF);
    }
    let number = bytes.get_i16();
    let api_version = bytes.get_i16();
    let correlation_id = bytes.get_i32();
    let api = Api::by_number(number).ok_or(FrameError::UnknownApi(number))?;
    let len = bytes.try_get_i16().map_err(|_| CUT_OFF)?;
    let client_id = match usize::try_from(len) {
        Ok(len) if len <= bytes.len() => {
            let text = bytes.split_to(len);
            Some(StrBytes::from_utf8(text).map_err(|_| FrameError::Header("the client id is not UTF-8"))?)
        }
        Ok(_) => return Err(CUT_OFF),
        Err(_) if len == -1 => None,
        Err(_) => return Err(FrameError::Header("the client id has a negative length")),
    };
    if api_version >= api.flexible {
        let mut rest = &bytes[..];
        skip_tagged_fields(&mut rest).ok_or(FrameError::Header("its tagged fields are malformed"))?;
        bytes.advance(bytes.len() - rest.len());
    }
    Ok(RequestHeader { api_key: api.key, api_version, correlation_id, client_id })
}

fn skip_tagged_fields(bytes: &mut &[u8]) -> Option<()> {
    for _ in 0..varint::read_unsigned(bytes)? {
        varint::read_unsigned(bytes)?;
        let len = varint::read_unsigned(bytes)? as usize;
        *bytes = bytes.get(len..)?;
    }
    Some(())
}

/// The answer to ApiVersions in a version not known: version 0, an error, and the versions of ApiVersions itself, from
/// which the client picks one (KIP-511). A whole frame.
pub fn unsupported_api_versions(correlation_id: i32, release: KafkaVersion) -> Bytes {
    let response = ApiVersionsResponse::default()
        .with_error_code(ErrorCode::UnsupportedVersion.code())
        .with_api_keys(Api::of(ApiKey::ApiVersions).entry_in(release).into_iter().collect());
    encode_kind(ApiKey::ApiVersions, 0, correlation_id, &ResponseKind::ApiVersions(response))
        .expect("version 0 has both fields")
}

/// Why a message cannot be written in a version: a field is set that the version cannot carry, or the version does not
/// exist.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot encode {} v{version}: {reason}", Api::of(*.key).name)]
pub struct EncodeError {
    /// The API.
    pub key: ApiKey,
    /// The version.
    pub version: i16,
    /// What is wrong.
    pub reason: String,
}

/// Encodes a response as a frame, its length included: slices to be written one after another. Records are shared, not
/// copied.
pub fn encode_response(
    key: ApiKey,
    version: i16,
    correlation_id: i32,
    response: &Response,
) -> Result<Vec<Bytes>, EncodeError> {
    match response {
        Response::Fetch(fetch) => Ok(fetch.encode_frame(version, correlation_id)),
        Response::Other(kind) => encode_kind(key, version, correlation_id, kind).map(|frame| vec![frame]),
    }
}

fn encode_kind(
    key: ApiKey,
    version: i16,
    correlation_id: i32,
    kind: &ResponseKind,
) -> Result<Bytes, EncodeError> {
    let mut out = BytesMut::with_capacity(256);
    put_response_header(&mut out, key, version, correlation_id);
    kind.encode(&mut out, version).map_err(|error| encode_error(key, version, &error))?;
    Ok(seal(out, 0))
}

/// Begins a frame: room for the length, then the response's header.
pub(crate) fn put_response_header(out: &mut BytesMut, key: ApiKey, version: i16, correlation_id: i32) {
    out.put_i32(0);
    out.put_i32(correlation_id);
    // A client that asks for versions may not know which header to expect, so that answer always has the old one.
    if version >= Api::of(key).flexible && key != ApiKey::ApiVersions {
        out.put_u8(0);
    }
}

/// Fills in the length of a frame that `later` bytes outside `out` complete.
pub(crate) fn seal(mut out: BytesMut, later: usize) -> Bytes {
    let len = out.len() - 4 + later;
    // A frame is far below 2 GiB: responses are bounded by what was asked for.
    out[..4].copy_from_slice(&(len as u32).to_be_bytes());
    out.freeze()
}

fn encode_error(key: ApiKey, version: i16, error: &impl std::fmt::Display) -> EncodeError {
    EncodeError { key, version, reason: format!("{error:#}") }
}

/// Encodes a request as a frame, its length included: for klamm's own clients.
pub fn encode_request(header: &RequestHeader, request: &Request) -> Result<Bytes, EncodeError> {
    let (key, version) = (header.api_key, header.api_version);
    let mut out = BytesMut::with_capacity(256);
    out.put_i32(0);
    out.put_i16(key as i16);
    out.put_i16(version);
    out.put_i32(header.correlation_id);
    match &header.client_id {
        None => out.put_i16(-1),
        Some(id) => {
            let len = i16::try_from(id.len()).map_err(|error| encode_error(key, version, &error))?;
            out.put_i16(len);
            out.put_slice(id.as_bytes());
        }
    }
    if version >= Api::of(key).flexible {
        out.put_u8(0);
    }
    request.encode(&mut out, version).map_err(|error| encode_error(key, version, &error))?;
    Ok(seal(out, 0))
}

/// Decodes a response, without its length, and the correlation id it repeats: for klamm's own clients.
pub fn decode_response(key: ApiKey, version: i16, frame: Bytes) -> Result<(i32, ResponseKind), FrameError> {
    let mut body = frame;
    let correlation_id = body.try_get_i32().map_err(|_| FrameError::Header("it is cut off"))?;
    if version >= Api::of(key).flexible && key != ApiKey::ApiVersions {
        let mut rest = &body[..];
        skip_tagged_fields(&mut rest).ok_or(FrameError::Header("its tagged fields are malformed"))?;
        body.advance(body.len() - rest.len());
    }
    let response = ResponseKind::decode(key, &mut body, version).map_err(|error| FrameError::Malformed {
        key,
        version,
        reason: format!("{error:#}"),
    })?;
    Ok((correlation_id, response))
}

#[cfg(test)]
mod tests {
    use crate::messages::{ApiVersionsRequest, MetadataRequest, RequestHeader as KpHeader};
    use kafka_protocol::protocol::{Decodable, Encodable};

    use super::*;
    use crate::messages::known_versions;

    #[test]
    fn the_table_has_each_key_once_in_order_and_only_versions_that_can_be_decoded() {
        let numbers: Vec<i16> = APIS.iter().map(|api| api.key as i16).collect();
        assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "{numbers:?}");
        for number in 0..200 {
            let Ok(key) = ApiKey::try_from(number) else {
                assert_eq!(Api::by_number(number), None);
                continue;
            };
            let (api, known) = (Api::of(key), known_versions(key));
            assert_eq!(api.key, key);
            assert_eq!(api.name, format!("{key:?}"));
            assert!(known.min <= api.min && api.max <= known.max, "{}: {known}", api.name);
            for version in api.min..=api.max {
                let flexible = version >= api.flexible;
                assert_eq!(key.request_header_version(version) == 2, flexible, "{} v{version}", api.name);
                let header = if flexible && key != ApiKey::ApiVersions { 1 } else { 0 };
                assert_eq!(key.response_header_version(version), header, "{} v{version}", api.name);
            }
        }
        assert_eq!(Api::by_number(-1), None);
        assert_eq!(Api::by_number(i16::MAX), None);
    }

    #[test]
    fn a_request_is_read_as_kafka_protocol_writes_it_and_as_we_write_it() {
        for version in 0..=13 {
            let request = Request::Metadata(MetadataRequest::default());
            let header = RequestHeader {
                api_key: ApiKey::Metadata,
                api_version: version,
                correlation_id: 77,
                client_id: Some("me".to_owned().into()),
            };
            let ours = encode_request(&header, &request).unwrap();
            let mut theirs = BytesMut::new();
            KpHeader::default()
                .with_request_api_key(ApiKey::Metadata as i16)
                .with_request_api_version(version)
                .with_correlation_id(77)
                .with_client_id(Some("me".to_owned().into()))
                .encode(&mut theirs, ApiKey::Metadata.request_header_version(version))
                .unwrap();
            request.encode(&mut theirs, version).unwrap();
            assert_eq!(ours[4..], theirs[..], "v{version}");
            let decoded = decode_request(ours.slice(4..)).unwrap();
            assert_eq!(decoded, DecodedRequest { header, request });
        }
    }

    #[test]
    fn an_unknown_version_of_api_versions_is_answered_in_version_0() {
        let frame = Bytes::from_static(b"\x00\x12\x00\x63\x00\x00\x00\x07\xff\xff\x00");
        assert_eq!(decode_request(frame), Err(FrameError::UnsupportedApiVersions { correlation_id: 7 }));
        let answer = unsupported_api_versions(7, KafkaVersion::NEWEST);
        let (correlation_id, response) = decode_response(ApiKey::ApiVersions, 0, answer.slice(4..)).unwrap();
        assert_eq!(correlation_id, 7);
        let ResponseKind::ApiVersions(response) = response else { panic!("{response:?}") };
        assert_eq!(response.error_code, ErrorCode::UnsupportedVersion.code());
        assert_eq!(response.api_keys, vec![Api::of(ApiKey::ApiVersions).entry()]);
    }

    #[test]
    fn frames_that_are_no_requests_are_refused() {
        let whole = encode_request(
            &RequestHeader {
                api_key: ApiKey::ApiVersions,
                api_version: 3,
                correlation_id: 1,
                client_id: Some("client".to_owned().into()),
            },
            &Request::ApiVersions(ApiVersionsRequest::default()),
        )
        .unwrap()
        .slice(4..);
        decode_request(whole.clone()).unwrap();
        for len in 0..whole.len() {
            decode_request(whole.slice(..len)).unwrap_err();
        }
        let error = |bytes: &'static [u8]| decode_request(Bytes::from_static(bytes)).unwrap_err();
        assert_eq!(error(b"\x03\xe8\0\0\0\0\0\0\0\0"), FrameError::UnknownApi(1000));
        assert_eq!(error(b"\xff\xff\0\0\0\0\0\0\0\0"), FrameError::UnknownApi(-1));
        assert_eq!(error(b"\0\x3a\0\0\0\0\0\0\xff\xff\0"), FrameError::NotServed(ApiKey::Envelope));
        let unsupported =
            FrameError::UnsupportedVersion { key: ApiKey::Produce, version: 2, min: 3, max: 13 };
        assert_eq!(error(b"\0\0\0\x02\0\0\0\0\xff\xff"), unsupported);
        assert_eq!(unsupported.to_string(), "Produce has no version 2 here (3 to 13)");
    }

    #[test]
    fn produce_is_advertised_from_0() {
        assert_eq!(Api::of(ApiKey::Produce).entry().min_version, 0);
        assert_eq!(Api::of(ApiKey::Fetch).entry().min_version, 4);
    }

    #[test]
    fn the_header_of_api_versions_answers_is_always_the_old_one() {
        let kind = ResponseKind::ApiVersions(ApiVersionsResponse::default());
        let frame = encode_response(ApiKey::ApiVersions, 4, 9, &kind.into()).unwrap().remove(0);
        let mut body = frame.slice(8..);
        ApiVersionsResponse::decode(&mut body, 4).unwrap();
        assert!(body.is_empty());
    }
}
