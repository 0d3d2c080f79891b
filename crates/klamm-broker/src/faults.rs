//! What faults do to a broker from outside.

use klamm_node::pause::PausePoint;
use klamm_node::{Ctx, TopicPartition};
use klamm_wire::StrBytes;

use crate::broker::Broker;
use crate::core::Core;
use crate::fetch_session::TopicRef;
use crate::group::partition_for;
use crate::partition::{Changes, Slot};

impl Broker {
    /// Whether it holds a replica of a partition.
    pub fn holds(&self, partition: &TopicPartition) -> bool {
        self.core.replicas.slot_by_name(partition).is_some()
    }

    /// Whether it holds a replica of a partition of a compacted topic.
    pub fn is_compacted(&self, partition: &TopicPartition) -> bool {
        self.core.replicas.by_name(partition).is_some_and(|replica| replica.log.config().compact)
    }

    /// Begins a new segment of a replica's log, unless its last one is empty.
    pub fn roll_log(&mut self, ctx: &mut Ctx<'_>, partition: &TopicPartition) {
        self.core.roll_now(ctx, partition);
        self.settle(ctx);
    }

    /// Applies retention to a replica's log.
    pub fn apply_retention(&mut self, ctx: &mut Ctx<'_>, partition: &TopicPartition) {
        if let Some(slot) = self.core.replicas.slot_by_name(partition) {
            self.core.delete_old_segments(ctx, slot);
        }
        self.settle(ctx);
    }

    /// Compacts a replica's log, however little of it is dirty.
    pub fn compact_log(&mut self, ctx: &mut Ctx<'_>, partition: &TopicPartition) {
        self.core.compact_now(ctx, partition);
        self.settle(ctx);
    }

    /// Begins a rebalance of a group that this broker coordinates.
    pub fn force_rebalance(&mut self, ctx: &mut Ctx<'_>, group: &StrBytes) {
        self.groups.force_rebalance(&mut self.core, ctx, group);
        self.settle(ctx);
    }

    /// Finds the session of a member, by its id, of a group that this broker coordinates expired.
    pub fn expire_member(&mut self, ctx: &mut Ctx<'_>, group: &StrBytes, member: &StrBytes) {
        self.groups.expire_member(&mut self.core, ctx, group, member);
        self.settle(ctx);
    }

    /// The partitions of a fetch session; none when there is no such session.
    pub fn fetch_session_partitions(&self, session: i32) -> Vec<TopicPartition> {
        let Some(session) = self.core.sessions.get(session) else { return Vec::new() };
        let partitions = session.iter().filter_map(|(_, cached)| {
            let target = &cached.target;
            let topic = match &target.topic {
                TopicRef::Name(name) => name.clone(),
                TopicRef::Id(id) => self.core.topic_name(*id)?,
            };
            Some(TopicPartition::new(topic, target.partition))
        });
        partitions.collect()
    }

    /// Has the broker tell when it comes by a named point, or hold there.
    pub fn arm_breakpoint(
        &mut self,
        fault: u32,
        at: PausePoint,
        partition: Option<TopicPartition>,
        nth: u32,
    ) {
        self.core.pauses.arm(fault, at, partition, nth);
    }

    /// Ends a breakpoint, and goes on with what it held.
    pub fn release_breakpoint(&mut self, ctx: &mut Ctx<'_>, fault: u32) {
        for partition in self.core.pauses.disarm(fault) {
            self.core.go_on_behind_high_watermark(&partition);
        }
        self.settle(ctx);
    }

    /// How many continuations a breakpoint holds.
    pub fn held_by_breakpoint(&self, fault: u32) -> usize {
        self.core.pauses.held(fault)
    }
}

impl Core {
    /// Whether those who wait for a partition's high watermark may not look now.
    pub(crate) fn is_held_behind_high_watermark(
        &mut self,
        ctx: &mut Ctx<'_>,
        slot: Slot,
        moved: bool,
    ) -> bool {
        const AT: PausePoint = PausePoint::AfterHwAdvanceBeforePurgatory;
        let Some(partition) = self.replicas.get(slot) else { return false };
        if moved {
            self.pauses.tell(ctx, AT, &partition.name)
        } else {
            self.pauses.holds(AT, &partition.name)
        }
    }

    /// Has everybody look again who waits for a partition's high watermark.
    fn go_on_behind_high_watermark(&mut self, partition: &TopicPartition) {
        let Some(slot): Option<Slot> = self.replicas.slot_by_name(partition) else { return };
        if let Some(partition) = self.replicas.get_mut(slot) {
            partition.changes.add(Changes::HIGH_WATERMARK);
        }
        self.replicas.note(slot);
    }
}

/// The partition of `__consumer_offsets`, if it has so many, that keeps a group (`GroupMetadataManager.partitionFor`).
pub fn partition_for_group(group: &str, partitions: i32) -> i32 {
    partition_for(group, partitions)
}
