//! Incremental fetch sessions (KIP-227): what a fetcher asked for, and which of it may have changed.
//!
//! Kafka goes through every partition of a session at every fetch. Here a session keeps a queue of the partitions that may have
//! something to say (new data, a moved high watermark, an error, a changed request) and only these are looked at, so that a fetch
//! over thousands of quiet partitions costs nothing. What is answered is the same.

use std::collections::{BTreeSet, VecDeque};

use klamm_node::Rng;
use klamm_wire::{ErrorCode, FetchPartition, StrBytes, Uuid};
use rustc_hash::FxHashMap;

use crate::partition::fetch::PartitionFetch;
use crate::partition::{Partition, Slot};
use crate::purgatory::OpId;

/// No session (`FetchMetadata.INVALID_SESSION_ID`).
pub(crate) const INVALID_SESSION_ID: i32 = 0;
/// The epoch of a first, full fetch.
pub(crate) const INITIAL_EPOCH: i32 = 0;
/// The epoch of a fetch without a session, or one that ends it.
pub(crate) const FINAL_EPOCH: i32 = -1;

/// The epoch after `epoch`.
pub(crate) const fn next_epoch(epoch: i32) -> i32 {
    if epoch < 0 {
        FINAL_EPOCH
    } else if epoch == i32::MAX {
        1
    } else {
        epoch + 1
    }
}

/// A topic as a fetch names it: by id from version 13 on, by name before.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum TopicRef {
    /// By id.
    Id(Uuid),
    /// By name.
    Name(StrBytes),
}

/// A partition as a fetch names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct PartitionRef {
    /// The topic.
    pub(crate) topic: TopicRef,
    /// The partition.
    pub(crate) partition: i32,
}

impl PartitionRef {
    /// Whether this is the partition meant.
    pub(crate) fn names(&self, partition: &Partition) -> bool {
        self.partition == partition.name.partition
            && match &self.topic {
                TopicRef::Id(id) => *id == partition.topic_id,
                TopicRef::Name(name) => *name == partition.name.topic,
            }
    }
}

/// One partition of a session (`CachedPartition`).
#[derive(Debug, Clone)]
pub(crate) struct CachedPartition {
    /// The partition.
    pub(crate) target: PartitionRef,
    /// What the fetcher last asked of it.
    pub(crate) fetch: PartitionFetch,
    /// The high watermark that it was last told.
    pub(crate) high_watermark: i64,
    /// The log start that it was last told.
    pub(crate) log_start_offset: i64,
    /// Where the replica is, when this broker has one.
    pub(crate) slot: Option<Slot>,
    /// Whether the replica tells the session of its next change.
    pub(crate) subscribed: bool,
    queued: bool,
}

impl CachedPartition {
    /// Whether an answer says anything that the fetcher has not been told (`CachedPartition.maybeUpdateResponseData`).
    pub(crate) fn must_answer(&self, answer: &FetchPartition) -> bool {
        !answer.records.is_empty()
            || self.high_watermark != answer.high_watermark
            || self.log_start_offset != answer.log_start_offset
            || answer.preferred_read_replica.0 >= 0
            || answer.error_code != ErrorCode::None
            || answer.diverging_epoch.is_some()
    }

    /// Remembers what an answer tells. After an error or a diverging epoch, of which the fetcher uses nothing else, it is told
    /// again.
    pub(crate) const fn note_answer(&mut self, answer: &FetchPartition) {
        self.log_start_offset = answer.log_start_offset;
        let told = matches!(answer.error_code, ErrorCode::None) && answer.diverging_epoch.is_none();
        self.high_watermark = if told { answer.high_watermark } else { -1 };
    }
}

/// A session that was just created.
#[derive(Debug, Clone)]
pub(crate) struct Created {
    /// Its id.
    pub(crate) id: i32,
    /// The session that had to go for it.
    pub(crate) evicted: Option<FetchSession>,
    /// That session's id.
    pub(crate) evicted_id: i32,
}

/// A fetcher's session (`FetchSession`).
#[derive(Debug, Clone)]
pub(crate) struct FetchSession {
    /// Whether a follower owns it.
    pub(crate) privileged: bool,
    /// Whether it names topics by id.
    pub(crate) uses_topic_ids: bool,
    /// The epoch that its next fetch must have.
    pub(crate) epoch: i32,
    /// The fetch that waits in it.
    pub(crate) parked: Option<OpId>,
    /// The wall clock at its last fetch, in milliseconds.
    pub(crate) last_fetch_ms: i64,
    partitions: Vec<Option<CachedPartition>>,
    free: Vec<u32>,
    index: FxHashMap<PartitionRef, u32>,
    queue: VecDeque<u32>,
    created_ms: i64,
    last_used_ms: i64,
    cached_size: usize,
    /// How it was last filed among those that may be evicted: with what size, and whether it was old enough for everybody.
    filed: Option<(usize, bool)>,
}

