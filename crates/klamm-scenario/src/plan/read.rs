//! Values of a line, whose kinds have been checked.

use std::time::Duration;

use crate::line::{Line, Spanned, Value};

/// Reads values.
pub(super) trait Read {
    /// The property called `name`.
    fn get(&self, name: &str) -> Option<&Spanned>;
    /// An argument as text; empty when it is none.
    fn text(&self, at: usize) -> String;
    /// A property as text.
    fn prop_text(&self, name: &str) -> Option<String>;
    /// A property as a number.
    fn prop_int(&self, name: &str) -> Option<i64>;
    /// A property as a time.
    fn prop_time(&self, name: &str) -> Option<Duration>;
    /// A property as a flag.
    fn prop_flag(&self, name: &str) -> Option<bool>;
    /// The properties that are configuration.
    fn configs(&self) -> Vec<(String, String)>;
}

impl Read for Line {
    fn get(&self, name: &str) -> Option<&Spanned> {
        self.props.iter().find(|(other, _)| other == name).map(|(_, value)| value)
    }

    fn text(&self, at: usize) -> String {
        self.args.get(at).and_then(|arg| text(&arg.value)).unwrap_or_default()
    }

    fn prop_text(&self, name: &str) -> Option<String> {
        self.get(name).and_then(|value| text(&value.value))
    }

    fn prop_int(&self, name: &str) -> Option<i64> {
        match self.get(name)?.value {
            Value::Int(number) => Some(number),
            _ => None,
        }
    }

    fn prop_time(&self, name: &str) -> Option<Duration> {
        match self.get(name)?.value {
            Value::Time(time) => Some(time),
            _ => None,
        }
    }

    fn prop_flag(&self, name: &str) -> Option<bool> {
        match self.get(name)?.value {
            Value::Flag(flag) => Some(flag),
            _ => None,
        }
    }

    fn configs(&self) -> Vec<(String, String)> {
        let configs = self.props.iter().filter(|(name, _)| name.contains('.'));
        configs.filter_map(|(name, value)| Some((name.clone(), config(&value.value)?))).collect()
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::Text(text) => Some(text.clone()),
        Value::Int(number) => Some(number.to_string()),
        _ => None,
    }
}

/// A value as Kafka's configuration writes it.
fn config(value: &Value) -> Option<String> {
    match value {
        Value::Flag(flag) => Some(flag.to_string()),
        Value::Real(number) => Some(number.to_string()),
        value => text(value),
    }
}
