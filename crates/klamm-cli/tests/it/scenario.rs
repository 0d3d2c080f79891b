//! `klamm scenario`: exit codes, reports, and the same files in virtual time, on listeners, and against a cluster.

use std::path::{Path, PathBuf};
use std::{fs, process::Output};

use crate::process::{Served, klamm};

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

fn scenario(arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = klamm(&[&["scenario"], arguments].concat());
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

fn file(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    path.display().to_string()
}

/// The folder of scenarios in the repository.
fn acks() -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../scenarios/acks");
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
fn the_same_files_hold_on_real_listeners() {
    let (code, out, said) = scenario(&["run", &acks(), "--live"]);
    assert_eq!(code, Some(0), "{out}{said}");
}

#[test]
fn portable_files_hold_against_a_cluster_and_others_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let held = file(folder.path(), "held.kdl", HELD);
    let served = Served::start(&["--brokers", "3"]);
    let (code, out, said) = scenario(&["run", &held, "--bootstrap", served.bootstrap()]);
    assert_eq!(code, Some(0), "{out}{said}");
    let (code, out, said) = scenario(&["run", &acks(), "--bootstrap", served.bootstrap()]);
    assert_eq!((code, out.as_str()), (Some(2), ""), "{said}");
    assert!(said.contains("`crash` needs more than a client's requests"), "{said}");
    drop(served);
    let (code, _, said) = scenario(&["run", &held, "--bootstrap", "127.0.0.1:1"]);
    assert_eq!((code, said.as_str()), (Some(2), "klamm: no Kafka broker answers at 127.0.0.1:1\n"));
}
