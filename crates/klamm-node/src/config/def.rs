//! What a configuration key is: its type, its bounds, who may change it, and how a value is read.
//!
//! Answers to Kafka's `ConfigDef`; the messages are its own, because people search for them.

use std::fmt;
use std::marker::PhantomData;

use super::duration_ms;

/// The type of a key's value (`ConfigDef.Type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "Kafka's names for its types")]
pub enum ConfigKind {
    Boolean,
    String,
    Int,
    Short,
    Long,
    Double,
    List,
    Class,
    Password,
}

impl ConfigKind {
    /// The number in a DescribeConfigs response (`DescribeConfigsResponse.ConfigType`).
    pub const fn id(self) -> i8 {
        match self {
            Self::Boolean => 1,
            Self::String => 2,
            Self::Int => 3,
            Self::Short => 4,
            Self::Long => 5,
            Self::Double => 6,
            Self::List => 7,
            Self::Class => 8,
            Self::Password => 9,
        }
    }

    /// Kafka's name for it, as in `Not a number of type LONG`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Boolean => "BOOLEAN",
            Self::String => "STRING",
            Self::Int => "INT",
            Self::Short => "SHORT",
            Self::Long => "LONG",
            Self::Double => "DOUBLE",
            Self::List => "LIST",
            Self::Class => "CLASS",
            Self::Password => "PASSWORD",
        }
    }
}

/// How likely a user is to want to change a key (`ConfigDef.Importance`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Importance {
    High,
    Medium,
    Low,
}

/// Whether, and for whom, a broker key can be changed while the broker runs (`DynamicBrokerConfig`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Set when the broker starts.
    ReadOnly,
    /// Can be changed for one broker only.
    PerBroker,
    /// Can be changed for one broker or as the default of all.
    ClusterWide,
    /// Follows from the shape of the cluster (its brokers, ports and disks); klamm sets it, a user cannot.
    Managed,
}

/// Which values of a key's type are accepted (`ConfigDef.Validator`).
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Valid {
    /// All.
    Any,
    /// Numbers from here on.
    AtLeast(i64),
    /// Numbers between these, both included.
    Between(i64, i64),
    /// One of these words, in this spelling.
    OneOf(&'static [&'static str]),
    /// One of these words; case does not matter.
    WordOf(&'static [&'static str]),
    /// Any number of these words.
    ListOf(&'static [&'static str]),
    /// At least one of these words.
    NonEmptyListOf(&'static [&'static str]),
    /// 1 to 9, or -1 for the codec's own default.
    GzipLevel,
    /// `*`, or `partition:broker` pairs.
    ThrottledReplicas,
    /// `earliest`, `latest`, or `by_duration:` and a duration as ISO 8601 writes it.
    ShareOffsetReset,
}

/// A broker key that stands in for a topic key, or one broker key for another (`ConfigSynonym`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Synonym {
    /// The broker key.
    pub name: &'static str,
    /// What one unit of the broker key is, in units of the key it stands in for.
    pub factor: i64,
}

impl Synonym {
    pub(super) const fn same(name: &'static str) -> Self {
        Self { name, factor: 1 }
    }

    pub(super) const fn minutes(name: &'static str) -> Self {
        Self { name, factor: 60_000 }
    }

    pub(super) const fn hours(name: &'static str) -> Self {
        Self { name, factor: 3_600_000 }
    }

    /// The broker key's value, in the unit of the key it stands in for.
    pub(super) fn convert(self, value: &str) -> Option<String> {
        if self.factor == 1 {
            return Some(value.to_owned());
        }
        value.trim().parse::<i64>().ok()?.checked_mul(self.factor).map(|millis| millis.to_string())
    }
}

/// The definition of one key.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ConfigKey {
    /// Its name, such as `min.insync.replicas`.
    pub name: &'static str,
    /// The type of its value.
    pub kind: ConfigKind,
    /// Its value where nobody set one; `None` is Kafka's null.
    pub default: Option<&'static str>,
    /// Which values it accepts.
    pub valid: Valid,
    /// How likely a user is to want to change it.
    pub importance: Importance,
    /// Whether it can be changed while a broker runs. Topic and group keys always can.
    pub scope: Scope,
    /// For a topic or group key, the broker keys that hold its default; for a broker key, the keys that express the same
    /// setting, itself included. The first that is set wins.
    pub synonyms: &'static [Synonym],
    /// Whether DescribeConfigs hides it unless it was set.
    pub internal: bool,
    /// What it does, in one sentence.
    pub doc: &'static str,
}

