//! Requests about share groups (KIP-932).

use crate::messages::{
    AlterShareGroupOffsetsResponse, DeleteShareGroupOffsetsResponse, DeleteShareGroupStateResponse,
    DescribeShareGroupOffsetsResponse, InitializeShareGroupStateResponse, ReadShareGroupStateResponse,
    ReadShareGroupStateSummaryResponse, ResponseKind, ShareAcknowledgeResponse, ShareFetchResponse,
    ShareGroupDescribeResponse, ShareGroupHeartbeatResponse, WriteShareGroupStateResponse,
    delete_share_group_state_response, describe_share_group_offsets_response,
    initialize_share_group_state_response, read_share_group_state_response,
    read_share_group_state_summary_response, share_group_describe_response, write_share_group_state_response,
};

use crate::Request;

/// The answer to a request of a share consumer, or of an administrator about share groups.
pub(super) fn group(request: &Request, code: i16) -> Option<ResponseKind> {
    Some(match request {
        Request::ShareFetch(_) => {
            ResponseKind::ShareFetch(ShareFetchResponse::default().with_error_code(code))
        }
        Request::ShareAcknowledge(_) => {
            ResponseKind::ShareAcknowledge(ShareAcknowledgeResponse::default().with_error_code(code))
        }
        Request::ShareGroupHeartbeat(_) => {
            ResponseKind::ShareGroupHeartbeat(ShareGroupHeartbeatResponse::default().with_error_code(code))
        }
        Request::ShareGroupDescribe(request) => {
            use share_group_describe_response::DescribedGroup;
            let groups = request
                .group_ids
                .iter()
                .map(|group| DescribedGroup::default().with_group_id(group.clone()).with_error_code(code));
            let response = ShareGroupDescribeResponse::default().with_groups(groups.collect());
            ResponseKind::ShareGroupDescribe(response)
        }
        Request::DescribeShareGroupOffsets(request) => {
            use describe_share_group_offsets_response::DescribeShareGroupOffsetsResponseGroup;
            let groups = request.groups.iter().map(|group| {
                DescribeShareGroupOffsetsResponseGroup::default()
                    .with_group_id(group.group_id.clone())
                    .with_error_code(code)
            });
            let response = DescribeShareGroupOffsetsResponse::default().with_groups(groups.collect());
            ResponseKind::DescribeShareGroupOffsets(response)
        }
        Request::AlterShareGroupOffsets(_) => ResponseKind::AlterShareGroupOffsets(
            AlterShareGroupOffsetsResponse::default().with_error_code(code),
        ),
        Request::DeleteShareGroupOffsets(_) => ResponseKind::DeleteShareGroupOffsets(
            DeleteShareGroupOffsetsResponse::default().with_error_code(code),
        ),
        _ => return None,
    })
}

/// The answer to a request for the share coordinator.
pub(super) fn state(request: &Request, code: i16) -> Option<ResponseKind> {
    Some(match request {
        Request::InitializeShareGroupState(request) => {
            use initialize_share_group_state_response::{InitializeStateResult, PartitionResult};
            let results = request.topics.iter().map(|topic| {
                let partitions = topic.partitions.iter().map(|asked| {
                    PartitionResult::default().with_partition(asked.partition).with_error_code(code)
                });
                InitializeStateResult::default()
                    .with_topic_id(topic.topic_id)
                    .with_partitions(partitions.collect())
            });
            let response = InitializeShareGroupStateResponse::default().with_results(results.collect());
            ResponseKind::InitializeShareGroupState(response)
        }
        Request::ReadShareGroupState(request) => {
            use read_share_group_state_response::{PartitionResult, ReadStateResult};
            let results = request.topics.iter().map(|topic| {
                let partitions = topic.partitions.iter().map(|asked| {
                    PartitionResult::default().with_partition(asked.partition).with_error_code(code)
                });
                ReadStateResult::default().with_topic_id(topic.topic_id).with_partitions(partitions.collect())
            });
            let response = ReadShareGroupStateResponse::default().with_results(results.collect());
            ResponseKind::ReadShareGroupState(response)
        }
        Request::WriteShareGroupState(request) => {
            use write_share_group_state_response::{PartitionResult, WriteStateResult};
            let results = request.topics.iter().map(|topic| {
                let partitions = topic.partitions.iter().map(|asked| {
                    PartitionResult::default().with_partition(asked.partition).with_error_code(code)
                });
                WriteStateResult::default()
                    .with_topic_id(topic.topic_id)
                    .with_partitions(partitions.collect())
            });
            let response = WriteShareGroupStateResponse::default().with_results(results.collect());
            ResponseKind::WriteShareGroupState(response)
        }
        Request::DeleteShareGroupState(request) => {
            use delete_share_group_state_response::{DeleteStateResult, PartitionResult};
            let results = request.topics.iter().map(|topic| {
                let partitions = topic.partitions.iter().map(|asked| {
                    PartitionResult::default().with_partition(asked.partition).with_error_code(code)
                });
                DeleteStateResult::default()
                    .with_topic_id(topic.topic_id)
                    .with_partitions(partitions.collect())
            });
            let response = DeleteShareGroupStateResponse::default().with_results(results.collect());
            ResponseKind::DeleteShareGroupState(response)
        }
        Request::ReadShareGroupStateSummary(request) => {
            use read_share_group_state_summary_response::{PartitionResult, ReadStateSummaryResult};
            let results = request.topics.iter().map(|topic| {
                let partitions = topic.partitions.iter().map(|asked| {
                    PartitionResult::default().with_partition(asked.partition).with_error_code(code)
                });
                ReadStateSummaryResult::default()
                    .with_topic_id(topic.topic_id)
                    .with_partitions(partitions.collect())
            });
            let response = ReadShareGroupStateSummaryResponse::default().with_results(results.collect());
            ResponseKind::ReadShareGroupStateSummary(response)
        }
        _ => return None,
    })
}
