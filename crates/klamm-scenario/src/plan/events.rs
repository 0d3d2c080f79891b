//! Which trace events are meant.

use klamm_node::{EventKind, TraceKind, TracePattern};

use super::Planner;
use super::read::Read;
use crate::error::Mistake;
use crate::expect::Expectation;
use crate::line::Line;
use crate::syntax::nearest::nearest;

impl Planner<'_> {
    /// The one event that a line is about.
    pub(super) fn one_event(&mut self, line: &Line) -> Option<TracePattern> {
        let mut event = TracePattern::kind(self.event_kind(line, 0)?);
        if line.args.len() > 1 {
            event = event.text(line.text(1));
        }
        if line.get("of").is_some() {
            let of = self.partition_of(line)?;
            event = event.partition(of.topic.to_string(), of.partition);
        }
        if let Some(node) = self.node_prop(line, "node") {
            event = event.node(node);
        }
        Some(event)
    }

    /// Two events: each a kind, and perhaps a text.
    pub(super) fn happened_before(&mut self, line: &Line) -> Option<Vec<Expectation>> {
        let mut events: Vec<TracePattern> = Vec::new();
        let mut texts = 0;
        for (at, arg) in line.args.iter().enumerate() {
            let text = line.text(at);
            let is_kind = nearest(&text, TraceKind::NAMES.iter().copied()).is_some();
            match events.pop() {
                Some(event) if !is_kind && texts == 0 => {
                    events.push(event.text(text));
                    texts = 1;
                }
                last => {
                    events.extend(last);
                    events.push(TracePattern::kind(self.event_kind(line, at)?));
                    texts = 0;
                }
            }
            if events.len() > 2 {
                self.wrong("`happened-before` compares two events", arg.span, "a third one");
                return None;
            }
        }
        let [first, second] = <[TracePattern; 2]>::try_from(events)
            .map_err(|_| {
                self.mistakes.push(
                    Mistake::new("`happened-before` compares two events", line.span, "before what?")
                        .help("for example: happened-before LeaderElected \"leader 2\" BecameLeader"),
                );
            })
            .ok()?;
        Some(vec![Expectation::HappenedBefore { first, second }])
    }

    fn event_kind(&mut self, line: &Line, at: usize) -> Option<EventKind> {
        let name = line.text(at);
        if let Ok(kind) = name.parse() {
            return Some(kind);
        }
        let mistake = Mistake::new(
            format!("the trace has no events `{name}`"),
            line.args.get(at)?.span,
            "unknown kind",
        );
        let near = nearest(&name, TraceKind::NAMES.iter().copied()).is_some();
        self.mistakes.push(if near {
            mistake.suggest(&name, TraceKind::NAMES.iter().copied())
        } else {
            mistake.help(format!("its kinds are {}", TraceKind::NAMES.join(", ")))
        });
        None
    }
}
