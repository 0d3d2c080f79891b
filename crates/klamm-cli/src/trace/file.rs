//! A trace in a file: a line of JSON that says what it is, then one for each event.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Read as _, Write as _};
use std::path::Path;

use klamm_node::{Timestamp, TraceEvent};
use serde_json::{Map, Value, json};

use crate::errors::Mistake;
use crate::replay::{extent, mistake};

/// The version of the format.
const VERSION: u64 = 1;
const HEAD: &str = "klamm_trace";
/// What a recording begins with.
const RECORDING: &[u8] = b"KLAMMREC";

/// An event as a file has it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub(crate) id: u64,
    pub(crate) cause: Option<u64>,
    pub(crate) at: Timestamp,
    pub(crate) node: Option<i32>,
    pub(crate) kind: String,
    pub(crate) topic: Option<String>,
    pub(crate) partition: Option<i32>,
    pub(crate) text: String,
}

impl From<&TraceEvent> for Entry {
    fn from(event: &TraceEvent) -> Self {
        Self {
            id: event.id.0,
            cause: event.cause.map(|cause| cause.0),
            at: event.at,
            node: event.node.map(|node| node.0),
            kind: event.kind.name().to_owned(),
            topic: event.kind.topic().map(str::to_owned),
            partition: event.kind.partition().map(|partition| partition.partition),
            text: event.kind.to_string(),
        }
    }
}

impl Entry {
    /// As it is printed, like a trace event.
    pub(crate) fn line(&self) -> String {
        let node = self.node.map_or_else(|| "-".to_owned(), |node| node.to_string());
        let cause = self.cause.map_or_else(String::new, |cause| format!(" (after #{cause})"));
        format!("#{} {} [{node}] {}{cause}", self.id, self.at, self.text)
    }

    pub(crate) fn json(&self) -> Value {
        let mut fields = Map::new();
        fields.insert("id".to_owned(), self.id.into());
        fields.extend(self.cause.map(|cause| ("cause".to_owned(), cause.into())));
        fields.insert("at".to_owned(), self.at.0.into());
        fields.extend(self.node.map(|node| ("node".to_owned(), node.into())));
        fields.insert("kind".to_owned(), self.kind.as_str().into());
        fields.extend(self.topic.as_deref().map(|topic| ("topic".to_owned(), topic.into())));
        fields.extend(self.partition.map(|partition| ("partition".to_owned(), partition.into())));
        fields.insert("text".to_owned(), self.text.as_str().into());
        Value::Object(fields)
    }

    fn read(line: &str) -> Result<Self, String> {
        let value: Value = serde_json::from_str(line).map_err(|error| format!("is not JSON: {error}"))?;
        let number = |name: &str| value.get(name).and_then(Value::as_u64);
        let small = |name: &str| value.get(name).and_then(Value::as_i64).and_then(|n| i32::try_from(n).ok());
        let text = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
        let missing = |name: &str| format!("is no trace event: it has no {name}");
        Ok(Self {
            id: number("id").ok_or_else(|| missing("id"))?,
            cause: number("cause"),
            at: Timestamp(number("at").ok_or_else(|| missing("at"))?),
            node: small("node"),
            kind: text("kind").ok_or_else(|| missing("kind"))?,
            topic: text("topic"),
            partition: small("partition"),
            text: text("text").ok_or_else(|| missing("text"))?,
        })
    }
}

/// Writes a trace down while it happens.
pub(crate) struct Writer(BufWriter<File>);

impl Writer {
    pub(crate) fn create(path: &Path) -> Result<Self, Mistake> {
        let create = || {
            let mut out = BufWriter::new(File::create(path)?);
            writeln!(out, "{}", json!({ HEAD: VERSION }))?;
            out.flush()?;
            Ok::<_, std::io::Error>(Self(out))
        };
        create().map_err(|error| Mistake(format!("cannot write a trace to {}: {error}", path.display())))
    }

    pub(crate) fn event(&mut self, event: &TraceEvent) -> std::io::Result<()> {
        writeln!(self.0, "{}", Entry::from(event).json())
    }

