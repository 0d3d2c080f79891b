//! P5: an error that says "no" means no.

use std::collections::BTreeMap;

use klamm_wire::ErrorCode;

use super::ghost::Partition;
use super::mirror::Entry;
use super::report::{Invariant, Report, When};

pub(super) const P5: Invariant = Invariant {
    id: "P5",
    name: "DefiniteError",
    statement: "records whose every send was answered with an error that leaves nothing open are not in the log in the end",
    when: When::Checkpoint,
};

/// Whether an error leaves open if the records were appended.
const fn is_open(error: ErrorCode) -> bool {
    matches!(
        error,
        ErrorCode::NotEnoughReplicasAfterAppend
            | ErrorCode::RequestTimedOut
            | ErrorCode::NotLeaderOrFollower
            | ErrorCode::KafkaStorageError
            | ErrorCode::DuplicateSequenceNumber
            | ErrorCode::UnknownServerError
            | ErrorCode::None
    )
}

/// What is known of each batch that was sent: producer id, epoch and sequence, or the CRC of one without a producer.
#[derive(Debug, Clone, Default)]
pub(super) struct Sends(BTreeMap<(usize, i64, i16, i64), Fate>);

#[derive(Debug, Clone, Copy, Default)]
struct Fate {
    sent: u32,
    refused: u32,
    error: Option<ErrorCode>,
}

fn key(partition: usize, entry: &Entry) -> (usize, i64, i16, i64) {
    let last = if entry.producer_id >= 0 { i64::from(entry.sequence) } else { i64::from(entry.crc) };
    (partition, entry.producer_id, entry.producer_epoch, last)
}

impl Sends {
    /// A batch reached a broker.
    pub(super) fn sent(&mut self, partition: usize, entry: &Entry) {
        self.0.entry(key(partition, entry)).or_default().sent += 1;
    }

    /// It was answered.
    pub(super) fn answered(&mut self, partition: usize, entry: &Entry, error: ErrorCode) {
        let fate = self.0.entry(key(partition, entry)).or_default();
        if !is_open(error) {
            fate.refused += 1;
            fate.error = Some(error);
        }
    }

    /// The leader's log against what was refused.
    pub(super) fn scan(&self, index: usize, partition: &Partition, report: &mut Report) {
        let Some((id, leader)) = partition.true_leader() else { return };
        for entry in leader.log.entries() {
            if let Some(fate) = self.0.get(&key(index, entry))
                && fate.sent > 0
                && fate.refused == fate.sent
            {
                let what = format!(
                    "leader {id} holds at {} what was refused each time with {:?}",
                    entry.base, fate.error
                );
                report.violation(P5, &partition.name, what);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariant::fixture::{entry, found, healthy};

    #[test]
    fn a_refused_record_in_the_log_is_found() {
        let partition = healthy();
        let mut sends = Sends::default();
        let sent = entry(5, 9, 0);
        sends.sent(0, &sent);
        sends.answered(0, &sent, ErrorCode::NotEnoughReplicas);
        assert_eq!(found(|report| sends.scan(0, &partition, report)), ["P5"]);
        sends.sent(0, &sent);
        sends.answered(0, &sent, ErrorCode::RequestTimedOut);
        assert!(found(|report| sends.scan(0, &partition, report)).is_empty(), "the second send is open");
    }

    #[test]
    fn what_was_appended_may_be_refused_when_its_lost_answer_has_it_sent_again() {
        let partition = healthy();
        let mut sends = Sends::default();
        let sent = entry(5, 9, 0);
        for error in [ErrorCode::None, ErrorCode::NotEnoughReplicas] {
            sends.sent(0, &sent);
            sends.answered(0, &sent, error);
            assert!(found(|report| sends.scan(0, &partition, report)).is_empty(), "after {error:?}");
        }
    }
}
