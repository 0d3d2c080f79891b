//! Each anomaly, made on purpose in a small history and found; and none in one that is clean.

mod model;
mod random;

use std::collections::BTreeMap;

use super::{Anomaly, End, Event, History, Kind, Outcome, Record, check, count};

const LOG: &str = "orders-0";
const OTHER: &str = "orders-1";

fn producer(who: &str) -> Event {
    Event::Producer { who: who.into(), acks_all: true, idempotent: true }
}

fn consumer(who: &str) -> Event {
    Event::Consumer { who: who.into(), read_committed: true }
}

fn send(who: &str, value: u64, to: &str, transaction: Option<&str>) -> Event {
    Event::Send { who: who.into(), value, to: to.into(), transaction: transaction.map(Into::into) }
}

fn sent(value: u64, outcome: Outcome) -> Event {
    Event::Sent { value, outcome }
}

fn acked(value: u64, offset: i64) -> Event {
    sent(value, Outcome::Acked { offset: Some(offset) })
}

fn asked(transaction: &str, commit: bool) -> Event {
    Event::Asked { transaction: transaction.into(), commit }
}

fn ended(transaction: &str, end: End) -> Event {
    Event::Ended { transaction: transaction.into(), end }
}

fn moved(who: &str) -> Event {
    Event::Moved { who: who.into(), partitions: vec![LOG.into()] }
}

fn polled(who: &str, log: &str, records: &[(i64, u64)]) -> Event {
    let records = records.iter().map(|(offset, value)| Record { offset: *offset, value: *value });
    Event::Polled { who: who.into(), records: BTreeMap::from([(log.to_owned(), records.collect())]) }
}

fn read_all(who: &str, ends: &[(&str, i64)]) -> Event {
    let ends = ends.iter().map(|(log, end)| ((*log).to_owned(), *end)).collect();
    Event::ReadAll { who: who.into(), ends }
}

/// A producer `p` has sent 1, 2 and 3 to one log.
fn three() -> Vec<Event> {
    let mut events = vec![producer("p"), consumer("c")];
    for (value, offset) in [(1, 0), (2, 1), (3, 2)] {
        events.extend([send("p", value, LOG, None), acked(value, offset)]);
    }
    events
}

/// A producer `p` has sent 1 and 2 to two logs in a transaction that ended so; its markers lie at offset 1.
fn transaction(commit: bool, end: End) -> Vec<Event> {
    let sends = [send("p", 1, LOG, Some("t")), acked(1, 0), send("p", 2, OTHER, Some("t")), acked(2, 0)];
    let mut events = vec![producer("p"), consumer("c")];
    events.extend(sends);
    events.extend([asked("t", commit), ended("t", end)]);
    events
}

/// What is found in `first` and then `then`: the kinds, and whether each is allowed.
fn found(first: Vec<Event>, then: impl IntoIterator<Item = Event>) -> Vec<(Kind, bool)> {
    let mut history = History { events: first };
    history.events.extend(then);
    check(&history).iter().map(|anomaly: &Anomaly| (anomaly.kind, anomaly.allowed.is_some())).collect()
}

#[test]
fn nothing_is_wrong_with_a_clean_history() {
    let read = [polled("c", LOG, &[(0, 1), (1, 2)]), polled("c", LOG, &[(2, 3)]), read_all("c", &[(LOG, 3)])];
    assert_eq!(found(three(), read), []);
    let both = [polled("c", LOG, &[(0, 1)]), polled("c", OTHER, &[(0, 2)])];
    assert_eq!(found(transaction(true, End::Committed), both.clone()), []);
    assert_eq!(found(transaction(true, End::Unknown), both), []);
    let ends = || [read_all("c", &[(LOG, 2), (OTHER, 2)])];
    assert_eq!(found(transaction(true, End::Unknown), ends()), [], "it may not have been committed");
    assert_eq!(found(transaction(false, End::Aborted), ends()), []);
    assert_eq!(found(transaction(false, End::Unknown), ends()), [], "nobody commits what was to be aborted");
}

#[test]
fn lost_write() {
    let read = || [polled("c", LOG, &[(0, 1)]), moved("c"), polled("c", LOG, &[(2, 3)])];
    assert_eq!(found(three(), read()), [(Kind::LostWrite, false)]);
    // Not read up to there is not lost.
    assert_eq!(found(three(), [polled("c", LOG, &[(0, 1)])]), []);
    let mut careless = three();
    careless[0] = Event::Producer { who: "p".into(), acks_all: false, idempotent: false };
    assert_eq!(found(careless, read()), [(Kind::LostWrite, true)]);
}

