//! `klamm scenario`: exit codes, reports, and the same files in virtual time, on listeners, and against a cluster.

use std::path::{Path, PathBuf};
use std::{fs, process::Output};

use crate::process::{Served, klamm, klamm_ok};

const HELD: &str = r#"
scenario "A" title="what is acknowledged can be read"
topic t replicas="1,2,3" min.insync.replicas=2
producer p
consumer c
produce p a b offset=0
expect-eventually within=10s { partition leader=1 isr="1,2,3"; }
consume c
expect { consumed c a b; }
"#;

/// What `klamm sim --sensitivity` makes of `transaction.version=0`: a record arrives when its transaction is over, and no leader asks.
const HANGING: &str = r#"
simulation seed=19 profile="transactions" breaks="T5" {
    cluster brokers=4 controllers=3 latency-us=5000 jitter-us=0 duration-ms=60000
    config "broker.heartbeat.interval.ms" "500"
    config "broker.session.timeout.ms" "3000"
    config "leader.imbalance.check.interval.seconds" "60"
    config "log.cleaner.backoff.ms" "2000"
    config "log.cleaner.enable" "false"
    config "log.flush.interval.messages" "50"
    config "log.retention.check.interval.ms" "3000"
    config "offsets.topic.num.partitions" "2"
    config "offsets.topic.replication.factor" "3"
    config "replica.fetch.wait.max.ms" "500"
    config "replica.lag.time.max.ms" "5000"
    config "transaction.abort.timed.out.transaction.cleanup.interval.ms" "1000"
    config "transaction.partition.verification.enable" "false"
    config "transaction.state.log.min.isr" "2"
    config "transaction.state.log.num.partitions" "2"
    config "transaction.state.log.replication.factor" "3"
    topic "t0" partitions=2 replicas=2 min-isr=2 unclean=#false segment-bytes=16384
    life "t0" compact=#true retention-ms=30000
    transactional "id-0" "t0" timeout-ms=3000 transactions=4 batches=2 batch=4 interval-us=1000000 aborts=50 rest-ms=4000 v2=#false hasty=#true
    transactional "id-1" "t0" timeout-ms=8000 transactions=19 batches=1 batch=1 interval-us=200000 aborts=20 rest-ms=4000 v2=#false hasty=#true
    request "Produce" "delay" percent=30 by-ms=300 to=3 id=8 at-ms=8948 lasts-ms=2000
}
"#;

