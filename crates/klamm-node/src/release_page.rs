//! The page `docs/kafka-versions.md`, written from the tables.

use std::fmt::Write as _;

use klamm_wire::KafkaVersion;
use klamm_wire::api::{APIS, Api};

use crate::config::OLDER_DEFAULTS;
use crate::era::{Era, Eras};

const HEAD: &str = "\
# Behaving as an older Kafka

This page is written from the tables in `crates/klamm-wire/src/release.rs`, `crates/klamm-node/src/era.rs` and
`crates/klamm-node/src/config/mod.rs`; a test keeps them equal.

A **profile** is a release of Kafka: its versions of each API, its features, its defaults and its rules of replication and control.
The newest is the default.

    klamm serve --kafka-version 3.6
    Cluster::builder().kafka_version(\"3.6\")

An **era switch** sets a single rule otherwise than the profile does, so that the loss that a newer rule prevents can be seen.

    klamm serve --era elr=off --era truncate_to_hw=on
    Cluster::builder().era(\"elr=off\")

";

const TAIL: &str = "
## What stays as in the newest release

- Bounds of configuration values, and which keys there are.
- The formats of metadata records and of what is kept on disk, whatever the level of `metadata.version`. The level is the
  release's, or klamm's own highest where that is lower.
- Record batches of the formats 0 and 1, and with them Produce 0–2 and Fetch 0–3, are not served, although Kafka served them until 3.9.
";

fn page() -> String {
    let mut page = HEAD.to_owned();
    releases(&mut page);
    switches(&mut page);
    apis(&mut page);
    page.push_str(TAIL);
    page
}

fn releases(page: &mut String) {
    page.push_str(
        "## Profiles\n\n| release | metadata.version | rules that differ from the newest | defaults that differ |\n|---|---|---|---|\n",
    );
    for release in KafkaVersion::ALL {
        let old =
            Eras::of(*release).old().map(|(era, on)| format!("`{era}={}`", if on { "on" } else { "off" }));
        let defaults = OLDER_DEFAULTS.iter().filter(|(_, since, _)| release < since);
        let defaults = defaults.map(|(key, _, value)| format!("`{key}={value}`"));
        let (old, defaults) = (old.collect::<Vec<_>>().join(" "), defaults.collect::<Vec<_>>().join(" "));
        writeln!(page, "| {release} | {} | {old} | {defaults} |", release.metadata_version())
            .expect("a string");
    }
}

fn switches(page: &mut String) {
    page.push_str(
        "\n## Era switches\n\nThe invariants are those of the simulator.\n\n\
         | switch | in the newest | the old rule | replaced by | what it loses | breaks |\n|---|---|---|---|---|---|\n",
    );
    for info in Era::ALL {
        let newest = if info.newest { "on" } else { "off" };
        let cells = [info.old_rule, info.replaced_by, info.loss];
        let cells = cells.map(|cell| cell.split_whitespace().collect::<Vec<_>>().join(" ")).join(" | ");
        let breaks = info.breaks.join(", ");
        writeln!(page, "| `{}` | {newest} | {cells} | {breaks} |", info.name).expect("a string");
    }
}

fn apis(page: &mut String) {
    page.push_str(
        "\n## Versions of the APIs\n\nThe highest version that a broker serves, from the release on in which it changed; the lowest is klamm's \
         own in every profile. APIs that are the same in all profiles are left out.\n\n| API | versions |\n|---|---|\n",
    );
    for api in APIS.iter().filter(|api| api.is_advertised_by_broker()) {
        let mut changes = Vec::new();
        let mut last = None;
        for release in KafkaVersion::ALL {
            let highest = Api::versions_in(api, *release).map(|(_, max)| max);
            if highest != last {
                changes.extend(highest.map(|max| format!("{release}: {max}")));
                last = highest;
            }
        }
        if changes.len() > 1 || !changes.iter().any(|change| change.starts_with("3.3")) {
            writeln!(page, "| {} | {} |", api.name, changes.join(", ")).expect("a string");
        }
    }
}

/// To write the page anew: `KLAMM_WRITE_DOCS=1 cargo test -p klamm-node kafka_versions_page`.
#[test]
fn the_kafka_versions_page_is_written_from_the_tables() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/kafka-versions.md");
    #[expect(clippy::disallowed_methods, reason = "a test of a file in the repository")]
    if std::env::var("KLAMM_WRITE_DOCS").is_ok() {
        std::fs::write(file, page()).unwrap();
    }
    #[expect(clippy::disallowed_methods, reason = "a test of a file in the repository")]
    let written = std::fs::read(file).unwrap();
    assert!(
        String::from_utf8(written).unwrap() == page(),
        "docs/kafka-versions.md is old: KLAMM_WRITE_DOCS=1 cargo test -p klamm-node kafka_versions_page"
    );
}
