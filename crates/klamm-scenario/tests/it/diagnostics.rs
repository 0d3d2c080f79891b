//! What a person is told about a wrong file.

use klamm_scenario::check;

fn told(text: &str) -> String {
    check("wrong.kdl", text).expect_err("it is wrong").render(false)
}

#[test]
fn an_unknown_word_suggests_the_nearest() {
    insta::assert_snapshot!(told("scenario \"A\" title=\"a\"\ncrahs 1\n"), @r#"
      × there is no word `crahs` here
       ╭─[wrong.kdl:2:1]
     1 │ scenario "A" title="a"
     2 │ crahs 1
       · ──┬──
       ·   ╰── unknown word
       ╰────
      help: did you mean `crash`?
    "#);
}

#[test]
fn a_fault_that_cannot_be_is_found_before_anything_runs() {
    insta::assert_snapshot!(told("scenario \"A\" title=\"a\"\ncrash 1\ncrash 1\n"), @r#"
      × node 1 is down already
       ╭─[wrong.kdl:3:7]
     2 │ crash 1
     3 │ crash 1
       ·       ┬
       ·       ╰── impossible
       ╰────
      help: say `start 1` before
    "#);
}

#[test]
fn what_is_no_kdl_is_pointed_at() {
    let told = told("scenario \"A\" title=\n");
    assert!(told.contains("wrong.kdl:1:"), "{told}");
}
