//! A request or a response of any API.

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::ApiKey;
use kafka_protocol::protocol::{Decodable, Encodable, Message, VersionRange};

use super::schemas as messages;

macro_rules! kinds {
    ($($api:ident $request:ident $response:ident;)*) => {
        /// A request body, tagged by its API key.
        #[derive(Debug, Clone, PartialEq)]
        #[expect(missing_docs, reason = "the names say it")]
        pub enum RequestKind {
            $($api(messages::$request),)*
        }

        /// A response body, tagged by its API key.
        #[derive(Debug, Clone, PartialEq)]
        #[expect(missing_docs, reason = "the names say it")]
        pub enum ResponseKind {
            $($api(messages::$response),)*
        }

        impl RequestKind {
            /// Appends the body in `version`.
            ///
            /// # Errors
            /// A field is set that the version cannot carry, or there is no such version.
            pub fn encode(&self, out: &mut BytesMut, version: i16) -> anyhow::Result<()> {
                match self { $(Self::$api(request) => request.encode(out, version),)* }
            }

            /// Reads a body of `version`, and leaves what follows it.
            ///
            /// # Errors
            /// The bytes are no such request, or there is no such version.
            pub fn decode(key: ApiKey, bytes: &mut Bytes, version: i16) -> anyhow::Result<Self> {
                match key {
                    $(ApiKey::$api => Decodable::decode(bytes, version).map(Self::$api),)*
                }
            }
        }

        impl ResponseKind {
            /// As [`RequestKind::encode`].
            ///
            /// # Errors
            /// As there.
            pub fn encode(&self, out: &mut BytesMut, version: i16) -> anyhow::Result<()> {
                match self { $(Self::$api(response) => response.encode(out, version),)* }
            }

            /// As [`RequestKind::decode`].
            ///
            /// # Errors
            /// As there.
            pub fn decode(key: ApiKey, bytes: &mut Bytes, version: i16) -> anyhow::Result<Self> {
                match key {
                    $(ApiKey::$api => Decodable::decode(bytes, version).map(Self::$api),)*
                }
            }
        }

        /// The versions of a request that there is a schema for.
        pub const fn known_versions(key: ApiKey) -> VersionRange {
            match key { $(ApiKey::$api => <messages::$request as Message>::VERSIONS,)* }
        }

        $(impl From<messages::$request> for RequestKind {
            fn from(request: messages::$request) -> Self {
                Self::$api(request)
            }
        }

        impl From<messages::$response> for ResponseKind {
            fn from(response: messages::$response) -> Self {
                Self::$api(response)
            }
        })*
    };
}

