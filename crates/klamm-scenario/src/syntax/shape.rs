//! Whether each line is of the language: its word, its arguments and its properties.

use klamm_wire::ErrorCode;

use super::grammar::{self, Count, Kind, Place, Word};
use crate::error::Mistake;
use crate::line::{Line, Spanned, Value};

/// Names of results beside Kafka's errors.
pub(crate) const RESULTS: &[&str] = &["PENDING", "DISCONNECTED", "DIVERGING_EPOCH"];

pub(super) fn check(lines: &[Line], mistakes: &mut Vec<Mistake>) {
    check_block(lines, Place::Step, mistakes);
}

fn check_block(lines: &[Line], place: Place, mistakes: &mut Vec<Mistake>) {
    for line in lines {
        let Some(word) = grammar::word(place, &line.word) else {
            let known =
                grammar::words().filter(|word| grammar::stands(word.place, place)).map(|word| word.name);
            let elsewhere = grammar::words().find(|word| word.name == line.word);
            let mistake =
                Mistake::new(format!("there is no word `{}` here", line.word), line.span, "unknown word");
            mistakes.push(match elsewhere {
                Some(word) => mistake.help(format!("`{}` stands {}", word.name, place_name(word.place))),
                None => mistake.suggest(&line.word, known),
            });
            continue;
        };
        check_args(word, line, mistakes);
        check_props(word, line, mistakes);
        match word.block {
            Some(inner) => check_block(&line.block, inner, mistakes),
            None if !line.block.is_empty() => mistakes.push(Mistake::new(
                format!("`{}` has no block", word.name),
                line.block[0].span,
                "this cannot stand here",
            )),
            None => {}
        }
    }
}

const fn place_name(place: Place) -> &'static str {
    match place {
        Place::Head => "at the head of a file",
        Place::Step => "among the steps",
        Place::Cluster => "in the block of `cluster`",
        Place::Topic => "in the block of `topic`",
        Place::PowerLoss => "in the block of `power-loss`",
        Place::Expect => "in the block of `expect`",
    }
}

fn check_args(word: &Word, line: &Line, mistakes: &mut Vec<Mistake>) {
    let mut at = 0;
    for arg in word.args {
        let most = match arg.count {
            Count::One | Count::Optional => 1,
            Count::Some | Count::Any => usize::MAX,
        };
        let from = at;
        while at < line.args.len() && at - from < most {
            // Brokers and then records: what is no node's id ends the brokers.
            if arg.kind == Kind::Node && at > from && !matches!(line.args[at].value, Value::Int(_)) {
                break;
            }
            check_value(arg.kind, arg.name, &line.args[at], mistakes);
            at += 1;
        }
        if at == from && matches!(arg.count, Count::One | Count::Some) {
            mistakes.push(
                Mistake::new(
                    format!("`{}` needs {}", word.name, article(arg.name)),
                    line.span,
                    "missing after this",
                )
                .help(format!(
                    "it is {}; for example: {}",
                    arg.kind.describe(),
                    word.example
                )),
            );
            return;
        }
    }
    for extra in &line.args[at..] {
        mistakes.push(
            Mistake::new(format!("`{}` takes no more arguments", word.name), extra.span, "one too many")
                .help(format!("for example: {}", word.example)),
        );
    }
}

fn article(name: &str) -> String {
    let vowel = name.starts_with(['a', 'e', 'i', 'o', 'u']);
    format!("{} {name}", if vowel { "an" } else { "a" })
}

fn check_props(word: &Word, line: &Line, mistakes: &mut Vec<Mistake>) {
    for (name, value) in &line.props {
        if let Some(prop) = word.props.iter().find(|prop| prop.name == name) {
            check_value(prop.kind, name, value, mistakes);
        } else if word.configs && name.contains('.') {
            check_value(Kind::Any, name, value, mistakes);
        } else {
            let mistake = Mistake::new(
                format!("`{}` has no property `{name}`", word.name),
                value.span,
                "unknown property",
            );
            mistakes.push(mistake.suggest(name, word.props.iter().map(|prop| prop.name)));
        }
    }
}

fn check_value(kind: Kind, name: &str, value: &Spanned, mistakes: &mut Vec<Mistake>) {
    let text = match &value.value {
        Value::Text(text) => Some(text.as_str()),
        _ => None,
    };
    let fits = match (kind, &value.value) {
        (Kind::Text | Kind::Version, Value::Text(_))
        | (Kind::Text, Value::Int(_))
        | (Kind::Time, Value::Time(_))
        | (Kind::Flag, Value::Flag(_))
        | (Kind::Int, Value::Int(_))
        | (Kind::Any, Value::Text(_) | Value::Int(_) | Value::Real(_) | Value::Flag(_)) => true,
        (Kind::Name, Value::Text(text)) => !text.is_empty(),
        (Kind::Count, Value::Int(number)) => *number >= 0,
        (Kind::Share, Value::Int(number)) => (0..=1).contains(number),
        (Kind::Share, Value::Real(number)) => (0.0..=1.0).contains(number),
        (Kind::Node | Kind::NodeOrNone | Kind::Nodes | Kind::Peer, Value::Int(number)) => {
            i32::try_from(*number).is_ok_and(|id| id >= 0)
        }
        (Kind::NodeOrNone, Value::Text(text)) => text == "none",
        (Kind::Peer, Value::Text(text)) => matches!(text.as_str(), "clients" | "anyone"),
        (Kind::Nodes, Value::Text(text)) => nodes(text).is_some(),
        (Kind::Partition, Value::Text(text)) => partition(text).is_some(),
        (Kind::Acks, Value::Int(number)) => (-1..=1).contains(number),
        (Kind::Acks, Value::Text(text)) => text == "all",
        (Kind::Error, Value::Text(text)) => {
            ErrorCode::from_name(text).is_some() || RESULTS.contains(&text.as_str())
        }
        _ => false,
    };
    if fits {
        return;
    }
    let mistake = Mistake::new(
        format!("`{name}` is {}", kind.describe()),
        value.span,
        format!("this is {}", describe(&value.value)),
    );
    mistakes.push(match (kind, text) {
        (Kind::Error, Some(text)) => mistake
            .suggest(text, ErrorCode::ALL.iter().map(|code| code.name()).chain(RESULTS.iter().copied())),
        _ => mistake,
    });
}

fn describe(value: &Value) -> String {
    match value {
        Value::Text(text) => format!("the text {text:?}"),
        Value::Int(_) | Value::Real(_) => format!("the number {value}"),
        Value::Flag(_) => value.to_string(),
        Value::Time(_) => format!("the time {value}"),
    }
}

/// `"1,2,3"` or `none`.
pub(crate) fn nodes(text: &str) -> Option<Vec<i32>> {
    if text == "none" {
        return Some(Vec::new());
    }
    text.split(',').map(|id| id.trim().parse().ok().filter(|id| *id >= 0)).collect()
}

/// `t-0`.
pub(crate) fn partition(text: &str) -> Option<(&str, i32)> {
    let (topic, index) = text.rsplit_once('-')?;
    let index = index.parse().ok().filter(|index| *index >= 0)?;
    (!topic.is_empty()).then_some((topic, index))
}