impl ConfigKey {
    /// Whether its value must not be shown.
    pub fn is_sensitive(&self) -> bool {
        self.kind == ConfigKind::Password
    }

    /// What it does, in one sentence.
    pub fn documentation(&self) -> &'static str {
        self.doc.trim()
    }

    /// Reads and checks a value.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] when the value is not of the key's type or outside its bounds.
    pub fn parse(&self, value: &str) -> Result<Value, ConfigError> {
        let parsed = self.read(value)?;
        self.check(&parsed)?;
        Ok(parsed)
    }

    fn read(&self, value: &str) -> Result<Value, ConfigError> {
        let trimmed = value.trim();
        let not_a_number = || self.invalid(value, format!("Not a number of type {}", self.kind.name()));
        match self.kind {
            ConfigKind::Boolean if trimmed.eq_ignore_ascii_case("true") => Ok(Value::Boolean(true)),
            ConfigKind::Boolean if trimmed.eq_ignore_ascii_case("false") => Ok(Value::Boolean(false)),
            ConfigKind::Boolean => {
                Err(self.invalid(value, "Expected value to be either true or false".to_owned()))
            }
            ConfigKind::Int => {
                trimmed.parse::<i32>().map(|n| Value::Integer(n.into())).map_err(|_| not_a_number())
            }
            ConfigKind::Short => {
                trimmed.parse::<i16>().map(|n| Value::Integer(n.into())).map_err(|_| not_a_number())
            }
            ConfigKind::Long => trimmed.parse::<i64>().map(Value::Integer).map_err(|_| not_a_number()),
            ConfigKind::Double => trimmed.parse::<f64>().map(Value::Double).map_err(|_| not_a_number()),
            ConfigKind::List => Ok(Value::List(read_list(trimmed))),
            ConfigKind::String | ConfigKind::Class | ConfigKind::Password => {
                Ok(Value::String(trimmed.to_owned()))
            }
        }
    }

    fn check(&self, value: &Value) -> Result<(), ConfigError> {
        match self.valid {
            Valid::Any => Ok(()),
            Valid::AtLeast(min) => self.check_range(value, min, None),
            Valid::Between(min, max) => self.check_range(value, min, Some(max)),
            Valid::OneOf(words) => self.check_word(&value.to_string(), words),
            Valid::WordOf(words) => self.check_word(&value.to_string().to_ascii_lowercase(), words),
            Valid::ListOf(words) => self.check_list(value, words, true),
            Valid::NonEmptyListOf(words) => self.check_list(value, words, false),
            Valid::GzipLevel => match value {
                Value::Integer(-1 | 1..=9) => Ok(()),
                _ => Err(self.invalid(value, "Value must be between 1 and 9 or equal to -1".to_owned())),
            },
            Valid::ThrottledReplicas => self.check_throttled_replicas(value),
            Valid::ShareOffsetReset => self.check_share_offset_reset(value),
        }
    }

    fn check_share_offset_reset(&self, value: &Value) -> Result<(), ConfigError> {
        let text = value.to_string();
        let ago = text.strip_prefix("by_duration:").and_then(duration_ms);
        if ago.is_some() || text == "earliest" || text == "latest" {
            return Ok(());
        }
        let reason = format!(
            "Invalid value `{text}` for configuration {}. The value must be either 'earliest', 'latest' or of the format \
             'by_duration:<PnDTnHnMn.nS>'.",
            self.name
        );
        Err(self.invalid(value, reason))
    }

    fn check_range(&self, value: &Value, min: i64, max: Option<i64>) -> Result<(), ConfigError> {
        let (below, above) = match value {
            Value::Integer(n) => (*n < min, max.is_some_and(|max| *n > max)),
            #[expect(clippy::cast_precision_loss, reason = "the bounds of keys of type double are 0 and 1")]
            Value::Double(n) => (*n < min as f64, max.is_some_and(|max| *n > max as f64)),
            _ => (false, false),
        };
        if below {
            return Err(self.invalid(value, format!("Value must be at least {min}")));
        }
        match max {
            Some(max) if above => Err(self.invalid(value, format!("Value must be no more than {max}"))),
            _ => Ok(()),
        }
    }

    fn check_word(&self, word: &str, words: &[&str]) -> Result<(), ConfigError> {
        if words.contains(&word) {
            return Ok(());
        }
        Err(self.invalid(word, format!("String must be one of: {}", words.join(", "))))
    }

    fn check_list(&self, value: &Value, words: &[&str], empty_allowed: bool) -> Result<(), ConfigError> {
        let Value::List(entries) = value else { return Ok(()) };
        if entries.is_empty() && !empty_allowed {
            let valid = if words.is_empty() {
                "any non-empty value".to_owned()
            } else {
                format!("[{}]", words.join(", "))
            };
            return Err(ConfigError::Rule(format!(
                "Configuration '{}' must not be empty. Valid values include: {valid}",
                self.name
            )));
        }
        for entry in entries {
            if entry.is_empty() {
                return Err(ConfigError::Rule(format!(
                    "Configuration '{}' values must not be empty.",
                    self.name
                )));
            }
            if !words.is_empty() {
                self.check_word(entry, words)?;
            }
        }
        Ok(())
    }

    fn check_throttled_replicas(&self, value: &Value) -> Result<(), ConfigError> {
        let Value::List(entries) = value else { return Ok(()) };
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let pair = |entry: &String| {
            entry.is_empty() || entry.split_once(':').is_some_and(|(p, b)| digits(p) && digits(b))
        };
        if entries.iter().all(pair) || entries.concat() == "*" {
            return Ok(());
        }
        let reason = format!(
            "{} must be the literal '*' or a list of replicas in the following format: \
             [partitionId]:[brokerId],[partitionId]:[brokerId],...",
            self.name
        );
        Err(self.invalid(format!("[{}]", entries.join(", ")), reason))
    }

    fn invalid(&self, value: impl fmt::Display, reason: String) -> ConfigError {
        ConfigError::Invalid { name: self.name.to_owned(), value: value.to_string(), reason }
    }
}

