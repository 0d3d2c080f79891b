//! What a run looks like.

use klamm_scenario::report::text::{Style, render};
use klamm_scenario::{Options, run};

fn shown(text: &str) -> String {
    let reports = run("shown.kdl", text, Options::default())
        .unwrap_or_else(|mistakes| panic!("{}", mistakes.render(false)));
    reports.iter().map(|report| render(report, Style::default())).collect()
}

#[test]
fn a_timeline_shows_each_replica() {
    insta::assert_snapshot!(shown(
        "scenario \"A\" title=\"two records\"\ntopic t replicas=\"1,2\"\nproducer p\n\"Prose.\"\nproduce p a b\nsettle\n"
    ));
}

#[test]
fn what_did_not_hold_is_shown_side_by_side() {
    let shown = shown(
        "scenario \"A\" title=\"wrong\"\ntopic t replicas=\"1,2\"\nproducer p\nproduce p a\nexpect { log 1 \"b@0\"; }\n",
    );
    assert!(shown.contains("expected  b@0\n"), "{shown}");
    assert!(shown.contains("actual    a@0\n"), "{shown}");
    assert!(shown.contains("line 5: log of t-0 on broker 1"), "{shown}");
    assert!(shown.ends_with("FAILED\n"), "{shown}");
}
