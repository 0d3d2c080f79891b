//! A scenario as text.

use std::fmt::Write as _;

use crate::line::{Line, Scenario, Value};

impl Scenario {
    /// The scenario as text, which reads as an equal scenario.
    pub fn to_kdl(&self) -> String {
        let mut out = String::new();
        for line in &self.lines {
            render(line, 0, &mut out);
        }
        out
    }
}

impl Line {
    /// The line without its block, as it reads in a scenario.
    pub fn head(&self) -> String {
        let mut out = text(&self.word);
        for arg in &self.args {
            let _ = write!(out, " {}", arg.value);
        }
        for (name, value) in &self.props {
            let _ = write!(out, " {}={}", text(name), value.value);
        }
        out
    }
}

fn render(line: &Line, depth: usize, out: &mut String) {
    let indent = "    ".repeat(depth);
    out.push_str(&indent);
    out.push_str(&line.head());
    if line.block.is_empty() {
        out.push('\n');
        return;
    }
    out.push_str(" {\n");
    for child in &line.block {
        render(child, depth + 1, out);
    }
    out.push_str(&indent);
    out.push_str("}\n");
}

/// A word or text: bare where it may be, else in quotes.
pub(crate) fn text(text: &str) -> String {
    if is_bare(text) {
        return text.to_owned();
    }
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            // What KDL allows in no string as it is (`disallowed-literal-code-points`), or takes for a line's end.
            c if c.is_control()
                || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2028}' | '\u{2029}' | '\u{2066}'..='\u{2069}' | '\u{feff}') =>
            {
                let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Fewer than KDL allows, and easy to see.
fn is_bare(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic())
        && chars.all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
        && !matches!(text, "true" | "false" | "null" | "inf" | "nan")
}

/// A value of text for a line.
impl From<&String> for Value {
    fn from(text: &String) -> Self {
        Self::Text(text.clone())
    }
}
