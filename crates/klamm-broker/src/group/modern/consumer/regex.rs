//! Regular expressions that members subscribe to (Kafka's `TopicRegexResolver`, `maybeUpdateRegularExpressions`).
//!
//! Kafka's are RE2J's; the `regex` crate has the same ancestor, and as little patience with expressions that need more than
//! linear time or grow without bound.

use std::collections::BTreeSet;

use klamm_wire::{ErrorCode, StrBytes};
use regex::{Regex, RegexBuilder};

use super::super::base::ModernGroup;
use super::super::refusal::Refusal;
use super::super::subscriptions::Change;
use super::records::ConsumerRecord;
use crate::group::done::Done;
use crate::group::shard::{Env, Shard};

/// How old what expressions stand for is at least before it is looked at again, in milliseconds
/// (`REGEX_BATCH_REFRESH_MIN_INTERVAL_MS`).
const MIN_REFRESH_MS: i64 = 10_000;
/// The longest expression, in bytes: the key of its record has no room for a longer one.
const MAX_LENGTH: usize = i16::MAX as usize;
/// How large an expression may become when it is compiled, in bytes.
const MAX_COMPILED: usize = 1 << 20;

/// What a regular expression stands for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ResolvedRegex {
    /// The topics.
    pub(crate) topics: BTreeSet<StrBytes>,
    /// The metadata offset at which they were looked up.
    pub(crate) version: i64,
    /// When they were looked up, in wall milliseconds.
    pub(crate) timestamp_ms: i64,
}

/// Compiles an expression of a client's that must match a whole name; the error says what is wrong with it.
pub(crate) fn compile(expression: &str) -> Result<Regex, String> {
    if expression.len() > MAX_LENGTH {
        return Err(format!("expression is {} bytes long, {MAX_LENGTH} are allowed", expression.len()));
    }
    let whole = format!("^(?:{})$", unquote(expression));
    let compiled = RegexBuilder::new(&whole).size_limit(MAX_COMPILED).dfa_size_limit(MAX_COMPILED).build();
    compiled.map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => "expression too large".to_owned(),
        error => {
            let text = error.to_string();
            let last = text.lines().last().unwrap_or_default();
            last.strip_prefix("error: ").unwrap_or(last).to_owned()
        }
    })
}

/// `\Q…\E`, which RE2 has and the `regex` crate has not, as escaped characters.
fn unquote(expression: &str) -> String {
    let mut plain = String::with_capacity(expression.len());
    let mut rest = expression;
    while let Some(at) = find_quote(rest) {
        let (before, quoted) = rest.split_at(at);
        let quoted = &quoted[2..];
        let (text, after) = quoted.split_once("\\E").unwrap_or((quoted, ""));
        plain.push_str(before);
        plain.push_str(&regex::escape(text));
        rest = after;
    }
    plain.push_str(rest);
    plain
}

/// Where `\Q` begins; not where the backslash is itself escaped.
fn find_quote(text: &str) -> Option<usize> {
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        if character == '\\' && characters.next().is_some_and(|(_, next)| next == 'Q') {
            return Some(at);
        }
    }
    None
}

/// Whether an expression is one (`throwIfRegularExpressionIsInvalid`).
pub(super) fn check(expression: &StrBytes) -> Result<(), Refusal> {
    compile(expression).map(drop).map_err(|why| {
        let text = format!("SubscribedTopicRegex `{expression}` is not a valid regular expression: {why}.");
        Refusal::new(ErrorCode::InvalidRegularExpression, text)
    })
}

impl Shard {
    /// Looks up what the group's expressions stand for, if it is time: some are new, topics were made, or it was long ago. All of
    /// them at once, so that the group rebalances once.
    pub(super) fn maybe_refresh_regexes(&mut self, env: &mut Env<'_, '_>, id: &StrBytes) {
        let Some(group) = self.groups.consumer(id) else { return };
        if group.regexes().is_empty() {
            return;
        }
        let now = env.wall_ms();
        let last = group.resolved.values().next();
        if last.is_some_and(|last| now <= last.timestamp_ms.saturating_add(MIN_REFRESH_MS)) {
            return;
        }
        let interval_ms = i64::from(env.config.consumer.regex_refresh_interval_ms);
        let due = group.regexes().len() != group.resolved.len()
            || last.is_none_or(|last| {
                last.version < env.host.topics_created_at()
                    || now > last.timestamp_ms.saturating_add(interval_ms)
            });
        if !due {
            return;
        }
        let topics = env.host.topic_names();
        let version = env.host.metadata_offset();
        let mut records = Vec::new();
        let mut subscriptions = group.base.subscriptions.clone();
        let mut bump = false;
        for regex in group.regexes().keys() {
            let compiled = compile(regex).ok();
            let matches = |topic: &&StrBytes| compiled.as_ref().is_some_and(|regex| regex.is_match(topic));
            let topics: BTreeSet<StrBytes> = topics.iter().filter(matches).cloned().collect();
            let old = group.resolved.get(regex);
            let none = BTreeSet::new();
            let old = old.map_or(&none, |old| &old.topics);
            if *old != topics {
                bump = true;
                subscriptions.regex(old, Change::Remove);
                subscriptions.regex(&topics, Change::Add);
            }
            let resolved = ResolvedRegex { topics, version, timestamp_ms: now };
            records.push(group.record(ConsumerRecord::Regex(regex.clone(), Some(resolved))));
        }
        let hash = ModernGroup::hash_of(&subscriptions, &*env.host);
        if bump || hash != group.base.metadata_hash {
            let epoch = group.base.epoch.saturating_add(1);
            records.push(group.record(ConsumerRecord::Epoch(Some((epoch, hash)))));
        }
        let _ = self.write_consumer(env, id, records, Done::Nothing, "regular expressions were resolved");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_matches_whole_names() {
        let matches = |expression: &str, name: &str| compile(expression).unwrap().is_match(name);
        assert!(matches("foo.*", "foobar") && !matches("foo", "foobar") && !matches("bar|foo", "foobar"));
        assert!(matches(r"\Qa.b\E.", "a.bc") && !matches(r"\Qa.b\E.", "axbc"));
        assert!(matches(r"\\Qa", r"\Qa"));
        assert!(matches(r"(?i)ORDERS-\d+", "orders-7"));
    }

    #[test]
    fn what_is_no_expression_or_too_large_is_refused() {
        for wrong in ["(", "[", "*a", "(?=a)", r"(a)\1", r"(?:\pL{500}){500}", &"a".repeat(40_000)] {
            let refusal = check(&StrBytes::from_string(wrong.to_owned())).unwrap_err();
            assert_eq!(refusal.error, ErrorCode::InvalidRegularExpression, "{wrong:.40}");
        }
        let refusal = check(&StrBytes::from_static_str("[")).unwrap_err();
        assert_eq!(
            refusal.message.unwrap().as_str(),
            "SubscribedTopicRegex `[` is not a valid regular expression: unclosed character class."
        );
    }
}
