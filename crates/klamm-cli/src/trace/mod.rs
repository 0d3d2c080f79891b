//! `klamm trace`: what recorded traces hold, filtered and merged in the order of time.

pub(crate) mod file;

use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use klamm_node::Timestamp;

use self::file::Entry;
use crate::errors::Mistake;

/// Show what traces or recordings hold (`klamm serve --trace-file FILE`, `--record FILE`), merged in the order of time
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Traces or recordings
    #[arg(required = true)]
    file: Vec<PathBuf>,
    /// Only what is about this topic
    #[arg(long)]
    topic: Option<String>,
    /// Only what is about a partition with this index
    #[arg(long)]
    partition: Option<i32>,
    /// Only what this node decided
    #[arg(long)]
    node: Option<i32>,
    /// Only events of this kind, such as `HighWatermarkMoved`
    #[arg(long, value_parser = clap::builder::PossibleValuesParser::new(klamm_node::TraceKind::NAMES), hide_possible_values = true)]
    kind: Option<String>,
    /// Only from this time on, such as 1.5s, 200ms, 2m or 1h since the cluster's start
    #[arg(long, value_parser = time)]
    from: Option<Timestamp>,
    /// Only until this time
    #[arg(long, value_parser = time)]
    to: Option<Timestamp>,
    /// Instead: this event (by the id that --json shows) and what led to it, the first cause first
    #[arg(long, value_name = "ID", conflicts_with_all = ["topic", "partition", "node", "kind", "from", "to"])]
    why: Option<u64>,
    /// Show what is whole of files that are cut short, as those of a process that was killed
    #[arg(long)]
    cut_short: bool,
    /// Print a line of JSON for each event
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    if let (Some(from), Some(to)) = (arguments.from, arguments.to)
        && from > to
    {
        return Err(Mistake(format!("--from {from} is after --to {to}")).into());
    }
    // All of them before anything is printed: a wrong file prints nothing.
    let mut entries = Vec::new();
    for file in &arguments.file {
        entries.extend(file::read(file, arguments.cut_short)?);
    }
    let shown: Vec<Entry> = match arguments.why {
        Some(_) if arguments.file.len() > 1 => {
            return Err(Mistake("--why takes one file: each numbers its events".to_owned()).into());
        }
        Some(id) => why(&entries, id)?,
        None => {
            // Stable: what happened at one time stays in its file's order.
            entries.sort_by_key(|entry| entry.at);
            entries.into_iter().filter(|entry| arguments.wants(entry)).collect()
        }
    };
    let mut stdout = std::io::stdout().lock();
    for entry in shown {
        if arguments.json {
            writeln!(stdout, "{}", entry.json())?;
        } else {
            writeln!(stdout, "{}", entry.line())?;
        }
    }
    Ok(())
}

impl Arguments {
    fn wants(&self, entry: &Entry) -> bool {
        self.topic.as_ref().is_none_or(|topic| entry.topic.as_ref() == Some(topic))
            && self.partition.is_none_or(|partition| entry.partition == Some(partition))
            && self.node.is_none_or(|node| entry.node == Some(node))
            && self.kind.as_ref().is_none_or(|kind| entry.kind == *kind)
            && self.from.is_none_or(|from| entry.at >= from)
            && self.to.is_none_or(|to| entry.at <= to)
    }
}

fn why(entries: &[Entry], id: u64) -> Result<Vec<Entry>, Mistake> {
    let find = |id: u64| entries.iter().find(|entry| entry.id == id);
    let mut next = Some(find(id).ok_or_else(|| Mistake(format!("the file has no event {id}")))?);
    let mut chain = Vec::new();
    while let Some(entry) = next {
        chain.push(entry.clone());
        // A cause comes before its effect, whatever a file claims.
        next = entry.cause.filter(|cause| *cause < entry.id).and_then(find);
    }
    chain.reverse();
    Ok(chain)
}

/// Reads `1.5s`, `200ms`, `2m`, `1h`; a number alone is seconds.
fn time(text: &str) -> Result<Timestamp, String> {
    let wrong = || format!("a time is written like 1.5s, 200ms, 2m or 1h, not {text:?}");
    let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[number.len()..] {
        "" | "s" => 1.0,
        "ms" => 0.001,
        "m" => 60.0,
        "h" => 3_600.0,
        _ => return Err(wrong()),
    };
    let seconds = number.parse::<f64>().map_err(|_| wrong())? * unit;
    let duration = Duration::try_from_secs_f64(seconds).map_err(|_| wrong())?;
    Ok(Timestamp::ZERO + duration)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_time() {
        for (text, millis) in
            [("1.5s", 1_500), ("200ms", 200), ("2m", 120_000), ("1h", 3_600_000), ("3", 3_000)]
        {
            assert_eq!(time(text).map(Timestamp::as_millis), Ok(millis), "{text}");
        }
        for text in ["", "s", "1d", "-1s", "inf", "1e400"] {
            assert!(time(text).unwrap_err().contains("1.5s, 200ms, 2m or 1h"), "{text}");
        }
    }
}
