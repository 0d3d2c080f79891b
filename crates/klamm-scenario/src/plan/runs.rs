//! Which runs a file has, and which of its blocks belong to each.

use std::collections::BTreeSet;

use klamm_wire::KafkaVersion;

use super::Planner;
use super::read::Read;
use crate::error::Mistake;
use crate::line::{Line, Scenario, Value};

/// The arguments of the one line with this word.
pub(super) fn list(scenario: &Scenario, word: &str, mistakes: &mut Vec<Mistake>) -> Vec<String> {
    let mut lines = scenario.lines.iter().filter(|line| line.word == word);
    let list = lines.next().map(|line| (0..line.args.len()).map(|at| line.text(at)).collect());
    for again in lines {
        mistakes.push(Mistake::new(
            format!("`{word}` is given twice"),
            again.span,
            "name all of them in one line",
        ));
    }
    list.unwrap_or_default()
}

pub(super) fn either(names: &[String]) -> Vec<Option<String>> {
    if names.is_empty() { vec![None] } else { names.iter().cloned().map(Some).collect() }
}

/// Blocks that belong to no run: what stands there would never be checked.
pub(super) fn never_run(lines: &[Line], seen: &BTreeSet<usize>, mistakes: &mut Vec<Mistake>) {
    for line in lines {
        if matches!(line.word.as_str(), "profile" | "when") && !seen.contains(&line.span.start) {
            mistakes.push(
                Mistake::new(
                    "this block belongs to no run, so nothing in it would ever be checked",
                    line.span,
                    "never run",
                )
                .help("`versions` and `variants` say which runs there are"),
            );
        } else {
            never_run(&line.block, seen, mistakes);
        }
    }
}

/// The place of a release among all that are known.
pub(super) fn release(text: &str) -> Option<usize> {
    let version: KafkaVersion = text.parse().ok()?;
    KafkaVersion::ALL.iter().position(|known| *known == version)
}

/// Whether a release fulfils a condition such as `>=3.7`; `None` for what is no condition.
pub(super) fn fulfils(version: usize, condition: &str) -> Option<bool> {
    let number = condition.trim_start_matches(['<', '>', '=']);
    let operator = &condition[..condition.len() - number.len()];
    let bound = release(number.trim())?;
    Some(match operator {
        "" | "=" => version == bound,
        ">=" => version >= bound,
        ">" => version > bound,
        "<=" => version <= bound,
        "<" => version < bound,
        _ => return None,
    })
}

impl Planner<'_> {
    /// Whether a `profile` or `when` block belongs to this run.
    pub(super) fn belongs(&mut self, line: &Line) -> bool {
        let mut belongs = false;
        for arg in &line.args {
            let Value::Text(text) = &arg.value else { continue };
            if line.word == "profile" {
                let version =
                    self.run.version.as_deref().and_then(release).unwrap_or(KafkaVersion::ALL.len() - 1);
                match fulfils(version, text) {
                    Some(fulfilled) => belongs |= fulfilled,
                    None => self.mistakes.push(
                        Mistake::new(
                            format!("{text:?} is no condition on Kafka's release"),
                            arg.span,
                            "unknown",
                        )
                        .help("for example \"3.6\", \">=3.7\" or \"<4.0\""),
                    ),
                }
            } else if self.variants.contains(text) {
                belongs |= self.run.variant.as_ref() == Some(text);
            } else {
                let mistake =
                    Mistake::new(format!("there is no variant `{text}`"), arg.span, "unknown variant");
                self.mistakes.push(mistake.suggest(text, self.variants.iter().map(String::as_str)));
            }
        }
        if belongs {
            self.seen.insert(line.span.start);
        }
        belongs
    }
}
