//! Whether Kafka has the configuration keys of a line, and takes their values.

use klamm_node::config::{self, ConfigKey, Scope, TOPIC_KEYS};

use super::Planner;
use super::read::Read;
use crate::error::Mistake;
use crate::line::{Line, Span};

impl Planner<'_> {
    /// Server properties that nodes start with.
    pub(super) fn server_configs(&mut self, line: &Line) {
        for (name, value) in line.configs() {
            if let Err(error) = config::validate_static_broker_config(&name, &value) {
                self.wrong(error.to_string(), span_of(line, &name), "not a server property");
            }
        }
    }

    /// Properties of a topic's own.
    pub(super) fn topic_configs(&mut self, line: &Line) {
        self.known_configs(line, "a topic", config::topic_key, || {
            TOPIC_KEYS.iter().map(|key| key.name).collect()
        });
    }

    /// Server properties that are set while brokers run. Kafka takes unknown ones, for plug-ins; here they would do nothing.
    pub(super) fn dynamic_configs(&mut self, line: &Line) {
        self.known_configs(line, "a broker", config::broker_key, || {
            let keys = config::broker_keys().into_iter().filter(|key| key.scope != Scope::Managed);
            keys.map(|key| key.name).collect()
        });
    }

    fn known_configs(
        &mut self,
        line: &Line,
        whose: &str,
        find: impl Fn(&str) -> Option<&'static ConfigKey>,
        known: impl Fn() -> Vec<&'static str>,
    ) {
        for (name, value) in line.configs() {
            let span = span_of(line, &name);
            match find(&name).map(|key| key.parse(&value)) {
                None => {
                    let mistake = Mistake::new(
                        format!("{whose} has no configuration key `{name}`"),
                        span,
                        "unknown key",
                    );
                    self.mistakes.push(mistake.suggest(&name, known()));
                }
                Some(Err(error)) => self.wrong(error.to_string(), span, "Kafka refuses this value"),
                Some(Ok(_)) => {}
            }
        }
    }
}

fn span_of(line: &Line, name: &str) -> Span {
    line.get(name).map_or(line.span, |value| value.span)
}
