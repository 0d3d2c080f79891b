//! A run as text: one row a step, and under it the replicas where something changed.

use std::fmt::Write as _;

use klamm_node::NodeId;

use super::{LogState, PartitionState, Record, Report, Row, State};
use crate::run::time;

/// How many records of a log are shown one by one: the newest.
const SHOWN: usize = 8;

/// How a run is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Style {
    /// Whether colours are used. They never say anything that the text does not.
    pub colour: bool,
    /// Whether what was decided is shown for each step.
    pub trace: bool,
}

/// The whole run.
pub fn render(report: &Report, style: Style) -> String {
    let mut out = String::new();
    let paint = Paint(style.colour);
    let name = report.name();
    let name = if name.is_empty() { String::new() } else { format!(" ({name})") };
    let _ = writeln!(out, "{}{name}", paint.bold(&heading(report)));
    let mut before = State::default();
    for row in &report.rows {
        render_row(row, &before, style, &mut out);
        before.clone_from(&row.state);
    }
    let _ = writeln!(out, "{}", verdict(report, paint));
    if report.unseen > 0 {
        let _ = writeln!(out, "not checked, for it cannot be seen here: {} expectations", report.unseen);
    }
    out
}

/// Its id, and its title where it has one.
fn heading(report: &Report) -> String {
    if report.title.is_empty() { report.id.clone() } else { format!("{}: {}", report.id, report.title) }
}

/// One line: whether it held.
pub fn summary(report: &Report, style: Style) -> String {
    let name = report.name();
    let name = if name.is_empty() { String::new() } else { format!(" ({name})") };
    let title = if report.title.is_empty() { String::new() } else { format!(": {}", report.title) };
    format!("{} {}{name}{title}", verdict(report, Paint(style.colour)), report.id)
}

fn verdict(report: &Report, paint: Paint) -> String {
    if report.held() { paint.green("held") } else { paint.red("FAILED") }
}

fn render_row(row: &Row, before: &State, style: Style, out: &mut String) {
    let paint = Paint(style.colour);
    if row.prose {
        for line in row.text.lines() {
            let _ = writeln!(out, "              {}", paint.italic(line));
        }
        return;
    }
    let mark = match (row.failures.is_empty(), row.expects) {
        (false, _) => paint.red("✗"),
        (true, true) => paint.green("✓"),
        (true, false) => "·".to_owned(),
    };
    let _ = writeln!(out, "{:>12}  {mark} {}", format!("+{}", time(row.at)), paint.bold(&row.text));
    for line in &row.block {
        let _ = writeln!(out, "                    {line}");
    }
    for told in &row.told {
        let _ = writeln!(out, "                  {told}");
    }
    for failure in &row.failures {
        let place = if row.line > 0 { format!("line {}: ", row.line) } else { String::new() };
        let _ = writeln!(out, "                {} {place}{}", paint.red("✗"), failure.what);
        let _ = writeln!(out, "                    expected  {}", paint.green(&indented(&failure.expected)));
        let _ = writeln!(out, "                    actual    {}", paint.red(&indented(&failure.actual)));
    }
    for (broker, state) in &row.state.brokers {
        if before.brokers.get(broker).is_some_and(|old| old != state) {
            let words = match (state.up, state.fenced) {
                (true, true) => "up, fenced",
                (true, false) => "up",
                (false, true) => "down, fenced",
                (false, false) => "down, not fenced yet",
            };
            let _ = writeln!(out, "                broker {broker}: {}", paint.yellow(words));
        }
    }
    for (name, partition) in &row.state.partitions {
        let old = before.partitions.get(name);
        if old != Some(partition) || !row.failures.is_empty() {
            render_partition(&name.to_string(), partition, old, &row.state, paint, out);
        }
    }
    if style.trace || !row.failures.is_empty() {
        for event in &row.trace {
            let node = event.node.map_or_else(|| "-".to_owned(), |node| node.to_string());
            let cause = event.cause.map_or_else(String::new, |cause| format!(" (after #{})", cause.0));
            let at = time(event.at.since(row.began));
            let line = format!("#{} +{at} [{node}] {}{cause}", event.id.0, event.kind);
            let _ = writeln!(out, "                  {}", paint.dim(&line));
        }
    }
}

fn indented(text: &str) -> String {
    text.replace('\n', "\n                              ")
}

fn render_partition(
    name: &str,
    partition: &PartitionState,
    old: Option<&PartitionState>,
    state: &State,
    paint: Paint,
    out: &mut String,
) {
    let changed = |is: bool, text: String| if is { paint.yellow(&text) } else { text };
    let leader = partition.leader.map_or_else(|| "none".to_owned(), |leader| leader.to_string());
    let head = [
        changed(
            old.is_some_and(|old| {
                (old.leader, old.leader_epoch) != (partition.leader, partition.leader_epoch)
            }),
            format!("leader {leader} epoch {}", partition.leader_epoch),
        ),
        // A client sees no partition epoch.
        match partition.partition_epoch {
            -1 => "replicas not seen".to_owned(),
            epoch => changed(
                old.is_some_and(|old| old.partition_epoch != epoch),
                format!("partition epoch {epoch}"),
            ),
        },
        changed(old.is_some_and(|old| old.isr != partition.isr), format!("ISR {}", ids(&partition.isr))),
        changed(old.is_some_and(|old| old.elr != partition.elr), format!("ELR {}", ids(&partition.elr))),
    ];
    let shown = if partition.elr.is_empty() && old.is_none_or(|old| old.elr.is_empty()) {
        &head[..3]
    } else {
        &head[..]
    };
    let _ = writeln!(out, "                {name}  {}", shown.join("  "));
    for (broker, log) in partition.replicas.iter().filter(|(broker, _)| state.brokers.contains_key(broker)) {
        let old = old
            .and_then(|old| old.replicas.iter().find(|(other, _)| other == broker))
            .and_then(|(_, log)| log.as_ref());
        let role = match (partition.leader == Some(*broker), partition.isr.contains(broker)) {
            (true, _) => "leader  ",
            (false, true) => "in sync ",
            (false, false) => "        ",
        };
        let body = match log {
            Some(log) => changed(old.is_some_and(|old| old != log), render_log(log)),
            None if state.brokers.get(broker).is_some_and(|broker| broker.up) => {
                "has no replica yet".to_owned()
            }
            None => "down".to_owned(),
        };
        let _ = writeln!(out, "                  {broker} {role} {body}");
    }
}

