//! The time that an answer says its client was throttled for.

use crate::messages::ResponseKind;

use crate::Response;

/// Every answer with the field.
macro_rules! throttled {
    ($kind:expr, $response:ident => $then:expr, $otherwise:expr) => {
        throttled!(@ $kind, $response => $then, $otherwise;
            Produce ListOffsets Metadata OffsetCommit OffsetFetch FindCoordinator JoinGroup Heartbeat LeaveGroup
            SyncGroup DescribeGroups ListGroups ApiVersions CreateTopics DeleteTopics DeleteRecords InitProducerId
            OffsetForLeaderEpoch AddPartitionsToTxn AddOffsetsToTxn EndTxn TxnOffsetCommit DescribeAcls CreateAcls
            DeleteAcls DescribeConfigs AlterConfigs AlterReplicaLogDirs DescribeLogDirs CreatePartitions
            CreateDelegationToken RenewDelegationToken ExpireDelegationToken DescribeDelegationToken DeleteGroups
            ElectLeaders IncrementalAlterConfigs AlterPartitionReassignments ListPartitionReassignments OffsetDelete
            DescribeClientQuotas AlterClientQuotas DescribeUserScramCredentials AlterUserScramCredentials
            AlterPartition UpdateFeatures FetchSnapshot DescribeCluster DescribeProducers BrokerRegistration
            BrokerHeartbeat UnregisterBroker DescribeTransactions ListTransactions AllocateProducerIds
            ConsumerGroupHeartbeat ConsumerGroupDescribe ControllerRegistration AssignReplicasToDirs
            DescribeTopicPartitions ShareGroupHeartbeat ShareGroupDescribe ShareFetch ShareAcknowledge
            DescribeShareGroupOffsets AlterShareGroupOffsets DeleteShareGroupOffsets ListConfigResources
        )
    };
    (@ $kind:expr, $response:ident => $then:expr, $otherwise:expr; $($api:ident)*) => {
        match $kind {
            $(ResponseKind::$api($response) => $then,)*
            _ => $otherwise,
        }
    };
}

/// Sets `throttle_time_ms`; false when this answer has no such field.
pub const fn set_throttle_time(response: &mut Response, millis: i32) -> bool {
    let kind = match response {
        Response::Fetch(response) => {
            response.throttle_time_ms = millis;
            return true;
        }
        Response::Other(kind) => &mut **kind,
    };
    throttled!(kind, response => { response.throttle_time_ms = millis; true }, false)
}

/// The `throttle_time_ms` of an answer; 0 where it has no such field.
pub const fn throttle_time(response: &Response) -> i32 {
    match response {
        Response::Fetch(response) => response.throttle_time_ms,
        Response::Other(kind) => throttled!(&**kind, response => response.throttle_time_ms, 0),
    }
}