/// Splits a list as Kafka does: at commas, blanks around them dropped, a repeated entry kept once.
fn read_list(trimmed: &str) -> Vec<String> {
    if trimmed.is_empty() {
        return Vec::new();
    }
    let mut entries: Vec<String> = Vec::new();
    for entry in trimmed.split(',') {
        let entry = entry.trim();
        if !entries.iter().any(|seen| seen == entry) {
            entries.push(entry.to_owned());
        }
    }
    entries
}

/// A value of a key. `Display` gives the form in which Kafka shows it.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Of a key of type boolean.
    Boolean(bool),
    /// Of a key of type short, int or long.
    Integer(i64),
    /// Of a key of type double.
    Double(f64),
    /// Of a key of type string, class or password.
    String(String),
    /// Of a key of type list.
    List(Vec<String>),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boolean(value) => value.fmt(f),
            Self::Integer(value) => value.fmt(f),
            // Java prints a double with its fraction, even a whole one.
            // As Java writes it.
            Self::Double(value) => f.write_str(&format!("{value:?}").replace('e', "E")),
            Self::String(value) => f.write_str(value),
            Self::List(values) => f.write_str(&values.join(",")),
        }
    }
}

/// Why a configuration was refused. `Display` gives Kafka's message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// No topic key has this name.
    #[error("Unknown topic config name: {0}")]
    UnknownTopicKey(String),
    /// No broker key that klamm honours has this name.
    #[error("{}", unknown_broker_key(.name, .nearest.as_deref()))]
    UnknownBrokerKey {
        /// The name.
        name: String,
        /// The known key that was most likely meant.
        nearest: Option<String>,
    },
    /// The key follows from the shape of the cluster and cannot be set.
    #[error("{name} is set by klamm itself{}", hint(.instead))]
    Managed {
        /// The key.
        name: String,
        /// What to use instead, or nothing.
        instead: &'static str,
    },
    /// The value is not of the key's type, or outside its bounds.
    #[error("Invalid value {value} for configuration {name}: {reason}")]
    Invalid {
        /// The key.
        name: String,
        /// The value.
        value: String,
        /// What it must be.
        reason: String,
    },
    /// The values are good one by one but break a rule; the text is Kafka's.
    #[error("{0}")]
    Rule(String),
}

fn unknown_broker_key(name: &str, nearest: Option<&str>) -> String {
    match nearest {
        Some(nearest) => format!("unknown config key {name}; did you mean {nearest}?"),
        None => format!("unknown config key {name}"),
    }
}

fn hint(instead: &str) -> String {
    if instead.is_empty() { String::new() } else { format!("; use {instead}") }
}