impl FetchSession {
    /// How many partitions it holds.
    pub(crate) fn len(&self) -> usize {
        self.index.len()
    }

    /// A partition by its place.
    pub(crate) fn get(&self, index: u32) -> Option<&CachedPartition> {
        self.partitions.get(index as usize)?.as_ref()
    }

    /// A partition by its place.
    pub(crate) fn get_mut(&mut self, index: u32) -> Option<&mut CachedPartition> {
        self.partitions.get_mut(index as usize)?.as_mut()
    }

    /// Notes that a partition may have something to say.
    pub(crate) fn touch(&mut self, index: u32) {
        if let Some(Some(partition)) = self.partitions.get_mut(index as usize)
            && !partition.queued
        {
            partition.queued = true;
            self.queue.push_back(index);
        }
    }

    /// Has every partition looked at.
    pub(crate) fn touch_all(&mut self) {
        for index in 0..self.partitions.len() as u32 {
            self.touch(index);
        }
    }

    /// Every partition that may have something to say, with its place, in order.
    pub(crate) fn queued(&self) -> impl Iterator<Item = (u32, &CachedPartition)> {
        let partitions = self.queue.iter().filter_map(|index| Some((*index, self.get(*index)?)));
        partitions.filter(|(_, partition)| partition.queued)
    }

    /// Takes every partition that may have something to say, in order. The caller touches again those that still do.
    pub(crate) fn take_queue(&mut self) -> Vec<u32> {
        let mut taken = Vec::with_capacity(self.queue.len());
        while let Some(index) = self.queue.pop_front() {
            if let Some(Some(partition)) = self.partitions.get_mut(index as usize)
                && partition.queued
            {
                partition.queued = false;
                taken.push(index);
            }
        }
        taken
    }

    /// Adds a partition, or updates what is asked of it, and touches it. Its place, and whether it is new.
    pub(crate) fn upsert(&mut self, target: PartitionRef, fetch: PartitionFetch) -> (u32, bool) {
        if let Some(index) = self.index.get(&target).copied() {
            if let Some(partition) = self.get_mut(index) {
                partition.fetch = fetch;
            }
            self.touch(index);
            return (index, false);
        }
        let partition = CachedPartition {
            target: target.clone(),
            fetch,
            high_watermark: -1,
            log_start_offset: -1,
            slot: None,
            subscribed: false,
            queued: false,
        };
        let index = match self.free.pop() {
            Some(index) => {
                self.partitions[index as usize] = Some(partition);
                index
            }
            None => {
                self.partitions.push(Some(partition));
                (self.partitions.len() - 1) as u32
            }
        };
        self.index.insert(target, index);
        self.touch(index);
        (index, true)
    }

    /// Removes a partition; its place and where its replica was.
    pub(crate) fn forget(&mut self, target: &PartitionRef) -> Option<(u32, Option<Slot>)> {
        let index = self.index.remove(target)?;
        let partition = self.partitions.get_mut(index as usize)?.take()?;
        if partition.queued {
            self.queue.retain(|i| *i != index);
        }
        self.free.push(index);
        Some((index, partition.slot))
    }

    /// Every partition with its place.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &CachedPartition)> {
        self.partitions.iter().enumerate().filter_map(|(i, p)| p.as_ref().map(|p| (i as u32, p)))
    }
}

/// How valuable a session is: followers before consumers, large before small (`EvictableKey`).
type EvictableKey = (bool, usize, i32);

/// Every session of the broker (`FetchSessionCache`).
#[derive(Debug, Clone)]
pub(crate) struct FetchSessionCache {
    sessions: FxHashMap<i32, FetchSession>,
    evictable_by_all: BTreeSet<EvictableKey>,
    evictable_by_privileged: BTreeSet<EvictableKey>,
    max_entries: usize,
    eviction_ms: i64,
}

impl FetchSessionCache {
    /// A cache of `max_entries` sessions (`max.incremental.fetch.session.cache.slots`), which may be evicted after
    /// `eviction_ms` of idleness.
    pub(crate) fn new(max_entries: usize, eviction_ms: i64) -> Self {
        Self {
            sessions: FxHashMap::default(),
            evictable_by_all: BTreeSet::new(),
            evictable_by_privileged: BTreeSet::new(),
            max_entries,
            eviction_ms,
        }
    }

