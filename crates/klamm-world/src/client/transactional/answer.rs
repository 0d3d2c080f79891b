//! What a transactional producer makes of the answers that it gets.

use klamm_node::{NodeId, Timestamp};
use klamm_wire::messages::ResponseKind;
use klamm_wire::record::batch::BatchIter;
use klamm_wire::{ErrorCode, FetchPartition, Response};

use super::requests::Asked;
use super::{Phase, Transactional, fences};
use crate::client::ClientCtx;
use crate::client::aborted::Aborted;

impl Transactional {
    /// `None` when the connection broke, or nothing came in time.
    pub(super) fn on_asked(&mut self, ctx: &ClientCtx<'_>, asked: Asked, response: Option<Response>) {
        let now = ctx.now;
        if let (Asked::Read(index), Some(Response::Fetch(answer))) = (&asked, &response) {
            let mut partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
            let index = *index;
            return match partitions.next() {
                Some(partition) => self.on_read(now, index, partition),
                None => self.lost(now, &asked),
            };
        }
        let Some(Response::Other(kind)) = response else { return self.lost(now, &asked) };
        let error = error_of(&kind);
        match (asked, &*kind) {
            (Asked::Coordinator(of_transactions), ResponseKind::FindCoordinator(answer)) => {
                let found = answer.coordinators.first().filter(|_| error == ErrorCode::None);
                let Some(found) = found.map(|found| NodeId(found.node_id.0)) else {
                    return self.again(now);
                };
                match of_transactions {
                    true => self.coordinator = Some(found),
                    false => self.group_coordinator = Some(found),
                }
            }
            (Asked::Init, ResponseKind::InitProducerId(answer)) if error == ErrorCode::None => {
                self.took_identity(answer.producer_id.0, answer.producer_epoch);
                self.next_at = now;
                self.enter(now, Phase::Rest);
            }
            (Asked::Positions, ResponseKind::OffsetFetch(answer)) if error == ErrorCode::None => {
                let topics = answer.groups.iter().flat_map(|group| &group.topics);
                let told = topics.flat_map(|topic| &topic.partitions);
                self.positions =
                    told.map(|told| (told.partition_index, told.committed_offset.max(0))).collect();
                self.enter(now, Phase::Read);
            }
            (Asked::AddPartitions(new), _) if error == ErrorCode::None => {
                if let Some(open) = &mut self.transaction {
                    open.added.extend(new);
                }
            }
            (Asked::AddOffsets, _) if error == ErrorCode::None => {
                if let Some(open) = &mut self.transaction {
                    open.added_group = true;
                }
            }
            (Asked::Offsets, _) if error == ErrorCode::None => {
                let commit = self.transaction.as_ref().is_some_and(|open| open.commit);
                self.enter(now, Phase::End { commit });
            }
            (Asked::End { commit }, ResponseKind::EndTxn(answer)) if error == ErrorCode::None => {
                if answer.producer_epoch >= 0 {
                    self.took_identity(answer.producer_id.0, answer.producer_epoch);
                }
                let failed = self.transaction.as_ref().is_some_and(|open| open.failed);
                self.finish(now, Some(commit));
                if failed && !self.spec.v2 {
                    // The sequences have a hole, which only another epoch closes.
                    self.enter(now, Phase::Init { recover: true });
                }
            }
            (asked, _) => self.failed(now, &asked, error),
        }
    }

    fn took_identity(&mut self, producer_id: i64, epoch: i16) {
        if self.identity != Some((producer_id, epoch)) {
            self.sequences.clear();
        }
        self.identity = Some((producer_id, epoch));
    }

    /// No answer came.
    fn lost(&mut self, now: Timestamp, asked: &Asked) {
        self.failed(now, asked, ErrorCode::NetworkException);
    }

    fn failed(&mut self, now: Timestamp, asked: &Asked, error: ErrorCode) {
        match asked {
            Asked::Positions | Asked::Offsets => self.group_coordinator = None,
            Asked::Read(_) => {
                if let Some(from) = &mut self.from {
                    from.refresh(now);
                }
            }
            _ => self.coordinator = None,
        }
        let retriable = error.is_retriable() || error == ErrorCode::NetworkException;
        if retriable {
            self.again(now);
        } else if fences(error) || matches!(asked, Asked::Init | Asked::End { .. }) {
            self.fenced(now);
        } else if self.transaction.is_some() {
            self.abort(now);
        } else {
            self.again(now);
        }
    }

    /// Committed records of the topic that it reads: the next transaction is made of them.
    fn on_read(&mut self, now: Timestamp, index: usize, answer: &FetchPartition) {
        let partition = i32::try_from(index).unwrap_or(i32::MAX);
        self.reading = index + 1;
        if answer.error_code == ErrorCode::OffsetOutOfRange {
            // Records were deleted: what is there now is read.
            let position = self.positions.entry(partition).or_default();
            *position = (*position).max(answer.log_start_offset);
            return self.again(now);
        }
        if answer.error_code != ErrorCode::None {
            return self.failed(now, &Asked::Read(index), ErrorCode::NetworkException);
        }
        let from = self.positions.get(&partition).copied().unwrap_or(0);
        let most = self.spec.size() as usize;
        let mut filter = Aborted::new(answer.aborted_transactions.clone().unwrap_or_default());
        let (mut offsets, mut next) = (Vec::new(), from);
        for batch in BatchIter::new(answer.records.concat().into()).flatten() {
            let hidden = filter.hides(&batch).unwrap_or(true);
            let header = &batch.header;
            if header.last_offset() < from {
                continue;
            }
            for offset in header.base_offset.max(from)..header.next_offset() {
                if offsets.len() == most {
                    break;
                }
                if !hidden && offset >= 0 {
                    offsets.push(offset as u64);
                }
                next = offset + 1;
            }
        }
        if offsets.is_empty() {
            self.positions.insert(partition, next);
            return self.again(now);
        }
        self.begin_with(now, offsets, Some((partition, next)));
    }
}

/// The error of an answer: the first that it names.
fn error_of(kind: &ResponseKind) -> ErrorCode {
    let first = |mut codes: Box<dyn Iterator<Item = i16> + '_>| codes.find(|code| *code != 0).unwrap_or(0);
    let code = match kind {
        ResponseKind::FindCoordinator(answer) => {
            first(Box::new(answer.coordinators.iter().map(|found| found.error_code)))
        }
        ResponseKind::InitProducerId(answer) => answer.error_code,
        ResponseKind::EndTxn(answer) => answer.error_code,
        ResponseKind::AddOffsetsToTxn(answer) => answer.error_code,
        ResponseKind::AddPartitionsToTxn(answer) => {
            let topics = answer.results_by_topic_v3_and_below.iter();
            let partitions = topics.flat_map(|topic| &topic.results_by_partition);
            first(Box::new(partitions.map(|partition| partition.partition_error_code)))
        }
        ResponseKind::TxnOffsetCommit(answer) => {
            let partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
            first(Box::new(partitions.map(|partition| partition.error_code)))
        }
        ResponseKind::OffsetFetch(answer) => {
            let groups = answer.groups.iter();
            let codes = groups.flat_map(|group| {
                let partitions = group.topics.iter().flat_map(|topic| &topic.partitions);
                [group.error_code].into_iter().chain(partitions.map(|told| told.error_code))
            });
            first(Box::new(codes))
        }
        _ => ErrorCode::UnknownServerError.code(),
    };
    ErrorCode::from_code(code).unwrap_or(ErrorCode::UnknownServerError)
}