/// A key with the Rust type of its value, so that reading it cannot ask for the wrong type.
#[derive(Debug)]
pub struct Key<T> {
    name: &'static str,
    value: PhantomData<fn() -> T>,
}

impl<T> Clone for Key<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Key<T> {}

impl<T> Key<T> {
    pub(super) const fn new(name: &'static str) -> Self {
        Self { name, value: PhantomData }
    }

    /// The key's name.
    pub const fn name(self) -> &'static str {
        self.name
    }
}

/// A Rust type that a key's value can have. `Option` is for keys whose default is null.
pub trait ConfigType: Sized {
    /// Kafka's type.
    const KIND: ConfigKind;

    /// The value as this type; `None` for the null of a key that cannot be null, and for another type's value.
    fn from_value(value: Option<&Value>) -> Option<Self>;
}

macro_rules! integer_types {
    ($($ty:ty => $kind:ident),*) => {$(
        impl ConfigType for $ty {
            const KIND: ConfigKind = ConfigKind::$kind;

            fn from_value(value: Option<&Value>) -> Option<Self> {
                match value? {
                    Value::Integer(n) => Self::try_from(*n).ok(),
                    _ => None,
                }
            }
        }
    )*};
}

integer_types!(i16 => Short, i32 => Int, i64 => Long);

impl ConfigType for bool {
    const KIND: ConfigKind = ConfigKind::Boolean;

    fn from_value(value: Option<&Value>) -> Option<Self> {
        match value? {
            Value::Boolean(value) => Some(*value),
            _ => None,
        }
    }
}

impl ConfigType for f64 {
    const KIND: ConfigKind = ConfigKind::Double;

    fn from_value(value: Option<&Value>) -> Option<Self> {
        match value? {
            Value::Double(value) => Some(*value),
            _ => None,
        }
    }
}

impl ConfigType for String {
    const KIND: ConfigKind = ConfigKind::String;

    fn from_value(value: Option<&Value>) -> Option<Self> {
        match value? {
            Value::String(value) => Some(value.clone()),
            _ => None,
        }
    }
}

impl ConfigType for Vec<String> {
    const KIND: ConfigKind = ConfigKind::List;

    fn from_value(value: Option<&Value>) -> Option<Self> {
        match value? {
            Value::List(value) => Some(value.clone()),
            _ => None,
        }
    }
}

impl<T: ConfigType> ConfigType for Option<T> {
    const KIND: ConfigKind = T::KIND;

    fn from_value(value: Option<&Value>) -> Option<Self> {
        match value {
            None => Some(None),
            some => T::from_value(some).map(Some),
        }
    }
}

/// `null`, or a default in the form in which Kafka shows it.
macro_rules! default_value {
    (null) => {
        None
    };
    ($default:literal) => {
        Some($default)
    };
}

macro_rules! synonyms_or_none {
    () => {
        &[]
    };
    ($synonyms:expr) => {
        $synonyms
    };
}

macro_rules! flag_or_false {
    () => {
        false
    };
    ($flag:literal) => {
        $flag
    };
}

/// Defines keys: for each a typed [`Key`] constant and a row of the table.
macro_rules! config_keys {
    ($(#[doc = $table_doc:literal])+ $table:ident {
        $($(#[doc = $doc:literal])+ $name:ident: $ty:ty = $key:literal, default $default:tt, $valid:expr, $importance:ident, $scope:ident
          $(, synonyms $synonyms:expr)? $(, internal $internal:literal)?;)*
    }) => {
        $($(#[doc = $doc])+ #[doc = concat!("\n\n`", $key, "`, default `", stringify!($default), "`.")]
          pub const $name: $crate::config::Key<$ty> = $crate::config::Key::new($key);)*

        $(#[doc = $table_doc])+
        pub static $table: &[$crate::config::ConfigKey] = &[$($crate::config::ConfigKey {
            name: $key,
            kind: <$ty as $crate::config::ConfigType>::KIND,
            default: $crate::config::def::default_value!($default),
            valid: $valid,
            importance: $crate::config::Importance::$importance,
            scope: $crate::config::Scope::$scope,
            synonyms: $crate::config::def::synonyms_or_none!($($synonyms)?),
            internal: $crate::config::def::flag_or_false!($($internal)?),
            doc: concat!($($doc),+),
        }),*];
    };
}

pub(super) use {config_keys, default_value, flag_or_false, synonyms_or_none};
