//! What Kafka's coordinators say of groups, and what their logs say that they do not.

use std::collections::BTreeMap;

use klamm_node::TopicPartition;
use klamm_wire::internal::Schema as _;
use klamm_wire::internal::offsets::{GroupMetadataValue, GroupRecordKey};
use klamm_wire::messages::offset_fetch_request::OffsetFetchRequestGroup;
use klamm_wire::messages::{
    ConsumerGroupDescribeRequest, DescribeGroupsRequest, GroupId, ListGroupsRequest, OffsetFetchRequest,
    ResponseKind, ShareGroupDescribeRequest,
};
use klamm_wire::{ApiKey, Request, StrBytes};
use klamm_world::{GroupStatus, GroupView};

use crate::folder::Folder;
use crate::theatre::Kafka;

const OFFSETS: &str = "__consumer_offsets";

impl Kafka {
    /// Every group of every coordinator that answers.
    pub(crate) fn describe_groups(&self) -> BTreeMap<StrBytes, GroupStatus> {
        let mut groups = BTreeMap::new();
        for coordinator in self.running_brokers() {
            let listed = self.ask_kind(coordinator, ApiKey::ListGroups, 5, ListGroupsRequest::default());
            let Some(ResponseKind::ListGroups(listed)) = listed else { continue };
            for group in listed.groups {
                let id = group.group_id.0.clone();
                let mut view = GroupView {
                    coordinator_epoch: 0,
                    kind: known(&group.group_type, &["classic", "consumer", "share"]),
                    state: "",
                    generation: -1,
                    protocol: None,
                    members: BTreeMap::new(),
                    offsets: self.committed(coordinator, &group.group_id),
                };
                match view.kind {
                    "classic" => self.describe_classic(coordinator, &id, &mut view),
                    "consumer" => self.describe_consumer(coordinator, &id, &mut view),
                    _ => self.describe_share(coordinator, &id, &mut view),
                }
                groups.insert(id, GroupStatus { coordinator, group: view });
            }
        }
        groups
    }

    fn describe_classic(&self, coordinator: klamm_node::NodeId, id: &StrBytes, view: &mut GroupView) {
        let request = DescribeGroupsRequest::default().with_groups(vec![GroupId(id.clone())]);
        let described = self.ask_kind(coordinator, ApiKey::DescribeGroups, 5, request);
        let Some(ResponseKind::DescribeGroups(described)) = described else { return };
        let Some(group) = described.groups.into_iter().next() else { return };
        let states = ["Empty", "PreparingRebalance", "CompletingRebalance", "Stable", "Dead"];
        view.state = known(&group.group_state, &states);
        view.protocol = Some(group.protocol_data);
        view.members = group.members.into_iter().map(|member| (member.member_id, member.client_id)).collect();
        // DescribeGroups does not tell the generation; the group's newest record does, once it is written.
        view.generation = generation(&self.folder_of(coordinator), id).unwrap_or(0);
    }

    fn describe_consumer(&self, coordinator: klamm_node::NodeId, id: &StrBytes, view: &mut GroupView) {
        let request = ConsumerGroupDescribeRequest::default().with_group_ids(vec![GroupId(id.clone())]);
        let described = self.ask_kind(coordinator, ApiKey::ConsumerGroupDescribe, 1, request);
        let Some(ResponseKind::ConsumerGroupDescribe(described)) = described else { return };
        let Some(group) = described.groups.into_iter().next() else { return };
        view.state = known(&group.group_state, &["Empty", "Assigning", "Reconciling", "Stable", "Dead"]);
        view.generation = group.group_epoch;
        view.protocol = Some(group.assignor_name);
        view.members = group.members.into_iter().map(|member| (member.member_id, member.client_id)).collect();
    }

    fn describe_share(&self, coordinator: klamm_node::NodeId, id: &StrBytes, view: &mut GroupView) {
        let request = ShareGroupDescribeRequest::default().with_group_ids(vec![GroupId(id.clone())]);
        let described = self.ask_kind(coordinator, ApiKey::ShareGroupDescribe, 1, request);
        let Some(ResponseKind::ShareGroupDescribe(described)) = described else { return };
        let Some(group) = described.groups.into_iter().next() else { return };
        view.state = known(&group.group_state, &["Empty", "Stable", "Dead"]);
        view.generation = group.group_epoch;
        view.protocol = Some(group.assignor_name);
        view.members = group.members.into_iter().map(|member| (member.member_id, member.client_id)).collect();
    }

    fn committed(&self, coordinator: klamm_node::NodeId, id: &GroupId) -> BTreeMap<TopicPartition, i64> {
        let group = OffsetFetchRequestGroup::default()
            .with_group_id(id.clone())
            .with_member_id(None)
            .with_member_epoch(-1)
            .with_topics(None);
        let request = OffsetFetchRequest::default().with_groups(vec![group]);
        let fetched = self.ask_kind(coordinator, ApiKey::OffsetFetch, 9, request);
        let Some(ResponseKind::OffsetFetch(fetched)) = fetched else { return BTreeMap::new() };
        let topics = fetched.groups.into_iter().flat_map(|group| group.topics);
        let offsets = topics.flat_map(|topic| {
            let name = topic.name.0;
            topic.partitions.into_iter().map(move |partition| {
                let at = TopicPartition::new(name.clone(), partition.partition_index);
                (at, partition.committed_offset)
            })
        });
        offsets.filter(|(_, offset)| *offset >= 0).collect()
    }

    fn ask_kind(
        &self,
        broker: klamm_node::NodeId,
        key: ApiKey,
        version: i16,
        request: impl Into<Request>,
    ) -> Option<ResponseKind> {
        match self.ask_one(broker, key, version, &request.into())? {
            klamm_wire::Response::Other(kind) => Some(*kind),
            klamm_wire::Response::Fetch(_) => None,
        }
    }
}

/// The newest generation of a classic group that the coordinator's log tells of.
fn generation(folder: &Folder, id: &StrBytes) -> Option<i32> {
    let of_offsets = folder.partitions().into_iter().filter(|at| *at.topic == *OFFSETS);
    let records = of_offsets.filter_map(|at| folder.log(&at)).flat_map(|log| log.records);
    let generations = records.filter_map(|record| {
        let GroupRecordKey::GroupMetadata(key) = GroupRecordKey::decode(&record.key?).ok()? else {
            return None;
        };
        let (value, _) = GroupMetadataValue::from_versioned_bytes(&record.value?).ok()?;
        (key.group == *id).then_some(value.generation)
    });
    generations.last()
}

/// A word that lasts.
fn known(word: &str, known: &[&'static str]) -> &'static str {
    known.iter().find(|known| known.eq_ignore_ascii_case(word)).copied().unwrap_or("")
}
