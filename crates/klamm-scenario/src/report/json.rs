//! A run as JSON: every step, expectation and trace event.

use std::time::Duration;

use klamm_node::{NodeId, Timestamp, TraceEvent};
use serde_json::{Value, json};

use super::{LogState, PartitionState, Report, Row, State};

/// The runs as one JSON value.
pub fn render(reports: &[Report]) -> Value {
    json!({ "held": reports.iter().all(Report::held), "runs": reports.iter().map(run).collect::<Vec<_>>() })
}

fn run(report: &Report) -> Value {
    json!({
        "file": report.file,
        "id": report.id,
        "title": report.title,
        "version": report.version,
        "variant": report.variant,
        "seed": report.seed,
        "held": report.held(),
        "unseen": report.unseen,
        "steps": report.rows.iter().map(row).collect::<Vec<_>>(),
    })
}

fn row(row: &Row) -> Value {
    let kind = match (row.prose, row.expects) {
        (true, _) => "note",
        (_, true) => "expectation",
        _ => "step",
    };
    let failures = row.failures.iter().map(
        |failure| json!({ "what": failure.what, "expected": failure.expected, "actual": failure.actual }),
    );
    json!({
        "kind": kind,
        "at_ms": millis(row.at),
        "line": row.line,
        "text": row.text,
        "block": row.block,
        "held": row.failures.is_empty(),
        "told": row.told,
        "failures": failures.collect::<Vec<_>>(),
        "trace": row.trace.iter().map(|event| trace(event, row.began)).collect::<Vec<_>>(),
        "state": state(&row.state),
    })
}

fn trace(event: &TraceEvent, began: Timestamp) -> Value {
    json!({
        "id": event.id.0,
        "cause": event.cause.map(|cause| cause.0),
        "at_ms": millis(event.at.since(began)),
        "node": event.node.map(|node| node.0),
        "text": event.kind.to_string(),
    })
}

fn state(state: &State) -> Value {
    let brokers = state
        .brokers
        .iter()
        .map(|(id, broker)| json!({ "id": id.0, "up": broker.up, "fenced": broker.fenced }));
    let partitions =
        state.partitions.iter().map(|(name, partition)| self::partition(&name.to_string(), partition));
    json!({ "brokers": brokers.collect::<Vec<_>>(), "partitions": partitions.collect::<Vec<_>>() })
}

fn partition(name: &str, partition: &PartitionState) -> Value {
    let replicas = partition
        .replicas
        .iter()
        .map(|(broker, log)| json!({ "broker": broker.0, "log": log.as_ref().map(self::log) }));
    json!({
        "name": name,
        "leader": partition.leader.map(|leader| leader.0),
        "leader_epoch": partition.leader_epoch,
        "partition_epoch": partition.partition_epoch,
        "isr": ids(&partition.isr),
        "elr": ids(&partition.elr),
        "replicas": replicas.collect::<Vec<_>>(),
    })
}

fn log(log: &LogState) -> Value {
    let records = log
        .records
        .iter()
        .map(|(offset, epoch, value)| json!({ "offset": offset, "epoch": epoch, "value": value }));
    json!({
        "start": log.start,
        "end": log.end,
        "high_watermark": log.high_watermark,
        "records": records.collect::<Vec<_>>(),
    })
}

fn ids(ids: &[NodeId]) -> Vec<i32> {
    ids.iter().map(|id| id.0).collect()
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
