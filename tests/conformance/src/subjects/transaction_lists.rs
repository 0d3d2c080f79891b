//! Which transactions there are: DescribeTransactions and ListTransactions.

use klamm_wire::messages::{ListTransactionsRequest, ListTransactionsResponse, ProducerId};

use super::transactional::{Producer, coordinate, described};
use crate::Session;
use crate::session::text;

const OURS: &str = "txn-listed";

fn list(states: &[&str], producers: &[i64]) -> ListTransactionsRequest {
    ListTransactionsRequest::default()
        .with_state_filters(states.iter().map(|state| text(state)).collect())
        .with_producer_id_filters(producers.iter().copied().map(ProducerId).collect())
}

/// Asks every broker, since each knows those that it coordinates, and records all that they say together.
fn everywhere(
    s: &mut Session,
    label: &str,
    versions: std::ops::RangeInclusive<i16>,
    request: &ListTransactionsRequest,
) -> anyhow::Result<()> {
    for version in versions {
        let mut all: Option<ListTransactionsResponse> = None;
        for broker in [1, 2, 3] {
            let mut answer = s.on(broker).quiet(version, request)?;
            answer.transaction_states.retain(|listed| listed.transactional_id.starts_with(OURS));
            match &mut all {
                None => all = Some(answer),
                Some(all) => {
                    anyhow::ensure!(
                        all.error_code == answer.error_code
                            && all.unknown_state_filters == answer.unknown_state_filters,
                        "{label}: the brokers do not agree: {all:?}, {answer:?}"
                    );
                    all.transaction_states.append(&mut answer.transaction_states);
                }
            }
        }
        s.note(&format!("{label}, v{version}"), &all.unwrap_or_default());
    }
    Ok(())
}

pub(super) fn run(s: &mut Session) -> anyhow::Result<()> {
    // So that the offsets' topic is there.
    s.coordinate("transacted-group")?;
    s.create("transacted-listed", &[&[1, 2], &[2, 3]], &[])?;
    let both: &[(&str, &[i32])] = &[("transacted-listed", &[0, 1]), ("__consumer_offsets", &[0])];
    let empty = Producer::new(s, "txn-listed-empty")?;
    let open = Producer::new(s, "txn-listed-open")?;
    s.quiet(3, &open.add(3, both))?;
    for (name, committed) in [("txn-listed-committed", true), ("txn-listed-aborted", false)] {
        let p = Producer::new(s, name)?;
        s.quiet(3, &p.add(3, both))?;
        s.quiet(4, &p.end(committed))?;
        p.settled(s, &format!("{name} described"))?;
    }
    descriptions(s)?;

    everywhere(s, "list: all", 0..=2, &list(&[], &[]))?;
    for state in [
        "Empty",
        "Ongoing",
        "CompleteCommit",
        "CompleteAbort",
        "PrepareCommit",
        "PrepareAbort",
        "PrepareEpochFence",
        "Dead",
        "ongoing",
        "",
        "Nonsense",
    ] {
        everywhere(s, &format!("list: state {state:?}"), 0..=2, &list(&[state], &[]))?;
    }
    everywhere(s, "list: two states and nonsense twice", 0..=2, &{
        list(&["Empty", "Ongoing", "Nonsense", "Nonsense", "No"], &[])
    })?;
    everywhere(s, "list: of one producer", 0..=2, &list(&[], &[open.id]))?;
    everywhere(s, "list: of several producers", 0..=2, &list(&[], &[open.id, empty.id, -1, i64::MAX]))?;
    everywhere(s, "list: of a producer in another state", 0..=2, &list(&["Empty"], &[open.id]))?;
    for duration in [0, -1, -5, i64::MIN, i64::MAX, 3_600_000] {
        let request = list(&[], &[]).with_duration_filter(duration);
        everywhere(s, &format!("list: open for {duration}"), 1..=2, &request)?;
    }
    for pattern in
        ["", ".*", "txn-listed-open", "txn-listed", ".*-(open|empty)", "[", "(", "a{2,1}", "\\", "*"]
    {
        let request = list(&[], &[]).with_transactional_id_pattern(Some(text(pattern)));
        everywhere(s, &format!("list: like {pattern:?}"), 2..=2, &request)?;
    }
    everywhere(s, "list: everything at once", 2..=2, &{
        list(&["Ongoing", "Nonsense"], &[open.id])
            .with_duration_filter(0)
            .with_transactional_id_pattern(Some(text("txn-.*")))
    })?;
    coordinate(s, open.name)?;
    s.quiet(4, &open.end(false))?;
    open.settled(s, "the last one described")?;
    everywhere(s, "list: all at the end", 0..=2, &list(&[], &[]))
}

fn descriptions(s: &mut Session) -> anyhow::Result<()> {
    for name in ["txn-listed-empty", "txn-listed-open", "txn-listed-none", ""] {
        coordinate_any(s, name)?;
        s.all(&format!("describe: {name:?}"), |_| described(&[name]))?;
        s.all(&format!("describe: {name:?} twice"), |_| described(&[name, name]))?;
    }
    s.all("describe: nothing", |_| described(&[]))?;
    let name = "txn-listed-open";
    coordinate(s, name)?.elsewhere();
    s.all("elsewhere: describe", |_| described(&[name]))?;
    s.all("elsewhere: describe, and an empty one", |_| described(&[name, ""]))?;
    Ok(())
}

/// Of the empty transactional id nobody can be told to be the coordinator.
fn coordinate_any(s: &mut Session, name: &str) -> anyhow::Result<()> {
    if name.is_empty() { Ok(()) } else { coordinate(s, name).map(drop) }
}