#[test]
fn an_unknown_or_failed_write_is_not_lost() {
    for outcome in [Outcome::Unknown, Outcome::Failed] {
        let mut events = three();
        events[5] = sent(2, outcome);
        let read = [polled("c", LOG, &[(0, 1), (2, 3)]), read_all("c", &[(LOG, 3)])];
        assert_eq!(found(events, read), []);
    }
}

#[test]
fn unseen() {
    let read = [polled("c", LOG, &[(0, 1), (1, 2)]), read_all("c", &[(LOG, 2)])];
    assert_eq!(found(three(), read), [(Kind::Unseen, false)]);
    // A commit is an acknowledgement of everything in it, whatever was heard of the sends.
    let mut events = transaction(true, End::Committed);
    events[3] = sent(1, Outcome::Unknown);
    let read = [read_all("c", &[(LOG, 0)])];
    assert_eq!(found(events, read), [(Kind::Unseen, false)]);
}

#[test]
fn aborted_read() {
    let read = || [polled("c", LOG, &[(0, 1)])];
    assert_eq!(found(transaction(false, End::Aborted), read()), [(Kind::AbortedRead, false)]);
    assert_eq!(found(transaction(true, End::Aborted), read()).first(), Some(&(Kind::AbortedRead, false)));
    let mut uncommitted = transaction(false, End::Aborted);
    uncommitted[1] = Event::Consumer { who: "c".into(), read_committed: false };
    assert_eq!(found(uncommitted, read()), [(Kind::AbortedRead, true)]);
    // What failed is seen by nobody.
    let failed = vec![producer("p"), send("p", 1, LOG, None), sent(1, Outcome::Failed)];
    assert_eq!(found(failed, read()), [(Kind::AbortedRead, false)]);
}

#[test]
fn a_transaction_that_nobody_ended_was_aborted() {
    let open = vec![producer("p"), consumer("c"), send("p", 1, LOG, Some("t")), acked(1, 0)];
    assert_eq!(found(open, [polled("c", LOG, &[(0, 1)])]), [(Kind::AbortedRead, false)]);
}

#[test]
fn precommitted_read() {
    let mut events = transaction(true, End::Committed);
    events.insert(6, polled("c", LOG, &[(0, 1)]));
    assert_eq!(found(events.clone(), []), [(Kind::PrecommittedRead, false)]);
    events[1] = Event::Consumer { who: "c".into(), read_committed: false };
    assert_eq!(found(events, []), [(Kind::PrecommittedRead, true)]);
}

#[test]
fn torn_transaction() {
    for end in [End::Committed, End::Unknown] {
        let read = [polled("c", LOG, &[(0, 1)]), read_all("c", &[(LOG, 2), (OTHER, 2)])];
        assert_eq!(found(transaction(true, end), read), [(Kind::TornTransaction, false)]);
        // The other half may still be read.
        assert_eq!(found(transaction(true, end), [polled("c", LOG, &[(0, 1)])]), []);
    }
}

#[test]
fn duplicate() {
    let twice = || [polled("c", LOG, &[(0, 1), (1, 2), (2, 3), (3, 2)])];
    assert_eq!(found(three(), twice()), [(Kind::Duplicate, false)]);
    let mut careless = three();
    careless[0] = Event::Producer { who: "p".into(), acks_all: true, idempotent: false };
    assert_eq!(found(careless, twice()), [(Kind::Duplicate, true)]);
}

#[test]
fn an_acknowledgement_with_another_offset_is_a_duplicate() {
    let read = [polled("c", LOG, &[(0, 1), (1, 2), (5, 3)])];
    assert!(found(three(), read).contains(&(Kind::Duplicate, false)));
}

#[test]
fn inconsistent_offset() {
    let mut events = three();
    events.extend([send("p", 4, LOG, None), consumer("d")]);
    let read = [polled("c", LOG, &[(0, 1), (1, 2), (2, 3)]), polled("d", LOG, &[(2, 4)])];
    let kinds = found(events, read);
    assert!(kinds.contains(&(Kind::InconsistentOffset, false)), "{kinds:?}");
}

