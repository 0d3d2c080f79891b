//! One partition of `__transaction_state`: its transactional ids, and what waits for its high watermark.

use std::collections::{BTreeMap, VecDeque};

use klamm_node::Ctx;
use klamm_wire::{ErrorCode, StrBytes};

use super::append::Waiting;
use super::metadata::TransactionMetadata;
use super::{records, state_partition};
use crate::core::Core;

/// Where a shard stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ShardState {
    /// It reads its log; the offset is where to go on.
    Loading(i64),
    /// It serves.
    Active,
}

/// One partition's transactional ids.
#[derive(Debug, Clone)]
pub(crate) struct Shard {
    pub(super) partition: i32,
    /// The coordinator's epoch: the leader epoch of the partition.
    pub(super) epoch: i32,
    pub(super) state: ShardState,
    pub(super) transactions: BTreeMap<StrBytes, TransactionMetadata>,
    /// Changes that are in the log and not committed, in the order of their offsets.
    pub(super) waiting: VecDeque<Waiting>,
}

impl Shard {
    /// A shard that has to load its log from `log_start`.
    pub(crate) const fn new(partition: i32, epoch: i32, log_start: i64) -> Self {
        Self {
            partition,
            epoch,
            state: ShardState::Loading(log_start),
            transactions: BTreeMap::new(),
            waiting: VecDeque::new(),
        }
    }

    /// Loads the next piece of the log. True once everything is loaded and the shard serves.
    pub(crate) fn load(
        &mut self,
        core: &mut Core,
        ctx: &mut Ctx<'_>,
        buffer_size: usize,
    ) -> Result<bool, ErrorCode> {
        let ShardState::Loading(offset) = self.state else { return Ok(true) };
        let piece = core.read_log(ctx, &state_partition(self.partition), offset, buffer_size)?;
        if piece.batches.is_empty() || piece.next_offset <= offset {
            self.state = ShardState::Active;
            return Ok(true);
        }
        for (id, transit) in piece.batches.iter().flat_map(records::decode) {
            match transit {
                Some(transit) => self.transactions.insert(id, TransactionMetadata::loaded(transit)),
                None => self.transactions.remove(&id),
            };
        }
        self.state = ShardState::Loading(piece.next_offset);
        Ok(false)
    }
}