fn scenario(arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = klamm(&[&["scenario"], arguments].concat());
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

fn file(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    path.display().to_string()
}

/// The scenarios in the repository, or a folder of them.
fn scenarios(folder: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../scenarios").join(folder);
    path.display().to_string()
}

#[test]
fn the_exit_code_says_how_it_went() {
    let folder = tempfile::tempdir().unwrap();
    let held = file(folder.path(), "held.kdl", HELD);
    let failed = file(folder.path(), "failed.kdl", &HELD.replace("consumed c a b", "consumed c a"));
    let wrong = file(folder.path(), "wrong.kdl", &HELD.replace("produce", "prodcue"));
    let (code, out, _) = scenario(&["run", &held]);
    assert_eq!(code, Some(0), "{out}");
    assert!(out.contains("p a b: NONE at offsets 0 to 1") && out.ends_with("held\n\n"), "{out}");
    let (code, out, _) = scenario(&["run", &failed]);
    assert_eq!(code, Some(1), "{out}");
    assert!(out.contains("expected  consumed a\n") && out.contains("actual    consumed a b\n"), "{out}");
    // One wrong file, and none is run.
    let (code, out, said) = scenario(&["run", &held, &wrong]);
    assert_eq!((code, out.as_str()), (Some(2), ""), "{said}");
    assert!(
        said.contains("there is no word `prodcue` here") && said.contains("did you mean `produce`?"),
        "{said}"
    );
    assert_eq!(scenario(&["check", &held]).0, Some(0));
    assert_eq!(scenario(&["check", &wrong]).0, Some(2));
    assert_eq!(scenario(&["check", "/nowhere/at/all.kdl"]).0, Some(2));
}

#[test]
fn a_simulated_run_with_transactions_is_run_again() {
    let folder = tempfile::tempdir().unwrap();
    let broken = file(folder.path(), "broken.kdl", HANGING);
    let verified = HANGING.replace(r#"verification.enable" "false""#, r#"verification.enable" "true""#);
    let verified = file(folder.path(), "verified.kdl", &verified);
    let (code, out, _) = scenario(&["run", &broken]);
    assert_eq!(code, Some(1), "{out}");
    assert!(out.contains("T5 NoHangingTransaction does not hold"), "{out}");
    let (code, out, _) = scenario(&["run", &verified]);
    assert_eq!(code, Some(0), "{out}");
    assert!(out.contains("every invariant holds; T5 did not when the file was written"), "{out}");
}

#[test]
fn a_new_scenario_runs_as_it_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mine.kdl").display().to_string();
    assert_eq!(scenario(&["new", &path]).0, Some(0));
    assert_eq!(scenario(&["run", &path, "--repeat", "5"]).0, Some(0));
    // It is not written over.
    assert_eq!(scenario(&["new", &path]).0, Some(2));
}

#[test]
fn json_and_a_page_tell_every_step() {
    let folder = tempfile::tempdir().unwrap();
    let held = file(folder.path(), "held.kdl", &HELD.replace("what is", "</script> is"));
    let page = folder.path().join("page.html");
    let (code, out, _) = scenario(&["run", &held, "--json", "--html", &page.display().to_string()]);
    assert_eq!(code, Some(0));
    let told: serde_json::Value = serde_json::from_str(&out).unwrap();
    let steps = told["runs"][0]["steps"].as_array().unwrap();
    assert_eq!(steps.len(), 6, "{out}");
    assert_eq!(steps[2]["told"][0], "p a b: NONE at offsets 0 to 1");
    let partition = &steps[5]["state"]["partitions"][0];
    assert_eq!(partition["replicas"][0]["log"]["records"][1]["value"], "b");
    assert!(steps.iter().any(|step| !step["trace"].as_array().unwrap().is_empty()));
    let page = fs::read_to_string(page).unwrap();
    // The title cannot end the script that carries it.
    assert_eq!(page.matches("</script>").count(), 2, "{page}");
}

#[test]
fn every_file_holds_on_real_listeners() {
    let (code, out, said) = scenario(&["run", &scenarios(""), "--live"]);
    assert_eq!(code, Some(0), "{out}{said}");
}

#[test]
fn every_file_holds_against_a_served_cluster_with_a_control_door() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::start(&["--brokers", "2", "--topic", "kept:2:1", "--control", "0"]);
    let (bootstrap, door) = (served.bootstrap(), served.line["control"].as_str().unwrap());
    let (code, out, said) = scenario(&["run", &scenarios(""), "--bootstrap", bootstrap, "--control", door]);
    assert_eq!(code, Some(0), "{out}{said}");
    // It is what it was.
    assert!(klamm_ok(&["topics", "--bootstrap", bootstrap, "list"], "").contains("kept"));

    let held = file(folder.path(), "held.kdl", HELD);
    let (code, out, _) =
        scenario(&["run", &held, "--bootstrap", bootstrap, "--control", door, "--seed", "7"]);
    assert_eq!(code, Some(0), "{out}");
    let failed = file(folder.path(), "failed.kdl", &HELD.replace("consumed c a b", "consumed c a"));
    let (code, out, _) = scenario(&["run", &failed, "--bootstrap", bootstrap, "--control", door]);
    assert_eq!(code, Some(1), "{out}");
    assert!(out.contains("actual    consumed a b\n"), "{out}");
}

#[test]
fn a_control_door_is_that_of_the_cluster_that_is_meant() {
    let folder = tempfile::tempdir().unwrap();
    let held = file(folder.path(), "held.kdl", HELD);
    let served = Served::start(&["--control", "0"]);
    let (bootstrap, door) = (served.bootstrap(), served.line["control"].as_str().unwrap());
    let (code, out, said) = scenario(&["run", &held, "--bootstrap", "127.0.0.1:1", "--control", door]);
    let told =
        format!("the control door at {door} is that of the cluster at {bootstrap}, not of 127.0.0.1:1");
    assert_eq!((code, out.as_str(), said.as_str()), (Some(2), "", &*format!("klamm: {told}\n")));
    // A broker's listener is no door, and does not answer like one.
    drop(served);
    let (code, _, said) = scenario(&["run", &held, "--bootstrap", "127.0.0.1:1", "--control", "127.0.0.1:1"]);
    assert_eq!(code, Some(2));
    assert!(said.starts_with("klamm: no klamm opens its control door at 127.0.0.1:1: "), "{said}");
}

#[test]
fn portable_files_hold_against_a_cluster_and_others_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let held = file(folder.path(), "held.kdl", HELD);
    let served = Served::start(&["--brokers", "3"]);
    let (code, out, said) = scenario(&["run", &held, "--bootstrap", served.bootstrap()]);
    assert_eq!(code, Some(0), "{out}{said}");
    let (code, out, said) = scenario(&["run", &scenarios("acks"), "--bootstrap", served.bootstrap()]);
    assert_eq!((code, out.as_str()), (Some(2), ""), "{said}");
    assert!(said.contains("`crash` needs more than a client's requests"), "{said}");
    assert!(said.contains("against `klamm serve --control` with --control"), "{said}");
    assert_eq!(scenario(&["check", "--portable", &held]).0, Some(0));
    assert_eq!(scenario(&["check", "--portable", &scenarios("acks")]).0, Some(2));
    drop(served);
    let (code, _, said) = scenario(&["run", &held, "--bootstrap", "127.0.0.1:1"]);
    assert_eq!((code, said.as_str()), (Some(2), "klamm: no Kafka broker answers at 127.0.0.1:1\n"));
}
