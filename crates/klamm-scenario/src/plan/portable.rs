//! Whether a scenario needs no more than a client's requests, so that it runs against any cluster.

use crate::error::{Mistake, Mistakes};
use crate::line::{Line, Scenario};

/// Words that stand in blocks of steps, or are steps, and need nothing but requests.
const STEPS: &[&str] = &[
    "scenario",
    "variants",
    "when",
    "topic",
    "partition",
    "producer",
    "consumer",
    "note",
    "send",
    "produce",
    "await",
    "transaction",
    "send-offset",
    "consume",
    "advance",
    "at",
    "create-topic",
    "delete-topic",
    "alter-config",
    "alter-quota",
    "add-partitions",
    "delete-records",
    "elect",
    "reassign",
    "expect",
    "expect-eventually",
    "expect-always",
];
/// Expectations that a client can check.
const EXPECTATIONS: &[&str] = &["partition", "topic", "result", "consumed", "disconnected"];
/// What a client learns of a partition from metadata.
const FACTS: &[&str] = &["leader", "leader-epoch", "isr", "replicas"];

/// Finds every line that needs more.
pub(crate) fn check(name: &str, text: &str, scenario: &Scenario) -> Result<(), Mistakes> {
    let mut mistakes = Vec::new();
    steps(&scenario.lines, &mut mistakes);
    if mistakes.is_empty() { Ok(()) } else { Err(Mistakes::new(name, text, mistakes)) }
}

fn steps(lines: &[Line], mistakes: &mut Vec<Mistake>) {
    for line in lines {
        if !STEPS.contains(&line.word.as_str()) {
            let message = format!(
                "`{}` needs more than a client's requests, and so a cluster of klamm's own",
                line.word
            );
            let mistake = Mistake::new(message, line.span, "not portable");
            mistakes.push(match line.word.as_str() {
                "config" | "cluster" | "era" | "versions" | "profile" => mistake.help(
                    "bring the cluster up as it should be; a topic's configuration can stand in its `topic`",
                ),
                "settle" => mistake.help("say `expect-eventually`"),
                _ => mistake.help(
                    "leave this out, or run the file without --bootstrap, or against `klamm serve --control` with --control",
                ),
            });
        } else if line.word.starts_with("expect") {
            expectations(&line.block, mistakes);
        } else {
            steps(&line.block, mistakes);
        }
    }
}

fn expectations(lines: &[Line], mistakes: &mut Vec<Mistake>) {
    for line in lines {
        if !EXPECTATIONS.contains(&line.word.as_str()) {
            mistakes.push(
                Mistake::new(format!("a client cannot see `{}`", line.word), line.span, "not portable")
                    .help(format!("it can see: {}", EXPECTATIONS.join(", "))),
            );
        } else if line.word == "partition" {
            for (name, value) in line.props.iter().filter(|(name, _)| !FACTS.contains(&name.as_str())) {
                mistakes.push(
                    Mistake::new(
                        format!("a client cannot see a partition's `{name}`"),
                        value.span,
                        "not portable",
                    )
                    .help(format!("it can see: {}", FACTS.join(", "))),
                );
            }
        }
    }
}