#[test]
fn unsent() {
    assert_eq!(
        found(three(), [polled("c", LOG, &[(0, 1), (1, 2), (2, 3), (3, 99)])]),
        [(Kind::Unsent, false)]
    );
    let elsewhere = found(three(), [polled("c", OTHER, &[(0, 1)])]);
    assert!(elsewhere.contains(&(Kind::Unsent, false)), "{elsewhere:?}");
    let early = vec![consumer("c"), polled("c", LOG, &[(0, 1)]), producer("p"), send("p", 1, LOG, None)];
    assert_eq!(found(early, []), [(Kind::Unsent, false)]);
}

#[test]
fn poll_skip() {
    let other = || [consumer("d"), polled("d", LOG, &[(0, 1), (1, 2), (2, 3)])];
    let skip = [polled("c", LOG, &[(0, 1)]), polled("c", LOG, &[(2, 3)])];
    assert_eq!(found(three(), other().into_iter().chain(skip)), [(Kind::PollSkip, false)]);
    let rebalanced = [polled("c", LOG, &[(0, 1)]), moved("c"), polled("c", LOG, &[(2, 3)])];
    assert_eq!(found(three(), other().into_iter().chain(rebalanced)), []);
}

#[test]
fn holes_where_nothing_is_visible_are_not_skipped() {
    // An aborted record, and the marker behind it.
    let mut events = vec![producer("p"), consumer("c"), send("p", 1, LOG, None), acked(1, 0)];
    events.extend([send("p", 2, LOG, Some("t")), acked(2, 1), asked("t", false), ended("t", End::Aborted)]);
    events.extend([send("p", 3, LOG, None), acked(3, 3)]);
    assert_eq!(found(events, [polled("c", LOG, &[(0, 1), (3, 3)]), read_all("c", &[(LOG, 4)])]), []);
}

#[test]
fn nonmonotonic_poll() {
    let back = [polled("c", LOG, &[(0, 1), (1, 2)]), polled("c", LOG, &[(1, 2), (2, 3)])];
    assert_eq!(found(three(), back), [(Kind::NonmonotonicPoll, false)]);
    let sought = [polled("c", LOG, &[(0, 1), (1, 2)]), moved("c"), polled("c", LOG, &[(1, 2), (2, 3)])];
    assert_eq!(found(three(), sought), []);
}

#[test]
fn nonmonotonic_send() {
    let mut events = three();
    events[5] = acked(2, 2);
    events[7] = acked(3, 1);
    assert_eq!(found(events.clone(), []), [(Kind::NonmonotonicSend, false)]);
    events[0] = Event::Producer { who: "p".into(), acks_all: true, idempotent: false };
    assert_eq!(found(events, []), [(Kind::NonmonotonicSend, true)]);
}

#[test]
fn a_history_is_read_from_lines() {
    let text = r#"{"who":"p","did":"produce","acks":"all","idempotent":true}
{"who":"c","did":"consume","isolation":"read_committed"}
{"who":"p","did":"send","value":1,"to":"orders-0","transaction":"t"}
{"who":"p","did":"sent","value":1,"outcome":"ok","offset":0}
{"who":"p","did":"send","value":2,"to":"orders-1","transaction":"t"}
{"who":"p","did":"sent","value":2,"outcome":"ok","offset":0}
{"who":"p","did":"commit","transaction":"t"}
{"who":"p","did":"ended","transaction":"t","outcome":"committed"}
{"who":"c","did":"poll","records":{"orders-0":[[0,1]]}}
{"who":"c","did":"move","to":["orders-0"]}
{"who":"c","did":"read-all","ends":{"orders-0":2,"orders-1":2}}
"#;
    let mut events = transaction(true, End::Committed);
    events.extend([polled("c", LOG, &[(0, 1)]), moved("c"), read_all("c", &[(LOG, 2), (OTHER, 2)])]);
    let history = History::parse(text).unwrap();
    assert_eq!(history.events, events);
    let counts = count(&history);
    assert_eq!((counts.sent, counts.acked, counts.polled, counts.committed), (2, 2, 1, 1));
    let torn = check(&history);
    assert_eq!(torn[0].to_string(), "torn transaction: of t, [1] can be seen and [2] cannot");
}

#[test]
fn a_line_that_is_not_of_a_history_is_named() {
    for wrong in [
        r#"{"who":"p","did":"guess"}"#,
        r#"{"did":"poll"}"#,
        "{",
        r#"{"who":"p","did":"send","value":-1,"to":"o"}"#,
    ] {
        let error = History::parse(wrong).unwrap_err();
        assert!(error.to_string().starts_with("line 1: "), "{error}");
    }
}
