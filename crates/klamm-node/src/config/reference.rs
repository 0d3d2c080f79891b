//! The reference page, written from the tables.

use std::fmt::Write as _;

use super::topic::NO_EFFECT;
use super::{ConfigKey, DIFFERENT_DEFAULTS, Scope, TOPIC_KEYS, Valid, broker_key, broker_keys};

/// The text of `docs/defaults.md`.
pub fn reference() -> String {
    let mut page = String::from(
        "# Configuration keys and their defaults\n\n\
         This page is written from the tables in `crates/klamm-node/src/config/`; a test keeps the two equal.\n\n\
         ## Where a default is not Kafka's\n\n\
         | key | Kafka | klamm | why |\n|---|---|---|---|\n",
    );
    for different in DIFFERENT_DEFAULTS {
        row(
            &mut page,
            &[&format!("`{}`", different.name), different.kafka, different.klamm, different.reason],
        );
    }
    page.push_str(
        "\nEvery other default is that of Apache Kafka 4.4.\n\n\
         ## Topics\n\n\
         Every key that Kafka has. A topic's default is the broker's, where the broker key in the last column is set. Keys \
         marked * are kept and shown but have no effect.\n\n\
         | key | type | default | valid | what it does | broker key |\n|---|---|---|---|---|---|\n",
    );
    for key in TOPIC_KEYS {
        let mark = if NO_EFFECT.contains(&key.name) { " *" } else { "" };
        let honoured = key.synonyms.iter().filter(|s| broker_key(s.name).is_some());
        let brokers: Vec<_> = honoured.map(|synonym| format!("`{}`", synonym.name)).collect();
        key_row(&mut page, key, mark, &brokers.join(", "));
    }
    page.push_str(
        "\n## Brokers\n\n\
         The keys that klamm honours; any other is refused with the nearest of these. \"At start\" keys are set with \
         `--config` or `Cluster::builder().config`, dynamic ones also while the cluster runs. \"klamm\" marks what follows \
         from the cluster's shape and cannot be set.\n\n\
         | key | type | default | valid | what it does | set |\n|---|---|---|---|---|---|\n",
    );
    for key in broker_keys() {
        let set = match key.scope {
            Scope::ReadOnly => "at start",
            Scope::PerBroker => "dynamic, one broker",
            Scope::ClusterWide => "dynamic",
            Scope::Managed => "klamm",
        };
        key_row(&mut page, key, "", set);
    }
    page
}

fn key_row(page: &mut String, key: &ConfigKey, mark: &str, last: &str) {
    let default = match key.default {
        None => "null".to_owned(),
        Some("") => "empty".to_owned(),
        Some(default) => format!("`{default}`"),
    };
    row(
        page,
        &[
            &format!("`{}`{mark}", key.name),
            &key.kind.name().to_lowercase(),
            &default,
            &valid(key.valid),
            key.documentation(),
            last,
        ],
    );
}

fn valid(valid: Valid) -> String {
    match valid {
        Valid::Any => String::new(),
        Valid::AtLeast(min) => format!("from {min}"),
        Valid::Between(min, max) => format!("{min} to {max}"),
        Valid::OneOf(words) | Valid::WordOf(words) => words.join(", "),
        Valid::ListOf(words) => format!("any of {}", words.join(", ")),
        Valid::NonEmptyListOf([]) => "not empty".to_owned(),
        Valid::NonEmptyListOf(words) => format!("one or more of {}", words.join(", ")),
        Valid::GzipLevel => "1 to 9, or -1".to_owned(),
        Valid::ThrottledReplicas => "`*`, or `partition:broker` pairs".to_owned(),
        Valid::ShareOffsetReset => "earliest, latest, or `by_duration:` and a duration (`PT1H`)".to_owned(),
    }
}

fn row(page: &mut String, cells: &[&str]) {
    let cells: Vec<String> =
        cells.iter().map(|cell| cell.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    writeln!(page, "| {} |", cells.join(" | ")).expect("writing to a string does not fail");
}

#[cfg(test)]
mod tests {
    use super::*;

    /// To write the page anew: `KLAMM_WRITE_DOCS=1 cargo test -p klamm-node defaults_page`.
    #[test]
    fn the_defaults_page_is_written_from_the_tables() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/defaults.md");
        #[expect(clippy::disallowed_methods, reason = "a test of a file in the repository")]
        if std::env::var("KLAMM_WRITE_DOCS").is_ok() {
            std::fs::write(page, reference()).unwrap();
        }
        #[expect(clippy::disallowed_methods, reason = "a test of a file in the repository")]
        let written = std::fs::read(page).unwrap();
        assert!(
            String::from_utf8(written).unwrap() == reference(),
            "docs/defaults.md is old: KLAMM_WRITE_DOCS=1 cargo test -p klamm-node defaults_page"
        );
    }

    #[test]
    fn keys_without_effect_are_topic_keys() {
        assert!(NO_EFFECT.iter().all(|name| TOPIC_KEYS.iter().any(|key| key.name == *name)));
    }
}