    /// How many sessions there are.
    pub(crate) fn len(&self) -> usize {
        self.sessions.len()
    }

    /// A session.
    pub(crate) fn get(&self, id: i32) -> Option<&FetchSession> {
        self.sessions.get(&id)
    }

    /// A session.
    pub(crate) fn get_mut(&mut self, id: i32) -> Option<&mut FetchSession> {
        self.sessions.get_mut(&id)
    }

    /// The wall clock at a session's last fetch, in milliseconds.
    pub(crate) fn last_fetch_ms(&self, id: i32) -> Option<i64> {
        self.sessions.get(&id).map(|session| session.last_fetch_ms)
    }

    /// The session that an incremental fetch continues, or why it cannot.
    pub(crate) fn check(&self, id: i32, epoch: i32, uses_topic_ids: bool) -> Result<(), ErrorCode> {
        let session = self.sessions.get(&id).ok_or(ErrorCode::FetchSessionIdNotFound)?;
        if session.epoch != epoch {
            return Err(ErrorCode::InvalidFetchSessionEpoch);
        }
        if session.uses_topic_ids != uses_topic_ids {
            return Err(ErrorCode::FetchSessionTopicIdError);
        }
        Ok(())
    }

    /// Makes room for a session of `size` partitions and creates it, empty. `None` when every other session is worth more.
    pub(crate) fn create(
        &mut self,
        rng: &mut Rng,
        now_ms: i64,
        wall_ms: i64,
        privileged: bool,
        size: usize,
        uses_topic_ids: bool,
    ) -> Option<Created> {
        let mut evicted = None;
        let mut evicted_id = INVALID_SESSION_ID;
        if self.sessions.len() >= self.max_entries {
            evicted_id = self.evictable(privileged, size, now_ms)?;
            evicted = self.remove(evicted_id);
        }
        let id = loop {
            let id = rng.below(i32::MAX as u64 - 1) as i32 + 1;
            if !self.sessions.contains_key(&id) {
                break id;
            }
        };
        let session = FetchSession {
            privileged,
            uses_topic_ids,
            epoch: next_epoch(INITIAL_EPOCH),
            parked: None,
            last_fetch_ms: wall_ms,
            partitions: Vec::with_capacity(size),
            free: Vec::new(),
            index: FxHashMap::default(),
            queue: VecDeque::new(),
            created_ms: now_ms,
            last_used_ms: now_ms,
            cached_size: size,
            filed: None,
        };
        self.sessions.insert(id, session);
        self.note_use(id, now_ms);
        Some(Created { id, evicted, evicted_id })
    }

    /// The session that a new one may take the place of: a stale one, or a less valuable one that is not young.
    fn evictable(&self, privileged: bool, size: usize, now_ms: i64) -> Option<i32> {
        // Looked for only when the cache is full, so that no fetch has to keep them in order.
        let (used, id) = self.sessions.iter().map(|(id, session)| (session.last_used_ms, *id)).min()?;
        if now_ms - used > self.eviction_ms {
            return Some(id);
        }
        let candidates = if privileged { &self.evictable_by_privileged } else { &self.evictable_by_all };
        let least = *candidates.first()?;
        if (privileged, size, 0) < least { None } else { Some(least.2) }
    }

    /// Takes note of a session's use and size.
    pub(crate) fn note_use(&mut self, id: i32, now_ms: i64) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        session.last_used_ms = now_ms;
        let old = (session.privileged, session.cached_size, id);
        session.cached_size = session.cached_size.max(session.len());
        if !session.index.is_empty() {
            session.cached_size = session.len();
        }
        let key = (session.privileged, session.cached_size, id);
        let settled = now_ms - session.created_ms > self.eviction_ms;
        if session.filed.replace((session.cached_size, settled)) == Some((session.cached_size, settled)) {
            return;
        }
        self.evictable_by_all.remove(&old);
        self.evictable_by_privileged.remove(&old);
        if !session.privileged || settled {
            self.evictable_by_privileged.insert(key);
        }
        if settled {
            self.evictable_by_all.insert(key);
        }
    }

    /// Ends a session.
    pub(crate) fn remove(&mut self, id: i32) -> Option<FetchSession> {
        let session = self.sessions.remove(&id)?;
        let key = (session.privileged, session.cached_size, id);
        self.evictable_by_all.remove(&key);
        self.evictable_by_privileged.remove(&key);
        Some(session)
    }
}
