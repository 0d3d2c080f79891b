//! Every file under `scenarios/` holds.

use std::path::{Path, PathBuf};

use klamm_node::EventKind;
use klamm_scenario::{Options, parse, report::text, run};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../scenarios")
}

fn files(folder: &Path, found: &mut Vec<(String, String)>) {
    let mut entries: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "kdl") {
            let text = std::fs::read_to_string(&path).unwrap();
            found.push((path.file_name().unwrap().to_string_lossy().into_owned(), text));
        }
    }
}

fn all() -> Vec<(String, String)> {
    let mut found = Vec::new();
    files(&folder(), &mut found);
    assert!(!found.is_empty());
    found
}

/// What no client and no command does: it follows from something that was decided before.
const FOLLOWS: &[EventKind] = &[
    EventKind::BrokerRegistered,
    EventKind::BrokerRunning,
    EventKind::BrokerUnfenced,
    EventKind::ControllerElected,
    EventKind::VoteAnswered,
    EventKind::IsrProposed,
    EventKind::IsrRefused,
    EventKind::BecameLeader,
    EventKind::BecameFollower,
    EventKind::LogTruncated,
    EventKind::LogCompacted,
    EventKind::SegmentsDeleted,
    EventKind::TransactionMarkersSent,
];

#[test]
fn all_scenarios_hold() {
    let mut failed = String::new();
    for (name, text) in all() {
        match run(&name, &text, Options::default()) {
            Err(mistakes) => failed.push_str(&mistakes.render(false)),
            Ok(reports) => {
                let events = reports.iter().flat_map(|report| &report.rows).flat_map(|row| &row.trace);
                for event in
                    events.filter(|event| event.cause.is_none() && FOLLOWS.contains(&event.kind.kind()))
                {
                    failed.push_str(&format!("{name}: nothing is said to have caused {event:#}\n"));
                }
                for report in reports.iter().filter(|report| !report.held()) {
                    failed.push_str(&text::render(report, text::Style::default()));
                }
            }
        }
    }
    assert!(failed.is_empty(), "{failed}");
}

#[test]
fn a_scenarios_id_is_the_beginning_of_its_files_name() {
    for (name, text) in all() {
        let reports = run(&name, &text, Options::default());
        let id = reports.ok().and_then(|reports| reports.first().map(|report| report.id.clone()));
        assert!(id.is_none_or(|id| name.starts_with(&format!("{id}-"))), "{name}");
    }
}

#[test]
fn the_same_file_has_the_same_history() {
    for (name, text) in all().into_iter().take(5) {
        let history = || {
            let reports = run(&name, &text, Options { seed: Some(7), vary: true }).unwrap();
            format!("{reports:?}")
        };
        assert_eq!(history(), history(), "{name}");
    }
}

#[test]
fn every_scenario_reads_back_as_it_is_written() {
    for (name, text) in all() {
        let scenario = parse(&name, &text).unwrap_or_else(|mistakes| panic!("{}", mistakes.render(false)));
        let written = scenario.to_kdl();
        assert_eq!(parse(&name, &written).ok(), Some(scenario), "{name}:\n{written}");
    }
}
