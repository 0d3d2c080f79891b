//! Moves of the cluster.

use klamm_broker::{Broker, GroupView};
use klamm_controller::{Controller, Unfit};
use klamm_node::{NodeId, TopicPartition};
use klamm_wire::{ApiKey, StrBytes};

use crate::fault::check::named;
use crate::fault::engine::request::Only;
use crate::fault::{ClusterFault, FaultError, FaultId, LogWork, RequestAction, RequestMatch};
use crate::input::Output;
use crate::node::Node;
use crate::world::World;

/// Where groups are kept (`Topic.GROUP_METADATA_TOPIC_NAME`).
const GROUP_METADATA_TOPIC: &str = "__consumer_offsets";

impl World {
    /// The controller that decides, if it can: of those that run and are not stopped the one in the highest epoch.
    fn deciding_controller(&self) -> Option<(usize, &Controller)> {
        let now = self.now();
        let controllers = self.slots.iter().enumerate().filter_map(|(slot, place)| match &place.node {
            Some(Node::Controller(controller)) if place.door.can_step(now) => Some((slot, &**controller)),
            _ => None,
        });
        controllers.filter(|(_, controller)| controller.decides()).max_by_key(|(_, c)| c.epoch())
    }

    pub(crate) fn check_controller(&self, what: &'static str) -> Result<&Controller, FaultError> {
        self.deciding_controller().map(|(_, controller)| controller).ok_or(FaultError::NoController(what))
    }

    pub(crate) fn check_cluster_fault(&self, fault: &ClusterFault) -> Result<(), FaultError> {
        let unfit = |partition: &TopicPartition, unfit: Unfit| FaultError::Unfit {
            node: unfit.broker,
            partition: partition.clone(),
            why: unfit.why,
        };
        match fault {
            ClusterFault::MoveLeader { partition, to } => {
                self.check_node(*to)?;
                self.check_partition(partition)?;
                let controller = self.check_controller("moved")?;
                controller.can_move_leader(partition, *to).map_err(|why| unfit(partition, why))
            }
            ClusterFault::MoveCoordinator { group, to } => {
                self.check_node(*to)?;
                let partition = self.partition_of_group(group)?;
                let controller = self.check_controller("moved")?;
                controller.can_move_leader(&partition, *to).map_err(|why| unfit(&partition, why))
            }
            ClusterFault::HoldIsr { partition } => self.check_partition(partition),
            ClusterFault::Log { partition, work } => {
                self.check_partition(partition)?;
                let compacted = |broker: &Broker| broker.is_compacted(partition);
                if *work == LogWork::Compact && !self.holders(partition).any(|(_, broker)| compacted(broker))
                {
                    let why = format!(
                        "{partition} is not compacted, or no broker that runs holds it: set cleanup.policy=compact"
                    );
                    return Err(FaultError::Senseless(why));
                }
                Ok(())
            }
            ClusterFault::SetIsr { partition, isr } => {
                isr.iter().try_for_each(|node| self.check_node(*node))?;
                self.check_partition(partition)?;
                if isr.is_empty() {
                    return Err(FaultError::Senseless("an ISR has at least one member".to_owned()));
                }
                let controller = self.check_controller("changed")?;
                controller.can_set_isr(partition, isr).map_err(|why| unfit(partition, why))
            }
            ClusterFault::ForceRebalance { group } => {
                let view = self.check_group(group)?;
                if view.members.is_empty() {
                    let why = format!("group {group} has no members, so it has nothing to rebalance");
                    return Err(FaultError::Senseless(why));
                }
                Ok(())
            }
            ClusterFault::ExpireMember { group, member } => self.member(group, member).map(|_| ()),
        }
    }

