//! From text to lines: KDL, with times, checked against the grammar's table.

pub mod grammar;
pub(crate) mod nearest;
pub(crate) mod render;
pub(crate) mod shape;
pub(crate) mod time;

use std::collections::BTreeSet;

use kdl::{KdlDocument, KdlEntry, KdlNode, KdlValue};
use miette::SourceSpan;

use crate::error::{Mistake, Mistakes};
use crate::line::{Line, Scenario, Span, Spanned, Value};

/// A text longer than this, in bytes, is no scenario.
pub const MAX_LEN: usize = 1 << 20;

/// Reads a scenario. `name` is the file's, for what is said about it.
///
/// # Errors
/// Everything that is wrong with the text as such: it is no KDL, or it has words, arguments or properties that the
/// language has not.
pub fn parse(name: &str, text: &str) -> Result<Scenario, Mistakes> {
    let wrong = |mistakes| Mistakes::new(name, text, mistakes);
    if text.len() > MAX_LEN {
        return Err(wrong(vec![Mistake::new(
            "the text is too long for a scenario",
            Span::default(),
            "more than 1 MiB",
        )]));
    }
    let scanned = time::scan(text);
    if let Some(at) = scanned.too_deep {
        return Err(wrong(vec![Mistake::new("blocks lie too deep", Span { start: at, len: 1 }, "here")]));
    }
    let document = KdlDocument::parse_v2(&scanned.text).map_err(|error| {
        wrong(error.diagnostics.into_iter().map(|diagnostic| kdl_mistake(diagnostic, text)).collect())
    })?;
    let reader = Reader { text, times: &scanned.times };
    let mut mistakes = Vec::new();
    let lines: Vec<_> = document.nodes().iter().map(|node| reader.line(node, &mut mistakes)).collect();
    shape::check(&lines, &mut mistakes);
    if mistakes.is_empty() { Ok(Scenario { lines }) } else { Err(wrong(mistakes)) }
}

fn kdl_mistake(diagnostic: kdl::KdlDiagnostic, text: &str) -> Mistake {
    let place = clip(span(diagnostic.span), text);
    let found = text.get(place.start..place.start + place.len).unwrap_or_default().trim();
    let number = found.trim_start_matches(['-', '+']);
    if number.starts_with(|c: char| c.is_ascii_digit()) && number.ends_with(|c: char| c.is_ascii_alphabetic())
    {
        return Mistake::new(format!("`{found}` is neither a number nor a time"), place, "not a value").help(
            "a time is a number from 0 and ns, us, ms, s, m, h or d, such as 30s; quote what is neither",
        );
    }
    let message = diagnostic.message.unwrap_or_else(|| "this is not KDL".to_owned());
    let mut mistake = Mistake::new(message, place, diagnostic.label.unwrap_or_else(|| "here".to_owned()));
    mistake.help = diagnostic.help;
    mistake
}

const fn span(span: SourceSpan) -> Span {
    Span { start: span.offset(), len: span.len() }
}

/// The part of a span that lies within the text, at the borders of characters.
fn clip(span: Span, text: &str) -> Span {
    let border = |mut at: usize| {
        at = at.min(text.len());
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        at
    };
    let start = border(span.start);
    Span { start, len: border(span.start.saturating_add(span.len)).saturating_sub(start) }
}

struct Reader<'a> {
    text: &'a str,
    times: &'a BTreeSet<usize>,
}

impl Reader<'_> {
    fn line(&self, node: &KdlNode, mistakes: &mut Vec<Mistake>) -> Line {
        let at = self.trimmed(clip(span(node.name().span()), self.text));
        let quoted = self.text[at.start..].starts_with(['"', '#']);
        let alone = node.entries().is_empty() && node.children().is_none();
        let mut line = if quoted && alone {
            // A line of nothing but a quoted text is prose.
            let mut note = Line::new("note");
            note.args.push(Spanned { value: Value::Text(node.name().value().to_owned()), span: at });
            note
        } else {
            Line::new(node.name().value())
        };
        line.span = at;
        if let Some(ty) = node.ty() {
            mistakes.push(Mistake::new(
                "a scenario has no type annotations",
                clip(span(ty.span()), self.text),
                "leave this out",
            ));
        }
        for entry in node.entries() {
            let Some(value) = self.value(entry, mistakes) else { continue };
            match entry.name() {
                Some(name) if line.props.iter().any(|(other, _)| other == name.value()) => {
                    mistakes.push(Mistake::new(
                        format!("`{}` is given twice", name.value()),
                        value.span,
                        "once is enough",
                    ));
                }
                Some(name) => line.props.push((name.value().to_owned(), value)),
                None => line.args.push(value),
            }
        }
        let children = node.children().map(KdlDocument::nodes).unwrap_or_default();
        line.block = children.iter().map(|child| self.line(child, mistakes)).collect();
        line
    }

    fn value(&self, entry: &KdlEntry, mistakes: &mut Vec<Mistake>) -> Option<Spanned> {
        let span = self.trimmed(clip(span(entry.span()), self.text));
        let value = match entry.value() {
            KdlValue::String(text) if text.starts_with('_') => {
                self.time(span).unwrap_or_else(|| Value::Text(text.clone()))
            }
            KdlValue::String(text) => Value::Text(text.clone()),
            KdlValue::Integer(number) => match i64::try_from(*number) {
                Ok(number) => Value::Int(number),
                Err(_) => {
                    mistakes.push(Mistake::new(
                        "the number is too large",
                        span,
                        "at most 9223372036854775807",
                    ));
                    return None;
                }
            },
            KdlValue::Float(number) => Value::Real(*number),
            KdlValue::Bool(flag) => Value::Flag(*flag),
            KdlValue::Null => {
                mistakes.push(Mistake::new("a scenario has no #null", span, "say `none`, or leave it out"));
                return None;
            }
        };
        Some(Spanned { value, span })
    }

    /// The span without the white space around it.
    fn trimmed(&self, span: Span) -> Span {
        let text = self.text.get(span.start..span.start + span.len).unwrap_or_default();
        let head = text.len() - text.trim_start().len();
        Span { start: span.start + head, len: text.trim().len() }
    }

    /// The time that an entry is, if it is one.
    fn time(&self, span: Span) -> Option<Value> {
        let start = *self.times.range(span.start..span.start + span.len).next()?;
        let text = &self.text[start..span.start + span.len];
        time::parse(text.trim_end()).map(Value::Time)
    }
}
