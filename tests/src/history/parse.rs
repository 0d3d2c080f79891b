//! Histories as client programs write them: a JSON object a line.
//!
//! ```text
//! {"who":"p1","did":"produce","acks":"all","idempotent":true}
//! {"who":"c1","did":"consume","isolation":"read_committed"}
//! {"who":"p1","did":"send","value":17,"to":"orders-0","transaction":"p1/3"}
//! {"who":"p1","did":"sent","value":17,"outcome":"ok","offset":5}          or "failed", or "unknown"
//! {"who":"p1","did":"commit","transaction":"p1/3"}                        or "abort": about to ask
//! {"who":"p1","did":"ended","transaction":"p1/3","outcome":"committed"}   or "aborted", or "unknown"
//! {"who":"c1","did":"move","to":["orders-0","orders-1"]}
//! {"who":"c1","did":"poll","records":{"orders-0":[[5,17],[6,18]]}}
//! {"who":"c9","did":"read-all","ends":{"orders-0":7}}
//! ```

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use super::event::{End, Event, History, Outcome, Record};

impl History {
    /// Reads what client programs wrote.
    ///
    /// # Errors
    /// When a line is not of the form above; with the line.
    pub fn parse(text: &str) -> Result<Self> {
        let event = |(n, line): (usize, &str)| event(line).with_context(|| format!("line {}: {line}", n + 1));
        let events = text.lines().enumerate().map(event).collect::<Result<_>>()?;
        Ok(Self { events })
    }
}

fn event(line: &str) -> Result<Event> {
    let line: Value = serde_json::from_str(line)?;
    let who = text(&line, "who")?;
    Ok(match text(&line, "did")?.as_str() {
        "produce" => {
            let idempotent = line["idempotent"].as_bool().context("`idempotent` must be true or false")?;
            Event::Producer { who, acks_all: text(&line, "acks")? == "all", idempotent }
        }
        "consume" => Event::Consumer { who, read_committed: text(&line, "isolation")? == "read_committed" },
        "send" => {
            let transaction = line["transaction"].as_str().map(str::to_owned);
            Event::Send { who, value: number(&line["value"])?, to: text(&line, "to")?, transaction }
        }
        "sent" => {
            let outcome = match text(&line, "outcome")?.as_str() {
                "ok" => Outcome::Acked { offset: line["offset"].as_i64().filter(|offset| *offset >= 0) },
                "failed" => Outcome::Failed,
                "unknown" => Outcome::Unknown,
                other => bail!("a send ends ok, failed or unknown, not {other}"),
            };
            Event::Sent { value: number(&line["value"])?, outcome }
        }
        did @ ("commit" | "abort") => {
            Event::Asked { transaction: text(&line, "transaction")?, commit: did == "commit" }
        }
        "ended" => {
            let end = match text(&line, "outcome")?.as_str() {
                "committed" => End::Committed,
                "aborted" => End::Aborted,
                "unknown" => End::Unknown,
                other => bail!("a transaction ends committed, aborted or unknown, not {other}"),
            };
            Event::Ended { transaction: text(&line, "transaction")?, end }
        }
        "move" => {
            let partitions = line["to"].as_array().context("`to` must be a list of partitions")?;
            let name = |it: &Value| it.as_str().map(str::to_owned).context("a partition's name is a string");
            Event::Moved { who, partitions: partitions.iter().map(name).collect::<Result<_>>()? }
        }
        "poll" => Event::Polled { who, records: each(&line, "records", records)? },
        "read-all" => Event::ReadAll {
            who,
            ends: each(&line, "ends", |it| it.as_i64().context("an end is an offset"))?,
        },
        other => bail!("nobody does `{other}`"),
    })
}

fn text(line: &Value, key: &str) -> Result<String> {
    line[key].as_str().map(str::to_owned).with_context(|| format!("`{key}` must be a string"))
}

fn number(value: &Value) -> Result<u64> {
    value.as_u64().context("a value is a whole number that is not negative")
}

fn each<T>(line: &Value, key: &str, read: impl Fn(&Value) -> Result<T>) -> Result<BTreeMap<String, T>> {
    let entries = line[key].as_object().with_context(|| format!("`{key}` must name partitions"))?;
    entries.iter().map(|(partition, value)| Ok((partition.clone(), read(value)?))).collect()
}

fn records(list: &Value) -> Result<Vec<Record>> {
    let record = |pair: &Value| {
        ensure!(pair.as_array().is_some_and(|pair| pair.len() == 2), "a record is [offset, value]");
        let offset = pair[0].as_i64().context("an offset is a whole number")?;
        Ok(Record { offset, value: number(&pair[1])? })
    };
    list.as_array().context("records are a list")?.iter().map(record).collect()
}
