//! The page that `klamm scenario run --html` writes, in a real browser: it shows at each step what the run's JSON says, whether the run held or not, and
//! asks nobody for anything.

use std::path::Path;
use std::process::Command;

use klamm_tests::{browser, serve, toolchain, workspace};

/// Runs a scenario twice, for its page and for its JSON, and steps through the page.
fn step_through(scenario: &Path, exit_code: i32) -> String {
    let home = tempfile::tempdir().unwrap();
    let (page, json) = (home.path().join("run.html"), home.path().join("run.json"));
    let run = |last: &[&std::ffi::OsStr]| {
        let mut klamm = Command::new(serve::binary().unwrap());
        let output = klamm.args(["scenario", "run"]).arg(scenario).args(last).output().unwrap();
        assert_eq!(output.status.code(), Some(exit_code), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    run(&["--html".as_ref(), page.as_os_str()]);
    std::fs::write(&json, run(&["--json".as_ref()])).unwrap();
    browser::step_through(&page, &json).unwrap()
}

fn scenario(name: &str) -> std::path::PathBuf {
    workspace::root().join("scenarios").join(name)
}

#[test]
fn a_run_that_held_can_be_stepped_through() {
    if toolchain::skip("pages", &browser::PROGRAMS) {
        return;
    }
    let line = step_through(&scenario("acks/ACK-02-acks-1-lost-on-failover.kdl"), 0);
    assert!(line.starts_with("OK 1 runs, "), "{line}");
}

#[test]
fn every_profile_of_a_scenario_can_be_chosen() {
    if toolchain::skip("pages", &browser::PROGRAMS) {
        return;
    }
    let line = step_through(&scenario("acks/ACK-05-not-enough-replicas.kdl"), 0);
    assert!(!line.starts_with("OK 1 runs, "), "{line}");
}

#[test]
fn a_run_that_failed_opens_where_it_did() {
    if toolchain::skip("pages", &browser::PROGRAMS) {
        return;
    }
    let text = std::fs::read_to_string(scenario("acks/ACK-02-acks-1-lost-on-failover.kdl")).unwrap();
    let (right, wrong) = ("epochs=\"0@0 1@10\"", "epochs=\"0@0 1@12\"");
    assert!(text.contains(right));
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("wrong.kdl");
    std::fs::write(&path, text.replace(right, wrong)).unwrap();
    step_through(&path, 1);
}
