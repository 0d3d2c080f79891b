//! `docs/scenarios.md`: its reference is the grammar's table, and every example in it is right.

use std::path::PathBuf;

use klamm_scenario::syntax::grammar::{Place, reference, words};
use klamm_scenario::{Options, parse, run};

const BEGIN: &str =
    "<!-- reference: written from the grammar's table; KLAMM_WRITE_DOCS=1 writes it anew -->\n";

fn page() -> (PathBuf, String) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/scenarios.md");
    let text = read(&path);
    (path, text)
}

fn read(path: &PathBuf) -> String {
    std::fs::read_to_string(path).unwrap()
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a test writes the page when it is told to")]
fn the_reference_is_the_grammar() {
    let (path, text) = page();
    let (head, _) = text.split_once(BEGIN).expect("the page has the mark where the reference begins");
    let expected = format!("{head}{BEGIN}\n{}", reference());
    if std::env::var("KLAMM_WRITE_DOCS").is_ok() {
        crate::replace(&path, &expected);
    } else {
        assert!(
            text == expected,
            "docs/scenarios.md is not the grammar's: run this test with KLAMM_WRITE_DOCS=1"
        );
    }
}

#[test]
fn every_example_reads() {
    let (_, text) = page();
    let mut count = 0;
    for block in text.split("```kdl\n").skip(1) {
        let example = block.split("```").next().unwrap();
        if let Err(mistakes) = parse("example", example) {
            panic!("{example}\n{}", mistakes.render(false));
        }
        count += 1;
    }
    assert!(count >= words().count(), "{count}");
}

#[test]
fn every_example_of_a_word_runs() {
    for word in words() {
        assert!(word.example.contains(word.name), "{}: {}", word.name, word.example);
        let text = whole(word.place, word.example);
        match run(word.name, &text, Options::default()) {
            Err(mistakes) => panic!("{text}\n{}", mistakes.render(false)),
            Ok(reports) => {
                for report in reports {
                    // What an example expects depends on what came before; that it can be carried out does not.
                    let trouble = report
                        .rows
                        .iter()
                        .flat_map(|row| &row.failures)
                        .find(|failure| failure.what == "the cluster");
                    assert!(trouble.is_none(), "{text}\n{trouble:?}");
                }
            }
        }
    }
}

/// An example with everything that it refers to.
fn whole(place: Place, example: &str) -> String {
    let has = |word: &str| example.lines().any(|line| line.trim_start().starts_with(word));
    let mut text = String::new();
    if !has("scenario ") {
        text.push_str("scenario \"X\" title=\"an example\"\n");
    }
    if place == Place::Step && example.contains("profile \"") {
        text.push_str("versions \"4.4\"\n");
    }
    if place != Place::Cluster && !has("topic ") {
        text.push_str("topic t\n");
    }
    if !has("producer ") {
        text.push_str("producer p\n");
    }
    if !has("consumer ") {
        text.push_str("consumer c\nconsumer grouped group=g\n");
    }
    // The head's lines come first.
    if place == Place::Head || place == Place::Cluster || example.contains("variants ") {
        let (first, rest): (Vec<_>, Vec<_>) = text.lines().partition(|line| line.starts_with("scenario"));
        return format!("{}\n{example}\n{}\nadvance 1s\n", first.join("\n"), rest.join("\n"));
    }
    text.push_str(example);
    text.push('\n');
    text
}
