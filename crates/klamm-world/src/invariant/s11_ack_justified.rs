//! S11 and P4: an acknowledgement says what is.

use klamm_broker::ReplicaView;
use klamm_node::NodeId;
use klamm_wire::ErrorCode;

use super::ghost::Partition;
use super::mirror::Entry;
use super::report::{Invariant, Report, When};

pub(super) const S11: Invariant = Invariant {
    id: "S11",
    name: "AckJustified",
    statement: "when acks=all is answered NONE the high watermark has passed the records and the maximal ISR has min.insync.replicas \
                members; when acks=1 is, the leader's log holds them; NOT_ENOUGH_REPLICAS means that nothing was appended",
    when: When::Event,
};

pub(super) const P4: Invariant = Invariant {
    id: "P4",
    name: "AckedOffset",
    statement: "the offset that a producer is answered is where its records are, and an idempotent producer's later records are answered \
                larger offsets",
    when: When::Event,
};

/// One partition's part of a produce request and its answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Answered {
    pub(super) by: NodeId,
    pub(super) level: i16,
    pub(super) error: ErrorCode,
    pub(super) base_offset: i64,
    /// The batch as it was sent: its offsets count from 0.
    pub(super) sent: Entry,
    /// Whether it was answered in the event in which it came.
    pub(super) at_once: bool,
}

pub(super) fn check(
    partition: &Partition,
    answered: &Answered,
    before: Option<&ReplicaView>,
    report: &mut Report,
) {
    let Answered { by, level, error, base_offset, sent, at_once } = *answered;
    let Some(replica) = partition.replicas.get(&by) else { return };
    let view = &replica.view;
    match error {
        ErrorCode::None if base_offset >= 0 && base_offset >= view.log_start => {
            let last = base_offset + (sent.last - sent.base);
            let counted = view.leading.as_ref().map_or(0, |leading| leading.maximal_isr.len());
            if level == -1 && (view.high_watermark <= last || counted < view.effective_min_isr) {
                let what = format!(
                    "{by} acknowledged offset {last} at high watermark {}, with {counted} of {} replicas that count",
                    view.high_watermark, view.effective_min_isr
                );
                report.violation(S11, &partition.name, what);
            }
            match replica.log.at(base_offset) {
                Some(entry) if entry.is_same_send(&sent) => {}
                Some(_) => {
                    let what =
                        format!("{by} answered offset {base_offset}, where another producer's records are");
                    report.violation(P4, &partition.name, what);
                }
                None => {
                    report.violation(
                        S11,
                        &partition.name,
                        format!("{by} acknowledged offset {base_offset}, which its log does not hold"),
                    );
                }
            }
            let disorder = partition.acked.iter().rev().take(16).find(|ack| {
                sent.producer_id >= 0
                    && (ack.entry.producer_id, ack.entry.producer_epoch)
                        == (sent.producer_id, sent.producer_epoch)
                    && ack.entry.sequence.wrapping_sub(sent.sequence).signum()
                        * i32::try_from((ack.entry.base - base_offset).signum()).unwrap_or(0)
                        < 0
            });
            if let Some(ack) = disorder {
                let what = format!(
                    "{by} answered offset {base_offset} for sequence {}, after {} for sequence {}",
                    sent.sequence, ack.entry.base, ack.entry.sequence
                );
                report.violation_unless(partition.excuse(), P4, &partition.name, what);
            }
        }
        ErrorCode::NotEnoughReplicas if at_once => {
            if let Some(before) = before
                && view.log_end > before.log_end
                && view.leading.is_some()
            {
                let what = format!(
                    "{by} answered NOT_ENOUGH_REPLICAS and appended {} to {}",
                    before.log_end, view.log_end
                );
                report.violation(S11, &partition.name, what);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariant::fixture::{LEADER, entry, found, healthy, of};
    use crate::invariant::ghost::Ack;

    fn answer(level: i16, base_offset: i64, sent: Entry) -> Answered {
        Answered { by: LEADER, level, error: ErrorCode::None, base_offset, sent, at_once: true }
    }

    #[test]
    fn an_early_acknowledgement_is_found() {
        let mut partition = healthy();
        let sent = entry(5, 9, 0);
        assert!(found(|report| check(&partition, &answer(-1, 5, sent), None, report)).is_empty());
        of(&mut partition, LEADER).view.high_watermark = 9;
        assert_eq!(found(|report| check(&partition, &answer(-1, 5, sent), None, report)), ["S11"]);
        assert!(found(|report| check(&partition, &answer(1, 5, sent), None, report)).is_empty());
        assert_eq!(
            found(|report| check(&partition, &answer(1, 20, sent), None, report)),
            ["S11"],
            "not in the log"
        );
    }

    #[test]
    fn a_wrong_offset_is_found() {
        let partition = healthy();
        assert_eq!(found(|report| check(&partition, &answer(1, 0, entry(5, 9, 0)), None, report)), ["P4"]);
    }

    #[test]
    fn answers_out_of_order_are_found() {
        let mut partition = healthy();
        let sent = |base, sequence| Entry {
            producer_id: 3,
            producer_epoch: 0,
            sequence,
            ..entry(base, base + 4, 0)
        };
        of(&mut partition, LEADER).log.truncate(5);
        of(&mut partition, LEADER).log.push(sent(5, 0));
        partition.acked.push(Ack { entry: sent(15, -5 + 4), level: -1, by: LEADER });
        assert_eq!(found(|report| check(&partition, &answer(1, 5, sent(0, 0)), None, report)), ["P4"]);
    }

    #[test]
    fn an_append_that_is_denied_is_found() {
        let mut partition = healthy();
        let before = of(&mut partition, LEADER).view.clone();
        of(&mut partition, LEADER).view.log_end = 15;
        let answered = Answered { error: ErrorCode::NotEnoughReplicas, ..answer(-1, -1, entry(10, 14, 0)) };
        assert_eq!(found(|report| check(&partition, &answered, Some(&before), report)), ["S11"]);
    }
}
