//! How long a topic keeps its records: retention and compaction.

use std::fmt;
use std::time::Duration;

use klamm_node::Rng;

/// What takes records out of a topic's logs, besides deletion on request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Life {
    /// Whether only the newest record of each key stays.
    pub compact: bool,
    /// `retention.ms`; `None` for ever.
    pub retention: Option<Duration>,
    /// `retention.bytes`; `None` for all.
    pub retention_bytes: Option<u64>,
}

/// How long a segment takes records (`segment.ms`), so that there is something to delete or to compact.
const SEGMENT_MS: u64 = 5_000;

impl Life {
    /// A life; most topics keep everything.
    pub(crate) fn draw(rng: &mut Rng) -> Option<Self> {
        let life = Self {
            compact: rng.chance(0.25),
            retention: rng.chance(0.2).then(|| Duration::from_secs([10, 30][rng.below(2) as usize])),
            retention_bytes: rng.chance(0.2).then(|| [8 << 10, 64 << 10][rng.below(2) as usize]),
        };
        (life != Self::default()).then_some(life)
    }

    /// The topic's configuration.
    pub(crate) fn config(&self) -> Vec<(&'static str, String)> {
        let Self { compact, retention, retention_bytes } = self;
        let deletes = retention.is_some() || retention_bytes.is_some();
        let policy = match (compact, deletes) {
            (true, true) => "compact,delete",
            (true, false) => "compact",
            (false, _) => "delete",
        };
        let mut config = vec![
            ("cleanup.policy", policy.to_owned()),
            ("segment.ms", SEGMENT_MS.to_string()),
            ("file.delete.delay.ms", "1000".to_owned()),
        ];
        config.extend(retention.map(|time| ("retention.ms", time.as_millis().to_string())));
        config.extend(retention_bytes.map(|bytes| ("retention.bytes", bytes.to_string())));
        if *compact {
            config.push(("min.cleanable.dirty.ratio", "0.01".to_owned()));
        }
        config
    }
}

impl fmt::Display for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let config: Vec<_> = self.config().into_iter().map(|(key, value)| format!("{key}={value}")).collect();
        f.write_str(&config.join(" "))
    }
}