    pub(crate) fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

/// Every event of a file: a trace, or a recording, which is replayed for it.
pub(crate) fn read(path: &Path, cut_short: bool) -> Result<Vec<Entry>, Mistake> {
    let name = path.display();
    let unreadable = |error: std::io::Error| Mistake(format!("cannot read {name}: {error}"));
    let file = File::open(path).map_err(unreadable)?;
    // Its beginning first: what is neither may have no end.
    let mut bytes = Vec::new();
    (&file).take(HEAD.len() as u64 + 2).read_to_end(&mut bytes).map_err(unreadable)?;
    if !bytes.starts_with(RECORDING) && bytes != format!("{{\"{HEAD}").into_bytes() {
        return Err(Mistake(format!("{name} is neither a trace nor a recording of klamm's")));
    }
    if !bytes.starts_with(RECORDING) {
        (&file).read_to_end(&mut bytes).map_err(unreadable)?;
    }
    if bytes.starts_with(RECORDING) {
        let mut entries = Vec::new();
        klamm_server::replay_trace(path, extent(cut_short), |event| entries.push(Entry::from(event)))
            .map_err(|error| mistake(path, &error))?;
        return Ok(entries);
    }
    let text = String::from_utf8(bytes)
        .map_err(|_| Mistake(format!("{name} is neither a trace nor a recording of klamm's")))?;
    let whole = if cut_short { text.rfind('\n').map_or(0, |end| end + 1) } else { text.len() };
    parse(&text[..whole]).map_err(|(line, why)| match line {
        0 => Mistake(format!("{name} {why}")),
        line => Mistake(format!("{name}:{line} {why}")),
    })
}

/// The line that is wrong, counted from 1, or 0 for the file as a whole; and why.
fn parse(text: &str) -> Result<Vec<Entry>, (usize, String)> {
    let head = text.lines().next().and_then(|line| serde_json::from_str::<Value>(line).ok());
    match head.as_ref().and_then(|head| head.get(HEAD)).and_then(Value::as_u64) {
        Some(VERSION) => {}
        Some(found) => {
            return Err((0, format!("has trace format {found}, this klamm reads format {VERSION}")));
        }
        None => return Err((0, "is neither a trace nor a recording of klamm's".to_owned())),
    }
    let count = text.lines().count();
    if !text.ends_with('\n') {
        return Err((count, "is cut short; --cut-short shows what is whole of it".to_owned()));
    }
    let mut seen = BTreeMap::new();
    let mut entries = Vec::with_capacity(count);
    for (line, at) in text.lines().zip(1..).skip(1) {
        let entry = Entry::read(line).map_err(|why| (at, why))?;
        if let Some(earlier) = seen.insert(entry.id, at) {
            return Err((at, format!("has the event {} of line {earlier} again", entry.id)));
        }
        entries.push(entry);
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "{\"klamm_trace\":1}\n";

    #[test]
    fn an_entry_is_read_as_it_was_written() {
        let entry = Entry {
            id: 7,
            cause: Some(3),
            at: Timestamp(1_500_000_000),
            node: Some(2),
            kind: "Appended".to_owned(),
            topic: Some("t".to_owned()),
            partition: Some(0),
            text: "t-0 log end 0 -> 1".to_owned(),
        };
        let bare = Entry { cause: None, node: None, topic: None, partition: None, id: 8, ..entry.clone() };
        let text = format!("{HEADER}{}\n{}\n", entry.json(), bare.json());
        assert_eq!(parse(&text), Ok(vec![entry.clone(), bare]));
        assert_eq!(entry.line(), "#7 1.500000s [2] t-0 log end 0 -> 1 (after #3)");
    }

    #[test]
    fn a_wrong_file_says_where_it_is_wrong() {
        let event = r#"{"id":1,"at":0,"kind":"Stalled","text":"x"}"#;
        let why = |text: &str| parse(text).unwrap_err();
        assert_eq!(why("").0, 0);
        assert_eq!(why("hello\n").0, 0);
        assert_eq!(
            why("{\"klamm_trace\":9}\n"),
            (0, "has trace format 9, this klamm reads format 1".to_owned())
        );
        assert_eq!(
            why(&format!("{HEADER}{event}\n{}", &event[..20])),
            (3, "is cut short; --cut-short shows what is whole of it".to_owned())
        );
        assert_eq!(
            why(&format!("{HEADER}{{\"id\":1}}\n")),
            (2, "is no trace event: it has no at".to_owned())
        );
        assert!(why(&format!("{HEADER}{event}\nnonsense\n")).1.starts_with("is not JSON"));
        assert_eq!(
            why(&format!("{HEADER}{event}\n{event}\n")),
            (3, "has the event 1 of line 2 again".to_owned())
        );
    }
}
