//! Answers as text: writing, reading and comparing them.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

/// What a cluster answered to a subject's requests.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Transcript {
    steps: Vec<Step>,
}

/// One step: a request in one or more versions.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Step {
    label: String,
    api: String,
    answers: BTreeMap<i16, String>,
}

/// A step and version in which two transcripts say different things.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The step's label.
    pub label: String,
    /// The API and the versions that differ in this way.
    pub request: String,
    /// What Kafka answered.
    pub kafka: String,
    /// What klamm answered.
    pub klamm: String,
}

/// How many lines of each side one difference shows.
const LINES: usize = 8;

const NOTHING: &str = "(no such step)";

impl Transcript {
    pub(crate) fn push(&mut self, label: &str, api: &str, version: i16, answer: String) {
        match self.steps.last_mut() {
            Some(step) if step.label == label && step.api == api => {
                step.answers.insert(version, answer);
            }
            _ => self.steps.push(Step {
                label: label.to_owned(),
                api: api.to_owned(),
                answers: BTreeMap::from([(version, answer)]),
            }),
        }
    }

    /// Reads what [`Transcript`]'s `Display` wrote.
    pub fn parse(text: &str) -> Self {
        let mut steps: Vec<Step> = Vec::new();
        let mut versions = Vec::new();
        for line in text.lines() {
            if let Some(label) = line.strip_prefix("== ") {
                let (label, api) = label.rsplit_once(" -- ").unwrap_or((label, ""));
                steps.push(Step { label: label.to_owned(), api: api.to_owned(), answers: BTreeMap::new() });
            } else if let Some(list) = line.strip_prefix("v") {
                versions = span(list);
                if let Some(step) = steps.last_mut() {
                    step.answers.extend(versions.iter().map(|version| (*version, String::new())));
                }
            } else if let Some(line) = line.strip_prefix("  ")
                && let Some(step) = steps.last_mut()
            {
                for version in &versions {
                    if let Some(answer) = step.answers.get_mut(version) {
                        answer.push_str(line);
                        answer.push('\n');
                    }
                }
            }
        }
        Self { steps }
    }

    /// Where `klamm` does not say what this transcript of Kafka says, in the order of the steps.
    pub fn compare(&self, klamm: &Self) -> Vec<Difference> {
        let ours: BTreeMap<_, _> = klamm.steps.iter().map(|step| (&step.label, step)).collect();
        let theirs: BTreeMap<_, _> = self.steps.iter().map(|step| (&step.label, step)).collect();
        let mut differences = Vec::new();
        for step in &self.steps {
            let mut spans: Vec<(Vec<i16>, &str, &str)> = Vec::new();
            for (version, kafka) in &step.answers {
                let klamm = ours.get(&step.label).and_then(|step| step.answers.get(version));
                let klamm = klamm.map_or(NOTHING, String::as_str);
                if kafka.trim_end() == klamm.trim_end() {
                    continue;
                }
                match spans.last_mut() {
                    Some((versions, a, b))
                        if *a == kafka && *b == klamm && versions.last() == Some(&(version - 1)) =>
                    {
                        versions.push(*version);
                    }
                    _ => spans.push((vec![*version], kafka, klamm)),
                }
            }
            differences.extend(spans.into_iter().map(|(versions, kafka, klamm)| Difference {
                label: step.label.clone(),
                request: format!("{} {}", step.api, written(&versions)),
                kafka: kafka.to_owned(),
                klamm: klamm.to_owned(),
            }));
        }
        for step in klamm.steps.iter().filter(|step| !theirs.contains_key(&step.label)) {
            differences.push(Difference {
                label: step.label.clone(),
                request: step.api.clone(),
                kafka: NOTHING.to_owned(),
                klamm: String::new(),
            });
        }
        differences
    }
}

/// `3`, or `3-5`.
fn written(versions: &[i16]) -> String {
    match versions {
        [] => String::new(),
        [one] => format!("v{one}"),
        [first, .., last] => format!("v{first}-{last}"),
    }
}

fn span(text: &str) -> Vec<i16> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    match (first.parse(), last.parse()) {
        (Ok(first), Ok(last)) => (first..=last).collect(),
        _ => Vec::new(),
    }
}

impl fmt::Display for Transcript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in &self.steps {
            writeln!(f, "== {} -- {}", step.label, step.api)?;
            let mut spans: Vec<(Vec<i16>, &str)> = Vec::new();
            for (version, answer) in &step.answers {
                match spans.last_mut() {
                    Some((versions, same)) if same == answer && versions.last() == Some(&(version - 1)) => {
                        versions.push(*version);
                    }
                    _ => spans.push((vec![*version], answer)),
                }
            }
            for (versions, answer) in spans {
                writeln!(f, "{}", written(&versions))?;
                for line in answer.lines() {
                    writeln!(f, "  {line}")?;
                }
            }
        }
        Ok(())
    }
}

impl fmt::Display for Difference {
    /// The lines that only one side has, each with the line before it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} ({})", self.label, self.request)?;
        let (kafka, klamm): (Vec<_>, Vec<_>) = (self.kafka.lines().collect(), self.klamm.lines().collect());
        let mut out = String::new();
        for (sign, lines, others) in [("Kafka", &kafka, &klamm), ("klamm", &klamm, &kafka)] {
            let mut told = 0;
            for (index, line) in lines.iter().enumerate() {
                if told == LINES {
                    writeln!(out, "    {sign}: …")?;
                    break;
                }
                if others.get(index) != Some(line) && !others.contains(line) {
                    writeln!(out, "    {sign}: {}", line.trim_start())?;
                    told += 1;
                }
            }
        }
        if out.is_empty() {
            writeln!(out, "    the order differs:\n{}\n  instead of\n{}", self.klamm, self.kafka)?;
        }
        f.write_str(&out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Transcript {
        let mut transcript = Transcript::default();
        for version in 0..4 {
            let answer = if version < 2 { "error: NONE\n" } else { "error: [\n  a -- b\n]\n" };
            transcript.push("a step -- with a dash", "Metadata", version, answer.to_owned());
        }
        transcript.push("another", "Fetch", 4, "closed\n".to_owned());
        transcript
    }

    #[test]
    fn what_is_written_can_be_read() {
        assert_eq!(Transcript::parse(&sample().to_string()), sample());
    }

    #[test]
    fn differences_are_told_once_a_span() {
        let (kafka, mut klamm) = (sample(), sample());
        assert_eq!(kafka.compare(&klamm), vec![]);
        for version in 2..4 {
            klamm.steps[0].answers.insert(version, "error: [\n  c\n]\n".to_owned());
        }
        klamm.steps.truncate(1);
        klamm.push("new", "Fetch", 4, String::new());
        let differences = kafka.compare(&klamm);
        let requests: Vec<_> = differences.iter().map(|difference| &difference.request[..]).collect();
        assert_eq!(requests, ["Metadata v2-3", "Fetch v4", "Fetch"]);
        assert_eq!(
            differences[0].to_string(),
            "a step -- with a dash (Metadata v2-3)\n    Kafka: a -- b\n    klamm: c\n"
        );
    }
}
