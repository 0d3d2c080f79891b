//! Arbitrary texts, and arbitrary scenarios.

use std::time::Duration;

use klamm_scenario::syntax::grammar::words;
use klamm_scenario::{Line, Scenario, Value, check, parse};
use proptest::prelude::*;

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<String>().prop_map(Value::Text),
        "[a-z0-9-]{1,8}".prop_map(Value::Text),
        any::<i64>().prop_map(Value::Int),
        (0_u64..1 << 40).prop_map(|nanos| Value::Time(Duration::from_nanos(nanos))),
        any::<bool>().prop_map(Value::Flag),
        (-1e6_f64..1e6).prop_map(Value::Real),
    ]
}

/// A note with any prose, or a line of the language with any values: what of it reads back is another question.
fn note() -> impl Strategy<Value = Line> {
    proptest::collection::vec(any::<String>(), 0..3)
        .prop_map(|prose| prose.into_iter().fold(Line::new("note"), |line, text| line.arg(text)))
}

/// Texts that look like scenarios.
fn almost() -> impl Strategy<Value = String> {
    let word = proptest::sample::select(words().map(|word| word.name).collect::<Vec<_>>());
    let line = (
        word,
        proptest::collection::vec(value(), 0..4),
        proptest::collection::vec(("[a-z-]{1,9}", value()), 0..3),
    );
    let line = line.prop_map(|(word, args, props)| {
        let line = args.into_iter().fold(Line::new(word), Line::arg);
        props.into_iter().fold(line, |line, (name, value)| line.prop(name, value)).head()
    });
    proptest::collection::vec(
        prop_oneof![4 => line, 1 => Just("{".to_owned()), 1 => Just("}".to_owned()), 1 => "[ -~]{0,12}"],
        0..12,
    )
    .prop_map(|lines| lines.join("\n"))
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in any::<String>()) {
        let _ = check("any", &text).map_err(|mistakes| mistakes.render(false));
    }

    #[test]
    fn no_line_makes_it_panic(text in almost()) {
        let text = format!("scenario \"A\"\n{text}");
        let _ = check("any", &text).map_err(|mistakes| mistakes.render(false));
    }

    #[test]
    fn what_is_written_reads_back(notes in proptest::collection::vec(note(), 0..6), time in value()) {
        let mut lines = notes;
        if let Value::Time(time) = time {
            lines.push(Line::new("at").arg(time).child(Line::new("crash").arg(1)));
        }
        let scenario = Scenario { lines };
        let text = scenario.to_kdl();
        match parse("written", &text) {
            Ok(read) => prop_assert_eq!(read, scenario, "{}", text),
            Err(mistakes) => prop_assert!(false, "{}\n{}", text, mistakes.render(false)),
        }
    }
}

#[test]
fn deep_blocks_are_refused() {
    for text in ["a {".repeat(100_000), "/*".repeat(100_000), "(".repeat(100_000), "{".repeat(1 << 19)] {
        assert!(check("deep", &text).is_err());
    }
}
