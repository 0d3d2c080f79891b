//! What has to differ between two clusters, replaced by a word.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use klamm_wire::{BatchIter, ErrorCode};

use crate::value::Value;

/// Words for strings that this run was given: topic ids, member ids.
#[derive(Debug, Default)]
pub(crate) struct Names {
    words: BTreeMap<String, String>,
}

impl Names {
    /// From now on `raw` is written as `<word>`.
    pub(crate) fn add(&mut self, raw: &str, word: &str) {
        if !raw.is_empty() {
            self.words.insert(raw.to_owned(), format!("<{word}>"));
        }
    }

    fn apply(&self, text: &mut String) {
        for (raw, word) in &self.words {
            if text.contains(raw.as_str()) {
                *text = text.replace(raw.as_str(), word);
            }
        }
    }
}

/// Fields that say nothing about behaviour.
const DROPPED: &[&str] = &["throttle_time_ms", "unknown_tagged_fields"];
/// Fields that name a broker: whether there is one is behaviour, which one is placement.
const BROKERS: &[&str] = &["controller_id", "leader_id", "node_id", "broker_id"];
/// Lists of brokers; how many there are is behaviour.
const BROKER_LISTS: &[&str] = &["replica_nodes", "isr_nodes"];
/// Fields whose value belongs to one run. Zero, -1 and empty values stay.
const OWN: &[&str] = &[
    "cluster_id",
    "port",
    "session_id",
    "finalized_features_epoch",
    "log_dir",
    "total_bytes",
    "usable_bytes",
    "partition_size",
    "member_id",
    "leader",
];

/// Fields of a producer's id, which may be 0.
const PRODUCER_IDS: &[&str] = &["producer_id", "ongoing_txn_producer_id"];

/// Masks a response in place.
pub(crate) fn mask(value: &mut Value, names: &Names) {
    field("", value, names);
}

fn field(name: &str, value: &mut Value, names: &Names) {
    match value {
        Value::Struct(fields) => {
            fields.retain(|(name, _)| !DROPPED.contains(&name.as_str()));
            for (name, value) in fields {
                field(name, value, names);
            }
        }
        Value::List(items) if BROKER_LISTS.contains(&name) => {
            *value = Value::plain(format!("<{} brokers>", items.len()));
        }
        Value::List(items) => {
            items.retain(|item| !is_newer(item));
            for item in items.iter_mut() {
                field("", item, names);
            }
            // Kafka answers from hash maps in many places: the order means nothing.
            if items.iter().any(|item| matches!(item, Value::Struct(_))) {
                items.sort();
            }
        }
        Value::Text(text) => {
            names.apply(text);
            times(text);
            if OWN.contains(&name) && !text.is_empty() && !text.starts_with('<') {
                *value = Value::plain(format!("<{name}>"));
            }
        }
        Value::Bytes(bytes) if name == "records" => *value = records(bytes, names),
        Value::Bytes(_) => {}
        Value::Plain(text) => {
            names.apply(text);
            plain(name, text);
        }
    }
}

/// Topic keys of Kafka 4.4, which the newest Kafka on Maven Central does not have.
const NEWER: &[&str] =
    &["errors.deadletterqueue.group.enable", "remote.copy.lag.bytes", "remote.copy.lag.ms"];

fn is_newer(item: &Value) -> bool {
    let Value::Struct(fields) = item else { return false };
    let key = fields.first().filter(|(name, _)| name == "name").map(|(_, value)| value);
    matches!(key, Some(Value::Text(key)) if NEWER.contains(&key.as_str()))
}

fn plain(name: &str, text: &mut String) {
    if uuid::Uuid::parse_str(text).is_ok_and(|id| !id.is_nil()) {
        *text = format!("<{name}>");
        return;
    }
    let Ok(number) = text.parse::<i64>() else { return };
    if name == "error_code" {
        let code = i16::try_from(number).ok().and_then(ErrorCode::from_code);
        if let Some(code) = code {
            *text = code.name().to_owned();
        }
    } else if BROKERS.contains(&name) {
        if (1..=3).contains(&number) {
            *text = "<broker>".to_owned();
        }
    } else if (OWN.contains(&name) && number > 0) || (PRODUCER_IDS.contains(&name) && number >= 0) {
        *text = format!("<{name}>");
    } else if is_now(number) {
        *text = "<now>".to_owned();
    }
}

/// Whether a number is a time within the last half hour.
pub(crate) fn is_now(number: i64) -> bool {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    let now = i64::try_from(now).unwrap_or(i64::MAX);
    number > 0 && now.abs_diff(number) < 1_800_000
}

/// Replaces the times of this run within a message.
fn times(text: &mut String) {
    const DIGITS: usize = 13;
    let mut from = 0;
    while let Some(start) = text[from..].find(|c: char| c.is_ascii_digit()).map(|at| from + at) {
        let digits = text[start..].chars().take_while(char::is_ascii_digit).count();
        from = start + digits;
        if digits == DIGITS && text[start..from].parse().is_ok_and(is_now) {
            text.replace_range(start..from, "<now>");
            from = start;
        }
    }
}

fn time(number: i64) -> Value {
    Value::plain(if is_now(number) { "<now>".to_owned() } else { number.to_string() })
}

/// The batches in a field of records, or the bytes as they are.
fn records(bytes: &[u8], names: &Names) -> Value {
    let mut batches = Vec::new();
    for batch in BatchIter::new(bytes.to_vec().into()) {
        let Ok(batch) = batch else {
            batches.push(Value::plain("<a cut or broken batch>"));
            break;
        };
        let header = &batch.header;
        let mut records = Vec::new();
        if let Ok(all) = batch.records(1 << 20) {
            for record in all.iter() {
                let Ok(record) = record else {
                    records.push(Value::plain("<a broken record>"));
                    break;
                };
                let bytes = |bytes: Option<&[u8]>| {
                    bytes.map_or_else(|| Value::plain("null"), |bytes| Value::Bytes(bytes.to_vec()))
                };
                let mut fields = vec![
                    ("offset_delta", Value::plain(record.offset_delta.to_string())),
                    ("timestamp", time(header.base_timestamp.wrapping_add(record.timestamp_delta))),
                    ("key", bytes(record.key)),
                    ("value", bytes(record.value)),
                ];
                if !record.headers.is_empty() {
                    fields.push(("headers", Value::plain(record.headers.len().to_string())));
                }
                records.push(structure(fields));
            }
        } else {
            records.push(Value::plain("<unreadable>"));
        }
        let mut fields = vec![
            ("base_offset", Value::plain(header.base_offset.to_string())),
            ("leader_epoch", Value::plain(header.partition_leader_epoch.to_string())),
            ("attributes", Value::plain(header.attributes.to_string())),
            ("last_offset_delta", Value::plain(header.last_offset_delta.to_string())),
            ("base_timestamp", time(header.base_timestamp)),
            ("max_timestamp", time(header.max_timestamp)),
            ("producer_id", Value::plain(header.producer_id.to_string())),
            ("producer_epoch", Value::plain(header.producer_epoch.to_string())),
            ("base_sequence", Value::plain(header.base_sequence.to_string())),
            ("crc", Value::plain(if batch.crc_holds() { "right" } else { "wrong" })),
            ("records", Value::List(records)),
        ];
        for (name, value) in &mut fields {
            field(name, value, names);
        }
        batches.push(structure(fields));
    }
    Value::List(batches)
}

fn structure(fields: Vec<(&str, Value)>) -> Value {
    Value::Struct(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}
