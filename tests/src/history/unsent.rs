//! Unsent values: somebody read a value that nobody sent, or that was sent to another partition.

use super::anomaly::{Anomaly, Kind};
use super::known::Known;

pub(super) fn find(known: &Known<'_>, found: &mut Vec<Anomaly>) {
    for read in &known.reads {
        let place = format!("{}@{}", read.partition, read.offset);
        let what = match known.sends.get(&read.value) {
            None => format!("{} read {} at {place}, which nobody sent", read.who, read.value),
            Some(send) if send.to != read.partition => {
                format!("{} read {} at {place}, which was sent to {}", read.who, read.value, send.to)
            }
            Some(send) if send.at > read.at => {
                format!("{} read {} at {place} before it was sent", read.who, read.value)
            }
            Some(_) => continue,
        };
        found.push(Anomaly::forbidden(Kind::Unsent, what));
    }
}