kinds! {
    Produce ProduceRequest ProduceResponse;
    Fetch FetchRequest FetchResponse;
    ListOffsets ListOffsetsRequest ListOffsetsResponse;
    Metadata MetadataRequest MetadataResponse;
    OffsetCommit OffsetCommitRequest OffsetCommitResponse;
    OffsetFetch OffsetFetchRequest OffsetFetchResponse;
    FindCoordinator FindCoordinatorRequest FindCoordinatorResponse;
    JoinGroup JoinGroupRequest JoinGroupResponse;
    Heartbeat HeartbeatRequest HeartbeatResponse;
    LeaveGroup LeaveGroupRequest LeaveGroupResponse;
    SyncGroup SyncGroupRequest SyncGroupResponse;
    DescribeGroups DescribeGroupsRequest DescribeGroupsResponse;
    ListGroups ListGroupsRequest ListGroupsResponse;
    SaslHandshake SaslHandshakeRequest SaslHandshakeResponse;
    ApiVersions ApiVersionsRequest ApiVersionsResponse;
    CreateTopics CreateTopicsRequest CreateTopicsResponse;
    DeleteTopics DeleteTopicsRequest DeleteTopicsResponse;
    DeleteRecords DeleteRecordsRequest DeleteRecordsResponse;
    InitProducerId InitProducerIdRequest InitProducerIdResponse;
    OffsetForLeaderEpoch OffsetForLeaderEpochRequest OffsetForLeaderEpochResponse;
    AddPartitionsToTxn AddPartitionsToTxnRequest AddPartitionsToTxnResponse;
    AddOffsetsToTxn AddOffsetsToTxnRequest AddOffsetsToTxnResponse;
    EndTxn EndTxnRequest EndTxnResponse;
    WriteTxnMarkers WriteTxnMarkersRequest WriteTxnMarkersResponse;
    TxnOffsetCommit TxnOffsetCommitRequest TxnOffsetCommitResponse;
    DescribeAcls DescribeAclsRequest DescribeAclsResponse;
    CreateAcls CreateAclsRequest CreateAclsResponse;
    DeleteAcls DeleteAclsRequest DeleteAclsResponse;
    DescribeConfigs DescribeConfigsRequest DescribeConfigsResponse;
    AlterConfigs AlterConfigsRequest AlterConfigsResponse;
    AlterReplicaLogDirs AlterReplicaLogDirsRequest AlterReplicaLogDirsResponse;
    DescribeLogDirs DescribeLogDirsRequest DescribeLogDirsResponse;
    SaslAuthenticate SaslAuthenticateRequest SaslAuthenticateResponse;
    CreatePartitions CreatePartitionsRequest CreatePartitionsResponse;
    CreateDelegationToken CreateDelegationTokenRequest CreateDelegationTokenResponse;
    RenewDelegationToken RenewDelegationTokenRequest RenewDelegationTokenResponse;
    ExpireDelegationToken ExpireDelegationTokenRequest ExpireDelegationTokenResponse;
    DescribeDelegationToken DescribeDelegationTokenRequest DescribeDelegationTokenResponse;
    DeleteGroups DeleteGroupsRequest DeleteGroupsResponse;
    ElectLeaders ElectLeadersRequest ElectLeadersResponse;
    IncrementalAlterConfigs IncrementalAlterConfigsRequest IncrementalAlterConfigsResponse;
    AlterPartitionReassignments AlterPartitionReassignmentsRequest AlterPartitionReassignmentsResponse;
    ListPartitionReassignments ListPartitionReassignmentsRequest ListPartitionReassignmentsResponse;
    OffsetDelete OffsetDeleteRequest OffsetDeleteResponse;
    DescribeClientQuotas DescribeClientQuotasRequest DescribeClientQuotasResponse;
    AlterClientQuotas AlterClientQuotasRequest AlterClientQuotasResponse;
    DescribeUserScramCredentials DescribeUserScramCredentialsRequest DescribeUserScramCredentialsResponse;
    AlterUserScramCredentials AlterUserScramCredentialsRequest AlterUserScramCredentialsResponse;
    Vote VoteRequest VoteResponse;
    BeginQuorumEpoch BeginQuorumEpochRequest BeginQuorumEpochResponse;
    EndQuorumEpoch EndQuorumEpochRequest EndQuorumEpochResponse;
    DescribeQuorum DescribeQuorumRequest DescribeQuorumResponse;
    AlterPartition AlterPartitionRequest AlterPartitionResponse;
    UpdateFeatures UpdateFeaturesRequest UpdateFeaturesResponse;
    Envelope EnvelopeRequest EnvelopeResponse;
    FetchSnapshot FetchSnapshotRequest FetchSnapshotResponse;
    DescribeCluster DescribeClusterRequest DescribeClusterResponse;
    DescribeProducers DescribeProducersRequest DescribeProducersResponse;
    BrokerRegistration BrokerRegistrationRequest BrokerRegistrationResponse;
    BrokerHeartbeat BrokerHeartbeatRequest BrokerHeartbeatResponse;
    UnregisterBroker UnregisterBrokerRequest UnregisterBrokerResponse;
    DescribeTransactions DescribeTransactionsRequest DescribeTransactionsResponse;
    ListTransactions ListTransactionsRequest ListTransactionsResponse;
    AllocateProducerIds AllocateProducerIdsRequest AllocateProducerIdsResponse;
    ConsumerGroupHeartbeat ConsumerGroupHeartbeatRequest ConsumerGroupHeartbeatResponse;
    ConsumerGroupDescribe ConsumerGroupDescribeRequest ConsumerGroupDescribeResponse;
    ControllerRegistration ControllerRegistrationRequest ControllerRegistrationResponse;
    GetTelemetrySubscriptions GetTelemetrySubscriptionsRequest GetTelemetrySubscriptionsResponse;
    PushTelemetry PushTelemetryRequest PushTelemetryResponse;
    AssignReplicasToDirs AssignReplicasToDirsRequest AssignReplicasToDirsResponse;
    ListConfigResources ListConfigResourcesRequest ListConfigResourcesResponse;
    DescribeTopicPartitions DescribeTopicPartitionsRequest DescribeTopicPartitionsResponse;
    ShareGroupHeartbeat ShareGroupHeartbeatRequest ShareGroupHeartbeatResponse;
    ShareGroupDescribe ShareGroupDescribeRequest ShareGroupDescribeResponse;
    ShareFetch ShareFetchRequest ShareFetchResponse;
    ShareAcknowledge ShareAcknowledgeRequest ShareAcknowledgeResponse;
    AddRaftVoter AddRaftVoterRequest AddRaftVoterResponse;
    RemoveRaftVoter RemoveRaftVoterRequest RemoveRaftVoterResponse;
    UpdateRaftVoter UpdateRaftVoterRequest UpdateRaftVoterResponse;
    InitializeShareGroupState InitializeShareGroupStateRequest InitializeShareGroupStateResponse;
    ReadShareGroupState ReadShareGroupStateRequest ReadShareGroupStateResponse;
    WriteShareGroupState WriteShareGroupStateRequest WriteShareGroupStateResponse;
    DeleteShareGroupState DeleteShareGroupStateRequest DeleteShareGroupStateResponse;
    ReadShareGroupStateSummary ReadShareGroupStateSummaryRequest ReadShareGroupStateSummaryResponse;
    DescribeShareGroupOffsets DescribeShareGroupOffsetsRequest DescribeShareGroupOffsetsResponse;
    AlterShareGroupOffsets AlterShareGroupOffsetsRequest AlterShareGroupOffsetsResponse;
    DeleteShareGroupOffsets DeleteShareGroupOffsetsRequest DeleteShareGroupOffsetsResponse;
}