    /// The brokers that run, are not stopped, and hold a replica of a partition.
    fn holders<'a>(&'a self, partition: &'a TopicPartition) -> impl Iterator<Item = (usize, &'a Broker)> {
        let now = self.now();
        self.slots.iter().enumerate().filter_map(move |(slot, place)| match &place.node {
            Some(Node::Broker(broker)) if place.door.can_step(now) && broker.holds(partition) => {
                Some((slot, &**broker))
            }
            _ => None,
        })
    }

    fn check_group(&self, group: &StrBytes) -> Result<GroupView, FaultError> {
        let mut groups = self.groups();
        match groups.remove(group) {
            Some(status) => Ok(status.group),
            None => Err(FaultError::NoGroup { group: group.clone(), known: named("groups", groups.keys()) }),
        }
    }

    /// The id of a member that goes by its id or its `client.id`.
    fn member(&self, group: &StrBytes, member: &StrBytes) -> Result<StrBytes, FaultError> {
        let members = self.check_group(group)?.members;
        let found = members.iter().find(|(id, client)| *id == member || *client == member);
        found.map(|(id, _)| id.clone()).ok_or_else(|| FaultError::NoMember {
            group: group.clone(),
            member: member.clone(),
            known: named("members", members.keys()),
        })
    }

    /// The partition of `__consumer_offsets` that keeps a group.
    fn partition_of_group(&self, group: &StrBytes) -> Result<TopicPartition, FaultError> {
        let topic = StrBytes::from_static_str(GROUP_METADATA_TOPIC);
        self.check_partition(&TopicPartition::new(topic.clone(), 0))?;
        let count = self.topics().get(&topic).copied().unwrap_or(1);
        Ok(TopicPartition::new(topic, klamm_broker::partition_for_group(group, count)))
    }

    pub(crate) fn arm_cluster(&mut self, id: FaultId, fault: ClusterFault, out: &mut Vec<Output>) {
        if let ClusterFault::HoldIsr { partition } = &fault {
            let proposals = RequestMatch::api(ApiKey::AlterPartition).topic_partition(partition);
            self.arm_request(id, proposals, Only::All, RequestAction::Hold);
            return;
        }
        self.faults.registry.disarm(id);
        self.fired(id, None, || fault.to_string());
        match fault {
            ClusterFault::HoldIsr { .. } => {}
            ClusterFault::MoveLeader { partition, to } => self.move_leader(&partition, to, out),
            ClusterFault::MoveCoordinator { group, to } => {
                if let Ok(partition) = self.partition_of_group(&group) {
                    self.move_leader(&partition, to, out);
                }
            }
            ClusterFault::SetIsr { partition, isr } => {
                self.by_controller(out, |controller, ctx| controller.set_isr(ctx, &partition, &isr));
            }
            ClusterFault::Log { partition, work } => {
                let slots: Vec<_> = self.holders(&partition).map(|(slot, _)| slot).collect();
                for slot in slots {
                    self.step(slot, out, |node, ctx| {
                        if let Node::Broker(broker) = node {
                            match work {
                                LogWork::Roll => broker.roll_log(ctx, &partition),
                                LogWork::ApplyRetention => broker.apply_retention(ctx, &partition),
                                LogWork::Compact => broker.compact_log(ctx, &partition),
                            }
                        }
                    });
                }
            }
            ClusterFault::ForceRebalance { group } => {
                self.by_coordinator(&group, out, |broker, ctx| broker.force_rebalance(ctx, &group));
            }
            ClusterFault::ExpireMember { group, member } => {
                if let Ok(member) = self.member(&group, &member) {
                    self.by_coordinator(&group, out, |broker, ctx| {
                        broker.expire_member(ctx, &group, &member)
                    });
                }
            }
        }
    }

    fn move_leader(&mut self, partition: &TopicPartition, to: NodeId, out: &mut Vec<Output>) {
        self.by_controller(out, |controller, ctx| controller.move_leader(ctx, partition, to));
    }

    pub(crate) fn expire_session(&mut self, broker: NodeId, out: &mut Vec<Output>) {
        self.by_controller(out, |controller, ctx| controller.expire_session(ctx, broker));
    }

    fn by_controller(
        &mut self,
        out: &mut Vec<Output>,
        step: impl FnOnce(&mut Controller, &mut klamm_node::Ctx<'_>),
    ) {
        let Some(slot) = self.deciding_controller().map(|(slot, _)| slot) else { return };
        self.step(slot, out, |node, ctx| {
            if let Node::Controller(controller) = node {
                step(controller, ctx);
            }
        });
    }

    fn by_coordinator(
        &mut self,
        group: &StrBytes,
        out: &mut Vec<Output>,
        step: impl FnOnce(&mut klamm_broker::Broker, &mut klamm_node::Ctx<'_>),
    ) {
        let coordinator = self.groups().get(group).map(|status| status.coordinator);
        let Some(slot) = coordinator.and_then(|node| self.slot(node)) else { return };
        self.step(slot, out, |node, ctx| {
            if let Node::Broker(broker) = node {
                step(broker, ctx);
            }
        });
    }
}
