//! Faults of disks, as the world has them.

use klamm_node::NodeId;

use super::faulty_disk::FaultyDisk;
use crate::fault::{DiskFault, FaultError, FaultId};
use crate::node::{Node, Slot};
use crate::world::World;

impl Slot {
    /// The node's disk, wherever it is.
    fn faulty_disk(&mut self) -> Option<&mut FaultyDisk> {
        let disk = match &mut self.node {
            Some(node) => Node::disk_mut(node)?,
            None => self.disk.as_deref_mut()?,
        };
        disk.as_any().downcast_mut()
    }
}

impl World {
    /// Arms a fault of a disk.
    ///
    /// # Errors
    /// When bits are to flip where there are none.
    pub(crate) fn arm_disk(&mut self, id: FaultId, node: NodeId, fault: DiskFault) -> Result<(), FaultError> {
        let no_disk = || FaultError::Disk { node, why: "it was lost when the node did not start".to_owned() };
        let slot = self.slot(node).ok_or_else(no_disk)?;
        let disk = self.slots[slot].faulty_disk().ok_or_else(no_disk)?;
        if let DiskFault::BitRot { place, mask } = &fault {
            let at = disk.rot(place, *mask).map_err(|why| FaultError::Disk { node, why })?;
            self.inject_armed(id, crate::fault::Fault::Disk { node, fault });
            self.expect_corruption();
            self.faults.registry.disarm(id);
            self.fired(id, Some(node), || format!("bits of {at} flipped"));
            return Ok(());
        }
        disk.arm(id, fault.clone());
        self.inject_armed(id, crate::fault::Fault::Disk { node, fault });
        self.faults.disks = true;
        self.faults.doors = true;
        Ok(())
    }

    /// Bytes are about to be changed: brokers check from now on what memory alone would keep.
    pub(crate) fn expect_corruption(&mut self) {
        self.faults.corrupts = true;
        for slot in 0..self.slots.len() {
            self.check_checksums(slot);
        }
    }

    /// Has a broker check what it is sent, if bytes may have been changed.
    pub(crate) fn check_checksums(&mut self, slot: usize) {
        if self.faults.corrupts
            && let Some(Node::Broker(broker)) = &mut self.slots[slot].node
        {
            broker.set_verify_crcs(true);
        }
    }

    pub(crate) fn disarm_disk(&mut self, id: FaultId, node: NodeId) {
        if let Some(slot) = self.slot(node)
            && let Some(disk) = self.slots[slot].faulty_disk()
        {
            disk.disarm(id);
        }
    }

    /// Tells what faults of a disk have done in a step; how much longer it takes.
    pub(crate) fn note_disk(&mut self, slot: usize) -> std::time::Duration {
        let node = self.slots[slot].id;
        let Some(deeds) = self.slots[slot].faulty_disk().map(FaultyDisk::take_deeds) else {
            return std::time::Duration::ZERO;
        };
        for (id, what) in deeds.fired {
            self.fired(id, Some(node), || what);
        }
        for id in deeds.over {
            self.faults.registry.disarm(id);
        }
        deeds.cost
    }
}
