//! Transactional producers, as the simulator draws them, and their lines in a file.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use klamm_node::{NodeId, Rng};
use klamm_wire::ApiKey;
use klamm_world::TransactionalSpec;

use crate::options::{Topic, Wanted};
use crate::plan::{Plan, What};
use crate::request::{Hit, HitRequests};
use crate::run::run_for;
use crate::shrink::{Shrunk, shrink_for};
use crate::{FaultKind, Profile};

/// How late records are that show what a `transaction.version` loses: later than the transaction after theirs begins.
const LATE: Duration = Duration::from_millis(300);

/// Draws the transactional producers of a run: one or two ids, the first often with two producers that fence each other, the
/// second often reading what the first writes.
pub(crate) fn draw(rng: &mut Rng, wanted: &Wanted, topics: &[Topic]) -> Vec<TransactionalSpec> {
    let ids = 1 + rng.below(2);
    let mut producers = Vec::new();
    for i in 0..ids {
        let topic = &topics[(i as usize) % topics.len()];
        let other = topics.iter().find(|other| other.name != topic.name);
        let reads = other.filter(|_| rng.chance(0.7)).map(|other| other.name.clone().into());
        let instances = if rng.chance(0.4) { 2 } else { 1 };
        let interval = Duration::from_millis([10, 50, 200, 1_000][rng.below(4) as usize]);
        let span = Duration::from_secs(wanted.minutes * 60).as_millis() / interval.as_millis().max(1);
        let spec = TransactionalSpec {
            id: format!("id-{i}").into(),
            topic: topic.name.clone().into(),
            reads,
            timeout: Duration::from_secs([3, 8, 15][rng.below(3) as usize]),
            transactions: u64::try_from(span).unwrap_or(u64::MAX).min(1_500),
            batches: 1 + rng.below(4) as u32,
            batch: 1 + rng.below(4) as u32,
            interval,
            aborts: [0, 20, 50][rng.below(3) as usize],
            rest: Duration::from_millis([500, 4_000, 12_000][rng.below(3) as usize]),
            v2: rng.chance(0.6) && wanted.transaction_version >= 2,
            hasty: false,
        };
        for _ in 0..instances {
            // Only the epoch of its own that each transaction has makes it safe to go on while records are on their way.
            let hasty = rng.chance(0.3) && spec.v2 || wanted.transaction_version < 2;
            producers.push(TransactionalSpec { hasty, ..spec.clone() });
        }
    }
    producers
}

/// What the cluster is configured with where there are transactions.
pub(crate) fn configure(rng: &mut Rng, wanted: &Wanted, brokers: i32, config: &mut BTreeMap<String, String>) {
    let replicas = brokers.min(3);
    let mut set = |key: &str, value: i32| config.insert(key.to_owned(), value.to_string());
    set("transaction.state.log.num.partitions", 2);
    set("transaction.state.log.replication.factor", replicas);
    set("transaction.state.log.min.isr", (1 + rng.below(2) as i32).min(replicas));
    let sweep = [1_000, 10_000][rng.below(2) as usize];
    set("transaction.abort.timed.out.transaction.cleanup.interval.ms", sweep);
    if wanted.transaction_version == 0 {
        config.insert("transaction.partition.verification.enable".to_owned(), false.to_string());
    }
}

/// A producer's line in a file.
pub(crate) fn render(spec: &TransactionalSpec) -> String {
    let mut line = format!("transactional {:?} {:?}", spec.id.to_string(), spec.topic.to_string());
    if let Some(reads) = &spec.reads {
        let _ = write!(line, " reads={:?}", reads.to_string());
    }
    let _ = write!(
        line,
        " timeout-ms={} transactions={} batches={} batch={} interval-us={} aborts={} rest-ms={} v2=#{} hasty=#{}",
        spec.timeout.as_millis(),
        spec.transactions,
        spec.batches,
        spec.batch,
        spec.interval.as_micros(),
        spec.aborts,
        spec.rest.as_millis(),
        spec.v2,
        spec.hasty
    );
    line
}

/// A producer, for a person.
pub(crate) fn describe(spec: &TransactionalSpec) -> String {
    let reads = spec.reads.as_ref().map(|topic| format!(", from {topic}")).unwrap_or_default();
    format!(
        "transactional producer {} of {}{reads}: {} transactions of {}×{}, one every {:?}, {} % aborted, timeout {:?}, rests {:?}{}{}",
        spec.id,
        spec.topic,
        spec.transactions,
        spec.batches,
        spec.batch,
        spec.interval,
        spec.aborts,
        spec.timeout,
        spec.rest,
        if spec.v2 { "" } else { ", transaction.version 1" },
        if spec.hasty { ", hasty" } else { "" }
    )
}

/// The invariant that a `transaction.version` below the newest breaks.
pub const fn breaks_of_version(version: u8) -> &'static [&'static str] {
    match version {
        0 => &["T5"],
        1 => &["T10"],
        _ => &[],
    }
}

/// What shows what a `transaction.version` loses: records that arrive late, and few other faults.
fn plan_of_version(version: u8, seed: u64) -> Plan {
    let faults = Some(vec![FaultKind::Request, FaultKind::Slow, FaultKind::Pause]);
    let wanted = Wanted {
        profile: Profile::Transactions,
        faults,
        minutes: 1,
        transaction_version: version,
        ..Wanted::default()
    };
    let mut plan = Plan::draw(seed, &wanted);
    for decision in &mut plan.decisions {
        if let What::Request(hit) = &mut decision.what {
            let to = hit.to.unwrap_or(NodeId(1));
            *hit = HitRequests { api: ApiKey::Produce, to: Some(to), action: Hit::Delay(LATE), ..*hit };
        }
    }
    plan
}

/// Runs one seed at a `transaction.version`: the id of the first invariant to break of those that it is known to break.
pub fn version_breaks(version: u8, seed: u64) -> Option<&'static str> {
    run_for(&plan_of_version(version, seed), breaks_of_version(version)).broken()
}

/// Runs seeds from 1 on at a `transaction.version`, until an invariant breaks that it is known to break; at most `seeds` of them. The seed that
/// found it, and the smallest run, made in at most `tries` runs.
pub fn version_sensitivity(version: u8, seeds: u64, tries: u32) -> Option<(u64, Shrunk)> {
    let breaks = breaks_of_version(version);
    (1..=seeds).find_map(|seed| {
        let plan = plan_of_version(version, seed);
        let outcome = run_for(&plan, breaks);
        outcome.broken()?;
        Some((seed, shrink_for(&plan, outcome, tries, breaks)))
    })
}
