//! The known key that a misspelt one most likely means.

use super::{Scope, broker_keys, topic_key};

/// The broker key that `name` most likely means: for a topic's key the broker key that holds its default, else the one
/// that takes the fewest edits, if they are few.
pub fn nearest(name: &str) -> Option<&'static str> {
    if let Some(synonym) = topic_key(name).and_then(|key| key.synonyms.first())
        && super::broker_key(synonym.name).is_some()
    {
        return Some(synonym.name);
    }
    let tolerated = (name.chars().count() / 3).max(2);
    broker_keys()
        .into_iter()
        .filter(|key| key.scope != Scope::Managed)
        .map(|key| (edits(name, key.name), key.name))
        .min()
        .filter(|(distance, _)| *distance <= tolerated)
        .map(|(_, key)| key)
}

/// Levenshtein's distance.
pub(crate) fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn suggests_what_was_meant() {
        assert_eq!(nearest("min.insync.replica"), Some("min.insync.replicas"));
        assert_eq!(nearest("num.partition"), Some("num.partitions"));
        assert_eq!(nearest("auto.create.topic.enable"), Some("auto.create.topics.enable"));
        assert_eq!(nearest("retention.ms"), Some("log.retention.ms"));
        assert_eq!(nearest("xyzzy"), None);
        assert_eq!(nearest(""), None);
    }
}