/// `r0..r9@0 a10@0 ┊ a11@0   end 12  high watermark 11`: the mark stands before the first record above the high watermark.
/// Of a log too long to show, the beginning is only offsets: `0..99@0`.
fn render_log(log: &LogState) -> String {
    let mut out = String::new();
    let runs = runs(log);
    let folded = if runs.len() > SHOWN + 1 { runs.len() - SHOWN } else { 0 };
    let (mut at, mut marked) = (0, false);
    while let Some(run) = runs.get(at) {
        let (first, epoch, value) = &run[0];
        if !marked && *first >= log.high_watermark {
            out.push_str("┊ ");
            marked = true;
        }
        if at < folded {
            // What is of one epoch, on one side of the high watermark.
            let alike = |run: &&&[Record]| run[0].1 == *epoch && (run[0].0 >= log.high_watermark) == marked;
            let count = runs[at..folded].iter().take_while(alike).count();
            let last = runs[at + count - 1].last().map_or(*first, |(offset, ..)| *offset);
            let _ = match last == *first {
                true => write!(out, "{first}:{value}@{epoch} "),
                false => write!(out, "{first}..{last}@{epoch} "),
            };
            at += count;
        } else {
            let _ = match run {
                [.., (_, _, last)] if run.len() > 1 => write!(out, "{value}..{last}@{epoch} "),
                _ => write!(out, "{value}@{epoch} "),
            };
            at += 1;
        }
    }
    if !marked {
        out.push_str("┊ ");
    }
    let start = if log.start > 0 { format!(" start {} ", log.start) } else { String::new() };
    format!("{out} {start} end {}  high watermark {}", log.end, log.high_watermark)
}

/// Records that read as one range, as scenarios write it: three or more with numbers that follow each other, of one epoch, on
/// one side of the high watermark. Every other record is a run of its own.
fn runs(log: &LogState) -> Vec<&[Record]> {
    let follows = |(offset, epoch, value): &Record, (next, same, name): &Record| {
        let (prefix, number) = numbered(value);
        epoch == same
            && (*offset >= log.high_watermark) == (*next >= log.high_watermark)
            && number
                .and_then(|number| number.checked_add(1))
                .is_some_and(|number| *name == format!("{prefix}{number}"))
    };
    log.records
        .chunk_by(follows)
        .flat_map(|run| run.chunks(if run.len() > 2 { run.len() } else { 1 }))
        .collect()
}

/// What a name begins with, and the number that it ends with.
fn numbered(name: &str) -> (&str, Option<u64>) {
    let (prefix, digits) = name.split_at(name.trim_end_matches(|c: char| c.is_ascii_digit()).len());
    (prefix, digits.parse().ok())
}

fn ids(ids: &[NodeId]) -> String {
    if ids.is_empty() {
        return "none".to_owned();
    }
    ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

/// Colours, where they are wanted.
#[derive(Debug, Clone, Copy)]
struct Paint(bool);

impl Paint {
    fn with(self, code: &str, text: &str) -> String {
        if self.0 { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    fn bold(self, text: &str) -> String {
        self.with("1", text)
    }

    fn dim(self, text: &str) -> String {
        self.with("2", text)
    }

    fn italic(self, text: &str) -> String {
        self.with("3", text)
    }

    fn red(self, text: &str) -> String {
        self.with("31", text)
    }

    fn green(self, text: &str) -> String {
        self.with("32", text)
    }

    fn yellow(self, text: &str) -> String {
        self.with("33", text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(records: &[(i32, &str)], high_watermark: i64) -> String {
        let records: Vec<Record> = (0..)
            .zip(records)
            .map(|(offset, (epoch, value))| (offset, *epoch, (*value).to_owned()))
            .collect();
        let log = LogState { start: 0, end: i64::try_from(records.len()).unwrap(), high_watermark, records };
        render_log(&log).split("   ").next().unwrap().trim_end().to_owned()
    }

    #[test]
    fn a_log_reads_as_a_scenario_writes_it() {
        let three = [(0, "r0"), (0, "r1"), (0, "r2")];
        assert_eq!(rendered(&three, 3), "r0..r2@0 ┊");
        // Neither the high watermark nor an epoch is hidden in a range, and two records are not one.
        assert_eq!(rendered(&three, 1), "r0@0 ┊ r1@0 r2@0");
        assert_eq!(rendered(&[three[0], three[1], (1, "r2"), (1, "a")], 0), "┊ r0@0 r1@0 r2@1 a@1");
        assert_eq!(rendered(&[(0, "r9"), (0, "r10"), (0, "r11"), (0, "x11")], 4), "r9..r11@0 x11@0 ┊");
    }

    #[test]
    fn the_beginning_of_a_long_log_is_offsets() {
        let names: Vec<String> = (0..20).map(|n| format!("{}", char::from(b'a' + n))).collect();
        let records: Vec<_> = names.iter().map(|name| (0, name.as_str())).collect();
        let text = rendered(&records, 2);
        assert!(text.starts_with("0..1@0 ┊ 2..") && text.ends_with("s@0 t@0"), "{text}");
    }
}
