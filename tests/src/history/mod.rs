//! What real clients sent and polled, and which of it should not have been: a checker in the manner of Jepsen's for Kafka
//! (`jepsen.tests.kafka`).
//!
//! A [`History`] is what client programs wrote down, in the order in which they did and saw it; [`check`] finds its
//! [`Anomaly`]s, each of which says whether Kafka allows it. Every value is sent once, so that a value names its send. Each kind
//! has a file of its own, which says what it is.
//!
//! | kind | what it says |
//! |---|---|
//! | [`Kind::LostWrite`] | an acknowledged value is below what was read, and nobody read it |
//! | [`Kind::Unseen`] | an acknowledged value lies above what was read, though everything was read in the end |
//! | [`Kind::AbortedRead`] | a value was read whose send failed, or whose transaction did not commit |
//! | [`Kind::PrecommittedRead`] | a value was read before its transaction was asked to commit |
//! | [`Kind::TornTransaction`] | some of a transaction was read, and some of it is not there |
//! | [`Kind::Duplicate`] | one value lies at two offsets |
//! | [`Kind::InconsistentOffset`] | two values were seen at one offset |
//! | [`Kind::Unsent`] | a value was read that nobody sent there |
//! | [`Kind::PollSkip`] | a consumer skipped a value that is there |
//! | [`Kind::NonmonotonicPoll`] | a consumer went back without being told to |
//! | [`Kind::NonmonotonicSend`] | two values of one producer lie in the wrong order |

mod aborted_read;
mod anomaly;
mod duplicate;
mod event;
mod inconsistent_offset;
mod known;
mod lost_write;
mod nonmonotonic_send;
mod parse;
mod poll_order;
mod precommitted_read;
#[cfg(test)]
mod tests;
mod torn_transaction;
mod unsent;

pub use anomaly::{Anomaly, Kind};
pub use event::{End, Event, History, Outcome, Record};
pub use known::Counts;

use known::Known;

/// Everything in this history that should not be, in order of kind; with what Kafka allows.
pub fn check(history: &History) -> Vec<Anomaly> {
    let known = Known::new(history);
    let mut found = Vec::new();
    lost_write::find(&known, &mut found);
    aborted_read::find(&known, &mut found);
    precommitted_read::find(&known, &mut found);
    torn_transaction::find(&known, &mut found);
    duplicate::find(&known, &mut found);
    inconsistent_offset::find(&known, &mut found);
    unsent::find(&known, &mut found);
    poll_order::find(&known, &mut found);
    nonmonotonic_send::find(&known, &mut found);
    found
}

/// How much of everything the history holds, so that a test can see that it was not an idle one.
pub fn count(history: &History) -> Counts {
    Known::new(history).counts()
}
