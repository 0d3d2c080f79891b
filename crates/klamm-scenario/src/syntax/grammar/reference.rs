//! The grammar's table as a page.

use std::fmt::Write as _;

use super::{Arg, Count, Place, Word, words};

/// The reference of every word, as Markdown.
pub fn reference() -> String {
    let mut out = String::new();
    for (place, title) in [
        (Place::Head, "At the head of a file"),
        (Place::Cluster, "In the block of `cluster`"),
        (Place::Topic, "In the block of `topic` and `create-topic`"),
        (Place::Step, "Steps"),
        (Place::PowerLoss, "In the block of `power-loss`"),
        (Place::Expect, "In the blocks of `expect`, `expect-eventually` and `expect-always`"),
    ] {
        let words: Vec<_> = words().filter(|word| word.place == place).collect();
        if words.is_empty() {
            continue;
        }
        let _ = writeln!(out, "### {title}\n");
        for word in words {
            entry(word, &mut out);
        }
    }
    out
}

fn entry(word: &Word, out: &mut String) {
    let mut usage = word.name.to_owned();
    for arg in word.args {
        let _ = write!(usage, " {}", argument(arg));
    }
    let _ = writeln!(out, "#### `{usage}`\n\n{}\n", word.doc);
    for arg in word.args {
        let _ = writeln!(out, "- {}: {}", argument(arg), arg.kind.describe());
    }
    for prop in word.props {
        let _ = writeln!(out, "- `{}=`: {}. {}", prop.name, prop.doc, capital(prop.kind.describe()));
    }
    if word.configs {
        let _ = writeln!(out, "- any property with a dot in its name: a configuration key");
    }
    if !word.args.is_empty() || !word.props.is_empty() || word.configs {
        out.push('\n');
    }
    let _ = writeln!(out, "```kdl\n{}\n```\n", word.example);
}

fn argument(arg: &Arg) -> String {
    match arg.count {
        Count::One => arg.name.to_uppercase(),
        Count::Optional => format!("[{}]", arg.name.to_uppercase()),
        Count::Some => format!("{}…", arg.name.to_uppercase()),
        Count::Any => format!("[{}…]", arg.name.to_uppercase()),
    }
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", chars.as_str())
}
